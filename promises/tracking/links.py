"""The customer's link: made of a key, the order and a version, so that nobody can guess it; revoked by a higher version."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Max
from django.urls import reverse
from django.utils.timezone import now

from orders import audit
from orders.models import Order, OrderEvent
from promises.tracking.models import CustomerLink

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TOKEN_BYTES = 16


def token_of(order_id: int, version: int) -> str:
    """22 URL-safe characters, the same for the same order and version. Raises ImproperlyConfigured without a key."""
    if not settings.LINKS_KEY:
        raise ImproperlyConfigured("The key of the customers' links is missing: run script/setup.")
    message = f"{order_id}:{version}".encode()
    digest = hmac.new(settings.LINKS_KEY.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:TOKEN_BYTES]).rstrip(b"=").decode()


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def found(token: str) -> CustomerLink | None:
    """The link in force with this token. One look-up by a hash, whatever is asked: unknown takes as long as known."""
    links = CustomerLink.objects.filter(token_hash=hash_of(token), revoked_at=None)
    return links.select_related("order__shop", "order__contact").first()


def path_of(token: str) -> str:
    return reverse("tracking:page", args=[token])


def known_address(order: Order) -> str:
    """The path of the order's page, for whoever only reads; empty if the order has no link yet."""
    link = CustomerLink.objects.filter(order=order, revoked_at=None).first()
    return path_by(link) if link else ""


def path_by(link: CustomerLink) -> str:
    """The path that the link stands for; empty if it was made with another key, whose tokens nobody can make any more."""
    token = token_of(link.order_id, link.version)
    return path_of(token) if link.token_hash == hash_of(token) else ""


def address_of(order: Order) -> str:
    """The path of the order's page. Makes the link if there is none."""
    return known_address(order) or make_once(order, now())


def make_once(order: Order, at: datetime) -> str:
    """Two that ask at once must get the same address: the second one finds what the first made."""
    with transaction.atomic():
        Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        return known_address(order) or _next(order, at)


def _next(order: Order, at: datetime, *, by: User | None = None) -> str:
    """A link of the next version; the one in force is no longer. The order is locked."""
    links = CustomerLink.objects.filter(order=order)
    version = (links.aggregate(last=Max("version"))["last"] or 0) + 1
    links.filter(revoked_at=None).update(revoked_at=at, revoked_by=by)
    token = token_of(order.pk, version)
    CustomerLink.objects.create(order=order, version=version, token_hash=hash_of(token), made_at=at)
    return path_of(token)


def revoke(order: Order, *, by: User, at: datetime) -> str:
    """Close the link in force and make the next one; returns its path. The caller has checked the permission."""
    with transaction.atomic():
        Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        path = _next(order, at, by=by)
        audit.record("customer_link.revoked", order)
    return path


def make_missing(order_ids: Iterable[int], at: datetime) -> int:
    """First links for those of the orders that have none, in one statement; returns for how many it tried."""
    rows = [
        CustomerLink(order_id=pk, version=1, token_hash=hash_of(token_of(pk, 1)), made_at=at)
        for pk in sorted(set(order_ids))
    ]
    CustomerLink.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def observe(events: Sequence[OrderEvent]) -> None:
    """Reaction: every new order gets its link. One statement."""
    new = [event for event in events if event.kind == OrderEvent.Kind.MOVED and not event.old]
    if new:
        make_missing((event.order_id for event in new), max(event.recorded_at for event in new))
