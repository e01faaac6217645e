"""The story of one promise: made, printed, scanned, moved, tampered with, and found out."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
import time_machine
import zxingcpp
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from orders import append_only, steps
from orders.contacts import Contact
from orders.tasks import dispatch_events
from orders.tests.factories import add_fact, after, make_order, settled
from orders.tests.staff import make_staff, staff_client
from promises.commitments import asking
from promises.commitments.models import Promise
from promises.ledger import sequencer
from promises.tests.factories_commitments import FRIDAY, PERSON
from promises.tests.factories_ledger import make_seller

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(after(1), tick=False) as traveller:
        yield traveller


def promised() -> Promise:
    """A shop's order; sales confirms its date; the worker issues, the steward writes the log."""
    make_seller()
    order = make_order()
    add_fact(order, "order.changed", data={"contact": Contact.objects.keep(PERSON).pk})
    settled(order)
    steps.confirm_date(order.pk, actor=make_staff("sales", everything=True), date=FRIDAY, at=after(1))
    dispatch_events()
    asking.work()
    sequencer.sweep()
    return Promise.objects.get(order=order)


def downloaded(promise: Promise) -> bytes:
    answer = staff_client("sales", everything=True).get(reverse("admin:commitment_paper", args=[promise.pk]))
    assert answer["Content-Type"] == "application/pdf"
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def scanned(paper: bytes) -> str:
    """The path that a phone is led to by the code on the paper."""
    with closing(pypdfium2.PdfDocument(paper)) as document, closing(document[0]) as page:
        (code,) = zxingcpp.read_barcodes(page.render(scale=150 / 72).to_pil().convert("L"))
    assert code.text.startswith("HTTP://127.0.0.1:8000/V/")
    return code.text.removeprefix("HTTP://127.0.0.1:8000")


def opened(path: str) -> HttpResponse:
    return Client().get(path, {"lang": "en"})


def moved(promise: Promise, day: date) -> None:
    """On the order's page, by the seller's own wish; worker and steward do the rest."""
    form = {"day": day.isoformat(), "rc": "STOCK", "asked_by": "seller", "of_version": promise.version}
    address = reverse("admin:commitment_move", args=[promise.order_id])
    assert staff_client("sales", everything=True).post(address, form).status_code in {302, 303}
    asking.work()
    sequencer.sweep()


def words(answer: HttpResponse) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


class Stranger:
    """Somebody with the verifier, the seller's keys and what is on the table; no network, nothing of ours installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "verify.py").write_bytes(Client().get("/log/verify.py").content)
        (folder / "keys.txt").write_bytes(Client().get("/log/keys").content)

    def puts(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def says(self, *names: str) -> tuple[int, dict[str, object]]:
        command = [
            sys.executable,
            "-I",
            "verify.py",
            *names,
            "--keys",
            "keys.txt",
            "--state",
            "seen",
            "--json",
        ]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)


def altered(promise: Promise) -> None:
    """By somebody who has the database in hand: the date in the entry of the log, two days later."""
    where = [promise.pending.log_id, promise.pending.index]
    with append_only.lifted(), connection.cursor() as cursor:
        cursor.execute('SELECT entry FROM promises_logleaf WHERE log_id = %s AND "index" = %s', where)
        (entry,) = cursor.fetchone()
        due = str(int(promise.due.timestamp())).encode()
        later = bytes(entry).replace(due, str(int(due) + 172_800).encode())
        assert later != bytes(entry)
        cursor.execute(
            'UPDATE promises_logleaf SET entry = %s WHERE log_id = %s AND "index" = %s', [later, *where]
        )


def monitored() -> tuple[int, dict[str, object]]:
    out = io.StringIO()
    try:
        call_command("log_monitor", "--json", stdout=out)
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_a_promise_is_made_printed_scanned_moved_tampered_with_and_found_out(tmp_path, clock):
    promise = promised()

    # The paper is downloaded, its code is read from a picture of it, and opens the page that says it is genuine.
    paper = downloaded(promise)
    path = scanned(paper)
    page = opened(path)
    assert page.status_code == 200
    assert "Genuine, in force" in words(page)
    assert promise.shown_number in words(page)

    # A stranger with the paper and its proof finds the same, offline.
    stranger = Stranger(tmp_path)
    stranger.puts("paper.pdf", paper)
    stranger.puts("paper.tlog-proof", Client().get(f"{path}.tlog-proof").content)
    assert stranger.says("paper.pdf", "paper.tlog-proof")[0] == 0
    assert stranger.says("paper.pdf")[0] == 2
    assert monitored()[0] == 0

    # The seller moves the date. The old paper says so.
    clock.move_to(after(30))
    moved(promise, date(2026, 6, 8))
    old = words(opened(path))
    assert "Genuine, replaced" in old
    assert "asked for by the seller" in old
    newest = Promise.objects.get(order=promise.order, version=2)
    assert "Genuine, in force" in words(opened(scanned(downloaded(newest))))

    # One byte of the paper is changed: it is refused.
    forged = bytearray(paper)
    forged[len(forged) // 2] ^= 1
    stranger.puts("forged.pdf", bytes(forged))
    assert stranger.says("forged.pdf", "paper.tlog-proof")[0] == 1

    # A row of the log is altered in the database. The monitor names the entry, and nothing more is signed.
    altered(promise)
    code, report = monitored()
    assert code == 3
    assert promise.pending.index in [finding["entry"] for finding in report["findings"]]
    assert "Genuine, in force" not in words(opened(path))

    # The paper and its proof, taken home in time, still prove what was promised.
    assert stranger.says("paper.pdf", "paper.tlog-proof")[0] == 0
