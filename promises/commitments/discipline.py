"""When the hub itself may move a promised date: seldom, only for the later, and not where a person should decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orders.models import Order
from orders.stages import HANDED_OVER, Stage
from promises.commitments.models import CommitmentRule, Promise, Reason
from promises.commitments.payload import end_of
from promises.commitments.refusals import NotIssued

if TYPE_CHECKING:
    from promises.estimates.models import Estimate

NOT_AGAIN_WITHIN = timedelta(hours=24)


def check(promise: Promise, estimate: Estimate | None, *, at: datetime) -> None:
    """Raises NotIssued unless the middle of what is expected lies beyond the promised window."""
    if not is_outside(promise, estimate):
        raise NotIssued("inside_window")
    if last_moved(promise.number) > at - NOT_AGAIN_WITHIN:
        raise NotIssued("too_soon")
    if wants_person(promise.order):
        raise NotIssued("needs_person")


def is_outside(promise: Promise, estimate: Estimate | None) -> bool:
    """Whether half of such orders arrive only after the window, or, where none was given, after the date.

    Earlier than promised asks for no new paper: the customer's page shows it.
    """
    if estimate is None or estimate.window_from is None:
        return False
    return end_of(estimate.window_from, estimate.zone) > (promise.window_to or promise.due)


def last_moved(number: str) -> datetime:
    """When the hub itself last moved this date; the beginning of time if it never did."""
    moved = Promise.objects.filter(number=number, is_automatic=True, version__gt=1)
    newest = moved.order_by("-version").values_list("made_at", flat=True).first()
    return newest or datetime.min.replace(tzinfo=UTC)


def wants_person(order: Order) -> bool:
    """Whether the shop's rule leaves dates of such orders to a person."""
    rule = CommitmentRule.objects.filter(shop_id=order.shop_id).first()
    if rule is None:
        return False
    is_large = rule.person_from_total is not None and (order.total or 0) >= rule.person_from_total
    stars = order.customer.stars if order.customer else None
    is_dear = rule.person_from_stars is not None and stars is not None and stars >= rule.person_from_stars
    return is_large or is_dear


def cause_of(order: Order) -> Reason:
    """Why the date moves, as far as the hub knows it: where the goods are says who is late."""
    if order.stage == Stage.CUSTOMS:
        return Reason.CUSTOMS
    if order.stage in HANDED_OVER:
        return Reason.CARRIER
    return Reason.STOCK if order.is_short else Reason.SELLER
