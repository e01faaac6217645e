"""The checks of verify.py once more, by the house's own code: canonical form, tokens, notes, trees, statistics.

The two share how a PDF is opened, how a policy is read and how the answer is written down, and nothing of what they
judge by; a test holds their answers together.
"""

# ruff: noqa: FBT003 - an answer is yes, no or open, and stands for itself

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from promises import canonical, merkle, notes, token
from promises.verification.given import Given, Wish, read, token_of
from promises.verification.heads import check_head, is_continued
from promises.verification.history import check_log
from promises.verification.verify import Report

SAME = "all of it is about the same commitment"


def check(subjects: Sequence[str], wish: Wish) -> Report:
    """The whole check. Touches nothing but the state folder."""
    given = Given(Report(), wish.trust)
    for subject in subjects:
        read(subject, given)
    if wish.complete is not None:
        wish.complete(given)
    _gather_token(given)
    if given.token:
        _check_token(given)
    if given.proof is not None:
        given.entry = _check_proof(given)
    _check_contents(given)
    check_log(given, wish)
    if wish.state is not None:
        for what in given.report.misbehaviour:
            wish.state.write_out(what)
    return given.report


def _gather_token(given: Given) -> None:
    found = []
    for text in (given.linked, given.extra.token):
        if text:
            try:
                found.append(token_of(text))
            except token.BadToken as refused:
                given.report.note("token", False, str(refused))
                return
    given.token = given.token or (found[0] if found else b"")
    if any(one != given.token for one in found):
        given.report.note("same", False, "two different codes were given")


def _check_token(given: Given) -> None:
    report, keys = given.report, {one.key_id: one for one in reversed(given.trust.tokens)}
    try:
        said = token.verify(given.token, {key_id: one.public for key_id, one in keys.items()})
    except token.BadToken as refused:
        report.note("token", False, str(refused))
        return
    signer = keys[said.key_id].name
    report.note("token", True, f"signed by {signer}")
    report.promise |= {
        "number": said.number,
        "issued_at": said.issued_at,
        "due": said.due,
        "ph": said.ph.hex(),
    }
    report.log.setdefault("origin", signer)
    report.note("same", report.log["origin"] == signer, SAME)


def _check_proof(given: Given) -> dict[str, Any]:
    """The entry if it stands in the log, else empty."""
    report, proof, head = given.report, given.proof, given.head
    if proof is None or head is None or given.note is None or not check_head(given, given.note, head):
        return {}
    if not given.extra.entry:
        report.note("inclusion", None, "the proof file carries no entry to be checked")
        return {}
    try:
        leaf = merkle.leaf_hash(given.extra.entry)
        merkle.check_inclusion(leaf, proof.index, head.size, proof.path, head.root)
        entry = canonical.decode(given.extra.entry)
    except (merkle.BadProof, canonical.Refused) as refused:
        report.note("inclusion", False, str(refused))
        return {}
    if entry.get("i") != proof.index:
        report.note("inclusion", False, "the entry says another place than the log gives it")
        return {}
    report.note("inclusion", True, f"entry {proof.index} of {head.size}")
    report.log |= {"index": proof.index, "entry": entry.get("t"), "logged_at": entry.get("ts")}
    return entry


def _check_contents(given: Given) -> None:
    report, entry = given.report, given.entry
    signed = token.parse(given.token).ph.hex() if given.token else None
    logged = entry.get("ph")
    if signed and logged and signed != logged:
        report.note("same", False, "code and log entry are about different commitments")
    if given.sha256:
        is_same = entry["pdf"] == given.sha256 if "pdf" in entry else None
        report.note("file", is_same, f"SHA-256 {given.sha256}")
    for name, data in (("attachment", given.attached), ("payload", given.extra.payload)):
        if data:
            _check_payload(name, data, logged or signed, given)
    if not entry and "inclusion" not in report.checks and (given.token or given.sha256):
        report.note("inclusion", None, "give the proof file too: it shows what stands in the log")


def _check_payload(name: str, data: bytes, wanted: str | None, given: Given) -> None:
    report = given.report
    if wanted is not None and canonical.digest(data) != wanted:
        report.note(name, False, "says something else than what was signed")
        return
    try:
        said = canonical.decode(data)
        canonical.check_payload(said)
    except canonical.Refused as refused:
        report.note(name, False, str(refused))
        return
    if wanted is None:
        report.note(name, None, "nothing signed to compare it with")
        return
    report.note(name, True, "says what was signed")
    report.note("same", _is_same(said, given), SAME)
    report.promise |= {
        "number": said["no"],
        "issued_at": said["issued_at"],
        "due": said["due"],
        "ph": canonical.digest(data),
    }
    if given.head is not None and report.checks["checkpoint"][0] is True:
        _check_seen(said["seen"], given, given.head)


def _is_same(said: Mapping[str, Any], given: Given) -> bool:
    entry, nh = given.entry, hashlib.sha256(b"no\n" + said["no"].encode()).hexdigest()
    if said["log"] != given.report.log.get("origin", said["log"]):
        return False
    if entry.get("due", said["due"]) != said["due"] or entry.get("nh", nh) != nh:
        return False
    if not given.token:
        return True
    code = token.parse(given.token)
    return (code.number, code.due, code.issued_at) == (said["no"], said["due"], said["issued_at"])


def _check_seen(seen: Mapping[str, Any], given: Given, head: notes.Checkpoint) -> None:
    size, root = seen["size"], bytes.fromhex(seen["root"])
    if size == head.size and root != head.root:
        given.report.blame(
            "A signed commitment and a signed head of one size name different roots:",
            str(seen),
            str(given.note),
        )
    path = [] if size in {0, head.size} else given.extra.continued.get(size)
    if path is not None and size <= head.size:
        ok = is_continued(size, head.size, root, head.root, path)
        given.report.note("seen", ok, f"the head of {size} entries that the commitment names is continued")
