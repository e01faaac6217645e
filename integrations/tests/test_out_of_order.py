"""Messages that come in another order than what they tell of."""

from __future__ import annotations

import pytest

from integrations import ingest
from integrations.models import InboundMessage
from integrations.tests.factories import (
    arrive,
    fact_item,
    make_connection,
    make_shop_with_connection,
    order_item,
)
from orders.models import Order, OrderFact
from orders.stages import Stage
from orders.tests.factories import after

pytestmark = pytest.mark.django_db


def test_a_waybill_that_was_named_before_its_order_came_in_brings_the_carriers_scans():
    shop, connection = make_shop_with_connection()
    carrier = make_connection("sf", role="carrier")
    ref = {"shop": shop.code, "external_id": "A1"}
    arrive(connection, "fact", fact_item("waybill.made", order=ref, parcel="SF1", occurred_at=after(8)))
    arrive(carrier, "fact", fact_item("parcel.picked_up", order={"waybill": "SF1"}, occurred_at=after(9)))
    ingest.process()
    assert not Order.objects.exists()

    arrive(connection, "order", order_item(shop, "A1"))
    ingest.process()
    assert Order.objects.get().stage == Stage.IN_TRANSIT

    arrive(carrier, "fact", fact_item("parcel.delivered", order={"waybill": "SF1"}, occurred_at=after(20)))
    ingest.process()
    assert Order.objects.get().stage == Stage.DELIVERED


def test_an_older_report_that_is_read_later_does_not_write_over_the_newer_one():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1", remark="old"))
    arrive(connection, "order", order_item(shop, "A1", remark="new"))
    InboundMessage.objects.filter(body__contains='"old"').update(state="failed")
    ingest.process()

    ingest.replay([InboundMessage.objects.get(state="failed").pk])
    ingest.process()

    assert Order.objects.get().remark == "new"
    assert sorted(OrderFact.objects.values_list("kind", flat=True)) == ["order.changed", "order.placed"]
    assert InboundMessage.objects.filter(state="done").count() == 2


def test_a_newer_report_writes_over_the_older_one():
    shop, connection = make_shop_with_connection()
    for remark in ("old", "new"):
        arrive(connection, "order", order_item(shop, "A1", remark=remark))
        ingest.process()

    assert Order.objects.get().remark == "new"
