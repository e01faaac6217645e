"""Builders for tests of the customer's page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orders.models import Order
from orders.tests.factories import MONDAY
from promises.tracking import links
from promises.tracking.models import NextUpdate


def make_link(order: Order) -> str:
    """The path of the order's page."""
    return links.address_of(order)


def make_next_update(order: Order, due_at: datetime, **given: Any) -> NextUpdate:
    return NextUpdate.objects.create(
        order=order, due_at=due_at, **{"cause": "warehouse", "made_at": MONDAY, **given}
    )
