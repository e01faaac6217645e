"""Receipts of calendars and of notarisation chains: asked for, completed, checked, and shown for what they are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.test import Client
from django.utils.timezone import now

from promises.anchors import anchoring, notary
from promises.anchors.calendars import Calendars
from promises.anchors.models import Anchor
from promises.anchors.notary import Chain
from promises.anchors.services import NoReceipt
from promises.commitments.models import Promise
from promises.tests.anchor_services import ACCESS_KEY, BLOCK, SECRET, Place, place
from promises.tests.factories_ledger import make_entries, make_log
from promises.tests.factories_verification import make_filed
from promises.token import to_text

pytestmark = pytest.mark.django_db

# The worked examples of the protocols' own descriptions.
SAID = "HUB202511110001|2025-11-14T18:00:00+08:00"
WAITING = base64.b64decode(
    "AE9wZW5UaW1lc3RhbXBzAABQcm9vZgC/ieLohOiSlAEIIXwsJMmZo+W3N+aIvOrtAII9pvw2i7myzi0gkJelOFHwEAABAgMEBQYHCAkKCwwNDg8IAIPf"
    "4w0u+QyOHh1odHRwczovL2NhbGVuZGFyLmV4YW1wbGUudGVzdA=="
)


@pytest.fixture
def there() -> Iterator[Place]:
    with place() as it:
        yield it


@pytest.fixture
def calendar(there: Place, settings) -> Place:
    settings.OTS_CALENDARS = [there.url]
    return there


@pytest.fixture
def chain(there: Place, settings) -> Place:
    settings.NOTARY_URL = f"{there.url}/gateway.do"
    settings.NOTARY_ACCESS_KEY, settings.NOTARY_SECRET = ACCESS_KEY, SECRET
    return there


def later(**lasting: float) -> Anchor:
    with time_machine.travel(now() + timedelta(**lasting)):
        anchoring.work()
    return Anchor.objects.get()


def page_of(promise: Promise, language: str) -> str:
    with time_machine.travel(now() + timedelta(hours=3)):
        return Client().get(f"/v/{to_text(bytes(promise.token))}", {"lang": language}).content.decode()


@pytest.fixture
def promise(settings, tmp_path: Path) -> Promise:
    """One whose entry is in the log."""
    settings.VAR_DIR = settings.KEY_DIR = tmp_path
    settings.LEDGER_DIR = tmp_path / "ledger"
    return make_filed()


def test_a_calendar_takes_the_digest_and_hours_later_names_the_block(calendar: Place):
    make_entries(make_log(), 3)

    anchoring.work()

    row = Anchor.objects.get()
    assert (row.kind, row.state, bool(row.receipt)) == ("ots", "pending", True)
    assert later(hours=2).state == "pending"
    calendar.is_done = True
    done = later(hours=4)
    assert (done.state, done.facts["block"], len(done.facts["merkle_root"])) == ("anchored", str(BLOCK), 64)
    with pytest.raises(NoReceipt, match="something else"):
        Calendars().check(bytes(done.receipt), "another note")


def test_the_worked_file_of_the_format_is_read():
    with pytest.raises(NoReceipt, match="no calendar has named a block yet"):
        Calendars().check(WAITING, SAID)
    with pytest.raises(NoReceipt, match=r"not an \.ots file"):
        Calendars().check(WAITING[:-9], SAID)


@pytest.mark.parametrize("manner", ["busy", "garbage", "cut"])
def test_a_rude_calendar_is_asked_again_and_nothing_is_kept_of_it(calendar: Place, manner: str):
    make_entries(make_log(), 1)
    calendar.manner = manner

    anchoring.work()

    row = Anchor.objects.get()
    assert (row.state, bytes(row.receipt), row.attempts) == ("pending", b"", 1)
    assert row.error
    calendar.manner, calendar.is_done = "", True
    later(minutes=2)
    assert later(hours=2).state == "anchored"


def test_one_calendar_that_answers_is_enough(calendar: Place, settings):
    make_entries(make_log(), 1)
    settings.OTS_CALENDARS = ["http://127.0.0.1:9", calendar.url]

    anchoring.work()

    assert Anchor.objects.get().receipt


def test_a_call_to_the_chain_is_signed_as_its_example():
    parameters = {
        "method": "twc.notary.text.create",
        "version": "1.0",
        "sign_type": "HmacSHA1",
        "req_time": "2025-11-11T00:00:00Z",
        "req_msg_id": "0123456789abcdef0123456789abcdef",
        "access_key": "AKexample",
        "transaction_id": "tx-1",
        "notary_content": '{"sha256":"abc"}',
        "left_out": None,
    }

    assert notary.sign(parameters, "accesskeysecret01") == "wFUyKqF9i25PN4c8wDp0/9WfTPk="


def test_the_chain_keeps_the_digest_and_its_receipt_names_transaction_and_block(chain: Place):
    make_entries(make_log(), 3)

    anchoring.work()

    assert Anchor.objects.get().state == "pending"
    chain.is_done = True
    done = later(hours=1)
    assert (done.state, done.facts["block"], done.at.isoformat()) == (
        "anchored",
        "77",
        "2026-06-01T02:00:00+00:00",
    )
    receipt, note = bytes(done.receipt), done.checkpoint.note
    kept = json.loads(receipt)
    made = {**kept["create"], "text": kept["create"]["text"].replace('"sign":"', '"sign":"签')}
    broken = [json.dumps({**kept, "create": one}).encode() for one in ("x", {}, made)]
    for changed in (
        receipt.replace(b"77", b"78"),
        receipt.replace(b"tx_hash", b"tx_hush"),
        b"{}",
        b"\xff",
        *broken,
    ):
        with pytest.raises(NoReceipt):
            Chain().check(changed, note)
    with pytest.raises(NoReceipt, match="something else"):
        Chain().check(receipt, "another note")


def test_what_the_chain_says_of_another_content_is_no_receipt(chain: Place):
    make_entries(make_log(), 1)
    anchoring.work()
    chain.is_done, chain.manner = True, "other"

    row = later(hours=1)

    assert (row.state, row.error) == ("pending", "the chain holds something else under this transaction")


def test_a_chain_that_breaks_off_costs_an_attempt_and_nobody_elses_turn(chain: Place):
    make_entries(make_log(), 1)
    chain.manner = "cut"

    anchoring.work()

    row = Anchor.objects.get()
    assert (row.state, row.attempts, row.error.startswith("the answer broke off")) == ("pending", 1, True)


def test_a_wrong_key_is_refused_by_the_chain_and_said(chain: Place, settings):
    make_entries(make_log(), 1)
    settings.NOTARY_ACCESS_KEY = "AKother"

    anchoring.work()

    assert Anchor.objects.get().error.startswith("refused: SIGN_ERROR")


def test_a_block_chain_is_named_only_where_there_is_a_receipt(chain: Place, promise: Promise):
    anchoring.work()
    (waiting,) = Anchor.objects.all()
    assert "区块链" not in page_of(promise, "zh-hans")
    assert Client().get(f"/log/receipts/{waiting.pk}").status_code == 404
    chain.is_done = True
    row = later(hours=1)

    page = page_of(promise, "zh-hans")

    assert "区块链" in page
    assert f"/log/receipts/{row.pk}/head" in page
    assert Client().get(f"/log/receipts/{row.pk}").content == bytes(row.receipt)
    assert Client().get(f"/log/receipts/{row.pk}/head").content.decode() == row.checkpoint.note


def test_what_a_calendar_says_is_shown_as_not_compared(calendar: Place, promise: Promise):
    calendar.is_done = True
    anchoring.work()
    later(hours=2)

    page = page_of(promise, "en")

    assert f"It leads to block {BLOCK}" in page
    assert "Not compared" in page


def test_a_receipt_of_an_unknown_kind_is_shown_as_unknown_and_a_changed_one_as_none(
    chain: Place, promise: Promise
):
    chain.is_done = True
    anchoring.work()
    later(hours=1)
    Anchor.objects.update(kind="pigeon")

    assert "We cannot read receipts of this kind." in page_of(promise, "en")
    Anchor.objects.update(kind="ots")
    assert "There is a receipt, but it does not hold." in page_of(promise, "en")
    assert "blockchain" not in page_of(promise, "en")
