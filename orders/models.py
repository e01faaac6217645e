"""The order and what hangs on it. Facts are the truth; every other table here is derived from them by transitions.settle."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_fsm import GET_STATE, FSMField, FSMModelMixin, transition

from orders.audit import AuditEntry
from orders.board.ordering import NullsLast
from orders.contacts import Contact
from orders.desk import BulkRow, BulkRun, SavedView, StaffPreference
from orders.masters import Customer, ReasonCode, Shop, SourceHeard, Warehouse
from orders.people import StaffScope
from orders.querysets import OrderQuerySet
from orders.records import ExternalReference, OrderEvent, OrderFact, ReferenceLink
from orders.stages import (
    CLOSED,
    HANDED_OVER,
    Intent,
    Invoice,
    ParcelState,
    Payment,
    Stage,
    Step,
    StepState,
)
from orders.stock import StockEntry, StockItem, StockLock
from orders.work import Todo, WorkSignal
from orders.worktime import CalendarDay, WorkCalendar

if TYPE_CHECKING:
    from orders.answer import Derivation

__all__ = [
    "AuditEntry",
    "BulkRow",
    "BulkRun",
    "CalendarDay",
    "Contact",
    "Customer",
    "ExternalReference",
    "Order",
    "OrderEvent",
    "OrderFact",
    "OrderHold",
    "OrderLine",
    "OrderStep",
    "Parcel",
    "PrecedenceVersion",
    "ReasonCode",
    "ReferenceLink",
    "SavedView",
    "Shop",
    "SourceHeard",
    "StaffPreference",
    "StaffScope",
    "StockEntry",
    "StockItem",
    "StockLock",
    "Todo",
    "Warehouse",
    "WorkCalendar",
    "WorkSignal",
]

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def draw_order_number(placed_at: datetime) -> str:
    """OH + yymmdd + five random signs: a running number on public pages would tell competitors the volume."""
    return f"OH{placed_at:%y%m%d}-" + "".join(secrets.choice(CROCKFORD) for _sign in range(5))


def is_derived(order: Any) -> bool:
    """Only the one door sets a derivation; a stage never moves without facts behind it."""
    return order.derivation is not None


def is_derived_to(stage: Stage) -> Any:
    def condition(order: Order) -> bool:
        return order.derivation is not None and order.derivation.stage == stage

    condition.__name__ = f"is_derived_to_{stage.value}"
    return condition


_FORWARD = [
    Stage.INTAKE, Stage.AWAITING_PAYMENT, Stage.PLATFORM_REVIEW, Stage.AWAITING_DATE, Stage.AWAITING_STOCK,
    Stage.AWAITING_WAYBILL, Stage.AWAITING_PICK, Stage.PICKING, Stage.AWAITING_PACK, Stage.AWAITING_HANDOVER,
    Stage.SHIPPED, Stage.IN_TRANSIT, Stage.CUSTOMS, Stage.OUT_FOR_DELIVERY, Stage.DELIVERED, Stage.COMPLETED,
]  # fmt: skip


def before(stage: Stage) -> list[str]:
    """The stages from which a forward move may reach this one."""
    earlier = [one.value for one in _FORWARD[: _FORWARD.index(stage)]]
    if stage in HANDED_OVER:
        # Whoever asked to cancel may be too late: goods can leave an order that is being cancelled.
        earlier.append(Stage.CANCELLING.value)
    return earlier


IN_WAREHOUSE = [stage.value for stage in _FORWARD[: _FORWARD.index(Stage.SHIPPED)]]


class Order(FSMModelMixin, models.Model):
    """One order as the hub sees it. Every status column is derived from facts; only transitions.settle writes them."""

    number = models.CharField(_("order number"), max_length=20, unique=True)
    shop = models.ForeignKey(Shop, verbose_name=_("shop"), on_delete=models.PROTECT, related_name="orders")
    external_id = models.CharField(_("shop order number"), max_length=64)
    warehouse = models.ForeignKey(
        Warehouse,
        verbose_name=_("warehouse"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="orders",
    )
    customer = models.ForeignKey(
        Customer,
        verbose_name=_("customer"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="orders",
    )
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), null=True, blank=True, on_delete=models.SET_NULL
    )
    region = models.CharField(_("region"), max_length=40, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    placed_at = models.DateTimeField(_("placed at"), null=True)
    created_at = models.DateTimeField(_("first seen at"))
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    total = models.DecimalField(_("total"), max_digits=14, decimal_places=2, null=True)
    remark = models.TextField(_("remark"), blank=True)

    stage = FSMField(_("stage"), default=Stage.INTAKE, choices=Stage.choices, protected=True)
    stage_since = models.DateTimeField(_("in this stage since"))
    payment = models.CharField(_("payment"), max_length=20, choices=Payment.choices, default=Payment.UNPAID)
    invoice = models.CharField(_("invoice"), max_length=20, choices=Invoice.choices, default=Invoice.NONE)
    intent = models.CharField(_("intent"), max_length=20, choices=Intent.choices, default=Intent.GO)
    # Partial n/m counts units; partial_of says of which milestone (shipped or delivered); empty = nothing is partial.
    partial_of = models.CharField(_("partly"), max_length=20, blank=True)
    partial_done = models.DecimalField(_("units done"), max_digits=14, decimal_places=3, default=0)
    partial_total = models.DecimalField(_("units in all"), max_digits=14, decimal_places=3, default=0)
    has_conflict = models.BooleanField(_("sources disagree"), default=False)
    conflicts = models.JSONField(_("conflicts"), default=list, blank=True)
    is_held = models.BooleanField(_("on hold"), default=False)
    is_short = models.BooleanField(_("stock short"), default=False)
    # How many outside statuses nobody has mapped yet.
    n_unknown = models.PositiveSmallIntegerField(_("unknown statuses"), default=0)
    is_rush = models.BooleanField(_("rush"), default=False)
    is_test = models.BooleanField(_("test order"), default=False)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)
    merged_from = models.PositiveSmallIntegerField(_("merged from"), default=1)
    waybill = models.CharField(_("waybill number"), max_length=40, blank=True)
    confirmed_on = models.DateField(_("confirmed date"), null=True, blank=True)

    # Written by promises and exceptions through orders/board.py; everything else by transitions.settle.
    promised_at = models.DateTimeField(_("promised by"), null=True, blank=True)
    promise_risk = models.CharField(_("promise risk"), max_length=12, blank=True)
    case_mark = models.CharField(_("exception"), max_length=16, blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("assignee"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    # True until nothing more is expected. In every partial index, because IN lists are not matched on SQLite.
    is_open = models.BooleanField(_("open"), default=True)
    next_step = models.CharField(_("next step"), max_length=10, choices=Step.choices, blank=True)
    step_due_at = models.DateTimeField(_("step due"), null=True, blank=True)
    # When the order counts as stuck if nothing happens. Stored, so that the sweep is one indexed query.
    stalls_at = models.DateTimeField(_("stalls at"), null=True, blank=True)
    stalled_at = models.DateTimeField(_("stalled since"), null=True, blank=True)
    # When time alone would change the answer: a hold ends, an after-sale window closes.
    due_again_at = models.DateTimeField(_("judged again at"), null=True, blank=True)
    last_fact_at = models.DateTimeField(_("last fact"), null=True)
    settled_through = models.DateTimeField(_("settled through"), null=True)
    derived_with = models.PositiveIntegerField(_("precedence version"), default=0)
    # Which state of the working calendars its deadlines were computed on; empty before the first settle.
    clocked_with = models.CharField(_("calendar version"), max_length=16, blank=True)
    # A defect report, not a status: the door refused what the derivation asked for. Facts keep coming in.
    set_aside = models.CharField(_("set aside because"), max_length=300, blank=True)

    objects = OrderQuerySet.as_manager()

    # Set by the one door around a move, never stored.
    derivation: Derivation | None = None

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [models.UniqueConstraint(fields=["shop", "external_id"], name="order_shop_external_id")]
        indexes = [
            # In the board's sequence: rows without a deadline come last, on both databases.
            models.Index(
                NullsLast("promised_at"),
                NullsLast("step_due_at"),
                NullsLast("stalls_at"),
                "id",
                name="order_board_due",
                condition=Q(is_open=True),
            ),
            # What is open of one shop or warehouse: the board of those who see no more, and the filters by them.
            models.Index(fields=["shop", "id"], name="order_open_shop", condition=Q(is_open=True)),
            models.Index(fields=["warehouse", "id"], name="order_open_warehouse", condition=Q(is_open=True)),
            models.Index(fields=["stage", "-id"], name="order_stage"),
            models.Index(fields=["stalls_at"], name="order_stalls", condition=Q(is_open=True)),
            models.Index(fields=["step_due_at"], name="order_step_due", condition=Q(is_open=True)),
            models.Index(
                fields=["due_again_at"], name="order_due_again", condition=Q(due_again_at__isnull=False)
            ),
            models.Index(fields=["set_aside"], name="order_set_aside", condition=~Q(set_aside="")),
            models.Index(fields=["external_id"], name="order_external_id"),
            # What came in within a day, hour by hour.
            models.Index(fields=["created_at"], name="order_created"),
            # What changed since a reader of the API asked last: of one shop, or of all.
            models.Index(fields=["settled_through", "id"], name="order_changed"),
            models.Index(fields=["shop", "settled_through", "id"], name="order_shop_changed"),
            models.Index(fields=["waybill"], name="order_waybill", condition=~Q(waybill="")),
        ]
        permissions = [
            ("confirm_date", _("Can confirm the delivery date")),
            ("lock_stock", _("Can lock stock")),
            ("make_waybill", _("Can make the waybill")),
            ("issue_invoice", _("Can issue the invoice")),
            ("propose_waybill", _("Can propose waybill data")),
            ("undo_step_late", _("Can undo a step after the undo window")),
            ("hold_order", _("Can put an order on hold")),
            ("join_orders", _("Can merge and split orders")),
            ("report_fact", _("Can report a fact by hand")),
            ("add_note", _("Can write a note")),
            ("see_all_orders", _("Can see every order, whatever the row scope")),
            ("export_order", _("Can export lists of orders")),
        ]

    def __str__(self) -> str:
        return self.number

    # The moves that exist, in the trade's words. They touch nothing but the stage; locking, history and messages
    # belong to orders.transitions. A move may pass over stages: an order that is first heard of when it is on the
    # road goes there at once, and the event records what was passed.

    @transition(
        stage, [Stage.INTAKE], Stage.AWAITING_PAYMENT, conditions=[is_derived_to(Stage.AWAITING_PAYMENT)]
    )
    def await_payment(self) -> None:
        """The order is complete; the money is not there."""

    @transition(
        stage,
        before(Stage.PLATFORM_REVIEW),
        Stage.PLATFORM_REVIEW,
        conditions=[is_derived_to(Stage.PLATFORM_REVIEW)],
    )
    def enter_review(self) -> None:
        """The platform looks for fraud before the seller may ship."""

    @transition(
        stage,
        before(Stage.AWAITING_DATE),
        Stage.AWAITING_DATE,
        conditions=[is_derived_to(Stage.AWAITING_DATE)],
    )
    def await_date(self) -> None:
        """Paid or on credit: sales owes a date."""

    @transition(
        stage,
        before(Stage.AWAITING_STOCK),
        Stage.AWAITING_STOCK,
        conditions=[is_derived_to(Stage.AWAITING_STOCK)],
    )
    def confirm_date(self) -> None:
        """Sales confirmed the date: the warehouse owes the stock."""

    @transition(
        stage,
        before(Stage.AWAITING_WAYBILL),
        Stage.AWAITING_WAYBILL,
        conditions=[is_derived_to(Stage.AWAITING_WAYBILL)],
    )
    def lock_stock(self) -> None:
        """The goods are set aside: logistics owes the waybill."""

    @transition(
        stage,
        before(Stage.AWAITING_PICK),
        Stage.AWAITING_PICK,
        conditions=[is_derived_to(Stage.AWAITING_PICK)],
    )
    def release_to_warehouse(self) -> None:
        """The waybill exists: the warehouse may pick."""

    @transition(stage, before(Stage.PICKING), Stage.PICKING, conditions=[is_derived_to(Stage.PICKING)])
    def start_picking(self) -> None:
        """The warehouse has begun to pick."""

    @transition(
        stage,
        before(Stage.AWAITING_PACK),
        Stage.AWAITING_PACK,
        conditions=[is_derived_to(Stage.AWAITING_PACK)],
    )
    def mark_picked(self) -> None:
        """Every unit is picked."""

    @transition(
        stage,
        before(Stage.AWAITING_HANDOVER),
        Stage.AWAITING_HANDOVER,
        conditions=[is_derived_to(Stage.AWAITING_HANDOVER)],
    )
    def mark_packed(self) -> None:
        """Every unit is packed and waits for the carrier."""

    @transition(stage, before(Stage.SHIPPED), Stage.SHIPPED, conditions=[is_derived_to(Stage.SHIPPED)])
    def ship(self) -> None:
        """The goods have left the warehouse."""

    @transition(
        stage, before(Stage.IN_TRANSIT), Stage.IN_TRANSIT, conditions=[is_derived_to(Stage.IN_TRANSIT)]
    )
    def carry(self) -> None:
        """The carrier has scanned the goods."""

    @transition(stage, before(Stage.CUSTOMS), Stage.CUSTOMS, conditions=[is_derived_to(Stage.CUSTOMS)])
    def enter_customs(self) -> None:
        """The goods are with customs."""

    @transition(
        stage,
        before(Stage.OUT_FOR_DELIVERY),
        Stage.OUT_FOR_DELIVERY,
        conditions=[is_derived_to(Stage.OUT_FOR_DELIVERY)],
    )
    def go_out_for_delivery(self) -> None:
        """The courier is on the way."""

    @transition(stage, before(Stage.DELIVERED), Stage.DELIVERED, conditions=[is_derived_to(Stage.DELIVERED)])
    def deliver(self) -> None:
        """Every open unit has reached the customer."""

    @transition(stage, before(Stage.COMPLETED), Stage.COMPLETED, conditions=[is_derived_to(Stage.COMPLETED)])
    def complete(self) -> None:
        """Delivered, invoiced or exempt, and the after-sale window is over."""

    @transition(stage, IN_WAREHOUSE, Stage.CANCELLING, conditions=[is_derived_to(Stage.CANCELLING)])
    def begin_cancelling(self) -> None:
        """Somebody asked to cancel before the goods left; nobody has answered yet."""

    @transition(
        stage,
        [*IN_WAREHOUSE, Stage.CANCELLING.value],
        Stage.CANCELLED,
        conditions=[is_derived_to(Stage.CANCELLED)],
    )
    def cancel(self) -> None:
        """Every unit was cancelled before it left the warehouse."""

    @transition(
        stage,
        [*before(Stage.COMPLETED), Stage.COMPLETED],
        Stage.RETURNING,
        conditions=[is_derived_to(Stage.RETURNING)],
    )
    def start_return(self) -> None:
        """Goods are on their way back."""

    @transition(
        stage,
        [*before(Stage.COMPLETED), Stage.COMPLETED, Stage.RETURNING],
        Stage.RETURNED,
        conditions=[is_derived_to(Stage.RETURNED)],
    )
    def finish_return(self) -> None:
        """The goods are back."""

    @transition(
        stage,
        [stage.value for stage in Stage if stage not in CLOSED],
        GET_STATE(lambda self, to: to, states=[stage.value for stage in Stage]),
        conditions=[is_derived],
    )
    def retract(self, to: str) -> None:
        """Back to an earlier stage: a fact was taken back, a cancel refused, a waybill made void."""

    @transition(
        stage,
        [stage.value for stage in CLOSED],
        GET_STATE(lambda self, to: to, states=[stage.value for stage in Stage]),
        conditions=[is_derived],
    )
    def reopen(self, to: str) -> None:
        """A closed order moves again: paid in time after all, a return after completion, a precedence changed."""


class OrderLine(models.Model):
    """One article of an order, with how many units have come how far. Derived."""

    order = models.ForeignKey(Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="lines")
    sku = models.CharField(_("article"), max_length=80)
    name = models.CharField(_("name"), max_length=200, blank=True)
    unit = models.CharField(_("unit"), max_length=20, blank=True)
    price = models.DecimalField(_("price"), max_digits=14, decimal_places=4, null=True)
    ordered = models.DecimalField(_("ordered"), max_digits=14, decimal_places=3)
    cancelled = models.DecimalField(_("cancelled"), max_digits=14, decimal_places=3, default=0)
    locked = models.DecimalField(_("locked"), max_digits=14, decimal_places=3, default=0)
    picked = models.DecimalField(_("picked"), max_digits=14, decimal_places=3, default=0)
    packed = models.DecimalField(_("packed"), max_digits=14, decimal_places=3, default=0)
    shipped = models.DecimalField(_("shipped"), max_digits=14, decimal_places=3, default=0)
    delivered = models.DecimalField(_("delivered"), max_digits=14, decimal_places=3, default=0)

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        constraints = [models.UniqueConstraint(fields=["order", "sku"], name="line_order_sku")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.sku} x {self.ordered.normalize():f}"


class Parcel(models.Model):
    """One waybill of an order, or the unnamed rest when a source only says "shipped". Derived."""

    order = models.ForeignKey(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="parcels"
    )
    # Empty for goods that left without a known waybill.
    waybill = models.CharField(_("waybill number"), max_length=40, blank=True)
    carrier = models.CharField(_("carrier"), max_length=40, blank=True)
    state = models.CharField(_("parcel state"), max_length=20, choices=ParcelState.choices)
    state_at = models.DateTimeField(_("since"))
    # Units per article: {"BRK-001": "6"}. Empty = whatever no other parcel names.
    contents = models.JSONField(_("contents"), default=dict)

    class Meta:
        verbose_name = _("parcel")
        verbose_name_plural = _("parcels")
        constraints = [models.UniqueConstraint(fields=["order", "waybill"], name="parcel_order_waybill")]
        indexes = [models.Index(fields=["waybill"], name="parcel_waybill")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.waybill or "-"


class OrderStep(models.Model):
    """One of the four steps that has begun, with who answers for it, until when, and what closed it. Derived."""

    order = models.ForeignKey(Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="steps")
    step = models.CharField(_("step"), max_length=10, choices=Step.choices)
    state = models.CharField(_("state"), max_length=10, choices=StepState.choices)
    owner = models.CharField(_("owner role"), max_length=40)
    opened_at = models.DateTimeField(_("opened"))
    due_at = models.DateTimeField(_("due"), null=True)
    done_at = models.DateTimeField(_("done"), null=True)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("done by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    # The fact that closed the step. A plain id: facts are never deleted, and demo rows go as a whole.
    evidence = models.BigIntegerField(_("evidence"), null=True)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        constraints = [models.UniqueConstraint(fields=["order", "step"], name="step_order_step")]
        indexes = [
            models.Index(fields=["due_at"], name="step_due", condition=Q(state="open")),
            # Which steps were done lately, and whether in time.
            models.Index(
                fields=["-done_at"],
                name="step_done",
                condition=Q(done_at__isnull=False, due_at__isnull=False),
            ),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.get_step_display()


class OrderHold(models.Model):
    """One reason why an order waits on purpose, with who said so and until when. Derived."""

    order = models.ForeignKey(Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="holds")
    name = models.CharField(_("name"), max_length=60)
    owner = models.CharField(_("owner"), max_length=150, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    set_at = models.DateTimeField(_("set"))
    until = models.DateTimeField(_("until"), null=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [models.UniqueConstraint(fields=["order", "name"], name="hold_order_name")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name


class PrecedenceVersion(models.Model):
    """How sources are ranked and which steps an order passes. The newest active version judges; old ones stay."""

    number = models.PositiveIntegerField(_("version"), unique=True)
    rules = models.JSONField(
        _("rules"), help_text=_("topics, steps and the after-sale window; see docs/data-flow.md")
    )
    note = models.CharField(_("what changed and why"), max_length=300)
    made_at = models.DateTimeField(_("made"))
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("made by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    applied_at = models.DateTimeField(_("applied"), null=True)

    class Meta:
        verbose_name = _("precedence version")
        verbose_name_plural = _("precedence versions")
        ordering = ["-number"]
        permissions = [("apply_precedence", _("Can put a precedence version in force"))]
        default_permissions = ("add", "view")

    def __str__(self) -> str:
        return f"{self.number}: {self.note}"
