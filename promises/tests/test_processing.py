from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from orders.worktime import Calendar, Day
from promises.eta.calibration import Curve
from promises.eta.forecast import Forecast
from promises.eta.processing import (
    DoorToDoor,
    Line,
    NeverLeaves,
    door_to_door,
    next_pickup,
    picked_up_at,
    rates,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
NINE_TO_SIX = (9 * 60, 18 * 60)
MONDAY = datetime(2026, 6, 1, 10, 0, tzinfo=SHANGHAI)


def calendar_with(**days):
    """Monday to Friday 9 to 18, these dates closed."""
    closed = {date.fromisoformat(day): Day(is_worked=False) for day in days.get("closed", ())}
    return Calendar(week=((NINE_TO_SIX,),) * 5 + ((), ()), days=closed)


def line_with(*, closed=(), paces=(10.0,), pickups=(time(16),)):
    return Line(calendar=calendar_with(closed=closed), rates=tuple(paces), pickups=tuple(pickups))


def way_of(median_days=5.0):
    residuals = np.linspace(-2, 3, 126)
    curve = Curve(residuals, 1 / (1 + np.exp(-residuals / 0.15)))
    return Forecast(expected=float(np.log(median_days + 1)), curve=curve, level="city", n=40)


@pytest.mark.parametrize(
    ("ready", "leaves"),
    [
        ("2026-06-01T15:59:59", "2026-06-01T16:00:00"),
        ("2026-06-01T16:00:00", "2026-06-02T16:00:00"),
        ("2026-06-05T16:00:00", "2026-06-08T16:00:00"),
    ],
)
def test_what_is_ready_before_the_cut_off_leaves_with_it(ready, leaves):
    at = next_pickup(datetime.fromisoformat(ready).replace(tzinfo=SHANGHAI), line_with())

    assert at == datetime.fromisoformat(leaves).replace(tzinfo=SHANGHAI)


def test_several_cut_offs_a_day_are_allowed_in_any_order():
    line = line_with(pickups=(time(16), time(11)))

    assert next_pickup(MONDAY, line).time() == time(11)
    assert next_pickup(MONDAY + timedelta(hours=1), line).time() == time(16)


def test_the_cut_off_is_on_the_clock_of_the_warehouse():
    # 03:30 in New York is 15:30 in Shanghai.
    ready = datetime(2026, 6, 1, 3, 30, tzinfo=NEW_YORK)

    assert next_pickup(ready, line_with()) == datetime(2026, 6, 1, 16, 0, tzinfo=SHANGHAI)


def test_a_closed_warehouse_sends_nothing_and_works_nothing_off():
    open_line, closed_line = line_with(), line_with(closed=["2026-06-02", "2026-06-03"])

    # 50 ahead at 10 an hour: Monday 10:00 and 5 hours 6 minutes of work; 100 ahead: into the next day that is worked.
    assert picked_up_at(MONDAY, 50, open_line)[0].date() == date(2026, 6, 1)
    assert picked_up_at(MONDAY, 100, open_line)[0].date() == date(2026, 6, 2)
    assert picked_up_at(MONDAY, 100, closed_line)[0].date() == date(2026, 6, 4)


def test_the_pace_is_read_per_hour_of_worked_days_and_a_holiday_is_no_day_without_work():
    calendar = calendar_with(closed=["2026-05-28"])
    finished = [datetime(2026, 5, 29, 12, 0, tzinfo=SHANGHAI)] * 18 + [
        datetime(2026, 5, 27, 12, 0, tzinfo=SHANGHAI)
    ] * 9

    found = rates(finished, calendar, MONDAY)

    assert found[:3] == (2.0, 1.0, 0.0)
    assert len(found) == 14


def test_doubling_the_queue_and_four_times_the_queue_never_promise_earlier():
    line = line_with(paces=(8.0, 10.0, 12.0, 0.0))

    found = [
        door_to_door(MONDAY, ahead, line, way_of(), SHANGHAI).days_at(0.9) for ahead in (0, 50, 100, 200, 400)
    ]

    assert found == sorted(found)
    assert found[-1] > found[1]


def test_a_day_on_which_nothing_was_finished_slows_the_others_down():
    steady, shaky = line_with(paces=(10.0, 10.0)), line_with(paces=(10.0, 0.0))

    assert picked_up_at(MONDAY, 50, steady)[0] < picked_up_at(MONDAY, 50, shaky)[0]


def test_the_parts_are_put_together_by_cases_and_not_by_adding_quantiles():
    # One start in ten is ten days late. Added quantiles would promise ten days more to everybody at 95 %.
    way = way_of()
    mixed = DoorToDoor((0,) * 9 + (10,), way)

    assert mixed.odds(8) == pytest.approx(0.9 * way.odds(8) + 0.1 * way.odds(-2))
    assert mixed.days_at(0.5) <= way.days_at(0.5) + 2
    assert way.days_at(0.95) < mixed.days_at(0.95) < way.days_at(0.95) + 10


def test_days_are_dated_at_the_destination():
    # The pick-up at 16:00 in Shanghai is 04:00 in New York, still the date on which the order was placed there.
    placed = datetime(2026, 6, 1, 0, 30, tzinfo=NEW_YORK)

    assert door_to_door(placed, 0, line_with(), way_of(), NEW_YORK).starts == (0,)


def test_a_warehouse_that_finished_nothing_gives_no_date():
    with pytest.raises(NeverLeaves):
        picked_up_at(MONDAY, 0, line_with(paces=(0.0, 0.0)))
    with pytest.raises(NeverLeaves):
        next_pickup(MONDAY, line_with(pickups=()))
