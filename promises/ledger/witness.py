"""Being a witness (C2SP tlog-witness): sign a head of somebody else's log only if it continues all we signed before.

What was signed last stands in one file per log under LEDGER_DIR, synced before the signature leaves the house: one machine
answers for a witness, or all of them share that folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings

from promises import merkle, notes
from promises.ledger import fence, keys

logger = logging.getLogger(__name__)

# A tree of 2**63 entries has no longer proof.
MOST_LINES = 63
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    kind: str = TEXT


@dataclass(frozen=True, slots=True)
class _Asked:
    old: int
    proof: tuple[bytes, ...]
    note: notes.Note
    head: notes.Checkpoint


class _Malformed(ValueError):
    """Not a request that a witness understands."""


def name() -> str:
    return f"{urlsplit(settings.PUBLIC_URL).netloc}/witness"


def own_vkey() -> str:
    """What others need to believe this witness; its key is made on first use."""
    return notes.verifier_of(name(), keys.witness_key(), notes.COSIGNATURE).vkey


def add_checkpoint(body: str, at: datetime) -> Answer:
    """Answer one request: signature lines, or why there are none."""
    try:
        asked = _read(body)
    except (_Malformed, notes.BadNote) as error:
        return Answer(400, f"{error}\n")
    log = next((one for one in _witnessed() if one.name == asked.head.origin), None)
    if log is None:
        return Answer(404, "this log is not witnessed here\n")
    try:
        if log not in notes.signed_by(asked.note, [log]):
            return Answer(403, "not signed by the log's key\n")
    except notes.BadNote:
        return Answer(403, "not signed by the log's key\n")
    with fence.alone(_file(log)):
        return _judged(asked, log, at)


def _judged(asked: _Asked, log: notes.Verifier, at: datetime) -> Answer:
    """Compare with what was signed before. Nobody else does at the same time."""
    known = fence.read(_file(log))
    size, tree_root = (known.size, bytes.fromhex(known.root)) if known else (0, merkle.EMPTY_ROOT)
    head = asked.head
    if asked.old > head.size:
        return Answer(400, "the old size is larger than the new one\n")
    if asked.old != size or (head.size == size and head.root != tree_root):
        return Answer(409, f"{size}\n", SIZE)
    try:
        merkle.check_consistency(size, head.size, tree_root, head.root, asked.proof)
    except merkle.BadProof as error:
        return Answer(422, f"{error}\n")
    if head.size > size:
        record = fence.Head(head.origin, "witness", head.size, head.root.hex())
        fence.write(_file(log), record)
    line = notes.cosign(asked.note.text, name(), keys.witness_key(), int(at.timestamp())).line()
    return Answer(200, line)


def _witnessed() -> list[notes.Verifier]:
    found = []
    for vkey in settings.WITNESSED_LOGS:
        try:
            found.append(notes.verifier(vkey))
        except notes.BadNote as error:
            logger.error("ORDERHUB_WITNESSED_LOGS: %s is no key of a log: %s", vkey, error)
    return found


def _file(log: notes.Verifier) -> str:
    # A key, not a name: names may hold anything.
    return f"witness-{hashlib.sha256(log.name.encode()).hexdigest()[:32]}"


def _read(body: str) -> _Asked:
    top, blank, text = body.partition("\n\n")
    first, *rest = top.split("\n")
    word, _space, old = first.partition(" ")
    if not blank or word != "old" or not _is_size(old) or len(rest) > MOST_LINES:
        raise _Malformed("not a request for a cosignature")
    note = notes.parse(text)
    return _Asked(int(old), _hashes(rest), note, notes.checkpoint(note.text))


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and (text == "0" or not text.startswith("0"))


def _hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(base64.b64decode(line, validate=True) for line in lines)
    except (binascii.Error, ValueError):
        raise _Malformed("a hash is not base 64") from None


def request(old: int, proof: Sequence[bytes], note: str) -> str:
    """What is sent to a witness."""
    lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof)]
    return "\n".join(lines) + "\n\n" + note
