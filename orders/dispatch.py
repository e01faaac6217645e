"""Reactions to events: each waiting event goes once through ORDER_EVENT_PIPELINE, in the order its order lived them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string
from django.utils.timezone import now

from orders import audit
from orders.bulk import update_rows
from orders.models import OrderEvent

logger = logging.getLogger(__name__)

BATCH = 200
# A failing event is tried again after these waits; after the fifth attempt it is set aside for an operator.
WAITS = [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(minutes=30)]

# A reaction takes events in the order in which they were recorded, so that it can read and write set-wise.
Reaction = Callable[[Sequence[OrderEvent]], None]


@lru_cache(maxsize=4)
def _import(paths: tuple[str, ...]) -> tuple[tuple[str, Reaction], ...]:
    return tuple((path, import_string(path)) for path in paths)


def pipeline() -> tuple[tuple[str, Reaction], ...]:
    """The reactions by name, in order. Read here and nowhere else."""
    return _import(tuple(settings.ORDER_EVENT_PIPELINE))


def dispatch_waiting(limit: int = BATCH) -> int:
    """Run the pipeline on up to limit waiting events; returns how many were taken."""
    at = now()
    with audit.acting(way="worker"), transaction.atomic():
        events = _claim(limit, at)
        try:
            # Nearly always everything succeeds: one savepoint for the batch instead of one for each reaction.
            with transaction.atomic():
                for name, reaction in pipeline():
                    reaction([event for event in events if name not in event.reacted])
        except Exception:
            logger.exception("a reaction failed; the events of this batch are run one by one")
            _run_apart(events, at)
        else:
            _mark_done(events, at)
    return len(events)


def _claim(limit: int, at: datetime) -> list[OrderEvent]:
    """The oldest waiting events of orders whose older events are all done or in this very batch."""
    blocked = OrderEvent.objects.filter(dispatched_at=None, set_aside=False, not_before__gt=at)
    # Left out here and not below: a few orders with many events behind one that is put off would fill every batch.
    # One look at all such orders: asked for each event, it costs PostgreSQL more than everything else together.
    waiting = OrderEvent.objects.waiting(at).exclude(order_id__in=blocked.values("order_id"))
    if connection.features.has_select_for_update_skip_locked:
        waiting = waiting.select_for_update(skip_locked=True)
    taken = list(waiting[:limit])
    return _without_gaps(taken)


def _without_gaps(taken: Sequence[OrderEvent]) -> list[OrderEvent]:
    """Those before which no event of their order is left: another dispatcher may hold one in the middle."""
    mine = {event.pk for event in taken}
    undone = OrderEvent.objects.filter(
        order_id__in={event.order_id for event in taken},
        pk__lte=max(mine, default=0),
        dispatched_at__isnull=True,
        set_aside=False,
    )
    gaps: dict[int, int] = {}
    for order_id, pk in undone.exclude(pk__in=mine).order_by("id").values_list("order_id", "pk"):
        gaps.setdefault(order_id, pk)
    return [event for event in taken if event.pk < gaps.get(event.order_id, event.pk + 1)]


def _mark_done(events: Sequence[OrderEvent], at: datetime) -> None:
    if events:
        OrderEvent.objects.filter(pk__in=[event.pk for event in events]).update(dispatched_at=at)


def _run_apart(events: Sequence[OrderEvent], at: datetime) -> None:
    """Every reaction in a savepoint of its own; what succeeded is remembered and not run again."""
    stuck: set[int] = set()
    for event in events:
        if event.order_id in stuck:
            continue
        errors = [error for name, reaction in pipeline() if (error := _react(event, name, reaction))]
        if errors:
            stuck.add(event.order_id)
            _put_off(event, errors, at)
        else:
            event.dispatched_at = at
    update_rows(
        OrderEvent,
        ["dispatched_at", "attempts", "not_before", "error", "set_aside", "reacted"],
        [
            [
                event.pk,
                event.dispatched_at,
                event.attempts,
                event.not_before,
                event.error,
                event.set_aside,
                event.reacted,
            ]
            for event in events
        ],
    )


def _react(event: OrderEvent, name: str, reaction: Reaction) -> str:
    if name in event.reacted:
        return ""
    try:
        with transaction.atomic():
            reaction([event])
    except Exception as error:
        logger.exception("%s failed on event %s", name, event.pk)
        return f"{name}: {type(error).__name__}"
    event.reacted = [*event.reacted, name]
    return ""


def _put_off(event: OrderEvent, errors: Sequence[str], at: datetime) -> None:
    event.attempts += 1
    event.error = "; ".join(errors)[:500]
    if event.attempts > len(WAITS):
        event.set_aside = True
    else:
        event.not_before = at + WAITS[event.attempts - 1]
