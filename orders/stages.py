"""The vocabulary of an order's life: stages, axes, parcel states, steps, and every kind of fact, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise


class Stage(models.TextChoices):
    """Where an order stands. Listed from the first to the last; returns come after completion."""

    INTAKE = "intake", _("Intake")
    AWAITING_PAYMENT = "awaiting_payment", _("Awaiting payment")
    PLATFORM_REVIEW = "platform_review", _("Platform review")
    AWAITING_DATE = "awaiting_date", _("Awaiting date")
    AWAITING_STOCK = "awaiting_stock", _("Awaiting stock")
    AWAITING_WAYBILL = "awaiting_waybill", _("Awaiting waybill")
    AWAITING_PICK = "awaiting_pick", _("Awaiting pick")
    PICKING = "picking", _("Picking")
    AWAITING_PACK = "awaiting_pack", _("Awaiting packing")
    AWAITING_HANDOVER = "awaiting_handover", _("Awaiting hand-over")
    SHIPPED = "shipped", _("Shipped")
    IN_TRANSIT = "in_transit", _("In transit")
    CUSTOMS = "customs", _("In customs")
    OUT_FOR_DELIVERY = "out_for_delivery", _("Out for delivery")
    DELIVERED = "delivered", _("Delivered")
    COMPLETED = "completed", _("Completed")
    CANCELLING = "cancelling", _("Cancelling")
    CANCELLED = "cancelled", _("Cancelled")
    RETURNING = "returning", _("Returning")
    RETURNED = "returned", _("Returned")


# The physical milestones a unit of goods passes, in order.
PHYSICAL = (
    Stage.PICKING,
    Stage.AWAITING_PACK,
    Stage.AWAITING_HANDOVER,
    Stage.SHIPPED,
    Stage.IN_TRANSIT,
    Stage.CUSTOMS,
    Stage.OUT_FOR_DELIVERY,
    Stage.DELIVERED,
)
HANDED_OVER = PHYSICAL[PHYSICAL.index(Stage.SHIPPED) :]
# Nothing more is expected to happen by itself. Everything else is open: it has clocks, and the sweeps watch it.
CLOSED = frozenset({Stage.COMPLETED, Stage.CANCELLED, Stage.RETURNED})


class Payment(models.TextChoices):
    UNPAID = "unpaid", _("Unpaid")
    PARTIAL = "partial", _("Partly paid")
    PAID = "paid", _("Paid")
    REFUNDING = "refunding", _("Refunding")
    PART_REFUNDED = "part_refunded", _("Partly refunded")
    REFUNDED = "refunded", _("Refunded")
    PAID_AFTER_CANCEL = "paid_after_cancel", _("Paid after cancel")


class Invoice(models.TextChoices):
    NONE = "none", _("No invoice")
    AWAITING = "awaiting", _("Invoice requested")
    ISSUED = "issued", _("Invoiced")
    FAILED = "failed", _("Invoice failed")
    RED_LETTERED = "red_lettered", _("Invoice reversed")


class Intent(models.TextChoices):
    GO = "go", _("Go")
    CANCEL_REQUESTED = "cancel_requested", _("Cancel requested")
    CANCELLED = "cancelled", _("Cancelled by the buyer or seller")
    RETURN_REQUESTED = "return_requested", _("Return requested")


class ParcelState(models.TextChoices):
    CREATED = "created", _("Waybill made")
    AWAITING_PICKUP = "awaiting_pickup", _("Awaiting pick-up")
    HANDED_OVER = "handed_over", _("Handed over")
    PICKED_UP = "picked_up", _("Picked up")
    IN_TRANSIT = "in_transit", _("In transit")
    AT_CUSTOMS = "at_customs", _("At customs")
    OUT_FOR_DELIVERY = "out_for_delivery", _("Out for delivery")
    AT_LOCKER = "at_locker", _("At a locker or shop")
    DELIVERY_FAILED = "delivery_failed", _("Delivery failed")
    HELD = "held", _("Held by the carrier")
    DELIVERED = "delivered", _("Delivered")
    INTERCEPTED = "intercepted", _("Intercepted")
    RETURNING = "returning", _("Returning")
    RETURNED = "returned", _("Returned")
    LOST = "lost", _("Lost")
    DAMAGED = "damaged", _("Damaged")
    VOIDED = "voided", _("Waybill void")


class RiskLevel(models.TextChoices):
    """How likely the promise is to be missed, as long as it is not. Empty on an order without a promise."""

    ON_TRACK = "on_track", _("On track")
    WATCH = "watch", _("To be watched")
    AT_RISK = "at_risk", _("At risk")


class Step(models.TextChoices):
    """The four steps that people answer for."""

    DATE = "date", _("Confirm the date")
    STOCK = "stock", _("Lock stock")
    WAYBILL = "waybill", _("Make the waybill")
    INVOICE = "invoice", _("Issue the invoice")


class StepState(models.TextChoices):
    OPEN = "open", _("Open")
    DONE = "done", _("Done")
    OVERTAKEN = "overtaken", _("Overtaken")
    VOID = "void", _("No longer needed")


STEP_STAGE = {
    Step.DATE: Stage.AWAITING_DATE,
    Step.STOCK: Stage.AWAITING_STOCK,
    Step.WAYBILL: Stage.AWAITING_WAYBILL,
}


class Role(models.TextChoices):
    """What a source of facts is, in the trade's words. Precedence ranks these, not single systems."""

    SHOP = "shop", _("Shop")
    ERP = "erp", _("Stock system")
    WMS = "wms", _("Warehouse system")
    CARRIER = "carrier", _("Carrier")
    FINANCE = "finance", _("Finance")
    CRM = "crm", _("Customer system")
    PERSON = "person", _("Person")
    HUB = "hub", _("orderhub")
    RULE = "rule", _("Rule")


class Topic(models.TextChoices):
    """What a fact is about. Sources are ranked per topic."""

    ORDER = "order", _("Order data")
    ADDRESS = "address", _("Address")
    PAYMENT = "payment", _("Payment")
    CANCEL = "cancel", _("Cancellation")
    REVIEW = "review", _("Platform review")
    DATE = "date", _("Delivery date")
    HOLD = "hold", _("Hold")
    STOCK = "stock", _("Stock lock")
    PICKING = "picking", _("Picking")
    PACKING = "packing", _("Packing")
    WAYBILL = "waybill", _("Waybill")
    PARCEL = "parcel", _("Parcel")
    INVOICE = "invoice", _("Invoice")
    RETURN = "return", _("Return")
    TRADE = "trade", _("Trade")
    NOTE = "note", _("Note")


class Level(models.TextChoices):
    ORDER = "order", _("Order")
    LINE = "line", _("Line")
    PARCEL = "parcel", _("Parcel")
    ANY = "any", _("Any")


@dataclass(frozen=True, slots=True)
class FactKind:
    """One kind of fact: what it is about, where it hangs, whether it restarts the silence clock, who may read it."""

    code: str
    label: StrOrPromise
    level: Level
    topic: Topic
    material: bool = True
    customer_visible: bool = False


def _kinds() -> dict[str, FactKind]:
    order, line, parcel = Level.ORDER, Level.LINE, Level.PARCEL
    rows = [
        FactKind("order.placed", _("Order placed"), order, Topic.ORDER, customer_visible=True),
        FactKind("order.changed", _("Order changed"), order, Topic.ORDER, customer_visible=True),
        FactKind("payment.received", _("Payment received"), order, Topic.PAYMENT, customer_visible=True),
        FactKind("payment.refunded", _("Payment refunded"), order, Topic.PAYMENT, customer_visible=True),
        FactKind("review.started", _("Platform review started"), order, Topic.REVIEW),
        FactKind("review.ended", _("Platform review ended"), order, Topic.REVIEW),
        FactKind("date.confirmed", _("Date confirmed"), order, Topic.DATE, customer_visible=True),
        FactKind("hold.set", _("Put on hold"), order, Topic.HOLD),
        FactKind("hold.lifted", _("Hold lifted"), order, Topic.HOLD),
        FactKind("cancel.requested", _("Cancel requested"), order, Topic.CANCEL, customer_visible=True),
        FactKind("cancel.accepted", _("Cancel accepted"), order, Topic.CANCEL, customer_visible=True),
        FactKind("cancel.refused", _("Cancel refused"), order, Topic.CANCEL, customer_visible=True),
        FactKind("address.changed", _("Address changed"), order, Topic.ADDRESS, customer_visible=True),
        FactKind("invoice.requested", _("Invoice requested"), order, Topic.INVOICE),
        FactKind("invoice.issued", _("Invoice issued"), order, Topic.INVOICE, customer_visible=True),
        FactKind("invoice.failed", _("Invoice failed"), order, Topic.INVOICE),
        FactKind("invoice.reversed", _("Invoice reversed"), order, Topic.INVOICE, customer_visible=True),
        FactKind("return.requested", _("Return requested"), order, Topic.RETURN, customer_visible=True),
        FactKind("trade.finished", _("Trade finished on the platform"), order, Topic.TRADE),
        FactKind("stock.locked", _("Stock locked"), line, Topic.STOCK),
        FactKind("stock.short", _("Stock short"), line, Topic.STOCK),
        FactKind("stock.released", _("Stock released"), line, Topic.STOCK),
        FactKind("pick.started", _("Picking started"), line, Topic.PICKING, customer_visible=True),
        FactKind("pick.done", _("Picked"), line, Topic.PICKING, customer_visible=True),
        FactKind("pick.short", _("Picked short"), line, Topic.PICKING),
        FactKind("pack.done", _("Packed"), line, Topic.PACKING, customer_visible=True),
        FactKind("waybill.made", _("Waybill made"), parcel, Topic.WAYBILL, customer_visible=True),
        FactKind("waybill.voided", _("Waybill made void"), parcel, Topic.WAYBILL),
        FactKind(
            "parcel.handed_over", _("Handed over to the carrier"), parcel, Topic.PARCEL, customer_visible=True
        ),
        *(
            FactKind(f"parcel.{state.value}", state.label, parcel, Topic.PARCEL, customer_visible=True)
            for state in ParcelState
            if state != ParcelState.HANDED_OVER
        ),
        FactKind("status.unknown", _("Status not recognised"), Level.ANY, Topic.TRADE),
        FactKind("fact.retracted", _("Fact taken back"), Level.ANY, Topic.NOTE),
        FactKind("note.added", _("Note"), Level.ANY, Topic.NOTE, material=False),
        FactKind("message.received", _("Message received"), Level.ANY, Topic.NOTE, material=False),
        FactKind("source.checked", _("Source asked, nothing new"), Level.ANY, Topic.NOTE, material=False),
    ]
    return {row.code: row for row in rows}


FACT_KINDS: dict[str, FactKind] = _kinds()
FACT_KIND_CHOICES = [(kind.code, kind.label) for kind in FACT_KINDS.values()]


@dataclass(frozen=True, slots=True)
class StageRow:
    """What the house knows of a stage: whose turn it is, when silence becomes a stall, which facts end it."""

    owner: str  # code of the group (orders/access.py) that answers for the stage; "" = nobody
    stalls_after: timedelta
    working: bool  # the stall clock counts working time
    next_role: Role
    next_kinds: tuple[str, ...]


def _hours(hours: float) -> timedelta:
    return timedelta(hours=hours)


WORKING, CALENDAR = True, False

# How long each stage may be silent, and who answers for it. An operations manager may change the hours in the admin.
STAGE_ROWS: dict[Stage, StageRow] = {
    Stage.INTAKE: StageRow("ops_manager", _hours(48), CALENDAR, Role.SHOP, ("order.placed", "order.changed")),
    Stage.AWAITING_PAYMENT: StageRow("sales", _hours(48), CALENDAR, Role.SHOP, ("payment.received",)),
    Stage.PLATFORM_REVIEW: StageRow("", _hours(48), CALENDAR, Role.SHOP, ("review.ended",)),
    Stage.AWAITING_DATE: StageRow("sales", _hours(8), WORKING, Role.PERSON, ("date.confirmed",)),
    Stage.AWAITING_STOCK: StageRow("warehouse", _hours(8), WORKING, Role.ERP, ("stock.locked",)),
    Stage.AWAITING_WAYBILL: StageRow("logistics", _hours(8), WORKING, Role.CARRIER, ("waybill.made",)),
    Stage.AWAITING_PICK: StageRow("warehouse", _hours(16), WORKING, Role.WMS, ("pick.started", "pick.done")),
    Stage.PICKING: StageRow("warehouse", _hours(16), WORKING, Role.WMS, ("pick.done",)),
    Stage.AWAITING_PACK: StageRow("warehouse", _hours(8), WORKING, Role.WMS, ("pack.done",)),
    Stage.AWAITING_HANDOVER: StageRow("warehouse", _hours(24), CALENDAR, Role.WMS, ("parcel.handed_over",)),
    Stage.SHIPPED: StageRow("logistics", _hours(48), CALENDAR, Role.CARRIER, ("parcel.in_transit",)),
    Stage.IN_TRANSIT: StageRow("logistics", _hours(48), CALENDAR, Role.CARRIER, ("parcel.out_for_delivery",)),
    Stage.CUSTOMS: StageRow("customs", _hours(72), CALENDAR, Role.CARRIER, ("parcel.out_for_delivery",)),
    Stage.OUT_FOR_DELIVERY: StageRow("logistics", _hours(24), CALENDAR, Role.CARRIER, ("parcel.delivered",)),
    Stage.DELIVERED: StageRow("finance", _hours(48), CALENDAR, Role.FINANCE, ("invoice.issued",)),
    Stage.COMPLETED: StageRow("finance", _hours(48), CALENDAR, Role.SHOP, ()),
    Stage.CANCELLING: StageRow(
        "service", _hours(48), CALENDAR, Role.SHOP, ("cancel.accepted", "cancel.refused")
    ),
    Stage.CANCELLED: StageRow("service", _hours(48), CALENDAR, Role.SHOP, ()),
    Stage.RETURNING: StageRow("warehouse", _hours(48), CALENDAR, Role.WMS, ("parcel.returned",)),
    Stage.RETURNED: StageRow("warehouse", _hours(48), CALENDAR, Role.WMS, ()),
}
# In transit to another country may be silent for longer.
STALLS_AFTER_ABROAD = {Stage.IN_TRANSIT: timedelta(hours=120)}


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step's owner group and the working time it may take."""

    owner: str
    due_after: timedelta
    # Working days are whole days of the calendar, working hours are hours in shifts.
    due_in_days: bool = False


STEP_ROWS: dict[Step, StepRow] = {
    Step.DATE: StepRow("sales", timedelta(hours=4)),
    Step.STOCK: StepRow("warehouse", timedelta(hours=4)),
    Step.WAYBILL: StepRow("logistics", timedelta(hours=8)),
    Step.INVOICE: StepRow("finance", timedelta(days=2), due_in_days=True),
}
