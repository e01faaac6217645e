"""Makes a Calendar of rows, and keeps it for as long as the rows stay as they are."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from django.db.models import Q

from orders.worktime.hours import Calendar, Day
from orders.worktime.records import CalendarDay, WorkCalendar
from orders.worktime.shifts import Shift, minutes_of, standard_week

# (of one calendar only, date, worked, shifts, provisional, name, loaded)
DayRow = tuple[bool, date, bool, tuple[Shift, ...], bool, str, bool]

_MOST_KEPT = 64
_kept: dict[tuple[int, str], Calendar] = {}


def calendar_of(row: WorkCalendar | None) -> Calendar:
    """The calendar of this row as it was read; without a row, the default one.

    A row costs no query as long as its version has been seen before: the version changes, in the same transaction,
    with every change of any calendar or day, so a Calendar kept here can be neither stale nor from a transaction
    that was rolled back. Without a row it costs one query; loops ask once before they start.
    """
    row = row or WorkCalendar.objects.filter(is_default=True).first()
    if row is None or row.pk is None:
        return _read(row or WorkCalendar(name="", week=standard_week()))
    key = (row.pk, row.version)
    known = _kept.get(key)
    if known is None:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        known = _kept[key] = _read(row)
    return known


def default_calendar() -> Calendar:
    """The calendar marked as default; where none is, Monday to Friday 09:00-18:00 in China with its holidays."""
    return calendar_of(None)


def _read(row: WorkCalendar) -> Calendar:
    days = CalendarDay.objects.none()
    if row.pk is not None:
        days = CalendarDay.objects.filter(calendar=row.pk)
    if row.follows_chinese_holidays:
        days = CalendarDay.objects.filter(Q(calendar=row.pk) | Q(calendar=None))
    fields = ("calendar_id", "day", "is_worked", "shifts", "is_provisional", "name", "is_loaded")
    return _calendar(
        row.name,
        row.timezone,
        tuple(minutes_of(pairs) for pairs in row.week),
        row.follows_chinese_holidays,
        tuple(
            (calendar_id is not None, day, is_worked, minutes_of(shifts), is_provisional, name, is_loaded)
            for calendar_id, day, is_worked, shifts, is_provisional, name, is_loaded in days.values_list(
                *fields
            )
        ),
    )


@lru_cache(maxsize=_MOST_KEPT)
def _calendar(
    name: str,
    timezone: str,
    week: tuple[tuple[Shift, ...], ...],
    keeps_holidays: bool,  # noqa: FBT001 - the whole row, by position, is the key
    rows: tuple[DayRow, ...],
) -> Calendar:
    """Equal rows give the same object, with the intervals it has worked out already."""
    # A calendar's own day outranks the one for all.
    days = {
        day: Day(is_worked=is_worked, shifts=shifts, is_provisional=is_provisional, name=title)
        for _own, day, is_worked, shifts, is_provisional, title, _loaded in sorted(rows)
    }
    return Calendar(
        name=name,
        timezone=timezone,
        week=week,
        days=days,
        published_years=published_years(rows) if keeps_holidays else None,
    )


def published_years(rows: tuple[DayRow, ...]) -> frozenset[int]:
    """The years with a certain 1 October, which no published year lacks, and without a day that the loader guessed."""
    common = [
        (day, is_provisional, loaded)
        for own, day, _worked, _shifts, is_provisional, _name, loaded in rows
        if not own
    ]
    certain = {
        day.year
        for day, is_provisional, _loaded in common
        if (day.month, day.day) == (10, 1) and not is_provisional
    }
    guessed = {day.year for day, is_provisional, loaded in common if is_provisional and loaded}
    return frozenset(certain - guessed)
