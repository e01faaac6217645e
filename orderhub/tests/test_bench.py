"""Each measurement with a hundredth of its work, against real servers: its machinery works, and its verdicts can be no."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import DatabaseError, connection

from orderhub import env
from orderhub.bench import histories
from orderhub.bench.figures import (
    Figure,
    at_least,
    at_most,
    exactly,
    percentile,
    read_json,
    table,
    write_json,
)
from orderhub.bench.ground import asked
from orderhub.bench.planted import APPLY, PATCHES, Planted

BENCH = [sys.executable, "-m", "orderhub.bench"]
# The speed of a test machine proves nothing; what must be exact must be so everywhere.
SPEEDS = ("/s", "ms", "MB", " s")
# Only so that a run that hangs ends: a busy machine takes many times what a quiet one does.
PATIENCE = 900


def bench(tmp_path: Path, *arguments: str) -> dict[str, Figure]:
    """The figures of one run by name."""
    out = tmp_path / "figures.json"
    db = "postgres" if os.environ.get("DATABASE_URL") else "sqlite"
    done = subprocess.run(
        [*BENCH, *arguments, "--db", db, "--json", str(out)],
        cwd=env.ROOT,
        capture_output=True,
        timeout=PATIENCE,
        text=True,
    )
    sys.stderr.write(done.stderr[-3000:])
    assert out.exists()
    return {figure.name: figure for figure in read_json(out)[db]}


def wrong(figures: dict[str, Figure]) -> list[Figure]:
    return [one for one in figures.values() if one.met is False and not one.value.endswith(SPEEDS)]


@pytest.mark.processes
def test_a_made_up_history_ends_as_the_table_says(tmp_path):
    figures = bench(tmp_path, "replay", "--rows", "240")

    assert wrong(figures) == []
    assert figures["rows that end elsewhere than the table says"].value == "0"
    assert figures["rows"].value == "240"
    assert any(name.endswith("!") for name in figures)


@pytest.mark.processes
def test_facts_get_through_the_inbox_and_every_one_is_settled(tmp_path):
    figures = bench(tmp_path, "ingest", "--facts", "300", "--singles", "30", "--bare-seconds", "0.3")

    assert wrong(figures) == []
    assert figures["refused or lost"].met


@pytest.mark.processes
def test_killed_workers_leave_what_the_model_says(tmp_path):
    figures = bench(tmp_path, "chaos", "--facts", "1000", "--kills", "2", "--backend-kills", "1")

    assert wrong(figures) == []
    assert figures["SIGKILLs to workers"].value == "2"
    backends = "1" if os.environ.get("DATABASE_URL") else "0"
    assert figures["SIGKILLs to backends of PostgreSQL"].value == backends
    assert figures["facts lost"].value == figures["facts double"].value == "0"


@pytest.mark.processes
def test_the_rates_of_a_large_house_stand_beside_those_of_a_small_one(tmp_path):
    figures = bench(
        tmp_path,
        "scale",
        "--small",
        "100",
        "--large",
        "12600",
        "--open",
        "200",
        "--facts",
        "200",
        "--singles",
        "20",
    )

    assert int(figures["facts in it"].value.replace(",", "")) > 5 * 12_600
    assert figures["refused or lost, large"].met
    assert "of small" in figures["facts, requests of 20, large"].value


@pytest.mark.processes
def test_a_file_of_orders_is_imported_and_settled(tmp_path):
    figures = bench(tmp_path, "import", "--rows", "1000")

    assert wrong(figures) == []
    assert figures["orders settled"].value == "1,000"


@pytest.mark.processes
def test_the_house_can_be_weighed(tmp_path):
    figures = bench(tmp_path, "memory", "--seconds", "1", "--no-demo")

    assert float(figures["   web"].value.split()[0]) > 10
    assert float(figures["   worker with its cluster"].value.split()[0]) > 10


@pytest.mark.processes
def test_a_worker_that_dies_at_a_marked_point_leaves_nothing_half_done(tmp_path):
    figures = bench(tmp_path, "kills", "--each", "1", "--points", "3")

    assert wrong(figures) == []
    assert figures["deaths"].value == figures["marked points"].value == "3"
    assert figures["facts lost or double"].value == figures["breaks in the journal"].value == "0"


@pytest.mark.processes
@pytest.mark.parametrize("row", ["R3", "R6", "R7", "R13"])
def test_a_hundredth_of_the_reliability_rows(tmp_path, row):
    figures = bench(tmp_path, "reliability", row, "--share", "0.01")

    assert figures
    assert wrong(figures) == []


@pytest.mark.processes
@pytest.mark.embedded
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_measurement_leaves_no_process_behind(tmp_path, number):
    running = subprocess.Popen(
        [*BENCH, "replay", "--rows", "200", "--speed", "1", "--db", "sqlite"],
        cwd=env.ROOT,
        stderr=subprocess.DEVNULL,
    )
    below: list[psutil.Process] = []
    deadline = time.monotonic() + PATIENCE / 4
    while len(below) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)
        below = psutil.Process(running.pid).children(recursive=True)

    running.send_signal(number)
    code = running.wait(PATIENCE / 4)
    # Who is killed with its parent is gone a moment after it.
    _gone, alive = psutil.wait_procs(below, timeout=30)

    assert len(below) >= 4
    assert code == 130
    assert alive == []


def statement(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="A file does not hang up")
def test_a_question_to_a_database_that_hangs_up_is_asked_again():
    questions = ["SELECT 1", "SELECT pg_terminate_backend(pg_backend_pid())"]

    answer = asked(lambda: statement(questions.pop()))

    assert answer == (1,)
    assert questions == []


@pytest.mark.django_db
def test_a_question_that_is_wrong_in_itself_is_not_asked_again():
    questions = ["SELECT 1", "SELECT no_such_column FROM orders_order"]

    with pytest.raises(DatabaseError, match="no_such_column"):
        asked(lambda: statement(questions.pop()))

    assert questions == ["SELECT 1"]


def test_every_status_of_the_public_history_is_in_the_mapping_and_in_the_table():
    mapping: dict[str, Any] = json.loads((Path(histories.__file__).parent / "olist.json").read_text())

    statuses = {status for status, _has in histories.EXPECTED}

    assert statuses == set(mapping["last_status"]["status"]["values"])


def test_a_row_that_the_table_does_not_know_stops_the_replay():
    row = {"status": "delivered", "approved_at": "", "handed_to_carrier_at": "", "delivered_at": ""}

    with pytest.raises(histories.BadHistory, match="delivered"):
        histories.expected(row)


def test_a_file_without_a_column_is_refused_by_name(tmp_path):
    (tmp_path / "rows.csv").write_text("order_id,status\n1,shipped\n")

    with pytest.raises(histories.BadHistory, match="purchased_at"):
        list(histories.read(tmp_path / "rows.csv"))


def test_a_goal_that_is_missed_says_so():
    assert at_least("rate", 299.9, 300, "/s").met is False
    assert at_most("wait", 501, 500, "ms").met is False
    assert exactly("lost", 1).met is False
    assert "| NO" in table("title", [exactly("lost", 1)])


def test_percentiles_of_few_values():
    assert percentile([], 0.99) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 0.99) == 3


def test_figures_survive_being_written_and_read(tmp_path):
    figures = {"sqlite": [at_least("rate", 400, 300, "/s"), exactly("lost", 0)]}

    write_json(tmp_path / "out.json", "ingest", figures)

    assert read_json(tmp_path / "out.json") == figures


@pytest.mark.parametrize("path", sorted(PATCHES.glob("*.patch")), ids=lambda path: path.stem)
def test_every_planted_patch_applies_and_names_a_test_that_exists(path):
    one = Planted.read(path)
    file, _colons, name = one.test.partition("::")

    applies = subprocess.run([*APPLY, "--check", str(path)], cwd=env.ROOT, capture_output=True, text=True)

    assert applies.returncode == 0, applies.stderr
    assert f"def {name.partition('[')[0]}(" in (env.ROOT / file).read_text(encoding="utf-8")
