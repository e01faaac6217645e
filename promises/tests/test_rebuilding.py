"""The night: told at once, it leads where living through it event by event does; and the next one goes on from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.tests.factories import MONDAY
from promises.estimates import learned as kept_state
from promises.estimates.models import EstimateModel, Expectations
from promises.estimates.rebuilding import missed_nights, rebuild
from promises.eta.begun import Place, Told, gather
from promises.eta.book import Book
from promises.eta.features import describe
from promises.eta.forecast import Forecast
from promises.eta.learner import Learner
from promises.eta.nights import live_through
from promises.eta.orders import Placed, moment
from promises.eta.surge import PlannedSurge
from promises.tests import factories_estimates as houses
from promises.tests.histories import START, learned, make_history, make_order

DAY = timedelta(days=1)
LAST = START + 100 * DAY
EVERY_NIGHT = [moment(START) // 1 + day for day in range(1, 101)]


def without_distance(history):
    """A house's orders have no distance: their columns do not hold one."""
    return [replace(past, order=replace(past.order, distance_km=None)) for past in history]


def told(history, until):
    """What a house has written down by then."""
    rows = [
        Told(
            key=number,
            begun_at=past.order.placed_at.replace(tzinfo=UTC),
            zone="UTC",
            handed_at=past.handed_at.replace(tzinfo=UTC) if past.handed_at else None,
            delivered_at=past.delivered_at.replace(tzinfo=UTC) if past.delivered_at else None,
            n_items=None,
            place=Place(*(getattr(past.order, name) for name in Place._fields)),
        )
        for number, past in enumerate(history)
        if past.order.placed_at <= until
    ]
    return gather(rows, len(rows))


def as_known(history, at):
    """Without the hand-overs and the deliveries that were still to come."""

    def by_then(when):
        return when if when is not None and when <= at else None

    return [
        replace(past, handed_at=by_then(past.handed_at), delivered_at=by_then(past.delivered_at))
        for past in history
    ]


def asked_at(until, province="near"):
    return make_order(placed_at=until, province=province, city=f"{province}-1", origin="seller-2")


def odds(learner, order):
    return [learner.forecast(order).odds(day) for day in range(40)]


@pytest.mark.parametrize("n_nights", [100, 12])
def test_the_odds_are_those_of_living_through_every_event(n_nights):
    """Also where most nights are passed over: twelve of a hundred, the last ones close together."""
    history = without_distance(make_history(3000, per_day=30, slower=lambda day: 1 + day / 400))
    last = int(moment(LAST))
    chosen = sorted({float(last - round(100 * (step / n_nights) ** 2)) for step in range(n_nights, -1, -1)})

    whole = learned(history, LAST)
    at_once = Learner()
    live_through(told(history, LAST), chosen, moment(LAST), at_once)

    for province in ("near", "middle", "far"):
        asked = asked_at(LAST, province)
        assert odds(at_once, asked) == pytest.approx(odds(whole, asked), abs=0.05)
        assert at_once.level_of(asked) == whole.level_of(asked)


def test_orders_on_their_way_are_not_forgotten():
    """The slow ones of the last days have not arrived: without them the estimate would be too early."""
    history = make_history(2000, per_day=50, extra=lambda day: 8 * (day > 30))
    until = START + 42 * DAY
    arrived = [past for past in history if past.delivered_at <= until]
    nights = EVERY_NIGHT[:41]

    with_those_out, without = Learner(), Learner()
    live_through(told(history, until), nights, moment(until), with_those_out)
    live_through(told(arrived, until), nights, moment(until), without)

    asked = asked_at(until)
    assert with_those_out.forecast(asked).days_at(0.9) > without.forecast(asked).days_at(0.9)


def test_what_happens_later_changes_nothing_that_was_said_before():
    history = make_history(1500, per_day=30, slower=lambda day: 1 + (day > 30))
    early, late = START + 29.5 * DAY, START + 49.5 * DAY
    said = []
    for until in (early, late):
        heard = {}
        nights = [night for night in EVERY_NIGHT if night < moment(until)]
        live_through(
            told(as_known(history, until), until),
            nights,
            moment(until),
            Learner(),
            heard=lambda order, forecast, heard=heard: heard.update({order.key: forecast}),
        )
        said.append(heard)

    assert sum(isinstance(one, Forecast) for one in said[0].values()) > 500
    for key, forecast in said[0].items():
        if isinstance(forecast, Forecast):
            then = said[1][key]
            assert (then.expected, then.level, then.n) == (forecast.expected, forecast.level, forecast.n)
            assert then.curve.shares.tolist() == forecast.curve.shares.tolist()


def test_a_night_that_goes_on_knows_what_one_that_was_told_everything_knows():
    history = without_distance(make_history(3000, per_day=30, slower=lambda day: 1 + day / 400))
    middle = START + 60 * DAY
    first, again = (
        [night for night in EVERY_NIGHT if night < moment(middle)],
        [night for night in EVERY_NIGHT if night > moment(middle)],
    )

    whole, stopped = Learner(), Learner()
    live_through(told(history, LAST), EVERY_NIGHT, moment(LAST), whole)
    known = live_through(told(history, middle), first, moment(middle), stopped)
    going_on = Learner.of_state(stopped.state())
    expected = live_through(told(history, LAST), again, moment(LAST), going_on, known=known)

    assert expected.shape[: len(known.shape)].tolist() == known.shape.tolist()
    assert len(expected.key) == 3000
    for province in ("near", "middle", "far"):
        asked = asked_at(LAST, province)
        assert odds(going_on, asked) == pytest.approx(odds(whole, asked), abs=0.02)


def test_orders_of_a_planned_surge_were_expected_to_wait():
    """Or else the surge would be taken for the usual way of things, and promised twice."""
    history = without_distance(make_history(1500, per_day=30))
    surge = PlannedSurge(first=(START + 40 * DAY).date(), last=(START + 42 * DAY).date(), factor=4.0)
    until = START + 50 * DAY
    nights = [night for night in EVERY_NIGHT if night < moment(until)]

    expected = live_through(told(history, until), nights, moment(until), Learner([surge]))
    usual = live_through(told(history, until), nights, moment(until), Learner())

    more = expected.level - usual.level
    assert more[:1190] == pytest.approx(0, abs=1e-6)
    assert more[1230:1280].min() > 0.1


places = st.builds(
    Place,
    **{
        name: st.sampled_from(["", f"{name}-1", f"{name}-2"])
        for name in Place._fields
        if name != "origin_region"
    },
    origin_region=st.sampled_from(["", "province-1", "elsewhere"]),
)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31))  # noqa: DTZ001


@st.composite
def tellings(draw):
    # Half an hour of summer time, half a day ahead, none at all: as clocks are.
    zone = draw(st.sampled_from(["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]))
    begun = draw(moments).replace(tzinfo=UTC)
    later = st.none() | st.timedeltas(timedelta(0), timedelta(days=60)).map(lambda wait: begun + wait)
    n_items = draw(st.none() | st.integers(0, 500).map(float))
    return (begun, zone, draw(later), draw(later), n_items, draw(places))


@given(st.lists(tellings(), min_size=1, max_size=30))
def test_columns_hold_what_telling_order_by_order_writes_down(rows):
    rows = [Told(number, *row) for number, row in enumerate(sorted(rows, key=lambda row: row[0]))]
    one_by_one, at_once = Book(), Book()
    learner = Learner()
    learner.book = one_by_one
    learner.hold_nights()
    for row in rows:
        at = row.begun_at.astimezone(ZoneInfo(row.zone))
        order = Placed(key=str(row.key), placed_at=at, n_items=row.n_items, **row.place._asdict())
        learner.placed(order)
        assert gather(rows, len(rows)).order(row.key) == order
        if row.handed_at:
            learner.handed(order.key, row.handed_at)
        if row.delivered_at:
            learner.delivered(order.key, row.delivered_at)

    gather(rows, len(rows)).write_into(at_once)

    for name in ("placed", "offset", "day", "handed", "days", "gone", "groups", "numbers"):
        # Numbers are held to three digits.
        within = {"abs": 2e-3, "rel": 1e-3} if name == "numbers" else {}
        assert at_once.column(name) == pytest.approx(one_by_one.column(name), nan_ok=True, **within), name
    assert at_once.numbering == one_by_one.numbering
    assert gather(rows, len(rows)).delivered_by_level(np.array([bool(row.delivered_at) for row in rows])) == {
        place: sum(spans.values()) for place, spans in learner._delivered_at.items()
    }


@given(tellings())
def test_described_is_the_same_one_by_one_and_at_once(row):
    told_row = Told(1, *row)
    book = Book()
    begun = gather([told_row], 1)
    begun.write_into(book)
    assert book.column("numbers")[0] == pytest.approx(
        describe(begun.order(0)).numbers, nan_ok=True, abs=2e-3, rel=1e-3
    )


def expectations():
    expected = kept_state.kept(is_demo=False).from_placing.expected()
    return dict(zip(expected.key.tolist(), expected.shape.tolist(), strict=True))


def mark():
    """Have the last night have expected something that nobody would: whoever goes on from it keeps that."""
    expected = kept_state.kept(is_demo=False).from_placing.expected()
    marked = replace(expected, shape=expected.shape + 1)
    Expectations.objects.update(from_placing=kept_state._packed(marked))


@pytest.mark.django_db
def test_the_next_night_goes_on_and_leaves_what_was_expected_as_it_was():
    houses.make_history(600, until=MONDAY + DAY)
    rebuild(MONDAY)
    mark()
    before = expectations()

    rebuild(MONDAY + DAY)

    assert min(before.values()) > 3
    after = expectations()
    assert {key: after[key] for key in before} == before
    assert 5 < len(after) - len(before) < 15
    assert max(after[key] for key in after.keys() - before.keys()) < 3
    assert Expectations.objects.count() == 1
    assert EstimateModel.objects.count() == 2


@pytest.mark.django_db
def test_a_history_that_was_read_in_has_the_past_told_anew():
    """Nothing was expected of its orders when they were placed: it would be the last night's word for all of them."""
    houses.make_history(600, until=MONDAY)
    rebuild(MONDAY)
    mark()
    houses.make_history(200, until=MONDAY - 20 * DAY)

    rebuild(MONDAY + DAY)

    after = expectations()
    assert len(after) == 800
    assert max(after.values()) < 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", [{"method": "0"}, {"made_at": MONDAY + 9 * DAY}], ids=["another method", "a clock set back"]
)
def test_a_night_that_cannot_be_gone_on_from_has_the_past_told_anew(change):
    houses.make_history(600, until=MONDAY)
    rebuild(MONDAY)
    mark()
    EstimateModel.objects.update(**change)

    row = rebuild(MONDAY + 2 * DAY)

    assert row.method != "0"
    assert max(expectations().values()) < 3


@pytest.mark.django_db
def test_the_first_orders_have_the_past_told_anew_until_there_are_enough():
    houses.make_history(200, until=MONDAY)
    rebuild(MONDAY)
    mark()

    rebuild(MONDAY + DAY)

    assert max(expectations().values()) < 3


@pytest.mark.django_db
def test_a_correction_that_came_late_counts_the_next_night():
    rows = houses.make_history(600, until=MONDAY)
    before = rebuild(MONDAY + 9 * DAY).n_delivered
    for row in rows[:50]:
        row.is_struck = True
        row.save()

    after = rebuild(MONDAY + 10 * DAY).n_delivered

    assert before == sum(row.delivered_at is not None for row in rows)
    assert after == before - 50


def test_nights_in_which_nobody_learned_are_lived_through_and_no_others():
    assert missed_nights(MONDAY, MONDAY + DAY) == []
    assert missed_nights(MONDAY, MONDAY + timedelta(hours=3)) == []
    assert missed_nights(MONDAY, MONDAY + 4 * DAY) == [moment(MONDAY + day * DAY) for day in (1, 2, 3)]
