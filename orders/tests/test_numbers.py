from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from orders.models import CROCKFORD, Order, Shop
from orders.numbers import TRIES, NoFreeNumber, add_orders
from orders.tests.factories import MONDAY, make_shop
from orders.tests.processes import at_once, wait_for_all

ROUNDS, AT_ONCE = 10, 20


def new_order(shop: Shop, external_id: str) -> Order:
    return Order(shop=shop, external_id=external_id, created_at=MONDAY, stage_since=MONDAY)


def add(*orders: Order, draw: Callable[[datetime], str]) -> None:
    add_orders(orders, [MONDAY] * len(orders), draw=draw)


def drawn(*numbers: str) -> Callable[[datetime], str]:
    """These numbers one after the other, the last one for ever."""
    following = itertools.chain(numbers, itertools.repeat(numbers[-1]))
    return lambda _day: next(following)


def stored() -> list[tuple[str, str]]:
    return list(Order.objects.order_by("external_id").values_list("external_id", "number"))


@pytest.mark.django_db
def test_a_number_that_another_order_has_is_drawn_again_and_the_others_stay():
    shop = make_shop()
    add(new_order(shop, "A"), draw=drawn("OH-1"))
    later = [new_order(shop, name) for name in ("B", "C", "D")]

    add(*later, draw=drawn("OH-2", "OH-1", "OH-3", "OH-4"))

    assert stored() == [("A", "OH-1"), ("B", "OH-2"), ("C", "OH-4"), ("D", "OH-3")]
    assert [order.pk for order in later] == list(
        Order.objects.exclude(external_id="A").order_by("external_id").values_list("pk", flat=True)
    )


@pytest.mark.django_db
def test_a_number_drawn_twice_for_one_batch_is_given_once():
    shop = make_shop()

    add(new_order(shop, "A"), new_order(shop, "B"), draw=drawn("OH-1", "OH-1", "OH-2"))

    assert stored() == [("A", "OH-1"), ("B", "OH-2")]


@pytest.mark.django_db
def test_numbers_that_are_taken_again_and_again_are_reported_and_nothing_is_inserted():
    shop = make_shop()
    add(new_order(shop, "A"), draw=drawn("OH-1"))

    with pytest.raises(NoFreeNumber):
        add(new_order(shop, "B"), new_order(shop, "C"), draw=drawn("OH-2", "OH-1"))
    with pytest.raises(NoFreeNumber):
        add(new_order(shop, "D"), new_order(shop, "E"), draw=drawn("OH-3"))

    assert stored() == [("A", "OH-1")]


@pytest.mark.django_db
def test_as_many_tries_are_made_as_promised():
    shop = make_shop()
    add(new_order(shop, "A"), draw=drawn("OH-1"))

    add(new_order(shop, "B"), draw=drawn(*["OH-1"] * (TRIES - 1), "OH-2"))

    assert stored() == [("A", "OH-1"), ("B", "OH-2")]


@pytest.mark.django_db
def test_an_order_that_exists_is_no_matter_of_numbers():
    shop = make_shop()
    add(new_order(shop, "A"), draw=drawn("OH-1"))

    with pytest.raises(IntegrityError):
        add(new_order(shop, "A"), draw=drawn("OH-2"))

    assert stored() == [("A", "OH-1")]


@pytest.mark.django_db
def test_the_day_in_a_number_is_the_sellers():
    order = new_order(make_shop(), "A")

    add_orders([order], [datetime(2026, 6, 1, 17, 0, tzinfo=UTC)])

    assert order.number.startswith("OH260602-")


def draw_from(seed: int) -> Callable[[datetime], str]:
    """What looks random and comes to everybody with this seed in the same sequence."""
    source = random.Random(seed)
    return lambda _day: "OH-" + "".join(source.choices(CROCKFORD, k=5))


def add_in_step(shop_id: int, worker: str) -> None:
    shop, draw = Shop.objects.get(pk=shop_id), draw_from(1)
    for number in range(ROUNDS):
        orders = [new_order(shop, f"{worker}{number}-{place}") for place in range(AT_ONCE)]
        wait_for_all()
        with transaction.atomic():
            add_orders(orders, [MONDAY] * AT_ONCE, draw=draw)


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_two_workers_that_draw_the_same_numbers_at_the_same_moment_both_get_their_orders():
    shop = make_shop()
    connection.close()

    at_once(add_in_step, [(shop.pk, "one"), (shop.pk, "two")])

    assert Order.objects.count() == 2 * ROUNDS * AT_ONCE
    assert Order.objects.values("number").distinct().count() == 2 * ROUNDS * AT_ONCE
