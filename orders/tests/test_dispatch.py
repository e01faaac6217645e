"""Reactions to events: once each, in the order in which their order lived them, whatever fails."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.test import override_settings

from orders.dispatch import BATCH, WAITS, dispatch_waiting
from orders.models import Order, OrderEvent, Todo
from orders.stages import Stage
from orders.tests.factories import MONDAY, make_order
from orders.tests.processes import at_once, wait_for_all

HERE = __name__
NOON = MONDAY + timedelta(days=1)


def note(events: Sequence[OrderEvent]) -> None:
    """A reaction that leaves a trace for every event, in the order in which it sees them."""
    for event in events:
        Todo.objects.create(
            order_id=event.order_id,
            kind=Todo.Kind.REQUEST,
            subject=str(event.pk),
            owner="ops",
            opened_at=NOON,
        )


def fail_on_bad(events: Sequence[OrderEvent]) -> None:
    if any(event.name == "bad" for event in events):
        raise RuntimeError("no route")


def note_slowly(events: Sequence[OrderEvent]) -> None:
    note(events[:1])
    # Long enough for the other dispatchers to look at what is left.
    time.sleep(0.02)
    note(events[1:])


def happen(order: Order, *names: str) -> list[int]:
    """Ids of new events of the order with these names."""
    return [
        OrderEvent.objects.create(
            order=order, kind=OrderEvent.Kind.FLAG, name=name, occurred_at=NOON, recorded_at=NOON
        ).pk
        for name in names
    ]


def quiet_order() -> Order:
    order = make_order()
    OrderEvent.objects.update(dispatched_at=NOON)
    return order


def noted(order: Order) -> list[int]:
    return [
        int(text)
        for text in Todo.objects.filter(order=order).order_by("pk").values_list("subject", flat=True)
    ]


@pytest.mark.django_db
def test_a_failing_reaction_holds_up_its_own_order_and_no_other():
    torn, fine = quiet_order(), quiet_order()
    bad, later = happen(torn, "bad", "good")
    good = happen(fine, "good")

    with (
        override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.note", f"{HERE}.fail_on_bad"]),
        time_machine.travel(NOON, tick=False) as clock,
    ):
        dispatch_waiting()
        assert noted(fine) == good
        # What succeeded is done, although another reaction to the same event failed.
        assert noted(torn) == [bad]

        dispatch_waiting()
        clock.shift(WAITS[0] - timedelta(seconds=1))
        dispatch_waiting()
        assert OrderEvent.objects.get(pk=bad).attempts == 1

        clock.shift(1)
        dispatch_waiting()

    event = OrderEvent.objects.get(pk=bad)
    assert (event.attempts, event.reacted) == (2, [f"{HERE}.note"])
    assert event.not_before == NOON + WAITS[0] + WAITS[1]
    assert event.error == f"{HERE}.fail_on_bad: RuntimeError"
    assert noted(torn) == [bad]
    assert OrderEvent.objects.get(pk=later).dispatched_at is None


@pytest.mark.django_db
def test_after_the_fifth_failure_an_event_is_set_aside_and_its_order_goes_on():
    torn = quiet_order()
    bad, later = happen(torn, "bad", "good")

    with (
        override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.fail_on_bad", f"{HERE}.note"]),
        time_machine.travel(NOON, tick=False) as clock,
    ):
        for wait in WAITS:
            dispatch_waiting()
            assert not OrderEvent.objects.get(pk=bad).set_aside
            clock.shift(wait)
        dispatch_waiting()
        dispatch_waiting()

    event = OrderEvent.objects.get(pk=bad)
    assert (event.attempts, event.set_aside, event.dispatched_at) == (5, True, None)
    assert noted(torn) == [bad, later]


@pytest.mark.django_db
def test_once_mended_a_reaction_runs_and_the_others_do_not_run_again():
    torn = quiet_order()
    bad, later = happen(torn, "bad", "good")

    with time_machine.travel(NOON, tick=False) as clock:
        with override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.note", f"{HERE}.fail_on_bad"]):
            dispatch_waiting()
        clock.shift(WAITS[0])
        with override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.note"]):
            dispatch_waiting()

    assert noted(torn) == [bad, later]
    assert not OrderEvent.objects.filter(dispatched_at=None).exists()


@pytest.mark.django_db
def test_many_events_behind_one_that_is_put_off_do_not_fill_the_batches():
    torn, fine = quiet_order(), quiet_order()
    bad, *_behind = happen(torn, "bad", *["good"] * BATCH)
    OrderEvent.objects.filter(pk=bad).update(not_before=NOON + timedelta(minutes=30), attempts=3)
    good = happen(fine, "good")

    with (
        override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.note"]),
        time_machine.travel(NOON, tick=False),
    ):
        assert dispatch_waiting() == 1

    assert noted(fine) == good
    assert noted(torn) == []


@pytest.mark.django_db(transaction=True)
def test_an_event_that_another_dispatcher_holds_is_not_overtaken():
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("Only with locks on rows can one event of an order be held and another one be free.")
    with transaction.atomic():
        order = quiet_order()
    first, held, last = happen(order, "good", "good", "good")
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM orders_orderevent WHERE id = %s FOR UPDATE", [held])

    with override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.note"]):
        dispatch_waiting()
        while_held = noted(order)
        other.close()
        dispatch_waiting()

    assert while_held == [first]
    assert noted(order) == [first, held, last]


def dispatch_all(limit: int) -> int:
    wait_for_all()
    taken = 0
    with override_settings(ORDER_EVENT_PIPELINE=[f"{HERE}.note_slowly"]):
        for _time in range(60):
            taken += dispatch_waiting(limit)
            if not OrderEvent.objects.filter(dispatched_at=None).exists():
                break
    return taken


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_several_dispatchers_take_each_event_once_and_those_of_one_order_in_turn():
    with transaction.atomic():
        orders = [quiet_order() for _number in range(6)]
    expected: dict[int, list[int]] = {order.pk: [] for order in orders}
    for _round in range(8):
        for order in orders:
            expected[order.pk] += happen(order, "good")
    connection.close()

    taken = at_once(dispatch_all, [(7,), (7,), (5,)])

    assert sum(taken) == 48
    assert {order.pk: noted(order) for order in orders} == expected
    assert {order.stage for order in orders} == {Stage.AWAITING_DATE}
