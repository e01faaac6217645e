from __future__ import annotations

import io
import multiprocessing
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from integrations import files
from integrations.mapping import versions
from integrations.mapping.starters import TABLE_EN
from integrations.models import FieldMapping, ImportRun, InboundMessage
from integrations.tests.senders import make_connection
from orders.stages import Role
from orders.tests import processes
from orders.tests.factories import make_shop

N_ROWS = 12_000
KILLS = 4


def _read_in(database: dict[str, Any], uploads: Path) -> None:
    connection.settings_dict.update(database)
    settings.UPLOAD_DIR = uploads
    files.work(seconds=60)


def _kill_while_reading(run: ImportRun, uploads: Path) -> None:
    """Start a worker, and kill it as soon as it has read in something more."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([processes.__name__])
    database = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    before = run.n_rows
    worker = context.Process(target=_read_in, args=(database, uploads))
    worker.start()
    give_up = time.monotonic() + 60
    while run.n_rows == before and worker.is_alive():
        assert time.monotonic() < give_up
        time.sleep(0.005)
        run.refresh_from_db()
    os.kill(worker.pid or 0, 9)
    worker.join()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_workers_killed_while_reading_in_lose_and_double_nothing(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path
    mapping = FieldMapping(name="table", definition=TABLE_EN)
    versions.save(mapping, by=None, at=datetime(2026, 11, 22, tzinfo=UTC))
    way_in = make_connection("files", role=Role.SHOP, connector="rows", shop=make_shop(), mapping=mapping)
    lines = [f"A{number:06d},2026-11-22 08:00,X,1" for number in range(N_ROWS)]
    text = "\n".join(["order_id,placed_at,sku,quantity", *lines])
    run = files.start_import(way_in, mapping, io.BytesIO(text.encode()), "o.csv", None)

    for _kill in range(KILLS):
        _kill_while_reading(run, tmp_path)
    run.refresh_from_db()
    assert 0 < run.n_rows < N_ROWS
    while files.work(seconds=60):
        pass

    run.refresh_from_db()
    assert (run.n_rows, run.n_duplicates, run.n_errors) == (N_ROWS, 0, 0)
    rows = InboundMessage.objects.order_by("run_row").values_list("run_row", flat=True)
    assert list(rows) == list(range(2, N_ROWS + 2))
