"""Builders for the tables of the live estimate."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orders.models import Order
from orders.tests.factories import MONDAY
from promises.estimates.models import Estimate
from promises.eta.orders import end_of

# Friday of the week of MONDAY.
DUE_ON = date(2026, 6, 5)


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
