"""The order's page and list, as an operator uses them."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation import gettext, override

from orders.access import ROLES, sync_roles
from orders.models import AuditEntry, Order, OrderFact, OrderStep
from orders.people import StaffScope
from orders.stages import Stage
from orders.tests.factories import add_fact, after, make_order, settled, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client, settings):
    """Logs somebody in with these roles, who sees every order."""
    settings.DEMO = True

    def log_in(*roles: str) -> User:
        sync_roles()
        user = User.objects.create_user("-".join(roles) or "nobody", is_staff=True)
        user.groups.set(Group.objects.filter(name__in=roles))
        StaffScope.objects.create(user=user, everything=True)
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return user

    return log_in


def page(client, order: Order) -> str:
    return client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()


def test_the_page_says_where_the_order_stands_and_names_the_facts_behind_it(client, staff):
    staff("ops_manager")
    order = told(make_order(), "parcel.in_transit", 5, parcel="SF1", role="carrier")

    html = page(client, order)

    fact = OrderFact.objects.get(kind="parcel.in_transit")
    assert order.number in html
    assert f'href="#fact-{fact.pk}"' in html
    assert f'id="fact-{fact.pk}"' in html
    assert str(Stage.IN_TRANSIT.label) in html


def test_the_list_is_searched_by_index_within_the_readers_scope(client, staff):
    staff("ops_manager")
    order = make_order()

    with CaptureQueriesContext(
        connection,
    ) as asked:
        html = client.get(
            reverse("admin:orders_order_changelist"), {"q": order.number.lower()}
        ).content.decode()

    assert order.number in html
    assert not [one["sql"] for one in asked if "UPPER(" in one["sql"] or " LIKE " in one["sql"]]


def test_codes_of_sources_are_said_in_words(client, staff):
    staff("ops_manager")
    order = told(make_order(), "order.changed", 3, data={"fields": {"payment_terms": "prepaid"}})

    with override("zh-hans"):
        html = page(client, order)

    assert ">prepaid" not in html
    assert str(gettext("Prepaid")) in page(client, order)


def test_both_sides_of_a_conflict_are_shown(client, staff):
    staff("ops_manager")
    order = make_order()
    told(order, "cancel.accepted", 2, source="shop-system")
    order = told(order, "parcel.handed_over", 3, role="wms", source="wms-system", parcel="SF1")

    html = page(client, order)

    assert "shop-system" in html
    assert "wms-system" in html


def test_an_order_is_found_by_each_of_its_numbers(client, staff):
    staff("ops_manager")
    wanted = told(
        make_order(external_id="90071992547409931"), "waybill.made", 1, parcel="SF77", role="carrier"
    )
    make_order()

    for term in (wanted.number, wanted.number.lower(), wanted.external_id):
        html = client.get(reverse("admin:orders_order_changelist"), {"q": term}).content.decode()
        assert len(set(re.findall(r"OH\d{6}-[0-9A-Z]{5}", html))) == 1
        assert wanted.number in html


def test_sales_confirms_the_date_on_the_page(client, staff):
    user = staff("sales")
    order = make_order()

    answer = client.post(
        reverse("admin:orders_order_act", args=[order.pk, "date"]), {"date-date": "2099-01-05"}
    )

    assert answer.status_code == 303
    order = Order.objects.get(pk=order.pk)
    assert order.stage == Stage.AWAITING_STOCK
    step = OrderStep.objects.get(order=order, step="date")
    assert (step.state, step.done_by) == ("done", user)
    assert AuditEntry.objects.filter(actor=user, model="orders.order").count() == 1


def test_the_wrong_role_is_refused_and_told_who_may(client, staff):
    staff("warehouse")
    order = make_order()
    n_facts = OrderFact.objects.count()

    answer = client.post(
        reverse("admin:orders_order_act", args=[order.pk, "date"]), {"date-date": "2099-01-05"}
    )

    assert OrderFact.objects.count() == n_facts
    order = Order.objects.get(pk=order.pk)
    assert order.stage == Stage.AWAITING_DATE
    assert answer.status_code == 403
    with override("zh-hans"):
        words = [gettext("Can confirm the delivery date"), str(ROLES["sales"].label)]
    assert [word for word in words if word not in answer.content.decode()] == []


def test_looking_at_an_action_does_not_do_it(client, staff):
    staff("sales")
    order = make_order()

    answer = client.get(
        reverse("admin:orders_order_act", args=[order.pk, "date"]), {"date-date": "2099-01-05"}
    )

    assert answer.status_code == 405
    order.refresh_from_db()
    assert order.stage == Stage.AWAITING_DATE


def test_an_order_out_of_scope_does_not_exist(client, staff):
    user = staff("sales")
    StaffScope.objects.filter(user=user).delete()
    StaffScope.objects.create(user=user)
    order = make_order()

    assert client.get(reverse("admin:orders_order_change", args=[order.pk])).status_code == 404
    answer = client.post(
        reverse("admin:orders_order_act", args=[order.pk, "date"]), {"date-date": "2099-01-05"}
    )
    assert answer.status_code == 404


def test_the_list_asks_the_same_queries_for_few_and_for_many_orders(
    client, staff, django_assert_max_num_queries
):
    staff("ops_manager")
    for _number in range(15):
        make_order()

    with django_assert_max_num_queries(16):
        assert client.get(reverse("admin:orders_order_changelist")).status_code == 200


def n_queries(client, order: Order, query: str = "") -> int:
    url = reverse("admin:orders_order_change", args=[order.pk]) + query
    client.get(url)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url).status_code == 200
    return len(asked)


def test_a_long_timeline_costs_no_query_more_and_is_shown_a_page_at_a_time(client, staff, settings):
    # What the panels of other rooms ask is theirs to bound.
    settings.ORDER_PANELS = []
    staff("ops_manager")
    order = make_order()
    add_fact(order, "note.added", occurred_at=after(1), data={"text": "note 0"}, role="person")
    few = n_queries(client, settled(order))
    for hour in range(1, 80):
        add_fact(order, "note.added", occurred_at=after(1 + hour), data={"text": f"note {hour}."})
    settled(order)

    many = n_queries(client, order)

    assert (many, many <= 25) == (few, True)
