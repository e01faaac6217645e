from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import time_machine

from integrations import ingest
from integrations.models import InboundMessage, UnmappedValue
from integrations.tests.senders import Sender, bought, make_connection, make_webhook, picked, push
from orders.models import Order, OrderFact
from orders.tests.factories import make_shop

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def shop():
    return make_shop("tmall")


def event(kind, data, timestamp="2026-06-01T11:00:00+08:00"):
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data})


def failed():
    return [
        (problem["field"], problem["error"])
        for message in InboundMessage.objects.filter(state="failed")
        for problem in message.errors
    ]


def test_what_systems_report_is_read_back_as_status(shop):
    seller = Sender(make_connection("seller", role="shop", shop=shop), may_read=True)
    warehouse = Sender(make_connection("wms"))
    paid = {"kind": "payment.received", "data": {"amount": "20.00"}}

    # The warehouse is faster than the shop.
    warehouse.facts(picked(lines=[{"sku": "BRK-001", "qty": 2}]))
    ingest.process()
    seller.orders(bought(total="20.00"))
    seller.facts(picked("pay-1", **paid))
    ingest.process()

    (order,) = seller.get("orders/").json()["items"]
    assert (order["external_id"], order["stage"], order["axes"]["payment"]) == (
        "1001",
        "awaiting_pack",
        "paid",
    )
    detail = seller.get(f"orders/{order['number']}/").json()
    assert detail["lines"][0]["picked"] == "2"
    assert {fact["kind"] for fact in detail["timeline"]} == {"order.placed", "payment.received", "pick.done"}
    assert detail["settled_through"] == "2026-06-01T04:00:00Z"
    assert failed() == []


def test_an_order_and_a_fact_come_as_signed_pushes(shop):
    make_webhook(shop=shop)

    push(event("order.created", bought(shop=None)), at=NOON, message_id="m1")
    push(
        event("pick.done", {"order": {"external_id": "1001"}, "lines": [{"sku": "BRK-001"}]}),
        at=NOON,
        message_id="m2",
    )
    ingest.process()

    order = Order.objects.get()
    assert (order.external_id, order.stage) == ("1001", "awaiting_pack")
    facts = dict(OrderFact.objects.values_list("kind", "key"))
    assert facts == {"order.placed": "m1", "pick.done": "m2"}
    assert OrderFact.objects.get(kind="pick.done").occurred_at == datetime(2026, 6, 1, 3, tzinfo=UTC)


def test_an_order_that_is_pushed_again_has_changed_when_the_event_happened(shop):
    make_webhook(shop=shop)
    push(event("order.created", bought(shop=None)), at=NOON, message_id="m1")
    push(event("order.updated", bought(shop=None, remark="fragile")), at=NOON, message_id="m2")

    ingest.process()

    assert Order.objects.get().remark == "fragile"
    change = OrderFact.objects.get(kind="order.changed")
    assert (change.key, change.occurred_at) == ("m2", datetime(2026, 6, 1, 3, tzinfo=UTC))


def test_an_unknown_type_is_kept_on_its_order_and_moves_nothing(shop):
    make_webhook(shop=shop)
    push(event("order.created", bought(shop=None)), at=NOON, message_id="m1")
    ingest.process()
    stage = Order.objects.get().stage

    push(event("order.teleported", {"external_id": "1001"}), at=NOON, message_id="m2")
    ingest.process()

    fact = OrderFact.objects.get(kind="status.unknown")
    assert fact.data == {"field": "type", "value": "order.teleported"}
    assert fact.reference.value == "1001"
    assert Order.objects.get().stage == stage
    assert UnmappedValue.objects.get().value == "order.teleported"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"type":"order.created","timestamp":"2026', ""),
        ("[]", ""),
        ('{"timestamp":"2026-06-01T11:00:00Z","data":{}}', "type"),
        ('{"type":"pick.done","data":{}}', "timestamp"),
        ('{"type":"pick.done","timestamp":"now","data":{}}', "timestamp"),
        ('{"type":"pick.done","timestamp":"2026-06-01T11:00:00Z","data":[]}', "data"),
        ('{"type":"pick.done","timestamp":"2026-06-01T11:00:00Z","data":{}}', "data.order"),
        ('{"type":"order.created","timestamp":"2026-06-01T11:00:00Z","data":{}}', "data.external_id"),
        ('{"type":"unheard.of","timestamp":"2026-06-01T11:00:00Z","data":{}}', "type"),
        ('{"type":"pick.done","timestamp":"2026-06-01T11:00:00Z","data":' + "[" * 5000, ""),
    ],
)
def test_a_signed_push_that_says_nothing_readable_is_kept_for_the_operator(shop, body, field):
    make_webhook(shop=shop)

    assert push(body, at=NOON).status_code == 202
    ingest.process()

    assert field in {name for name, _error in failed()}
    assert InboundMessage.objects.get().body == body
    assert not OrderFact.objects.exists()


def test_a_source_takes_back_its_own_fact_only(shop):
    seller = Sender(make_connection("seller", role="shop", shop=shop))
    wms, other = Sender(make_connection("wms")), Sender(make_connection("other"))
    seller.orders(bought())
    wms.facts(picked("p1", lines=[{"sku": "BRK-001", "qty": 2}]))
    ingest.process()
    assert Order.objects.get().stage == "awaiting_pack"

    retraction = picked("r1", kind="fact.retracted", data={"fact": {"key": "p1", "kind": "pick.done"}})
    other.facts(retraction)
    ingest.process()
    assert Order.objects.get().stage == "awaiting_pack"

    wms.facts(retraction)
    ingest.process()
    assert Order.objects.get().stage != "awaiting_pack"
