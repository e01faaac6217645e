"""Merging and splitting orders from their page."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from orders.models import AuditEntry, Order, OrderEvent
from orders.tests.factories import (
    after,
    make_customer,
    make_order,
    make_shop,
    make_warehouse,
    told,
)
from orders.tests.order_pages import address, english, page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("monday_afternoon")]


# Merging


@pytest.fixture
def pair() -> tuple[Order, Order]:
    shop = make_shop("parts", warehouse=make_warehouse("north"))
    make_customer("key-7")
    given = {"customer": "key-7", "currency": "CNY"}
    first = make_order(shop=shop, lines={"PAD": 2}, fields=given)
    return first, make_order(shop=shop, lines={"OIL": 3}, placed_at=after(0.1), fields=given)


def test_orders_are_merged_after_a_look_at_what_becomes_of_them(pair):
    first, second = pair
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_merge", args=[second.pk])

    offered = client.get(url).content.decode()
    preview = client.get(url, {"order": first.pk}).content.decode()
    n_open = Order.objects.filter(is_open=True).count()
    answer = client.post(url, {"order": first.pk, "reason": "one parcel"})

    assert f'value="{first.pk}"' in offered
    assert f"{first.number} stays, with these articles:" in preview
    assert (n_open, Order.objects.filter(is_open=True).count()) == (2, 1)
    assert answer["Location"] == address(first)
    assert AuditEntry.objects.get(action="merge").reason == "one parcel"
    assert f"Merged into {first.number}." in page(client, second)


def test_a_merge_is_found_by_typed_numbers_and_refused_in_words(pair):
    first, second = pair
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_merge", args=[second.pk])
    told(first, "waybill.made", 1, role="carrier", parcel="SF9")

    unknown = client.get(url, {"with": "OH000000-NOPES"}).content.decode()
    refused = client.post(url, {"with": first.number, "reason": "one parcel"})

    assert "No order you may see has this number: OH000000-NOPES." in unknown
    assert "has a waybill, or its goods are being picked" in refused.content.decode()
    assert refused.status_code == 422
    assert Order.objects.filter(is_open=True).count() == 2


def test_more_orders_than_can_be_merged_at_once_are_counted_and_refused(pair):
    first, second = pair
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_merge", args=[second.pk])
    typed = " ".join([*(f"OH000000-{n:05}" for n in range(20)), first.number])

    answer = client.post(url, {"with": typed, "reason": "one parcel"})

    assert answer.status_code == 422
    assert "21 orders are named; at most 20 can be merged at once." in answer.content.decode()
    assert Order.objects.filter(is_open=True).count() == 2


def test_a_merge_of_orders_that_changed_meanwhile_is_refused(pair):
    first, second = pair
    seen = OrderEvent.objects.latest("pk").pk
    told(first, "cancel.requested", 1)
    url = reverse("admin:orders_order_merge", args=[second.pk])

    answer = english("supervisor", everything=True).post(
        url, {"order": first.pk, "reason": "one parcel", "seen": seen}
    )

    assert answer.status_code == 409
    assert Order.objects.filter(is_open=True).count() == 2


def test_only_those_who_may_join_orders_are_offered_it_and_let_in(pair):
    first, second = pair
    client = english("sales", everything=True)

    html = page(client, second)

    for name in ("merge", "split"):
        url = reverse(f"admin:orders_order_{name}", args=[second.pk])
        assert url not in html
        answer = client.post(url, {"order": first.pk, "reason": "x"})
        assert answer.status_code == 403
        assert "Can merge and split orders" in answer.content.decode()
    assert Order.objects.filter(is_open=True).count() == 2


# Splitting


def test_an_order_is_split_after_a_look_and_its_total_counts_once():
    order = make_order(lines={"PAD": 5, "OIL": 3}, fields={"total": "80.00", "currency": "CNY"})
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_split", args=[order.pk])
    pad = order.lines.get(sku="PAD").pk

    preview = client.get(url, {f"qty-{pad}": "2"}).content.decode()
    n_before = Order.objects.count()
    answer = client.post(url, {f"qty-{pad}": "2", "reason": "half is here"})

    assert re.findall(r'<li translate="no">(\w+ × [\d.]+)</li>', preview) == [
        "PAD × 3.000",
        "OIL × 3.000",
        "PAD × 2",
    ]
    assert (n_before, Order.objects.count(), answer.status_code) == (1, 2, 303)
    new = Order.objects.exclude(pk=order.pk).get()
    assert f"count it here only, not with {new.number}" in page(client, order)
    assert f"counted with {order.number}" in page(client, new)


def test_a_part_outside_the_readers_scope_is_not_named():
    north, south = make_warehouse("north"), make_warehouse("south")
    order = make_order(
        shop=make_shop("parts", warehouse=north),
        lines={"PAD": 5, "OIL": 3},
        fields={"total": "80.00", "currency": "CNY"},
    )
    boss = english("supervisor", everything=True)
    boss.post(
        reverse("admin:orders_order_split", args=[order.pk]),
        {f"qty-{order.lines.get(sku='PAD').pk}": "2", "reason": "half is here"},
    )
    part = Order.objects.exclude(pk=order.pk).get()
    Order.objects.filter(pk=part.pk).update(warehouse=south)

    in_the_north = page(english("warehouse", warehouses=(north,)), order)
    in_the_south = page(english("warehouse", warehouses=(south,)), part)

    assert part.number in page(boss, order)
    assert part.number not in in_the_north
    assert order.number not in in_the_south
    assert "counted with its first part, which you do not see" in in_the_south


@pytest.mark.parametrize(
    ("typed", "words"),
    [("x", "“x” is not a quantity of PAD"), ("9", "cannot be taken out"), ("-1", "is not a quantity")],
)
def test_a_split_that_makes_no_sense_is_refused_with_what_was_typed(typed, words):
    order = make_order(lines={"PAD": 5})
    pad = order.lines.get().pk
    url = reverse("admin:orders_order_split", args=[order.pk])

    html = english("supervisor", everything=True).get(url, {f"qty-{pad}": typed}).content.decode()

    assert words in html
    assert f'value="{typed}"' in html
    assert Order.objects.count() == 1
