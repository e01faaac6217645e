"""Old facts under new rules and on changed calendars."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError

from orders.models import Order, OrderEvent, OrderFact, PrecedenceVersion
from orders.precedence import DEFAULT_RULES, add_version, forget_versions
from orders.rejudging import apply_version, rejudge_some, try_version
from orders.stages import Stage
from orders.tests.factories import MONDAY, after, make_order, told
from orders.worktime import CalendarDay, WorkCalendar
from orders.worktime.shifts import standard_week

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_versions():
    forget_versions()
    yield
    forget_versions()


def believe_the_shop() -> PrecedenceVersion:
    rules = {**DEFAULT_RULES, "topics": {**DEFAULT_RULES["topics"], "parcel": ["shop", "carrier"]}}
    return add_version(rules, note="the carrier's feed is late", made_by=None, at=MONDAY)


def make_disputed() -> Order:
    """The shop says delivered; the carrier says, later, in transit."""
    order = make_order()
    told(order, "parcel.delivered", 5, parcel="SF1")
    return told(order, "parcel.in_transit", 6, parcel="SF1", role="carrier")


def test_a_trial_shows_what_would_move_and_writes_nothing():
    order = make_disputed()
    make_order()
    n_events = OrderEvent.objects.count()

    trial = try_version(believe_the_shop(), at=after(7))

    assert (trial.n_tried, trial.n_changed) == (2, 1)
    assert trial.examples[0][0] == order
    assert Order.objects.get(pk=order.pk).stage == Stage.IN_TRANSIT
    assert OrderEvent.objects.count() == n_events


def test_a_version_in_force_moves_open_orders_silently():
    order = make_disputed()
    version = believe_the_shop()
    n_facts = OrderFact.objects.count()

    assert apply_version(version, at=after(7)) == 1
    assert rejudge_some(at=after(8)) == 1
    assert rejudge_some(at=after(8)) == 0

    order.refresh_from_db()
    assert (order.stage, order.derived_with) == (Stage.DELIVERED, version.number)
    event = OrderEvent.objects.filter(order=order, kind="moved").latest("id")
    assert (event.silent, event.new) == (True, "delivered")
    assert OrderFact.objects.count() == n_facts


def test_closed_orders_keep_the_version_that_judged_them():
    order = told(make_order(paid=False), "cancel.accepted", 1)
    assert order.stage == Stage.CANCELLED

    apply_version(believe_the_shop(), at=after(7))

    assert rejudge_some(at=after(8)) == 0
    assert Order.objects.get(pk=order.pk).derived_with == 0


def test_a_version_cannot_be_put_in_force_twice():
    version = believe_the_shop()
    apply_version(version, at=after(1))

    with pytest.raises(ValidationError):
        apply_version(version, at=after(2))

    version.refresh_from_db()
    assert version.applied_at == after(1)


def test_rules_that_make_no_sense_are_refused_by_name():
    with pytest.raises(ValidationError, match="wizard"):
        add_version({**DEFAULT_RULES, "others": ["wizard"]}, note="", made_by=None, at=MONDAY)

    assert PrecedenceVersion.objects.count() == 0


def test_a_day_off_that_is_entered_later_moves_open_deadlines_and_says_so():
    calendar = WorkCalendar.objects.create(name="office", week=standard_week(), is_default=True)
    order = make_order()
    assert order.step_due_at == MONDAY + timedelta(hours=4)

    CalendarDay.objects.create(calendar=calendar, day=date(2026, 6, 1), is_worked=False, name="stocktaking")
    assert rejudge_some(at=after(1)) == 1

    order.refresh_from_db()
    # Tuesday 09:00 in Shanghai + 4 hours.
    assert order.step_due_at == MONDAY + timedelta(hours=27)
    moved = OrderEvent.objects.get(order=order, name="step_due_at")
    assert (moved.silent, moved.new) == (True, order.step_due_at.isoformat())
    assert rejudge_some(at=after(1)) == 0
