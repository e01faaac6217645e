"""The board columns that other rooms own: each written through one function, which leaves one event."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

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
    """Say until when an order is promised, and how likely that is to fail ("" = not at all).

    For the promises room. Returns the recorded events, [] if nothing changed. Inside the caller's transaction, if any.
    """
    return _write(
        order_id,
        OrderEvent.Kind.PROMISE,
        {"promised_at": promised_at, "promise_risk": risk},
        cause,
        at,
    )


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
