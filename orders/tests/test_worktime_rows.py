"""Calendars as rows: what is read, when it is read anew, and what loading holidays writes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from io import StringIO

import chinese_calendar
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import transaction

from orders.models import AuditEntry
from orders.worktime import (
    CalendarDay,
    WorkCalendar,
    add_working,
    calendar_of,
    default_calendar,
    ensure_holidays,
    is_provisional,
    load_chinese_holidays,
    missing_year,
)
from orders.worktime.holidays import LUNAR_FEASTS, HolidaysUnknown, Loaded, statutory_days
from orders.worktime.shifts import parse_shifts

pytestmark = pytest.mark.django_db

NOVEMBER = datetime(2026, 11, 22, 2, tzinfo=UTC)
HALF_DAY = [["09:00", "12:00"]]
NEW_MOONS_APART = 29.530588


def make_calendar(**what_matters) -> WorkCalendar:
    return WorkCalendar.objects.create(**{"name": "Warehouse", **what_matters})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_worked_dates_of_2026_hold_on_loaded_rows():
    load_chinese_holidays(2026)
    calendar = calendar_of(make_calendar())

    assert add_working(utc("2026-02-14 09:30"), timedelta(hours=9), calendar) == utc("2026-02-24 09:30")
    assert add_working(utc("2026-09-30 09:00"), timedelta(hours=9), calendar) == utc("2026-10-08 09:00")
    assert add_working(utc("2026-10-09 09:00"), timedelta(hours=9), calendar) == utc("2026-10-10 09:00")


def test_a_calendar_that_does_not_follow_chinese_holidays_ignores_them():
    load_chinese_holidays(2026)
    calendar = calendar_of(make_calendar(follows_chinese_holidays=False))

    assert add_working(utc("2026-10-09 09:00"), timedelta(hours=9), calendar) == utc("2026-10-12 09:00")
    assert not is_provisional(utc("2027-05-01 00:00"), utc("2027-05-02 00:00"), calendar)


def test_a_calendars_own_day_outranks_the_day_for_all():
    load_chinese_holidays(2026)
    row = make_calendar()
    CalendarDay.objects.create(calendar=row, day=date(2026, 10, 1), is_worked=True, shifts=HALF_DAY)
    other = make_calendar(name="Other")

    assert calendar_of(row).shifts_on(date(2026, 10, 1)) == ((540, 720),)
    assert calendar_of(other).shifts_on(date(2026, 10, 1)) == ()


def test_without_any_row_the_standard_week_in_china_applies():
    calendar = default_calendar()

    assert calendar.timezone == "Asia/Shanghai"
    assert [bool(shifts) for shifts in calendar.week] == [True] * 5 + [False] * 2
    assert add_working(utc("2026-03-02 00:00"), timedelta(hours=9), calendar) == utc("2026-03-02 10:00")


def test_the_row_marked_as_default_is_the_default():
    make_calendar(name="Usual", is_default=True, timezone="Europe/Berlin")

    assert default_calendar().name == "Usual"
    assert calendar_of(None).timezone == "Europe/Berlin"


def test_a_calendar_read_once_costs_no_query_the_next_time(django_assert_num_queries):
    row = make_calendar()
    first = calendar_of(row)

    with django_assert_num_queries(0):
        assert calendar_of(row) is first


def shorten(day: CalendarDay) -> None:
    day.shifts = HALF_DAY
    day.save(update_fields=["shifts"])


MARCH_4 = date(2026, 3, 4)
CHANGES = {
    "a day is added": lambda row, day: CalendarDay.objects.create(calendar=row, day=MARCH_4, is_worked=False),
    "a day for all is added": lambda row, day: CalendarDay.objects.create(day=MARCH_4, is_worked=False),
    "a day is saved": lambda row, day: shorten(day),
    "a day is deleted": lambda row, day: day.delete(),
    "days are updated in bulk": lambda row, day: CalendarDay.objects.filter(pk=day.pk).update(
        is_worked=False
    ),
    "days are deleted in bulk": lambda row, day: CalendarDay.objects.filter(pk=day.pk).delete(),
    "days are created in bulk": lambda row, day: CalendarDay.objects.bulk_create(
        [CalendarDay(day=MARCH_4, is_worked=False)]
    ),
    "the week is updated in bulk": lambda row, day: WorkCalendar.objects.filter(pk=row.pk).update(
        week=[HALF_DAY] * 7
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen_by_whoever_reads_the_row_next(what):
    row = make_calendar()
    day = CalendarDay.objects.create(calendar=row, day=date(2026, 3, 7), is_worked=True)
    days = [MARCH_4, date(2026, 3, 7)]
    row.refresh_from_db()
    before = [calendar_of(row).shifts_on(day) for day in days]

    CHANGES[what](row, day)

    row.refresh_from_db()
    assert [calendar_of(row).shifts_on(day) for day in days] != before


def test_a_change_that_is_rolled_back_leaves_nothing_behind():
    row = make_calendar()
    before = calendar_of(row)

    with transaction.atomic():
        CalendarDay.objects.create(calendar=row, day=date(2026, 3, 4), is_worked=False)
        row.refresh_from_db()
        within = calendar_of(row)
        transaction.set_rollback(True)

    row.refresh_from_db()
    assert within.shifts_on(date(2026, 3, 4)) == ()
    assert calendar_of(row) is before


def test_a_new_version_is_no_change_in_the_audit():
    row = make_calendar()
    n_before = AuditEntry.objects.filter(model="orders.workcalendar").count()

    row.save()
    CalendarDay.objects.create(day=date(2026, 3, 4), is_worked=False)

    assert AuditEntry.objects.filter(model="orders.workcalendar").count() == n_before
    assert AuditEntry.objects.filter(model="orders.calendarday", action="create").count() == 1


def test_loading_twice_changes_nothing():
    first = load_chinese_holidays(2026)

    second = load_chinese_holidays(2026)

    # 33 free days and 6 made up for; none in the December before.
    assert first == Loaded(year=2026, is_provisional=False, added=39)
    assert second == Loaded(year=2026, is_provisional=False)
    assert CalendarDay.objects.filter(is_worked=True).count() == 6


def test_the_december_before_is_loaded_with_the_year_that_it_belongs_to():
    load_chinese_holidays(2023)

    assert CalendarDay.objects.get(day=date(2022, 12, 31)).name == "New Year's Day"
    assert not CalendarDay.objects.filter(day__lt=date(2022, 12, 31)).exists()


def test_2027_is_loaded_by_rule_and_marked_provisional():
    loaded = load_chinese_holidays(2027)

    assert loaded == Loaded(year=2027, is_provisional=True, added=13)
    assert [(f"{row.day:%m-%d}", row.name) for row in CalendarDay.objects.all()] == [
        ("01-01", "New Year's Day"),
        ("02-05", "Spring Festival"),
        ("02-06", "Spring Festival"),
        ("02-07", "Spring Festival"),
        ("02-08", "Spring Festival"),
        ("04-05", "Tomb-sweeping Day"),
        ("05-01", "Labour Day"),
        ("05-02", "Labour Day"),
        ("06-09", "Dragon Boat Festival"),
        ("09-15", "Mid-autumn Festival"),
        ("10-01", "National Day"),
        ("10-02", "National Day"),
        ("10-03", "National Day"),
    ]
    assert not CalendarDay.objects.exclude(is_provisional=True, is_loaded=True, is_worked=False).exists()


@pytest.mark.parametrize("year", [2025, 2026])
def test_the_statutory_days_are_among_the_published_ones(year):
    for holiday in statutory_days(year):
        assert chinese_calendar.get_holiday_detail(holiday.day) == (True, holiday.name)


@pytest.mark.parametrize("year", LUNAR_FEASTS)
def test_lunar_feasts_lie_whole_months_after_a_published_new_year(year):
    new_year, dragon_boat, mid_autumn = LUNAR_FEASTS[year]
    month_begins = [new_year, dragon_boat - timedelta(days=4), mid_autumn - timedelta(days=14)]

    for begins in month_begins:
        months = (begins - date(2026, 2, 17)).days / NEW_MOONS_APART
        assert abs(months - round(months)) * NEW_MOONS_APART < 0.9
    assert date(year, 1, 21) <= new_year <= date(year, 2, 20)


def test_lunar_feasts_beyond_the_table_are_left_out():
    names = {holiday.name for holiday in statutory_days(2040)}

    assert names == {"New Year's Day", "Tomb-sweeping Day", "Labour Day", "National Day"}


def test_published_days_replace_guessed_ones_and_leave_peoples_days():
    CalendarDay.objects.create(day=date(2026, 1, 1), is_worked=False, is_provisional=True, is_loaded=True)
    CalendarDay.objects.create(day=date(2026, 3, 9), is_worked=False, is_provisional=True, is_loaded=True)
    own = CalendarDay.objects.create(day=date(2026, 10, 7), is_worked=True, name="stock-taking")

    loaded = load_chinese_holidays(2026)

    assert loaded == Loaded(year=2026, is_provisional=False, added=37, changed=1, removed=1, kept=1)
    assert not CalendarDay.objects.filter(is_provisional=True).exists()
    own.refresh_from_db()
    assert (own.is_worked, own.name) == (True, "stock-taking")


def test_a_guess_never_replaces_published_days():
    CalendarDay.objects.create(day=date(2027, 10, 1), is_worked=False, is_loaded=True)

    assert load_chinese_holidays(2027) == Loaded(year=2027, is_provisional=False)
    assert CalendarDay.objects.count() == 1


def test_ensuring_loads_this_year_and_the_next_once(django_assert_num_queries):
    loaded = ensure_holidays(NOVEMBER)

    assert [(each.year, each.is_provisional) for each in loaded] == [(2026, False), (2027, True)]
    with django_assert_num_queries(1):
        assert ensure_holidays(NOVEMBER) == []


def test_ensuring_replaces_guesses_of_a_year_that_has_been_published():
    CalendarDay.objects.create(day=date(2026, 10, 1), is_worked=False, is_provisional=True, is_loaded=True)

    loaded = ensure_holidays(datetime(2026, 3, 2, tzinfo=UTC))

    assert loaded[0] == Loaded(year=2026, is_provisional=False, added=38, changed=1)


def test_deadlines_in_a_guessed_or_unknown_year_are_provisional():
    ensure_holidays(NOVEMBER)
    calendar = default_calendar()

    assert not is_provisional(utc("2026-11-22 00:00"), utc("2026-12-31 15:59"), calendar)
    assert is_provisional(utc("2026-11-22 00:00"), utc("2026-12-31 16:00"), calendar)
    assert is_provisional(utc("2027-07-01 00:00"), utc("2027-07-02 00:00"), calendar)
    assert is_provisional(utc("2029-07-01 00:00"), utc("2029-07-02 00:00"), calendar)


def test_a_year_that_people_have_confirmed_day_by_day_is_certain_and_stays_theirs():
    ensure_holidays(NOVEMBER)

    CalendarDay.objects.filter(is_provisional=True).update(is_provisional=False, is_loaded=False)

    assert not is_provisional(utc("2027-07-01 00:00"), utc("2027-07-02 00:00"), default_calendar())
    assert missing_year(NOVEMBER) is None
    assert ensure_holidays(NOVEMBER) == []


def test_the_next_year_is_missed_from_november_on():
    ensure_holidays(NOVEMBER)

    assert missing_year(utc("2026-10-31 15:59")) is None
    assert missing_year(utc("2026-10-31 16:00")) == 2027
    assert missing_year(utc("2027-03-01 00:00")) == 2027


def test_a_year_before_the_data_is_refused_and_nothing_written():
    with pytest.raises(
        HolidaysUnknown, match="the holidays of 1999 are not known: published ones begin with 2004"
    ):
        load_chinese_holidays(1999)

    assert not CalendarDay.objects.exists()


def test_the_command_says_what_each_year_got():
    out = StringIO()

    call_command("load_holidays", "2026", "2027", stdout=out)

    assert out.getvalue().splitlines() == [
        "2026: as published; 39 added, 0 changed, 0 removed, 0 entered by people left as they are",
        "2027: not published: statutory days, provisional; 13 added, 0 changed, 0 removed, "
        "0 entered by people left as they are",
    ]
    with pytest.raises(CommandError, match="the holidays of 1999 are not known"):
        call_command("load_holidays", "1999")


@pytest.mark.parametrize(
    ("typed", "pairs"),
    [
        ("09:00-12:00, 13:00-18:00", [["09:00", "12:00"], ["13:00", "18:00"]]),
        ("9：00－12：00，13：00～18：00", [["09:00", "12:00"], ["13:00", "18:00"]]),
        ("22:00 至 6:00", [["22:00", "06:00"]]),
        ("00:00-24:00", [["00:00", "24:00"]]),
        ("  ", []),
    ],
)
def test_shifts_are_read_as_people_write_them(typed, pairs):
    assert parse_shifts(typed) == pairs


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("nine to five", "“nine to five” is not a shift"),
        ("09:00", "“09:00” is not a shift"),
        ("09:00-12:00,,13:00-18:00", "“” is not a shift"),
        ("09:00-25:00", "“25:00” is not a time of day"),
        ("09:60-12:00", "“09:60” is not a time of day"),
        ("24:00-06:00", "A shift cannot start at 24:00"),
        ("09:00-09:00", "A shift cannot start and end at 09:00"),
        ("09:00-12:00, 11:00-18:00", "Two shifts of one day overlap: one starts at 11:00"),
    ],
)
def test_shifts_that_make_no_sense_are_refused_with_the_reason(typed, message, settings):
    settings.LANGUAGE_CODE = "en"

    with pytest.raises(ValidationError, match=message):
        parse_shifts(typed)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"week": [[]] * 7}, "No day of this week has a shift"),
        ({"week": [HALF_DAY] * 6}, "A week must be seven lists"),
        ({"week": {"monday": HALF_DAY}}, "A week must be seven lists"),
        ({"week": [[["09:00"]]] * 7}, "A shift must be a pair of times"),
        ({"week": ["09:00-18:00"] * 7}, "must be a list of pairs"),
        (
            {"week": [[["20:00", "09:30"]], HALF_DAY, [], [], [], [], []]},
            "ends at 09:30 overlaps the next day's first shift",
        ),
        ({"timezone": "Asia/Peking"}, "“Asia/Peking” is not a time zone"),
        ({"timezone": "../etc/passwd"}, "is not a time zone"),
        ({"timezone": ""}, "is not a time zone"),
    ],
)
def test_a_calendar_that_cannot_work_is_refused_with_the_reason(fields, message, settings):
    settings.LANGUAGE_CODE = "en"

    with pytest.raises(ValidationError, match=message):
        WorkCalendar(name="new", **fields).clean()


def test_a_free_day_with_shifts_is_refused(settings):
    settings.LANGUAGE_CODE = "en"

    with pytest.raises(ValidationError, match="A free day has no shifts"):
        CalendarDay(day=date(2026, 3, 4), is_worked=False, shifts=HALF_DAY).clean()
