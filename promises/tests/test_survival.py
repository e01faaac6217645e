from __future__ import annotations

import numpy as np
import pytest

from promises.eta.survival import cumulative, share_ended


def test_kaplan_meier_gives_what_was_worked_out_by_hand():
    # Ends after 1, 3, 3 and 5 steps; out of sight while still going after 2 and 4.
    # At risk: 6 at 1, 4 at 3, 1 at 5. Going on: 5/6, then 5/6 * 2/4, then 0.
    steps = np.array([1, 3, 3, 5, 2, 4])
    has_ended = np.array([True, True, True, True, False, False])

    shares = share_ended(steps, has_ended, np.ones(6), 6)

    assert shares == pytest.approx([0, 1 / 6, 1 / 6, 7 / 12, 7 / 12, 1])


def test_a_weight_of_two_is_the_same_as_two_lives():
    steps, ended = np.array([0, 1, 2]), np.array([True, False, True])

    weighted = share_ended(steps, ended, np.array([2.0, 1.0, 1.0]), 3)
    doubled = share_ended(np.array([0, 0, 1, 2]), np.array([True, True, False, True]), np.ones(4), 3)

    assert weighted == pytest.approx(doubled)


def test_steps_that_nobody_reached_end_nothing():
    assert cumulative(np.array([1.0, 0.0]), np.array([2.0, 0.0])) == pytest.approx([0.5, 0.5])


def test_leaving_out_those_still_on_their_way_would_make_everything_look_sooner():
    steps, ended = np.array([1, 2, 3, 3]), np.array([True, True, False, False])

    with_all = share_ended(steps, ended, np.ones(4), 4)
    without = share_ended(steps[ended], ended[ended], np.ones(2), 4)

    assert with_all[2] == pytest.approx(0.5)
    assert without[2] == pytest.approx(1.0)
