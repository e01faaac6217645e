"""The one door: the only code that moves an order, and the only code that writes what derivation found."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django_fsm import TransitionNotAllowed

from orders.answer import Derivation
from orders.bulk import add_models, update_rows
from orders.deadlines import Calendars, stall_deadline, step_deadlines
from orders.derivation import derive
from orders.masters import Customer, Warehouse
from orders.models import Order, OrderEvent, OrderFact
from orders.precedence import Precedence, precedence_in_force
from orders.projections import Projections
from orders.stages import CLOSED, Stage
from orders.units import FactRow

logger = logging.getLogger(__name__)

MOVES: dict[Stage, str] = {
    Stage.AWAITING_PAYMENT: "await_payment",
    Stage.PLATFORM_REVIEW: "enter_review",
    Stage.AWAITING_DATE: "await_date",
    Stage.AWAITING_STOCK: "confirm_date",
    Stage.AWAITING_WAYBILL: "lock_stock",
    Stage.AWAITING_PICK: "release_to_warehouse",
    Stage.PICKING: "start_picking",
    Stage.AWAITING_PACK: "mark_picked",
    Stage.AWAITING_HANDOVER: "mark_packed",
    Stage.SHIPPED: "ship",
    Stage.IN_TRANSIT: "carry",
    Stage.CUSTOMS: "enter_customs",
    Stage.OUT_FOR_DELIVERY: "go_out_for_delivery",
    Stage.DELIVERED: "deliver",
    Stage.COMPLETED: "complete",
    Stage.CANCELLING: "begin_cancelling",
    Stage.CANCELLED: "cancel",
    Stage.RETURNING: "start_return",
    Stage.RETURNED: "finish_return",
}
SEQUENCE = list(Stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why an order is judged now: the source and key of the newest report, and the person if it was one."""

    source: str
    key: str = ""
    actor_id: int | None = None
    occurred_at: datetime | None = None


CLOCK = Cause(source="clock")


@dataclass(slots=True)
class Settled:
    """What one settle_many did. moved: order ids whose row changed; set_aside: order ids that the door refused."""

    events: list[OrderEvent] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    set_aside: list[int] = field(default_factory=list)


def settle(
    order_id: int, *, at: datetime, cause: Cause | None = None, silent: bool = False
) -> list[OrderEvent]:
    """Judge one order again and write what follows; returns the recorded events, [] if nothing changed."""
    return settle_many([order_id], at=at, causes={order_id: cause} if cause else {}, silent=silent).events


def settle_many(
    order_ids: Iterable[int],
    *,
    at: datetime,
    causes: Mapping[int, Cause] | None = None,
    silent: bool = False,
    precedence: Precedence | None = None,
) -> Settled:
    """Judge orders again and write what follows, all in one transaction.

    Locks the orders in the sequence of their ids, reads every fact of theirs, derives, moves each in one
    transition and records what changed. causes: per order id; an order without one is judged because of the clock.
    silent: the events come from re-judging old facts; messages and customer pages ignore them.
    """
    settled = Settled()
    with transaction.atomic():
        orders = list(
            Order.objects.select_for_update(no_key=True).filter(pk__in=set(order_ids)).order_by("pk")
        )
        if not orders:
            return settled
        precedence = precedence or precedence_in_force()
        facts = facts_by_order([order.pk for order in orders])
        answers = _answers(orders, facts, precedence, at, settled)
        masters = _Masters.of(answers.values())
        projections = Projections([order.pk for order in orders])
        for order in orders:
            if order.pk not in answers:
                continue
            cause = (causes or {}).get(order.pk, CLOCK)
            _settle_one(order, answers[order.pk], masters, projections, cause, at, settled, silent=silent)
        _write(orders, projections, settled)
    return settled


def _answers(
    orders: Sequence[Order],
    facts: Mapping[int, Sequence[FactRow]],
    precedence: Precedence,
    at: datetime,
    settled: Settled,
) -> dict[int, Derivation]:
    """By order id. An order whose facts cannot be judged is set aside: it must not hold up the others of its batch."""
    answers: dict[int, Derivation] = {}
    for order in orders:
        try:
            answers[order.pk] = derive(facts.get(order.pk, ()), precedence, at)
        except Exception as error:
            logger.exception("order %s could not be judged", order.number)
            order.set_aside = f"not judged: {type(error).__name__}: {error}"[:300]
            settled.set_aside.append(order.pk)
    return answers


def facts_by_order(order_ids: Sequence[int]) -> dict[int, list[FactRow]]:
    """Every fact of the orders, through their references."""
    rows = OrderFact.objects.filter(reference__links__order_id__in=order_ids).values_list(
        "reference__links__order_id",
        "id",
        "reference__connection",
        "reference__kind",
        "reference__value",
        "source",
        "role",
        "key",
        "kind",
        "level_id",
        "quantity",
        "occurred_at",
        "received_at",
        "data",
        "actor_id",
    )
    found: dict[int, list[FactRow]] = {}
    for order_id, pk, connection, kind, value, *rest in rows:
        found.setdefault(order_id, []).append(FactRow(pk, (connection, kind, value), *rest))
    return found


@dataclass(frozen=True, slots=True)
class _Masters:
    """Rows that facts name by code, and the calendars deadlines run on."""

    customers: Mapping[str, int]
    warehouses: Mapping[str, int]
    calendars: Calendars

    @classmethod
    def of(cls, answers: Iterable[Derivation]) -> _Masters:
        answers = list(answers)
        customers = {str(answer.fields["customer"]) for answer in answers if answer.fields.get("customer")}
        warehouses = {str(answer.fields["warehouse"]) for answer in answers if answer.fields.get("warehouse")}
        return cls(_ids(Customer, customers), _ids(Warehouse, warehouses), Calendars())


def _ids(model: type[Customer] | type[Warehouse], codes: set[str]) -> dict[str, int]:
    return dict(model.objects.filter(code__in=codes).values_list("code", "pk")) if codes else {}


# Written by settle and by nothing else. stage is written here too: the transition only checks and sets it.
WRITTEN = (
    "stage", "stage_since", "payment", "invoice", "intent", "partial_of", "partial_done", "partial_total",
    "has_conflict", "conflicts", "is_held", "is_short", "n_unknown", "is_rush", "is_test", "merged_from",
    "waybill", "confirmed_on", "is_open", "next_step", "step_due_at", "stalls_at", "stalled_at", "due_again_at",
    "last_fact_at", "settled_through", "derived_with", "clocked_with", "set_aside", "warehouse_id",
    "customer_id", "contact_id", "region", "country", "placed_at", "currency", "total", "remark",
)  # fmt: skip
AXES = ("payment", "invoice", "intent")
# Board columns whose change is recorded as a flag, with how the value reads in the journal.
FLAGS = (
    "partial_of", "partial_done", "has_conflict", "is_held", "is_short", "n_unknown", "is_rush", "is_test", "waybill",
    "confirmed_on",
    "warehouse_id", "customer_id", "total", "merged_from", "set_aside",
)  # fmt: skip
# On a new order only these are news; its other columns stand in the first event's "after".
ALWAYS_RECORDED = {"has_conflict", "is_held", "is_short", "n_unknown", "set_aside"}


def _settle_one(
    order: Order,
    answer: Derivation,
    masters: _Masters,
    projections: Projections,
    cause: Cause,
    at: datetime,
    settled: Settled,
    *,
    silent: bool,
) -> None:
    before = {name: getattr(order, name) for name in WRITTEN}
    is_new = order.settled_through is None
    try:
        passed = _move(order, answer, at)
    except (TransitionNotAllowed, ValueError) as refusal:
        # A defect of ours, not of the facts: keep the order where it is, show it to an operator, go on with the rest.
        order.set_aside = f"{before['stage']} -> {answer.stage}: {refusal}"[:300]
        settled.set_aside.append(order.pk)
        return
    _take_columns(order, answer, masters)
    # Deadlines that were computed on calendars that have changed since are computed anew, and what moves is recorded.
    is_moved_calendar = before["clocked_with"] not in {"", masters.calendars.version}
    dues = step_deadlines(
        order,
        answer,
        projections.due_of(order.pk),
        masters.calendars,
        is_moved_calendar=is_moved_calendar,
    )
    changes = projections.take(order, answer, dues, at)
    order.step_due_at = projections.next_due(order.pk)
    order.clocked_with = masters.calendars.version
    _restart_clock(order, answer, before["stalls_at"], masters.calendars, at)
    recorder = _Recorder(order, cause, answer, at, silent=silent)
    recorder.moved(before["stage"], passed, is_new=is_new)
    for name in AXES:
        if not is_new:
            recorder.changed(OrderEvent.Kind.AXIS, name, before[name], getattr(order, name))
    for kind, name, old, new in changes:
        recorder.changed(kind, name, old, new)
    for name in FLAGS:
        if not is_new or name in ALWAYS_RECORDED:
            recorder.changed(
                OrderEvent.Kind.FLAG, name.removesuffix("_id"), before[name], getattr(order, name)
            )
    if is_moved_calendar:
        for name in ("step_due_at", "stalls_at"):
            recorder.changed(OrderEvent.Kind.FLAG, name, _iso(before[name]), _iso(getattr(order, name)))
    settled.events += recorder.events
    if any(getattr(order, name) != before[name] for name in WRITTEN):
        settled.moved.append(order.pk)


def _move(order: Order, answer: Derivation, at: datetime) -> list[str]:
    """One transition from the present stage to the derived one; returns the stages passed over.

    Raises TransitionNotAllowed if no move leads there.
    """
    old, new = Stage(order.stage), answer.stage
    order.set_aside = ""
    if old == new:
        return []
    order.derivation = answer
    try:
        take_move(order, old, new)
    finally:
        order.derivation = None
    order.stage_since = at
    first, last = SEQUENCE.index(old), SEQUENCE.index(new)
    return [
        stage.value
        for stage in SEQUENCE[first + 1 : last]
        if stage not in {Stage.COMPLETED, Stage.CANCELLING}
    ]


def take_move(order: Order, old: Stage, new: Stage) -> None:
    """Call the transition that leads from old to new: its own verb if it leads forward, else retract or reopen."""
    verb = MOVES.get(new)
    if verb is not None and _leads(order, verb):
        getattr(order, verb)()
    elif old in CLOSED:
        order.reopen(new.value)
    else:
        order.retract(new.value)


def _leads(order: Order, verb: str) -> bool:
    method = getattr(Order, verb)
    return bool(method._django_fsm.has_transition(order.stage)) and bool(
        method._django_fsm.conditions_met(order, order.stage)
    )


def _take_columns(order: Order, answer: Derivation, masters: _Masters) -> None:
    fields = answer.fields
    order.payment, order.invoice, order.intent = (
        answer.payment.value,
        answer.invoice.value,
        answer.intent.value,
    )
    order.partial_of, order.partial_done, order.partial_total = (
        answer.partial_of, answer.partial_done, answer.partial_total,
    )  # fmt: skip
    order.conflicts = [
        {"topic": one.topic, "winner": one.winner, "loser": one.loser, "rule": one.rule, "about": one.about}
        for one in answer.conflicts
    ]
    order.has_conflict = bool(answer.conflicts)
    order.is_held = bool(answer.holds)
    order.is_short, order.n_unknown = answer.is_short, len(answer.unknown)
    order.is_rush, order.is_test = bool(fields.get("rush")), bool(fields.get("test"))
    order.merged_from = answer.merged_from
    order.waybill = answer.waybill[:40]
    order.confirmed_on = answer.confirmed_on
    order.is_open = answer.is_open
    order.next_step = answer.next_step
    order.due_again_at, order.last_fact_at = answer.due_again_at, answer.last_fact_at
    order.settled_through, order.derived_with = answer.settled_through, answer.precedence
    order.placed_at = answer.placed_at
    order.contact_id = answer.contact
    order.currency, order.remark = str(fields.get("currency") or "")[:3], str(fields.get("remark") or "")
    order.region, order.country = str(fields.get("region") or "")[:40], str(fields.get("country") or "")[:2]
    order.total = Decimal(str(fields["total"])) if fields.get("total") not in (None, "") else None
    order.customer_id = masters.customers.get(str(fields.get("customer") or ""))
    # The shop's usual warehouse, given when the order was made, stays until a source names one.
    order.warehouse_id = masters.warehouses.get(str(fields.get("warehouse") or ""), order.warehouse_id)


def _restart_clock(
    order: Order, answer: Derivation, old_deadline: datetime | None, calendars: Calendars, at: datetime
) -> None:
    order.stalls_at = stall_deadline(order, answer, calendars)
    if order.stalls_at != old_deadline and (order.stalls_at is None or order.stalls_at > at):
        order.stalled_at = None


@dataclass(slots=True)
class _Recorder:
    """Makes the events of one order, each with the columns as they are after it."""

    order: Order
    cause: Cause
    answer: Derivation
    at: datetime
    silent: bool
    events: list[OrderEvent] = field(default_factory=list)
    _after: dict[str, Any] | None = None

    def __init__(self, order: Order, cause: Cause, answer: Derivation, at: datetime, *, silent: bool) -> None:
        self.order, self.cause, self.answer, self.at, self.silent = order, cause, answer, at, silent
        self.events, self._after = [], None

    def moved(self, old: str, passed: list[str], *, is_new: bool) -> None:
        if is_new or old != self.order.stage:
            self._add(OrderEvent.Kind.MOVED, "stage", "" if is_new else old, self.order.stage, passed)

    def changed(self, kind: str, name: str, old: object, new: object) -> None:
        if old != new:
            self._add(kind, name, in_words(old), in_words(new), [])

    def _add(self, kind: str, name: str, old: str, new: str, passed: list[str]) -> None:
        if self._after is None:
            self._after = columns_for_rules(self.order)
        why = self.answer.why.get(name if name in self.answer.why else "stage")
        self.events.append(
            OrderEvent(
                order_id=self.order.pk,
                kind=kind,
                name=name[:60],
                old=old[:60],
                new=new[:60],
                passed=passed,
                source=self.cause.source,
                source_key=self.cause.key,
                fact=why.facts[-1] if why and why.facts else None,
                actor_id=self.cause.actor_id,
                occurred_at=self.cause.occurred_at or self.answer.last_fact_at or self.at,
                recorded_at=self.at,
                after=self._after,
                silent=self.silent,
                is_demo=self.order.is_demo,
            )
        )


def in_words(value: object) -> str:
    """A column's value as the journal stores it."""
    if value is None or value is False or value == 0:
        return ""
    if value is True:
        return "yes"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def columns_for_rules(order: Order) -> dict[str, Any]:
    """The columns that rules can see. Stored with each event, so that "as of T" needs no second look."""
    return {
        "stage": order.stage,
        "payment": order.payment,
        "invoice": order.invoice,
        "intent": order.intent,
        "is_open": order.is_open,
        "is_held": order.is_held,
        "has_conflict": order.has_conflict,
        "partial_of": order.partial_of,
        "is_rush": order.is_rush,
        "is_test": order.is_test,
        "next_step": order.next_step,
        "step_due_at": _iso(order.step_due_at),
        "stalls_at": _iso(order.stalls_at),
        "stalled_at": _iso(order.stalled_at),
        "promised_at": _iso(order.promised_at),
        "promise_risk": order.promise_risk,
        "case_mark": order.case_mark,
        "assignee": order.assignee_id,
        "shop": order.shop_id,
        "warehouse": order.warehouse_id,
        "customer": order.customer_id,
        "region": order.region,
        "country": order.country,
        "waybill": order.waybill,
        "total": str(order.total) if order.total is not None else None,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _write(orders: Sequence[Order], projections: Projections, settled: Settled) -> None:
    changed = set(settled.moved) | set(settled.set_aside)
    rows = [
        [order.pk, *(getattr(order, name) for name in WRITTEN)] for order in orders if order.pk in changed
    ]
    update_rows(Order, WRITTEN, rows)
    projections.write()
    add_models(settled.events)


def mark_stalled(order_ids: Sequence[int], *, at: datetime) -> list[OrderEvent]:
    """Record that orders have been silent for too long. Each is marked once until a fact restarts its clock."""
    events: list[OrderEvent] = []
    with transaction.atomic():
        orders = list(
            Order.objects.select_for_update(no_key=True).stalled(at).filter(pk__in=order_ids).order_by("pk")
        )
        for order in orders:
            order.stalled_at = at
            recorder = _Recorder(order, CLOCK, Derivation(precedence=order.derived_with), at, silent=False)
            recorder.changed(OrderEvent.Kind.STALLED, "stalled", "", order.stage)
            events += recorder.events
        update_rows(Order, ["stalled_at"], [[order.pk, order.stalled_at] for order in orders])
        OrderEvent.objects.bulk_create(events)
    return events


def explain(order: Order, at: datetime) -> dict[str, Any]:
    """The why-trace of an order: see orders.explain."""
    from orders.explain import explain as in_words

    return in_words(order, at)
