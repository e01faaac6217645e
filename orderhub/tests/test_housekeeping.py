from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django_q.models import OrmQ

from integrations.models import IdempotencyKey, InboundMessage
from integrations.tests.factories import arrive, make_shop_with_connection, order_item
from orderhub.housekeeping import tidy
from orders.models import WorkSignal

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


def put_down(state, age):
    shop, source = make_shop_with_connection()
    receipt = arrive(source, "order", order_item(shop, "A1"), at=NOON - age)
    InboundMessage.objects.filter(pk=receipt.message_id).update(state=state)
    return InboundMessage.objects.get(pk=receipt.message_id)


@pytest.mark.parametrize(
    ("state", "days", "is_kept"),
    [
        ("done", 30, True),
        ("done", 31, False),
        ("discarded", 31, False),
        ("failed", 31, True),
        ("failed", 90, True),
        ("failed", 91, False),
        ("waiting", 400, True),
    ],
)
def test_bodies_are_emptied_after_their_time_and_the_rows_stay(state, days, is_kept):
    message = put_down(state, days * DAY)

    assert tidy(NOON)["bodies"] == (0 if is_kept else 1)

    left = InboundMessage.objects.get()
    assert left.body == (message.body if is_kept else "")
    assert (left.remote_key, left.digest) == (message.remote_key, message.digest)
    assert tidy(NOON)["bodies"] == 0


def test_idempotency_keys_live_a_week():
    _shop, source = make_shop_with_connection()
    for name, age in (("old", 8 * DAY), ("young", 7 * DAY)):
        IdempotencyKey.objects.create(connection=source, key=name, made_at=NOON - age)

    assert tidy(NOON)["keys"] == 1

    assert [row.key for row in IdempotencyKey.objects.all()] == ["young"]


def test_ended_sessions_are_dropped():
    Session.objects.create(session_key="a", session_data="", expire_date=NOON - DAY)
    Session.objects.create(session_key="b", session_data="", expire_date=NOON + DAY)

    assert tidy(NOON)["sessions"] == 1

    assert [row.pk for row in Session.objects.all()] == ["b"]


@pytest.mark.django_db(transaction=True)
def test_one_round_of_the_steward_hints_at_what_waits_and_goes_on_after_a_failing_sweep(settings, caplog):
    settings.STEWARD_SWEEPS = [
        "orderhub.tests.test_housekeeping.failing",
        "orderhub.tests.test_housekeeping.noted",
    ]
    NOTES.clear()
    shop, source = make_shop_with_connection()
    with time_machine.travel(NOON, tick=False):
        arrive(source, "order", order_item(shop, "A1"))
        OrmQ.objects.all().delete()
        WorkSignal.objects.all().delete()

        call_command("steward", "--once", stdout=io.StringIO())

    assert NOTES == ["swept"]
    assert "could not do orderhub.tests.test_housekeeping.failing" in caplog.text
    assert set(WorkSignal.objects.filter(wanted_at=NOON).values_list("name", flat=True)) == {"inbox", "beat"}
    assert WorkSignal.objects.get(name="steward").done_at == NOON
    assert sorted(row.task["func"] for row in OrmQ.objects.all()) == [
        "integrations.tasks.drain_inbox",
        "orders.tasks.beat",
    ]


NOTES: list[str] = []


def failing():
    raise RuntimeError("a sweep with a defect")


def noted():
    NOTES.append("swept")
