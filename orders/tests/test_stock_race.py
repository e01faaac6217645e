from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F

from orders import stock
from orders.models import Order, StockItem, StockLock, Warehouse
from orders.tests import stock_history
from orders.tests.processes import at_once, wait_for_all
from orders.tests.test_stock import make_order

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CLIENTS, ARTICLES = 4, 12

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse.objects.create(code="north", name="North")


def lock_each(order_id: int, warehouse_id: int) -> list[str]:
    """In a process of its own: try to lock one unit of every article, starting on each together with the others."""
    order, warehouse = Order.objects.get(pk=order_id), Warehouse.objects.get(pk=warehouse_id)
    got = []
    for number in range(ARTICLES):
        sku = f"LAST-{number}"
        wait_for_all()
        outcome = stock.lock(
            order, {sku: Decimal(1)}, warehouse=warehouse, at=NINE, expires_at=None, key=f"{order_id}:{sku}"
        )
        got += list(outcome.locked)
    return got


def release_once(order_id: int, call: int) -> int:
    wait_for_all()
    return int(
        sum(stock.release(Order(pk=order_id), at=NINE, key=f"cancel:{call}", reason="cancelled").values())
    )


def test_orders_racing_for_the_last_unit_get_exactly_one_lock(warehouse: Warehouse) -> None:
    orders = [make_order(str(number)) for number in range(CLIENTS)]
    for number in range(ARTICLES):
        stock.count(warehouse, f"LAST-{number}", 1, at=NINE, key=f"c{number}")
    connection.close()

    got = at_once(lock_each, [(order.pk, warehouse.pk) for order in orders])

    everything = sorted(f"LAST-{number}" for number in range(ARTICLES))
    assert sorted(sku for mine in got for sku in mine) == everything
    assert sorted(StockLock.objects.values_list("item__sku", flat=True)) == everything
    assert not StockItem.objects.exclude(on_hand=1, locked=1).exists()
    assert stock.differences() == []


def test_one_order_released_from_several_sides_gives_its_units_back_once(warehouse: Warehouse) -> None:
    cancelled, other = make_order("1"), make_order("2")
    stock.count(warehouse, "PAD", 100, at=NINE, key="c")
    for order, wants in ((cancelled, 5), (other, 50)):
        stock.lock(
            order, {"PAD": Decimal(wants)}, warehouse=warehouse, at=NINE, expires_at=None, key=order.number
        )
    connection.close()

    given_back = at_once(release_once, [(cancelled.pk, call) for call in range(CLIENTS)])

    assert sorted(given_back) == [0, 0, 0, 5]
    item = StockItem.objects.get()
    assert (item.on_hand, item.locked) == (100, 50)
    assert stock.differences() == []


def test_what_sixteen_clients_see_of_the_stock_could_have_happened_one_after_another(
    warehouse: Warehouse,
) -> None:
    wanted = stock_history.prepare(warehouse, [make_order(str(number)) for number in range(12)], skus=3)

    history = stock_history.run(320, seed=13, wanted=wanted, warehouse=warehouse)
    verdict = stock_history.judge(history, wanted, warehouse)

    assert verdict.anomalies == []
    assert verdict.n_operations > 280
    assert {op.outcome for op in history} == {"ok"}


def test_the_judge_finds_a_unit_that_two_orders_got(warehouse: Warehouse) -> None:
    wanted = stock_history.prepare(warehouse, [make_order(str(number)) for number in range(2)], skus=1)
    history = stock_history.run(32, seed=1, wanted=wanted, warehouse=warehouse, clients=2)

    lie = next(op for op in history if op.kind == "lock")
    changed = [op._replace(answer=op.answer + 7) if op is lie else op for op in history]

    assert stock_history.judge(history, wanted, warehouse).anomalies == []
    assert len(stock_history.judge(changed, wanted, warehouse).anomalies) == 1


def test_the_judge_finds_units_that_vanished_from_the_books(warehouse: Warehouse) -> None:
    wanted = stock_history.prepare(warehouse, [make_order(str(number)) for number in range(2)], skus=1)
    history = stock_history.run(32, seed=1, wanted=wanted, warehouse=warehouse, clients=2)

    StockItem.objects.filter(sku="HOT-0").update(on_hand=F("on_hand") + 1)

    anomalies = stock_history.judge(history, wanted, warehouse).anomalies
    assert [text.split(":")[0] for text in anomalies][:1] == ["on_hand of HOT-0"]
