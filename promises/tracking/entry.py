"""Who may read an order's page: whoever has its link; long after the order is over, whoever also knows the phone number."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core import signing
from django.core.cache import cache
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from orders.contacts import Contact
from orders.models import Order
from promises.tracking.models import CustomerLink
from promises.verification.limits import address_of

# After the order is over, so that a forwarded link does not stay open for ever.
OPEN_AFTER_END = timedelta(days=60)
TRIES = 5
COOKIE = "order_entry"
ENTRY_LASTS = timedelta(days=1)
_SALT = "promises.tracking.entry"
# Forms sent from one address in a minute, in each web process.
A_MINUTE = 10


def has_expired(order: Order, at: datetime) -> bool:
    return not order.is_open and order.stage_since + OPEN_AFTER_END < at


def has_entry(request: HttpRequest, link: CustomerLink) -> bool:
    """Has this browser given the phone number of this link's order within the last day?"""
    try:
        known = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=ENTRY_LASTS)
    except signing.BadSignature:
        return False
    return bool(known == link.pk)


def let_in(response: HttpResponse, link: CustomerLink, path: str, *, is_secure: bool) -> None:
    response.set_cookie(
        COOKIE,
        signing.dumps(link.pk, salt=_SALT),
        max_age=ENTRY_LASTS,
        path=path,
        secure=is_secure,
        httponly=True,
        samesite="Lax",
    )


def tries_left(link: CustomerLink) -> int:
    return max(0, TRIES - link.n_tries)


def try_phone(link: CustomerLink, contact: Contact | None, digits: str) -> bool:
    """Are these the last four digits of the receiver's phone? A try is spent before it is judged: two at once count twice."""
    links = CustomerLink.objects.filter(pk=link.pk)
    if not links.filter(n_tries__lt=TRIES).update(n_tries=F("n_tries") + 1):
        return False
    known = contact.phone_tail if contact else ""
    # Without a known number nothing is right.
    is_right = constant_time_compare(digits, known) and len(known) == 4
    if is_right:
        links.update(n_tries=0)
    return is_right


def is_too_fast(request: HttpRequest) -> bool:
    """Has this address sent more forms within a minute than a person would? Counts this one."""
    key = f"customer-forms:{address_of(request)}"
    cache.add(key, 0, timeout=60)
    return cache.incr(key) > A_MINUTE
