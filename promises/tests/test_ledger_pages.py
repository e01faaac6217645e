from __future__ import annotations

import hashlib
import json

import pytest

from orders.tests.staff import staff_client
from promises import merkle, notes, numbers, proofs
from promises.ledger import keys, reading, sequencer, tiles, writing
from promises.tests.factories_commitments import make_promise
from promises.tests.factories_ledger import make_entries, make_log, make_seller, queue_issue

pytestmark = pytest.mark.django_db


def unbundled(bundle):
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found


@pytest.fixture
def log():
    log = make_log()
    make_entries(log, 260)
    return log


def test_whoever_reads_the_tiles_finds_the_signed_root(log, client):
    head, _note = notes.opened(client.get("/log/checkpoint").content.decode(), keys.log_verifier(log))

    entries = unbundled(client.get("/log/tile/entries/000").content) + unbundled(
        client.get("/log/tile/entries/001.p/5").content
    )

    hashes = [merkle.leaf_hash(entry) for entry in entries]
    nodes = {(level, index): node for level, index, node in merkle.append(0, hashes, lambda *_place: b"")}
    assert head.size == len(entries) == 261
    assert merkle.root(261, lambda level, index: nodes[level, index]) == head.root
    assert client.get("/log/tile/0/000").content == b"".join(hashes[:256])
    assert client.get("/log/tile/0/001.p/5").content == b"".join(hashes[256:])
    assert client.get("/log/tile/1/000.p/1").content == nodes[8, 0]


def test_full_tiles_are_kept_for_ever_and_heads_are_not(log, client):
    full, part, head = (
        client.get(f"/log/{path}")["Cache-Control"] for path in ("tile/0/000", "tile/0/001.p/5", "checkpoint")
    )

    assert (full, part, head) == ("public, max-age=31536000, immutable", "public, max-age=3600", "no-cache")


@pytest.mark.parametrize(
    "path",
    ["0/001", "0/001.p/6", "0/001.p/0", "0/000.p/256", "0/000.p/05", "0/1", "0/x000/000", "1/000", "9/000.p/1",
     "entries/001", "entries/001.p/6", "0/x001/x999/999", "0/999999"],
)  # fmt: skip
def test_what_is_not_there_yet_or_written_otherwise_is_no_tile(log, client, path):
    assert client.get(f"/log/tile/{path}").status_code == 404


@pytest.mark.parametrize(
    ("number", "path"), [(0, "000"), (67, "067"), (1000, "x001/000"), (1234067, "x001/x234/067")]
)
def test_numbers_of_tiles_are_written_in_groups_of_three(number, path):
    assert tiles.path_of(number) == path
    assert tiles.number_of(path) == (number, 256)
    assert tiles.number_of(f"{path}.p/7") == (number, 7)


def test_a_log_for_holders_shows_its_head_and_no_tiles_but_to_the_auditor(client):
    make_seller(visibility="holders")
    make_entries(make_log(), 2)
    auditor = staff_client("auditor")

    answers = [
        [
            who.get(f"/log/{path}").status_code
            for path in ("checkpoint", "tile/entries/000.p/3", "tile/0/000.p/3")
        ]
        for who in (client, auditor)
    ]

    assert answers == [[200, 404, 404], [200, 200, 200]]
    assert auditor.get("/log/tile/0/000.p/3")["Cache-Control"] == "private, no-store"


def test_before_there_is_a_log_there_is_nothing(client):
    for path in (
        "log/checkpoint",
        "log/keys",
        "log/demo/checkpoint",
        "log/tile/0/000",
        ".well-known/promise-keys.txt",
    ):
        assert client.get(f"/{path}").status_code == 404


def test_the_demo_has_its_log_elsewhere(client):
    make_seller(is_demo=True)
    log = writing.log_of(is_demo=True)
    sequencer.sweep()

    head = client.get("/log/demo/checkpoint").content.decode()

    assert notes.opened(head, keys.log_verifier(log))[0].origin == "127.0.0.1:8000/t/parts/demo"
    assert client.get("/log/checkpoint").status_code == 404


def test_the_keys_are_published_with_their_time(client):
    log = make_log()

    lines = client.get("/log/keys").content.decode().splitlines()

    said = [line.split() for line in lines if not line.startswith("#")]
    assert [(use, vkey) for use, vkey, *_times in said] == [
        (key.purpose, key.vkey) for key in log.keys.order_by("pk")
    ]
    assert client.get("/.well-known/promise-keys.txt").content.decode().splitlines() == lines


def test_reading_the_log_writes_nothing(log, client):
    queue_issue(log, 999)

    for path in ("checkpoint", "keys", "tile/0/000"):
        assert client.post(f"/log/{path}").status_code in {403, 405}
        client.get(f"/log/{path}")

    assert reading.newest(log).size == 261


# Proofs by number.


def test_the_proof_of_a_number_convinces_and_tells_nothing_that_is_not_public(client):
    promise = make_promise()
    sequencer.sweep()
    log = promise.pending.log

    answers = [
        client.get(f"/log/{number}.tlog-proof")
        for number in (promise.number, numbers.shown(promise.number).lower())
    ]

    file = proofs.parse(answers[0].content.decode())
    said = json.loads(file.extra)
    assert answers[0].content == answers[1].content
    assert set(said) == {"entry"}
    proofs.check(file, said["entry"].encode(), keys.log_verifier(log))
    assert json.loads(said["entry"])["nh"] == hashlib.sha256(b"no\n" + promise.number.encode()).hexdigest()


def test_of_several_versions_the_newest_is_proved_unless_another_is_asked_for(client):
    first = make_promise()
    second = make_promise(first.order, replaces=first)
    sequencer.sweep()

    places = [
        proofs.parse(client.get(f"/log/{first.number}.tlog-proof{query}").content.decode()).index
        for query in ("", "?version=1", "?version=2")
    ]

    assert places == [reading.place_of(one.pending) for one in (second, first, second)]


def test_a_number_unknown_malformed_or_not_logged_yet_has_no_proof(client):
    promise = make_promise()

    answers = {
        client.get(f"/log/{number}.tlog-proof").status_code
        for number in (promise.number, "ZRFJQ39TBHZ90492", "short", "!", f"{promise.number}X")
    }
    sequencer.sweep()

    assert answers == {404}
    for query in ("?version=9", "?version=x", "?version=-1"):
        assert client.get(f"/log/{promise.number}.tlog-proof{query}").status_code == 404
