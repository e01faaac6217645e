"""Made-up order histories with known odds."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from promises.eta.learner import Learner
from promises.eta.orders import Past, Placed, moment

# Without a zone, as most files write their times.
START = datetime(2026, 1, 5)  # noqa: DTZ001
PROVINCES = {"near": 120.0, "middle": 600.0, "far": 1800.0}
_counter = itertools.count(1)


def make_order(**given: Any) -> Placed:
    values: dict[str, Any] = {"key": f"o{next(_counter)}", "placed_at": START, "province": "near"}
    return Placed(**{**values, **given})


def make_past(days: float | None = None, **given: Any) -> Past:
    """One order that came after so many days; None = it is still on its way."""
    order = make_order(**given)
    delivered_at = None if days is None else order.placed_at + timedelta(days=days)
    return Past(order=order, handed_at=order.placed_at + timedelta(days=1), delivered_at=delivered_at)


def make_history(
    n: int,
    *,
    per_day: int = 100,
    seed: int = 1,
    slower: Callable[[float], float] = lambda day: 1.0,
    spread: float = 0.4,
    extra: Callable[[float], float] = lambda day: 0.0,
) -> list[Past]:
    """n orders to three provinces; days are log-normal around a median by distance.

    slower: by what the time is multiplied for an order of a day, extra: what is added to it, counted from START.
    """
    draw = random.Random(seed)
    history = []
    for number in range(n):
        day = number / per_day
        province, far = draw.choice(sorted(PROVINCES.items()))
        median = 3 + 3 * math.log(far / 50)
        days = median * math.exp(spread * draw.gauss(0, 1)) * slower(day) + extra(day)
        history.append(
            make_past(
                days,
                key=f"m{number}",
                placed_at=START + timedelta(days=day),
                province=province,
                city=f"{province}-{draw.randrange(4)}",
                origin=f"seller-{draw.randrange(8)}",
                distance_km=far * draw.uniform(0.9, 1.1),
            )
        )
    return history


def learned(history: list[Past], until: datetime) -> Learner:
    """A learner that was told all that had happened by then."""
    learner = Learner()
    tell(learner, history, until)
    return learner


def tell(learner: Learner, history: list[Past], until: datetime) -> None:
    happened = []
    for past in history:
        happened.append((moment(past.order.placed_at), 0, past.order.placed_at, past))
        if past.delivered_at is not None:
            happened.append((moment(past.delivered_at), 1, past.delivered_at, past))
    for _at, kind, when, past in sorted(happened, key=lambda one: one[:2]):
        if when > until:
            break
        if kind:
            learner.delivered(past.order.key, when)
        else:
            learner.placed(past.order)
    learner.pass_nights(until)


def cut(history: list[Past], at: datetime) -> list[Past]:
    """The history as it stood at that moment: later deliveries have not happened."""
    return [
        replace(past, delivered_at=None) if past.delivered_at and past.delivered_at > at else past
        for past in history
        if past.order.placed_at <= at
    ]
