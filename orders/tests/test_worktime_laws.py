"""What must hold of working time on every calendar."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from orders.worktime import Calendar, Day, add_working, add_working_days, is_open, working_between
from orders.worktime.shifts import DAY, STANDARD_SHIFTS, Shift

ZONES = ["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=729)).map(
    lambda since: FIRST + since
)
amounts = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40))


@st.composite
def shifts_of_a_day(draw: st.DrawFn) -> tuple[Shift, ...]:
    cuts = sorted(draw(st.sets(st.integers(0, DAY + 8 * 60), max_size=4)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return tuple((start, end) for start, end in pairs if start < DAY and end - start <= DAY)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    week = [draw(shifts_of_a_day()) for _day in range(6)] + [STANDARD_SHIFTS]
    dates = st.dates(date(2025, 12, 1), date(2028, 2, 1))
    days = draw(
        st.dictionaries(dates, st.builds(Day, is_worked=st.booleans(), shifts=shifts_of_a_day()), max_size=8)
    )
    return Calendar(timezone=draw(st.sampled_from(ZONES)), week=tuple(draw(st.permutations(week))), days=days)


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, amounts, amounts)
def test_adding_in_two_parts_is_adding_the_whole(calendar, start, first, second):
    in_parts = add_working(add_working(start, first, calendar), second, calendar)

    assert in_parts == add_working(start, first + second, calendar)


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, amounts)
def test_what_was_added_has_been_worked(calendar, start, amount):
    assert working_between(start, add_working(start, amount, calendar), calendar) == amount


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, moments, amounts, amounts)
def test_later_or_longer_never_ends_earlier(calendar, one, other, short, long):
    first, second = sorted((one, other))
    less, more = sorted((short, long))

    assert add_working(first, less, calendar) <= add_working(second, less, calendar)
    assert add_working(first, less, calendar) <= add_working(first, more, calendar)


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, amounts)
def test_the_end_never_lies_in_closed_time(calendar, start, amount):
    end = add_working(start, amount, calendar)

    assert is_open(end, calendar) or is_open(end - timedelta(microseconds=1), calendar)
    assert end >= start


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, moments, moments)
def test_worked_time_adds_up(calendar, first, second, third):
    whole = working_between(first, third, calendar)

    assert whole == working_between(first, second, calendar) + working_between(second, third, calendar)


@settings(deadline=None, max_examples=60)
@given(moments, amounts, st.sampled_from(ZONES))
def test_on_a_calendar_that_never_closes_working_time_is_natural_time(start, amount, zone):
    always = Calendar(timezone=zone, week=(((0, DAY),),) * 7)

    assert add_working(start, amount, always) == start + amount
    assert working_between(start, start + amount, always) == amount
    assert add_working(start + amount, timedelta(0), always) - amount == start


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, amounts)
def test_the_table_agrees_with_a_walk_over_the_intervals(calendar, start, amount):
    end = start + amount
    first, last = start.date() - timedelta(days=3), end.date() + timedelta(days=3)
    dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    marks = sorted(
        {edge for day in dates for pair in calendar.intervals_on(day) for edge in pair} | {start, end}
    )
    intervals = sorted(pair for day in dates for pair in calendar.intervals_on(day))
    walked = timedelta(0)
    for left, right in pairwise(marks):
        begun = intervals[: bisect_right(intervals, (left, datetime.max.replace(tzinfo=UTC)))]
        if start <= left and right <= end and any(opens <= left < closes for opens, closes in begun):
            walked += right - left

    assert working_between(start, end, calendar) == walked


@settings(deadline=None, max_examples=60)
@given(calendars(), moments, st.integers(1, 15), st.integers(1, 15))
def test_more_working_days_end_later(calendar, start, fewer, more):
    near = add_working_days(start, fewer, calendar)
    far = add_working_days(start, fewer + more, calendar)

    assert start < near
    # A long night shift may outlast the next day's shifts, so that two days can end together or out of turn by hours.
    assert far > near - timedelta(hours=8)
