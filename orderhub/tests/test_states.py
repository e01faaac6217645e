"""Every list can be looked at in each of its six states."""

from __future__ import annotations

import pytest
from django.urls import reverse

from orders.states import STATES
from orders.tests.factories import make_order
from orders.tests.staff import staff_client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _states_can_be_asked_for(settings):
    settings.SHOW_STATES = True


@pytest.mark.parametrize("state", STATES)
def test_today_its_evidence_the_history_and_merging_show_each_state(state):
    order = make_order()
    client = staff_client("ops_manager", "supervisor")
    pages = [
        reverse("admin:index"),
        reverse("admin:today_steps"),
        reverse("admin:orders_order_history", args=[order.pk]),
        reverse("admin:orders_order_merge", args=[order.pk]),
    ]

    shown = {page: client.get(page, {"_state": state}).content.decode() for page in pages}

    assert [page for page, html in shown.items() if f'data-state="{state}"' not in html] == []


@pytest.mark.parametrize("state", STATES)
def test_the_palette_says_each_state(state):
    order = make_order()
    client = staff_client("ops_manager")

    answer = client.get(reverse("admin:palette"), {"q": order.number, "_state": state})

    assert answer.status_code == (503 if state == "error" else 200)
    assert answer.json()["note"]
    assert bool(answer.json()["groups"]) == (state == "stale")
