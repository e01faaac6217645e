from __future__ import annotations

import sqlite3
import threading
import time

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError
from django.utils.timezone import now

from orders.models import WorkSignal

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has many writers at once"),
]


def busy_worker(path: str, enough: threading.Event, holds: float, leaves: float) -> None:
    """Holds the one writer's place again and again, with short gaps between."""
    other = sqlite3.connect(path, isolation_level=None, timeout=20)
    while not enough.is_set():
        other.execute("BEGIN IMMEDIATE")
        time.sleep(holds)
        other.execute("COMMIT")
        time.sleep(leaves)
    other.close()


def test_a_writer_finds_the_short_gaps_between_anothers_transactions():
    enough = threading.Event()
    path = str(connection.settings_dict["NAME"])
    worker = threading.Thread(target=busy_worker, args=(path, enough, 0.2, 0.005))
    worker.start()
    waits = []

    for _turn in range(6):
        time.sleep(0.05)
        began = time.monotonic()
        with transaction.atomic():
            waits.append(time.monotonic() - began)
    enough.set()
    worker.join()

    assert max(waits) < 1.5


def test_a_single_statement_finds_the_gaps_too():
    enough = threading.Event()
    path = str(connection.settings_dict["NAME"])
    WorkSignal.objects.create(name="turn")
    worker = threading.Thread(target=busy_worker, args=(path, enough, 0.2, 0.005))
    worker.start()
    waits = []

    for _turn in range(6):
        time.sleep(0.05)
        began = time.monotonic()
        changed = WorkSignal.objects.filter(name="turn").update(done_at=now())
        waits.append(time.monotonic() - began)
    enough.set()
    worker.join()

    assert changed == 1
    assert max(waits) < 1.5


def test_a_place_that_never_gets_free_is_reported_in_the_end():
    path = str(connection.settings_dict["NAME"])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    options, connection.settings_dict["OPTIONS"] = (
        connection.settings_dict["OPTIONS"],
        {**connection.settings_dict["OPTIONS"], "timeout": 0.2},
    )

    began = time.monotonic()
    try:
        with pytest.raises(OperationalError, match="locked"), transaction.atomic():
            pass
    finally:
        connection.settings_dict["OPTIONS"] = options
        other.close()

    assert 0.2 <= time.monotonic() - began < 2
