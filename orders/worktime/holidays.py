"""Chinese public holidays and make-up working days: as published where they are, by rule and provisional where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import chinese_calendar
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_noop

from orders.worktime.records import CalendarDay

CHINA = ZoneInfo("Asia/Shanghai")
# The first year of the library. The statutory days were others then, so no year before it can be had by rule either.
FIRST_YEAR = 2004
# The State Council announces a year in the November before.
ANNOUNCED_IN = 11

NEW_YEAR = gettext_noop("New Year's Day")
SPRING_FESTIVAL = gettext_noop("Spring Festival")
TOMB_SWEEPING = gettext_noop("Tomb-sweeping Day")
LABOUR_DAY = gettext_noop("Labour Day")
DRAGON_BOAT = gettext_noop("Dragon Boat Festival")
MID_AUTUMN = gettext_noop("Mid-autumn Festival")
NATIONAL_DAY = gettext_noop("National Day")

# Gregorian dates of the lunar New Year, of 5/5 and of 8/15. A table, because new moons close to midnight decide them:
# in 2027 the first month begins four minutes before midnight, and approximations come out a day late.
LUNAR_FEASTS = {
    2025: (date(2025, 1, 29), date(2025, 5, 31), date(2025, 10, 6)),
    2026: (date(2026, 2, 17), date(2026, 6, 19), date(2026, 9, 25)),
    2027: (date(2027, 2, 6), date(2027, 6, 9), date(2027, 9, 15)),
    2028: (date(2028, 1, 26), date(2028, 5, 28), date(2028, 10, 3)),
    2029: (date(2029, 2, 13), date(2029, 6, 16), date(2029, 9, 22)),
    2030: (date(2030, 2, 3), date(2030, 6, 5), date(2030, 9, 12)),
    2031: (date(2031, 1, 23), date(2031, 6, 24), date(2031, 10, 1)),
    2032: (date(2032, 2, 11), date(2032, 6, 12), date(2032, 9, 19)),
}


class HolidaysUnknown(Exception):
    """Nobody here knows the holidays of that year."""


@dataclass(frozen=True, kw_only=True)
class Holiday:
    """One date that the state makes free, or has worked to make up for it."""

    day: date
    is_worked: bool
    name: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What one loading did. Rows of people are counted as kept and not touched."""

    year: int
    is_provisional: bool
    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0

    @property
    def moved_anything(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def load_chinese_holidays(year: int) -> Loaded:
    """Write the year's holidays and make-up days for every calendar that follows them; days of people stay.

    Where the year is not published, the statutory days are written as provisional; published days replace them.
    Raises HolidaysUnknown for a year before FIRST_YEAR.
    """
    published = published_days(year)
    if published is not None:
        # The year's first holiday may begin, or be made up for, in the December before, which was loaded without it.
        before = [holiday for holiday in published_days(year - 1) or [] if holiday.day.month == 12]
        return _write(year, date(year - 1, 12, 1), [*before, *published], is_provisional=False)
    if year < FIRST_YEAR:
        raise HolidaysUnknown(f"the holidays of {year} are not known: published ones begin with {FIRST_YEAR}")
    if _rows(date(year, 1, 1), year).filter(is_loaded=True, is_provisional=False).exists():
        # An older library must not turn what is certain into a guess.
        return Loaded(year=year, is_provisional=False)
    return _write(year, date(year, 1, 1), list(statutory_days(year)), is_provisional=True)


def ensure_holidays(at: datetime) -> list[Loaded]:
    """Load this year and the next where that is still to do, and replace guesses as soon as a year is published.

    One query when there is nothing to do. Returns what was loaded: open deadlines in those years may have moved.
    """
    this_year = at.astimezone(CHINA).year
    done = []
    for year in _years_to_load((this_year, this_year + 1)):
        try:
            with transaction.atomic():
                done.append(load_chinese_holidays(year))
        except IntegrityError:
            # Another process has loaded the same year in this moment.
            continue
    return [loaded for loaded in done if loaded.moved_anything]


def missing_year(at: datetime) -> int | None:
    """The year that people should be told is not published: the present one, or from 1 November the next."""
    local = at.astimezone(CHINA)
    years = [local.year, local.year + 1] if local.month >= ANNOUNCED_IN else [local.year]
    state = _state(years)
    return next((year for year in years if state[year] != "published"), None)


def published_days(year: int) -> list[Holiday] | None:
    """The year's holidays and make-up days as published; None while they are not."""
    first = date(year, 1, 1)
    try:
        details = [
            (day, *chinese_calendar.get_holiday_detail(day))
            for day in (first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days))
        ]
    except NotImplementedError:
        return None
    days = [Holiday(day=day, is_worked=not is_free, name=name) for day, is_free, name in details if name]
    # A year that only holds the overhang of another's New Year is not published.
    return days if any(holiday.day == date(year, 10, 1) for holiday in days) else None


def statutory_days(year: int) -> Iterator[Holiday]:
    """The days that the holiday law frees every year (as of 2025), without the days swapped around them.

    The lunar ones are left out where LUNAR_FEASTS ends.
    """
    yield from _free(NEW_YEAR, date(year, 1, 1))
    feasts = LUNAR_FEASTS.get(year)
    if feasts:
        eve = feasts[0] - timedelta(days=1)
        yield from _free(SPRING_FESTIVAL, eve, 4)
    yield from _free(TOMB_SWEEPING, _tomb_sweeping(year))
    yield from _free(LABOUR_DAY, date(year, 5, 1), 2)
    if feasts:
        yield from _free(DRAGON_BOAT, feasts[1])
        # A Mid-autumn within the National Day holiday is the same free day.
        if feasts[2] not in {date(year, 10, n) for n in (1, 2, 3)}:
            yield from _free(MID_AUTUMN, feasts[2])
    yield from _free(NATIONAL_DAY, date(year, 10, 1), 3)


def _free(name: str, first: date, n_days: int = 1) -> Iterator[Holiday]:
    for n in range(n_days):
        yield Holiday(day=first + timedelta(days=n), is_worked=False, name=name)


def _tomb_sweeping(year: int) -> date:
    """The day of the solar term Pure Brightness, 4 to 6 April."""
    terms = chinese_calendar.get_solar_terms(date(year, 4, 1), date(year, 4, 10))
    return cast("date", terms[0][0])


def _rows(first: date, year: int) -> models.QuerySet[CalendarDay]:
    return CalendarDay.objects.filter(calendar=None, day__gte=first, day__lte=date(year, 12, 31))


def _write(year: int, first: date, wanted: Sequence[Holiday], *, is_provisional: bool) -> Loaded:
    """Make the loaded rows from first to the year's end what is wanted."""
    with transaction.atomic():
        present = {row.day: row for row in _rows(first, year).select_for_update()}
        missing = [holiday for holiday in wanted if holiday.day not in present]
        CalendarDay.objects.bulk_create(_row(holiday, is_provisional=is_provisional) for holiday in missing)
        loaded = {day: row for day, row in present.items() if row.is_loaded}
        changed = [
            row
            for holiday in wanted
            if (row := loaded.pop(holiday.day, None)) and _correct(row, holiday, is_provisional)
        ]
        for row in loaded.values():
            row.delete()
    return Loaded(
        year=year,
        is_provisional=is_provisional,
        added=len(missing),
        changed=len(changed),
        removed=len(loaded),
        kept=sum(not row.is_loaded for row in present.values()),
    )


def _row(holiday: Holiday, *, is_provisional: bool) -> CalendarDay:
    return CalendarDay(
        day=holiday.day,
        is_worked=holiday.is_worked,
        name=holiday.name,
        is_provisional=is_provisional,
        is_loaded=True,
    )


def _correct(row: CalendarDay, holiday: Holiday, is_provisional: bool) -> bool:  # noqa: FBT001
    """Bring the row to what the holiday says; whether that changed it."""
    wanted = (holiday.is_worked, holiday.name, is_provisional)
    if (row.is_worked, row.name, row.is_provisional) == wanted:
        return False
    row.is_worked, row.name, row.is_provisional = wanted
    row.save(update_fields=["is_worked", "name", "is_provisional"])
    return True


def _years_to_load(years: Sequence[int]) -> list[int]:
    state = _state(years)
    return [
        year
        for year in years
        if state[year] == "absent" or (state[year] == "guessed" and published_days(year) is not None)
    ]


def _state(years: Sequence[int]) -> dict[int, str]:
    """Of each year: absent, guessed or published; in one query."""
    rows = list(_rows(date(years[0], 1, 1), years[-1]).values_list("day", "is_provisional", "is_loaded"))
    guessed = {day.year for day, is_provisional, is_loaded in rows if is_provisional and is_loaded}
    present = {day.year for day, is_provisional, _loaded in rows if (day.month, day.day) == (10, 1)}
    return {
        year: "guessed" if year in guessed else "published" if year in present else "absent" for year in years
    }
