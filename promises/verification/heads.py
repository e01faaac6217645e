"""Signed heads of a log: who signed one, and whether one continues another."""

from __future__ import annotations

from collections.abc import Sequence

from promises import merkle, notes
from promises.verification.given import Given
from promises.verification.verify import Trust


def verifiers(trust: Trust, origin: str) -> list[notes.Verifier]:
    return [notes.Verifier(one.name, one.kind, one.public) for one in trust.logs if one.name == origin]


def check_head(given: Given, note: notes.Note, head: notes.Checkpoint) -> bool:
    report, trust = given.report, given.trust
    try:
        is_signed = bool(notes.signed_by(note, verifiers(trust, head.origin)))
    except notes.BadNote:
        is_signed = False
    report.note(
        "checkpoint",
        is_signed,
        f"{head.origin}, {head.size} entries" if is_signed else "not signed by the log",
    )
    if not is_signed:
        return False
    report.log |= {"origin": head.origin, "size": head.size, "root": head.root.hex()}
    if trust.quorum != "none":
        _check_witnesses(given, note)
    return True


def _check_witnesses(given: Given, note: notes.Note) -> None:
    seen, is_forged = set(), False
    for name, one in given.trust.witnesses.items():
        try:
            if notes.signed_by(note, [notes.Verifier(one.name, one.kind, one.public)]):
                seen.add(name)
        except notes.BadNote:
            is_forged = True
    ok = False if is_forged else (given.trust.has_quorum(seen) or None)
    given.report.note(
        "witnesses", ok, f"{len(seen)} of {len(given.trust.witnesses)} witnesses have signed the head"
    )


def is_continued(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    try:
        merkle.check_consistency(old, new, old_root, new_root, path)
    except merkle.BadProof:
        return False
    return True
