from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F

from orders import steps, stock
from orders.models import AuditEntry, Order, OrderFact, StockItem, StockLock, Warehouse
from orders.tests import stock_history
from orders.tests.factories import MONDAY
from orders.tests.factories import make_order as make_full_order
from orders.tests.processes import at_once, wait_for_all
from orders.tests.test_stock import make_order

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CLIENTS, ARTICLES = 4, 12

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse.objects.create(code="north", name="North")


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss")


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


def confirm(order_id: int, actor_id: int) -> str:
    actor = User.objects.get(pk=actor_id)
    wait_for_all()
    try:
        steps.confirm_date(order_id, actor=actor, date=date(2026, 6, 5), at=MONDAY)
    except steps.StepRefused as refusal:
        return refusal.code
    return "done"


def test_a_step_that_several_people_take_at_once_is_taken_by_one(boss: User) -> None:
    with transaction.atomic():
        order = make_full_order()
    connection.close()

    answers = at_once(confirm, [(order.pk, boss.pk)] * CLIENTS)

    assert sorted(answers) == ["done", "not_open", "not_open", "not_open"]
    assert OrderFact.objects.filter(kind="date.confirmed").count() == 1
    assert AuditEntry.objects.filter(action="step.date").count() == 1


def test_the_judge_finds_a_hold_that_two_people_set(warehouse: Warehouse, boss: User) -> None:
    wanted = stock_history.prepare(warehouse, [make_order("1")], skus=1)
    history = stock_history.run(64, seed=3, wanted=wanted, warehouse=warehouse, actor=boss, clients=2)

    lie = next(op for op in history if op.kind == "hold" and op.answer == 0)
    changed = [op._replace(answer=1) if op is lie else op for op in history]

    assert stock_history.judge(history, wanted, warehouse).anomalies == []
    assert len(stock_history.judge(changed, wanted, warehouse).anomalies) == 1


def test_what_sixteen_clients_see_could_have_happened_one_after_another(
    warehouse: Warehouse, boss: User
) -> None:
    wanted = stock_history.prepare(warehouse, [make_order(str(number)) for number in range(12)], skus=3)

    history = stock_history.run(320, seed=13, wanted=wanted, warehouse=warehouse, actor=boss)
    verdict = stock_history.judge(history, wanted, warehouse)

    assert verdict.anomalies == []
    assert verdict.n_operations > 280
    assert sum(op.outcome == "ok" for op in history) >= 0.98 * len(history)


def test_the_judge_finds_a_unit_that_two_orders_got(warehouse: Warehouse, boss: User) -> None:
    wanted = stock_history.prepare(warehouse, [make_order(str(number)) for number in range(2)], skus=1)
    history = stock_history.run(32, seed=1, wanted=wanted, warehouse=warehouse, actor=boss, clients=2)

    lie = next(op for op in history if op.kind == "lock")
    changed = [op._replace(answer=op.answer + 7) if op is lie else op for op in history]

    assert stock_history.judge(history, wanted, warehouse).anomalies == []
    assert len(stock_history.judge(changed, wanted, warehouse).anomalies) == 1


def test_the_judge_finds_units_that_vanished_from_the_books(warehouse: Warehouse, boss: User) -> None:
    wanted = stock_history.prepare(warehouse, [make_order(str(number)) for number in range(2)], skus=1)
    history = stock_history.run(32, seed=1, wanted=wanted, warehouse=warehouse, actor=boss, clients=2)

    StockItem.objects.filter(sku="HOT-0").update(on_hand=F("on_hand") + 1)

    anomalies = stock_history.judge(history, wanted, warehouse).anomalies
    assert [text.split(":")[0] for text in anomalies][:1] == ["on_hand of HOT-0"]
