"""The night's short way through the past leads where the long one does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from promises.estimates.rebuilding import Known, learn
from promises.eta.learner import Learner
from promises.eta.orders import moment
from promises.tests.histories import START, learned, make_history, make_order

DAY = timedelta(days=1)


def known(history):
    return [Known(past.order, past.handed_at, past.delivered_at) for past in history]


@pytest.mark.parametrize("n_nights", [100, 12])
def test_the_odds_are_those_of_living_through_every_night(n_nights):
    """Also where most nights are passed over: twelve of a hundred, the last ones close together."""
    history = make_history(3000, per_day=30, slower=lambda day: 1 + day / 400)
    until = START + 100 * DAY
    last = int(moment(until))
    chosen = [last - round(100 * (step / n_nights) ** 2) for step in range(n_nights, -1, -1)]

    whole = learned(history, until)
    short = learn(known(history), sorted({float(night) for night in chosen}), until, Learner())

    short.release_nights()
    short._night = whole._night
    for province, far in (("near", 120.0), ("middle", 600.0), ("far", 1800.0)):
        asked = make_order(
            placed_at=until, province=province, city=f"{province}-1", origin="seller-2", distance_km=far
        )
        said, same = whole.forecast(asked), short.forecast(asked)
        assert [same.odds(day) for day in range(40)] == pytest.approx(
            [said.odds(day) for day in range(40)], abs=0.05
        )


def test_orders_on_their_way_are_not_forgotten():
    """The slow ones of the last days have not arrived: without them the estimate would be too early."""
    history = make_history(2000, per_day=50, extra=lambda day: 8 * (day > 30))
    until = START + 42 * DAY
    arrived = [one for one in known(history) if one.delivered_at <= until]
    so_far = [one for one in known(history) if one.order.placed_at <= until]
    nights = [moment(START) // 1 + day for day in range(1, 42)]

    with_those_out = learn(so_far, nights, until, Learner())
    without = learn(arrived, nights, until, Learner())

    asked = make_order(placed_at=until, province="near", city="near-1", origin="seller-2", distance_km=120.0)
    assert with_those_out.forecast(asked).days_at(0.9) > without.forecast(asked).days_at(0.9)
