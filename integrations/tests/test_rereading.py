from __future__ import annotations

import pytest

from integrations.mapping import rereading, versions
from integrations.mapping.starters import TABLE_ZH
from integrations.models import (
    InboundMessage,
    UnmappedValue,
)
from integrations.tests.uploads import (
    NINE,
    carry_out,
    make_mapping,
    make_way_in,
    settle,
    start,
    table,
)
from orders.models import Order, OrderEvent, OrderFact, Todo

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "uploads"


def test_a_value_that_was_unknown_is_read_anew_once_it_is_mapped():
    connection = make_way_in()
    carry_out(start(connection, table({"订单状态": "6"})))
    order = Order.objects.get()
    value = UnmappedValue.objects.get()
    assert (value.field, value.value, order.payment) == ("订单状态", "6", "unpaid")
    assert Todo.objects.filter(subject=f"unmapped:{value.pk}", done_at=None).exists()

    rereading.add_value(connection.mapping, value, ["payment.received"])
    versions.save(connection.mapping, by=None, at=NINE)
    done = rereading.reread_value(value, at=NINE)
    settle()

    order.refresh_from_db()
    value.refresh_from_db()
    assert (done.n_orders, done.n_changed, done.n_retracted) == (1, 1, 1)
    assert order.payment == "paid"
    assert value.mapped_at == NINE
    assert not Todo.objects.filter(subject=f"unmapped:{value.pk}", done_at=None).exists()
    assert rereading.reread_value(value, at=NINE).n_changed == 0


def test_a_changed_mapping_rewrites_nothing_until_asked():
    connection = make_way_in()
    carry_out(start(connection, table({})))
    order = Order.objects.get()
    mapping = connection.mapping
    mapping.definition = {**TABLE_ZH, "fields": {**TABLE_ZH["fields"], "currency": {"constant": "EUR"}}}
    versions.save(mapping, by=None, at=NINE)
    settle()
    order.refresh_from_db()
    assert (order.currency, rereading.affected(mapping).n_open) == ("CNY", 1)

    done = rereading.reread(mapping, at=NINE)

    order.refresh_from_db()
    assert (done.n_changed, order.currency) == (1, "EUR")
    before = OrderFact.objects.count()
    rereading.reread(mapping, at=NINE)
    settle()
    assert OrderFact.objects.count() == before


def test_what_is_read_anew_moves_its_order_silently():
    connection = make_way_in()
    carry_out(start(connection, table({"订单状态": "6"})))
    value, message = UnmappedValue.objects.get(), InboundMessage.objects.get()
    heard_before = OrderEvent.objects.count()
    rereading.add_value(connection.mapping, value, ["payment.received"])
    versions.save(connection.mapping, by=None, at=NINE)

    rereading.reread_value(value, at=NINE)
    settle()

    told = OrderEvent.objects.order_by("id")[heard_before:]
    again = InboundMessage.objects.get()
    assert {"moved", "axis"} <= {event.kind for event in told}
    assert {event.silent for event in told} == {True}
    assert (again.state, again.run, again.n_facts) == ("done", message.run, message.n_facts + 1)


def test_a_message_that_names_a_missing_warehouse_when_read_anew_is_left_to_an_operator():
    connection = make_way_in()
    run = carry_out(start(connection, table({})))
    mapping = connection.mapping
    mapping.definition = {**TABLE_ZH, "fields": {**TABLE_ZH["fields"], "warehouse": {"constant": "nowhere"}}}
    versions.save(mapping, by=None, at=NINE)
    n_facts, n_events = OrderFact.objects.count(), OrderEvent.objects.count()

    rereading.reread(mapping, at=NINE)
    settle()

    message = InboundMessage.objects.get()
    assert (message.state, message.errors[0]["field"]) == ("failed", "warehouse")
    assert (OrderFact.objects.count(), OrderEvent.objects.count()) == (n_facts, n_events)
    run.refresh_from_db()
    assert (run.n_orders, run.n_errors) == (1, 0)


def test_saving_and_reverting_make_versions():
    mapping = make_mapping()
    mapping.definition = {**TABLE_ZH, "note": "two"}
    assert versions.save(mapping, by=None, at=NINE)
    assert not versions.save(mapping, by=None, at=NINE)

    versions.revert(mapping, 1, by=None, at=NINE)

    mapping.refresh_from_db()
    assert (mapping.version, mapping.definition) == (3, TABLE_ZH)
    assert list(mapping.versions.values_list("number", flat=True)) == [3, 2, 1]


def test_every_order_with_the_value_is_read_anew_though_each_closes_by_it():
    connection = make_way_in()
    n_orders = rereading.ORDERS_AT_ONCE + 20
    carry_out(start(connection, table(*({"订单号": f"A{n}", "订单状态": "6"} for n in range(n_orders)))))
    value = UnmappedValue.objects.get()
    rereading.add_value(connection.mapping, value, ["cancel.accepted"])
    versions.save(connection.mapping, by=None, at=NINE)

    done = rereading.reread_value(value, at=NINE)

    assert (done.n_orders, done.n_changed) == (n_orders, n_orders)
    assert Order.objects.filter(stage="cancelled").count() == n_orders
