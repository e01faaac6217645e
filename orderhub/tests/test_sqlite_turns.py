from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError
from django.utils.timezone import now

from orderhub import env
from orderhub.sqlite3 import base
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


def write_once(name: str, may_begin: threading.Event, written: list[str], holds: float = 0.0) -> None:
    """One writer with a connection of its own: waits for its turn, holds the place for a while, notes that it was here."""
    may_begin.wait()
    with transaction.atomic():
        written.append(name)
        time.sleep(holds)
    connection.close()


def test_all_who_wait_at_the_end_of_a_long_transaction_write_before_the_next_one():
    may_begin = threading.Event()
    written: list[str] = []
    waiting = [
        threading.Thread(target=write_once, args=(f"waiting {number}", may_begin, written, 0.01))
        for number in range(6)
    ]
    for thread in waiting:
        thread.start()

    with transaction.atomic():
        written.append("long")
        may_begin.set()
        time.sleep(3)
    with transaction.atomic():
        written.append("long again")
    for thread in waiting:
        thread.join()

    assert (written[0], written[-1]) == ("long", "long again")
    assert sorted(written[1:-1]) == [f"waiting {number}" for number in range(6)]


def test_one_who_never_gives_up_waiting_does_not_hold_up_the_others_for_long():
    line = base.Line(f"{connection.settings_dict['NAME']}-line")
    line.join()

    with transaction.atomic():
        time.sleep(0.1)
    with transaction.atomic():
        WorkSignal.objects.create(name="turn")
    other = base.Line(f"{connection.settings_dict['NAME']}-line")
    still_waits = not other.is_empty()
    line.close()
    other.close()

    assert still_waits
    assert WorkSignal.objects.filter(name="turn").exists()


def test_who_ends_while_waiting_leaves_the_line():
    path = f"{connection.settings_dict['NAME']}-line"
    code = "import sys, time; from orderhub.sqlite3.base import Line; Line(sys.argv[1]).join(); print('in'); time.sleep(60)"
    waiter = subprocess.Popen([sys.executable, "-uc", code, path], stdout=subprocess.PIPE, cwd=env.ROOT)
    waiter.stdout.readline()
    ours = base.Line(path)

    before = ours.is_empty()
    waiter.kill()
    waiter.wait()
    waiter.stdout.close()
    after = ours.is_empty()
    ours.close()

    assert (before, after) == (False, True)
