from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.utils.timezone import now
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from orders.models import Todo
from promises import token
from promises.anchors import anchoring, reading, rfc3161
from promises.anchors.models import Anchor
from promises.ledger import sequencer
from promises.tests.authority import Authority, authority
from promises.tests.factories_commitments import issued
from promises.tests.factories_ledger import make_entries, make_log, queue_issue
from promises.tests.factories_verification import write_log
from promises.tests.test_verify_commitment import alone, run

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("authority")) as it:
        yield it


@pytest.fixture
def tsa(served: Authority, settings) -> Authority:
    served.manner, served.asked = "", []
    settings.TSA_URL, settings.TSA_ROOTS = served.url, served.roots
    return served


def test_the_newest_head_is_stamped_and_the_stamp_is_checked_without_the_authority(tsa: Authority):
    log = make_log()
    make_entries(log, 3)

    anchoring.work()

    anchor = Anchor.objects.get()
    assert (anchor.state, anchor.checkpoint.size, anchor.error) == ("anchored", 4, "")
    assert abs(anchor.at - now()) < timedelta(seconds=5)
    assert anchor.facts["policy"] == "1.2.3.4.1"
    tsa.manner = "busy"
    stamp = rfc3161.Stamp(anchor.at, anchor.facts["serial"], "1.2.3.4.1")
    assert reading.stamp_over(log, 3) == reading.Stamped(anchor.pk, 4, stamp)
    assert reading.stamp_over(log, 4) is None


def test_a_log_is_stamped_once_an_hour(tsa: Authority):
    log = make_log()
    make_entries(log, 1)
    anchoring.work()
    queue_issue(log, 9)
    sequencer.sweep()

    anchoring.work()

    assert len(tsa.asked) == 1
    with time_machine.travel(now() + timedelta(minutes=61)):
        anchoring.work()
    assert [one.checkpoint.size for one in Anchor.objects.order_by("pk")] == [2, 3]


def test_a_head_that_has_its_stamp_is_not_stamped_again(tsa: Authority):
    make_entries(make_log(), 1)
    anchoring.work()

    with time_machine.travel(now() + timedelta(hours=5)):
        anchoring.work()

    assert len(tsa.asked) == 1


@pytest.mark.parametrize("manner", ["busy", "garbage", "other"])
def test_a_bad_answer_is_no_stamp_and_is_asked_again_later(tsa: Authority, manner: str):
    # "other" gives the stamp of this first question, over something else.
    question = TimestampRequestBuilder().data(b"something else").hash_algorithm(HashAlgorithm.SHA256).build()
    tsa.asked.append(question.as_bytes())
    make_entries(make_log(), 1)
    tsa.manner = manner

    anchoring.work()

    anchor = Anchor.objects.get()
    assert (anchor.state, anchor.attempts, bytes(anchor.receipt), anchor.at) == ("pending", 1, b"", None)
    assert anchor.error
    tsa.manner = ""
    anchoring.work()
    assert Anchor.objects.get().attempts == 1
    with time_machine.travel(now() + timedelta(minutes=2)):
        anchoring.work()
    assert (Anchor.objects.get().state, Anchor.objects.get().attempts) == ("anchored", 2)


def test_after_five_attempts_a_later_head_takes_its_turn(tsa: Authority):
    log = make_log()
    make_entries(log, 1)
    tsa.manner = "busy"
    for hours in range(0, 15, 3):
        with time_machine.travel(now() + timedelta(hours=hours)):
            anchoring.work()
    assert (Anchor.objects.get().state, Anchor.objects.get().attempts) == ("failed", 5)
    queue_issue(log, 9)
    sequencer.sweep()
    tsa.manner = ""

    with time_machine.travel(now() + timedelta(hours=30)):
        anchoring.work()

    assert Anchor.objects.get(state="anchored").checkpoint.size == 3


def test_a_stamp_with_one_changed_byte_does_not_hold(tsa: Authority):
    log = make_log()
    make_entries(log, 1)
    anchoring.work()
    anchor = Anchor.objects.get()
    whole, stamp = bytes(anchor.receipt), rfc3161.Stamp(anchor.at, anchor.facts["serial"], "1.2.3.4.1")

    for place in range(60, len(whole), len(whole) // 25):
        anchor.receipt = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        anchor.save()
        # Some bytes say nothing (they are outside of what is signed); then the stamp must still be the same one.
        found = reading.stamp_over(log, 1)
        assert found is None or found.stamp == stamp
    changed = bytearray(whole)
    signed_at = whole.index(anchor.at.strftime("%Y%m%d%H%M%S").encode())
    changed[signed_at + 13] = ord("9") if whole[signed_at + 13] != ord("9") else ord("8")
    anchor.receipt = bytes(changed)
    anchor.save()

    assert reading.stamp_over(log, 1) is None


def test_a_stamp_of_an_authority_that_nobody_pinned_does_not_hold(tsa: Authority, settings, tmp_path: Path):
    log = make_log()
    make_entries(log, 1)
    with authority(tmp_path) as stranger:
        settings.TSA_URL = stranger.url

        anchoring.work()

    assert Anchor.objects.get().state == "pending"
    assert reading.stamp_over(log, 1) is None


def test_an_authority_that_stays_silent_is_told_once_and_until_it_speaks(tsa: Authority):
    log = make_log()
    make_entries(log, 1)
    tsa.manner = "busy"
    told = Todo.objects.filter(subject="ledger:silent:rfc3161")

    for hours in range(0, 30, 3):
        with time_machine.travel(now() + timedelta(hours=hours)):
            anchoring.work()
        if hours == 9:
            assert not told.exists()
    queue_issue(log, 9)
    sequencer.sweep()
    with time_machine.travel(now() + timedelta(hours=40)):
        anchoring.work()

    (todo,) = told
    assert (todo.owner, todo.done_at) == ("ops_manager", None)
    assert "5" in todo.text
    assert "503" in todo.text
    tsa.manner = ""
    with time_machine.travel(now() + timedelta(hours=50)):
        anchoring.work()
    todo.refresh_from_db()
    assert todo.outcome == "over"


def test_without_an_address_nobody_is_asked(settings):
    settings.TSA_URL = ""
    make_entries(make_log(), 1)

    anchoring.sweep()

    assert not Anchor.objects.exists()


def test_a_clock_a_minute_off_is_told_until_it_is_right(tsa: Authority):
    log = make_log()
    with time_machine.travel(now() + timedelta(minutes=3)):
        make_entries(log, 1)
        anchoring.work()

    todo = Todo.objects.get(subject=anchoring.SKEWED)
    # OpenSSL and this test look at their clocks one after the other.
    assert re.search(r"1[89]\d seconds", todo.text)
    assert (todo.owner, todo.done_at) == ("ops_manager", None)

    queue_issue(log, 9)
    with time_machine.travel(now() + timedelta(minutes=3, seconds=10)):
        sequencer.sweep()
    Anchor.objects.update(made_at=now() - timedelta(hours=2))
    anchoring.work()

    todo.refresh_from_db()
    assert todo.outcome == "over"


def test_the_question_names_the_digest_of_the_note_and_wants_the_certificate(tsa: Authority):
    make_entries(make_log(), 1)

    anchoring.work()

    (asked,) = tsa.asked
    note = Anchor.objects.get().checkpoint.note
    sha256_as_oid = bytes.fromhex("0609608648016503040201")
    # Version 1, SHA-256, the digest; at the end the wish for the certificate.
    assert asked[2:5] == b"\x02\x01\x01"
    assert sha256_as_oid in asked
    assert hashlib.sha256(note.encode()).digest() in asked
    assert asked.endswith(b"\x01\x01\xff")


def test_the_command_says_which_stamps_hold_over_a_commitment(tsa: Authority, settings, tmp_path):
    settings.LEDGER_DIR = tmp_path / "ledger"
    promise = issued()
    write_log(1)
    anchoring.work()
    code = token.to_text(bytes(promise.token))

    _exit, said = run(code)
    Anchor.objects.update(receipt=bytes(Anchor.objects.get().receipt)[:-1] + b"\0")
    still, broken = run(code)

    assert said["log"]["receipt of rfc3161"].startswith(f"holds, {now():%Y-%m-%d %H}")
    assert broken["log"]["receipt of rfc3161"] == "does not hold"
    # A stamp bounds the time; the signature and the log say whether it is true.
    assert (_exit, still) == (0, 0)


def test_what_the_page_hands_out_is_enough_for_whoever_trusts_only_the_authority(
    tsa: Authority, client, settings, tmp_path
):
    settings.LEDGER_DIR = tmp_path / "ledger"
    promise = issued()
    write_log(1)
    anchoring.work()
    queue_issue(promise.pending.log, 99)
    sequencer.sweep()
    code = token.to_text(bytes(promise.token))
    page = client.get(f"/v/{code}").content.decode()
    receipt, head = re.search(r"(/log/receipts/[0-9]+)\b[^/]+(/log/receipts/[0-9]+/head)", page).groups()

    files = {}
    for name, address in {
        "a.tlog-proof": f"/v/{code}.tlog-proof",
        "keys": "/.well-known/promise-keys.txt",
        "tsr": receipt,
        "head": head,
    }.items():
        files[name] = tmp_path / name
        files[name].write_bytes(client.get(address).content)
    wanted = ["--stamp", files["tsr"], "--stamped", files["head"], "--roots", tsa.roots]
    exit_, said = alone(*map(str, [files["a.tlog-proof"], "--keys", files["keys"], *wanted]))

    assert (exit_, said["log"]["stamped_size"] < said["log"]["size"]) == (0, True)
    assert [one["ok"] for one in said["checks"] if one["name"] == "stamp"] == [True]
