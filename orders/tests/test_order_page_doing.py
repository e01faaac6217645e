"""What people do on the order's page, undo, and are refused."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from orders import steps
from orders.models import AuditEntry, OrderEvent, OrderFact, OrderHold, Todo
from orders.stages import Stage
from orders.tests.factories import (
    MONDAY,
    after,
    make_order,
    told,
)
from orders.tests.order_pages import act, address, english, fresh, in_english, page, undo_named
from orders.tests.staff import log_in, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("monday_afternoon")]


def test_a_step_is_offered_with_its_undo_and_undone_with_one_press():
    order = make_order()
    client = english("sales", everything=True)

    done = act(client, order, "date", date="2026-06-05")

    html = client.get(done["Location"]).content.decode()
    assert (fresh(order).stage, undo_named(done)) == (Stage.AWAITING_STOCK, "step:date")
    hidden = dict(re.findall(r'name="(undo-\w+)" value="([^"]+)"', html))
    back = client.post(reverse("admin:orders_order_act", args=[order.pk, "undo"]), hidden)
    assert back.status_code == 303
    assert fresh(order).stage == Stage.AWAITING_DATE
    assert AuditEntry.objects.get(action="step.undo").reason == "Taken back at once"


def test_after_ten_minutes_the_page_offers_the_counter_action_instead_of_the_undo():
    order = make_order()
    seller = make_staff("sales", everything=True)
    steps.confirm_date(order.pk, actor=seller, date=after(90).date(), at=after(5))
    client = in_english(log_in(Client(), seller))
    assert "act/undo/" in page(client, order)

    with time_machine.travel(after(5) + timedelta(minutes=11), tick=False):
        html = page(client, order)

    assert ("act/undo/" in html, "act/counter/" in html, "revoke the date" in html) == (False, True, True)


def test_a_supervisor_may_still_undo_later():
    order = make_order()
    seller = make_staff("sales", everything=True)
    steps.confirm_date(order.pk, actor=seller, date=after(90).date(), at=after(5))
    client = english("supervisor", everything=True)

    with time_machine.travel(after(6), tick=False):
        assert "act/undo/" in page(client, order)
        assert act(client, order, "undo", step="date", reason="asked by sales").status_code == 303

    assert fresh(order).stage == Stage.AWAITING_DATE


def test_a_hold_is_set_and_taken_back_at_once():
    order = make_order()
    client = english("sales", everything=True)

    done = act(client, order, "hold", name="address", reason="street missing")
    is_held = OrderHold.objects.filter(order=order).exists()
    act(client, order, "takeback", key=undo_named(done), reason="found it")

    assert (is_held, OrderHold.objects.filter(order=order).exists()) == (True, False)


def test_an_undo_that_is_not_mine_to_have_is_not_offered():
    order = make_order()
    done = act(english("sales", everything=True), order, "note", text="call back")

    html = page(english("service", everything=True), order, f"?undo={undo_named(done)}")

    assert "call back" in html
    assert "data-undo-toast" not in html


def test_a_step_on_a_page_that_is_out_of_date_is_refused_and_what_was_typed_is_kept():
    order = make_order()
    seen = OrderEvent.objects.filter(order=order).latest("pk").pk
    told(order, "cancel.requested", 1)
    client = english("sales", everything=True)

    answer = act(client, order, "date", date="2026-06-05", seen=seen)

    html = answer.content.decode()
    assert answer.status_code == 409
    assert "The order has changed since you opened this page" in html
    assert not OrderFact.objects.filter(kind="date.confirmed").exists()


def test_a_refused_form_comes_back_with_what_was_typed_and_why():
    order = make_order()
    client = english("sales", everything=True)

    answer = act(client, order, "date", date="2026-05-01")

    html = answer.content.decode()
    assert answer.status_code == 422
    assert "2026-05-01 is over. Choose today or a later day." in html
    assert 'value="2026-05-01"' in html
    assert fresh(order).stage == Stage.AWAITING_DATE


def test_a_script_that_wants_json_is_answered_in_json():
    order = make_order()
    client = english("sales", everything=True)
    url = reverse("admin:orders_order_act", args=[order.pk, "note"])

    good = client.post(url, {"note-text": "hello"}, headers={"Accept": "application/json"})
    bad = client.post(url, {"note-text": ""}, headers={"Accept": "application/json"})

    assert (good.status_code, good.json()["done"]) == (200, True)
    assert (bad.status_code, bad.json()["done"]) == (422, False)
    assert OrderFact.objects.filter(kind="note.added").count() == 1


def test_a_todo_is_closed_on_the_page_of_its_own_order_only():
    order, other = make_order(), make_order()
    todo = Todo.objects.create(order=order, kind="request", text="call", owner="sales", opened_at=MONDAY)
    client = english("sales", everything=True)

    wrong = act(client, other, "todo", todo=todo.pk, outcome="called")
    still_open = Todo.objects.filter(done_at=None, pk=todo.pk).exists()
    right = act(client, order, "todo", todo=todo.pk, outcome="called")

    assert (wrong.status_code, still_open, right.status_code) == (422, True, 303)
    assert Todo.objects.get(pk=todo.pk).outcome == "called"


def test_an_action_that_does_not_exist_does_nothing():
    order = make_order()

    answer = act(english("ops_manager"), order, "explode")

    assert answer.status_code == 404
    assert not AuditEntry.objects.filter(model="orders.order").exists()


@pytest.mark.parametrize("name", ["act", "live", "merge", "split", "history", "change", "decide"])
def test_none_of_the_pages_shows_an_order_outside_the_scope(name):
    order = make_order()
    client = english("ops_manager", "sales", "supervisor")
    stranger = english("sales")
    more = {"act": ["note"], "decide": [1, 2]}.get(name, [])
    url = reverse(f"admin:orders_order_{name}", args=[order.pk, *more])

    answer = stranger.post(url) if name == "act" else stranger.get(url)

    assert answer.status_code == 404
    assert order.number not in answer.content.decode()
    assert client.get(address(order)).status_code == 200


def test_steps_of_other_roles_are_named_with_the_role_and_not_offered():
    html = page(english("warehouse", everything=True), make_order())

    assert "“Confirm the date” waits for: Sales." in html
    assert "act/date/" not in html
