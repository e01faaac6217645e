"""What was given of one commitment to be checked: codes, papers and proof files, opened and not yet believed."""

# ruff: noqa: FBT003 - an answer is yes, no or open, and stands for itself

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promises import canonical, notes, proofs, token
from promises.verification import verify
from promises.verification.verify import Report, State, Trust

PARTS = {"entry", "payload", "token", "continued"}
BAD = (
    proofs.BadProofFile,
    notes.BadNote,
    token.BadToken,
    canonical.Refused,
    verify.Refused,
    UnicodeDecodeError,
)


@dataclass(slots=True)
class Extra:
    entry: bytes = b""
    payload: bytes = b""
    token: str = ""
    continued: dict[int, list[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class Given:
    """What was given of one commitment, opened."""

    report: Report
    trust: Trust
    token: bytes = b""
    proof: proofs.ProofFile | None = None
    extra: Extra = field(default_factory=Extra)
    note: notes.Note | None = None
    head: notes.Checkpoint | None = None
    sha256: str = ""
    attached: bytes = b""
    linked: str = ""
    entry: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Wish:
    """As verify.Wish. complete: adds to what was given what the house itself has of it."""

    trust: Trust
    state: State | None = None
    entries: Path | None = None
    checkpoint: str = ""
    as_of: int = 0
    stamp: bytes = b""
    stamped: str = ""
    roots: Path | None = None
    seen: str = ""
    complete: Callable[[Given], None] | None = None


def read(subject: str, given: Given) -> None:
    file = Path(subject)
    is_file = len(subject) < 4096 and "\0" not in subject and file.is_file()
    data = file.read_bytes() if is_file else subject.encode("utf-8", "surrogateescape")
    is_pdf, is_proof = data.startswith(b"%PDF-"), data.startswith(proofs.HEADER.encode())
    kind = "pdf" if is_pdf else "proof" if is_proof else "token"
    given.report.subject = "+".join(part for part in (given.report.subject, kind) if part)
    try:
        if is_pdf:
            given.sha256 = hashlib.sha256(data).hexdigest()
            paper = verify.paper(data)
            given.attached, given.linked = paper.payload, paper.token
        elif is_proof:
            take_proof(given, data.decode())
        else:
            given.token = token_of(data.decode())
    except BAD as refused:
        given.report.note("readable", False, str(refused))


def token_of(text: str) -> bytes:
    """The token of a text or address. Raises BadToken."""
    address = text.strip().partition("?")[0].partition("#")[0]
    found = token.from_text(address.strip("/").rpartition("/")[2])
    token.parse(found)
    return found


def take_proof(given: Given, text: str) -> None:
    """Raises one of BAD; then nothing is taken."""
    proof = proofs.parse(text)
    note = notes.parse(proof.checkpoint)
    head = notes.checkpoint(note.text)
    extra = _extra(proof.extra)
    given.proof, given.note, given.head, given.extra = proof, note, head, extra


def _extra(data: bytes) -> Extra:
    if not data:
        return Extra()
    try:
        said = json.loads(data)
        if set(said) - PARTS:
            raise verify.Refused("the proof file carries more than this program knows")
        texts = {name: str(said.get(name) or "") for name in ("entry", "payload", "token")}
        return Extra(
            texts["entry"].encode(),
            texts["payload"].encode(),
            texts["token"],
            dict(_steps(said.get("continued", []))),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise verify.Refused(
            "the proof file carries an extra line that this program does not understand"
        ) from None


def _steps(said: Any) -> Iterator[tuple[int, list[bytes]]]:
    for one in said:
        yield int(one["old"]), [verify.from_base64(step) for step in one["path"]]
