"""Commitments: a promise on paper, its versions, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orders.models import Order
    from promises.commitments.models import Promise


def current(order: Order) -> Promise | None:
    """The newest version of the order's commitment, whatever has become of it."""
    # Here, because applications load this package before their models are ready.
    from promises.commitments.models import Promise

    return Promise.objects.filter(order_id=order.pk).order_by("-pk").first()
