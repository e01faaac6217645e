"""What was said of one order: read once for a page on which several panels tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from django.http import HttpRequest

from orders.models import Order
from promises.commitments.models import Promise
from promises.estimates.models import Estimate

MOST_ESTIMATES = 13


@dataclass(frozen=True)
class Said:
    """One query for the estimates, one for the commitment; none for what nobody asks about."""

    order: Order

    @cached_property
    def estimates(self) -> list[Estimate]:
        """The newest ones, the newest first."""
        return list(Estimate.objects.filter(order=self.order).order_by("-id")[:MOST_ESTIMATES])

    @cached_property
    def estimate(self) -> Estimate | None:
        """What is said now. No older one is ever said again, so it is among the newest."""
        return next((one for one in self.estimates if one.is_current), None)

    @cached_property
    def versions(self) -> list[Promise]:
        """Every version of every commitment, from the first on, with paper, place in the log and outcome."""
        rows = Promise.objects.filter(order=self.order)
        return list(
            rows.select_related("pending", "made_by", "file", "outcome", "compensation").order_by("pk")
        )

    @cached_property
    def promise(self) -> Promise | None:
        """The newest version."""
        return self.versions[-1] if self.versions else None


def said_of(order: Order, request: HttpRequest) -> Said:
    """The same for as long as one request shows this very order object; one that was loaded anew is asked about anew."""
    known: Said | None = getattr(request, "said", None)
    if known is None or known.order is not order:
        known = Said(order)
        request.said = known  # type: ignore[attr-defined]
    return known
