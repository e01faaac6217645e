"""How the tests of the order's page come to it: a browser in English, the page's text, an action by its form."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from django.test import Client
from django.urls import reverse

from orders.models import Order
from orders.tests.staff import staff_client


def english(*roles: str, **given) -> Client:
    return in_english(staff_client(*roles, **given))


def in_english(client: Client) -> Client:
    client.cookies["django_language"] = "en"
    return client


def address(order: Order, query: str = "") -> str:
    return reverse("admin:orders_order_change", args=[order.pk]) + query


def page(client: Client, order: Order, query: str = "") -> str:
    answer = client.get(address(order, query))
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, order: Order, action: str, **given):
    values = {f"{action}-{name}": value for name, value in given.items() if name != "seen"}
    seen = {"seen": given["seen"]} if "seen" in given else {}
    return client.post(reverse("admin:orders_order_act", args=[order.pk, action]), values | seen)


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def undo_named(answer) -> str:
    return parse_qs(urlsplit(answer["Location"]).query)["undo"][0]


def decision(order: Order, *, other: bool = True) -> str:
    one = order.conflicts[0]
    sides = (one["loser"], one["winner"]) if other else (one["winner"], one["loser"])
    return reverse("admin:orders_order_decide", args=[order.pk, *sides])
