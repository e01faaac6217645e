"""The reaction to events: whatever may change when an order arrives has its estimate looked at again."""

from __future__ import annotations

from collections.abc import Sequence

from orders.models import OrderEvent
from orders.transitions import Cause

# A flag that says when, or from where, an order goes.
_FLAGS = frozenset({"confirmed_on", "warehouse_id", "is_held", "is_short", "is_test"})
# One that is stuck leaves the queue.
_KINDS = frozenset({OrderEvent.Kind.MOVED, OrderEvent.Kind.AXIS, OrderEvent.Kind.STALLED})


def observe(events: Sequence[OrderEvent]) -> None:
    """Reaction: a new estimate for each order of which something else is to be said now, the outcome of each that arrived."""
    newest = {event.order_id: event for event in events if _is_relevant(event)}
    if not newest:
        return
    # numpy only here: this module is loaded by every process, estimates are made by the worker.
    from promises.estimates import journeys, making

    last = max(newest.values(), key=lambda event: event.recorded_at)
    cause = Cause(source="orderhub", key=last.source_key, occurred_at=last.recorded_at)
    making.estimate(journeys.orders_of(newest), at=last.recorded_at, cause=cause)


def _is_relevant(event: OrderEvent) -> bool:
    return event.kind in _KINDS or (event.kind == OrderEvent.Kind.FLAG and event.name in _FLAGS)
