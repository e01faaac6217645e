from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from orders import steps, stock, todos
from orders.dispatch import dispatch_waiting
from orders.models import AuditEntry, Order, OrderEvent, Shop, Todo
from orders.stages import Step
from orders.tests.factories import MONDAY, after, make_order, make_shop, make_warehouse, told
from orders.tests.staff import make_staff
from orders.transitions import mark_stalled

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _monday() -> Iterator[None]:
    with time_machine.travel(MONDAY, tick=False):
        yield


@pytest.fixture
def shop() -> Shop:
    return make_shop("parts", warehouse=make_warehouse("north"))


def react() -> None:
    while dispatch_waiting():
        pass
    assert not OrderEvent.objects.exclude(error="").exists()


def open_ones(order: Order) -> list[tuple[str, str, str]]:
    rows = Todo.objects.filter(order=order, done_at=None).order_by("pk")
    return list(rows.values_list("kind", "subject", "owner"))


def test_an_open_step_asks_its_role_until_its_due_time(shop: Shop) -> None:
    order = make_order(shop=shop)

    react()

    todo = Todo.objects.get(order=order)
    assert open_ones(order) == [("step", "date", "sales")]
    assert todo.due_at == order.steps.get(step=Step.DATE).due_at
    assert (todo.opened_at, todo.n_times) == (MONDAY, 1)


def test_a_step_that_is_done_closes_its_question_and_names_who_did_it(shop: Shop) -> None:
    order = make_order(shop=shop)
    react()
    actor = make_staff("sales", everything=True)

    steps.confirm_date(order.pk, actor=actor, date=date(2026, 6, 5), at=after(1))
    react()

    todo = Todo.objects.get(order=order, subject="date")
    assert (todo.done_by, todo.done_at, todo.outcome) == (actor, after(1), "done")
    assert open_ones(order) == [("step", "stock", "warehouse")]


def test_an_undone_step_is_asked_for_again(shop: Shop) -> None:
    order = make_order(shop=shop)
    actor = make_staff("sales", everything=True)
    steps.confirm_date(order.pk, actor=actor, date=date(2026, 6, 5), at=MONDAY)
    react()

    steps.undo_step(order.pk, Step.DATE, actor=actor, reason="wrong day", at=after(0.1))
    react()

    assert open_ones(order) == [("step", "date", "sales")]
    assert Todo.objects.filter(order=order, kind="step", subject="stock", done_at=None).count() == 0


def test_events_that_are_dispatched_late_ask_for_nothing_that_is_done(shop: Shop) -> None:
    order = make_order(shop=shop)
    told(order, "date.confirmed", 1, data={"date": "2026-06-05"})
    told(order, "stock.locked", 2, role="erp")

    react()

    assert open_ones(order) == [("step", "waybill", "logistics")]


def test_a_stuck_order_asks_the_owner_of_its_stage_once_and_is_settled_when_it_moves(shop: Shop) -> None:
    order = make_order(shop=shop)
    assert order.stalls_at is not None
    mark_stalled([order.pk], at=order.stalls_at + timedelta(hours=1))
    react()
    stuck = open_ones(order)

    told(order, "date.confirmed", 30, data={"date": "2026-06-05"})
    react()

    assert stuck == [("step", "date", "sales"), ("stalled", "awaiting_date", "sales")]
    assert open_ones(order) == [("step", "stock", "warehouse")]


def test_an_unknown_status_asks_the_integrator_once_for_each_value(shop: Shop) -> None:
    order = make_order(shop=shop)
    for value, hours in (("6", 1), ("6", 2), ("7", 3)):
        told(order, "status.unknown", hours, data={"field": "status", "value": value})
    react()

    asked = [row for row in open_ones(order) if row[0] == "unknown_status"]

    assert asked == [
        ("unknown_status", "status = 6", "integrator"),
        ("unknown_status", "status = 7", "integrator"),
    ]
    assert order.stage == Order.objects.get(pk=order.pk).stage


def test_the_same_question_twice_is_one_to_do_that_counts(shop: Shop) -> None:
    order = make_order(shop=shop)
    event = OrderEvent.objects.get(order=order, kind="step", name="date")

    for _again in range(3):
        todos.observe([event])

    assert Todo.objects.get(order=order, kind=Todo.Kind.STEP).n_times == 3


def test_reactions_ask_the_same_queries_for_few_events_and_for_many(shop: Shop) -> None:
    counts = []
    # The first time a process reads what it keeps: rules, the newest model, kinds of rows.
    for n_orders in (1, 2, 12):
        for _number in range(n_orders):
            make_order(shop=shop)
        with CaptureQueriesContext(connection) as queries:
            dispatch_waiting()
        counts.append(len(queries))

    assert counts[1] == counts[2]


def test_sources_that_disagree_ask_somebody_to_look(shop: Shop) -> None:
    order = make_order(shop=shop)
    told(order, "parcel.handed_over", 1, role="wms", parcel="SF1")
    told(order, "cancel.accepted", 2)

    react()

    todo = Todo.objects.get(order=order, kind=Todo.Kind.CONFLICT)
    assert (todo.owner, todo.text, todo.done_at) == ("ops_manager", "cancel", None)


def test_a_shortage_asks_the_warehouse_until_the_goods_are_locked(shop: Shop) -> None:
    order = make_order(shop=shop, lines={"PAD": 2})
    assert shop.warehouse is not None
    stock.count(shop.warehouse, "PAD", 1, at=MONDAY, key="c1")
    steps.confirm_date(order.pk, actor=make_staff("sales", everything=True), date=date(2026, 6, 5), at=MONDAY)
    keeper = make_staff("warehouse", everything=True)
    steps.lock_stock(order.pk, actor=keeper, at=after(1))
    react()
    short = open_ones(order)

    stock.count(shop.warehouse, "PAD", 2, at=after(2), key="c2")
    steps.lock_stock(order.pk, actor=keeper, at=after(3))
    react()

    assert short == [("step", "stock", "warehouse"), ("shortage", "", "warehouse")]
    assert open_ones(order) == [("step", "waybill", "logistics")]


def test_a_cancelled_order_asks_for_nothing_any_more(shop: Shop) -> None:
    order = make_order(shop=shop)
    react()

    told(order, "cancel.accepted", 1)
    react()

    assert open_ones(order) == []


def test_a_person_closes_a_to_do_with_what_came_of_it(shop: Shop) -> None:
    order = make_order(shop=shop)
    told(order, "status.unknown", 1, data={"field": "status", "value": "6"})
    react()
    todo = Todo.objects.get(kind=Todo.Kind.UNKNOWN_STATUS)
    actor = make_staff("integrator", everything=True)

    todos.close(todo.pk, actor=actor, outcome="asked the shop", at=after(2))
    with pytest.raises(todos.TodoRefused) as refusal:
        todos.close(todo.pk, actor=actor, outcome="again", at=after(3))

    todo.refresh_from_db()
    assert (todo.done_at, todo.done_by, todo.outcome) == (after(2), actor, "asked the shop")
    assert refusal.value.code == "not_open"
    assert AuditEntry.objects.filter(action="todo.closed").count() == 1


def test_a_to_do_is_not_closed_by_those_who_may_not_or_cannot_see_it(shop: Shop) -> None:
    order = make_order(shop=shop)
    told(order, "status.unknown", 1, data={"field": "status", "value": "6"})
    react()
    todo = Todo.objects.get(kind=Todo.Kind.UNKNOWN_STATUS)
    step = Todo.objects.get(kind=Todo.Kind.STEP)

    codes = []
    for row, actor in (
        (todo, make_staff("viewer", everything=True)),
        (todo, make_staff("integrator")),
        (step, make_staff("sales", everything=True)),
    ):
        with pytest.raises(todos.TodoRefused) as refusal:
            todos.close(row.pk, actor=actor, outcome="", at=after(2))
        codes.append(refusal.value.code)

    assert codes == ["not_allowed", "not_found", "by_step"]
    assert Todo.objects.filter(done_at=None).count() == 2


def test_a_to_do_reads_in_words_in_both_languages(shop: Shop) -> None:
    order = make_order(shop=shop)
    told(order, "parcel.handed_over", 1, role="wms", parcel="SF1")
    told(order, "cancel.accepted", 2)
    react()

    todo = Todo.objects.get(order=order, kind=Todo.Kind.CONFLICT)
    with translation.override("en"):
        assert str(todo) == "Sources disagree: Cancellation"
    with translation.override("zh-hans"):
        assert "cancel" not in str(todo)
