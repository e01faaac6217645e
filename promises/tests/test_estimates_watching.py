"""The clock's part: hints, slices, and one night's work a night."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import time_machine
from django.core.management import call_command

from orders.models import Order, WorkSignal
from orders.tests.factories import MONDAY, make_order, told
from promises.estimates import current, journeys, learned, making, standing, watching
from promises.estimates.models import Estimate, EstimateModel
from promises.estimates.rebuilding import nights, rebuild
from promises.eta.orders import moment
from promises.tests.factories_estimates import make_estimate, make_history

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
# 02:00 in Shanghai, when the night's work begins.
NIGHT = datetime(2026, 6, 1, 18, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_learned_by_other_tests():
    learned.forget()


def hinted(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        watching.sweep()
    return [callback.args for callback in callbacks]


def rested(at):
    """The night before that moment is done."""
    WorkSignal.objects.create(name=watching.NIGHTLY, taken_at=at, done_at=at)


def test_the_steward_hints_at_nothing_while_nothing_is_due(django_capture_on_commit_callbacks):
    rested(MONDAY)
    make_estimate(make_order(), check_at=MONDAY + DAY)

    with time_machine.travel(MONDAY + timedelta(hours=1), tick=False):
        assert hinted(django_capture_on_commit_callbacks) == []


@pytest.mark.parametrize(
    "columns",
    [{"check_at": MONDAY}, {"due_at": MONDAY - DAY}],
    ids=["an order is to be looked at", "a date has passed"],
)
def test_the_steward_hints_at_what_time_has_made_due(columns, django_capture_on_commit_callbacks):
    rested(MONDAY)
    make_estimate(make_order(), **columns)

    with time_machine.travel(MONDAY + timedelta(hours=1), tick=False):
        assert hinted(django_capture_on_commit_callbacks) == [("estimates",)]


def test_the_sweep_costs_three_small_queries(django_assert_num_queries):
    rested(MONDAY)

    with time_machine.travel(MONDAY + timedelta(hours=1), tick=False), django_assert_num_queries(3):
        watching.sweep()


def test_an_order_is_looked_at_again_after_midnight_and_its_risk_is_what_it_is_then():
    make_history(400, warehouse=None, in_house=1, on_the_way=(30, 40, 50, 60, 70, 80))
    rebuild(MONDAY)
    order = told(make_order(), "date.confirmed", data={"date": "2026-06-04"}, role="person")
    making.estimate(journeys.orders_of([order.pk]), at=MONDAY)
    said = current(order)
    assert said.risk == "on_track"
    assert MONDAY < said.check_at < MONDAY + DAY

    at = said.promised_at - timedelta(hours=2)
    assert watching.look_again(at) == 1

    assert current(order).risk == "at_risk"
    assert Order.objects.get(pk=order.pk).promise_risk == "at_risk"
    assert current(order).check_at > at
    assert watching.look_again(at) == 0


def test_an_order_that_is_no_longer_open_is_not_asked_for_again():
    order = make_order()
    said = make_estimate(order, check_at=MONDAY)
    Order.objects.filter(pk=order.pk).update(is_open=False)

    assert watching.look_again(MONDAY) == 1

    said.refresh_from_db()
    assert said.check_at is None
    assert watching.look_again(MONDAY) == 0


def test_before_anything_has_left_the_house_no_night_begins():
    begun = []

    assert not watching.begin_night(NIGHT, partial(begun.append, NIGHT))

    assert begun == []


def test_the_nights_work_begins_once_a_night():
    make_history(10)
    begun = []

    times = [NIGHT - timedelta(hours=20), NIGHT, NIGHT + timedelta(minutes=5), NIGHT + DAY]
    for at in times:
        if watching.begin_night(at, partial(begun.append, at)):
            WorkSignal.objects.filter(name=watching.NIGHTLY).update(done_at=at)

    assert begun == [times[0], NIGHT, NIGHT + DAY]


def test_a_nights_work_that_died_is_begun_again_after_an_hour():
    make_history(10)
    begun = []

    for minutes in (0, 30, 61):
        watching.begin_night(NIGHT + timedelta(minutes=minutes), partial(begun.append, minutes))

    assert begun == [0, 61]


def test_the_command_learns_of_both_kinds_of_orders_and_says_so(capsys):
    make_history(60)
    make_history(60, is_demo=True)

    with time_machine.travel(MONDAY, tick=False):
        call_command("rebuild_estimates")

    assert EstimateModel.objects.count() == 2
    assert capsys.readouterr().out.count(" 60 orders") == 2
    assert WorkSignal.objects.get(name=watching.NIGHTLY).done_at == MONDAY


def test_the_command_without_any_arrival_says_that_there_is_nothing_to_learn_from(capsys):
    call_command("rebuild_estimates")

    assert not EstimateModel.objects.exists()
    assert capsys.readouterr().out


def test_old_nights_are_cleared_away_and_the_newest_speaks():
    make_history(60)
    for day in range(learned.KEPT + 2):
        row = rebuild(MONDAY + day * DAY)

    assert EstimateModel.objects.count() == learned.KEPT
    assert standing.read().learned(is_demo=False).version == row.version


def test_a_night_with_few_orders_lives_through_every_night_and_one_with_many_through_few():
    few = nights(3_000, moment(MONDAY - 40 * DAY), MONDAY)
    many = nights(1_200_000, moment(MONDAY - 700 * DAY), MONDAY)

    assert few == [few[-1] - 40 + night for night in range(41)]
    assert len(many) == 26
    assert many[-1] - many[0] == 240
    # The nearer, the denser.
    assert many[-1] - many[-2] == 1


def test_what_happened_after_the_moment_changes_nothing_of_what_was_learned_by_then():
    rows = make_history(300, until=MONDAY)
    before = rebuild(MONDAY).state
    Estimate.objects.all().delete()

    for row in rows:
        if row.delivered_at is None:
            row.delivered_at = MONDAY + DAY
            row.save()

    assert bytes(rebuild(MONDAY).state) == bytes(before)


def test_no_process_holds_numpy_for_being_able_to_react_or_to_watch():
    """The web processes and the steward load these modules; only the worker and the night estimate."""
    code = (
        "import sys, django; django.setup(); import promises.estimates.reaction, promises.estimates.watching, "
        "promises.estimates.demo, promises.management.commands.rebuild_estimates; sys.exit('numpy' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
