"""Builders for the tables of the live estimate."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orders.models import Order, Shop, Warehouse
from orders.stages import Stage
from orders.tests.factories import MONDAY, make_shop
from promises.estimates.models import Estimate, Journey
from promises.eta.orders import end_of

# Friday of the week of MONDAY.
DUE_ON = date(2026, 6, 5)
_counter = itertools.count(1)
HOUR = timedelta(hours=1)


def make_estimate(
    order: Order, *, due_on: date | None = DUE_ON, zone: str = "Asia/Shanghai", **columns: Any
) -> Estimate:
    """What was said of the order: by Friday at the odds of 95 %, unless told otherwise. due_on None: no date."""
    dated: dict[str, Any] = {"no_date": Estimate.NoDate.NOT_ENOUGH_HISTORY, "n": 3}
    if due_on is not None:
        due_at = end_of(due_on, ZoneInfo(zone))
        dated = {
            "window_from": due_on - timedelta(days=2),
            "window_to": due_on - timedelta(days=1),
            "due_at": due_at,
            "odds": 952,
            "level": "city",
            "n": 120,
            "promised_at": due_at,
            "p_late": 48,
            "risk": "on_track",
            "is_first": columns.get("is_current", True),
            "model_version": "1.1",
        }
    return Estimate.objects.create(
        **{"order": order, "made_at": MONDAY, "zone": zone, "is_demo": order.is_demo, **dated, **columns}
    )


def make_history(
    n: int,
    *,
    until: datetime = MONDAY,
    per_day: int = 10,
    in_house: float = 24,
    on_the_way: Sequence[float] = (30, 40, 50, 60, 70, 80),
    warehouse: Warehouse | None = None,
    shop: Shop | None = None,
    **columns: Any,
) -> list[Journey]:
    """n orders placed at an even pace up to that moment, each in the house for so many hours and then so many on its way.

    What lies after the moment has not happened. They are there as rows only: nothing was reported of them.
    """
    shop = shop or make_shop()
    placed = [until - timedelta(days=(n - number) / per_day) for number in range(n)]
    orders = Order.objects.bulk_create(
        Order(
            number=f"OHP-{next(_counter)}",
            shop=shop,
            external_id=f"P{next(_counter)}",
            warehouse=warehouse,
            created_at=at,
            placed_at=at,
            stage_since=at,
            stage=Stage.COMPLETED,
            is_open=False,
        )
        for at in placed
    )
    made = []
    for number, (order, at) in enumerate(zip(orders, placed, strict=True)):
        handed_at = at + in_house * HOUR
        delivered_at = handed_at + on_the_way[number % len(on_the_way)] * HOUR
        values = {
            "order": order,
            "placed_at": at,
            "zone": "Asia/Shanghai",
            "province": "广东省",
            "city": "广州市",
            "origin": warehouse.code if warehouse else "",
            "handed_at": handed_at if handed_at <= until else None,
            "delivered_at": delivered_at if delivered_at <= until else None,
        }
        made.append(Journey(**{**values, **columns}))
    return Journey.objects.bulk_create(made)
