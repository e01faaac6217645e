"""Real processes at the same orders at the same moment, and processes that die in the middle."""

from __future__ import annotations

import json
import multiprocessing
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test import override_settings

from integrations import ingest
from integrations.inbox import Arrival, digest_of, receive
from integrations.models import Connection, InboundMessage
from integrations.tests.senders import make_connection
from orderhub.bench.chaos import breaks_in_journal
from orders.dispatch import dispatch_waiting
from orders.models import Order, OrderEvent, OrderFact, Todo
from orders.stages import Role
from orders.tests import processes
from orders.tests.factories import MONDAY, make_shop

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

PAIRS = 24
LIFE = ("payment.received", "date.confirmed", "stock.locked", "parcel.handed_over")


def put_down(source: Connection, form: str, item: dict) -> int:
    body = json.dumps(item)
    receipt = receive(source, [Arrival(f"{form}:{item['key']}", form, body, digest_of(body))], MONDAY)[0]
    return receipt.message_id


def order_item(name: str) -> dict:
    return {
        "key": f"place-{name}",
        "shop": "shop-1",
        "external_id": name,
        "placed_at": MONDAY.isoformat(),
        "lines": [{"sku": "BRK-001", "qty": "2"}],
    }


def fact_item(kind: str, name: str, hours: float = 1, **order: str) -> dict:
    item = {
        "key": f"{kind}-{name}",
        "kind": kind,
        "occurred_at": (MONDAY + timedelta(hours=hours)).isoformat(),
        "order": order or {"shop": "shop-1", "external_id": name},
    }
    return item | ({"data": {"date": "2026-06-08"}} if kind == "date.confirmed" else {})


def work_through(messages: list[int]) -> None:
    """What a worker does with these messages, one by one, in step with the others."""
    for pk in messages:
        processes.wait_for_all()
        ingest._process(1, only=pk)


def dispatch_all() -> None:
    while dispatch_waiting(limit=10):
        pass


@pytest.fixture
def shop() -> Connection:
    make_shop("shop-1")
    return make_connection("shop-system", role=Role.SHOP)


def test_a_fact_that_arrives_while_its_order_is_being_made_counts(shop):
    names = [f"A{number}" for number in range(PAIRS)]
    # The name is known already, so that it is not the making of its row that holds one of the two up.
    for name in names:
        put_down(shop, "fact", fact_item("note.added", name, 0))
    ingest.process()
    orders = [put_down(shop, "order", order_item(name)) for name in names]
    payments = [put_down(shop, "fact", fact_item("payment.received", name)) for name in names]

    processes.at_once(work_through, [(orders,), (payments,)])

    assert set(Order.objects.values_list("stage", "payment")) == {("awaiting_date", "paid")}
    assert Order.objects.count() == PAIRS


def test_two_workers_at_one_order_leave_what_both_facts_say(shop):
    names = [f"B{number}" for number in range(PAIRS)]
    carrier = make_connection("carrier", role=Role.CARRIER)
    for name in names:
        put_down(shop, "order", order_item(name))
        put_down(shop, "fact", fact_item("waybill.made", name) | {"parcel": f"W{name}"})
    ingest.process()
    payments = [put_down(shop, "fact", fact_item("payment.received", name)) for name in names]
    scans = [
        put_down(carrier, "fact", fact_item("parcel.in_transit", name, waybill=f"W{name}")) for name in names
    ]

    processes.at_once(work_through, [(payments,), (scans,)])

    assert set(Order.objects.values_list("stage", "payment")) == {("in_transit", "paid")}
    assert breaks_in_journal() == 0


def test_several_dispatchers_run_each_reaction_once(shop):
    for number in range(40):
        put_down(shop, "order", order_item(f"C{number}"))
        put_down(shop, "fact", fact_item("payment.received", f"C{number}"))
    ingest.process()

    processes.at_once(dispatch_all, [()] * 4)

    assert not OrderEvent.objects.filter(dispatched_at=None).exists()
    assert list(Todo.objects.filter(done_at=None).values_list("n_times", flat=True)) == [1] * 40


def fail_on_moves(events: list[OrderEvent]) -> None:
    if any(event.kind == OrderEvent.Kind.MOVED for event in events):
        raise RuntimeError("planned")


def note_steps(events: list[OrderEvent]) -> None:
    for event in events:
        if event.kind == OrderEvent.Kind.STEP:
            Todo.objects.create(
                kind=Todo.Kind.REQUEST, order_id=event.order_id, owner="sales", opened_at=MONDAY
            )


@override_settings(ORDER_EVENT_PIPELINE=[f"{__name__}.fail_on_moves", f"{__name__}.note_steps"])
def test_an_event_waits_for_the_older_ones_of_its_order(shop):
    put_down(shop, "order", order_item("D1"))
    put_down(shop, "fact", fact_item("payment.received", "D1"))
    ingest.process()

    dispatch_waiting()
    dispatch_waiting()

    assert OrderEvent.objects.order_by("id").first().attempts == 1
    assert not Todo.objects.exists()
    assert not OrderEvent.objects.filter(kind=OrderEvent.Kind.STEP, dispatched_at__isnull=False).exists()


def drain(database: dict, begun) -> None:
    connection.settings_dict.update(database)
    begun.set()
    while ingest.process(limit=10).n_messages:
        pass


def kill_a_worker_after(seconds: float) -> None:
    """SIGKILL to a worker so long after its first batch, whenever that is on a busy machine."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([processes.__name__])
    database = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    begun, known = context.Event(), OrderFact.objects.count()
    worker = context.Process(target=drain, args=(database, begun))
    worker.start()
    assert begun.wait(120)
    while worker.is_alive() and OrderFact.objects.count() == known:
        time.sleep(0.001)
    time.sleep(seconds)
    worker.kill()
    worker.join()


def test_workers_killed_at_any_moment_lose_nothing_and_double_nothing(shop):
    names = [f"E{number}" for number in range(30)]
    for name in names:
        put_down(shop, "order", order_item(name))
        for hours, kind in enumerate(LIFE):
            put_down(shop, "fact", fact_item(kind, name, hours))

    for number in range(12):
        kill_a_worker_after(0.017 * number)
    while ingest.process().n_messages:
        pass

    n_facts = len(names) * (1 + len(LIFE))
    assert OrderFact.objects.count() == n_facts
    assert Order.objects.filter(stage="shipped").count() == len(names) == Order.objects.count()
    assert breaks_in_journal() == 0
    done = InboundMessage.objects.filter(state=InboundMessage.State.DONE)
    assert sum(done.values_list("n_facts", flat=True)) == done.count() == n_facts
