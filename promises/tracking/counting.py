"""How often customers look, and how often they press "contact us": the figure the page is judged by. No personal data."""

from __future__ import annotations

import re
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils.timezone import localdate

from orders.models import Order
from promises.tracking.models import ContactClick, PageVisit
from promises.tracking.picture import Picture

# Whoever fetches pages without being a customer: search engines, previews of chats, monitors, scripts.
_ROBOT = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|preview|fetch|monitor|curl|wget|python|httpx|go-http|java/|okhttp|headless|scrapy",
    re.IGNORECASE,
)


def is_counted(request: HttpRequest) -> bool:
    """A customer's own look. Staff who are logged in, robots, and what a browser loads ahead are not."""
    browser = request.headers.get("User-Agent", "")
    if not browser or _ROBOT.search(browser):
        return False
    if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
        return False
    return not request.user.is_authenticated


def count_visit(picture: Picture) -> None:
    """One more look on this day. One statement, but for the first of a day."""
    n_delayed, at = int(picture.is_delayed), picture.at
    if not _add(picture.order, at, n_delayed):
        _begin(picture.order, at)
        _add(picture.order, at, n_delayed)


def _add(order: Order, at: datetime, n_delayed: int) -> int:
    return PageVisit.objects.filter(order=order, day=localdate(at)).update(
        n=F("n") + 1, n_delayed=F("n_delayed") + n_delayed, last_at=at
    )


def _begin(order: Order, at: datetime) -> None:
    # Two first looks at once: the second one finds the row of the first.
    try:
        with transaction.atomic():
            PageVisit.objects.create(order=order, day=localdate(at), last_at=at)
    except IntegrityError:
        return


def count_click(picture: Picture) -> ContactClick:
    """Somebody had to ask after all; what stood on the page is kept with it."""
    return ContactClick.objects.create(
        order=picture.order,
        at=picture.at,
        milestone=picture.milestone,
        cause=picture.cause or "",
        is_delayed=picture.is_delayed,
    )
