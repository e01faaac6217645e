"""The board columns that other rooms own: each written through one function, which leaves one event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from orders.bulk import update_rows
from orders.models import Order, OrderEvent
from orders.tasks import hint
from orders.transitions import Cause, columns_for_rules, in_words

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# "Leave this column as it is": None is a value.
_KEPT: Any = object()


def write_promise(
    order_id: int,
    *,
    promised_at: datetime | None = _KEPT,
    risk: str = _KEPT,
    cause: Cause,
    at: datetime,
) -> list[OrderEvent]:
    """Say until when an order is promised, and how likely that is to fail: a RiskLevel, "" = nothing is promised.

    For the promises room. Returns the recorded events, [] if nothing changed. Inside the caller's transaction, if any.
    """
    return _write(
        order_id,
        OrderEvent.Kind.PROMISE,
        {"promised_at": promised_at, "promise_risk": risk},
        cause,
        at,
    )


class PromiseColumns(NamedTuple):
    """What the board says of one order's promise: until when, and a RiskLevel ("" = nothing is promised)."""

    order_id: int
    promised_at: datetime | None
    risk: str


def write_promises(
    rows: Sequence[PromiseColumns], *, cause: Cause, at: datetime, is_history: bool = False
) -> list[OrderEvent]:
    """write_promise for many orders, in three statements. is_history: nobody reacts, as to a report of long ago."""
    wanted = {row.order_id: row for row in rows}
    with transaction.atomic():
        orders = Order.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
        events = [event for order in orders for event in _promise_events(order, wanted[order.pk], cause, at)]
        changed = {event.order_id: wanted[event.order_id] for event in events}
        if not changed:
            return []
        update_rows(
            Order,
            ["promised_at", "promise_risk"],
            [[row.order_id, row.promised_at, row.risk] for row in changed.values()],
        )
        for event in events:
            event.silent, event.dispatched_at = is_history, at if is_history else None
        OrderEvent.objects.bulk_create(events, batch_size=500)
    if not is_history:
        hint("dispatch")
    return events


def _promise_events(order: Order, row: PromiseColumns, cause: Cause, at: datetime) -> list[OrderEvent]:
    values: dict[str, Any] = {"promised_at": row.promised_at, "promise_risk": row.risk}
    changed = {name: getattr(order, name) for name, new in values.items() if getattr(order, name) != new}
    for name in changed:
        setattr(order, name, values[name])
    after = columns_for_rules(order)
    return [
        _event(order, OrderEvent.Kind.PROMISE, name, old, values[name], after, cause, at)
        for name, old in changed.items()
    ]


def write_case(
    order_id: int,
    *,
    case_mark: str = _KEPT,
    assignee: User | None = _KEPT,
    cause: Cause,
    at: datetime,
) -> list[OrderEvent]:
    """Say which open exception marks an order ("" = none), and which person answers for it.

    For the exceptions room, and for people who hand orders over. Returns the recorded events, [] if nothing changed.
    """
    pk = assignee if assignee is _KEPT or assignee is None else assignee.pk
    return _write(order_id, OrderEvent.Kind.CASE, {"case_mark": case_mark, "assignee_id": pk}, cause, at)


def _write(
    order_id: int, kind: OrderEvent.Kind, values: dict[str, Any], cause: Cause, at: datetime
) -> list[OrderEvent]:
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
        changed = {
            name: getattr(order, name)
            for name, value in values.items()
            if value is not _KEPT and getattr(order, name) != value
        }
        if not changed:
            return []
        for name in changed:
            setattr(order, name, values[name])
        order.save(update_fields=list(changed))
        after = columns_for_rules(order)
        events = [
            _event(order, kind, name, old, values[name], after, cause, at) for name, old in changed.items()
        ]
        OrderEvent.objects.bulk_create(events)
    hint("dispatch")
    return events


def _event(
    order: Order,
    kind: OrderEvent.Kind,
    name: str,
    old: Any,
    new: Any,
    after: dict[str, Any],
    cause: Cause,
    at: datetime,
) -> OrderEvent:
    return OrderEvent(
        order=order,
        kind=kind,
        name=name.removesuffix("_id"),
        old=_words(old),
        new=_words(new),
        source=cause.source,
        source_key=cause.key,
        actor_id=cause.actor_id,
        occurred_at=cause.occurred_at or at,
        recorded_at=at,
        after=after,
        is_demo=order.is_demo,
    )


def _words(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else in_words(value)[:60]
