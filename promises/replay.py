"""A history, played in the order in which it happened: what each method would have promised, by what it could know."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import ceil
from statistics import fmean
from typing import NamedTuple

from promises.eta.forecast import Forecast, NoDate
from promises.eta.learner import Learner
from promises.eta.orders import Past, Placed, moment

AVERAGE_OF = 120.0
SMALLEST_WEEK = 30
PLACED, HANDED, DELIVERED = 0, 1, 2
Progress = Callable[[int, int], None]
Heard = Callable[[Past, Forecast], None]


class Event(NamedTuple):
    """One thing that happened. Sorting puts what happened first first."""

    at: float
    kind: int
    number: int
    when: datetime


@dataclass(frozen=True, slots=True)
class Score:
    """What one method would have said of one delivered order: the days it promised and the day it would have shown."""

    placed_on: date
    days: int
    promised: int
    shown: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result."""

    method: str
    target: float
    n: int
    on_time: float
    mean_days: float
    weekly_deviation_pp: float
    mae_days: float


class Week(NamedTuple):
    """The orders that one method promised in one week of purchase, and how many of them came in time."""

    monday: date
    n: int
    kept: int


@dataclass(frozen=True, slots=True)
class Result:
    """rows: each method's figures. n_without_date: delivered orders in the scored time that the hub had no date for.

    weeks: by method and target, as the rows name them.
    """

    rows: list[Row]
    n_scored: int
    n_without_date: int
    weeks: dict[tuple[str, float], list[Week]]


def back_test(
    history: Sequence[Past],
    targets: Sequence[float],
    *,
    scored_from: date | None = None,
    scored_to: date | None = None,
    progress: Progress = lambda done, total: None,
    heard: Heard = lambda past, forecast: None,
) -> Result:
    """What hub, platform and average would have promised the delivered orders placed between the two dates, both included.

    heard: is told each scored order with the hub's forecast for it, in the order of the placings.
    """
    scored = {
        number
        for number, past in enumerate(history)
        if past.days is not None and _lies_between(past.order.placed_at.date(), scored_from, scored_to)
    }
    hub, average = play(history, scored, targets, progress, heard)
    platform = [
        Score(past.order.placed_at.date(), past.days or 0, past.promised_days, past.promised_days)
        for past in (history[number] for number in sorted(scored))
        if past.promised_days is not None
    ]
    judged = [(_row("hub", scores, target), scores) for target, scores in hub.items() if scores]
    others = (("platform", platform), ("average", average))
    judged += [(_row(name, scores), scores) for name, scores in others if scores]
    n_dated = min((len(scores) for scores in hub.values()), default=0)
    weeks = {(row.method, row.target): _weeks(scores) for row, scores in judged}
    return Result([row for row, _scores in judged], len(scored), len(scored) - n_dated, weeks)


def _lies_between(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


def events(history: Sequence[Past]) -> Iterator[Event]:
    """All that happened, first things first. An order's outcome is an event of its own, at its own moment."""
    found: list[Event] = []
    for number, past in enumerate(history):
        placed = moment(past.order.placed_at)
        found.append(Event(placed, PLACED, number, past.order.placed_at))
        for kind, at in ((HANDED, past.handed_at), (DELIVERED, past.delivered_at)):
            if at is not None:
                # Clocks of two systems differ: nothing happens to an order before it is placed.
                found.append(Event(max(placed, moment(at)), kind, number, max(at, past.order.placed_at)))
    yield from sorted(found, key=lambda event: event[:3])


def play(
    history: Sequence[Past], scored: set[int], targets: Sequence[float], progress: Progress, heard: Heard
) -> tuple[dict[float, list[Score]], list[Score]]:
    """The scores of the hub by target, and of the average."""
    learner, average = Learner(), Average(AVERAGE_OF)
    hub: dict[float, list[Score]] = {target: [] for target in targets}
    averages: list[Score] = []
    last = max(scored, default=-1)
    for event in events(history):
        past = history[event.number]
        if event.kind == PLACED:
            forecast = learner.placed(past.order)
            if event.number in scored:
                days = past.days or 0
                if not isinstance(forecast, NoDate):
                    heard(past, forecast)
                    _score_hub(hub, past.order, days, forecast)
                averages += _scores_of_average(past.order, days, average.at(event.at))
            progress(event.number + 1, last + 1)
            # Whatever happens from here on can change no promise.
            if event.number >= last:
                break
        elif event.kind == HANDED:
            learner.handed(past.order.key, event.when)
        else:
            learner.delivered(past.order.key, event.when)
            average.add(event.at, past.days or 0)
    return hub, averages


def _score_hub(hub: dict[float, list[Score]], order: Placed, days: int, forecast: Forecast) -> None:
    shown = forecast.days_at(0.5)
    for target, scores in hub.items():
        scores.append(Score(order.placed_at.date(), days, forecast.days_at(target), shown))


def _scores_of_average(order: Placed, days: int, average: float | None) -> list[Score]:
    if average is None:
        return []
    # The first whole day that is not before the average.
    promised = ceil(average)
    return [Score(order.placed_at.date(), days, promised, promised)]


class Average:
    """The mean of what was delivered in the last so many days: what a spreadsheet would promise."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._known: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, at: float, days: int) -> None:
        self._known.append((at, days))
        self._sum += days

    def at(self, now: float) -> float | None:
        while self._known and self._known[0][0] < now - self._window:
            self._sum -= self._known.popleft()[1]
        return self._sum / len(self._known) if self._known else None


def _row(method: str, scores: list[Score], target: float | None = None) -> Row:
    """The figures of one method. Without a target it is measured against its own rate."""
    on_time = fmean(score.days <= score.promised for score in scores)
    aim = on_time if target is None else target
    return Row(
        method=method,
        target=aim,
        n=len(scores),
        on_time=on_time,
        mean_days=fmean(score.promised for score in scores),
        weekly_deviation_pp=_weekly_deviation(scores, aim),
        mae_days=fmean(abs(score.shown - score.days) for score in scores),
    )


def _weekly_deviation(scores: list[Score], target: float) -> float:
    """The mean over weeks with enough orders of how far the share kept lies from the target, in points."""
    off = [abs(week.kept / week.n - target) for week in _weeks(scores) if week.n >= SMALLEST_WEEK]
    return 100 * fmean(off) if off else 0.0


def _weeks(scores: list[Score]) -> list[Week]:
    weeks: dict[date, list[bool]] = defaultdict(list)
    for score in scores:
        monday = score.placed_on - timedelta(days=score.placed_on.weekday())
        weeks[monday].append(score.days <= score.promised)
    return [Week(monday, len(kept), sum(kept)) for monday, kept in sorted(weeks.items())]


def days_at_rate(rows: Sequence[Row], on_time: float) -> float | None:
    """The mean days of the hub at this on-time rate, between two of its rows; None where the rate lies outside them."""
    hub = sorted((row.on_time, row.mean_days) for row in rows if row.method == "hub")
    for (low, fewer), (high, more) in pairwise(hub):
        if low <= on_time <= high:
            return fewer + (more - fewer) * ((on_time - low) / (high - low) if high > low else 0.0)
    return None
