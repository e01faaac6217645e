"""The customers' pages of the demo: every order has its link, and what is in trouble has its next news promised."""

from __future__ import annotations

from datetime import datetime

from orders.models import Order
from promises.tracking.links import make_missing
from promises.tracking.updates import promise_news

AT_ONCE = 500


def fill(at: datetime) -> int:
    """Returns how many orders were looked at. Run again, it adds what is missing."""
    ids = list(Order.objects.filter(is_demo=True).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        make_missing(part, at)
        promise_news(Order.objects.filter(pk__in=part, is_open=True).values_list("pk", flat=True), at=at)
    return len(ids)
