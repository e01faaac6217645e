from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils.timezone import now
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from orders import tasks
from orders.models import WorkSignal
from orders.queue import ListedTasks, NotAllowed

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def asked():
    return [SignedPackage.loads(row.payload)["func"] for row in OrmQ.objects.order_by("id")]


@pytest.mark.django_db(transaction=True)
def test_a_hint_reaches_the_queue_when_the_transaction_commits(clock):
    with transaction.atomic():
        tasks.hint("inbox")
        assert asked() == []

    assert asked() == ["integrations.tasks.drain_inbox"]


@pytest.mark.django_db(transaction=True)
def test_a_hint_of_a_transaction_that_fails_is_never_given(clock):
    with transaction.atomic():
        tasks.hint("inbox")
        transaction.set_rollback(True)

    assert asked() == []
    assert not WorkSignal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_hints_are_one_question_until_somebody_takes_it(clock):
    for _time in range(3):
        tasks.hint("inbox")
    tasks.hint("dispatch")
    assert asked() == ["integrations.tasks.drain_inbox", "orders.tasks.dispatch_events"]

    tasks.take("inbox")
    tasks.hint("inbox")

    assert asked().count("integrations.tasks.drain_inbox") == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "n_asked"), [(10, 1), (11, 2), (-10, 1), (-11, 2)])
def test_a_question_that_nobody_took_is_asked_again_even_if_the_clock_was_set_back(clock, seconds, n_asked):
    tasks.hint("inbox")

    clock.move_to(NOON + timedelta(seconds=seconds))
    tasks.hint("inbox")

    assert len(asked()) == n_asked


@pytest.mark.django_db
def test_unknown_work_is_refused():
    with pytest.raises(
        tasks.UnknownWork, match=r"polish is none of .*beat, bulk, .*dispatch, .*imports, inbox"
    ):
        tasks.hint("polish")

    assert not WorkSignal.objects.exists()


@pytest.mark.django_db
def test_the_heartbeat_is_recorded_as_the_workers(clock):
    WorkSignal.objects.create(name="beat", wanted_at=NOON)

    tasks.beat()

    assert WorkSignal.objects.get(name="worker").done_at == NOON
    assert WorkSignal.objects.get(name="beat").wanted_at is None


@pytest.mark.django_db
def test_the_settings_put_the_listed_queue_between_hints_and_workers():
    assert type(get_broker()) is ListedTasks


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        ("os.system", ("true",), {}),
        ("orders.tasks.sweep", (), {}),
        ("orders.tasks.beat", ("text",), {}),
        ("orders.tasks.beat", (), {"name": "keyword"}),
        ("orders.tasks.beat", (), {"hook": "os.abort"}),
        ("orders.tasks.beat", (), {"chain": [("os.abort", ())]}),
    ],
)
def test_only_listed_functions_with_ids_are_taken(function, arguments, options):
    with pytest.raises(NotAllowed):
        async_task(function, *arguments, **options)

    assert not OrmQ.objects.exists()


@pytest.mark.django_db
def test_a_row_written_past_the_hints_is_thrown_out_and_never_run(caplog):
    """Signed with our own key, as by somebody who can write to the table and knows how packages are made."""
    package = {"id": "1", "name": "x", "func": "os.system", "args": ("true",), "kwargs": {}}
    for payload in (SignedPackage.dumps(package), "not signed at all"):
        OrmQ.objects.create(key="orderhub", payload=payload, lock=now() - timedelta(seconds=1))
    broker = get_broker()

    assert broker.dequeue() + broker.dequeue() == []

    assert not OrmQ.objects.exists()
    assert "os.system is not in orders.tasks.TASKS" in caplog.text
    assert "not signed by this installation" in caplog.text


@pytest.mark.django_db
def test_tasks_are_handed_out_in_the_order_they_came_and_once():
    for name in ("inbox", "beat", "dispatch"):
        async_task(tasks.TASKS[name])
    OrmQ.objects.update(lock=now() - timedelta(seconds=1))
    broker = get_broker()

    got = [broker.dequeue() for _time in range(4)]

    assert [SignedPackage.loads(rows[0][1])["func"] for rows in got[:3]] == [
        tasks.TASKS["inbox"],
        tasks.TASKS["beat"],
        tasks.TASKS["dispatch"],
    ]
    assert got[3] == []
