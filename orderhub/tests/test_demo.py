"""The demo seller: every stage, every kind of trouble, the same for the same seed, and gone without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django_q.models import OrmQ

from orderhub import demo
from orderhub.demo.stories import Story, stories
from orders.derivation import derive
from orders.masters import Customer, Shop, Warehouse
from orders.models import (
    AuditEntry,
    Contact,
    ExternalReference,
    Order,
    OrderEvent,
    OrderFact,
    OrderHold,
    OrderStep,
    StockEntry,
    StockItem,
    WorkSignal,
)
from orders.precedence import DEFAULT_RULES, precedence_of
from orders.stages import Stage, StepState
from orders.tests.factories import make_order
from orders.units import FactRow

N_ORDERS = 200
AT = datetime(2026, 6, 3, 7, 0, tzinfo=UTC)
# The night of the Spring Festival, a Sunday evening, the first hour of a Monday.
ODD_MOMENTS = [
    datetime(2026, 2, 17, 18, 30, tzinfo=UTC),
    datetime(2026, 5, 31, 13, 0, tzinfo=UTC),
    datetime(2026, 6, 1, 1, 0, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def _seller(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Loading takes seconds, so the tests of this module share one load; whatever they change is rolled back."""
    with django_db_blocker.unblock():
        demo.load(N_ORDERS, seed=1, at=AT)
    yield
    with django_db_blocker.unblock():
        demo.wipe()
        # Loading was committed, and with it the word to the workers, which is no row of the demo.
        OrmQ.objects.all().delete()
        WorkSignal.objects.all().delete()


@pytest.fixture
def seller(_seller: None, db: None) -> None:
    """The demo seller of 200 orders, as of AT."""


def rows(story: Story) -> list[FactRow]:
    """The facts of a story as the derivation reads them."""
    return [
        FactRow(
            number,
            ("", "waybill", one.waybill) if one.on_waybill else (story.shop.code, "order", story.external_id),
            one.source,
            one.role,
            f"{number}",
            one.kind,
            one.waybill or one.sku,
            one.quantity,
            one.occurred_at,
            one.received_at,
            one.data,
            None,
        )
        for number, one in enumerate(story.told)
    ]


@pytest.mark.parametrize("at", ODD_MOMENTS)
def test_there_is_an_order_in_every_stage_whenever_the_demo_is_started(at: datetime) -> None:
    rules = precedence_of(0, DEFAULT_RULES)

    stages = {derive(rows(story), rules, at).stage for story in stories(N_ORDERS, seed=1, at=at)}

    assert stages == set(Stage)


def test_the_same_seed_tells_the_same_lives() -> None:
    first = list(stories(30, seed=7, at=AT))

    assert list(stories(30, seed=7, at=AT)) == first
    assert list(stories(40, seed=7, at=AT))[:30] == first
    assert list(stories(30, seed=8, at=AT)) != first


def test_nothing_is_told_before_it_happened_or_after_now() -> None:
    told = [one for story in stories(N_ORDERS, seed=1, at=AT) for one in story.told]

    assert all(one.occurred_at < one.received_at <= AT for one in told)
    assert min(one.occurred_at for one in told) > AT - timedelta(days=42)


def test_loaded_orders_stand_in_every_stage_and_are_all_marked_as_demo(seller: None) -> None:
    assert set(Order.objects.values_list("stage", flat=True)) == set(Stage.values)
    assert Order.objects.filter(is_demo=True).count() == Order.objects.count() == N_ORDERS
    assert Order.objects.exclude(set_aside="").count() == 0
    for model in (OrderFact, OrderEvent, ExternalReference, Customer, Contact, Shop, Warehouse, StockItem):
        assert not model._default_manager.filter(is_demo=False).exists()


def test_each_kind_of_trouble_is_there(seller: None) -> None:
    partial = Order.objects.filter(partial_of="shipped").values_list("partial_done", "partial_total")

    assert set(partial) == {(Decimal(6), Decimal(10))}
    assert Order.objects.filter(has_conflict=True, intent="cancelled").count() == 1
    assert Order.objects.filter(n_unknown=1).count() == 1
    assert Order.objects.filter(payment="paid_after_cancel", stage="cancelled").count() == 1
    assert Order.objects.filter(is_short=True, stage="awaiting_stock").count() == 1
    assert OrderHold.objects.filter(name="address", until__gt=AT).count() == 2
    assert Order.objects.filter(is_rush=True).count() == 4
    assert Order.objects.filter(is_open=True, stalls_at__lt=AT).count() > 5
    assert OrderStep.objects.filter(state=StepState.OPEN, due_at__lt=AT).count() > 3


def test_a_conflict_keeps_both_facts(seller: None) -> None:
    order = Order.objects.get(has_conflict=True)

    kinds = set(OrderFact.objects.filter(reference__links__order=order).values_list("kind", flat=True))

    assert {"cancel.accepted", "parcel.handed_over"} <= kinds
    assert order.conflicts[0]["rule"] == "goods_left_before_cancel"


def test_the_journal_tells_when_orders_moved(seller: None) -> None:
    order = Order.objects.filter(stage=Stage.COMPLETED).order_by("placed_at").first()
    assert order is not None

    moves = OrderEvent.objects.filter(order=order, kind="moved").order_by("id")

    assert moves.count() > 1
    assert {move.silent for move in moves} == {True}
    assert moves.last().recorded_at == order.stage_since < AT
    assert moves.first().recorded_at < moves.last().recorded_at


def test_only_what_still_asks_something_waits_in_the_queue(seller: None) -> None:
    waiting = OrderEvent.objects.filter(dispatched_at__isnull=True)

    opened = waiting.filter(kind="step")

    assert waiting.filter(order__is_open=False).count() == 0
    assert set(waiting.values_list("kind", flat=True)) == {"step", "flag"}
    assert opened.count() == OrderStep.objects.filter(state=StepState.OPEN, order__is_open=True).count()


def test_loading_again_changes_nothing_and_says_so(seller: None, capsys: pytest.CaptureFixture[str]) -> None:
    before = (OrderFact.objects.count(), OrderEvent.objects.count(), AuditEntry.objects.count())

    call_command("seed_demo", orders=50)

    assert "200" in capsys.readouterr().out
    assert (OrderFact.objects.count(), OrderEvent.objects.count(), AuditEntry.objects.count()) == before
    with pytest.raises(demo.AlreadyLoaded):
        demo.load(50, seed=1, at=AT)


def test_wiping_takes_every_demo_row_and_no_other(seller: None) -> None:
    real = make_order()
    real_facts = list(OrderFact.objects.filter(is_demo=False).values_list("pk", flat=True))

    gone = demo.wipe()

    assert gone["order"] == N_ORDERS
    assert list(Order.objects.all()) == [real]
    assert list(OrderFact.objects.values_list("pk", flat=True)) == real_facts
    assert list(Shop.objects.all()) == [real.shop]
    for model in (Customer, Contact, Warehouse, StockItem, StockEntry):
        assert not model._default_manager.exists()
    assert not AuditEntry.objects.filter(is_demo=True).exists()


def test_after_wiping_the_seller_can_be_loaded_again(seller: None) -> None:
    demo.wipe()

    loaded = demo.load(3, seed=1, at=AT)

    assert loaded.n_orders == Order.objects.count() == 3
