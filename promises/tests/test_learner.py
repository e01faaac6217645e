from __future__ import annotations

import json
import random
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from promises.eta.book import Book
from promises.eta.calibration import Curve
from promises.eta.features import GROUPS, describe
from promises.eta.fit import BASE, fit
from promises.eta.forecast import Forecast, NoDate, NoDateReason, promise
from promises.eta.learner import Learner
from promises.eta.orders import Past, Placed, days_until, end_of, moment
from promises.eta.surge import PlannedSurge, waits
from promises.replay import PLACED, events
from promises.tests.histories import START, cut, learned, make_history, make_order, make_past

DAY = timedelta(days=1)


def told(history: list[Past]) -> dict[str, object]:
    """What was said of each order when it was placed."""
    learner, said = Learner(), {}
    for event in events(history):
        order = history[event.number].order
        if event.kind == PLACED:
            said[order.key] = promise(order, learner.placed(order))
        elif event.kind == 1:
            learner.handed(order.key, event.when)
        else:
            learner.delivered(order.key, event.when)
    return said


def test_what_happens_later_changes_nothing_that_was_said_before():
    history = make_history(900, per_day=20)
    at = START + 30 * DAY

    whole, stopped = told(history), told(cut(history, at))

    before = [past.order.key for past in history if past.order.placed_at <= at]
    assert len(before) > 500
    assert [whole[key] for key in before] == [stopped[key] for key in before]


def test_an_order_that_came_is_learned_from_when_it_comes_and_not_before():
    history = [make_past(4.0, placed_at=START + n * DAY / 50) for n in range(50)]

    early = learned(history, START + 3 * DAY)
    late = learned(history, START + 6 * DAY)

    assert early.n_delivered == 0
    assert late.n_delivered == 50


def test_without_history_there_is_no_date_but_the_number_of_orders():
    learner = learned([make_past(4.0, placed_at=START + n * DAY) for n in range(3)], START + 20 * DAY)

    said = learner.placed(make_order(placed_at=START + 20 * DAY))

    assert promise(make_order(), said) == NoDate(NoDateReason.NOT_ENOUGH_HISTORY, 3)


def test_the_level_is_the_nearest_place_with_thirty_delivered_orders():
    def orders(n, **place):
        return [make_past(5.0, placed_at=START + k * DAY / 40, **place) for k in range(n)]

    history = [
        *orders(29, province="P", city="C", county="K"),
        *orders(1, province="P", city="C", county="other"),
        *orders(40, province="Q", city="D", carrier="fast"),
    ]
    learner = learned(sorted(history, key=lambda past: past.order.placed_at), START + 20 * DAY)

    assert learner.level_of(make_order(province="P", city="C", county="K")) == ("city", 30)
    assert learner.level_of(make_order(province="P", city="new")) == ("province", 30)
    assert learner.level_of(make_order(province="new", carrier="fast")) == ("carrier", 40)
    assert learner.level_of(make_order(province="new", carrier="none such")) == ("", 0)


def test_under_two_hundred_orders_the_place_alone_speaks_and_already_orders_the_dates():
    history = [
        make_past(days, province=province, placed_at=START + n * DAY / 10, distance_km=far)
        for n in range(70)
        for province, days, far in (("near", 3.0, 100), ("far", 12.0, 2000))
    ]
    learner = learned(history, START + 30 * DAY)
    at = START + 30 * DAY

    near = learner.placed(make_order(province="near", placed_at=at))
    far = learner.placed(make_order(province="far", placed_at=at))

    assert learner.n_delivered == 140
    assert near.parts["goods_and_distance"] == 0.0
    assert near.days_at(0.9) < far.days_at(0.9)


def book_of(pairs):
    """Delivered orders of one week: (city, days) each."""
    book = Book()
    for number, (city, days) in enumerate(pairs):
        order = make_order(key=f"b{number}", city=city, province="P")
        book.add(order, describe(order), BASE, 0.0)
        book.deliver(order.key, days)
    return book


def test_a_city_with_one_order_stays_near_the_rest_and_one_with_many_speaks_for_itself():
    few = book_of([("A", 30), *[("B", 5)] * 300])
    many = book_of([*[("A", 30)] * 300, *[("B", 5)] * 300])
    night = 20.0 + START.toordinal() - date(2000, 1, 1).toordinal()

    def gap(book):
        learned_fit = fit(book, night, 180.0)
        totals = [
            learned_fit.parts(describe(make_order(city=city, province="P"))).total for city in ("A", "B")
        ]
        return (totals[0] - totals[1]) / np.log(31 / 6)

    assert 0.0 < gap(few) < 0.1
    assert 0.85 < gap(many) <= 1.0


def test_an_unknown_city_adds_nothing():
    book = book_of([*[("A", 30)] * 100, *[("B", 5)] * 100])

    parts = fit(book, 20.0 + book.column("placed")[0], 180.0).parts(describe(make_order(city="new")))

    assert parts.groups["city"] == 0.0
    assert set(parts.groups) <= set(GROUPS)


@pytest.mark.parametrize("n_waiting", [20, 80, 320])
def test_orders_that_are_out_longer_than_expected_never_make_a_date_earlier(n_waiting):
    history = make_history(1500, per_day=50)
    until = START + 31 * DAY
    waiting = [make_past(None, placed_at=until - 16 * DAY, province="near") for _ in range(n_waiting)]
    longer = sorted([*history, *waiting], key=lambda past: past.order.placed_at)
    order = make_order(placed_at=until)

    usual = learned(history, until).placed(order)
    loaded = learned(longer, until).placed(order)

    assert all(loaded.days_at(odds) >= usual.days_at(odds) for odds in (0.1, 0.5, 0.8, 0.9, 0.95))
    assert loaded.expected > usual.expected


def test_orders_on_their_way_make_promises_later_than_the_delivered_ones_alone():
    # Half of the orders of the last days are stuck; the other half came as always.
    usual = make_history(2000, per_day=50)
    until = START + 40 * DAY
    stuck = [
        Past(order=past.order) if past.order.placed_at > until - 14 * DAY and number % 2 else past
        for number, past in enumerate(usual)
    ]
    without = [past for past in stuck if past.delivered_at is not None]
    order = make_order(placed_at=until)

    honest, blind = learned(stuck, until).placed(order), learned(without, until).placed(order)

    assert honest.days_at(0.9) > blind.days_at(0.9)


def test_a_cancelled_order_says_nothing():
    history = make_history(1500, per_day=50)
    until = START + 31 * DAY
    learner, plain = Learner(), learned(history, until)
    cancelled = [
        make_order(key=f"c{n}", placed_at=START + 20 * DAY + timedelta(seconds=n)) for n in range(100)
    ]
    happened = sorted(
        [
            *((event.at, event) for event in events(history) if event.when <= until),
            *((float("inf"), order) for order in cancelled),
        ],
        key=lambda one: one[0],
    )
    for _at, what in happened:
        if isinstance(what, Placed):
            learner.placed(what)
            learner.struck(what.key, until)
        elif what.kind == PLACED:
            learner.placed(history[what.number].order)
        elif what.kind == 2:
            learner.delivered(history[what.number].order.key, what.when)
    learner.pass_nights(until + DAY)
    plain.pass_nights(until + DAY)

    order = make_order(placed_at=until + DAY)
    assert learner.forecast(order).days_at(0.95) == plain.forecast(order).days_at(0.95)


def test_old_orders_are_forgotten_and_those_on_their_way_still_found():
    book = Book()
    for number in range(5000):
        order = make_order(key=f"f{number}", placed_at=START + number * DAY / 10)
        book.add(order, describe(order), BASE, 0.0)
    first = float(book.column("placed")[3000])

    book.forget(first)
    book.deliver("f4999", 3)
    book.deliver("f10", 3)

    assert book.n == 2000
    assert float(book.column("placed")[0]) == first
    assert float(book.column("days")[1999]) == 3
    assert np.isnan(book.column("days")[:1999]).all()


def test_a_book_of_old_orders_only_is_emptied():
    book = Book()
    for number in range(10):
        order = make_order(key=f"f{number}", placed_at=START + number * DAY)
        book.add(order, describe(order), BASE, 0.0)

    book.forget(float(book.column("placed")[9]) + 1)

    assert (book.n, book.open) == (0, {})


def test_an_order_that_comes_after_it_was_forgotten_counts_nowhere():
    learner = learned([make_past(4.0, placed_at=START + n * DAY) for n in range(40)], START + 60 * DAY)
    lost = make_order(key="lost", placed_at=START + 61 * DAY)
    learner.placed(lost)
    n_before = learner.n_delivered

    learner.pass_nights(START + 800 * DAY)
    learner.delivered("lost", START + 801 * DAY)

    assert learner.n_delivered == n_before


def test_an_order_dated_in_the_future_lets_no_night_pass_and_says_nothing():
    history = [make_past(4.0, placed_at=START + n * DAY / 20, city="C", province="P") for n in range(400)]
    now = START + 19 * DAY
    learner, plain = learned(history, now), learned(history, now)
    ahead = make_order(key="ahead", placed_at=START + 365 * DAY, city="C", province="P")

    learner.placed(ahead, heard=now)
    learner.delivered("ahead", START + 366 * DAY, heard=now)
    learner.pass_nights(now + DAY)
    plain.pass_nights(now + DAY)

    asked = make_order(placed_at=now + DAY, city="C", province="P")
    assert learner.placed(asked).days_at(0.95) == plain.placed(asked).days_at(0.95)
    # Tomorrow's delivery is still learned tomorrow, not taken for one of last year.
    assert learner.book.age(learner._night)[-1] == 0


def test_orders_of_years_ago_are_no_longer_counted():
    old = [make_past(4.0, placed_at=START + n * DAY / 10, city="C", province="P") for n in range(300)]
    lately = START + 800 * DAY
    new = [make_past(4.0, placed_at=lately + n * DAY, city="C", province="P") for n in range(12)]

    learner = learned([*old, *new], lately + 40 * DAY)

    assert learner.level_of(make_order(city="C", province="P")) == ("", 12)


def test_what_was_learned_is_said_again_from_its_stored_state():
    history = make_history(900, per_day=30)
    until = START + 30 * DAY
    learner = learned(history, until)

    again = Learner.of_state(json.loads(json.dumps(learner.state())))

    for province, far in (("near", 110.0), ("far", 1900.0), ("nowhere", None)):
        asked = make_order(
            placed_at=until, province=province, city=f"{province}-1", origin="seller-2", distance_km=far
        )
        assert [again.forecast(asked).odds(day) for day in range(30)] == pytest.approx(
            [learner.forecast(asked).odds(day) for day in range(30)]
        )
        assert again.forecast(asked).reasons() == learner.forecast(asked).reasons()
        assert again.level_of(asked) == learner.level_of(asked)


def test_first_orders_judged_by_what_was_learned_later_do_not_widen_the_spread():
    history = make_history(600, per_day=30, spread=0.1)
    at = START + 20 * DAY
    learner = Learner()
    learner.hold_nights()
    for past in history:
        learner.placed(past.order)
        learner.delivered(past.order.key, past.delivered_at)
    learner.calibrate(moment(at))
    near = make_order(placed_at=at, province="near", city="near-1", origin="seller-2", distance_km=110.0)
    before = learner.forecast(near)

    learner.look_back(moment(at))

    after = learner.forecast(near)
    assert after.days_at(0.95) - after.days_at(0.05) < before.days_at(0.95) - before.days_at(0.05)
    # The median of such orders is 5.6 days.
    assert after.days_at(0.5) == 5


def normal_curve():
    residuals = np.linspace(-2, 3, 126)
    return Curve(residuals, 1 / (1 + np.exp(-residuals / 0.25)))


def test_the_window_the_latest_date_and_its_odds_come_from_one_distribution():
    order = make_order(placed_at=datetime(2026, 3, 2, 22, 0, tzinfo=ZoneInfo("Asia/Shanghai")))
    forecast = Forecast(expected=np.log(11), curve=normal_curve(), level="city", n=40)

    said = promise(order, forecast, service_level=0.95)

    assert said.window_from == date(2026, 3, 12)
    assert said.window_from <= said.window_to <= said.latest_on
    assert said.due == datetime(2026, 3, 2, 23, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai")) + timedelta(
        days=forecast.days_at(0.95)
    )
    assert said.odds == forecast.odds(forecast.days_at(0.95))
    assert 0.94 <= said.odds <= 0.96
    assert (said.level, said.n) == ("city", 40)


def test_an_absurd_date_goes_to_a_person():
    forecast = Forecast(expected=np.log(80), curve=normal_curve(), level="city", n=40)

    said = promise(make_order(), forecast)

    assert isinstance(said, NoDate)
    assert said.reason == NoDateReason.BEYOND_CAP
    assert said.days == forecast.days_at(0.95) > 90


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 11, 1), "-05:00"), (date(2027, 3, 14), "-04:00"), (date(2026, 10, 31), "-04:00")],
)
def test_a_promise_ends_with_the_day_on_the_wall_clock_of_the_destination(day, hours):
    assert end_of(day, ZoneInfo("America/New_York")).isoformat() == f"{day}T23:59:59{hours}"


def test_days_are_counted_on_the_calendar_of_the_destination():
    # 20:30 on the 2nd in New York is the 3rd in Shanghai.
    order = make_order(placed_at=datetime(2026, 3, 2, 20, 30, tzinfo=ZoneInfo("America/New_York")))
    came = datetime(2026, 3, 4, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))

    assert days_until(order, came) == 1


def test_a_planned_surge_makes_promises_later_before_the_first_late_order():
    history = make_history(1500, per_day=50)
    until = START + 31 * DAY
    sale = PlannedSurge(first=until.date(), last=until.date() + 3 * DAY, factor=3.0)
    plain = learned(history, until)
    warned = learned(history, until)
    warned.surges = (sale,)

    def dates(learner, days):
        said = learner.forecast(make_order(placed_at=until + days * DAY))
        return [said.days_at(odds) for odds in (0.5, 0.9, 0.95)]

    first, last, after = ([dates(one, days) for one in (plain, warned)] for days in (0, 3, 100))

    assert all(ours > theirs for theirs, ours in zip(*last, strict=True))
    # More is piled up by the last day than by the first, and nothing once it is worked off.
    assert last[1][2] - last[0][2] > first[1][2] - first[0][2] >= 0
    assert after[0] == after[1]


def test_a_larger_surge_never_promises_earlier():
    curve = Forecast(expected=np.log(9), curve=normal_curve(), level="city", n=40)
    found = []
    for factor in (1.0, 1.2, 1.5, 2.0, 4.0):
        surge = PlannedSurge(first=date(2026, 6, 1), last=date(2026, 6, 5), factor=factor)
        held = Forecast(curve.expected, curve.curve, "city", 40, waits([surge], date(2026, 6, 4)))
        found.append(held.days_at(0.9))

    assert found == sorted(found)
    assert found[-1] > found[0]


def test_a_surge_must_have_dates_in_order_and_more_than_usual():
    with pytest.raises(ValueError, match="before it begins"):
        PlannedSurge(first=date(2026, 6, 2), last=date(2026, 6, 1), factor=2.0)
    with pytest.raises(ValueError, match=r"not by 0\.5"):
        PlannedSurge(first=date(2026, 6, 1), last=date(2026, 6, 2), factor=0.5)


def test_the_reasons_name_what_moved_the_date_most_first():
    forecast = Forecast(
        expected=np.log(11),
        curve=normal_curve(),
        level="city",
        n=40,
        parts={"lane": 0.05, "present_days": 0.3, "origin": -0.001},
    )

    assert [reason.code for reason in forecast.reasons()] == ["present_days", "lane"]
    assert forecast.reasons()[0].days == pytest.approx(11 - 11 * np.exp(-0.3), abs=0.05)


def calibration_gaps(history, first_day):
    """By stated odds in ten equal bins: how many, what was stated, what was kept. Judged from first_day on."""
    learner, draw = Learner(), random.Random(5)
    bins = [[0, 0.0, 0] for _ in range(10)]
    for event in events(history):
        past = history[event.number]
        if event.kind == 2:
            learner.delivered(past.order.key, event.when)
        elif event.kind == 1:
            learner.handed(past.order.key, event.when)
        else:
            forecast = learner.placed(past.order)
            if past.order.placed_at < START + first_day * DAY:
                continue
            days = forecast.days_at(draw.uniform(0.02, 0.98))
            stated = forecast.odds(days)
            one = bins[min(9, int(stated * 10))]
            one[0] += 1
            one[1] += stated
            one[2] += past.days <= days
    return bins


def test_stated_odds_are_kept_within_two_points_thirty_days_after_a_drift():
    # From day 40 to day 100 everything takes longer each day, in the end a third more. Judged from day 70 on.
    history = make_history(
        32_000, per_day=160, slower=lambda day: 1 + 0.005 * max(0.0, min(60.0, day - 40)), seed=3
    )

    bins = calibration_gaps(history, first_day=70)

    n = sum(one[0] for one in bins)
    gap = sum(abs(kept - stated) for _n, stated, kept in bins) / n
    assert n >= 20_000
    assert all(one[0] > 500 for one in bins)
    assert gap <= 0.02
