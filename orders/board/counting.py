"""How many: exact for open orders, up to a limit for closed ones, and in one statement for all the numbers of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Min, Q

from orders.board.filters import Looking
from orders.board.ordering import CLOSED_SORT, Page, page_of
from orders.board.query import BoardQuery
from orders.models import Order
from orders.stages import Step

MOST_COUNTED = 10_000
# How many ids back a list of closed orders looks before it asks whether to look further: what a database reads in
# a moment, whatever is filtered by and however rare it is.
LOOKED_BACK = (1_000, 4_000, 20_000)


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of orders. is_exact: false if there may be more."""

    n: int
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Load:
    """What waits at one step."""

    n: int
    oldest_since: Any


@dataclass(frozen=True, slots=True)
class Numbers:
    """Every number on one page of the board, counted at one moment."""

    total: Counted
    views: dict[str, int]
    steps: dict[str, Load]


def numbers(
    query: BoardQuery, looking: Looking, views: dict[str, BoardQuery], *, with_steps: bool = False
) -> Numbers:
    """One look at the open orders in scope; a second one for a list of closed orders."""
    wanted: dict[str, Any] = {
        f"view_{key}": Count("pk", filter=one.condition(looking)) for key, one in views.items()
    }
    condition = query.condition(looking)
    if not query.is_closed:
        wanted["total"] = Count("pk", filter=condition)
    if with_steps:
        for step in Step:
            here = condition & Q(next_step=step.value)
            wanted[f"n_{step.value}"] = Count("pk", filter=here)
            wanted[f"oldest_{step.value}"] = Min("stage_since", filter=here)
    found = _open(looking).aggregate(**wanted) if wanted else {}
    return Numbers(
        total=count_closed(query, looking) if query.is_closed else Counted(found["total"]),
        views={key: found[f"view_{key}"] for key in views},
        steps={step.value: Load(found[f"n_{step.value}"], found[f"oldest_{step.value}"]) for step in Step}
        if with_steps
        else {},
    )


def _open(looking: Looking) -> Any:
    return Order.objects.visible_to(looking.user).filter(is_open=True)


def count_closed(query: BoardQuery, looking: Looking) -> Counted:
    """Up to MOST_COUNTED, among the newest."""
    floor = _newest() - LOOKED_BACK[-1]
    among = query.orders(looking).filter(pk__gt=floor)
    n = among.order_by().values("pk")[: MOST_COUNTED + 1].count()
    return Counted(min(n, MOST_COUNTED), is_exact=floor <= 0 and n <= MOST_COUNTED)


def _newest() -> int:
    return int(Order.objects.aggregate(newest=Max("pk"))["newest"] or 0)


def page(query: BoardQuery, looking: Looking, *, size: int, after: str, before: str, load: Any) -> Page:
    """One page of the list. Raises BadCursor."""
    orders = query.orders(looking)
    if not query.is_closed:
        return page_of(orders, query.sort, size=size, after=after, before=before, load=load)
    return _page_of_closed(orders, size=size, after=after, before=before, load=load)


def _page_of_closed(orders: Any, *, size: int, after: str, before: str, load: Any) -> Page:
    """Looks back (or, towards the newest, ahead) by more and more ids until the page is full.

    A page may stay short, or empty, with a mark to look on from: nobody waits for a million rows to be read.
    """
    newest = _newest()
    mark = after or before
    start = CLOSED_SORT.read(mark)[0] if mark else newest + 1
    found = Page([])
    for width in LOOKED_BACK:
        low, high = (start, start + width) if before else (start - width, start)
        among = orders.filter(pk__gt=low, pk__lt=high + 1)
        found = page_of(among, CLOSED_SORT, size=size, after=after, before=before, load=load)
        is_end = low <= 0 if not before else high >= newest
        if is_end or (found.before if before else found.after):
            return found
    edge = Order(pk=high if before else low + 1)
    if before:
        return Page(found.rows, before=CLOSED_SORT.mark(edge), after=found.after or mark)
    return Page(found.rows, before=found.before, after=CLOSED_SORT.mark(edge))
