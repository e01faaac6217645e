"""The verifier that stands alone: what is true, what is not, what is missing, and what the log says against itself."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from promises.tests.smalllog import BEGIN, DAY, Promised, SmallLog, number, pdf, secret
from promises.verification import verify

AS_OF = BEGIN + 30 * DAY


@pytest.fixture
def log():
    return SmallLog()


@pytest.fixture
def promise(log):
    found = Promised(log)
    log.issue(found)
    for n in range(6):
        log.issue(Promised(log, no=number(n)))
    return found


@pytest.fixture
def folder(tmp_path, log):
    (tmp_path / "keys.txt").write_text(log.keys())
    return tmp_path


def given(folder: Path, **files: str | bytes) -> list[str]:
    """Files of these contents, dots as two underscores."""
    names = []
    for name, content in files.items():
        file = folder / name.replace("__", ".")
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        names.append(str(file))
    return names


def judged(folder: Path, *subjects: str, policy: str = "", state: bool = False, **more):
    trust = verify.Trust()
    if policy:
        verify.read_policy(policy, trust)
    else:
        verify.read_keys((folder / "keys.txt").read_text(), trust)
    wish = verify.Wish(trust, verify.State(folder / "state") if state else None, as_of=AS_OF, **more)
    return verify.verify(subjects, wish)


def answers(report) -> dict[str, bool | None]:
    return {name: ok for name, (ok, _what) in report.checks.items()}


def test_paper_and_proof_file_together_are_true(folder, log, promise):
    proof = log.proof(1, payload=promise.data.decode(), token=promise.text)

    report = judged(folder, *given(folder, a__pdf=promise.pdf, a__proof=proof))

    assert answers(report) == {
        "token": True, "same": True, "checkpoint": True, "inclusion": True, "file": True, "attachment": True,
        "payload": True, "seen": True,
    }  # fmt: skip
    assert report.exit == verify.TRUE
    assert report.promise["number"] == promise.said["no"]
    assert report.promise["due"] == promise.said["due"]


@pytest.mark.parametrize(
    "written", ["{}", "https://p.example.com/v/{}", "HTTPS://P.EXAMPLE.COM//V/{}/", "  {}\n"]
)
def test_a_code_alone_is_signed_and_still_incomplete(folder, promise, written):
    report = judged(folder, written.format(promise.text), written.format(promise.text.lower()))

    assert answers(report) == {"token": True, "same": True, "inclusion": None}
    assert report.exit == verify.INCOMPLETE


def test_a_code_with_the_proof_of_its_entry_is_true(folder, log, promise):
    report = judged(folder, promise.text, *given(folder, a__proof=log.proof(1)))

    assert report.exit == verify.TRUE


def test_a_code_with_the_proof_of_another_entry_is_false(folder, log, promise):
    report = judged(folder, promise.text, *given(folder, a__proof=log.proof(2)))

    assert answers(report)["same"] is False
    assert report.exit == verify.FALSE


def test_the_code_in_a_link_of_the_paper_is_read(folder, log):
    linked = Promised(log, has_link=True)

    report = judged(folder, *given(folder, a__pdf=linked.pdf))

    assert answers(report) == {
        "token": True,
        "same": True,
        "file": None,
        "attachment": True,
        "inclusion": None,
    }


@pytest.mark.parametrize("is_packed", [True, False])
def test_papers_of_both_kinds_of_tables_are_read(promise, is_packed):
    assert verify.paper(pdf(promise.data, is_packed=is_packed)).payload == promise.data


def test_a_paper_without_or_with_a_foreign_attachment_is_refused(promise):
    with pytest.raises(verify.Refused, match="holds 0 commitments"):
        verify.paper(pdf(promise.data, name="other.json"))


def test_the_attachment_of_another_promise_is_refused(folder, log, promise):
    forged = pdf(Promised(log, due=promise.said["due"] + DAY).data)
    index = log.issue(promise, pdf=verify.hashlib.sha256(forged).hexdigest())

    report = judged(folder, *given(folder, a__pdf=forged, a__proof=log.proof(index)))

    assert (answers(report)["file"], answers(report)["attachment"]) == (True, False)
    assert report.exit == verify.FALSE


def test_each_of_1000_changed_bytes_of_the_paper_is_refused(folder, log, promise):
    [proof] = given(folder, a__proof=log.proof(1, payload=promise.data.decode(), token=promise.text))
    chance = random.Random(11)

    for place in chance.sample(range(len(promise.pdf)), min(1000, len(promise.pdf))):
        changed = bytearray(promise.pdf)
        changed[place] ^= 1 << chance.randrange(8)
        assert judged(folder, proof, *given(folder, b__pdf=bytes(changed))).exit == verify.FALSE


def test_a_byte_added_to_the_paper_is_refused(folder, log, promise):
    [proof] = given(folder, a__proof=log.proof(1))

    assert judged(folder, proof, *given(folder, b__pdf=promise.pdf + b"\n")).exit == verify.FALSE


def test_each_changed_character_of_the_code_is_refused(folder, promise):
    for place, sign in enumerate(promise.text):
        changed = promise.text[:place] + ("A" if sign != "A" else "B") + promise.text[place + 1 :]
        assert judged(folder, changed).exit == verify.FALSE
    assert judged(folder, promise.text[:-1]).exit == verify.FALSE
    assert judged(folder, promise.text + "A").exit == verify.FALSE


def test_a_code_of_an_unknown_key_or_signed_for_something_else_is_refused(folder, log, promise):
    stranger = Promised(SmallLog(token_seed=7))
    bare = promise.token[:55] + log.token_key.sign(promise.token[:55])

    assert judged(folder, stranger.text).exit == verify.FALSE
    assert judged(folder, verify.base64.b32encode(bare).decode().rstrip("=")).exit == verify.FALSE


def test_a_head_without_the_witnesses_that_the_policy_wants_is_incomplete(folder, log, promise):
    [bare] = given(folder, a__proof=log.proof(1))
    [seen] = given(folder, b__proof=log.proof(1, is_witnessed=True))

    assert judged(folder, bare, policy=log.policy("w1")).exit == verify.INCOMPLETE
    assert judged(folder, seen, policy=log.policy("w1")).exit == verify.TRUE
    assert judged(folder, bare, policy=log.policy("none")).exit == verify.TRUE


def test_the_head_of_another_log_is_refused(folder, log, promise):
    other = SmallLog(log_seed=5)
    index = other.issue(promise)

    assert judged(folder, *given(folder, a__proof=other.proof(index))).exit == verify.FALSE


def test_a_log_that_goes_on_is_followed_and_one_that_does_not_is_refused(folder, log, promise):
    [first] = given(folder, a__proof=log.proof(1))
    assert judged(folder, first, state=True).exit == verify.TRUE
    size = len(log.entries)
    log.issue(Promised(log, no=number(99)))

    [without] = given(folder, b__proof=log.proof(1))
    assert judged(folder, without, state=True).exit == verify.INCOMPLETE
    [other] = given(folder, c__proof=log.proof(1, since=size - 1))
    assert judged(folder, other, state=True).exit == verify.INCOMPLETE
    [continued] = given(folder, d__proof=log.proof(1, since=size))
    assert judged(folder, continued, state=True).exit == verify.TRUE
    assert verify.State(folder / "state").known(log.origin).size == size + 1


def test_a_proof_of_going_on_that_proves_nothing_is_refused(folder, log, promise):
    on, known = verify.head(log.head()), verify.head(log.head(4))

    assert not verify.is_continued(4, on.size, known.root, on.root, [])
    assert not verify.is_continued(4, on.size, on.root, on.root, [bytes(32)])
    assert not verify.is_continued(0, on.size, known.root, on.root, [])


def test_two_histories_of_one_size_are_shown_as_what_they_are(folder, log, promise):
    assert judged(folder, *given(folder, a__proof=log.proof(1)), state=True).exit == verify.TRUE
    fork = SmallLog()
    fork.issue(promise)
    for n in range(6):
        fork.issue(Promised(fork, no=number(50 + n)))

    report = judged(folder, *given(folder, b__proof=fork.proof(1)), state=True)

    assert report.exit == verify.MISBEHAVIOUR
    [written] = (folder / "state").glob("misbehaviour-*.txt")
    assert log.head() in written.read_text()
    assert fork.head() in written.read_text()


def test_all_entries_give_the_root_and_the_statistics(folder, log, promise):
    log.add(
        "outcome",
        ts=BEGIN + 2 * DAY,
        ref=1,
        k="delivered",
        at=promise.said["due"],
        src="carrier",
        ev="0" * 64,
    )
    [proof] = given(folder, a__proof=log.proof(1))
    [entries] = given(folder, entries__jsonl=log.jsonl())

    report = judged(folder, proof, entries=Path(entries))

    assert report.exit == verify.TRUE
    assert report.statistics["issued"] == 7
    assert report.statistics["kept_first_evidence_carrier"] == 1
    assert report.statistics["silent"] == 6
    assert report.statistics["rate_first_floor_ppm"] == 142_857


def _dropped(entries):
    return entries[:3] + entries[4:]


def _altered(entries):
    return [entries[0].replace(b"mmd", b"mmb"), *entries[1:]]


def _swapped(entries):
    return [entries[0], entries[2], entries[1], *entries[3:]]


def _inserted(entries):
    return [*entries[:2], entries[1], *entries[2:]]


def _cut(entries):
    return entries[:-1]


def _redated(entries):
    return [*entries[:-1], entries[-1].replace(b'"due":1764072000', b'"due":1764072001')]


@pytest.mark.parametrize("change", [_dropped, _altered, _swapped, _inserted, _cut, _redated])
def test_a_history_that_was_changed_afterwards_is_not_the_signed_one(folder, log, promise, change):
    [proof] = given(folder, a__proof=log.proof(1))
    changed = change(log.entries)
    assert changed != log.entries
    [entries] = given(folder, entries__jsonl=b"\n".join(changed))

    assert judged(folder, proof, entries=Path(entries)).exit in {verify.FALSE, verify.INCOMPLETE}


def test_a_code_that_never_reached_the_log_is_proof_against_the_seller(folder, log, promise):
    unlogged = Promised(log, no=number(1234))
    log.add("revoke", ts=unlogged.said["issued_at"] + 601, key="00000000", size=1)
    [entries, head] = given(folder, entries__jsonl=log.jsonl(), head__txt=log.head())

    report = judged(folder, unlogged.text, entries=Path(entries), checkpoint=Path(head).read_text())

    assert report.exit == verify.MISBEHAVIOUR
    assert unlogged.text in report.misbehaviour[0]


def test_one_number_twice_in_a_signed_log_is_proof_against_the_seller(folder, log, promise):
    log.issue(Promised(log, due=promise.said["due"] + DAY))
    [entries, head] = given(folder, entries__jsonl=log.jsonl(), head__txt=log.head())

    report = judged(folder, entries=Path(entries), checkpoint=Path(head).read_text())

    assert report.exit == verify.MISBEHAVIOUR
    assert "under the same number" in report.misbehaviour[0]


def test_a_revoked_key_is_good_only_for_what_was_logged_before(folder, log, promise):
    key_id = promise.token[1:5].hex()
    text = log.keys().replace(log.token_vkey, f"{log.token_vkey} revoked_at_size=2")
    (folder / "keys.txt").write_text(text)
    late = Promised(log, no=number(77))
    index = log.issue(late)
    [before, after] = given(folder, a__proof=log.proof(1), b__proof=log.proof(index))

    assert key_id in log.token_vkey
    assert judged(folder, promise.text, before).exit == verify.TRUE
    assert judged(folder, late.text, after).exit == verify.FALSE


def test_a_policy_that_can_not_be_understood_is_refused(log):
    for text in (
        "quorum none\nquorum none\n",
        "",
        "log nothing\nquorum none\n",
        "quorum w9\n",
        "what none\n",
    ):
        with pytest.raises(verify.Refused):
            verify.read_policy(text, verify.Trust())


def test_groups_of_witnesses_count_as_the_policy_says():
    vkeys = [verify_key(n) for n in range(10, 13)]
    lines = [f"witness w{n} {vkey}" for n, vkey in enumerate(vkeys)]
    trust = verify.Trust()
    verify.read_policy("\n".join([*lines, "group g 2 w0 w1 w2", "quorum g", ""]), trust)

    assert not trust.has_quorum({"w0"})
    assert trust.has_quorum({"w0", "w2"})


def verify_key(seed):
    from promises import notes

    return notes.verifier_of(f"w{seed}.example.org", secret(seed), notes.COSIGNATURE).vkey


def test_the_file_runs_by_itself_without_anything_of_ours(folder, log, promise):
    """As somebody runs it who has only this file: another folder, no import of the project."""
    alone = folder / "alone"
    alone.mkdir()
    source = Path(verify.__file__).read_bytes()
    names = given(alone, verify__py=source, a__pdf=promise.pdf, a__proof=log.proof(1))
    command = [sys.executable, "-I", names[0], *names[1:], "--keys", str(folder / "keys.txt"), "--json"]

    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"] == "true"
    bare = subprocess.run(command[:-3], cwd=alone, capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert "Without --keys or --policy" in bare.stderr
