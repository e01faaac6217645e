from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from promises import merkle, notes
from promises.ledger import keys, reading, sequencer, witness, witnesses
from promises.ledger.models import Cosignature
from promises.ledger.replaying import Tree
from promises.tests.factories_ledger import make_entries, make_log, queue_issue

AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ASK = "/log/witness/add-checkpoint"
OTHER = "other.example.com/t/other"


class Log:
    """Somebody else's log: its heads can be asked for in any size, and forked."""

    def __init__(self, words, key):
        self.key, self.nodes, self.roots, tree = key, {}, [merkle.EMPTY_ROOT], Tree()
        for word in words:
            self.nodes |= {
                (level, index): node for level, index, node in tree.add(merkle.leaf_hash(word.encode()))
            }
            self.roots.append(tree.root())

    def request(self, old, new, origin=OTHER):
        head = notes.Checkpoint(origin, new, self.roots[new])
        proof = merkle.consistency(old, new, lambda level, index: self.nodes[level, index])
        return witness.request(old, proof, notes.write_checkpoint(head, [self.key]))


@pytest.fixture
def key(settings):
    key = Ed25519PrivateKey.generate()
    settings.WITNESSED_LOGS = [notes.verifier_of(OTHER, key).vkey]
    return key


def asked(client, body):
    answer = client.post(ASK, data=body, content_type="text/plain")
    return answer.status_code, answer.content.decode()


@time_machine.travel(AT, tick=False)
def test_a_head_that_continues_what_was_signed_is_signed_with_the_time(client, key):
    log = Log("abcdefgh", key)
    own = notes.verifier(client.get("/log/witness/key").content.decode())

    for old, new in ((0, 3), (3, 3), (3, 8)):
        body = log.request(old, new)
        status, line = asked(client, body)
        note = notes.parse(body.partition("\n\n")[2].partition("\n\n")[0] + "\n\n" + line)
        assert (status, notes.signed_by(note, [own])) == (200, {own: int(AT.timestamp())})

    assert own.name == "127.0.0.1:8000/witness"


def test_a_fork_and_a_step_back_are_refused(client, key):
    log, fork = Log("abcdefgh", key), Log("abcdEfgh", key)
    asked(client, log.request(0, 5))

    refused = [
        asked(client, body)
        for body in (fork.request(5, 5), fork.request(5, 8), log.request(0, 8), log.request(4, 4))
    ]

    assert [status for status, _text in refused] == [409, 422, 409, 409]
    assert [text for status, text in refused if status == 409] == ["5\n"] * 3
    assert (
        client.post(ASK, data=log.request(0, 8), content_type="text/plain")["Content-Type"]
        == "text/x.tlog.size"
    )
    assert asked(client, log.request(5, 8))[0] == 200


def test_strangers_and_nonsense_get_no_signature(client, key):
    log, stranger = Log("abc", key), Log("abc", Ed25519PrivateKey.generate())
    good = log.request(0, 3)

    answers = [
        asked(client, body)[0]
        for body in (
            log.request(0, 3, origin="third.example.com/t/third"),
            stranger.request(0, 3),
            good.replace("old 0", "old 4"),
            good.replace("old 0", "old 00"),
            good.replace("old 0", "old 0\n!"),
            good.partition("\n\n")[2],
            "old 0\n\n",
            "",
            "x" * 70_000,
        )
    ]

    assert answers == [404, 403, 400, 400, 400, 400, 400, 400, 413]
    assert asked(client, good)[0] == 200


def test_whoever_witnesses_nobody_has_no_such_door(client):
    assert client.get("/log/witness/key").status_code == 404
    assert asked(client, "old 0\n\n")[0] == 404
    assert client.get(ASK).status_code == 405


# Our own heads, signed by another house. Here the other house is this one, over real HTTP.


@pytest.fixture
def log(settings, live_server):
    log = make_log()
    make_entries(log, 4)
    settings.WITNESSED_LOGS = [keys.log_verifier(log).vkey]
    settings.WITNESSES = [f"{witness.own_vkey()} {live_server.url}/log/witness"]
    return log


@pytest.mark.django_db(transaction=True)
def test_each_newest_head_is_signed_by_the_named_witness_and_handed_out_with_its_line(log, client):
    witnesses.work()
    queue_issue(log, 50)
    sequencer.sweep()
    witnesses.work()
    witnesses.work()

    other = notes.verifier(witness.own_vkey())
    head = client.get("/log/checkpoint").content.decode()
    assert set(notes.signed_by(notes.parse(head), [other, keys.log_verifier(log)])) == {
        other,
        keys.log_verifier(log),
    }
    assert list(Cosignature.objects.order_by("pk").values_list("checkpoint__size", flat=True)) == [5, 6]
    assert reading.proof_file(log, 3).endswith(head)


@pytest.mark.django_db(transaction=True)
def test_a_house_that_forgot_what_the_witness_signed_is_told(log):
    witnesses.work()
    queue_issue(log, 50)
    sequencer.sweep()
    one = witnesses.named()[0]

    # As if it had never been asked: the witness says from where to go on.
    status, text = witnesses._sent(log, reading.newest(log), one, 0)
    witnesses.ask(log, reading.newest(log), one, AT)

    assert (status, text) == (409, "5\n")
    assert Cosignature.objects.filter(checkpoint__size=6).exists()


@pytest.mark.django_db(transaction=True)
def test_a_witness_that_does_not_answer_holds_nothing_up_and_is_left_alone_for_a_while(log, settings, caplog):
    settings.WITNESSES = [f"{witness.own_vkey()} http://127.0.0.1:9"]

    witnesses.work()
    witnesses.work()

    assert not Cosignature.objects.exists()
    assert [record.levelname for record in caplog.records if record.name.endswith("witnesses")] == ["WARNING"]
    queue_issue(log, 50)
    assert sequencer.sweep() == 1


@pytest.mark.django_db(transaction=True)
def test_a_line_that_is_not_the_witness_s_signature_is_not_kept(log, settings):
    stranger = notes.verifier_of(
        "stranger.example.com/witness", Ed25519PrivateKey.generate(), notes.COSIGNATURE
    )
    url = witnesses.named()[0].url
    settings.WITNESSES = [f"{stranger.vkey} {url}"]

    with pytest.raises(witnesses.NoCosignature, match="somebody else"):
        witnesses.ask(log, reading.newest(log), witnesses.named()[0], AT)

    assert not Cosignature.objects.exists()


def test_a_proof_in_a_request_is_written_as_others_read_it():
    assert witness.request(3, [bytes(32)], "x\n") == f"old 3\n{base64.b64encode(bytes(32)).decode()}\n\nx\n"
