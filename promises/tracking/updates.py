"""The next news by then: promised when an order gets into trouble, kept by what happens or by a person, missed by the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.timezone import now

from orders import audit
from orders.deadlines import Calendars
from orders.models import Order, OrderEvent, Parcel, Todo
from orders.stages import Stage
from orders.worktime import CalendarNeverOpens, add_working
from promises.tracking.causes import CAUSES, Cause, Signs, cause_of
from promises.tracking.models import NextUpdate
from promises.tracking.wishes import forget_lapsed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# A working day of the warehouse: long enough to find something out, short enough to be waited for.
WITHIN = timedelta(hours=8)
TODO = "news"
SWEPT_AT_ONCE = 200

_SIGNS_OF_TROUBLE = {"is_short", "is_held"}
_PROMISE = {"promised_at", "promise_risk"}


def is_news(event: OrderEvent) -> bool:
    """Does the customer read something new because of this event? Judging old facts anew is no news."""
    if event.silent:
        return False
    if event.kind == OrderEvent.Kind.MOVED or event.name.startswith("parcel:"):
        return True
    return event.kind == OrderEvent.Kind.PROMISE and event.name == "promised_at"


def may_be_trouble(event: OrderEvent) -> bool:
    if event.silent:
        return False
    return (
        event.kind == OrderEvent.Kind.STALLED
        or event.name.startswith("parcel:")
        or event.name in _SIGNS_OF_TROUBLE
        or event.name in _PROMISE
    )


def observe(events: Sequence[OrderEvent]) -> None:
    """Reaction: news keeps what was promised; an order that is in trouble has its next news promised.

    As many statements for hundreds of events as for one.
    """
    news = {event.order_id: event.recorded_at for event in events if is_news(event)}
    looked_at = {event.order_id for event in events if may_be_trouble(event)} | set(news)
    if not looked_at:
        return
    kept = _keep(news)
    at = max(event.recorded_at for event in events)
    promise_news(looked_at, at=at, had=kept)


def _keep(news: dict[int, datetime]) -> set[int]:
    """Close what was promised to these orders as kept, or as missed if the news came too late; returns whose."""
    rows = list(_open(news).select_for_update(no_key=True).order_by("pk")) if news else []
    for row in rows:
        happened_at = news[row.order_id]
        if happened_at <= row.due_at:
            row.kept_at = happened_at
        else:
            row.missed_at = row.due_at
    NextUpdate.objects.bulk_update(rows, ["kept_at", "missed_at"])
    if news:
        todos = Todo.objects.filter(order_id__in=news, kind=Todo.Kind.REQUEST, subject=TODO, done_at=None)
        todos.update(done_at=max(news.values()), outcome="news")
    return {row.order_id for row in rows}


def _open(order_ids: Iterable[int]) -> QuerySet[NextUpdate]:
    return NextUpdate.objects.filter(order_id__in=list(order_ids), kept_at=None, missed_at=None)


def promise_news(order_ids: Iterable[int], *, at: datetime, had: Iterable[int] = ()) -> int:
    """Promise the next news to those of the orders that are in trouble and wait for none; returns how many."""
    orders = Order.objects.in_bulk(list(order_ids))
    states: dict[int, list[str]] = {}
    for order_id, state in Parcel.objects.filter(order_id__in=orders).values_list("order_id", "state"):
        states.setdefault(order_id, []).append(state)
    waiting = set(_open(orders).values_list("order_id", flat=True))
    calendars = Calendars()
    rows = []
    for order in orders.values():
        cause = cause_of(signs_of(order, states.get(order.pk, ()), at))
        if cause is not None and order.pk not in waiting:
            due_at = due_after(at, order, calendars)
            rows.append(NextUpdate(order=order, cause=cause, made_at=at, due_at=due_at))
    NextUpdate.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def signs_of(order: Order, parcel_states: Sequence[str], at: datetime) -> Signs:
    return Signs(
        stage=Stage(order.stage),
        parcel_states=parcel_states,
        is_short=order.is_short,
        is_held=order.is_held,
        is_stalled=order.stalled_at is not None,
        is_late=order.promised_at is not None and order.promised_at < at,
        risk=order.promise_risk,
    )


def due_after(at: datetime, order: Order, calendars: Calendars) -> datetime:
    """A working day on the warehouse's calendar; a day by the clock where that one never opens."""
    try:
        return add_working(at, WITHIN, calendars.of(order.warehouse_id))
    except CalendarNeverOpens:
        return at + timedelta(days=1)


def sweep() -> None:
    """The steward's part: news that did not come is missed, asks a person, and is promised anew; old consents are deleted."""
    at = now()
    miss_due(at)
    forget_lapsed(at)


def miss_due(at: datetime) -> int:
    """Mark as missed what is due, leave a to-do for the role in charge, promise the next; returns how many."""
    with transaction.atomic():
        due = NextUpdate.objects.filter(due_at__lt=at, kept_at=None, missed_at=None).order_by("due_at")
        rows = list(due.select_for_update(no_key=True).select_related("order")[:SWEPT_AT_ONCE])
        for row in rows:
            row.missed_at = row.due_at
        NextUpdate.objects.bulk_update(rows, ["missed_at"])
        _ask_for_news(rows, at)
        promise_news([row.order_id for row in rows if row.order.is_open], at=at)
    return len(rows)


def _ask_for_news(rows: Sequence[NextUpdate], at: datetime) -> None:
    """One open to-do an order, however often its news is missed."""
    open_ones = Todo.objects.filter(
        order_id__in=[row.order_id for row in rows], kind=Todo.Kind.REQUEST, subject=TODO, done_at=None
    )
    known = set(open_ones.values_list("order_id", flat=True))
    open_ones.update(n_times=F("n_times") + 1)
    Todo.objects.bulk_create(
        Todo(
            order_id=row.order_id,
            kind=Todo.Kind.REQUEST,
            subject=TODO,
            owner=CAUSES[Cause(row.cause)].owner,
            opened_at=at,
            due_at=at,
            is_demo=row.order.is_demo,
        )
        for row in rows
        if row.order_id not in known
    )


def give(order: Order, cause: Cause, due_at: datetime, *, by: User, at: datetime) -> NextUpdate:
    """A person tells the customer what it lies at and when the next news comes. That is news itself.

    Raises ValueError if the time has gone by. The caller has checked permission and row scope.
    """
    if due_at <= at:
        raise ValueError("the next news would be due before it is promised")
    with transaction.atomic():
        Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        _keep({order.pk: at})
        row = NextUpdate.objects.create(order=order, cause=cause, made_at=at, due_at=due_at, given_by=by)
        audit.record("customer.told", order, after={"cause": cause.value, "next_by": due_at.isoformat()})
    return row
