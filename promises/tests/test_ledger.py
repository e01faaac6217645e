from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from promises import canonical, merkle, notes, proofs
from promises.ledger import keys, reading, sequencer, writing
from promises.ledger.models import Checkpoint, LogKey, LogLeaf, LogNode, LogPending, TransparencyLog
from promises.tests.factories_ledger import (
    issue_body,
    make_entries,
    make_log,
    make_seller,
    queue_issue,
    queue_outcome,
)

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def stored(log):
    return [bytes(entry) for entry in log.leaves.order_by("index").values_list("entry", flat=True)]


def test_a_log_begins_with_who_promises_and_under_which_rules():
    make_seller(slug="parts")

    with time_machine.travel(NINE, tick=False):
        log = writing.log_of(is_demo=False)
        sequencer.sweep(NINE)

    vkeys = {key.purpose: key.vkey for key in log.keys.all()}
    assert log.origin == "127.0.0.1:8000/t/parts"
    assert [canonical.decode(entry) for entry in stored(log)] == [
        {
            "v": 1, "i": 0, "t": "genesis", "ts": int(NINE.timestamp()),
            "entity": {"name": "示例汽配有限公司", "uscc": "91330000MA0000000X"},
            "origin": log.origin, "log": vkeys["log"], "token": vkeys["token"],
            "policy": {"mmd": 600, "grace": 259200, "visibility": "public"},
            "previous": None,
        }
    ]  # fmt: skip


def test_the_same_log_is_found_again_and_the_demo_has_one_of_its_own():
    make_seller(slug="parts")

    first, second, demo = (writing.log_of(is_demo=is_demo) for is_demo in (False, False, True))

    assert first == second
    assert demo.origin == "127.0.0.1:8000/t/parts/demo"
    assert LogPending.objects.filter(kind="genesis").count() == 2


def test_without_a_seller_nothing_begins():
    with pytest.raises(writing.NotSetUp, match="Enter legal name"):
        writing.log_of(is_demo=False)

    assert not TransparencyLog.objects.exists()
    assert not LogKey.objects.exists()


def test_the_seller_of_the_demo_makes_no_real_promise():
    make_seller(is_demo=True)

    assert writing.log_of(is_demo=True).is_demo
    with pytest.raises(writing.NotSetUp):
        writing.log_of(is_demo=False)


def test_entries_get_places_in_the_order_in_which_they_were_asked_for():
    log = make_log()
    issues = [queue_issue(log, number) for number in range(3)]
    outcome = queue_outcome(log, issues[1])
    waiting = reading.place_of(issues[0])

    assert sequencer.sweep() == 5

    assert waiting is None
    assert [reading.place_of(pending) for pending in (*issues, outcome)] == [1, 2, 3, 4]
    said = [canonical.decode(entry) for entry in stored(log)]
    assert [one["i"] for one in said] == [0, 1, 2, 3, 4]
    assert said[4] | {"ts": 0} == {
        "v": 1, "i": 4, "t": "outcome", "ts": 0, "ref": 2, "k": "delivered", "at": 1_780_000_000, "src": "carrier",
        "ev": "e" * 64,
    }  # fmt: skip


def test_an_entry_may_speak_of_one_written_long_before():
    log = make_log()
    issue = queue_issue(log)
    sequencer.sweep()

    outcome = queue_outcome(log, issue)
    sequencer.sweep()

    assert canonical.decode(reading.entry(log, reading.place_of(outcome)))["ref"] == 1


def test_the_head_is_signed_over_the_root_of_the_stored_entries():
    log = make_log()
    make_entries(log, 6)

    head, _note = notes.opened(reading.newest(log).note, keys.log_verifier(log))

    hashes = [merkle.leaf_hash(entry) for entry in stored(log)]
    nodes = {(level, index): node for level, index, node in merkle.append(0, hashes, lambda *_place: b"")}
    assert (head.origin, head.size) == (log.origin, 7)
    assert head.root == merkle.root(7, lambda level, index: nodes[level, index])


def test_a_proof_file_convinces_whoever_knows_the_key():
    log = make_log()
    make_entries(log, 20)

    for index in range(21):
        file = proofs.parse(reading.proof_file(log, index))
        proofs.check(file, reading.entry(log, index), keys.log_verifier(log))
        with pytest.raises(merkle.BadProof):
            proofs.check(file, reading.entry(log, (index + 1) % 21), keys.log_verifier(log))


def test_a_proof_takes_the_same_few_queries_however_long_the_log_is(django_assert_num_queries):
    log = make_log()
    make_entries(log, 3)
    with django_assert_num_queries(3):
        reading.proof_file(log, 2)

    make_entries(make_log(), 0)
    for number in range(100, 140):
        queue_issue(log, number)
    sequencer.sweep()

    with django_assert_num_queries(3):
        reading.proof_file(log, 2)


def test_what_may_accompany_a_proof_is_entry_and_payload():
    assert json.loads(reading.extra_of(b'{"t":"issue"}', '{"城":1}'.encode())) == {
        "entry": '{"t":"issue"}',
        "payload": '{"城":1}',
    }


def test_what_does_not_stand_in_the_log_has_no_proof():
    log = make_log()

    with pytest.raises(reading.NotThere):
        reading.proof_file(log, 0)
    sequencer.sweep()
    for index in (-1, 1):
        with pytest.raises(reading.NotThere):
            reading.proof_file(log, index)
    with pytest.raises(reading.NotThere):
        reading.entry(log, 1)


def test_asking_twice_writes_once():
    log = make_log()

    assert queue_issue(log, 7) == queue_issue(log, 7)
    with pytest.raises(writing.AskedOtherwise):
        writing.queue(log, "issue", issue_body(8), dedup="issue 7")

    assert LogPending.objects.filter(kind="issue").count() == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("issue", issue_body() | {"name": "Zhang"}),
        ("issue", {"due": 1}),
        ("issue", issue_body(due=0)),
        ("issue", issue_body(nh="A" * 64)),
        ("rumour", {}),
        ("outcome", {"k": "delivered", "at": 1, "src": "carrier", "ev": "e" * 64}),
    ],
)
def test_what_may_not_stand_in_the_log_is_not_queued(kind, body):
    log = make_log()

    with pytest.raises(canonical.Refused):
        writing.queue(log, kind, body, dedup="x")

    assert [pending.kind for pending in LogPending.objects.all()] == ["genesis"]


def test_nothing_waits_and_nothing_is_signed_twice():
    log = make_log()
    sequencer.sweep()

    assert sequencer.sweep() == 0

    assert Checkpoint.objects.filter(log=log).count() == 1


def test_many_batches_give_the_same_tree_as_one():
    log = make_log()
    for number in range(9):
        queue_issue(log, number)
        sequencer.sweep()

    hashes = [merkle.leaf_hash(entry) for entry in stored(log)]
    nodes = {(level, index): node for level, index, node in merkle.append(0, hashes, lambda *_place: b"")}
    assert {
        (level, index): bytes(node)
        for level, index, node in LogNode.objects.values_list("level", "index", "hash")
    } == {place: node for place, node in nodes.items() if place[0]}
    for old in range(1, 10):
        proof = reading.consistency(log, old, 10)
        merkle.check_consistency(old, 10, reading.root(log, old), bytes(reading.newest(log).root), proof)
    assert LogLeaf.objects.count() == 10


def test_a_demo_that_plays_in_the_past_says_when():
    make_seller(is_demo=True)
    log = writing.log_of(is_demo=True, at=NINE - timedelta(days=9))
    writing.queue(log, "issue", issue_body(), dedup="1", at=NINE - timedelta(days=8))

    sequencer.sweep(NINE)

    times = [canonical.decode(entry)["ts"] for entry in stored(log)]
    assert times == [int((NINE - timedelta(days=days)).timestamp()) for days in (9, 8)]


def test_key_files_can_be_read_by_their_owner_only(settings):
    make_log()

    modes = [file.stat().st_mode & 0o777 for file in settings.LEDGER_KEY_DIR.iterdir()]

    assert modes == [0o600, 0o600]
    assert settings.LEDGER_KEY_DIR.stat().st_mode & 0o777 == 0o700


def test_the_token_key_is_the_one_that_is_published():
    log = make_log()

    public = keys.token_key(log).public_key().public_bytes_raw()

    assert list(keys.token_keys(log).values()) == [public]
