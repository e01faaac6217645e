"""What several of these tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine

from orders.models import Order
from orders.tests.factories import after, make_order, told


@pytest.fixture
def monday_afternoon() -> Iterator[None]:
    with time_machine.travel(after(5), tick=False):
        yield


@pytest.fixture
def disputed() -> Order:
    """Cancelled says the shop, handed over says the warehouse."""
    order = make_order()
    told(order, "cancel.accepted", 2, source="shop-system")
    return told(order, "parcel.handed_over", 3, role="wms", source="wms-system", parcel="SF1")
