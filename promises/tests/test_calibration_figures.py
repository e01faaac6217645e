from __future__ import annotations

import random

import pytest

from promises.calibration_figures import (
    Judged,
    Reading,
    bin_of,
    brier,
    calibration_error,
    grouped,
    isotonic,
    propose,
    rates,
    reliability,
    share,
)


def made(n, stated, truth, seed=1):
    """n judged promises with odds drawn from stated; kept as often as truth says of the odds."""
    draw = random.Random(seed)
    found = []
    for _number in range(n):
        odds = draw.choice(stated)
        found.append(Judged(odds, draw.random() < truth(odds)))
    return found


@pytest.mark.parametrize(
    ("n", "kept", "low", "high"),
    # Worked out by the formula of Wilson (1927); the ends as printed in textbooks.
    [(10, 5, 0.2366, 0.7634), (100, 90, 0.8256, 0.9448), (30, 30, 0.8865, 1.0), (30, 0, 0.0, 0.1135)],
)
def test_the_interval_is_that_of_wilson(n, kept, low, high):
    found = share(n, kept)

    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_of_nothing_nothing_is_known():
    found = share(0, 0)

    assert (found.low, found.high, found.rate, found.is_small) == (0.0, 1.0, None, True)


def test_a_share_of_29_is_small_and_one_of_30_is_not():
    assert (share(29, 20).is_small, share(30, 20).is_small) == (True, False)


def test_the_adjusted_rate_leaves_out_what_the_customer_changed_and_the_raw_rate_does_not():
    found = rates([Judged(0.9, True), Judged(0.9, False), Judged(0.6, False, is_excused=True)])

    assert (found.raw.kept, found.raw.n) == (1, 3)
    assert (found.adjusted.kept, found.adjusted.n) == (1, 2)
    assert found.stated == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("odds", "number"), [(0.0, 0), (0.0999, 0), (0.1, 1), (3 * 0.1, 3), (0.7, 7), (0.95, 9), (1.0, 9)]
)
def test_odds_fall_into_their_bin(odds, number):
    assert bin_of(odds) == number


def test_the_diagram_has_ten_bins_with_the_empty_ones():
    bins = reliability([Judged(0.95, True), Judged(0.92, False), Judged(0.31, True)])

    assert [(one.low, one.high) for one in bins][:2] == [(0.0, 0.1), (0.1, 0.2)]
    assert [one.rates.raw.n for one in bins] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]


def test_the_calibration_error_is_the_mean_distance_over_the_promises():
    # Ten at 0.9 of which 6 came, thirty at 0.5 of which 15 came.
    judged = [Judged(0.9, number < 6) for number in range(10)]
    judged += [Judged(0.5, number < 15) for number in range(30)]

    assert calibration_error(reliability(judged)) == pytest.approx(0.3 * 10 / 40)
    assert calibration_error(reliability([])) is None


def test_the_brier_score_is_the_mean_square_of_the_miss():
    assert brier([Judged(0.9, True), Judged(0.8, False)]) == pytest.approx((0.01 + 0.64) / 2)
    assert brier([]) is None


def test_groups_have_rates_of_their_own():
    rows = [("north", Judged(0.9, True)), ("south", Judged(0.9, False)), ("north", Judged(0.9, True))]

    found = grouped(rows, key=lambda row: row[0], judged=lambda row: row[1])

    assert {name: (one.raw.kept, one.raw.n) for name, one in found.items()} == {
        "north": (2, 2),
        "south": (0, 1),
    }


def test_a_reading_goes_straight_from_point_to_point_and_level_outside_them():
    reading = Reading(((0.5, 0.4), (0.9, 0.8)))

    assert [round(reading(odds), 9) for odds in (0.1, 0.5, 0.7, 0.9, 1.0)] == [0.4, 0.4, 0.6, 0.8, 0.8]


def test_the_reading_never_falls():
    judged = made(3000, [0.1, 0.3, 0.5, 0.7, 0.9, 0.95], lambda odds: 1 - odds)

    values = [value for _odds, value in isotonic(judged).points]

    assert values == sorted(values)


def test_a_reading_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Nothing was judged"):
        isotonic([])


def test_a_known_miscalibration_is_found_and_set_right():
    stated = [0.55, 0.65, 0.75, 0.85, 0.95]
    judged = made(8000, stated, lambda odds: odds - 0.15)

    proposal = propose(judged)

    assert proposal is not None
    assert proposal.after < proposal.before - 0.01
    fresh = made(8000, stated, lambda odds: odds - 0.15, seed=2)
    assert calibration_error(reliability(fresh)) == pytest.approx(0.15, abs=0.01)
    mended = [Judged(proposal.reading(one.odds), one.is_kept) for one in fresh]
    assert calibration_error(reliability(mended)) < 0.03


def test_odds_that_are_right_are_left_alone():
    judged = made(8000, [0.55, 0.65, 0.75, 0.85, 0.95], lambda odds: odds)

    assert propose(judged) is None


def test_nothing_is_proposed_from_too_few_promises():
    wrong = made(400, [0.9], lambda odds: 0.2)

    assert propose(wrong) is not None
    assert propose(wrong[:399]) is None
