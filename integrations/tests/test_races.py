"""The same message, and the same new customers, brought by real processes at the same moment."""

from __future__ import annotations

import pytest
from django.db import connection as database

from integrations import ingest
from integrations.models import Connection, InboundMessage
from integrations.tests.factories import arrive, fact_item, make_shop_with_connection, order_item
from orders.dispatch import dispatch_waiting
from orders.models import Customer, Order, OrderEvent, OrderFact, Todo
from orders.stages import Stage, Step
from orders.tests.processes import at_once, wait_for_all

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

SENDERS, TIMES = 4, 25


def bring(slug: str, item: dict) -> int:
    """Deliver the item again and again and work it off each time; returns how often it counted as new."""
    connection = Connection.objects.get(slug=slug)
    accepted = 0
    for _time in range(TIMES):
        accepted += arrive(connection, "fact", item).result == "accepted"
        ingest.process()
        dispatch_waiting()
    return accepted


def test_a_message_brought_a_hundred_times_by_four_processes_counts_once():
    shop, connection = make_shop_with_connection()
    arrive(connection, "order", order_item(shop, "A1"))
    ingest.process()
    paid = fact_item("payment.received", order={"shop": shop.code, "external_id": "A1"})
    database.close()

    accepted = at_once(bring, [(connection.slug, paid)] * SENDERS)
    while dispatch_waiting():
        pass

    order = Order.objects.get()
    assert sum(accepted) == 1
    assert InboundMessage.objects.filter(state="done").count() == 2 == InboundMessage.objects.count()
    assert OrderFact.objects.filter(kind="payment.received").count() == 1
    assert list(OrderEvent.objects.filter(kind="moved").order_by("id").values_list("new", flat=True)) == [
        Stage.AWAITING_PAYMENT,
        Stage.AWAITING_DATE,
    ]
    assert list(Todo.objects.filter(order=order).values_list("kind", "subject", "n_times")) == [
        (Todo.Kind.STEP, Step.DATE, 1)
    ]


def drain() -> None:
    wait_for_all()
    for _time in range(100):
        ingest.process(limit=1)
        if not InboundMessage.objects.filter(state="waiting", not_before=None).exists():
            break


def test_two_workers_that_meet_the_same_new_customer_both_get_their_orders():
    shop, connection = make_shop_with_connection()
    for number in range(24):
        arrive(connection, "order", order_item(shop, f"A{number}", customer=f"C{number // 2}"))
    pks = list(InboundMessage.objects.order_by("id").values_list("pk", flat=True))
    database.close()

    at_once(drain, [(), ()])

    assert InboundMessage.objects.filter(pk__in=pks, state="done").count() == 24
    assert sorted(Order.objects.values_list("customer__code", flat=True)) == sorted(
        f"C{number // 2}" for number in range(24)
    )
    assert Customer.objects.count() == 12
