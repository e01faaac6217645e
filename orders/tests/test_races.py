"""What a transaction that settles an order keeps others from doing, and what it does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from orders.models import Order, Todo
from orders.tests.factories import MONDAY, after, make_order, told

pytestmark = pytest.mark.django_db(transaction=True)


def ask(order_id: int) -> int:
    """In a thread of its own: open a to-do on the order; fails if that has to wait for somebody."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        return Todo.objects.create(
            order_id=order_id, kind=Todo.Kind.REQUEST, owner="ops", opened_at=MONDAY
        ).pk
    finally:
        connection.close()


def test_a_row_that_points_to_an_order_does_not_wait_for_whoever_settles_it():
    if not connection.features.has_select_for_update:
        pytest.skip("On SQLite there is one writer at a time, whatever the row.")
    with transaction.atomic():
        order = make_order()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        told(order, "date.confirmed", 1)
        todo = pool.submit(ask, order.pk).result(10)

    assert list(Todo.objects.values_list("pk", "order_id")) == [(todo, order.pk)]
    assert Order.objects.get().last_fact_at == after(1)
