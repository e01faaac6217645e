"""How far stated odds can be believed: shares with their intervals, bins of a reliability diagram, and a better reading.

No database and no clock: everything is told as judged promises.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

# Below it a share is shown, but greyed: chance alone moves it by more than a tenth.
ENOUGH = 30
BINS = 10
# The value of the normal distribution that 95 % lie below in absolute value.
Z = 1.959963984540054
# A new reading of the odds is proposed from so many judged promises on, half of them to find it and half to try it.
ENOUGH_TO_PROPOSE = 400
# Smaller gains are chance: share of the Brier score that the new reading must take away on the half it has not seen.
WORTH_IT = 0.01

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Judged:
    """A promise whose date has passed or that was delivered: the odds it stated, and whether it was kept.

    is_excused: the customer changed it, so that the adjusted rate leaves it out.
    """

    odds: float
    is_kept: bool
    is_excused: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """kept of n, with the interval in which the true share lies 19 times of 20."""

    n: int
    kept: int
    low: float
    high: float

    @property
    def rate(self) -> float | None:
        return self.kept / self.n if self.n else None

    @property
    def is_small(self) -> bool:
        return self.n < ENOUGH


def share(n: int, kept: int) -> Share:
    """The share with its Wilson interval. Of nothing nothing is known: 0 to 1."""
    if not n:
        return Share(0, 0, 0.0, 1.0)
    rate, square = kept / n, Z * Z / n
    middle = (rate + square / 2) / (1 + square)
    half = Z * math.sqrt(rate * (1 - rate) / n + square / (4 * n)) / (1 + square)
    return Share(n, kept, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Rates:
    """raw: of all. adjusted: without those that the customer changed. stated: the mean of the odds of all."""

    raw: Share
    adjusted: Share
    stated: float


def rates(judged: Sequence[Judged]) -> Rates:
    counted = [one for one in judged if not one.is_excused]
    return Rates(
        raw=share(len(judged), sum(one.is_kept for one in judged)),
        adjusted=share(len(counted), sum(one.is_kept for one in counted)),
        stated=sum(one.odds for one in judged) / len(judged) if judged else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """Promises whose stated odds lie from low up to high; the last bin holds high too."""

    number: int
    low: float
    high: float
    rates: Rates


def bin_of(odds: float) -> int:
    """0 to 9. Odds that a computer writes as 0.30000000000000004 are 0.3."""
    return min(BINS - 1, max(0, math.floor(round(odds * BINS, 9))))


def reliability(judged: Iterable[Judged]) -> list[Bin]:
    """All ten bins, empty ones too."""
    found = _split((bin_of(one.odds), one) for one in judged)
    return [
        Bin(number, number / BINS, (number + 1) / BINS, rates(found.get(number, [])))
        for number in range(BINS)
    ]


def grouped(
    rows: Iterable[Row], key: Callable[[Row], Key], judged: Callable[[Row], Judged]
) -> dict[Key, Rates]:
    """The rates of each group."""
    return {name: rates(group) for name, group in _split((key(row), judged(row)) for row in rows).items()}


def _split(pairs: Iterable[tuple[Key, Judged]]) -> dict[Key, list[Judged]]:
    found: dict[Key, list[Judged]] = defaultdict(list)
    for key, one in pairs:
        found[key].append(one)
    return found


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """By how much stated odds are off on average over the promises; None without any."""
    n = sum(one.rates.raw.n for one in bins)
    if not n:
        return None
    return sum(abs(one.rates.stated * one.rates.raw.n - one.rates.raw.kept) for one in bins) / n


def brier(judged: Sequence[Judged], read: Callable[[float], float] = lambda odds: odds) -> float | None:
    """The mean square of what was stated less what came: 0 is a prophet, 0.25 a coin. None without any."""
    if not judged:
        return None
    return sum((read(one.odds) - one.is_kept) ** 2 for one in judged) / len(judged)


# A better reading of the odds.


@dataclass(frozen=True, slots=True)
class Reading:
    """What stated odds turned out to be worth: a rising line through (stated, came) points."""

    points: tuple[tuple[float, float], ...]

    def __call__(self, odds: float) -> float:
        """Between two points on the line, outside them the nearest point's value."""
        right = bisect_right(self.points, (odds, math.inf))
        if right == 0:
            return self.points[0][1]
        if right == len(self.points):
            return self.points[-1][1]
        (low, before), (high, after) = self.points[right - 1], self.points[right]
        return before + (after - before) * (odds - low) / (high - low)


def isotonic(judged: Sequence[Judged]) -> Reading:
    """The rising steps nearest to what came, by pooling neighbours that fall; each step as its middle point.

    Raises ValueError for no promises.
    """
    if not judged:
        raise ValueError("Nothing was judged: there is nothing to read the odds by.")
    pools: list[tuple[int, float, int]] = []
    for odds, group in sorted(_split((one.odds, one) for one in judged).items()):
        pools.append((len(group), odds * len(group), sum(one.is_kept for one in group)))
        while len(pools) > 1 and pools[-2][2] * pools[-1][0] >= pools[-1][2] * pools[-2][0]:
            last, before = pools.pop(), pools.pop()
            pools.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    # The rule of succession: steps of few promises must not claim that something always or never happens.
    return Reading(tuple((stated / n, (kept + 1) / (n + 2)) for n, stated, kept in _big_enough(pools)))


def _big_enough(pools: list[tuple[int, float, int]]) -> list[tuple[int, float, int]]:
    """Steps of fewer promises than count are joined with the next one; what is left over with the last."""
    found: list[tuple[int, float, int]] = []
    for n, stated, kept in pools:
        if found and found[-1][0] < ENOUGH:
            before = found.pop()
            n, stated, kept = n + before[0], stated + before[1], kept + before[2]
        found.append((n, stated, kept))
    if len(found) > 1 and found[-1][0] < ENOUGH:
        last, before = found.pop(), found.pop()
        found.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return found


@dataclass(frozen=True, slots=True)
class Proposal:
    """A reading found on the older half. before and after: Brier scores on the newer half, which it has not seen."""

    reading: Reading
    n: int
    before: float
    after: float


def propose(judged: Sequence[Judged]) -> Proposal | None:
    """A better reading of the odds, if there is one that holds on promises it was not made from. judged: oldest first."""
    if len(judged) < ENOUGH_TO_PROPOSE:
        return None
    older, newer = judged[: len(judged) // 2], judged[len(judged) // 2 :]
    reading = isotonic(older)
    before, after = brier(newer) or 0.0, brier(newer, reading) or 0.0
    if after > before * (1 - WORTH_IT):
        return None
    return Proposal(reading, len(judged), before, after)
