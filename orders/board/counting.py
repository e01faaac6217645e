"""How many: exact for open orders, up to a limit for closed ones, and in one statement for all the numbers of a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Q, Subquery

from orders.board.filters import Looking
from orders.board.ordering import CLOSED_SORT, Page, page_of
from orders.board.query import BoardQuery
from orders.models import Order
from orders.people import order_scope
from orders.stages import Step

MOST_COUNTED = 10_000
# How many ids back a list of closed orders looks before it asks whether to look further: what a database reads in
# a moment, whatever is filtered by and however rare it is.
LOOKED_BACK = 20_000


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of orders. is_exact: false if there may be more."""

    n: int
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Load:
    """What waits at one step."""

    n: int
    oldest_since: datetime | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """Every number on one page of the board, counted at one moment. newest: the highest id, for lists of closed orders."""

    total: Counted
    views: dict[str, int]
    steps: dict[str, Load]
    newest: int = 0


def numbers(
    query: BoardQuery, looking: Looking, views: dict[str, BoardQuery], *, with_steps: bool = False
) -> Numbers:
    """One query. Beside a list of closed orders nothing else is counted."""
    if query.is_closed:
        return _of_closed(query, looking)
    condition = query.condition(looking)
    wanted: dict[str, Any] = {
        f"view_{key}": Count("pk", filter=one.condition(looking)) for key, one in views.items()
    }
    for step in Step if with_steps else ():
        here = condition & Q(next_step=step.value)
        wanted[f"n_{step.value}"] = Count("pk", filter=here)
        wanted[f"oldest_{step.value}"] = Min("stage_since", filter=here)
    among = Order.objects.visible_to(looking.user).filter(is_open=True)
    found = among.aggregate(total=Count("pk", filter=condition), **wanted)
    steps = {
        step.value: Load(found[f"n_{step.value}"], found[f"oldest_{step.value}"])
        for step in (Step if with_steps else ())
    }
    return Numbers(Counted(found["total"]), {key: found[f"view_{key}"] for key in views}, steps)


def newest_floor() -> Any:
    """As an expression: the id from which on closed orders are looked at."""
    newest = Order.objects.order_by("-pk").annotate(floor=F("pk") - LOOKED_BACK)
    return Subquery(newest.values("floor")[:1])


def _of_closed(query: BoardQuery, looking: Looking) -> Numbers:
    """Up to MOST_COUNTED, among the newest."""
    scope = order_scope(looking.user)
    if scope is None:
        return Numbers(Counted(0), {}, {})
    condition = query.condition(looking) if scope is True else query.condition(looking) & scope
    found = Order.objects.filter(pk__gt=newest_floor()).aggregate(
        newest=Max("pk"), n=Count("pk", filter=condition)
    )
    newest = found["newest"] or 0
    is_exact = newest <= LOOKED_BACK and found["n"] <= MOST_COUNTED
    return Numbers(Counted(min(found["n"], MOST_COUNTED), is_exact), {}, {}, newest)


def page(
    query: BoardQuery, looking: Looking, numbers: Numbers, *, size: int, after: str, before: str, load: Any
) -> Page:
    """One page of the list. Raises BadCursor."""
    orders = query.orders(looking)
    if not query.is_closed:
        return page_of(orders, query.sort, size=size, after=after, before=before, load=load)
    return _page_of_closed(orders, numbers.newest, size=size, after=after, before=before, load=load)


def _page_of_closed(orders: Any, newest: int, *, size: int, after: str, before: str, load: Any) -> Page:
    """Looks back, or towards the newest, by so many ids and no more: nobody waits for a million rows to be read.

    A page may therefore be short, or empty, with a mark to look on from.
    """
    mark = after or before
    start = CLOSED_SORT.read(mark)[0] if mark else newest + 1
    low, high = (start, start + LOOKED_BACK) if before else (start - LOOKED_BACK, start)
    among = orders.filter(pk__gt=low, pk__lte=high)
    found = page_of(among, CLOSED_SORT, size=size, after=after, before=before, load=load)
    if before:
        before_that = found.before or ("" if high >= newest else CLOSED_SORT.mark(Order(pk=high)))
        return Page(found.rows, before=before_that, after=found.after or before)
    after_that = found.after or ("" if low <= 0 else CLOSED_SORT.mark(Order(pk=low + 1)))
    return Page(found.rows, before=found.before or after, after=after_that)
