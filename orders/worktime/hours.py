"""Arithmetic on working time. Pure: no database, no clock. Aware datetimes in, aware UTC datetimes out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from orders.worktime.shifts import DAY, STANDARD_SHIFTS, Shift

LONGEST_CLOSURE = timedelta(days=400)
NOTHING = timedelta(0)
ONE_DAY = timedelta(days=1)


class CalendarNeverOpens(Exception):
    """The calendar has no working time at all, so nothing can fall due on it."""


class CalendarClosedTooLong(CalendarNeverOpens):
    """The calendar has no working time for more than LONGEST_CLOSURE."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """What one date is, where it differs from the weekly pattern. A worked day without shifts has the usual ones."""

    is_worked: bool
    shifts: tuple[Shift, ...] = ()
    is_provisional: bool = False
    name: str = ""


@dataclass(frozen=True)
class Table:
    """The working intervals of one year (UTC), in order and apart, with the time worked before each.

    Years are counted apart so that a date far off costs one more table, not all the years between.
    """

    starts: list[datetime]
    ends: list[datetime]
    sums: list[timedelta]
    total: timedelta

    def worked_before(self, at: datetime) -> timedelta:
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return NOTHING
        return self.sums[index] + min(at, self.ends[index]) - self.starts[index]

    def when_worked(self, amount: timedelta) -> datetime:
        """The first instant at which amount is worked; 0 < amount <= total."""
        index = bisect_left(self.sums, amount) - 1
        return self.starts[index] + (amount - self.sums[index])

    def touches(self, at: datetime) -> bool:
        """Inside an interval or at its end."""
        index = bisect_right(self.starts, at) - 1
        return index >= 0 and at <= self.ends[index]

    def is_open(self, at: datetime) -> bool:
        index = bisect_right(self.starts, at) - 1
        return index >= 0 and at < self.ends[index]


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """When an office or warehouse works: a time zone, a week of shifts (Monday first), and the dates that differ.

    Shifts are wall-clock times of the zone: 09:00 stays 09:00 when the clocks change.
    """

    name: str = ""
    timezone: str = "Asia/Shanghai"
    week: tuple[tuple[Shift, ...], ...] = (STANDARD_SHIFTS,) * 5 + ((), ())
    days: Mapping[date, Day] = field(default_factory=dict)
    # The years whose holidays are published; None for a calendar that keeps no public holidays.
    published_years: frozenset[int] | None = None
    _tables: dict[int, Table] = field(default_factory=dict, init=False, repr=False, compare=False)

    def shifts_on(self, day: date) -> tuple[Shift, ...]:
        """The shifts that begin on this date; none on a free day."""
        own = self.week[day.weekday()]
        special = self.days.get(day)
        if special is None:
            return own
        if not special.is_worked:
            return ()
        return special.shifts or own or self.usual_shifts

    def is_provisional_on(self, day: date) -> bool:
        """Whether publication of the year's holidays, or a person, may still change this date."""
        special = self.days.get(day)
        if special is not None and special.is_provisional:
            return True
        return self.published_years is not None and day.year not in self.published_years

    def local_date(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def usual_shifts(self) -> tuple[Shift, ...]:
        """What a worked day has when its weekday is normally free: the shifts of the week's first worked day."""
        return next((shifts for shifts in self.week if shifts), ())

    @cached_property
    def has_shifts(self) -> bool:
        return any(self.week) or any(day.is_worked and day.shifts for day in self.days.values())

    def table(self, year: int) -> Table:
        """The working intervals within one UTC year, built once."""
        known = self._tables.get(year)
        if known is None:
            known = self._tables[year] = _table(self, year)
        return known

    def intervals_on(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """From and to, in UTC, of the shifts that begin on this date. A shift that the clock change swallows is left out."""
        for start, end in self.shifts_on(day):
            opens, closes = _instant(day, start, self.zone), _instant(day, end, self.zone)
            if opens < closes:
                yield opens, closes


def add_working(start: datetime, amount: timedelta, calendar: Calendar) -> datetime:
    """The first instant at which amount of working time has passed since start.

    It lies in a shift or at a shift's end, never in closed time: with no amount, a start in closed time gives the next
    opening. Raises CalendarNeverOpens (or CalendarClosedTooLong) where no such instant can be found, ValueError for a
    negative amount or a start without a time zone.
    """
    at = _utc(start)
    if amount < NOTHING:
        raise ValueError(f"working time to add must not be negative: {amount}")
    _refuse_empty(calendar)
    if not amount:
        return at if _touches(calendar, at) else _next_opening(at, calendar)
    worked_until = at
    year = at.year
    table = calendar.table(year)
    amount += table.worked_before(at)
    while amount > table.total:
        amount -= table.total
        if table.ends:
            worked_until = max(worked_until, table.ends[-1])
        year += 1
        table = calendar.table(year)
        _refuse_closure(worked_until, table.starts[0] if table.starts else _new_year(year + 1), calendar)
    return table.when_worked(amount)


def working_between(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """Working time from start to end; negative if end is before start."""
    first, last = _utc(start), _utc(end)
    if last < first:
        return -working_between(last, first, calendar)
    whole_years = sum((calendar.table(year).total for year in range(first.year, last.year)), NOTHING)
    return (
        whole_years
        - calendar.table(first.year).worked_before(first)
        + calendar.table(last.year).worked_before(last)
    )


def add_working_days(start: datetime, n: int, calendar: Calendar) -> datetime:
    """The end of the last shift of the n-th working day after start's.

    Within a night shift, start's day is the day on which the shift began. Raises as add_working does; n is at least 1.
    """
    at = _utc(start)
    if n < 1:
        raise ValueError(f"working days to add must be at least 1: {n}")
    _refuse_empty(calendar)
    worked_on = day = _working_date(at, calendar)
    while n:
        day += ONE_DAY
        if day - worked_on > LONGEST_CLOSURE:
            raise _closed_too_long(calendar, worked_on)
        if _ends_on(day, calendar):
            worked_on = day
            n -= 1
    return max(_ends_on(day, calendar))


def is_provisional(start: datetime, end: datetime, calendar: Calendar) -> bool:
    """Whether any date from start to end may still change, because its year's holidays are not published."""
    first, last = sorted((calendar.local_date(start), calendar.local_date(end)))
    published = calendar.published_years
    if published is not None and any(year not in published for year in range(first.year, last.year + 1)):
        return True
    return any(day.is_provisional and first <= on <= last for on, day in calendar.days.items())


def is_open(at: datetime, calendar: Calendar) -> bool:
    """Whether a shift is on. At its end it is over."""
    moment = _utc(at)
    return calendar.table(moment.year).is_open(moment)


def _utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError(f"a time without a time zone cannot be placed on a calendar: {at}")
    return at.astimezone(UTC)


def _new_year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def _touches(calendar: Calendar, at: datetime) -> bool:
    if calendar.table(at.year).touches(at):
        return True
    # A night shift that ends at the very turn of the year stands in the old year's table.
    return at == _new_year(at.year) and calendar.table(at.year - 1).touches(at)


def _next_opening(at: datetime, calendar: Calendar) -> datetime:
    year = at.year
    while True:
        starts = calendar.table(year).starts
        index = bisect_left(starts, at)
        year += 1
        found = starts[index] if index < len(starts) else None
        _refuse_closure(at, found or _new_year(year), calendar)
        if found:
            return found


def _working_date(at: datetime, calendar: Calendar) -> date:
    """The local date, or the one before if a shift that began then is still on."""
    today = calendar.local_date(at)
    yesterday = today - ONE_DAY
    if any(opens <= at < closes for opens, closes in calendar.intervals_on(yesterday)):
        return yesterday
    return today


def _ends_on(day: date, calendar: Calendar) -> list[datetime]:
    return [closes for _opens, closes in calendar.intervals_on(day)]


def _refuse_empty(calendar: Calendar) -> None:
    if not calendar.has_shifts:
        raise CalendarNeverOpens(f"the calendar {calendar.name!r} has no shifts")


def _refuse_closure(since: datetime, until: datetime, calendar: Calendar) -> None:
    if until - since > LONGEST_CLOSURE:
        raise _closed_too_long(calendar, since.date())


def _closed_too_long(calendar: Calendar, since: date) -> CalendarClosedTooLong:
    return CalendarClosedTooLong(
        f"the calendar {calendar.name!r} has no working time for {LONGEST_CLOSURE.days} days after {since}"
    )


def _table(calendar: Calendar, year: int) -> Table:
    year_start, year_end = _new_year(year), _new_year(year + 1)
    # Two days more on each side: zones are up to 14 hours off UTC, and a shift may end on the day after it began.
    first = date(year, 1, 1) - 2 * ONE_DAY
    n_days = (date(year + 1, 1, 1) - date(year, 1, 1)).days + 4
    starts: list[datetime] = []
    ends: list[datetime] = []
    for opens, closes in sorted(
        interval for n in range(n_days) for interval in calendar.intervals_on(first + n * ONE_DAY)
    ):
        if closes <= year_start or opens >= year_end:
            continue
        if ends and opens <= ends[-1]:
            ends[-1] = max(ends[-1], min(closes, year_end))
        else:
            starts.append(max(opens, year_start))
            ends.append(min(closes, year_end))
    sums: list[timedelta] = []
    total = NOTHING
    for opens, closes in zip(starts, ends, strict=True):
        sums.append(total)
        total += closes - opens
    return Table(starts, ends, sums, total)


def _instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """When the zone's clocks show this minute of the day. Of an hour that comes twice, the first; of one that the clocks
    skip, the moment of the skip: neither opening nor closing may fall into time that the wall clock calls closed."""
    days, minute = divmod(minute, DAY)
    wall = datetime(day.year, day.month, day.day, *divmod(minute, 60), tzinfo=zone) + timedelta(days=days)
    after = wall.astimezone(UTC)
    if after.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return after
    return _clock_change(wall.replace(fold=1).astimezone(UTC), after, zone)


def _clock_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second of the zone's new offset, which lies between the two instants."""
    new_offset = after.astimezone(zone).utcoffset()
    seconds = range(int((after - before).total_seconds()) + 1)
    return before + timedelta(
        seconds=bisect_left(
            seconds,
            x=True,
            key=lambda n: (before + timedelta(seconds=n)).astimezone(zone).utcoffset() == new_offset,
        )
    )
