from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from promises import merkle, notes, proofs

LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ORIGIN = "promises.example.com/t/demo"
LOG_KEY = notes.verifier_of(ORIGIN, LOG)
WITNESS_KEY = notes.verifier_of("witness.example", WITNESS, notes.COSIGNATURE)
HEAD = notes.Checkpoint(ORIGIN, 21, bytes(range(32)))


def test_a_checkpoint_is_written_as_c2sp_says():
    text = notes.write_checkpoint(HEAD, [LOG])

    lines = text.split("\n")
    assert lines[:4] == [ORIGIN, "21", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ""]
    assert lines[4].startswith(f"\u2014 {ORIGIN} ")
    assert lines[5:] == [""]


def test_a_checkpoint_of_the_log_is_opened():
    found, _note = notes.opened(notes.write_checkpoint(HEAD, [LOG]), LOG_KEY)

    assert found == HEAD


def test_a_key_is_written_and_read_back():
    assert notes.verifier(LOG_KEY.vkey) == LOG_KEY
    assert notes.verifier(WITNESS_KEY.vkey) == WITNESS_KEY


def test_a_known_vkey_of_the_format_is_read():
    # The example key of the signed note format's own tests (PeterNeumann).
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

    found = notes.verifier(vkey)

    assert found.name == "PeterNeumann"
    assert found.vkey == vkey


@pytest.mark.parametrize(
    "vkey",
    ["", "name", "name+00000000+AQ==", LOG_KEY.vkey.replace("+", " +", 1), LOG_KEY.vkey[:-4] + "AAAA"],
)
def test_a_spoilt_key_is_refused(vkey):
    with pytest.raises(notes.BadNote):
        notes.verifier(vkey)


def test_a_witness_states_when_it_saw_the_checkpoint():
    signature = notes.cosign(str(HEAD), "witness.example", WITNESS, 1_763_775_060)
    note = notes.parse(notes.write_checkpoint(HEAD, [LOG], [signature]))

    assert notes.signed_by(note, [LOG_KEY, WITNESS_KEY]) == {LOG_KEY: None, WITNESS_KEY: 1_763_775_060}


def test_a_witness_key_is_no_log_key():
    note = notes.write_checkpoint(HEAD, [], [notes.cosign(str(HEAD), ORIGIN, LOG, 1)])

    with pytest.raises(notes.BadNote):
        notes.opened(note, LOG_KEY)


def test_two_keys_sign_while_they_change():
    new = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
    text = notes.write_checkpoint(HEAD, [LOG, new])

    assert notes.opened(text, LOG_KEY)[0] == HEAD
    assert notes.opened(text, notes.verifier_of(ORIGIN, new))[0] == HEAD


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n21\n", "\n22\n"),
        lambda text: text.replace("AAEC", "AAED"),
        lambda text: text.replace(ORIGIN, "other.example"),
        lambda text: text.replace("\n21\n", "\n021\n"),
        lambda text: text[:-1],
        lambda text: text.split("\n\n")[0] + "\n",
        lambda text: text.replace("\u2014", "-"),
        lambda text: text + "\n",
        lambda text: "\x00" + text,
        lambda text: "",
    ],
)
def test_a_changed_checkpoint_is_refused(spoil):
    with pytest.raises(notes.BadNote):
        notes.opened(spoil(notes.write_checkpoint(HEAD, [LOG])), LOG_KEY)


def test_a_checkpoint_of_another_log_with_our_signature_is_refused():
    other = notes.Checkpoint("other.example", 21, bytes(32))
    text = str(notes.Note(str(other), (notes.sign(str(other), ORIGIN, LOG),)))

    with pytest.raises(notes.BadNote, match="checkpoint of other"):
        notes.opened(text, LOG_KEY)


def proof_of(index, entries):
    nodes = {}
    for level, place, value in merkle.append(
        0, [merkle.leaf_hash(one) for one in entries], lambda *at: nodes[at]
    ):
        nodes[level, place] = value
    read = lambda *at: nodes[at]  # noqa: E731
    head = notes.Checkpoint(ORIGIN, len(entries), merkle.root(len(entries), read))
    path = tuple(merkle.inclusion(index, len(entries), read))
    return proofs.ProofFile(index, path, notes.write_checkpoint(head, [LOG]), b"extra \x00 bytes")


ENTRIES = [b"entry %d" % number for number in range(13)]


def test_a_proof_file_is_written_and_read_back():
    proof = proof_of(7, ENTRIES)

    assert str(proof).startswith("c2sp.org/tlog-proof@v1\nextra ZXh0cmEgACBieXRlcw==\nindex 7\n")
    assert proofs.parse(str(proof)) == proof


def test_a_proof_file_proves_its_entry_alone():
    proof = proofs.parse(str(proof_of(7, ENTRIES)))

    assert proofs.check(proof, ENTRIES[7], LOG_KEY).size == 13
    with pytest.raises(merkle.BadProof):
        proofs.check(proof, ENTRIES[8], LOG_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex -1\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 01\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nextra !!\nindex 1\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 1\n",
    ],
)
def test_anything_else_is_no_proof_file(text):
    with pytest.raises(proofs.BadProofFile):
        proofs.parse(text)
