"""docs/data-flow.md against the code: every name exists, and one order leaves the rows that the page says."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string

from integrations import tokens
from integrations.models import InboundMessage
from integrations.tasks import drain_inbox
from integrations.tests.factories import fact_item, make_connection, order_item
from orders.models import Order, OrderEvent, OrderFact, SourceHeard, Todo, WorkSignal
from orders.precedence import DEFAULT_RULES, check_rules
from orders.stages import Stage, Step, StepState, Topic
from orders.tasks import dispatch_events
from orders.tests.factories import MONDAY, make_order, make_shop

PAGE = (settings.BASE_DIR / "docs" / "data-flow.md").read_text(encoding="utf-8")
UNDER_WAY = ["orders.todos.observe", "orderhub.tests.test_flow.fail"]


def rows_of(heading):
    """The cells of the table whose first column is called so, without head and rule."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def named_in(cell):
    """The dotted names in a cell."""
    return [
        name for name in re.findall(r"`([^`]+)`", cell) if re.fullmatch(r"[A-Za-z_]+(\.[A-Za-z_]+)+", name)
    ]


def find(path):
    """The function, class or method of that dotted name. Raises ImportError or AttributeError."""
    try:
        return import_string(path)
    except ImportError:
        owner, _dot, name = path.rpartition(".")
        return getattr(import_string(owner), name)


@pytest.mark.parametrize("row", rows_of("step"), ids=lambda row: row[0])
def test_every_function_and_every_row_of_the_flow_exists(row):
    _step, where, leaves = row

    assert all(callable(find(path)) for path in named_in(where))
    assert all(apps.get_model(label) for label in named_in(leaves))
    assert named_in(where)


def test_the_flow_knows_no_other_reactions_than_the_settings():
    line = next(line for line in PAGE.splitlines() if line.startswith("`ORDER_EVENT_PIPELINE`"))

    assert [
        name for name in named_in(line) if name != "orderhub.settings.py"
    ] == settings.ORDER_EVENT_PIPELINE


def test_the_rules_on_the_page_are_those_that_are_built_in():
    shown = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])
    topics = next(row for row in rows_of("entry") if row[0] == "`topics`")[1]

    assert shown == DEFAULT_RULES
    assert topics.partition("named: ")[2].split(", ") == list(Topic.values)


def test_the_rules_of_the_example_can_be_put_in_force():
    steps, parcel = (
        json.loads("{" + re.search(rf'`("{name}": [^`]+)`', PAGE)[1] + "}")[name]
        for name in ("steps", "parcel")
    )

    check_rules({**DEFAULT_RULES, "steps": steps, "topics": {**DEFAULT_RULES["topics"], "parcel": parcel}})


def count_rows(heading):
    """Rows of each table that the walk names, in its order."""
    names = (
        next(line for line in PAGE.splitlines() if line.startswith(f"| {heading} |"))
        .strip("|")
        .split("|")[1:]
    )
    models = {
        model.__name__: model
        for model in apps.get_models()
        if model._meta.app_label in {"orders", "integrations"}
    }
    return [models[name.strip()]._base_manager.count() for name in names]


@pytest.mark.django_db
def test_one_order_walks_the_whole_way_and_leaves_the_rows_of_the_page(client):
    shop = make_shop("parts")
    header = f"Token {tokens.make(make_connection('parts-api', shop=shop), 'test')}"
    carrier = f"Token {tokens.make(make_connection('parts-wms', role='wms'), 'test')}"
    which = {"shop": "parts", "external_id": "A1"}
    handed_over = fact_item(
        "parcel.handed_over", key="out-1", order=which, parcel="SF1", occurred_at=MONDAY + timedelta(hours=5)
    )

    def post(address, item, token):
        answer = client.post(address, {"items": [item]}, "application/json", HTTP_AUTHORIZATION=token)
        assert answer.status_code == 200
        return answer.json()["items"][0]["result"]

    def seen(after):
        assert [after, *map(str, count_rows("after"))] == next(
            row for row in rows_of("after") if row[0] == after
        )

    with time_machine.travel(MONDAY + timedelta(hours=6), tick=False):
        assert (
            post("/api/v1/orders/", order_item("parts", "A1", total="358.00", currency="CNY"), header)
            == "accepted"
        )
        seen("the order has arrived")

        drain_inbox()
        assert Order.objects.get().stage == Stage.AWAITING_PAYMENT
        assert InboundMessage.objects.get().state == InboundMessage.State.DONE
        seen("the worker has read it")

        assert (
            post("/api/v1/facts/", fact_item("payment.received", key="pay-1", order=which), header)
            == "accepted"
        )
        drain_inbox()
        moved = OrderEvent.objects.get(name="stage", new=Stage.AWAITING_DATE)
        assert (moved.old, moved.source, moved.source_key) == (Stage.AWAITING_PAYMENT, "parts-api", "pay-1")
        assert moved.dispatched_at is None
        seen("the payment is reported and read")

        dispatch_events()
        todo = Todo.objects.get()
        assert (todo.kind, todo.subject, todo.owner, todo.done_at) == ("step", Step.DATE, "sales", None)
        assert not OrderEvent.objects.filter(dispatched_at=None).exists()
        seen("the events are dispatched")

        assert post("/api/v1/facts/", handed_over, carrier) == "accepted"
        drain_inbox()
        order = Order.objects.get()
        assert (order.stage, order.waybill) == (Stage.SHIPPED, "SF1")
        assert dict(order.steps.values_list("step", "state")) == {
            Step.DATE: StepState.OVERTAKEN,
            Step.STOCK: StepState.OVERTAKEN,
            Step.WAYBILL: StepState.DONE,
            Step.INVOICE: StepState.OPEN,
        }
        seen("the warehouse hands it over under a waybill")

        assert post("/api/v1/facts/", handed_over, carrier) == "duplicate"
        drain_inbox()
        seen("the same report comes again")

        dispatch_events()
        assert set(Todo.objects.filter(done_at=None).values_list("subject", flat=True)) == {Step.INVOICE}
        seen("the events are dispatched again")

    assert set(SourceHeard.objects.values_list("source", flat=True)) == {"parts-api", "parts-wms"}
    assert set(WorkSignal.objects.exclude(done_at=None).values_list("name", flat=True)) >= {
        "inbox",
        "dispatch",
    }
    assert list(OrderFact.objects.order_by("pk").values_list("kind", flat=True)) == [
        "order.placed",
        "payment.received",
        "parcel.handed_over",
    ]


def fail(events):
    raise RuntimeError("this reaction always fails")


@pytest.mark.django_db
def test_a_reaction_that_fails_puts_its_event_off_and_undoes_no_other_reaction(settings):
    settings.ORDER_EVENT_PIPELINE = UNDER_WAY
    with time_machine.travel(MONDAY, tick=False):
        make_order()

        dispatch_events()

    first = OrderEvent.objects.order_by("pk").first()
    assert (first.dispatched_at, first.attempts, first.reacted) == (None, 1, ["orders.todos.observe"])
    assert first.not_before == MONDAY + timedelta(minutes=1)
    assert first.error == "orderhub.tests.test_flow.fail: RuntimeError"
