"""The palette finds what this person may see, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from orders.desk import SavedView
from orders.models import Order
from orders.tests.factories import make_order, make_shop
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db

ENGLISH = {"accept-language": "en"}


def asked(client: Client, term: str) -> dict[str, list[dict[str, Any]]]:
    answer = client.get("/admin/palette/", {"q": term}, headers=ENGLISH)
    assert answer.status_code == 200
    return {group["title"]: group["items"] for group in answer.json()["groups"]}


def test_an_order_is_found_by_its_hub_number_and_by_its_shop_number():
    order = make_order(external_id="TB-778899")
    client = staff_client("sales", everything=True)

    for term in (order.number, order.number.lower().replace("-", ""), "TB-778899"):
        hit = asked(client, term)["Orders"][0]
        assert hit["title"] == order.number
        assert hit["url"] == f"/admin/orders/order/{order.pk}/change/"


def test_an_order_outside_the_row_scope_is_not_found():
    order = make_order()
    elsewhere = make_shop()

    assert "Orders" in asked(staff_client("sales", everything=True), order.number)
    assert "Orders" not in asked(staff_client("sales", shops=(elsewhere,)), order.number)


def test_whoever_may_not_see_orders_finds_neither_orders_nor_views():
    order = make_order()
    client = staff_client(may=("auth.view_user",), everything=True)

    assert set(asked(client, order.number)) == set()
    assert "Views of the board" not in asked(client, "")


def test_pages_are_those_the_person_may_open():
    assert [item["url"] for item in asked(staff_client("ops_manager"), "shops")["Pages"]] == [
        "/admin/orders/shop/"
    ]
    assert "Pages" not in asked(staff_client(may=("auth.view_user",)), "shops")


def test_own_and_shared_views_are_found_but_not_those_of_others():
    me = make_staff("sales", everything=True)
    other = make_staff("sales")
    mine = SavedView.objects.create(name="Parcels to chase", owner=me)
    shared = SavedView.objects.create(name="Parcels of today", owner=other, is_shared=True)
    SavedView.objects.create(name="Parcels of mine alone", owner=other)

    urls = {item["url"] for item in asked(log_in(Client(), me), "parcels of")["Views of the board"]}
    assert urls == {f"/admin/board/?view={shared.pk}"}
    urls = {item["url"] for item in asked(log_in(Client(), me), "chase")["Views of the board"]}
    assert urls == {f"/admin/board/?view={mine.pk}"}


def test_actions_lead_to_pages_that_the_person_may_use():
    assert "Add a person" not in str(asked(staff_client("sales"), "add"))
    assert asked(staff_client("integrator"), "add a connection")["Actions"] == [
        {
            "title": "Add a connection",
            "hint": "",
            "url": "/admin/connections/",
            "icon": "plus",
        }
    ]


def test_the_palette_changes_nothing_and_asks_the_same_for_many_orders(django_assert_max_num_queries):
    for _n in range(12):
        make_order()
    client = staff_client("sales", everything=True)
    before = list(Order.objects.values_list("pk", "last_fact_at"))

    with django_assert_max_num_queries(14):
        asked(client, Order.objects.latest("pk").number)

    assert list(Order.objects.values_list("pk", "last_fact_at")) == before


def test_a_very_long_term_is_cut_and_harmless():
    assert asked(staff_client("sales", everything=True), "x" * 5000) == {}


def test_strangers_are_sent_to_the_login(client):
    answer = client.get("/admin/palette/?q=x")

    assert answer.status_code == 302
    assert answer.url == "/admin/login/?next=/admin/palette/%3Fq%3Dx"
