from __future__ import annotations

import json
import multiprocessing
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from django.db.models import Count
from django_q.models import OrmQ

from integrations.inbox import Arrival, digest_of, receive
from integrations.models import InboundMessage
from integrations.tests.factories import make_shop_with_connection, order_item
from orderhub.tests.house import LIMIT_SECONDS, kill, left_of, steward, until
from orderhub.watchdog import Watchdog
from orders import tasks
from orders.models import Order, OrderEvent, OrderFact, WorkSignal

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
LIMIT = timedelta(seconds=90)


# With real processes, on a real database: whoever is killed, the work goes on, nothing is lost, nothing is done twice.


def put_down(n_orders, first=0):
    """That many new orders wait in the inbox, each a message of its own; nobody has hinted at them."""
    from django.utils.timezone import now

    shop, connection = _door()
    arrivals = []
    for number in range(first, first + n_orders):
        body = json.dumps(order_item(shop, f"A{number}"))
        arrivals.append(Arrival(f"order:{number}", "order", body, digest_of(body)))
    receive(connection, arrivals, now())


def _door():
    from integrations.models import Connection

    connection = Connection.objects.filter(slug="door").select_related("shop").first()
    if connection is None:
        _shop, connection = make_shop_with_connection("door")
        connection.slug = "door"
        connection.save()
    return connection.shop, connection


def n_waiting():
    return InboundMessage.objects.filter(state=InboundMessage.State.WAITING).count()


def is_everything_done():
    return not n_waiting() and not OrderEvent.objects.filter(dispatched_at__isnull=True).exists()


def assert_each_order_was_made_exactly_once(n_orders):
    assert InboundMessage.objects.filter(state=InboundMessage.State.DONE).count() == n_orders
    assert Order.objects.count() == n_orders
    assert OrderFact.objects.filter(kind="order.placed").count() == n_orders
    arrivals = OrderEvent.objects.filter(kind="moved").values("order").annotate(n=Count("pk"))
    assert {row["n"] for row in arrivals} == {1}
    assert len(arrivals) == n_orders


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_a_killed_busy_worker_costs_seconds_and_nothing_else():
    with steward() as house:
        put_down(2000)
        until(Order.objects.exists, "the worker is busy")
        assert n_waiting() > 0

        kill(*house.workers())

        until(is_everything_done, "all orders are made", patience=90)
    assert_each_order_was_made_exactly_once(2000)


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_killed_idle_workers_are_noticed_and_replaced():
    with steward() as house:
        leader = house.leader()
        until(lambda: not OrmQ.objects.exists(), "the workers are idle")

        kill(*house.workers())
        put_down(50)

        until(is_everything_done, "all orders are made", patience=LIMIT_SECONDS + 60)
        assert house.leader() != leader
    assert_each_order_was_made_exactly_once(50)


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_a_killed_monitor_is_noticed_and_nothing_is_done_twice():
    with steward() as house:
        leader = house.leader()

        kill(house.monitor())
        put_down(50)

        until(is_everything_done, "all orders are made", patience=LIMIT_SECONDS + 60)
        until(lambda: house.leader() not in {leader, None}, "the cluster was started anew", patience=90)
        until(house.crew, "its workers have started")
        put_down(50, first=50)
        until(is_everything_done, "new work is done", patience=LIMIT_SECONDS + 60)
    assert_each_order_was_made_exactly_once(100)


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_a_killed_cluster_is_started_again_within_seconds():
    with steward() as house:
        kill(house.leader())
        put_down(50)

        until(is_everything_done, "all orders are made", patience=60)
    assert_each_order_was_made_exactly_once(50)


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_a_killed_steward_takes_its_workers_with_it():
    with steward() as house:
        everybody = house.everybody()

        kill(psutil.Process(house.process.pid))
        house.process.wait(10)

        assert left_of(everybody, patience=20) == []


# The judgement alone, without workers.


@pytest.fixture
def watchdog(django_db_setup, db):
    """Watches a process that does nothing, started two limits ago, with a heartbeat just now."""
    dog = Watchdog(LIMIT)
    dog.process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    dog.process.start()
    dog.started_at = NOON - 2 * LIMIT
    tasks.pulse("worker", NOON)
    yield dog
    dog.process.kill()
    dog.process.join()


def test_a_cluster_with_a_heartbeat_and_an_empty_queue_is_well(watchdog):
    assert watchdog.trouble(NOON) == ""


def test_a_cluster_without_a_heartbeat_is_stuck(watchdog):
    tasks.pulse("worker", NOON - LIMIT - timedelta(seconds=1))

    assert watchdog.trouble(NOON) == "no worker has finished anything for 90 seconds"
    watchdog.started_at = NOON - LIMIT + timedelta(seconds=1)
    assert watchdog.trouble(NOON) == ""


def test_a_cluster_that_never_had_a_heartbeat_is_stuck(watchdog):
    WorkSignal.objects.all().delete()

    assert watchdog.trouble(NOON) == "no worker has finished anything for 90 seconds"


def test_a_task_that_waits_behind_much_work_is_no_trouble(watchdog):
    tasks.pulse("worker", NOON - LIMIT - timedelta(seconds=1))
    OrmQ.objects.create(key="orderhub", payload="", lock=NOON - LIMIT - timedelta(seconds=1))

    tasks.pulse("inbox", NOON - timedelta(seconds=10))

    assert watchdog.trouble(NOON) == ""


def test_the_stewards_own_heartbeat_is_no_sign_of_the_workers(watchdog):
    tasks.pulse("worker", NOON - LIMIT - timedelta(seconds=1))

    tasks.pulse("steward", NOON)

    assert watchdog.trouble(NOON) == "no worker has finished anything for 90 seconds"


def test_a_task_that_is_never_acknowledged_is_trouble_once(watchdog):
    retry = timedelta(seconds=120)
    fetched_at = NOON - LIMIT - timedelta(seconds=1)
    OrmQ.objects.create(key="orderhub", payload="", lock=fetched_at + retry)

    assert watchdog.trouble(NOON) == "1 tasks were fetched and never acknowledged"
    assert watchdog.trouble(NOON) == ""


def test_a_task_that_was_fetched_just_now_is_no_trouble(watchdog):
    OrmQ.objects.create(key="orderhub", payload="", lock=NOON + timedelta(seconds=119))

    assert watchdog.trouble(NOON) == ""


def test_a_task_that_was_asked_for_since_the_round_began_is_no_trouble(watchdog):
    OrmQ.objects.create(key="orderhub", payload="", lock=NOON + timedelta(seconds=1))

    assert watchdog.trouble(NOON) == ""


def test_a_cluster_that_has_ended_is_trouble_at_once(watchdog):
    watchdog.started_at = NOON
    watchdog.process.kill()
    watchdog.process.join()

    assert watchdog.trouble(NOON) == "the cluster has ended"
