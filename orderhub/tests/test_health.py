from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection

from integrations.models import InboundMessage
from integrations.tests.factories import arrive, make_connection, make_shop_with_connection, order_item
from orders.tasks import pulse
from orders.tests.factories import make_order
from promises.models import TransparencyLog
from promises.tests.factories_ledger import make_log

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
TOKEN = "a-token-of-more-than-24-characters"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOON, tick=False):
        yield


def beat(steward=NOON, worker=NOON):
    pulse("steward", steward)
    pulse("worker", worker)


def read(client):
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


def test_healthz_answers_without_the_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.parametrize("address", ["/healthz", "/readyz", "/metrics"])
def test_machines_may_only_read(client, address):
    assert client.post(address).status_code == 405


def test_the_house_is_ready_while_steward_and_worker_have_a_heartbeat(client):
    beat(steward=NOON - timedelta(seconds=120), worker=NOON - timedelta(seconds=120))

    assert read(client) == (
        200,
        {"ready": True, "database": "ok", "problems": [], "connections": []},
    )


@pytest.mark.parametrize("part", ["steward", "worker"])
def test_two_minutes_of_silence_make_the_house_not_ready(client, part):
    beat(**{part: NOON - timedelta(seconds=121)})

    status, body = read(client)

    assert status == 503
    assert body["ready"] is False
    assert len(body["problems"]) == 1
    assert body["problems"][0].startswith(f"The {part} has been silent for 121 seconds")


def test_a_house_that_was_never_started_is_not_ready(client):
    status, body = read(client)

    assert status == 503
    assert [problem.split(":")[0] for problem in body["problems"]] == [
        "The steward has never run",
        "The worker has never run",
    ]


def test_pending_migrations_make_the_house_not_ready(client):
    beat()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'orders'")

    status, body = read(client)

    assert status == 503
    assert body["problems"] == ["Migrations are pending: run manage.py migrate."]


def test_a_silent_or_failing_connection_is_told_but_takes_nothing_off_line(client):
    beat()
    hour = timedelta(hours=1)
    make_connection("fine", heard_at=NOON - hour, failed_at=NOON - 2 * hour, failure="timeout")
    make_connection("bad", heard_at=NOON - 2 * hour, failed_at=NOON - hour, failure="password swordfish")
    make_connection("new")
    make_connection("off", is_active=False)

    status, body = read(client)

    assert status == 200
    assert body["connections"] == [
        {"connection": "bad", "silent_seconds": 7200, "is_failing": True},
        {"connection": "fine", "silent_seconds": 3600, "is_failing": False},
        {"connection": "new", "silent_seconds": None, "is_failing": False},
    ]
    assert "swordfish" not in json.dumps(body)


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer ", "Bearer"])
def test_metrics_are_refused_to_strangers(client, settings, header):
    settings.METRICS_TOKEN = TOKEN

    answer = client.get("/metrics", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert b"orderhub_" not in answer.content


def test_an_empty_metrics_token_opens_nothing(client, settings):
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


def test_metrics_are_refused_to_staff_without_a_second_factor(client, settings):
    settings.DEMO = False
    client.force_login(User.objects.create_user("desk", is_staff=True))

    assert client.get("/metrics").status_code == 401


def test_metrics_are_shown_to_staff_of_the_demo_but_to_no_other_login(client, settings):
    settings.DEMO = True
    client.force_login(User.objects.create_user("buyer"))
    assert client.get("/metrics").status_code == 401

    client.force_login(User.objects.create_user("desk", is_staff=True))
    assert client.get("/metrics").status_code == 200


def figures(client):
    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("orderhub_"): float(value) for name, value in lines}


def test_metrics_count_what_waits_and_what_failed(client, settings):
    settings.METRICS_TOKEN = TOKEN
    shop, source = make_shop_with_connection()
    beat(worker=NOON - timedelta(seconds=7))
    for number in range(3):
        arrive(source, "order", order_item(shop, f"A{number}"), at=NOON - timedelta(seconds=30 - number))
    InboundMessage.objects.filter(remote_key__isnull=False).order_by("id")[:1].get()
    last = InboundMessage.objects.latest("id")
    InboundMessage.objects.filter(pk=last.pk).update(state=InboundMessage.State.FAILED)

    found = figures(client)

    assert found["messages_waiting"] == 2
    assert found["messages_failed"] == 1
    assert found["oldest_message_seconds"] == 30
    assert found['silence_seconds{part="worker"}'] == 7
    assert found["events_waiting"] == 0


def test_metrics_count_open_orders_by_stage(client, settings):
    settings.METRICS_TOKEN = TOKEN
    order = make_order()
    stage = order.stage
    make_order(), make_order()

    found = figures(client)

    assert found[f'orders_open{{stage="{stage}"}}'] == 3


def test_metrics_ask_the_same_queries_for_many_orders(client, settings, django_assert_max_num_queries):
    settings.METRICS_TOKEN = TOKEN
    for _number in range(4):
        make_order()

    with django_assert_max_num_queries(10):
        figures(client)


def test_metrics_tell_of_logs_that_are_not_written(client, settings):
    settings.METRICS_TOKEN = TOKEN
    before = figures(client)
    log = make_log()
    TransparencyLog.objects.filter(pk=log.pk).update(alarm="damaged")
    cache.clear()

    after = figures(client)

    assert [before[name] for name in ("log_waiting", "log_alarms")] == [0, 0]
    assert [after[name] for name in ("log_waiting", "log_alarms")] == [1, 1]
