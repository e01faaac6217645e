"""The board's columns, and what each cell of a row says: in words, with a mark's meaning, and where it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise

from orders.access import role_label
from orders.board.filters import RISK_WITHIN
from orders.board.ordering import DEFAULT_SORT, Sort
from orders.models import Order, OrderEvent
from orders.stages import STAGE_ROWS, RiskLevel, Stage
from orders.templatetags.hub import provenance_words


@dataclass(frozen=True, slots=True)
class Column:
    """One column. sort: the name of the sort its heading offers; empty for none."""

    name: str
    label: StrOrPromise
    sort: str = ""


COLUMNS: dict[str, Column] = {
    one.name: one
    for one in (
        Column("number", gettext_lazy("Order / shop order no."), "placed"),
        Column("status", gettext_lazy("Status")),
        Column("customer", gettext_lazy("Customer")),
        Column("due", gettext_lazy("Time left"), "due"),
        Column("turn", gettext_lazy("Waiting on")),
        Column("updated", gettext_lazy("Updated"), "updated"),
        Column("shop", gettext_lazy("Shop")),
        Column("warehouse", gettext_lazy("Warehouse")),
        Column("waybill", gettext_lazy("Waybill no.")),
        Column("step", gettext_lazy("Next step")),
        Column("payment", gettext_lazy("Payment")),
        Column("total", gettext_lazy("Total")),
        Column("region", gettext_lazy("Region")),
        Column("placed", gettext_lazy("Placed")),
    )
}
DEFAULT_COLUMNS = ("number", "status", "customer", "due", "turn", "updated")


@dataclass(frozen=True, slots=True)
class Chip:
    """A mark: one of the six meanings (its shape and colour), and the word."""

    meaning: str
    word: str


@dataclass(frozen=True, slots=True)
class Due:
    """What ends next, and when."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Row:
    """One order as the board shows it."""

    order: Order
    chips: list[Chip]
    due: Due | None
    turn: str
    person: str
    # Where the cells came from: those the shop told, the deadlines, and those that the last report decided.
    tips: dict[str, str]
    # Where the row stands in the list's sequence: another mark after a change means that it would move.
    mark: str = ""
    # Steps that are open beside the next one, where the house lets steps run side by side.
    also_open: tuple[str, ...] = ()

    @property
    def customer(self) -> str:
        """Who ordered, without telling who: a company's name, or a person's first sign."""
        order = self.order
        if order.customer is not None:
            return str(order.customer)
        return order.contact.masked_name if order.contact else ""

    @property
    def stars(self) -> int | None:
        return self.order.customer.stars if self.order.customer else None


def joined(orders: Any) -> Any:
    """With everything a row shows, in one statement; without what only the order's page needs."""
    return orders.select_related("shop", "warehouse", "customer", "contact", "assignee").defer(
        "conflicts", "remark", "contact__sealed", "contact__fingerprint", "assignee__password"
    )


def shown(orders: Any) -> Any:
    """joined(), and which report brought each order to its stage."""
    moves = OrderEvent.objects.filter(order=OuterRef("pk"), kind=OrderEvent.Kind.MOVED).order_by("-pk")
    return joined(orders).annotate(
        moved_by=Subquery(moves.values("source")[:1]), moved_at=Subquery(moves.values("occurred_at")[:1])
    )


def due_of(order: Order) -> Due | None:
    """The promise if there is one, else the step's time, else the end of patience."""
    for moment, what in (
        (order.promised_at, _("promised by")),
        (order.step_due_at, _("step due")),
        (order.stalls_at, _("counts as stuck from")),
    ):
        if moment is not None:
            return Due(moment, what)
    return None


def _is_over(moment: datetime | None, at: datetime, early: timedelta = timedelta(0)) -> bool:
    return moment is not None and moment < at + early


def chips_of(order: Order, at: datetime) -> list[Chip]:
    """Everything that makes the order special, beside its stage; the worst before the rest."""
    return [*_deadline_chips(order, at), *_defect_chips(order), *_other_chips(order)]


def _deadline_chips(order: Order, at: datetime) -> list[Chip]:
    if not order.is_open:
        return []
    deadlines = (order.promised_at, order.step_due_at)
    if any(_is_over(one, at) for one in deadlines):
        return [Chip("danger", _("Late"))]
    if order.promise_risk == RiskLevel.AT_RISK or any(_is_over(one, at, RISK_WITHIN) for one in deadlines):
        return [Chip("warn", _("At risk"))]
    return []


def _defect_chips(order: Order) -> list[Chip]:
    marks = (
        (bool(order.case_mark), "danger", _("Exception")),
        (order.stalled_at is not None, "danger", _("Stuck")),
        (order.is_short, "danger", _("Stock short")),
        (order.has_conflict, "warn", _("Sources disagree")),
        (order.n_unknown > 0, "warn", _("Unknown status")),
        (bool(order.set_aside), "danger", _("Set aside")),
    )
    return [Chip(meaning, word) for is_set, meaning, word in marks if is_set]


def _other_chips(order: Order) -> list[Chip]:
    found = []
    if order.intent != "go":
        found.append(Chip("warn", order.get_intent_display()))
    if order.is_held:
        found.append(Chip("gate", _("On hold")))
    if order.is_rush:
        found.append(Chip("warn", _("Rush")))
    if order.partial_of:
        done, total = (f"{n.normalize():f}" for n in (order.partial_done, order.partial_total))
        found.append(Chip("info", _("Partly, %(done)s of %(total)s") % {"done": done, "total": total}))
    if order.merged_from > 1:
        found.append(Chip("neutral", _("Merged from %(n)s orders") % {"n": order.merged_from}))
    if order.is_test:
        found.append(Chip("neutral", _("Test order")))
    return found


def rows_of(orders: Iterable[Order], at: datetime, sort: Sort = DEFAULT_SORT) -> list[Row]:
    """The rows of these orders, which were read by shown()."""
    return [_row(order, at, sort) for order in orders]


def _row(order: Any, at: datetime, sort: Sort) -> Row:
    return Row(
        order=order,
        chips=chips_of(order, at),
        due=due_of(order) if order.is_open else None,
        turn=str(role_label(STAGE_ROWS[Stage(order.stage)].owner)) if order.is_open else "",
        person=order.assignee.get_full_name() or order.assignee.get_username() if order.assignee else "",
        tips=_tips(order),
        mark=sort.mark(order) if order.is_open else "",
    )


def _tips(order: Any) -> dict[str, str]:
    source = order.moved_by or order.shop.name
    return {
        "number": provenance_words(order.shop.name, order.created_at, order.placed_at),
        "due": provenance_words(_("orderhub, working calendar"), order.settled_through, None),
        "status": provenance_words(source, order.settled_through, order.moved_at or order.last_fact_at),
    }
