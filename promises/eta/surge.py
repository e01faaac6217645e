"""Surges that are known in advance: a sale with dates and a factor widens the promises it will hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

# How many orders a day the house can work off at most, in usual days. No house runs at its limit on a usual day.
CAPACITY = 1.15
# A plan is a guess: the wait may turn out half as long or half as long again.
SPREAD = (0.5, 0.75, 1.0, 1.25, 1.5)
# After this time even a large surge is taken as worked off, or the plan was wrong.
LONGEST_ECHO = timedelta(days=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSurge:
    """Between two dates, both included, factor times the usual orders are expected. factor >= 1."""

    first: date
    last: date
    factor: float

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the surge ends on {self.last}, before it begins on {self.first}")
        if not self.factor >= 1:
            raise ValueError(f"a surge multiplies orders by 1 or more, not by {self.factor}")


def waits(surges: Sequence[PlannedSurge], day: date) -> tuple[float, ...]:
    """The extra days that an order of this date may wait, equally likely each; empty where no surge touches it."""
    backlog = max((_backlog(surge, day) for surge in surges), default=0.0)
    wait = backlog / CAPACITY
    return tuple(wait * share for share in SPREAD) if wait > 0 else ()


def _backlog(surge: PlannedSurge, day: date) -> float:
    """Usual days of work that lie in front of an order of this date."""
    if not surge.first <= day <= surge.last + LONGEST_ECHO:
        return 0.0
    piled = (min(day, surge.last) - surge.first).days + 1
    worked_off = max(0, (day - surge.last).days)
    # Half a day: an order comes in the middle of its date.
    high = max(0.0, (piled - 0.5) * (surge.factor - CAPACITY))
    return max(0.0, high - worked_off * (CAPACITY - 1.0))
