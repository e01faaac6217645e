"""“Promises kept” on the Today page: counted as the calibration counts, and opening the orders that were not."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils.translation import override

from orders.tests.factories import MONDAY, make_order, make_shop
from orders.tests.staff import staff_client
from promises.tests.test_calibration_house import make_judged

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _three_weeks_later():
    with time_machine.travel(MONDAY + timedelta(days=21), tick=False):
        yield


def share_of(client):
    shares = client.get("/admin/").context["today"].shares
    return next((one for one in shares if one.key == "promises"), None)


def test_the_number_is_that_of_the_orders_it_opens_within_the_readers_scope():
    shop = make_shop()
    for number in range(7):
        make_judged(make_order(shop=shop), kept=number % 3 > 0)
    make_judged(make_order(), kept=False)
    make_judged(make_order(shop=shop), due_on=(MONDAY - timedelta(days=40)).date())
    client = staff_client("sales", shops=(shop,))

    share = share_of(client)

    assert (share.n_kept, share.n, share.percent) == (4, 7, "57.1%")
    assert client.get(share.url).context["page"].paginator.count == share.n_missed == 3
    assert share_of(staff_client("viewer", everything=True)).n == 8


def test_demo_promises_stand_for_themselves_until_there_are_real_ones():
    make_judged(make_order(is_demo=True))
    client = staff_client("viewer", everything=True)

    share = share_of(client)
    assert (share.n_kept, share.n, "of=demo" in share.url) == (1, 1, True)
    make_judged(kept=False)

    share = share_of(client)
    assert (share.n_kept, share.n, "of=house" in share.url) == (0, 1, True)


def test_before_a_date_has_passed_there_is_no_percentage():
    share = share_of(staff_client("viewer", everything=True))

    assert (share.n, share.percent) == (0, "")
    # A request leaves its reader's language behind.
    with override("en"):
        assert "Not measurable yet" in str(share.unmeasured)


def test_who_may_not_see_estimates_has_no_such_number():
    client = staff_client(may=("orders.view_order",), everything=True)

    assert share_of(client) is None
