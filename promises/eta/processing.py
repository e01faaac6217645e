"""From the warehouse's queue to the door: when an order is picked up, and its distribution together with the way after it.

Three parts: the queue ahead at the throughput of the last working days, on the warehouse's calendar; the wait for the next
pick-up; the way from there. They are put together case by case, never by adding quantiles: an order that is slow in the
warehouse need not be slow on the road.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from orders.worktime import Calendar, add_working
from promises.eta.forecast import Forecast
from promises.eta.orders import CAP_DAYS

RECENT_DAYS = 14
# No warehouse closes longer than this without being given up.
LONGEST_CLOSURE = 60
HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A warehouse as a waiting line. rates: orders it finished per working hour, one figure for each recent working day.

    pickups: the cut-offs of the day, on the warehouse's wall clock; what is ready before one leaves with it.
    """

    calendar: Calendar
    rates: tuple[float, ...]
    pickups: tuple[time, ...]


class NeverLeaves(Exception):
    """The warehouse finished nothing lately, has no pick-up, or stays closed: nothing can be said of when an order leaves."""


def rates(finished: Sequence[datetime], calendar: Calendar, now: datetime) -> tuple[float, ...]:
    """Orders finished per working hour on each of the last RECENT_DAYS worked dates before today; closed dates are no dates."""
    today = calendar.local_date(now)
    counts: dict[date, int] = {}
    for at in finished:
        day = calendar.local_date(at)
        counts[day] = counts.get(day, 0) + 1
    found: list[float] = []
    day = today - ONE_DAY
    while len(found) < RECENT_DAYS and (today - day).days <= LONGEST_CLOSURE:
        hours = sum(((end - start) / HOUR for start, end in calendar.intervals_on(day)), 0.0)
        if hours:
            found.append(counts.get(day, 0) / hours)
        day -= ONE_DAY
    return tuple(found)


def picked_up_at(placed_at: datetime, n_ahead: int, line: Line) -> tuple[datetime, ...]:
    """When the order leaves the house, once for each recent working day's pace; equally likely each.

    A day on which nothing was finished is a day lost, not a pace: it slows down all others. Raises NeverLeaves.
    """
    worked = [rate for rate in line.rates if rate > 0]
    if not worked:
        raise NeverLeaves
    share_worked = len(worked) / len(line.rates)
    return tuple(
        next_pickup(
            add_working(placed_at, HOUR * ((n_ahead + 1) / (rate * share_worked)), line.calendar), line
        )
        for rate in worked
    )


def next_pickup(ready_at: datetime, line: Line) -> datetime:
    """The first pick-up whose cut-off comes after the order is ready, on a worked date. Ready at the cut-off is too late."""
    zone = line.calendar.zone
    first = line.calendar.local_date(ready_at)
    for number in range(LONGEST_CLOSURE):
        day = first + number * ONE_DAY
        if not line.calendar.shifts_on(day):
            continue
        for cut_off in sorted(line.pickups):
            at = datetime.combine(day, cut_off, zone)
            if at > ready_at:
                return at
    raise NeverLeaves


@dataclass(frozen=True, slots=True)
class DoorToDoor:
    """The odds of each number of days from placing to delivery, both dated at the destination.

    starts: on which day after placing the order may leave, equally likely each; way: the days from there.
    """

    starts: tuple[int, ...]
    way: Forecast

    def odds(self, days: int) -> float:
        return sum(self.way.odds(days - start) for start in self.starts) / len(self.starts)

    def days_at(self, odds: float) -> int:
        """The first day by whose end the odds are reached, or one day past the cap: no promise goes there."""
        last = max(self.starts) + CAP_DAYS
        return next((days for days in range(last) if self.odds(days) >= odds), last)


def door_to_door(
    placed_at: datetime, n_ahead: int, line: Line, way: Forecast, destination: tzinfo
) -> DoorToDoor:
    """The distribution of an order placed now behind n_ahead others. Raises NeverLeaves."""
    first = placed_at.astimezone(destination).date()
    leaving = picked_up_at(placed_at, n_ahead, line)
    return DoorToDoor(tuple((at.astimezone(destination).date() - first).days for at in leaving), way)
