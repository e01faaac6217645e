from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import stock
from orders.models import Order, Shop, StockEntry, StockItem, StockLock, Warehouse

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TEN, ELEVEN, NOON = (NINE + timedelta(hours=hours) for hours in (1, 2, 3))

pytestmark = pytest.mark.django_db


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse.objects.create(code="north", name="North")


def make_order(external_id: str = "1") -> Order:
    shop, _made = Shop.objects.get_or_create(code="parts", defaults={"name": "Parts"})
    return Order.objects.create(
        number=f"OH260302-{external_id:0>5}",
        shop=shop,
        external_id=external_id,
        created_at=NINE,
        stage_since=NINE,
    )


def lock(
    order: Order, wants: dict[str, int], warehouse: Warehouse, key: str, **changed: datetime
) -> stock.LockOutcome:
    given = {"at": TEN, "expires_at": NOON} | changed
    return stock.lock(
        order, {sku: Decimal(n) for sku, n in wants.items()}, warehouse=warehouse, key=key, **given
    )


def columns(sku: str = "PAD") -> tuple[Decimal, Decimal]:
    item = StockItem.objects.get(sku=sku)
    return item.on_hand, item.locked


def test_a_count_is_entered_once_with_its_change(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    stock.count(warehouse, "PAD", 7, at=TEN, key="c2")

    stock.count(warehouse, "PAD", 7, at=TEN, key="c2")

    assert columns() == (7, 0)
    assert list(StockEntry.objects.order_by("pk").values_list("kind", "on_hand_change", "locked_change")) == [
        ("count", 10, 0),
        ("count", -3, 0),
    ]


def test_an_older_count_that_comes_late_changes_nothing(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 7, at=TEN, key="c2")

    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")

    assert columns() == (7, 0)


def test_a_count_that_comes_late_does_not_bring_back_what_was_shipped_since(warehouse: Warehouse) -> None:
    order = make_order()
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(order, {"PAD": 4}, warehouse, "l1")
    stock.ship(order, at=ELEVEN, key="s1")

    stock.count(warehouse, "PAD", 9, at=TEN, key="c2")

    assert columns() == (5, 0)
    assert stock.differences() == []


def test_a_count_below_the_locked_units_is_refused_and_names_who_holds_them(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(make_order("1"), {"PAD": 4}, warehouse, "l1")
    lock(make_order("2"), {"PAD": 2}, warehouse, "l2")

    with pytest.raises(stock.CountRefused) as refusal:
        stock.count(warehouse, "PAD", 5, at=ELEVEN, key="c2")

    assert refusal.value.holders == [("OH260302-00001", 4), ("OH260302-00002", 2)]
    assert "OH260302-00001: 4" in str(refusal.value)
    assert columns() == (10, 6)
    assert StockEntry.objects.filter(kind="count").count() == 1


@pytest.mark.parametrize("quantity", ["-1", "0.0001", "NaN", "Infinity", "many", ""])
def test_a_quantity_that_no_stock_can_have_is_refused(warehouse: Warehouse, quantity: str) -> None:
    with pytest.raises(stock.BadQuantity):
        stock.count(warehouse, "PAD", quantity, at=NINE, key="c1")

    assert not StockItem.objects.exists()


def test_the_last_unit_goes_to_the_first_who_asks(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 1, at=NINE, key="c1")

    first = lock(make_order("1"), {"PAD": 1}, warehouse, "l1")
    second = lock(make_order("2"), {"PAD": 1}, warehouse, "l2")

    assert first == stock.LockOutcome(locked={"PAD": Decimal(1)}, short={})
    assert second == stock.LockOutcome(locked={}, short={"PAD": Decimal(1)})
    assert columns() == (1, 1)
    assert StockLock.objects.get().order.external_id == "1"


def test_a_lock_takes_what_there_is_and_says_what_is_missing(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 6, at=NINE, key="c1")
    stock.count(warehouse, "OIL", 3, at=NINE, key="c2")

    outcome = lock(make_order(), {"PAD": 10, "OIL": 3, "LAMP": 1}, warehouse, "l1")

    assert outcome.locked == {"PAD": 6, "OIL": 3}
    assert outcome.short == {"PAD": 4, "LAMP": 1}


def test_asking_again_adds_only_what_was_missing(warehouse: Warehouse) -> None:
    order = make_order()
    stock.count(warehouse, "PAD", 6, at=NINE, key="c1")
    lock(order, {"PAD": 10}, warehouse, "l1")
    stock.count(warehouse, "PAD", 20, at=TEN, key="c2")

    outcome = lock(order, {"PAD": 10}, warehouse, "l2", expires_at=NOON + timedelta(hours=1))

    assert outcome == stock.LockOutcome(locked={"PAD": Decimal(10)}, short={})
    assert columns() == (20, 10)
    live = StockLock.objects.get()
    assert (live.quantity, live.expires_at) == (10, NOON + timedelta(hours=1))


def test_the_same_request_twice_locks_once_even_after_a_release(warehouse: Warehouse) -> None:
    order = make_order()
    stock.count(warehouse, "PAD", 6, at=NINE, key="c1")
    lock(order, {"PAD": 4}, warehouse, "l1")
    stock.release(order, at=ELEVEN, key="r1", reason="cancelled")

    outcome = lock(order, {"PAD": 4}, warehouse, "l1")

    assert outcome == stock.LockOutcome(locked={}, short={"PAD": Decimal(4)})
    assert columns() == (6, 0)


def test_stock_of_another_warehouse_is_not_taken(warehouse: Warehouse) -> None:
    elsewhere = Warehouse.objects.create(code="south", name="South")
    stock.count(elsewhere, "PAD", 6, at=NINE, key="c1")

    outcome = lock(make_order(), {"PAD": 1}, warehouse, "l1")

    assert outcome.short == {"PAD": 1}


def test_a_second_release_gives_nothing_back(warehouse: Warehouse) -> None:
    order = make_order("1")
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(order, {"PAD": 4}, warehouse, "l1")
    lock(make_order("2"), {"PAD": 5}, warehouse, "l2")

    first = stock.release(order, at=ELEVEN, key="cancel:1", reason="cancelled")
    same = stock.release(order, at=ELEVEN, key="cancel:1", reason="cancelled")
    other = stock.release(order, at=ELEVEN, key="cancel:2", reason="cancelled")

    assert (first, same, other) == ({"PAD": 4}, {}, {})
    assert columns() == (10, 5)
    assert StockEntry.objects.get(kind="release").reason == "cancelled"
    assert stock.differences() == []


def test_a_release_that_is_repeated_leaves_a_later_lock_alone(warehouse: Warehouse) -> None:
    order = make_order()
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(order, {"PAD": 4}, warehouse, "l1")
    stock.release(order, at=ELEVEN, key="cancel:1", reason="cancelled")
    lock(order, {"PAD": 3}, warehouse, "l2")

    assert stock.release(order, at=ELEVEN, key="cancel:1", reason="cancelled") == {}

    assert columns() == (10, 3)


def test_locks_end_when_their_time_is_over_and_not_before(warehouse: Warehouse) -> None:
    early, late = make_order("1"), make_order("2")
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(early, {"PAD": 4}, warehouse, "l1", expires_at=ELEVEN)
    lock(late, {"PAD": 5}, warehouse, "l2", expires_at=NOON)

    too_soon = stock.release_expired(early, at=ELEVEN - timedelta(seconds=1))
    expired = stock.release_expired(early, at=ELEVEN)
    again = stock.release_expired(early, at=ELEVEN)
    of_another = stock.release_expired(late, at=ELEVEN)

    assert (too_soon, expired, again, of_another) == ({}, {"PAD": 4}, {}, {})
    assert columns() == (10, 5)


def test_shipped_units_leave_the_stock_and_the_lock(warehouse: Warehouse) -> None:
    order = make_order()
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(order, {"PAD": 6}, warehouse, "l1")

    first = stock.ship(order, {"PAD": Decimal(4)}, at=ELEVEN, key="s1")
    same = stock.ship(order, {"PAD": Decimal(4)}, at=ELEVEN, key="s1")
    rest = stock.ship(order, at=ELEVEN, key="s2")

    assert (first, same, rest) == ({"PAD": 4}, {}, {"PAD": 2})
    assert columns() == (4, 0)
    assert not StockLock.objects.filter(released_at=None).exists()
    assert stock.differences() == []


def test_only_locked_units_are_shipped_from_the_books(warehouse: Warehouse) -> None:
    order = make_order()
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(order, {"PAD": 2}, warehouse, "l1")

    assert stock.ship(order, {"PAD": Decimal(5), "OIL": Decimal(1)}, at=ELEVEN, key="s1") == {"PAD": 2}

    assert columns() == (8, 0)


def test_thousandths_add_up_exactly(warehouse: Warehouse) -> None:
    stock.count(warehouse, "WIRE", "0.3", at=NINE, key="c1")

    stock.lock(
        make_order("1"), {"WIRE": Decimal("0.1")}, warehouse=warehouse, at=TEN, expires_at=None, key="l1"
    )
    outcome = stock.lock(
        make_order("2"), {"WIRE": Decimal("0.2")}, warehouse=warehouse, at=TEN, expires_at=None, key="l2"
    )

    assert outcome == stock.LockOutcome(locked={"WIRE": Decimal("0.2")}, short={})
    assert columns("WIRE") == (Decimal("0.3"), Decimal("0.3"))
    assert stock.differences() == []


def test_the_database_itself_refuses_to_lock_more_than_there_is(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 1, at=NINE, key="c1")

    with pytest.raises(IntegrityError), transaction.atomic():
        StockItem.objects.update(locked=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        StockItem.objects.update(locked=-1)

    assert columns() == (1, 0)


def test_the_nightly_comparison_names_every_column_that_is_off(warehouse: Warehouse) -> None:
    stock.count(warehouse, "PAD", 10, at=NINE, key="c1")
    lock(make_order(), {"PAD": 4}, warehouse, "l1")
    StockItem.objects.update(on_hand=11, locked=5)

    found = [(row.sku, row.what, row.stored, row.expected) for row in stock.differences()]

    assert found == [("PAD", "on_hand", 11, 10), ("PAD", "locked", 5, 4), ("PAD", "locks", 5, 4)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["lock", "release", "ship", "count"]),
            st.integers(0, 2),
            st.decimals(0, 9, places=3, allow_nan=False),
        ),
        max_size=12,
    )
)
def test_no_sequence_of_calls_makes_the_books_disagree(
    warehouse: Warehouse, calls: list[tuple[str, int, Decimal]]
) -> None:
    with transaction.atomic():
        orders = [make_order(str(n)) for n in range(3)]
        stock.count(warehouse, "PAD", 10, at=NINE, key="c")

        for number, (kind, which, quantity) in enumerate(calls):
            _play(kind, orders[which], quantity, warehouse, number)
            assert stock.differences() == []

        on_hand, locked = columns()
        assert 0 <= locked <= on_hand
        transaction.set_rollback(True)


def _play(kind: str, order: Order, quantity: Decimal, warehouse: Warehouse, number: int) -> None:
    at, key = TEN + timedelta(minutes=number), f"k{number}"
    if kind == "lock":
        stock.lock(order, {"PAD": quantity}, warehouse=warehouse, at=at, expires_at=None, key=key)
    elif kind == "release":
        stock.release(order, at=at, key=key, reason="")
    elif kind == "ship":
        stock.ship(order, {"PAD": quantity}, at=at, key=key)
    else:
        with suppress(stock.CountRefused):
            stock.count(warehouse, "PAD", quantity, at=at, key=key)
