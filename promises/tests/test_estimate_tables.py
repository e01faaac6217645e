"""What the tables of the estimate refuse, and who sees what."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from orders.tests.factories import MONDAY, make_order, make_shop
from orders.tests.staff import make_staff
from promises.estimates import current, rule_for
from promises.models import Estimate, PlannedSurge, PromiseRule
from promises.tests.factories_estimates import make_estimate

pytestmark = pytest.mark.django_db


def test_a_shop_without_a_rule_of_its_own_follows_the_rule_for_all():
    order = make_order()
    assert rule_for(order).service_level == 950
    PromiseRule.objects.create(shop=None, service_level=900)

    assert rule_for(order).service_level == 900


def test_a_shops_own_rule_goes_before_the_rule_for_all():
    shop = make_shop()
    PromiseRule.objects.create(shop=None, service_level=900)
    PromiseRule.objects.create(shop=shop, service_level=800, cap_days=20)

    rule = rule_for(make_order(shop=shop))

    assert (rule.service_level, rule.cap_days) == (800, 20)


def test_there_is_one_rule_for_all():
    PromiseRule.objects.create(shop=None)

    with pytest.raises(IntegrityError), transaction.atomic():
        PromiseRule.objects.create(shop=None)

    assert PromiseRule.objects.count() == 1
    with pytest.raises(ValidationError, match="Change that one"):
        PromiseRule(shop=None).full_clean()


def test_a_surge_that_ends_before_it_begins_is_refused():
    surge = PlannedSurge(name="June", first=date(2026, 6, 18), last=date(2026, 6, 1), factor=Decimal(2))

    with pytest.raises(ValidationError, match="Give a later last day"):
        surge.full_clean()


def test_an_order_has_one_current_estimate_and_a_history():
    order = make_order()
    old = make_estimate(order, is_current=False)
    new = make_estimate(order)

    assert current(order) == new
    assert list(order.estimates.all()) == [new, old]
    with pytest.raises(IntegrityError), transaction.atomic():
        make_estimate(order)


def test_a_latest_date_is_told_with_the_offset_of_its_destination():
    order = make_order()
    estimate = make_estimate(order, due_on=date(2026, 11, 1), zone="America/New_York")

    # The clocks go back on that very day; the wall clock is what was promised.
    assert estimate.due_local is not None
    assert estimate.due_local.isoformat() == "2026-11-01T23:59:59-05:00"


def test_estimates_follow_the_row_scope_of_their_orders():
    mine, other = make_shop(), make_shop()
    seen = make_estimate(make_order(shop=mine))
    make_estimate(make_order(shop=other))
    sales = make_staff("sales", shops=(mine,))

    assert list(Estimate.objects.visible_to(sales)) == [seen]
    assert not Estimate.objects.visible_to(make_staff("sales")).exists()


def test_an_estimate_that_says_the_same_is_the_same():
    order = make_order()

    first, same = (make_estimate(order, is_current=False, made_at=MONDAY, p_late=p) for p in (50, 60))
    later = make_estimate(order, is_current=False, due_on=date(2026, 6, 9))

    assert first.as_said() == same.as_said() != later.as_said()
