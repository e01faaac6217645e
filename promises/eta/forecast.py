"""What comes out of the estimate: a distribution over dates, a promise taken from it, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from promises.eta.calibration import Curve
from promises.eta.orders import CAP_DAYS, Placed, end_of

WINDOW = (0.5, 0.9)
SERVICE_LEVEL = 0.95


class NoDateReason(StrEnum):
    NOT_ENOUGH_HISTORY = "not_enough_history"
    BEYOND_CAP = "beyond_cap"


@dataclass(frozen=True, slots=True)
class NoDate:
    """No promise, and why. n: delivered orders known at the widest place. days: what was found, if it was absurd."""

    reason: NoDateReason
    n: int
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that moved the estimate, and by how many days of the median (more is later)."""

    code: str
    days: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The odds of each number of days. level: the nearest place with enough orders; n: how many of them were delivered."""

    expected: float
    curve: Curve
    level: str
    n: int
    waits: tuple[float, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)

    def odds(self, days: float) -> float:
        """The chance that the order comes within so many whole days, the last one to its end."""
        # A day is wider than a point: on average a promise falls in the middle of the day it names.
        return self._share(days + 0.5) if days >= 0 else 0.0

    def _share(self, days: float) -> float:
        if not self.waits:
            return self._share_without_wait(days)
        return sum(self._share_without_wait(days - wait) for wait in self.waits) / len(self.waits)

    def _share_without_wait(self, days: float) -> float:
        return self.curve.share(math.log1p(days) - self.expected) if days >= 0 else 0.0

    def days_at(self, odds: float) -> int:
        """The day in which the odds are reached; kept if the order comes by its end."""
        plain = math.expm1(self.expected + self.curve.residual(odds))
        if not self.waits:
            return _whole(plain)
        low, high = plain, plain + max(self.waits)
        while high - low > 0.01:
            middle = (low + high) / 2
            low, high = (low, middle) if self._share(middle) >= odds else (middle, high)
        return _whole(high)

    def reasons(self) -> tuple[Reason, ...]:
        """What moved the estimate, the largest first. Under a quarter of a day is not worth a word."""
        median = self.expected + self.curve.residual(0.5)
        moved = [
            Reason(code, math.exp(median) - math.exp(median - part)) for code, part in self.parts.items()
        ]
        if self.waits:
            moved.append(Reason("planned_surge", sum(self.waits) / len(self.waits)))
        return tuple(sorted((one for one in moved if abs(one.days) >= 0.25), key=lambda one: -abs(one.days)))


def _whole(days: float) -> int:
    return max(0, math.floor(days + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A dated promise. The window is information; due is what it is judged by, and odds what was said of due."""

    window_from: date
    window_to: date
    latest_on: date
    due: datetime
    odds: float
    level: str
    n: int
    reasons: tuple[Reason, ...]


def promise(
    order: Placed,
    forecast: Forecast | NoDate,
    *,
    service_level: float = SERVICE_LEVEL,
    cap_days: int = CAP_DAYS,
) -> Estimate | NoDate:
    """The promise that keeps the service level, or no date: none is better than one that nobody can believe."""
    if isinstance(forecast, NoDate):
        return forecast
    latest = forecast.days_at(service_level)
    if latest > cap_days:
        return NoDate(NoDateReason.BEYOND_CAP, forecast.n, latest)
    first, last = (forecast.days_at(odds) for odds in WINDOW)
    latest_on = _on(order, latest)
    return Estimate(
        window_from=_on(order, first),
        window_to=_on(order, last),
        latest_on=latest_on,
        due=end_of(latest_on, order.placed_at.tzinfo),
        odds=forecast.odds(latest),
        level=forecast.level,
        n=forecast.n,
        reasons=forecast.reasons(),
    )


def _on(order: Placed, days: int) -> date:
    return order.placed_at.date() + timedelta(days=days)
