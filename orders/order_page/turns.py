"""Whose turn it is, since when, and how long orders like this one usually wait there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import OuterRef, Subquery

from orders.access import role_label
from orders.models import Order, OrderEvent
from orders.stages import STAGE_ROWS, Stage

# The newest part of the journal, which is read by its ids: all of it would be millions of rows.
NEWEST_EVENTS = 5_000
MOST_LIKE = 200
# Of fewer a median says nothing.
ENOUGH = 10


@dataclass(frozen=True)
class Usual:
    """How long orders of the same warehouse stayed in the same stage lately; lasting is None if they are too few."""

    n: int
    lasting: timedelta | None


@dataclass(frozen=True)
class Turn:
    """role: empty if nobody in the house has to act."""

    role: str
    person: str
    since: datetime
    lasted: timedelta
    usual: Usual


def turn_of(order: Order, at: datetime) -> Turn | None:
    """None for a closed order. One query."""
    if not order.is_open:
        return None
    role, person = waits_on(order)
    return Turn(
        role=role,
        person=person,
        since=order.stage_since,
        lasted=at - order.stage_since,
        usual=usual_stay(order),
    )


def waits_on(order: Order) -> tuple[str, str]:
    """(role, person) who should act next; both may be empty."""
    owner = STAGE_ROWS[Stage(order.stage)].owner if order.is_open else ""
    assignee = order.assignee
    person = (assignee.get_full_name() or assignee.get_username()) if assignee else ""
    return str(role_label(owner)) if owner else "", person


def usual_stay(order: Order) -> Usual:
    """From the orders that have left this stage among the newest events of the house."""
    events = OrderEvent.objects.order_by("-pk")
    moves = OrderEvent.objects.filter(kind=OrderEvent.Kind.MOVED)
    came = moves.filter(order=OuterRef("order"), new=order.stage, pk__lt=OuterRef("pk")).order_by("-pk")
    left = (
        moves.filter(
            pk__gt=Subquery(events.values("pk")[:1]) - NEWEST_EVENTS,
            old=order.stage,
            order__warehouse=order.warehouse_id,
        )
        .exclude(order=order.pk)
        .annotate(came_at=Subquery(came.values("recorded_at")[:1]))
        .order_by("-pk")
        .values_list("came_at", "recorded_at")[:MOST_LIKE]
    )
    return usual_of([gone_at - came_at for came_at, gone_at in left if came_at is not None])


def usual_of(stays: Sequence[timedelta]) -> Usual:
    if len(stays) < ENOUGH:
        return Usual(len(stays), None)
    return Usual(len(stays), timedelta(seconds=median(stay.total_seconds() for stay in stays)))
