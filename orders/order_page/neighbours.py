"""The orders before and after this one in the list that the person came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.http import urlencode

from orders.board.filters import Looking
from orders.board.ordering import Sort
from orders.board.query import BoardQuery, read
from orders.models import Order

MAX_LIST = 2000


@dataclass(frozen=True)
class Neighbours:
    """Addresses; empty where the list ends."""

    board: str
    before: str
    after: str


def neighbours(order: Order, request: HttpRequest, at: datetime) -> Neighbours | None:
    """None unless the address says which list it was (?list=<the board's query>). Two queries."""
    given = list_of(request)
    if not given:
        return None
    query = read(QueryDict(given))
    looking = Looking(request.user, at)
    return Neighbours(
        board=query.url(),
        before=_url(_beyond(query, query.sort.reverse(), looking, order), given),
        after=_url(_beyond(query, query.sort, looking, order), given),
    )


def list_of(request: HttpRequest) -> str:
    """The board's query as this page carries it along."""
    given = request.POST.get("list") or request.GET.get("list", "")
    return given if len(given) <= MAX_LIST else ""


def _beyond(query: BoardQuery, sort: Sort, looking: Looking, order: Order) -> int | None:
    """The next order in this sequence. It is the place that counts: the order may have left the list meanwhile."""
    rows: Any = sort.apply(query.orders(looking))
    found: int | None = sort.beyond(rows, sort.read(sort.mark(order))).values_list("pk", flat=True).first()
    return found


def _url(order_id: int | None, given: str) -> str:
    if order_id is None:
        return ""
    return f"{reverse('admin:orders_order_change', args=[order_id])}?{urlencode({'list': given})}"
