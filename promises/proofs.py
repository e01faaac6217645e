"""Proof files (C2SP tlog-proof@v1): one entry, its place in the log, and the checkpoint that vouches for it, in one text."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from promises import merkle, notes

HEADER = "c2sp.org/tlog-proof@v1"


class BadProofFile(ValueError):
    """Not a proof file."""


@dataclass(frozen=True, slots=True)
class ProofFile:
    """extra: what the seller adds so that the file suffices alone: entry and payload. It proves nothing by itself."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def __str__(self) -> str:
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(one).decode() for one in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse(data: str) -> ProofFile:
    """Raises BadProofFile."""
    head, blank, checkpoint = data.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER:
        raise BadProofFile("not a proof file")
    rest = lines[1:]
    extra = _bytes(rest.pop(0)[6:]) if rest and rest[0].startswith("extra ") else b""
    if not rest or not rest[0].startswith("index "):
        raise BadProofFile("the index is missing")
    number = rest[0][6:]
    if not number.isascii() or not number.isdigit() or (number != "0" and number.startswith("0")):
        raise BadProofFile("the index is not a number")
    return ProofFile(int(number), tuple(_hash(line) for line in rest[1:]), checkpoint, extra)


def _bytes(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadProofFile("not base 64") from None
    # Left-over bits must be zero, else one proof would have several texts.
    if base64.b64encode(found).decode() != text:
        raise BadProofFile("base 64 that is not canonical")
    return found


def _hash(text: str) -> bytes:
    found = _bytes(text)
    if len(found) != merkle.HASH_SIZE:
        raise BadProofFile("a hash has the wrong length")
    return found


def check(proof: ProofFile, entry: bytes, log: notes.Verifier) -> notes.Checkpoint:
    """That this entry is in the log that this key signs for; returns the checkpoint. Raises BadNote or BadProof."""
    head, _note = notes.opened(proof.checkpoint, log)
    merkle.check_inclusion(merkle.leaf_hash(entry), proof.index, head.size, proof.path, head.root)
    return head
