"""The order's page with the panels of every room: what it costs, and that no two of them ask for the same rows."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.models import Order
from orders.tests.factories import after, told
from orders.tests.staff import staff_client
from promises.tests.factories_commitments import make_promise, make_promised_order
from promises.tests.factories_estimates import DUE_ON, make_estimate
from promises.tests.factories_tracking import make_link

pytestmark = pytest.mark.django_db

PANELS = ("countdown", "commitment", "customer")
# Each of these tables is told of by more than one panel, or by a panel and the page around it.
SHARED = ("promises_estimate", "promises_promise", "promises_outcome", "orders_parcel")


def make_order_with_everything() -> Order:
    """An order with an estimate, a commitment of two versions, a parcel, and a link for its customer."""
    order = make_promised_order()
    told(order, "parcel.in_transit", 1, parcel="W0", role="carrier")
    make_estimate(order)
    make_promise(replaces=make_promise(order), at=after(1))
    make_link(order)
    return order


def asked_by(client: Client, name: str, order: Order) -> list[str]:
    """The statements of one look at the page, once everything that is kept between looks is known."""
    url = reverse(f"admin:orders_order_{name}", args=[order.pk])
    client.get(url)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(url)
    text = answer.content.decode()
    assert (answer.status_code, [f'data-panel="{key}"' in text.replace('\\"', '"') for key in PANELS]) == (
        200,
        [True] * 3,
    )
    return [query["sql"] for query in queries]


def tables_of(statements: list[str]) -> Counter[str]:
    """How often each table was the one that a statement reads first."""
    found = (re.search(r'\bFROM "(\w+)"', sql) for sql in statements)
    return Counter(match[1] for match in found if match)


@pytest.mark.parametrize("name", ["change", "live"])
@pytest.mark.parametrize("role", ["ops_manager", "sales", "supervisor"])
def test_all_panels_together_ask_for_the_same_rows_once(role, name):
    order = make_order_with_everything()
    client = staff_client(role, everything=True)

    with time_machine.travel(after(3), tick=False):
        statements = asked_by(client, name, order)

    # Reading a scope is one statement; whoever sees every order has none to be read.
    assert len(statements) <= 27 + (role != "ops_manager")
    assert {table: tables_of(statements)[table] for table in SHARED} == {
        "promises_estimate": 1,
        "promises_promise": 1,
        # Read along with the versions.
        "promises_outcome": 0,
        "orders_parcel": 1,
    }


def test_a_long_history_of_promises_costs_no_statement_more():
    order = make_order_with_everything()
    client = staff_client("ops_manager", everything=True)
    with time_machine.travel(after(9), tick=False):
        few = asked_by(client, "change", order)
    newest = order.promises.get(version=2)
    order.estimates.update(is_current=False)
    for number in range(1, 6):
        due_on = DUE_ON + timedelta(days=number)
        make_estimate(order, made_at=after(number), due_on=due_on, is_current=number == 5, is_first=False)
        newest = make_promise(replaces=newest, at=after(1 + number))
        told(order, "parcel.in_transit", 1 + number, parcel=f"W{number}", role="carrier")

    with time_machine.travel(after(9), tick=False):
        many = asked_by(client, "change", order)

    assert len(many) == len(few)


def test_a_look_after_a_change_shows_the_change():
    order = make_order_with_everything()
    client = staff_client("ops_manager", everything=True)
    url = reverse("admin:orders_order_change", args=[order.pk])
    with time_machine.travel(after(3), tick=False):
        before = client.get(url).content.decode()
        newest = make_promise(replaces=order.promises.get(version=2), at=after(2))

        now = client.get(url).content.decode()

    paper = reverse("admin:commitment_paper", args=[newest.pk])
    assert (paper in before, paper in now) == (False, True)
