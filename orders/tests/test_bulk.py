from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from orders.bulk import add_models, add_models_with_ids, add_rows, update_rows
from orders.models import Order, OrderEvent, OrderFact, OrderLine, Parcel
from orders.stages import ParcelState
from orders.tests.factories import MONDAY, after, make_order

pytestmark = pytest.mark.django_db

# What a text format between us and the database could stumble over.
AWKWARD = 'tab\t, new\nline, back\\slash, "quote", \\N, 中文, 𠮷'


def event(order: Order, **values: object) -> OrderEvent:
    given = {"kind": OrderEvent.Kind.FLAG, "name": "waybill", "occurred_at": MONDAY, "recorded_at": MONDAY}
    return OrderEvent(order=order, **{**given, **values})


def test_added_rows_read_back_as_they_were_given():
    order = make_order()
    at = datetime(2026, 6, 1, 10, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    contents = {"BRK-001": "2", "名": [1, None, {"a": AWKWARD}]}

    add_rows(
        Parcel,
        ["order_id", "waybill", "carrier", "state", "state_at", "contents"],
        [[order.pk, "W1", AWKWARD[:40], ParcelState.IN_TRANSIT, at, contents]],
    )

    parcel = Parcel.objects.get(waybill="W1")
    assert (parcel.order_id, parcel.carrier, parcel.state) == (order.pk, AWKWARD[:40], "in_transit")
    assert parcel.state_at == at
    assert parcel.contents == contents


def test_added_records_take_the_defaults_of_the_database():
    order = make_order()
    before = OrderEvent.objects.count()

    add_models(
        [event(order, old=AWKWARD[:60], after={"total": None}), event(order, kind=OrderEvent.Kind.STEP)]
    )

    first, second = OrderEvent.objects.order_by("id")[before:]
    assert (first.kind, first.old, first.after, first.passed) == ("flag", AWKWARD[:60], {"total": None}, [])
    assert (second.kind, second.after, second.dispatched_at, second.silent) == ("step", {}, None, False)
    assert first.xid is not None


def test_records_that_must_know_their_ids_know_them():
    order = make_order()
    reference = order.links.get().reference_id
    facts = [
        OrderFact(
            reference_id=reference, source="s", role="shop", key=f"k{number}", kind="note.added",
            quantity=Decimal("1.500"), occurred_at=MONDAY, received_at=MONDAY, data={"text": AWKWARD},
        )
        for number in range(3)
    ]  # fmt: skip

    add_models_with_ids(facts)
    OrderFact.objects.create(
        reference_id=reference,
        source="s",
        role="shop",
        key="k9",
        kind="note.added",
        occurred_at=MONDAY,
        received_at=MONDAY,
    )

    assert [OrderFact.objects.get(pk=fact.pk).key for fact in facts] == ["k0", "k1", "k2"]
    assert OrderFact.objects.get(pk=facts[0].pk).quantity == Decimal("1.5")
    assert OrderFact.objects.get(key="k0").data == {"text": AWKWARD}


def test_updated_rows_read_back_as_they_were_given():
    order, other = make_order(), make_order()
    at = datetime(2026, 6, 2, 3, 4, 5, 678901, tzinfo=UTC)
    conflicts = [{"topic": "parcel", "about": AWKWARD}]
    names = ["remark", "total", "stalls_at", "confirmed_on", "is_held", "conflicts", "customer_id", "waybill"]

    update_rows(
        Order,
        names,
        [[order.pk, AWKWARD, Decimal("12345678901.25"), at, date(2026, 6, 8), True, conflicts, None, "W1"]],
    )

    changed, same = Order.objects.get(pk=order.pk), Order.objects.get(pk=other.pk)
    assert (changed.remark, changed.total, changed.waybill) == (AWKWARD, Decimal("12345678901.25"), "W1")
    assert (changed.stalls_at, changed.confirmed_on) == (at, date(2026, 6, 8))
    assert (changed.is_held, changed.conflicts, changed.customer_id) == (True, conflicts, None)
    assert (same.remark, same.is_held, same.conflicts) == ("", False, [])


def test_rows_may_be_emptied():
    order = make_order()
    update_rows(Order, ["total", "stalls_at"], [[order.pk, Decimal(3), after(1)]])

    update_rows(Order, ["total", "stalls_at"], [[order.pk, None, None]])

    assert Order.objects.values_list("total", "stalls_at").get(pk=order.pk) == (None, None)


def test_nothing_to_write_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        add_rows(OrderLine, ["order_id", "sku"], [])
        add_models([])
        add_models_with_ids([])
        update_rows(Order, ["remark"], [])
