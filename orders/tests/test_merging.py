from __future__ import annotations

from decimal import Decimal

import pytest

from orders import merging, steps, stock
from orders.byhand import NotAllowed, Refused
from orders.facts import ReferenceKey, orders_of
from orders.models import AuditEntry, ExternalReference, Order, OrderFact, ReferenceLink, Shop
from orders.stages import Payment, Stage
from orders.tests.factories import (
    MONDAY,
    add_fact,
    after,
    make_order,
    make_shop,
    make_warehouse,
    settled,
    told,
)
from orders.tests.staff import make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return make_shop("parts", warehouse=make_warehouse("north"))


def merge(*orders: Order, hours: float = 1) -> Order:
    actor = make_staff("supervisor", everything=True)
    return merging.merge([order.pk for order in orders], actor=actor, reason="one parcel", at=after(hours))


def split(order: Order, hours: float = 1, **lines: int) -> tuple[Order, Order]:
    """(what stayed, what was taken out)."""
    actor = make_staff("supervisor", everything=True)
    wanted = {sku: Decimal(quantity) for sku, quantity in lines.items()}
    new = merging.split(order.pk, wanted, actor=actor, reason="half is here", at=after(hours))
    return Order.objects.get(pk=order.pk), new


def ordered(order: Order) -> dict[str, Decimal]:
    return dict(order.lines.values_list("sku", "ordered"))


def orders_named(shop: Shop, external_id: str) -> list[int]:
    reference = ExternalReference.objects.get(connection=shop.code, kind="order", value=external_id)
    return orders_of([reference.pk])[reference.pk]


def test_three_shop_orders_become_one_that_carries_all_their_lines(shop: Shop) -> None:
    first = make_order(shop=shop, external_id="A", lines={"PAD": 2})
    second = make_order(shop=shop, external_id="B", lines={"PAD": 1, "OIL": 3}, placed_at=after(0.1))
    third = make_order(shop=shop, external_id="C", lines={"LAMP": 1}, placed_at=after(0.2))
    n_facts = OrderFact.objects.filter(kind="order.placed").count()

    kept = merge(third, first, second)

    assert (kept.pk, kept.merged_from, kept.stage) == (first.pk, 3, Stage.AWAITING_DATE)
    assert ordered(kept) == {"PAD": 3, "OIL": 3, "LAMP": 1}
    assert [orders_named(shop, name) for name in "ABC"] == [[first.pk]] * 3
    absorbed = Order.objects.filter(pk__in=[second.pk, third.pk])
    assert set(absorbed.values_list("stage", "is_open")) == {(Stage.CANCELLED, False)}
    assert OrderFact.objects.filter(kind="order.placed").count() == n_facts


def test_a_merge_leaves_one_audit_row_that_names_what_was_absorbed(shop: Shop) -> None:
    first = make_order(shop=shop, lines={"PAD": 2})
    second = make_order(shop=shop, lines={"OIL": 3}, placed_at=after(0.1))

    merge(first, second)

    entry = AuditEntry.objects.get(model="orders.order")
    assert (entry.action, entry.object_id, entry.reason) == ("merge", str(first.pk), "one parcel")
    assert entry.after["absorbed"] == [second.number]
    said = OrderFact.objects.get(kind="cancel.accepted")
    assert (said.reference.value, said.data["merged_into"]) == (second.number, first.number)


def test_what_a_shop_reports_after_a_merge_reaches_the_order_that_stayed(shop: Shop) -> None:
    first = make_order(shop=shop, lines={"PAD": 2})
    second = make_order(shop=shop, lines={"OIL": 3}, placed_at=after(0.1))
    kept = merge(first, second)

    told(second, "cancel.accepted", 2)

    kept = settled(kept, at=after(2))
    assert dict(kept.lines.values_list("sku", "cancelled")) == {"PAD": 0, "OIL": 3}
    assert kept.stage == Stage.AWAITING_DATE


def test_a_merged_order_is_paid_when_all_of_it_is(shop: Shop) -> None:
    first = make_order(shop=shop, lines={"PAD": 2})
    second = make_order(shop=shop, lines={"OIL": 3}, placed_at=after(0.1), paid=False)
    kept = merge(first, second)
    before = kept.payment

    add_fact(second, "payment.received", occurred_at=after(2))

    assert (before, settled(kept, at=after(2)).payment) == (Payment.PARTIAL, Payment.PAID)


def test_locks_of_merged_orders_are_given_back_and_made_anew(shop: Shop) -> None:
    assert shop.warehouse is not None
    stock.count(shop.warehouse, "PAD", 10, at=MONDAY, key="c")
    orders = [make_order(shop=shop, lines={"PAD": 2}, placed_at=after(n / 10)) for n in range(2)]
    keeper, seller = make_staff("warehouse", everything=True), make_staff("sales", everything=True)
    for order in orders:
        steps.confirm_date(order.pk, actor=seller, date=after(48).date(), at=after(0.5))
        steps.lock_stock(order.pk, actor=keeper, at=after(0.6))

    kept = merge(*orders)
    freed = stock.held(kept) | stock.held(orders[1])
    steps.lock_stock(kept.pk, actor=keeper, at=after(2))

    assert (kept.stage, freed) == (Stage.AWAITING_STOCK, {})
    assert stock.held(kept) == {"PAD": 4}
    assert stock.differences() == []


def test_one_shop_order_becomes_two_that_share_its_name_and_its_payment(shop: Shop) -> None:
    order = make_order(shop=shop, external_id="A", lines={"PAD": 5, "OIL": 3})

    stayed, new = split(order, PAD=2, OIL=3)

    assert (ordered(stayed), ordered(new)) == ({"PAD": 3}, {"PAD": 2, "OIL": 3})
    assert orders_named(shop, "A") == [stayed.pk, new.pk]
    assert (stayed.payment, new.payment) == (Payment.PAID, Payment.PAID)
    assert (stayed.stage, new.stage) == (Stage.AWAITING_DATE, Stage.AWAITING_DATE)
    assert (new.external_id, new.shop, new.warehouse) == ("A/2", shop, shop.warehouse)
    assert new.number != stayed.number
    assert AuditEntry.objects.filter(model="orders.order").get().action == "split"


def test_the_parts_of_a_split_order_go_their_own_ways(shop: Shop) -> None:
    order = make_order(shop=shop, lines={"PAD": 5, "OIL": 3})
    _stayed, new = split(order, OIL=3)

    steps.confirm_date(new.pk, actor=make_staff("sales", everything=True), date=after(48).date(), at=after(2))

    assert settled(new, at=after(2)).stage == Stage.AWAITING_STOCK
    assert settled(order, at=after(2)).stage == Stage.AWAITING_DATE


def test_a_shop_that_repeats_its_lines_does_not_undo_a_split(shop: Shop) -> None:
    order = make_order(shop=shop, lines={"PAD": 5, "OIL": 3})
    stayed, new = split(order, OIL=3)

    add_fact(order, "order.changed", occurred_at=after(3), lines=[("PAD", 5), ("OIL", 3)])

    assert ordered(settled(stayed, at=after(3))) == {"PAD": 5}
    assert ordered(settled(new, at=after(3))) == {"OIL": 3}


def test_the_cancellation_of_a_shop_order_cancels_both_parts(shop: Shop) -> None:
    order = make_order(shop=shop, lines={"PAD": 5, "OIL": 3})
    stayed, new = split(order, OIL=3)

    add_fact(order, "cancel.accepted", occurred_at=after(3))

    assert {settled(one, at=after(3)).stage for one in (stayed, new)} == {Stage.CANCELLED}


def test_a_split_order_that_is_merged_again_has_every_unit_once(shop: Shop) -> None:
    order = make_order(shop=shop, external_id="A", lines={"PAD": 5, "OIL": 3})
    stayed, new = split(order, PAD=2, OIL=3)

    kept = merge(new, stayed, hours=2)

    assert (kept.pk, kept.merged_from) == (order.pk, 1)
    assert ordered(kept) == {"PAD": 5, "OIL": 3}
    assert orders_named(shop, "A") == [order.pk]


def test_orders_that_do_not_belong_together_are_not_merged(shop: Shop) -> None:
    order = make_order(shop=shop)
    elsewhere = make_order(shop=make_shop("other", warehouse=make_warehouse("south")))
    papered = make_order(shop=shop)
    told(papered, "waybill.made", 0.5, parcel="SF1", role="carrier")
    cancelled = make_order(shop=shop)
    told(cancelled, "cancel.accepted", 0.5)
    links = set(ReferenceLink.objects.values_list("reference", "order"))

    codes = []
    for others in ([elsewhere], [papered], [cancelled], [order]):
        with pytest.raises(Refused) as refusal:
            merge(order, *others)
        codes.append(refusal.value.code)

    assert codes == ["unlike", "touched", "closed", "too_few"]
    assert (
        set(ReferenceLink.objects.exclude(reference__kind="number").values_list("reference", "order"))
        == links
    )
    assert not OrderFact.objects.filter(data__has_key="merged_into").exists()


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ({"PAD": 6}, "too_many"),
        ({"LAMP": 1}, "unknown_line"),
        ({}, "nothing_left"),
        ({"PAD": 0}, "nothing_left"),
        ({"PAD": 5, "OIL": 3}, "nothing_left"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(shop: Shop, lines: dict[str, int], code: str) -> None:
    order = make_order(shop=shop, lines={"PAD": 5, "OIL": 3})

    with pytest.raises(merging.JoinRefused) as refusal:
        split(order, **lines)

    assert (refusal.value.code, Order.objects.count()) == (code, 1)
    assert ordered(order) == {"PAD": 5, "OIL": 3}


def test_only_those_who_may_join_orders_they_see_do_so(shop: Shop) -> None:
    orders = [make_order(shop=shop), make_order(shop=shop)]
    ids = [order.pk for order in orders]

    with pytest.raises(NotAllowed):
        merging.merge(ids, actor=make_staff("sales", everything=True), reason="x", at=after(1))
    with pytest.raises(NotAllowed):
        merging.merge(ids, actor=make_staff("supervisor"), reason="x", at=after(1))
    with pytest.raises(NotAllowed):
        merging.split(
            ids[0], {"BRK-001": Decimal(1)}, actor=make_staff("supervisor"), reason="x", at=after(1)
        )

    assert not Order.objects.exclude(stage=Stage.AWAITING_DATE).exists()


def test_hub_numbers_keep_meaning_their_own_order(shop: Shop) -> None:
    first = make_order(shop=shop, lines={"PAD": 2})
    second = make_order(shop=shop, lines={"OIL": 3}, placed_at=after(0.1))

    merge(first, second)

    number = ReferenceKey("", "number", second.number)
    reference = ExternalReference.objects.get(connection="", kind=number.kind, value=number.value)
    assert orders_of([reference.pk])[reference.pk] == [second.pk]
