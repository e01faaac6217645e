"""Signed notes and checkpoints as C2SP writes them (signed-note, tlog-checkpoint, tlog-cosignature). Pure.

A note is text that ends in a newline, a blank line, and signature lines. A checkpoint is a note whose text is origin,
tree size and root, each on its line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519, COSIGNATURE = 0x01, 0x04
MAX_SIZE = 1_000_000
MAX_SIGNATURES = 100


class BadNote(ValueError):
    """Not a note, not a checkpoint, or not signed by whom it must be signed by."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the name it signs under."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.kind]) + self.public)}"

    def verify(self, text: str, signature: bytes) -> int | None:
        """The time that a cosignature states, None for a plain signature. Raises BadNote."""
        stated = None
        message = text.encode()
        if self.kind == COSIGNATURE:
            stated, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = cosigned(text, stated)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise BadNote(f"the signature of {self.name} does not fit") from None
        return stated


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below a note: who, which key, and the bytes."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        return f"\u2014 {self.name} {_base64(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(one.line() for one in self.signatures)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: how many entries, and the root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.origin, str(self.size), _base64(self.root), *self.extensions]
        return "".join(f"{line}\n" for line in lines)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("not base 64") from None
    if _base64(data) != text:
        raise BadNote("base 64 that is not canonical")
    return data


def is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def verifier(vkey: str) -> Verifier:
    """Read "name+key id+key". Raises BadNote."""
    name, _plus, rest = vkey.strip().partition("+")
    stated, _plus, key = rest.partition("+")
    data = _from_base64(key)
    if not is_key_name(name) or len(data) != 33 or data[0] not in {ED25519, COSIGNATURE}:
        raise BadNote("not a key of a kind we know")
    found = Verifier(name, data[0], data[1:])
    if found.key_id.hex() != stated:
        raise BadNote("the key does not fit its id")
    return found


def verifier_of(name: str, key: Ed25519PrivateKey, kind: int = ED25519) -> Verifier:
    return Verifier(name, kind, key.public_key().public_bytes_raw())


def sign(text: str, name: str, key: Ed25519PrivateKey) -> Signature:
    return Signature(name, verifier_of(name, key).key_id, key.sign(text.encode()))


def cosigned(text: str, at: int) -> bytes:
    """What a witness signs (cosignature/v1)."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosign(text: str, name: str, key: Ed25519PrivateKey, at: int) -> Signature:
    """A witness's signature: it has seen this checkpoint, and it is consistent with all it has seen before."""
    value = at.to_bytes(8, "big") + key.sign(cosigned(text, at))
    return Signature(name, verifier_of(name, key, COSIGNATURE).key_id, value)


def parse(data: str) -> Note:
    """Raises BadNote."""
    if len(data) > MAX_SIZE:
        raise BadNote("too long")
    if any(ord(sign) < 0x20 and sign != "\n" for sign in data):
        raise BadNote("a control character")
    text, blank, lines = data.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise BadNote("no signatures")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise BadNote("too many signatures")
    return Note(text + "\n", signatures)


def _signature(line: str) -> Signature:
    mark, _space, rest = line.partition(" ")
    name, _space, value = rest.partition(" ")
    data = _from_base64(value)
    if mark != "\u2014" or not is_key_name(name) or len(data) < 5:
        raise BadNote("not a signature line")
    return Signature(name, data[:4], data[4:])


def signed_by(note: Note, known: Iterable[Verifier]) -> dict[Verifier, int | None]:
    """Which of these have signed, with the time that witnesses state. A known key with a wrong signature raises BadNote."""
    found: dict[Verifier, int | None] = {}
    by_id = {(one.name, one.key_id): one for one in known}
    for signature in note.signatures:
        one = by_id.get((signature.name, signature.key_id))
        if one is not None and one not in found:
            found[one] = one.verify(note.text, signature.value)
    return found


def checkpoint(text: str) -> Checkpoint:
    """Read a note's text as a checkpoint. Raises BadNote."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise BadNote("not a checkpoint")
    origin, size, tree_root, *extensions = lines[:-1]
    if not size.isascii() or not size.isdigit() or (size != "0" and size.startswith("0")):
        raise BadNote("not a tree size")
    found = _from_base64(tree_root)
    if len(found) != 32:
        raise BadNote("not a root")
    return Checkpoint(origin, int(size), found, tuple(extensions))


def opened(data: str, log: Verifier) -> tuple[Checkpoint, Note]:
    """A checkpoint that the log has signed. Raises BadNote for anything else, also for another log's."""
    note = parse(data)
    if log not in signed_by(note, [log]):
        raise BadNote(f"not signed by {log.name}")
    found = checkpoint(note.text)
    if found.origin != log.name:
        raise BadNote(f"a checkpoint of {found.origin}, not of {log.name}")
    return found, note


def write_checkpoint(
    head: Checkpoint, keys: Sequence[Ed25519PrivateKey], signatures: Sequence[Signature] = ()
) -> str:
    """A signed checkpoint; during a change of keys both sign."""
    text = str(head)
    return str(Note(text, (*(sign(text, head.origin, key) for key in keys), *signatures)))
