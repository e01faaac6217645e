"""What the log says of a commitment, checked anew at each question: the stored entry, its place, and who signed the head."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from promises import canonical, merkle, notes, proofs, token
from promises.anchors import reading as anchors
from promises.commitments.models import Promise
from promises.ledger import keys, reading
from promises.ledger.models import Checkpoint, Cosignature, TransparencyLog


@dataclass(frozen=True, slots=True)
class Evidence:
    """place: None while the entry waits. is_true: None while no signed head covers it."""

    log: TransparencyLog
    place: int | None = None
    size: int | None = None
    logged_at: datetime | None = None
    is_true: bool | None = None
    witnesses: tuple[tuple[str, datetime], ...] = ()
    n_witnesses: int = 0
    stamped: anchors.Stamped | None = None
    elsewhere: tuple[anchors.Elsewhere, ...] = ()
    # What the entry says the SHA-256 of the paper is; empty while no signed head covers it.
    pdf: str = ""


def of(promise: Promise) -> Evidence:
    """Read the entry and check its place against the newest signed head. Never raises for what is damaged: it says so."""
    log = promise.pending.log
    place, head = promise.pending.index, reading.newest(log)
    if place is None or head is None or place >= head.size:
        return Evidence(log, place)
    entry = _entry(log, place, head)
    if entry.get("ph") != promise.ph or entry.get("due") != int(promise.due.timestamp()):
        return Evidence(log, place, head.size, is_true=False)
    seen = Cosignature.objects.filter(checkpoint=head).order_by("witness").values_list("witness", "at")
    known = (
        Cosignature.objects.filter(checkpoint__log=log).values("witness").distinct().count() if seen else 0
    )
    logged_at = datetime.fromtimestamp(entry["ts"], UTC)
    return Evidence(
        log,
        place,
        head.size,
        logged_at,
        is_true=True,
        witnesses=tuple(seen),
        n_witnesses=known,
        stamped=anchors.stamp_over(log, place),
        elsewhere=anchors.elsewhere(log, place),
        pdf=entry.get("pdf", ""),
    )


def _entry(log: TransparencyLog, place: int, head: Checkpoint) -> dict[str, Any]:
    """The entry if it stands in the tree that the log has signed, else empty."""
    with suppress(reading.NotThere, merkle.BadProof, notes.BadNote, canonical.Refused):
        data = reading.entry(log, place)
        path = reading.with_nodes(log, lambda read: merkle.inclusion(place, head.size, read))
        signed = _signed(log, head)
        merkle.check_inclusion(merkle.leaf_hash(data), place, signed.size, path, signed.root)
        found = canonical.decode(data)
        return found if found.get("i") == place else {}
    return {}


def _signed(log: TransparencyLog, head: Checkpoint) -> notes.Checkpoint:
    """The head as one of the log's keys has signed it. Raises BadNote."""
    note = notes.parse(head.note)
    if not notes.signed_by(note, keys.log_verifiers(log)):
        raise notes.BadNote(f"not signed by {log.origin}")
    found = notes.checkpoint(note.text)
    if (found.origin, found.size) != (log.origin, head.size):
        raise notes.BadNote("the head of another log")
    return found


def is_overdue(evidence: Evidence, promise: Promise, at: datetime) -> bool:
    """Whether the entry should stand in the log by now and does not: what was promised on paper is being hidden."""
    wait = timedelta(seconds=evidence.log.mmd)
    return evidence.is_true is None and at > promise.made_at + wait


# The proof file.


def proof_file(promise: Promise, *, since: int | None = None, with_payload: bool = True) -> str:
    """Entry, payload and code with the proof of their place in one text, so that it suffices alone. Raises NotThere.

    since: the size of a head that the reader remembers; the proof that this one continues it comes along.
    """
    log, place, head = promise.pending.log, promise.pending.index, reading.newest(promise.pending.log)
    if place is None or head is None:
        raise reading.NotThere(promise.number)
    said: dict[str, Any] = {"entry": reading.entry(log, place).decode()}
    if with_payload:
        said |= {"payload": bytes(promise.payload).decode(), "token": token.to_text(bytes(promise.token))}
    # With the way from the head that is stamped, the stamp says something of this entry.
    sizes = {since or 0, anchors.stamped_size(log, place) or 0}
    if with_payload:
        sizes.add(canonical.decode(bytes(promise.payload))["seen"]["size"])
    said["continued"] = [_continued(log, old, head.size) for old in sorted(sizes) if 0 < old < head.size]
    extra = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    path = reading.with_nodes(log, lambda read: merkle.inclusion(place, head.size, read))
    return str(proofs.ProofFile(place, tuple(path), reading.note_of(head), extra))


def _continued(log: TransparencyLog, old: int, new: int) -> dict[str, Any]:
    steps = reading.consistency(log, old, new)
    return {"old": old, "path": [base64.b64encode(step).decode() for step in steps]}
