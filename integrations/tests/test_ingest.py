"""From the inbox to settled orders, on a real database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from integrations import ingest, tokens
from integrations.models import InboundMessage, UnmappedValue
from integrations.tests.factories import (
    arrive,
    fact_item,
    make_connection,
    make_shop_with_connection,
    order_item,
)
from orders.models import Contact, Customer, Order, OrderEvent, OrderFact, SourceHeard, Todo
from orders.stages import Stage
from orders.tests.factories import MONDAY, after, make_shop, make_warehouse

pytestmark = pytest.mark.django_db


def states() -> list[str]:
    return list(InboundMessage.objects.order_by("id").values_list("state", flat=True))


def test_an_order_comes_in_and_is_settled():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1", total="99.50", currency="CNY", customer="C7"))

    done = ingest.process()

    order = Order.objects.get()
    assert (done.n_messages, done.n_failed, done.n_facts) == (1, 0, 1)
    assert (order.shop, order.external_id, order.stage) == (shop, "A1", Stage.AWAITING_PAYMENT)
    assert (order.total, order.currency, order.customer) == (
        Decimal("99.50"),
        "CNY",
        Customer.objects.get(code="C7"),
    )
    assert order.number.startswith("OH260601-")
    assert states() == ["done"]


def test_the_same_number_in_two_shops_is_two_orders():
    for code in ("one", "two"):
        shop, connection = make_shop_with_connection(code)
        arrive(connection, "order", order_item(shop, "007"))

    ingest.process()

    assert sorted(Order.objects.values_list("shop__code", "external_id")) == [("one", "007"), ("two", "007")]


def test_the_same_order_told_twice_is_one_order_and_a_change_is_a_change():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1"))
    ingest.process()
    arrive(connection, "order", order_item(shop, "A1", lines=[{"sku": "BRK-001", "qty": "5"}]))
    ingest.process()

    order = Order.objects.get()
    assert order.lines.get().ordered == 5
    assert sorted(OrderFact.objects.values_list("kind", flat=True)) == ["order.changed", "order.placed"]


def test_facts_in_one_batch_with_their_order_are_settled_together():
    shop, connection = make_shop_with_connection()
    ref = {"shop": shop.code, "external_id": "A1"}
    arrive(connection, "fact", fact_item("payment.received", order=ref))
    arrive(connection, "order", order_item(shop, "A1"))
    arrive(connection, "fact", fact_item("pick.done", order=ref, occurred_at=after(5)))

    ingest.process()

    assert Order.objects.get().stage == Stage.AWAITING_PACK


def test_a_fact_waits_for_its_order():
    shop, connection = make_shop_with_connection()
    arrive(connection, "fact", fact_item("pick.done", order={"shop": shop.code, "external_id": "A1"}))
    ingest.process()
    assert Order.objects.count() == 0

    arrive(connection, "order", order_item(shop, "A1"))
    ingest.process()

    assert Order.objects.get().stage == Stage.AWAITING_PACK


def test_a_carrier_may_scan_a_waybill_before_anybody_says_whose_it_is():
    shop, connection = make_shop_with_connection()
    carrier = make_connection("sf", role="carrier")
    arrive(connection, "order", order_item(shop, "A1"))
    arrive(carrier, "fact", fact_item("parcel.in_transit", order={"waybill": "SF1"}, occurred_at=after(9)))
    ingest.process()
    assert Order.objects.get().stage == Stage.AWAITING_PAYMENT

    made = fact_item(
        "waybill.made", order={"shop": shop.code, "external_id": "A1"}, parcel="SF1", occurred_at=after(8)
    )
    arrive(connection, "fact", made)
    ingest.process()

    order = Order.objects.get()
    assert (order.stage, order.waybill) == (Stage.IN_TRANSIT, "SF1")


def test_a_second_waybill_is_added_and_never_replaces_the_first():
    shop, connection = make_shop_with_connection()
    ref = {"shop": shop.code, "external_id": "A1"}
    arrive(connection, "order", order_item(shop, "A1", lines=[{"sku": "A", "qty": "10"}]))
    for waybill, qty in (("SF1", "6"), ("SF2", "4")):
        lines = [{"sku": "A", "qty": qty}]
        arrive(connection, "fact", fact_item("parcel.handed_over", order=ref, parcel=waybill, lines=lines))
    ingest.process()

    assert sorted(Order.objects.get().parcels.values_list("waybill", flat=True)) == ["SF1", "SF2"]


def test_a_fact_by_hub_number_reaches_its_order():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1"))
    ingest.process()
    arrive(connection, "fact", fact_item("payment.received", order={"number": Order.objects.get().number}))

    ingest.process()

    assert Order.objects.get().stage == Stage.AWAITING_DATE


def test_a_delivered_fact_twice_with_two_message_keys_is_still_one_fact():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1"))
    item = fact_item("payment.received", key="pay-1", order={"shop": shop.code, "external_id": "A1"})
    arrive(connection, "fact", item, key="delivery-1")
    arrive(connection, "fact", item, key="delivery-2")

    done = ingest.process()

    assert (OrderFact.objects.filter(kind="payment.received").count(), done.n_duplicates) == (1, 1)


def test_a_message_that_names_an_unknown_shop_fails_alone_and_can_be_replayed():
    shop, connection = make_shop(), make_connection("erp")
    arrive(connection, "order", order_item("nowhere", "A1"))
    arrive(connection, "order", order_item(shop, "A2"))
    ingest.process()
    failed = InboundMessage.objects.get(state="failed")
    assert failed.errors[0]["field"] == "shop"
    assert list(Order.objects.values_list("external_id", flat=True)) == ["A2"]

    make_shop("nowhere")
    ingest.replay([failed.pk])
    ingest.process()

    assert sorted(Order.objects.values_list("external_id", flat=True)) == ["A1", "A2"]
    assert states() == ["done", "done"]


@pytest.mark.parametrize("by", ["shop", "number"])
def test_a_shops_connection_reports_on_no_other_shops_orders(by):
    theirs, their_connection = make_shop_with_connection()
    _mine, connection = make_shop_with_connection()
    arrive(their_connection, "order", order_item(theirs, "A1"))
    ingest.process()
    order = Order.objects.get()
    named = {"shop": {"shop": theirs.code, "external_id": "A1"}, "number": {"number": order.number}}[by]
    data = {"reason": "x", "order": named}
    event = {"type": "cancel.requested", "timestamp": MONDAY.isoformat(), "data": data}
    connection.connector = "standard_webhooks"
    connection.save()

    arrive(connection, "webhook", event, key="m-1")
    ingest.process()

    [row] = InboundMessage.objects.get(connection=connection).errors
    assert row["field"] == f"order.{by}"
    assert not OrderFact.objects.filter(kind="cancel.requested").exists()


def test_a_shops_connection_places_no_other_shops_orders():
    theirs, _their_connection = make_shop_with_connection()
    _mine, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(theirs, "A1"))

    ingest.process()

    assert InboundMessage.objects.get().errors[0]["field"] == "shop"
    assert not Order.objects.exists()


def test_an_unknown_warehouse_is_named_and_nothing_is_written():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1", warehouse="W9"))

    ingest.process()

    assert InboundMessage.objects.get().errors[0]["field"] == "warehouse"
    assert (Order.objects.count(), OrderFact.objects.count()) == (0, 0)


def test_the_named_warehouse_replaces_the_shops_usual_one():
    shop, connection = make_shop_with_connection()
    shop.warehouse = make_warehouse("W1")
    shop.save()
    other = make_warehouse("W2")
    arrive(connection, "order", order_item(shop, "A1"))
    arrive(connection, "order", order_item(shop, "A2", warehouse="W2"))

    ingest.process()

    assert Order.objects.get(external_id="A1").warehouse == shop.warehouse
    assert Order.objects.get(external_id="A2").warehouse == other


def test_personal_data_go_to_a_contact_and_facts_hold_its_id_only():
    shop, connection = make_shop_with_connection()
    person = {"name": "测试先生", "phone": "13800000001", "street": "示例路1号"}
    arrive(connection, "order", order_item(shop, "A1", contact=person))

    ingest.process()

    contact = Contact.objects.get()
    fact = OrderFact.objects.get()
    assert Order.objects.get().contact == contact
    assert fact.data["contact"] == contact.pk
    assert "13800000001" not in str(fact.data)
    assert contact.opened()["phone"] == "13800000001"


def test_one_message_that_breaks_the_hub_does_not_hold_up_the_others():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1"))
    # A body that no door lets in: a quantity that the database cannot hold.
    huge = order_item(shop, "A2", lines=[{"sku": "A", "qty": "1" + "0" * 30}])
    arrive(connection, "order", huge)
    arrive(connection, "order", order_item(shop, "A3"))

    ingest.process()

    assert sorted(Order.objects.values_list("external_id", flat=True)) == ["A1", "A3"]
    kept = InboundMessage.objects.exclude(state="done").get()
    assert kept.errors != []


def test_an_unknown_status_is_kept_counted_and_put_before_the_integrator():
    shop, connection = make_shop_with_connection()
    ref = {"shop": shop.code, "external_id": "A1"}
    arrive(connection, "order", order_item(shop, "A1"))
    unknown = fact_item("status.unknown", order=ref, data={"field": "status", "value": "6"})
    arrive(connection, "fact", unknown)

    ingest.process()

    order = Order.objects.get()
    assert (order.stage, order.n_unknown) == (Stage.AWAITING_PAYMENT, 1)
    assert OrderEvent.objects.filter(order=order, name="n_unknown", new="1").exists()
    row = UnmappedValue.objects.get()
    assert (row.field, row.value, row.n_seen) == ("status", "6", 1)
    assert Todo.objects.get(kind="unknown_status", order=None).owner == "integrator"


def test_a_source_that_speaks_is_remembered_as_heard():
    shop, connection = make_shop_with_connection("seen")
    arrive(connection, "order", order_item(shop, "A1"))

    ingest.process()

    assert SourceHeard.objects.get(source=connection.slug).fact_at is not None


def test_a_batch_asks_the_same_queries_for_few_and_for_many():
    shop, connection = make_shop_with_connection()
    counts = []
    for n_orders in (2, 3, 12):
        for number in range(n_orders):
            arrive(connection, "order", order_item(shop, f"{n_orders}-{number}"))
        with CaptureQueriesContext(database) as queries:
            ingest.process()
        counts.append(
            len([one for one in queries if "sourceheard" not in one["sql"] and "heard_at" not in one["sql"]])
        )

    assert counts[1] == counts[2]
    assert counts[2] <= 32


def test_a_message_put_off_is_not_taken_before_its_time():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1"))
    message = InboundMessage.objects.get()
    message.not_before = message.received_at + timedelta(hours=1)
    message.save()

    assert ingest.process().n_messages == 0


def test_a_demo_takes_nothing_from_real_connections(client, settings):
    settings.DEMO = True
    shop, connection = make_shop_with_connection()
    header = {"Authorization": f"Token {tokens.make(connection, 'real')}"}

    answer = client.post(
        "/api/v1/orders/",
        {"items": [order_item(shop, "A1")]},
        content_type="application/json",
        headers=header,
    )

    assert answer.status_code == 403
    assert InboundMessage.objects.count() == 0
