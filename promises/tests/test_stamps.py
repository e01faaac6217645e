"""Time stamps over heads: read without anybody by the stand-alone file, and by the house; both say the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from promises.anchors import rfc3161
from promises.tests.authority import make_certificates, stamp
from promises.tests.smalllog import Promised, SmallLog, number
from promises.tests.test_verify_commitment import alone, run
from promises.verification import verify


def question(text, algorithm=HashAlgorithm.SHA256):
    builder = TimestampRequestBuilder().data(text.encode()).hash_algorithm(algorithm)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build()


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tsa")
    make_certificates(folder)
    return folder


@pytest.fixture
def log():
    log = SmallLog()
    for n in range(6):
        log.issue(Promised(log, no=number(n)))
    return log


@pytest.fixture
def files(tmp_path, log, tsa):
    """Writes what a stranger has, and gives the arguments that name it."""

    def write(*, proof, stamped, answer=None, roots=None):
        contents = {
            "a.tlog-proof": proof.encode(),
            "keys.txt": log.keys().encode(),
            "head.txt": stamped.encode(),
            "head.tsr": stamp(tsa, question(stamped).as_bytes()) if answer is None else answer,
        }
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        return {
            "subject": str(tmp_path / "a.tlog-proof"),
            "keys": tmp_path / "keys.txt",
            "stamp": tmp_path / "head.tsr",
            "stamped": tmp_path / "head.txt",
            "roots": roots or tsa / "root.pem",
        }

    return write


def both(given):
    """Exit and answer about the stamp: of the stand-alone file, and of the house's command."""
    subject, keys = given["subject"], given["keys"]
    rest = {name: given[name] for name in ("stamp", "stamped", "roots")}
    options = [text for name, path in rest.items() for text in (f"--{name}", str(path))]
    theirs = alone(subject, "--keys", str(keys), *options)
    ours = run(subject, keys=[keys], **rest)
    assert theirs[0] == ours[0]
    assert theirs[1]["log"] == ours[1]["log"]
    code, said = theirs
    return code, next((one for one in said["checks"] if one["name"] == "stamp"), {}).get("ok"), said


@pytest.mark.parametrize("size", [3, 7])
def test_a_stamp_over_this_head_or_an_older_one_says_when_the_entry_was_there(files, log, size):
    proof = log.proof(2, since=size)

    code, ok, said = both(files(proof=proof, stamped=log.head(size)))

    assert (code, ok, said["log"]["stamped_size"]) == (0, True, size)
    at = datetime.strptime(said["log"]["stamped"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("size", "since", "wanted"),
    [(2, 2, (2, None)), (3, None, (2, None)), (7, None, (0, True))],
    ids=["before the entry", "without the way from it", "the head itself"],
)
def test_what_a_stamp_over_a_head_needs_to_be_about_the_entry(files, log, size, since, wanted):
    assert both(files(proof=log.proof(2, since=since), stamped=log.head(size)))[:2] == wanted


def test_a_stamp_over_another_history_is_refused(files, log):
    fork = SmallLog()
    for n in range(10, 13):
        fork.issue(Promised(fork, no=number(n)))

    assert both(files(proof=log.proof(2, since=4), stamped=fork.head(4)))[:2] == (1, False)


def test_a_stamp_over_a_head_that_the_log_did_not_sign_is_refused(files, log):
    forged = SmallLog(log_seed=3)

    assert both(files(proof=log.proof(2), stamped=forged.head()))[:2] == (1, False)


def test_a_stamp_over_something_else_is_refused(files, log, tsa):
    answer = stamp(tsa, question(log.head(4)).as_bytes())

    assert both(files(proof=log.proof(2), stamped=log.head(), answer=answer))[:2] == (1, False)


def test_a_stamp_of_nobody_who_is_trusted_is_refused(files, log, tmp_path):
    make_certificates(tmp_path)

    given = files(proof=log.proof(2), stamped=log.head(), roots=tmp_path / "root.pem")

    assert both(given)[:2] == (1, False)


@pytest.mark.parametrize(
    "answer", [b"", b"no", b"0\x03\x02\x01\x02", b"0\x80\x00\x00", b"<html>", b"0" * 999]
)
def test_what_is_no_stamp_is_refused(files, log, answer):
    given = files(proof=log.proof(2), stamped=log.head(), answer=answer or b"\x30")

    assert both(given)[:2] == (1, False)


def test_a_stamp_without_whose_word_counts_is_not_looked_at(files, log, capsys):
    given = files(proof=log.proof(2), stamped=log.head())

    code, _said = alone(given["subject"], "--keys", str(given["keys"]), "--stamp", str(given["stamp"]))

    assert code == 2
    assert "whose stamp should count" in capsys.readouterr().err


@pytest.mark.parametrize("is_curve", [False, True])
@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA256, HashAlgorithm.SHA512])
def test_authorities_with_a_certificate_between_sign_as_they_like(tmp_path, is_curve, algorithm):
    """The order of their chain, which is not the order of their bytes: a strict reader takes it for damage."""
    make_certificates(tmp_path, has_middle=True, is_curve=is_curve)
    (tmp_path / "tsa.cnf").write_text(
        (tmp_path / "tsa.cnf").read_text().replace("digests = sha256", "digests = sha256, sha512")
    )
    asked = question("a head\n", algorithm)
    answer = stamp(tmp_path, asked.as_bytes())
    roots = x509.load_pem_x509_certificates((tmp_path / "root.pem").read_bytes())

    said = verify.stamp(answer, b"a head\n", roots)

    assert abs(said.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (said.policy, said.nonce) == ("1.2.3.4.1", asked.nonce)
    with pytest.raises(verify.Refused, match="something else"):
        verify.stamp(answer, b"a  head\n", roots)


def test_the_house_reads_a_stamp_that_its_strict_reader_refuses(tmp_path):
    make_certificates(tmp_path, has_middle=True)
    asked = question("a head\n")
    answer = stamp(tmp_path, asked.as_bytes())
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        decode_timestamp_response(answer)

    said = rfc3161.check(answer, "a head\n", tmp_path / "root.pem", nonce=asked.nonce)

    assert abs(said.at - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(rfc3161.NoStamp, match="another question"):
        rfc3161.check(answer, "a head\n", tmp_path / "root.pem", nonce=asked.nonce + 1)
    with pytest.raises(rfc3161.NoStamp, match="something else"):
        rfc3161.check(answer, "another head\n", tmp_path / "root.pem")


def test_certificates_count_at_the_time_of_the_stamp_and_only_for_stamps(tsa):
    answer = stamp(tsa, question("a head\n").as_bytes())
    root, signer = (
        x509.load_pem_x509_certificate((tsa / f"{name}.pem").read_bytes()) for name in ("root", "signer")
    )
    with time_machine.travel(datetime.now(UTC) + timedelta(days=9000)):
        assert verify.stamp(answer, b"a head\n", [root]), "it was valid when it was used"

    with pytest.raises(verify.Refused, match="not valid at its time"):
        verify._check_chain(signer, [], [root], datetime.now(UTC) + timedelta(days=9000))
    with pytest.raises(verify.Refused, match="nobody whom you trust"):
        # A certificate that may stamp may not vouch for others.
        verify._check_chain(signer, [signer], [signer], datetime.now(UTC))


def test_no_bent_bit_changes_what_a_stamp_says(tsa):
    """Some bits are not signed, such as the words that go with the answer; those that are let nothing through."""
    answer = stamp(tsa, question("a head\n").as_bytes())
    roots = x509.load_pem_x509_certificates((tsa / "root.pem").read_bytes())
    said = verify.stamp(answer, b"a head\n", roots)
    draw, n_refused = random.Random(7), 0

    for _n in range(600):
        bent = bytearray(answer)
        bent[draw.randrange(len(bent))] ^= 1 << draw.randrange(8)
        try:
            assert verify.stamp(bytes(bent), b"a head\n", roots) == said
        except verify.Refused:
            n_refused += 1
        try:
            ours = rfc3161.check(bytes(bent), "a head\n", tsa / "root.pem")
            assert (ours.at, ours.serial) == (said.at, said.serial)
        except rfc3161.NoStamp:
            pass

    assert n_refused > 500
    for end in range(0, len(answer), 7):
        with pytest.raises(verify.Refused):
            verify.stamp(answer[:end], b"a head\n", roots)
