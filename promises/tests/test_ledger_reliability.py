"""What must hold whatever happens to processes, disks, clocks and backups: one tree, no gap, nothing signed in doubt."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from orders import append_only
from orders.models import Todo
from orders.tests import processes
from promises import canonical, merkle, notes
from promises.ledger import alarms, fence, keys, monitor, reading, sequencer
from promises.ledger.models import Checkpoint, LogLeaf, LogNode, LogPending, TransparencyLog
from promises.tests.factories_ledger import make_entries, make_log, queue_issue

AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
# Where a sequencer does something that could be half done.
PLACES = (
    "_check_fence",
    "_leaves",
    "add_models",
    "_grow",
    "_signed",
    "update_rows",
    "_commit",
    "remember",
    "replace",
)
POINTS = [(event, place) for place in PLACES for event in ("call", "return")] * int(
    os.environ.get("ORDERHUB_DEATHS", "1")
)


def at_home(folders):
    """A process of its own has the settings of the house, not those of the test."""
    django_settings.LEDGER_KEY_DIR, django_settings.LEDGER_DIR = map(Path, folders)


@pytest.fixture
def folders(settings):
    return str(settings.LEDGER_KEY_DIR), str(settings.LEDGER_DIR)


def is_one_dense_tree(log):
    places = list(LogLeaf.objects.filter(log=log).order_by("index").values_list("index", flat=True))
    given = sorted(LogPending.objects.filter(log=log, index__isnull=False).values_list("index", flat=True))
    report = monitor.watch(log, AT)
    return (
        places == given == list(range(len(places))) and report.findings == [] and report.size == len(places)
    )


# Processes.


def die_at(database, folders, event, place):
    connection.settings_dict.update(database)
    at_home(folders)

    def fuse(frame, happened, _argument):
        if happened == event and frame.f_code.co_name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(fuse)
    sequencer.sweep()


def killed_at(event, place, folders):
    """Whether a sequencer in a process of its own came to that point, and died there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([processes.__name__])
    database = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    worker = context.Process(target=die_at, args=(database, folders, event, place))
    worker.start()
    worker.join(60)
    return worker.exitcode == -signal.SIGKILL


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_sequencer_killed_at_any_marked_point_leaves_one_dense_tree(folders):
    log = make_log()
    make_entries(log, 2)
    signed = {}

    for number, (event, place) in enumerate(POINTS, start=10):
        queue_issue(log, number)
        assert killed_at(event, place, folders), (event, place)
        for head in Checkpoint.objects.filter(log=log):
            assert signed.setdefault(head.size, head.note) == head.note
        assert (known := fence.of(log)) is None or known.size <= reading.newest(log).size
    sequencer.sweep()

    assert LogLeaf.objects.count() == 3 + len(POINTS)
    assert is_one_dense_tree(log)


def queue_and_write(name, rounds, folders):
    at_home(folders)
    log = TransparencyLog.objects.get()
    for number in range(rounds):
        for one in range(3):
            queue_issue(log, 1000 * name + 10 * number + one)
        processes.wait_for_all()
        sequencer.sweep()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_several_sequencers_at_once_write_one_dense_tree(folders):
    log = make_log()

    processes.at_once(queue_and_write, [(name, 12, folders) for name in (1, 2, 3)])
    sequencer.sweep()

    assert LogLeaf.objects.count() == 1 + 3 * 12 * 3
    assert is_one_dense_tree(log)
    assert TransparencyLog.objects.get().alarm == ""


# The tree.


@pytest.mark.django_db
@tries(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batches=st.lists(st.integers(1, 40), max_size=8))
def test_whatever_the_batches_the_tree_is_that_of_its_entries(batches):
    point = transaction.savepoint()
    log = make_log()
    number = 0
    for size in batches:
        for _one in range(size):
            queue_issue(log, number := number + 1)
        sequencer.sweep()

    entries = [bytes(entry) for entry in log.leaves.order_by("index").values_list("entry", flat=True)]
    hashes = [merkle.leaf_hash(entry) for entry in entries]
    nodes = {(level, index): node for level, index, node in merkle.append(0, hashes, lambda *_place: b"")}
    for head in Checkpoint.objects.filter(log=log):
        said, _note = notes.opened(head.note, keys.log_verifier(log))
        assert (
            said.root == bytes(head.root) == merkle.root(head.size, lambda level, index: nodes[level, index])
        )
    assert len(entries) == (number + 1 if batches else 0)
    transaction.savepoint_rollback(point)


# Stored otherwise than written.


def mangle(table, column, *, at_place):
    """A disk that stores something else than it was given."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"CREATE FUNCTION mangle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.index = {at_place} THEN NEW.{column} = '\\x00'; END IF; RETURN NEW; END $$"
            )
            cursor.execute(
                f"CREATE TRIGGER mangle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION mangle()"
            )
            return
        cursor.execute(f"DROP TRIGGER {table}_no_update")
        stored = f"UPDATE {table} SET {column} = X'00' WHERE id = NEW.id"  # noqa: S608
        cursor.execute(
            f'CREATE TRIGGER mangle AFTER INSERT ON {table} WHEN NEW."index" = {at_place} BEGIN {stored}; END'
        )


@pytest.mark.django_db
@pytest.mark.parametrize(("table", "column"), [("promises_logleaf", "entry"), ("promises_lognode", "hash")])
def test_nothing_is_signed_over_what_was_stored_otherwise_than_written(table, column):
    log = make_log()
    make_entries(log, 1)
    mangle(table, column, at_place=3)
    for number in range(10, 20):
        queue_issue(log, number)

    assert sequencer.sweep(AT + timedelta(days=9999)) == 0

    assert reading.newest(log).size == LogLeaf.objects.count() == 2
    assert TransparencyLog.objects.get().alarm == "damaged"
    assert LogPending.objects.filter(index=None).count() == 10


# Backups.


def restored(log, number):
    """The database as it was before these entries; what lies outside it stays."""
    point = transaction.savepoint()
    make_entries(log, number)
    transaction.savepoint_rollback(point)


@pytest.mark.django_db
def test_a_database_restored_from_an_old_backup_signs_nothing():
    log = make_log()
    sequencer.sweep()
    restored(log, 100)
    queue_issue(log, 999)

    for _time in range(3):
        assert sequencer.sweep() == 0

    assert Checkpoint.objects.count() == LogLeaf.objects.count() == 1
    assert TransparencyLog.objects.get().alarm == "rolled_back"
    todo = Todo.objects.get()
    assert (todo.owner, todo.subject, todo.n_times) == ("ops_manager", "ledger:seller:rolled_back", 1)
    assert "Restore" in todo.text


@pytest.mark.django_db
def test_a_tree_that_went_another_way_than_what_was_signed_signs_nothing(settings, tmp_path):
    log = make_log()
    sequencer.sweep()
    here = settings.LEDGER_DIR
    restored(log, 3)
    settings.LEDGER_DIR = tmp_path / "elsewhere"
    make_entries(log, 5)
    settings.LEDGER_DIR = here
    queue_issue(log, 999)

    assert sequencer.sweep() == 0

    assert Checkpoint.objects.count() == 2
    assert TransparencyLog.objects.get().alarm == "rolled_back"


@pytest.mark.django_db
def test_a_record_that_cannot_be_read_counts_as_a_record_of_everything(settings):
    log = make_log()
    make_entries(log, 1)
    for file in settings.LEDGER_DIR.glob("*.head"):
        file.write_text("{")
    queue_issue(log, 999)

    assert sequencer.sweep() == 0
    assert TransparencyLog.objects.get().alarm == "rolled_back"


@pytest.mark.django_db
def test_a_process_that_ended_before_it_recorded_its_head_stops_nobody(settings):
    log = make_log()
    make_entries(log, 1)
    kept = {file: file.read_bytes() for file in settings.LEDGER_DIR.glob("*.head")}
    make_log()
    queue_issue(log, 50)
    sequencer.sweep()
    for file, content in kept.items():
        file.write_bytes(content)
    queue_issue(log, 51)

    assert sequencer.sweep() == 1
    assert fence.of(log).size == 4


@pytest.mark.django_db
def test_the_newest_backup_ends_the_alarm():
    log = make_log()
    sequencer.sweep()
    point = transaction.savepoint()
    make_entries(log, 3)
    newest = transaction.savepoint()
    transaction.savepoint_commit(newest)
    with transaction.atomic():
        TransparencyLog.objects.update(alarm="rolled_back", alarm_at=AT)
        Todo.objects.create(
            kind="request", subject="ledger:seller:rolled_back", owner="ops_manager", opened_at=AT
        )
    queue_issue(log, 999)

    assert sequencer.sweep() == 1

    assert TransparencyLog.objects.get().alarm == ""
    assert Todo.objects.get().done_at is not None
    transaction.savepoint_commit(point)


@pytest.mark.django_db
def test_a_log_that_begins_anew_says_what_was_before(settings):
    point = transaction.savepoint()
    first = make_log()
    make_entries(first, 3)
    root = bytes(reading.newest(first).root).hex()
    transaction.savepoint_rollback(point)

    second = make_log()
    sequencer.sweep()

    said = canonical.decode(reading.entry(second, 0))
    assert said["previous"] == f"127.0.0.1:8000/t/parts 4 {root}"
    assert said["origin"] == "127.0.0.1:8000/t/parts/2"


# Clocks and keys.


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "n_written"), [(-6, 0), (-5, 1), (0, 1), (172_800, 1)])
def test_a_clock_that_goes_back_writes_nothing_before_the_previous_entry(seconds, n_written):
    log = make_log()
    sequencer.sweep(AT)
    queue_issue(log, 1)

    assert sequencer.sweep(AT + timedelta(seconds=seconds)) == n_written

    times = [
        canonical.decode(bytes(entry))["ts"]
        for entry in log.leaves.order_by("index").values_list("entry", flat=True)
    ]
    assert times == [int(AT.timestamp()), int(AT.timestamp()) + max(0, seconds)][: 1 + n_written]
    assert TransparencyLog.objects.get().alarm == ("" if n_written else "clock")


@pytest.mark.django_db
def test_without_its_key_a_log_waits_and_says_so(settings):
    log = make_log()
    sequencer.sweep(AT)
    queue_issue(log, 1)
    secret = settings.LEDGER_KEY_DIR / log.keys.get(purpose="log").secret_file
    kept = secret.read_bytes()
    secret.unlink()

    assert sequencer.sweep(AT) == 0
    assert TransparencyLog.objects.get().alarm == "key"
    secret.write_bytes(kept)
    assert sequencer.sweep(AT) == 1

    assert TransparencyLog.objects.get().alarm == ""


@pytest.mark.django_db
@pytest.mark.parametrize(("minutes", "alarm"), [(10, ""), (11, "late")])
def test_entries_that_wait_longer_than_promised_raise_an_alarm(minutes, alarm):
    log = make_log()
    sequencer.sweep(AT)
    pending = queue_issue(log, 1)
    LogPending.objects.filter(pk=pending.pk).update(queued_at=AT)

    alarms.look(log, AT + timedelta(minutes=minutes))

    assert TransparencyLog.objects.get().alarm == alarm
    assert Todo.objects.filter(done_at=None).count() == bool(alarm)
    sequencer.sweep(AT + timedelta(minutes=12))
    assert TransparencyLog.objects.get().alarm == ""
    assert not Todo.objects.filter(done_at=None).exists()


# The database itself.


@pytest.mark.django_db
@pytest.mark.parametrize("model", [LogLeaf, LogNode, Checkpoint])
def test_the_database_refuses_to_change_and_delete_what_was_written(model):
    make_entries(make_log(), 3)

    for attempt in (lambda: model.objects.update(is_demo=True), lambda: model.objects.all().delete()):
        with pytest.raises(Exception, match="append-only"), transaction.atomic():
            attempt()

    assert model._meta.db_table in append_only.guarded()
    assert model.objects.filter(is_demo=False).exists()


# Old entries.


@pytest.mark.django_db
def test_old_entries_are_read_again_round_and_round():
    log = make_log()
    make_entries(log, 799)

    seen = []
    for _time in range(5):
        sequencer.sweep()
        seen.append(TransparencyLog.objects.get().patrolled)

    assert seen == [256, 512, 768, 256, 512]
    assert TransparencyLog.objects.get().alarm == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "where", "column"),
    [(LogLeaf, {"index": 300}, "entry"), (LogNode, {"level": 8, "index": 1}, "hash"), (LogNode, {"level": 9, "index": 0}, "hash"),
     (LogNode, {"level": 3, "index": 40}, "hash")],
)  # fmt: skip
def test_an_old_entry_that_was_altered_is_found_and_nothing_is_signed_until_it_is_mended(
    model, where, column
):
    log = make_log()
    make_entries(log, 599)
    right = bytes(model.objects.values_list(column, flat=True).get(**where))
    with append_only.lifted():
        model.objects.filter(**where).update(**{column: right[:-1] + bytes([right[-1] ^ 1])})
    for _time in range(3):
        sequencer.sweep()

    queue_issue(log, 9999)
    assert sequencer.sweep() == 0
    assert TransparencyLog.objects.get().alarm == "damaged"
    with append_only.lifted():
        model.objects.filter(**where).update(**{column: right})

    assert sequencer.sweep() == 1
    assert TransparencyLog.objects.get().alarm == ""
