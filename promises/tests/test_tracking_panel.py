"""What staff see of a customer's page on the order's own, and what they may do about it."""

from __future__ import annotations

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from orders.models import AuditEntry, Order, Todo
from orders.tests.factories import MONDAY, after, make_order, make_shop, told
from orders.tests.staff import make_staff, staff_client
from promises.tests.factories_tracking import make_link, make_next_update
from promises.tests.test_tracking_page import customer
from promises.tests.test_tracking_wishes import ADDRESS
from promises.tracking import links
from promises.tracking.figures import figures
from promises.tracking.models import CustomerLink, CustomerRequest, NextUpdate
from promises.tracking.panel import context_of

pytestmark = pytest.mark.django_db


def page_of(client, order) -> str:
    address = f"/admin/orders/order/{order.pk}/change/"
    return client.get(address, headers={"Accept-Language": "en"}).content.decode()


def panel_of(client, order) -> str:
    text = page_of(client, order)
    assert 'data-panel="customer"' in text
    return text.split('data-panel="customer"')[1].split("</section>")[0]


def test_the_panel_shows_the_sentence_the_looks_and_the_link():
    order = told(make_order(), "pack.done", 1, role="wms")
    path = make_link(order)
    client = staff_client("service", everything=True)
    with time_machine.travel(after(2), tick=False):
        customer().get(path)
        customer().post(f"{path}contact/")

        panel = panel_of(client, order)

    assert "Packed, waiting for the carrier to collect it" in panel
    assert f'data-customer-link href="{path}"' in panel
    assert "Looked at in 30 days" in panel
    assert panel.count(">1<") >= 1


def test_the_panel_costs_six_statements():
    order = told(make_order(), "pack.done", 1, role="wms")
    make_link(order)
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)

    with CaptureQueriesContext(connection) as queries:
        context_of(order, request, after(2))

    assert len(queries) == 6


def test_who_may_only_read_gets_no_link_and_no_button():
    order = make_order()
    path = make_link(order)

    panel = panel_of(staff_client("viewer", everything=True), order)

    assert (path in panel, "<form" in panel) == (False, False)


def test_whoever_may_not_see_links_has_no_panel():
    order = make_order()
    client = staff_client(may=("orders.view_order",), everything=True)

    assert 'data-panel="customer"' not in page_of(client, order)


def test_a_look_at_the_order_makes_no_link_but_a_button_does():
    order = make_order()
    client = staff_client("sales", everything=True)

    panel_of(client, order)
    n_before = CustomerLink.objects.count()
    answer = client.post(f"/admin/promises/customer/{order.pk}/link/")

    assert (n_before, CustomerLink.objects.count(), answer.status_code) == (0, 1, 303)
    assert links.known_address(order) in panel_of(client, order)


def test_revoking_needs_its_permission_and_is_recorded():
    order = make_order()
    old = make_link(order)
    address = f"/admin/promises/customer/{order.pk}/revoke/"

    refused = staff_client("warehouse", everything=True).post(address)
    still_there = customer().get(old).status_code
    done = staff_client("service", everything=True).post(address)

    assert (refused.status_code, still_there, done.status_code) == (403, 200, 303)
    assert customer().get(old).status_code == 404
    assert AuditEntry.objects.filter(action="customer_link.revoked").count() == 1


@pytest.mark.parametrize("act", ["link", "revoke", "news"])
def test_an_order_outside_of_the_scope_is_not_there_and_a_get_does_nothing(act):
    order = make_order()
    path = make_link(order)
    address = f"/admin/promises/customer/{order.pk}/{act}/"

    by_get = staff_client("service", everything=True).get(address)
    outside = staff_client("service", shops=(make_shop(),)).post(address)

    assert (by_get.status_code, outside.status_code) == (405, 404)
    assert customer().get(path).status_code == 200


def test_telling_the_customer_puts_cause_and_next_update_on_the_page():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    path = make_link(order)
    client = staff_client("logistics", everything=True)
    with time_machine.travel(MONDAY.replace(hour=3), tick=False):
        answer = client.post(
            f"/admin/promises/customer/{order.pk}/news/", {"cause": "customs", "within": "4"}
        )
        nonsense = client.post(
            f"/admin/promises/customer/{order.pk}/news/", {"cause": "aliens", "within": "400"}
        )
        page = customer().get(path).content.decode()

    row = NextUpdate.objects.get()
    assert (answer.status_code, nonsense.status_code, row.cause) == (303, 303, "customs")
    assert "Customs clearance takes longer than usual." in page
    assert "Next update by" in page


def test_a_request_is_read_by_permission_and_each_look_is_recorded():
    order = make_order()
    path = make_link(order)
    with time_machine.travel(MONDAY, tick=False):
        customer().post(f"{path}address/", ADDRESS)
        customer().post(f"{path}ask/", {"message": "Please ring first"})
    address, message = CustomerRequest.objects.order_by("pk")
    url = "/admin/promises/customer/request/"

    refused = staff_client("warehouse", everything=True).post(f"{url}{address.pk}/")
    outside = staff_client("service", shops=(make_shop(),)).post(f"{url}{address.pk}/")
    client = staff_client("service", everything=True)
    by_get = client.get(f"{url}{address.pk}/")
    read = client.post(f"{url}{address.pk}/").content.decode()
    heard = client.post(f"{url}{message.pk}/").content.decode()

    assert (refused.status_code, outside.status_code, by_get.status_code) == (403, 404, 405)
    assert ("2 Harbour Road" in read, "Please ring first" in heard) == (True, True)
    assert AuditEntry.objects.filter(action="reveal").count() == 2
    assert "Harbour" not in str(list(AuditEntry.objects.values()))


def test_the_figures_are_those_of_the_orders_in_scope():
    mine, other = make_order(), told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    Order.objects.filter(pk=other.pk).update(stalled_at=after(1))
    for order, kept, missed in ((mine, after(2), None), (other, None, after(3))):
        path = make_link(order)
        make_next_update(order, after(3), kept_at=kept, missed_at=missed)
        with time_machine.travel(after(4), tick=False):
            customer().get(path)
            customer().get(path)
            customer().post(f"{path}contact/")

    everything = figures(make_staff("viewer", everything=True), after(5))
    scoped = figures(make_staff("sales", shops=(mine.shop,)), after(5))

    assert (everything.n_looks, everything.n_delayed_looks, everything.n_clicks) == (4, 2, 2)
    assert (everything.n_kept, everything.n_missed, everything.kept_per_cent) == (1, 1, 50.0)
    assert everything.by_cause == [("", 1, 0), ("Carrier", 1, 1)]
    assert (scoped.n_looks, scoped.clicks_per_hundred, scoped.by_cause) == (2, 50.0, [("", 1, 0)])


def test_the_page_of_figures_needs_its_permission_and_says_when_there_is_nothing():
    address = "/admin/promises/customer/"

    empty = staff_client("viewer", everything=True).get(address, headers={"Accept-Language": "en"})
    refused = staff_client(may=("orders.view_order",), everything=True).get(address)

    assert (empty.status_code, refused.status_code) == (200, 403)
    assert "No customer has opened a page yet" in empty.content.decode()


@pytest.mark.parametrize("model", ["contactclick", "nextupdate", "customerrequest"])
def test_the_lists_are_read_only_and_scoped(model):
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    path = make_link(order)
    customer().post(f"{path}contact/")
    customer().post(f"{path}ask/", {"message": "Hello"})
    NextUpdate.objects.create(order=order, cause="carrier", made_at=MONDAY, due_at=after(4))
    address = f"/admin/promises/{model}/"

    seen = staff_client("service", everything=True).get(address)
    elsewhere = staff_client("service", shops=(make_shop(),)).get(address)
    adding = staff_client("service", everything=True).get(f"{address}add/")

    assert (seen.status_code, elsewhere.status_code, adding.status_code) == (200, 200, 403)
    assert order.number in seen.content.decode()
    assert order.number not in elsewhere.content.decode()


def test_a_to_do_of_a_customer_is_closed_like_any_other_and_the_page_says_so():
    order = make_order()
    path = make_link(order)
    with time_machine.travel(MONDAY, tick=False):
        customer().post(f"{path}ask/", {"message": "Hello"})
    Todo.objects.filter(subject="customer_message").update(done_at=after(1))

    with time_machine.travel(after(2), tick=False):
        assert "dealt with" in customer().get(path).content.decode()
