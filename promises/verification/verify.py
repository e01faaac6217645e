#!/usr/bin/env python3
"""Checks a delivery commitment without asking anybody, and without trusting the seller's pages.

    python3 verify.py FILE.pdf FILE.tlog-proof --policy policy.txt --state seen/
    python3 verify.py HTTPS://EXAMPLE.COM/V/AEBAG... --keys promise-keys.txt
    python3 verify.py FILE.tlog-proof --keys promise-keys.txt --stamp head-9.tsr --stamped head-9.txt --roots roots.pem
    python3 verify.py --entries entries.jsonl --checkpoint checkpoint.txt --keys promise-keys.txt

Give it what you have of one commitment: the PDF, its proof file, the code on it (the text or the whole address).
--keys    the seller's public keys, one to a line; get them once, from a place that you trust, and keep them
--policy  whose signatures count: a tlog-policy file (c2sp.org); it may name a token key in a line "# token KEY"
--state   a folder in which the newest head of each log is remembered, so that a log that is rewritten gives itself away
--seen    a head of the log that you have from before, such as from a message: the log must continue it
--entries all entries of the log, one to a line: then everything is counted again from them
--stamp   what a time-stamp authority has answered (RFC 3161), over the head in --stamped; --roots: whom of them you trust

Ends with 0: true. 1: false. 2: incomplete, something could not be checked. 3: the log contradicts itself; the proof is
written out. Needs Python 3.11 and the package cryptography. Opens no connection.
"""

# ruff: noqa: FBT003 - an answer is yes, no or open, and stands for itself

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

TRUE, FALSE, INCOMPLETE, MISBEHAVIOUR = 0, 1, 2, 3
VERDICTS = ("true", "false", "incomplete", "misbehaviour")
MAX_FILE = 64 * 1024 * 1024
MAX_STREAM = 16 * 1024 * 1024


class Refused(ValueError):
    """What was given is not what it claims to be; the message says why."""


# What comes out.


@dataclass(slots=True)
class Report:
    """Every check by name, True, False or None (could not be made), with a sentence each."""

    subject: str = ""
    checks: dict[str, tuple[bool | None, str]] = field(default_factory=dict)
    misbehaviour: list[str] = field(default_factory=list)
    promise: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, ok: bool | None, what: str) -> bool | None:  # noqa: FBT001
        """The worst answer to a question stands."""
        known = self.checks.get(name)
        if known is None or known[0] is True or (known[0] is None and ok is False):
            self.checks[name] = (ok, what)
        return ok

    def blame(self, what: str, *evidence: str) -> None:
        self.misbehaviour.append("\n".join([what, "", *evidence]))

    @property
    def exit(self) -> int:
        answers = [ok for ok, _what in self.checks.values()]
        if self.misbehaviour:
            return MISBEHAVIOUR
        if False in answers:
            return FALSE
        return INCOMPLETE if None in answers or not answers else TRUE

    def as_dict(self) -> dict[str, Any]:
        return {
            "exit": self.exit,
            "verdict": VERDICTS[self.exit],
            "subject": self.subject,
            "checks": [{"name": name, "ok": ok, "what": what} for name, (ok, what) in self.checks.items()],
            "promise": self.promise,
            "log": self.log,
            "statistics": self.statistics,
            "misbehaviour": self.misbehaviour,
        }

    def as_text(self) -> str:
        marks = {True: "ok  ", False: "NO  ", None: "?   "}
        lines = [f"{VERDICTS[self.exit].upper()}  ({self.subject})"]
        lines += [f"  {marks[ok]}{name}: {what}" for name, (ok, what) in self.checks.items()]
        lines += [f"  {name}: {value}" for name, value in (self.promise | self.log | self.statistics).items()]
        return "\n".join([*lines, *self.misbehaviour]) + "\n"


# Keys and signed notes (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy).

LOG_KEY, WITNESS_KEY, TOKEN_KEY = 0x01, 0x04, 0xFF
TOKEN_KIND = b"orderhub-token-v1"
VKEY = re.compile(r"^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$")


def from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("not base 64") from None
    if base64.b64encode(data).decode() != text:
        raise Refused("base 64 that is not canonical")
    return data


class Key(NamedTuple):
    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        middle = bytes([self.kind]) + (TOKEN_KIND if self.kind == TOKEN_KEY else b"")
        return hashlib.sha256(self.name.encode() + b"\n" + middle + self.public).digest()[:4]

    def verify(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def key(vkey: str) -> Key:
    name, _plus, rest = vkey.partition("+")
    stated, _plus, text = rest.partition("+")
    data = from_base64(text)
    kind, public = data[0] if data else 0, data[1:]
    if kind == TOKEN_KEY:
        if not public.startswith(TOKEN_KIND):
            raise Refused(f"a key of {name} for something unknown")
        public = public[len(TOKEN_KIND) :]
    if kind not in {LOG_KEY, WITNESS_KEY, TOKEN_KEY} or len(public) != 32:
        raise Refused(f"a key of {name} of a kind that this program does not know")
    found = Key(name, kind, public)
    if found.key_id.hex() != stated:
        raise Refused(f"the key of {name} does not fit its id")
    return found


@dataclass(slots=True)
class Trust:
    """Whose signatures count. groups: name -> (how many, members); a witness is a group of itself."""

    logs: list[Key] = field(default_factory=list)
    tokens: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = "none"
    # Key id of a token key in hex -> the entry from which on it is no longer good.
    revoked: dict[str, int] = field(default_factory=dict)

    def has_quorum(self, seen: set[str], name: str | None = None) -> bool:
        name = self.quorum if name is None else name
        if name == "none" or name in seen:
            return True
        if name not in self.groups:
            return False
        wanted, members = self.groups[name]
        return sum(self.has_quorum(seen, one) for one in members) >= wanted


def read_keys(text: str, trust: Trust) -> None:
    """Lines with a public key each; words after it say from when until when it signs, which we leave to the log."""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        found = next((key(word) for word in words if VKEY.match(word)), None)
        if found is None:
            raise Refused(f"no key in the line {line[:60]!r}")
        if found.kind != WITNESS_KEY:
            (trust.logs if found.kind == LOG_KEY else trust.tokens).append(found)
        for word in words:
            if word.startswith("revoked_at_size="):
                trust.revoked[found.key_id.hex()] = int(word.partition("=")[2])


def read_policy(text: str, trust: Trust) -> None:
    if any(ord(sign) < 0x20 and sign not in "\t\n" for sign in text):
        raise Refused("the policy holds a control character")
    n_quorums = 0
    for line in text.split("\n"):
        words = line.split()
        if len(words) == 3 and words[:2] == ["#", "token"]:
            trust.tokens.append(key(words[2]))
        if not words or words[0].startswith("#"):
            continue
        n_quorums += words[0] == "quorum"
        _policy_line(words, trust)
    if n_quorums != 1:
        raise Refused("a policy needs exactly one line with its quorum")


def _policy_line(words: list[str], trust: Trust) -> None:
    kind, names = words[0], {*trust.witnesses, *trust.groups}
    if kind == "log" and len(words) in {2, 3}:
        trust.logs.append(_key_of(words[1], LOG_KEY))
    elif kind == "witness" and len(words) in {3, 4} and words[1] not in {*names, "none"}:
        trust.witnesses[words[1]] = _key_of(words[2], WITNESS_KEY)
    elif kind == "group" and len(words) >= 4 and words[1] not in {*names, "none"}:
        members = words[3:]
        used = {one for _wanted, known in trust.groups.values() for one in known}
        if not set(members) <= names or len(set(members)) != len(members) or used & set(members):
            raise Refused(f"the group {words[1]} names what is unknown or has its place already")
        wanted = {"all": len(members), "any": 1}.get(words[2]) or (int(words[2]) if words[2].isdigit() else 0)
        if not 1 <= wanted <= len(members):
            raise Refused(f"the group {words[1]} can never be complete")
        trust.groups[words[1]] = (wanted, members)
    elif kind == "quorum" and len(words) == 2 and words[1] in {*names, "none"}:
        trust.quorum = words[1]
    else:
        raise Refused(
            f"the policy has a line that this program does not understand: {' '.join(words)[:60]!r}"
        )


def _key_of(vkey: str, kind: int) -> Key:
    found = key(vkey)
    if found.kind != kind:
        raise Refused(f"the key of {found.name} is not of the kind that its line needs")
    return found


class Head(NamedTuple):
    """A checkpoint. signatures: (name, key id, bytes)."""

    origin: str
    size: int
    root: bytes
    text: str
    note: str
    signatures: list[tuple[str, bytes, bytes]]


def is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and len(text) < 16


def head(note: str) -> Head:
    if len(note) > 1_000_000 or any(ord(sign) < 0x20 and sign != "\n" for sign in note):
        raise Refused("not a signed note")
    text, blank, below = note.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise Refused("a note without signatures")
    signatures = [_signature(line) for line in below[:-1].split("\n")]
    lines = text.split("\n")
    if len(lines) < 3 or not all(lines) or not is_count(lines[1]) or len(signatures) > 100:
        raise Refused("not a checkpoint")
    root = from_base64(lines[2])
    if len(root) != 32:
        raise Refused("not a checkpoint: the root has the wrong length")
    return Head(lines[0], int(lines[1]), root, text + "\n", note, signatures)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014" or not parts[1] or "+" in parts[1]:
        raise Refused("not a signature line")
    data = from_base64(parts[2])
    if len(data) < 5:
        raise Refused("not a signature line")
    return parts[1], data[:4], data[4:]


def signature_of(one: Key, on: Head) -> bool | None:
    """Whether it has signed; None where there is no line of it. The first line of a key is the one that counts."""
    value = next((s for name, key_id, s in on.signatures if (name, key_id) == (one.name, one.key_id)), None)
    if value is None:
        return None
    if one.kind == WITNESS_KEY:
        stated = int.from_bytes(value[:8], "big")
        return one.verify(value[8:], f"cosignature/v1\ntime {stated}\n{on.text}".encode())
    return one.verify(value, on.text.encode())


def check_head(on: Head, trust: Trust, report: Report) -> bool:
    """Signed by the log, and seen by as many witnesses as the policy wants."""
    answers = [signature_of(one, on) for one in trust.logs if one.name == on.origin]
    is_signed = True in answers and False not in answers
    said = (
        f"{on.origin}, {on.size} entries"
        if is_signed
        else "the head is not signed by a key of this log that you trust"
    )
    report.note("checkpoint", is_signed, said)
    if not is_signed:
        return False
    report.log |= {"origin": on.origin, "size": on.size, "root": on.root.hex()}
    if trust.quorum != "none":
        said_by = {name: signature_of(one, on) for name, one in trust.witnesses.items()}
        seen = {name for name, ok in said_by.items() if ok}
        is_forged = False in said_by.values()
        ok = False if is_forged else (trust.has_quorum(seen) or None)
        report.note("witnesses", ok, f"{len(seen)} of {len(trust.witnesses)} witnesses have signed the head")
    return True


# The tree (RFC 6962, proofs as RFC 9162 checks them).


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = node_hash(step, found)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            found = node_hash(found, step)
        place, last = place // 2, last // 2
    return last == 0 and found == root


def is_continued(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the larger tree begins with the smaller one."""
    if not 0 < old < new:
        is_empty = old == 0 and old_root == hashlib.sha256(b"").digest()
        return not path and (is_empty or (old == new and old_root == new_root))
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place // 2, last // 2
    if not steps:
        return False
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            second = node_hash(second, step)
        place, last = place // 2, last // 2
    return last == 0 and first == old_root and second == new_root


class Tree:
    """Roots while the leaves come in: complete subtrees, largest first."""

    def __init__(self) -> None:
        self.size, self._whole = 0, list[bytes]()

    def add(self, leaf: bytes) -> None:
        place = self.size
        while place % 2:
            leaf, place = node_hash(self._whole.pop(), leaf), place // 2
        self._whole.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._whole:
            return hashlib.sha256(b"").digest()
        found = self._whole[-1]
        for left in reversed(self._whole[:-1]):
            found = node_hash(left, found)
        return found


# The token: 119 bytes in 191 characters.

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TOKEN_TEXT = re.compile(r"[A-Za-z2-7]{191}")


class Token(NamedTuple):
    data: bytes
    key_id: bytes
    number: str
    issued_at: int
    due: int
    ph: str


def token(text: str) -> Token:
    """The token in a text or an address, in either case, whatever slashes stand around it."""
    address = text.strip().partition("?")[0].partition("#")[0]
    wanted = next((part for part in reversed(address.split("/")) if part), "").upper()
    if len(wanted) != 191:
        raise Refused("not a token: the length is wrong")
    try:
        data = base64.b32decode(wanted + "=")
    except (binascii.Error, ValueError):
        raise Refused("not a token: a character is not of this alphabet") from None
    if base64.b32encode(data).decode().rstrip("=") != wanted or len(data) != 119 or data[0] != 1:
        raise Refused("not a token: another version, or bent on its way")
    digits = int.from_bytes(data[5:15], "big")
    number = "".join(ALPHABET[digits >> shift & 31] for shift in range(75, -1, -5))
    at, due = int.from_bytes(data[15:19], "big"), int.from_bytes(data[19:23], "big")
    return Token(data, data[1:5], number, at, due, data[23:55].hex())


def check_token(found: Token, trust: Trust, report: Report) -> bool:
    signer = next((one for one in trust.tokens if one.key_id == found.key_id), None)
    if signer is None:
        return bool(report.note("token", False, "signed by a key that you do not trust"))
    is_signed = signer.verify(found.data[55:], b"orderhub/promise-token/v1\n" + found.data[:55])
    report.note("token", is_signed, f"signed by {signer.name}" if is_signed else "the signature does not fit")
    if is_signed:
        report.promise |= {
            "number": found.number,
            "issued_at": found.issued_at,
            "due": found.due,
            "ph": found.ph,
        }
        report.log.setdefault("origin", signer.name)
        # A name that the key cannot speak for.
        report.note("same", report.log["origin"] == signer.name, "all of it is about the same commitment")
    return is_signed


# Payloads and entries.

MEMBERS = {
    "v", "typ", "log", "no", "salt", "seller", "issued_at", "due", "tz", "dest", "items", "order", "basis", "seen",
    "supersedes", "terms",
}  # fmt: skip


def strict_json(data: bytes) -> dict[str, Any]:
    """An object written in its only form: nothing twice, no fractions, members in order, no blanks."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) != len(found):
            raise Refused("the same member twice")
        return dict(found)

    def fraction(text: str) -> Any:
        raise Refused(f"the fraction {text[:20]}")

    try:
        value = json.loads(data.decode(), object_pairs_hook=pairs, parse_float=fraction)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Refused("not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise Refused("not an object")
    try:
        written = json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
        )
        if written.encode() != data:
            raise Refused("not written in its canonical form")
    except (ValueError, UnicodeEncodeError):
        raise Refused("not written in its canonical form") from None
    return value


def payload(data: bytes) -> dict[str, Any]:
    found = strict_json(data)
    if not set(found) >= MEMBERS or found["v"] != 1 or found["typ"] != "promise":
        raise Refused("not a whole commitment")
    if not re.fullmatch("[0-9a-f]{32}", str(found["salt"])) or not isinstance(found["due"], int):
        raise Refused("not a whole commitment")
    return found


# Proof files (c2sp.org/tlog-proof@v1).

PROOF_HEADER = "c2sp.org/tlog-proof@v1"


class Proof(NamedTuple):
    place: int
    path: list[bytes]
    head: Head
    entry: bytes
    payload: bytes
    token: str
    # Old size -> path.
    continued: dict[int, list[bytes]]


def proof(text: str) -> Proof:
    top, blank, note = text.partition("\n\n")
    lines = top.split("\n")
    if not blank or lines[0] != PROOF_HEADER:
        raise Refused("not a proof file")
    rest = lines[1:]
    extra = from_base64(rest.pop(0)[6:]) if rest and rest[0].startswith("extra ") else b"{}"
    if not rest or not rest[0].startswith("index ") or not is_count(rest[0][6:]):
        raise Refused("not a proof file: it has no index")
    path = [from_base64(line) for line in rest[1:]]
    if any(len(one) != 32 for one in path) or len(path) > 64:
        raise Refused("not a proof file: a hash has the wrong length")
    try:
        said = json.loads(extra)
        if set(said) - {"entry", "payload", "token", "continued"}:
            raise Refused("the proof file carries more than this program knows")
        continued = {
            int(one["old"]): [from_base64(step) for step in one["path"]] for one in said.get("continued", [])
        }
        texts = [str(said.get(name) or "") for name in ("entry", "payload", "token")]
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError):
        raise Refused("the proof file carries an extra line that this program does not understand") from None
    try:
        entry, promised = texts[0].encode(), texts[1].encode()
    except UnicodeEncodeError:
        raise Refused("the proof file carries an extra line that this program does not understand") from None
    return Proof(int(rest[0][6:]), path, head(note), entry, promised, texts[2], continued)


def check_proof(found: Proof, trust: Trust, report: Report) -> dict[str, Any]:
    """The entry as a dict if it stands in the log, else empty."""
    if not check_head(found.head, trust, report):
        return {}
    if not found.entry:
        report.note("inclusion", None, "the proof file carries no entry to be checked")
        return {}
    leaf, on = leaf_hash(found.entry), found.head
    is_in = is_included(leaf, found.place, on.size, found.path, on.root)
    what = f"entry {found.place} of {on.size}" if is_in else "the entry is not in the log at that place"
    if not report.note("inclusion", is_in, what):
        return {}
    entry = strict_json(found.entry)
    if entry.get("i") != found.place:
        report.note("inclusion", False, "the entry says another place than the log gives it")
        return {}
    report.log |= {"index": found.place, "entry": entry.get("t"), "logged_at": entry.get("ts")}
    return entry


# PDF: only as much as is needed to find an attachment; what it does not understand it refuses.


class Name(str):
    __slots__ = ()


class Ref(NamedTuple):
    number: int


class Stream(NamedTuple):
    about: dict[str, Any]
    raw: bytes


BLANK, DELIMITERS = b"\x00\t\n\x0c\r ", b"()<>[]{}/%"
REGULAR = re.compile(rb"[^\x00\t\n\x0c\r ()<>\[\]{}/%]+")
REFERENCE = re.compile(
    rb"(\d{1,8})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+R(?![^\x00\t\n\x0c\r ()<>\[\]{}/%])"
)
OBJECT = re.compile(rb"[\x00\t\n\x0c\r ]*(\d{1,8})[\x00\t\n\x0c\r ]+\d{1,5}[\x00\t\n\x0c\r ]+obj")
ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class Reader:
    """Reads values from bytes, one after the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def skip(self) -> None:
        while self.at < len(self.data):
            sign = self.data[self.at]
            if sign == 0x25:
                ends = [
                    end
                    for end in (self.data.find(b"\n", self.at), self.data.find(b"\r", self.at))
                    if end >= 0
                ]
                self.at = min(ends, default=len(self.data))
            elif sign in BLANK:
                self.at += 1
            else:
                return

    def take(self, text: bytes) -> bool:
        self.skip()
        if not self.data.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def value(self, depth: int = 0) -> Any:
        if depth > 40:
            raise Refused("PDF: nested too deeply")
        if self.take(b"<<"):
            return self._dict(depth)
        if self.take(b"["):
            found = []
            while not self.take(b"]"):
                found.append(self.value(depth + 1))
            return found
        if self.take(b"("):
            return self._text()
        if self.take(b"<"):
            return self._hex()
        if self.take(b"/"):
            return self._name()
        return self._word()

    def _dict(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self.take(b">>"):
            if not self.take(b"/"):
                raise Refused("PDF: a dictionary is damaged")
            name = str(self._name())
            if name in found:
                raise Refused("PDF: a dictionary says something twice")
            found[name] = self.value(depth + 1)
        return found

    def _name(self) -> Name:
        match = REGULAR.match(self.data, self.at)
        if match is None:
            return Name("")
        self.at = match.end()
        plain = re.sub(rb"#([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), match[0])
        return Name(plain.decode("latin-1"))

    def _hex(self) -> bytes:
        end = self.data.find(b">", self.at)
        text = bytes(sign for sign in self.data[self.at : end] if sign not in BLANK)
        if end < 0 or not re.fullmatch(rb"[0-9A-Fa-f]*", text):
            raise Refused("PDF: a text is damaged")
        self.at = end + 1
        return bytes.fromhex((text + b"0" * (len(text) % 2)).decode())

    def _text(self) -> bytes:
        found, open_ones = bytearray(), 1
        while self.at < len(self.data):
            sign = self.data[self.at : self.at + 1]
            self.at += 1
            if sign == b"\\":
                found += self._escaped()
                continue
            open_ones += (sign == b"(") - (sign == b")")
            if not open_ones:
                return bytes(found)
            found += sign
        raise Refused("PDF: a text does not end")

    def _escaped(self) -> bytes:
        octal = re.compile(rb"[0-7]{1,3}").match(self.data, self.at)
        if octal:
            self.at = octal.end()
            return bytes([int(octal[0], 8) & 255])
        sign = self.data[self.at : self.at + 1]
        self.at += 1
        if sign == b"\r" and self.data[self.at : self.at + 1] == b"\n":
            self.at += 1
        return b"" if sign in {b"\r", b"\n"} else ESCAPES.get(sign, sign)

    def _word(self) -> Any:
        if match := REFERENCE.match(self.data, self.at):
            self.at = match.end()
            return Ref(int(match[1]))
        match = REGULAR.match(self.data, self.at)
        if match is None:
            raise Refused("PDF: damaged")
        self.at, word = match.end(), match[0]
        if word in {b"true", b"false", b"null"}:
            return {b"true": True, b"false": False, b"null": None}[word]
        if re.fullmatch(rb"[+-]?\d{1,15}", word):
            return int(word)
        if re.fullmatch(rb"[+-]?(\d{1,15}\.?\d{0,15}|\.\d{1,15})", word):
            return float(word)
        raise Refused("PDF: something in it is not known")


class Pdf:
    """A file with its table of objects, the newest revision first."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(b"%PDF-") or len(data) > MAX_FILE:
            raise Refused("not a PDF")
        self.data = data
        # Number -> (offset, -1), or (number of the stream, place in it).
        self.places: dict[int, tuple[int, int]] = {}
        self.trailer: dict[str, Any] = {}
        self._open: set[int] = set()
        self._known: dict[int, Any] = {}
        self._streams: dict[int, tuple[bytes, int, dict[int, int]]] = {}
        self._read_tables()
        if "Encrypt" in self.trailer:
            raise Refused("PDF: encrypted")

    def _read_tables(self) -> None:
        found = re.findall(rb"startxref[\x00\t\n\x0c\r ]+(\d{1,10})", self.data[-2048:])
        if not found:
            raise Refused("PDF: the table of its objects is missing")
        offset, seen = int(found[-1]), set[int]()
        while offset not in seen and len(seen) < 20:
            seen.add(offset)
            about = self._table(offset)
            for name, value in about.items():
                self.trailer.setdefault(name, value)
            if "Prev" not in about:
                return
            offset = about["Prev"]
            if not isinstance(offset, int) or not 0 <= offset < len(self.data):
                break
        raise Refused("PDF: the table of its objects is damaged")

    def _table(self, offset: int) -> dict[str, Any]:
        reader = Reader(self.data, offset)
        if reader.take(b"xref"):
            return self._old_table(reader)
        found = self._object_at(offset, None)
        if not isinstance(found, Stream) or found.about.get("Type") != "XRef":
            raise Refused("PDF: the table of its objects is damaged")
        self._new_table(found)
        return found.about

    def _old_table(self, reader: Reader) -> dict[str, Any]:
        while not reader.take(b"trailer"):
            start, count = reader.value(), reader.value()
            if not isinstance(start, int) or not isinstance(count, int) or not 0 <= count < 1_000_000:
                raise Refused("PDF: the table of its objects is damaged")
            for number in range(start, start + count):
                offset, _generation, kind = (
                    reader.value(),
                    reader.value(),
                    reader.take(b"n") or reader.take(b"f"),
                )
                if not kind or not isinstance(offset, int):
                    raise Refused("PDF: the table of its objects is damaged")
                if self.data[reader.at - 1] == 0x6E:
                    self.places.setdefault(number, (offset, -1))
        about = reader.value()
        if not isinstance(about, dict) or "XRefStm" in about:
            raise Refused("PDF: the table of its objects is of an unknown kind")
        return about

    def _new_table(self, found: Stream) -> None:
        about, content = found.about, self.decoded(found)
        widths, size = about.get("W"), about.get("Size")
        index = about.get("Index", [0, size])
        if not _are_counts(widths, 3) or not isinstance(index, list) or not _are_counts(index, len(index)):
            raise Refused("PDF: the table of its objects is damaged")
        rows = self._rows(content, widths)
        for start, count in zip(index[::2], index[1::2], strict=False):
            for number in range(start, start + min(count, 1_000_000)):
                kind, first, second = next(rows, (9, 0, 0))
                if kind > 2:
                    raise Refused("PDF: the table of its objects is damaged")
                if kind:
                    self.places.setdefault(number, (first, -1 if kind == 1 else second))

    def _rows(self, content: bytes, widths: list[int]) -> Iterator[tuple[int, int, int]]:
        one, two, _three = widths
        for at in range(0, len(content) - sum(widths) + 1, max(1, sum(widths))):
            row = content[at : at + sum(widths)]
            kind = int.from_bytes(row[:one], "big") if one else 1
            yield kind, int.from_bytes(row[one : one + two], "big"), int.from_bytes(row[one + two :], "big")

    def _object_at(self, offset: int, number: int | None) -> Any:
        match = OBJECT.match(self.data, offset)
        if match is None or (number is not None and int(match[1]) != number):
            raise Refused("PDF: an object is not where it should be")
        reader = Reader(self.data, match.end())
        about = reader.value()
        if not reader.take(b"stream") or not isinstance(about, dict):
            return about
        reader.at += 2 if self.data.startswith(b"\r\n", reader.at) else 1
        length = self.get(about.get("Length"))
        if not isinstance(length, int) or not 0 <= length <= len(self.data) - reader.at:
            raise Refused("PDF: a stream has no length")
        raw = self.data[reader.at : reader.at + length]
        reader.at += length
        if not reader.take(b"endstream"):
            raise Refused("PDF: a stream does not end where it should")
        return Stream(about, raw)

    def get(self, value: Any) -> Any:
        """The value itself, or what it refers to."""
        if not isinstance(value, Ref):
            return value
        number = value.number
        if number in self._known:
            return self._known[number]
        if number in self._open:
            raise Refused("PDF: an object refers to itself")
        self._open.add(number)
        offset, place = self.places.get(number, (-1, -1))
        found = None
        if offset >= 0:
            found = self._object_at(offset, number) if place < 0 else self._packed(offset, number)
        self._open.discard(number)
        self._known[number] = found
        return found

    def _packed(self, stream: int, number: int) -> Any:
        if stream not in self._streams:
            self._streams[stream] = self._unpacked(stream)
        content, first, places = self._streams[stream]
        if number not in places:
            raise Refused("PDF: an object is not where it should be")
        return Reader(content, first + places[number]).value()

    def _unpacked(self, stream: int) -> tuple[bytes, int, dict[int, int]]:
        """Content of a stream of objects, where the first one begins, and where each stands."""
        found = self.get(Ref(stream))
        if not isinstance(found, Stream) or found.about.get("Type") != "ObjStm":
            raise Refused("PDF: an object is not where it should be")
        content, counts = self.decoded(found), [found.about.get("First"), found.about.get("N")]
        if not _are_counts(counts, 2) or "Extends" in found.about:
            raise Refused("PDF: packed objects are damaged")
        first, count = counts
        reader = Reader(content)
        numbers = [reader.value() for _one in range(2 * min(count, 100_000))]
        if not _are_counts(numbers, len(numbers)):
            raise Refused("PDF: packed objects are damaged")
        return content, first, dict(zip(numbers[::2], numbers[1::2], strict=True))

    def decoded(self, stream: Stream) -> bytes:
        filters = self.get(stream.about.get("Filter"))
        wanted = (
            [self.get(one) for one in filters] if isinstance(filters, list) else [filters] if filters else []
        )
        hints = self.get(stream.about.get("DecodeParms"))
        if wanted not in ([], ["FlateDecode"]) or (
            isinstance(hints, dict) and hints.get("Predictor", 1) != 1
        ):
            raise Refused("PDF: packed in a way that this program does not know")
        if not wanted:
            return stream.raw
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(stream.raw, MAX_STREAM)
        except zlib.error:
            raise Refused("PDF: a stream is damaged") from None
        if not unpacker.eof:
            raise Refused("PDF: a stream is damaged or far too large")
        return content

    def attachments(self) -> list[tuple[str, bytes]]:
        """(file name, content) of every attachment."""
        root = self.get(self.trailer.get("Root"))
        names = self.get(_member(root, "Names"))
        found = [self._attachment(one) for one in self._named(self.get(_member(names, "EmbeddedFiles")), 0)]
        linked = self.get(_member(root, "AF"))
        more = [self._attachment(one) for one in linked] if isinstance(linked, list) else []
        # The same file is usually named in both places; two that differ are two.
        return list(dict.fromkeys([*found, *more]))

    def _named(self, tree: Any, depth: int) -> Iterator[Any]:
        if depth > 8:
            raise Refused("PDF: nested too deeply")
        names = self.get(_member(tree, "Names"))
        if isinstance(names, list):
            yield from names[1::2]
        for kid in self.get(_member(tree, "Kids")) or []:
            yield from self._named(self.get(kid), depth + 1)

    def _attachment(self, spec: Any) -> tuple[str, bytes]:
        about = self.get(spec)
        name = self.get(_member(about, "UF")) or self.get(_member(about, "F"))
        files = self.get(_member(about, "EF"))
        content = self.get(_member(files, "F")) or self.get(_member(files, "UF"))
        if not isinstance(name, bytes) or not isinstance(content, Stream):
            raise Refused("PDF: an attachment is damaged")
        is_wide = name.startswith(b"\xfe\xff")
        return name[2:].decode("utf-16-be", "replace") if is_wide else name.decode("latin-1"), self.decoded(
            content
        )

    def texts(self) -> Iterator[bytes]:
        """The texts of all objects, as links have them."""
        for number in sorted(self.places):
            found = self.get(Ref(number))
            if not isinstance(found, Stream):
                yield from _texts(found)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _are_counts(value: Any, length: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) == length
        and all(isinstance(one, int) and one >= 0 for one in value)
    )


def _texts(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


class Paper(NamedTuple):
    sha256: str
    payload: bytes
    # The code in a link of the file; empty where it is only printed.
    token: str


ATTACHMENT = "commitment.json"


def paper(data: bytes) -> Paper:
    """Raises Refused for a PDF that holds no commitment, or more than one, or that cannot be read."""
    try:
        pdf = Pdf(data)
        found = [content for name, content in pdf.attachments() if name == ATTACHMENT]
        texts = [text.decode("latin-1") for text in pdf.texts()]
    except (RecursionError, IndexError, TypeError, AttributeError, OverflowError, ValueError) as error:
        raise Refused(str(error) if isinstance(error, Refused) else "PDF: damaged") from None
    if len(found) != 1:
        raise Refused(f"the PDF holds {len(found)} commitments, not one")
    links = {
        match[0].upper() for text in texts if "/v/" in text.lower() for match in TOKEN_TEXT.finditer(text)
    }
    return Paper(hashlib.sha256(data).hexdigest(), found[0], links.pop() if len(links) == 1 else "")


# Counting again from all entries.

GRACE, MMD = 259_200, 600
KEPT_TIME_ORDER = 5


class Replay:
    """All entries of a log in their order: the tree, the statistics, and whether the log contradicts itself."""

    def __init__(self, sizes: set[int]) -> None:
        self.tree, self.sizes, self.roots = Tree(), sizes, dict[int, bytes]()
        self.promises: dict[int, dict[str, Any]] = {}
        self.grace, self.mmd, self.last = GRACE, MMD, 0
        self.hashes: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.wrong: list[str] = []
        if 0 in sizes:
            self.roots[0] = self.tree.root()

    def add(self, data: bytes) -> None:
        entry, index = strict_json(data), self.tree.size
        self.tree.add(leaf_hash(data))
        if self.tree.size in self.sizes:
            self.roots[self.tree.size] = self.tree.root()
        at = entry.get("ts")
        if entry.get("i") != index or not isinstance(at, int):
            self.wrong.append(f"entry {index} says that it is entry {entry.get('i')}")
            return
        if at < self.last - KEPT_TIME_ORDER:
            self.wrong.append(f"entry {index} was written before the entry that precedes it")
        self.last = max(self.last, at)
        if ph := entry.get("ph"):
            self.hashes[ph] = index
        self._count(entry, index)

    def _count(self, entry: Mapping[str, Any], index: int) -> None:
        kind = entry.get("t")
        if kind == "issue":
            self.promises[index] = {"first": entry["due"], "latest": entry["due"], "moved": 0, "end": None}
            if entry["nh"] in self.numbers:
                self.wrong.append(
                    f"entries {self.numbers[entry['nh']]} and {index} promise under the same number"
                )
            self.numbers.setdefault(entry["nh"], index)
        elif kind == "genesis" and index == 0:
            self.grace, self.mmd = entry["policy"]["grace"], entry["policy"]["mmd"]
        elif kind in {"revise", "outcome"}:
            promise = self.promises.get(entry["ref"])
            if promise is None:
                self.wrong.append(f"entry {index} speaks of entry {entry['ref']}, which is no promise")
            elif promise["end"] is None and kind == "outcome":
                promise["end"] = (entry["k"], entry["at"], entry["src"])
            elif promise["end"] is None and entry["ts"] <= promise["latest"]:
                promise["latest"], promise["moved"] = entry["due"], 1

    def statistics(self, as_of: int) -> dict[str, int]:
        names = [
            "issued", "due", "open_not_due", "cancelled_by_customer", "kept_first", "kept_latest",
            "kept_first_evidence_carrier", "late", "failed", "cancelled_by_seller", "silent", "revised",
        ]  # fmt: skip
        found = dict.fromkeys(names, 0)
        for promise in self.promises.values():
            found["issued"] += 1
            found["revised"] += promise["moved"]
            for name in _counted(promise, is_over=promise["first"] + self.grace < as_of):
                found[name] += 1
        due = max(1, found["due"])
        found["rate_first_floor_ppm"] = found["kept_first"] * 1_000_000 // due
        found["rate_first_carrier_ppm"] = found["kept_first_evidence_carrier"] * 1_000_000 // due
        return found


def _counted(promise: Mapping[str, Any], *, is_over: bool) -> Iterator[str]:
    """Under which heads a promise counts."""
    kind, at, source = promise["end"] or ("", 0, "")
    if kind == "cancel_customer":
        yield "cancelled_by_customer"
    elif not kind and not is_over:
        yield "open_not_due"
    else:
        yield "due"
        if kind == "delivered":
            is_kept = at <= promise["first"]
            yield "kept_first" if is_kept else "late"
            if at <= promise["latest"]:
                yield "kept_latest"
            if is_kept and source == "carrier":
                yield "kept_first_evidence_carrier"
        else:
            yield {"failed": "failed", "cancel_seller": "cancelled_by_seller"}.get(kind, "silent")


def replay(file: Path, sizes: set[int]) -> Replay:
    found = Replay(sizes)
    with open(file, "rb") as lines:
        for line in lines:
            if line.strip():
                try:
                    found.add(line.rstrip(b"\r\n"))
                except (KeyError, TypeError):
                    raise Refused(f"entry {found.tree.size - 1} lacks what its kind must say") from None
    return found


# Time stamps: RFC 3161 in CMS (RFC 5652), in DER as far as a stamp needs it.

SIGNED_DATA, STAMP_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_KIND, DIGEST_OF = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNER_BY_SHA1, SIGNER_BY = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
STAMPING = "1.3.6.1.5.5.7.3.8"
# Digests, and the digests of kinds of signatures; those that name none take the digest that is named beside them.
DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512",
    "1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512",
}  # fmt: skip
RSA_ALONE = "1.2.840.113549.1.1.1"
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
SEQUENCE, SET, BOOLEAN, INTEGER, OCTETS, OID, TIME = 0x30, 0x31, 0x01, 0x02, 0x04, 0x06, 0x18
LONGEST_CHAIN = 5


class Stamp(NamedTuple):
    """What an authority says: from then on at the latest something was there."""

    at: datetime
    serial: str
    policy: str
    nonce: int | None


class Der(NamedTuple):
    tag: int
    content: bytes
    whole: bytes

    def parts(self) -> list[Der]:
        return der(self.content)


def der(data: bytes) -> list[Der]:
    """What stands one after the other. Raises Refused for lengths that are open or not written in the shortest way."""
    found, place = list[Der](), 0
    while place < len(data):
        begun = place
        if place + 2 > len(data) or data[place] & 0x1F == 0x1F:
            raise Refused("a stamp in a form that this program does not know")
        tag, length = data[place], data[place + 1]
        place += 2
        if length >= 0x80:
            n = length & 0x7F
            text = data[place : place + n]
            place, length = place + n, int.from_bytes(text, "big")
            if not 1 <= n <= 4 or len(text) < n or text[0] == 0 or length < 0x80:
                raise Refused("a stamp in a form that this program does not know")
        if place + length > len(data):
            raise Refused("a stamp that is cut off")
        found.append(Der(tag, data[place : place + length], data[begun : place + length]))
        place += length
    return found


def _take(parts: list[Der], *tags: int) -> Der:
    """The next one, which must be of this kind."""
    if not parts or parts[0].tag not in tags:
        raise Refused("a stamp in a form that this program does not know")
    return parts.pop(0)


def _maybe(parts: list[Der], tag: int) -> Der | None:
    return parts.pop(0) if parts and parts[0].tag == tag else None


def _oid(one: Der) -> str:
    data, arcs, value = one.content, list[int](), 0
    if one.tag != OID or not data or data[-1] & 0x80:
        raise Refused("a stamp in a form that this program does not know")
    for octet in data:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def _kind(sequence: Der) -> str:
    """The name that an AlgorithmIdentifier, an attribute or a content begins with."""
    return _oid(_take(sequence.parts(), OID))


def _number(one: Der) -> int:
    return int.from_bytes(one.content, "big", signed=True)


def _digest(kind: str) -> str:
    if kind not in DIGESTS:
        raise Refused(f"a stamp with the algorithm {kind}, which this program does not know")
    return DIGESTS[kind]


def stamp(answer: bytes, over: bytes, roots: Sequence[x509.Certificate]) -> Stamp:
    """What the stamp says, if it is over these bytes, and signed by an authority under one of these roots. Raises Refused."""
    try:
        return _stamp(answer, over, roots)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.InvalidVersion, UnsupportedAlgorithm):
        raise Refused("a certificate in the stamp is not one for stamps") from None
    except (ValueError, TypeError) as error:
        raise Refused(str(error) if isinstance(error, Refused) else "the stamp is damaged") from None


def _stamp(answer: bytes, over: bytes, roots: Sequence[x509.Certificate]) -> Stamp:
    info, signer_info, certificates = _opened(answer)
    parts = _take(der(info), SEQUENCE).parts()
    _take(parts, INTEGER)
    policy, imprint = _oid(_take(parts, OID)), _take(parts, SEQUENCE).parts()
    digest = _digest(_kind(_take(imprint, SEQUENCE)))
    if _take(imprint, OCTETS).content != hashlib.new(digest, over).digest():
        raise Refused("the stamp is over something else")
    serial, at = _number(_take(parts, INTEGER)), _time(_take(parts, TIME))
    _maybe(parts, SEQUENCE)
    _maybe(parts, BOOLEAN)
    nonce = _maybe(parts, INTEGER)
    signer = _signed_by(signer_info, info, certificates)
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    if not usage.critical or [one.dotted_string for one in usage.value] != [STAMPING]:
        raise Refused("the stamp is signed by a certificate that is not one for stamps")
    _check_chain(signer, certificates, roots, at)
    return Stamp(at, str(serial), policy, _number(nonce) if nonce else None)


def _opened(answer: bytes) -> tuple[bytes, list[Der], list[x509.Certificate]]:
    """The content, who says to have signed it, and the certificates that were sent along."""
    parts = _take(der(answer), SEQUENCE).parts()
    if _number(_take(_take(parts, SEQUENCE).parts(), INTEGER)) not in {0, 1}:
        raise Refused("the authority has refused to stamp")
    content = _take(parts, SEQUENCE).parts()
    if _oid(_take(content, OID)) != SIGNED_DATA:
        raise Refused("not a stamp")
    signed = _take(_take(content, 0xA0).parts(), SEQUENCE).parts()
    _take(signed, INTEGER)
    _take(signed, SET)
    inner = _take(signed, SEQUENCE).parts()
    if _oid(_take(inner, OID)) != STAMP_INFO:
        raise Refused("not a stamp")
    info = _take(_take(inner, 0xA0).parts(), OCTETS).content
    bag = _maybe(signed, 0xA0)
    _maybe(signed, 0xA1)
    signers = _take(signed, SET).parts()
    if len(signers) != 1:
        raise Refused("a stamp is signed by one authority")
    try:
        certificates = [x509.load_der_x509_certificate(one.whole) for one in (bag.parts() if bag else [])]
    except ValueError:
        raise Refused("a certificate in the stamp cannot be read") from None
    return info, _take(signers, SEQUENCE).parts(), certificates


def _signed_by(parts: list[Der], info: bytes, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """Whose signature it is, if it is one over this content."""
    _take(parts, INTEGER)
    named = _take(parts, SEQUENCE, 0x80)
    digest = _digest(_kind(_take(parts, SEQUENCE)))
    attributes = _take(parts, 0xA0)
    kind = _kind(_take(parts, SEQUENCE))
    signature = _take(parts, OCTETS).content
    signer = next((one for one in certificates if _is_named(one, named)), None)
    if signer is None:
        raise Refused("the stamp does not bring the certificate that it is signed with")
    said = {_kind(one): _take(_take(one.parts()[1:], SET).parts(), *range(256)) for one in attributes.parts()}
    if len(said) != len(attributes.parts()) or CONTENT_KIND not in said or DIGEST_OF not in said:
        raise Refused("the stamp does not say what it signs")
    if (
        _oid(said[CONTENT_KIND]) != STAMP_INFO
        or said[DIGEST_OF].content != hashlib.new(digest, info).digest()
    ):
        raise Refused("the stamp was altered")
    if not _names_signer(said, signer):
        raise Refused("the stamp names another certificate than the one that it is signed with")
    # Signed is the set as it would stand alone.
    signed = bytes([SET]) + attributes.whole[1:]
    _check_signature(signer, signature, signed, digest if kind == RSA_ALONE else _digest(kind))
    return signer


def _is_named(certificate: x509.Certificate, named: Der) -> bool:
    if named.tag == 0x80:
        try:
            own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except x509.ExtensionNotFound:
            return False
        return own == named.content
    parts = named.parts()
    issuer, serial = _take(parts, SEQUENCE), _take(parts, INTEGER)
    return certificate.issuer.public_bytes() == issuer.whole and certificate.serial_number == _number(serial)


def _names_signer(said: Mapping[str, Der], signer: x509.Certificate) -> bool:
    """That the signature is bound to this very certificate (RFC 5035, RFC 2634)."""
    data = signer.public_bytes(Encoding.DER)
    if SIGNER_BY in said:
        first = _take(_take(said[SIGNER_BY].parts(), SEQUENCE).parts(), SEQUENCE).parts()
        kind = _maybe(first, SEQUENCE)
        return (
            _take(first, OCTETS).content
            == hashlib.new(_digest(_kind(kind)) if kind else "sha256", data).digest()
        )
    if SIGNER_BY_SHA1 in said:
        first = _take(_take(said[SIGNER_BY_SHA1].parts(), SEQUENCE).parts(), SEQUENCE).parts()
        return _take(first, OCTETS).content == hashlib.sha1(data, usedforsecurity=False).digest()
    return False


def _check_signature(signer: x509.Certificate, signature: bytes, signed: bytes, digest: str) -> None:
    public = signer.public_key()
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, signed, padding.PKCS1v15(), HASHES[digest])
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, signed, ec.ECDSA(HASHES[digest]))
        else:
            raise Refused("a stamp signed with a key of a kind that this program does not know")
    except InvalidSignature:
        raise Refused("the signature of the stamp does not fit") from None


def _time(one: Der) -> datetime:
    text = one.content.decode("latin-1")
    if not re.fullmatch(r"[0-9]{14}(\.[0-9]{1,9})?Z", text):
        raise Refused("a stamp with a time that this program does not understand")
    try:
        at = datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("a stamp with a time that this program does not understand") from None
    fraction = text[14:-1]
    return at.replace(microsecond=int(float(f"0{fraction}") * 1_000_000)) if fraction else at


def _check_chain(
    signer: x509.Certificate,
    between: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """That somebody who is trusted vouches for the signer, directly or through others, and did at that time."""
    one = signer
    for _step in range(LONGEST_CHAIN):
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            raise Refused("a certificate behind the stamp was not valid at its time")
        root = next((above for above in roots if _vouches(above, one)), None)
        if root is not None:
            if not root.not_valid_before_utc <= at <= root.not_valid_after_utc:
                raise Refused("a certificate behind the stamp was not valid at its time")
            return
        above = next((one_above for one_above in between if _vouches(one_above, one)), None)
        if above is None:
            break
        one = above
    raise Refused("nobody whom you trust vouches for the authority")


def _vouches(above: x509.Certificate, one: x509.Certificate) -> bool:
    try:
        may = above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        one.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return may


def read_roots(file: Path) -> list[x509.Certificate]:
    """Raises Refused or OSError."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        raise Refused(f"{file} holds no certificates") from None


def check_stamp(found: Proof | None, wish: Wish, report: Report) -> None:
    """That the stamp holds, and that the head under it begins the one that the entry was found in."""
    stamped = head(wish.stamped)
    if True not in {signature_of(one, stamped) for one in wish.trust.logs if one.name == stamped.origin}:
        report.note("stamp", False, "the stamped head is not signed by a key of this log that you trust")
        return
    try:
        said = stamp(wish.stamp, wish.stamped.encode(), wish.roots)
    except Refused as refused:
        report.note("stamp", False, str(refused))
        return
    ok, why = _is_under(stamped, found)
    at = f"{said.at:%Y-%m-%d %H:%M:%S} UTC"
    report.note("stamp", ok, why or f"the head of {stamped.size} entries was there by {at}")
    if ok:
        report.log |= {"stamped": at, "stamp": said.serial, "stamped_size": stamped.size}


def _is_under(stamped: Head, found: Proof | None) -> tuple[bool | None, str]:
    """Whether the stamped head is an older head of this very log that holds the entry already; why, where it is not."""
    if found is None:
        return None, "give the proof file too: it shows what stands in the log"
    on = found.head
    if stamped.origin != on.origin:
        return False, "the stamp is over a head of another log"
    if stamped.size <= found.place:
        return None, f"the stamped head has {stamped.size} entries, and not yet entry {found.place}"
    if stamped.size > on.size:
        return None, "the stamped head is newer: get the proof file again"
    if stamped.size == on.size:
        return stamped.root == on.root, "" if stamped.root == on.root else "the stamp is over another history"
    path = found.continued.get(stamped.size)
    if path is None:
        return None, f"get the proof file again with ?since={stamped.size}"
    ok = is_continued(stamped.size, on.size, stamped.root, on.root, path)
    return ok, "" if ok else "the stamp is over another history"


# What is remembered from one time to the next.


class State:
    """The newest head of each log that was found true, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, origin: str) -> Path:
        return self.folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.checkpoint"

    def known(self, origin: str) -> Head | None:
        try:
            return head(self.file(origin).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def keep(self, on: Head) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.file(on.origin).with_suffix(".new")
        with open(fresh, "w", encoding="utf-8") as opened:
            opened.write(on.note)
            opened.flush()
            os.fsync(opened.fileno())
        fresh.replace(self.file(on.origin))

    def write_out(self, what: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"misbehaviour-{hashlib.sha256(what.encode()).hexdigest()[:16]}.txt"
        file.write_text(what, encoding="utf-8")
        return file


def check_state(
    on: Head, state: State, again: Replay | None, found: Proof | None, trust: Trust, report: Report
) -> None:
    """That the log continues what it has shown before; remembers the larger head if it does."""
    try:
        known = state.known(on.origin)
    except Refused:
        report.note("consistency", None, f"the remembered head in {state.file(on.origin)} is damaged")
        return
    if known is None:
        state.keep(on)
        report.note("consistency", True, "the first head of this log; it is remembered from now on")
        return
    if known.origin != on.origin or not any(
        signature_of(one, known) for one in trust.logs if one.name == on.origin
    ):
        report.note("consistency", None, "the remembered head is not signed by a key that you trust")
        return
    what = f"{min(known.size, on.size)} entries continued to {max(known.size, on.size)}"
    ok = _continues(known, on, again, found, report)
    if ok is None:
        what = f"you remember the head of {known.size} entries: get the proof file again with ?since={known.size}"
    report.note(
        "consistency", ok, what if ok is not False else "the log does not continue what it has shown before"
    )
    if ok and on.size > known.size:
        state.keep(on)


def check_earlier(
    known: Head, on: Head, again: Replay | None, found: Proof | None, trust: Trust, report: Report
) -> None:
    """The same with a head that somebody has kept himself."""
    what = f"{min(known.size, on.size)} entries continued to {max(known.size, on.size)}"
    if known.origin != on.origin:
        report.note("earlier head", False, "the head that you have from before is one of another log")
    elif not any(signature_of(one, known) for one in trust.logs if one.name == on.origin):
        report.note(
            "earlier head", False, "the head that you have from before is not signed by a key that you trust"
        )
    else:
        ok = _continues(known, on, again, found, report)
        if ok is None:
            what = f"get the proof file again with ?since={known.size}"
        elif not ok:
            what = "the log does not continue the head that you have from before"
        report.note("earlier head", ok, what)


def _continues(
    known: Head, on: Head, again: Replay | None, found: Proof | None, report: Report
) -> bool | None:
    if known.size == on.size:
        if known.root != on.root:
            report.blame("Two signed heads of one size with different roots:", known.note, on.note)
        return known.root == on.root
    old, new = sorted([known, on], key=lambda one: one.size)
    if again is not None and old.size in again.roots and new.size in again.roots:
        if again.roots[new.size] == new.root and again.roots[old.size] != old.root:
            report.blame(
                "The entries give the second signed head, and they do not give the first:", old.note, new.note
            )
        return (again.roots[old.size], again.roots[new.size]) == (old.root, new.root)
    path = found.continued.get(old.size) if found and on is new else None
    return None if path is None else is_continued(old.size, new.size, old.root, new.root, path)


# Putting it together.


@dataclass(slots=True)
class Subject:
    """What was given of one commitment."""

    token: Token | None = None
    proof: Proof | None = None
    paper: Paper | None = None
    # Of a PDF that could not be read.
    sha256: str = ""


@dataclass(slots=True)
class Wish:
    trust: Trust
    state: State | None = None
    entries: Path | None = None
    checkpoint: str = ""
    as_of: int = 0
    # A time stamp, the signed head that it is over, and the roots of authorities.
    stamp: bytes = b""
    stamped: str = ""
    roots: Sequence[x509.Certificate] = ()
    # A signed head from before.
    seen: str = ""


def read_subject(given: str, into: Subject, report: Report) -> None:
    """One argument: the name of a file, or the text of a code."""
    file = Path(given)
    is_file = len(given) < 4096 and "\0" not in given and file.is_file()
    data = file.read_bytes() if is_file else given.encode("utf-8", "surrogateescape")
    kind = (
        "pdf" if data.startswith(b"%PDF-") else "proof" if data.startswith(PROOF_HEADER.encode()) else "token"
    )
    report.subject = "+".join(part for part in (report.subject, kind) if part)
    try:
        if kind == "pdf":
            into.sha256 = hashlib.sha256(data).hexdigest()
            into.paper = paper(data)
        elif kind == "proof":
            into.proof = proof(data.decode())
        elif is_file and (len(data) > 4096 or file.suffix.lower() in {".pdf", ".tlog-proof"}):
            raise Refused(f"{file.name} is neither a PDF nor a proof file nor a code")
        else:
            into.token = token(data.decode())
    except UnicodeDecodeError:
        report.note("readable", False, "not a text")
    except Refused as refused:
        report.note("readable", False, str(refused))


def _gather_token(subject: Subject, report: Report) -> None:
    """The code is in the link of the PDF or in the proof file too; all of them must be the same."""
    texts = [one.token for one in (subject.paper, subject.proof) if one and one.token]
    try:
        found = [token(text) for text in texts]
    except Refused as refused:
        report.note("token", False, str(refused))
        return
    subject.token = subject.token or (found[0] if found else None)
    if any(one.data != subject.token.data for one in found if subject.token):
        report.note("same", False, "two different codes were given")


def verify(subjects: Sequence[str], wish: Wish) -> Report:
    """The whole check. Touches nothing but the state folder."""
    report, subject = Report(), Subject()
    for given in subjects:
        read_subject(given, subject, report)
    _gather_token(subject, report)
    if subject.token:
        check_token(subject.token, wish.trust, report)
    entry = check_proof(subject.proof, wish.trust, report) if subject.proof else {}
    _check_contents(subject, entry, report)
    _check_log(subject, entry, wish, report)
    if wish.state:
        for what in report.misbehaviour:
            wish.state.write_out(what)
    return report


def _check_contents(subject: Subject, entry: Mapping[str, Any], report: Report) -> None:
    """That payload, file, code and entry say the same."""
    signed = subject.token.ph if subject.token else None
    logged = entry.get("ph")
    if signed and logged and signed != logged:
        report.note("same", False, "code and log entry are about different commitments")
    wanted = logged or signed
    if subject.sha256:
        _check_file(subject, entry, report)
    for name, data in (
        ("attachment", subject.paper.payload if subject.paper else b""),
        ("payload", subject.proof.payload if subject.proof else b""),
    ):
        if data:
            _check_payload(name, data, wanted, subject, entry, report)
    if not entry and "inclusion" not in report.checks and (subject.token or subject.sha256):
        report.note("inclusion", None, "give the proof file too: it shows what stands in the log")


def _check_file(subject: Subject, entry: Mapping[str, Any], report: Report) -> None:
    if "pdf" in entry:
        is_same = entry["pdf"] == subject.sha256
        report.note(
            "file",
            is_same,
            "every byte is as it was issued" if is_same else "this is not the file that was issued",
        )
    else:
        report.note(
            "file", None, f"SHA-256 {subject.sha256}; the proof file says whether this file was issued"
        )


def _check_payload(
    name: str, data: bytes, wanted: str | None, subject: Subject, entry: Mapping[str, Any], report: Report
) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if wanted is None:
        report.note(name, None, "nothing signed to compare it with")
    elif digest != wanted:
        report.note(name, False, "says something else than what was signed")
        return
    try:
        said = payload(data)
    except Refused as refused:
        report.note(name, False, str(refused))
        return
    if wanted is None:
        return
    report.note(name, True, "says what was signed")
    found = subject.token
    is_same = (
        said["log"] == report.log.get("origin", said["log"])
        and said["due"] == entry.get("due", said["due"])
        and _number_hash(said["no"]) == entry.get("nh", _number_hash(said["no"]))
        and (
            found is None
            or (found.number, found.due, found.issued_at) == (said["no"], said["due"], said["issued_at"])
        )
    )
    report.note(
        "same",
        is_same,
        "all of it is about the same commitment" if is_same else "its parts contradict each other",
    )
    report.promise |= {"number": said["no"], "issued_at": said["issued_at"], "due": said["due"], "ph": digest}
    if subject.proof:
        _check_seen(said.get("seen"), subject.proof, report)


def _number_hash(number: object) -> str:
    return hashlib.sha256(b"no\n" + str(number).encode()).hexdigest()


def _check_seen(seen: Any, found: Proof, report: Report) -> None:
    """That the log continues the head which the commitment itself names."""
    if (
        not isinstance(seen, dict)
        or not isinstance(seen.get("size"), int)
        or report.checks["checkpoint"][0] is not True
    ):
        return
    size, on = seen["size"], found.head
    try:
        root = bytes.fromhex(seen["root"])
    except (KeyError, TypeError, ValueError):
        return
    if size == on.size and root != on.root:
        report.blame(
            "A signed commitment and a signed head of one size name different roots:", str(seen), on.note
        )
    path = [] if size in {0, on.size} else found.continued.get(size)
    if path is not None and size <= on.size:
        ok = is_continued(size, on.size, root, on.root, path)
        report.note("seen", ok, f"the head of {size} entries that the commitment names is continued")


def _check_log(subject: Subject, entry: Mapping[str, Any], wish: Wish, report: Report) -> None:
    on = subject.proof.head if subject.proof else None
    if wish.checkpoint:
        on = head(wish.checkpoint)
        if not check_head(on, wish.trust, report):
            return
    _check_revocation(subject, entry, wish.trust, report)
    if wish.stamp:
        check_stamp(subject.proof, wish, report)
    again = _check_replay(on, subject, wish, report) if wish.entries else None
    is_signed = report.checks.get("checkpoint", (False, ""))[0]
    if on is not None and is_signed and wish.seen:
        check_earlier(head(wish.seen), on, again, subject.proof, wish.trust, report)
    if on is not None and is_signed and wish.state is not None:
        check_state(on, wish.state, again, subject.proof, wish.trust, report)


def _check_revocation(subject: Subject, entry: Mapping[str, Any], trust: Trust, report: Report) -> None:
    """What a stolen key has signed after it was revoked is not good; what was logged before stays good."""
    limit = trust.revoked.get(subject.token.key_id.hex()) if subject.token else None
    if limit is None:
        return
    if not entry:
        report.note(
            "revocation", None, "the key of this code was revoked; only the log tells whether before or after"
        )
    else:
        is_before = entry["i"] < limit
        report.note("revocation", is_before, f"the key was revoked at entry {limit}")


def _check_replay(on: Head | None, subject: Subject, wish: Wish, report: Report) -> Replay | None:
    sizes = {on.size} if on else set()
    known = None
    if on and wish.state:
        try:
            known = wish.state.known(on.origin)
        except Refused:
            known = None
    try:
        earlier = {head(wish.seen).size} if wish.seen else set()
        again = replay(wish.entries or Path(), sizes | earlier | ({known.size} if known else set()))
    except (Refused, OSError) as refused:
        report.note("replay", False, str(refused))
        return None
    report.subject = report.subject or "log"
    report.log |= {"n_entries": again.tree.size, "entries_root": again.tree.root().hex()}
    report.statistics = again.statistics(wish.as_of)
    if on is None:
        report.note("checkpoint", None, "give a signed head too: it shows that these are all entries")
        return again
    root = again.roots.get(on.size)
    ok = None if root is None else root == on.root
    report.note("replay", ok, f"{again.tree.size} entries counted again")
    if ok:
        _check_missing(on, again, subject, report)
        for what in again.wrong:
            report.blame(what, on.note)
    return again


def _check_missing(on: Head, again: Replay, subject: Subject, report: Report) -> None:
    """A code that was signed and does not stand in the log in time is itself the proof."""
    found = subject.token
    if found is None or report.checks["token"][0] is not True or again.tree.size > on.size:
        return
    if found.ph in again.hashes:
        report.checks.pop("inclusion", None)
        report.note("inclusion", True, f"entry {again.hashes[found.ph]} of {on.size}")
    elif again.last > found.issued_at + again.mmd:
        text = base64.b32encode(found.data).decode().rstrip("=")
        report.blame("This code was signed, and the log does not hold it:", text, on.note)
    else:
        report.checks.pop("inclusion", None)
        report.note("inclusion", None, "not in the log yet")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="verify.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("subject", nargs="*", help="PDF, proof file, or the text of the code")
    parser.add_argument("--keys", type=Path, action="append", default=[], help="file with public keys")
    parser.add_argument("--policy", type=Path, help="tlog-policy file")
    parser.add_argument("--state", type=Path, help="folder of remembered heads")
    parser.add_argument("--entries", type=Path, help="all entries of the log, one to a line")
    parser.add_argument("--checkpoint", type=Path, help="a signed head of the log")
    parser.add_argument("--seen", type=Path, help="a signed head of the log that you have from before")
    parser.add_argument("--stamp", type=Path, help="a time stamp (RFC 3161)")
    parser.add_argument("--stamped", type=Path, help="the signed head that the stamp is over")
    parser.add_argument("--roots", type=Path, help="certificates of the authorities that you trust, PEM")
    parser.add_argument(
        "--as-of", type=int, default=None, help="moment of the statistics, Unix seconds (now)"
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    return parser.parse_args(given)


def read_trust(keys: Sequence[Path], policy: Path | None) -> Trust:
    """Raises Refused or OSError."""
    trust = Trust()
    for file in keys:
        read_keys(file.read_text(encoding="utf-8"), trust)
    if policy:
        read_policy(policy.read_text(encoding="utf-8"), trust)
    return trust


def read_wish(options: argparse.Namespace) -> Wish:
    """Raises Refused or OSError."""
    if options.stamp and not (options.stamped and options.roots):
        raise Refused(
            "A stamp needs --stamped, the head that it is over, and --roots: whose stamp should count?"
        )
    return Wish(
        trust=read_trust(options.keys, options.policy),
        state=State(options.state) if options.state else None,
        entries=options.entries,
        checkpoint=options.checkpoint.read_text(encoding="utf-8") if options.checkpoint else "",
        as_of=int(time.time()) if options.as_of is None else options.as_of,
        stamp=options.stamp.read_bytes() if options.stamp else b"",
        stamped=options.stamped.read_text(encoding="utf-8") if options.stamped else "",
        roots=read_roots(options.roots) if options.roots else (),
        seen=options.seen.read_text(encoding="utf-8") if options.seen else "",
    )


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    if not options.subject and not options.entries:
        sys.stderr.write("Name a PDF, a proof file or a code. --help says more.\n")
        return INCOMPLETE
    try:
        wish = read_wish(options)
        if not wish.trust.logs and not wish.trust.tokens:
            raise Refused("Without --keys or --policy nothing can be checked: whose signature should count?")
        report = verify(options.subject, wish)
    except (Refused, OSError) as refused:
        sys.stderr.write(f"Nothing was checked: {refused}\n")
        return INCOMPLETE
    text = (
        json.dumps(report.as_dict(), ensure_ascii=False, indent=1) + "\n"
        if options.json
        else report.as_text()
    )
    sys.stdout.write(text)
    return report.exit


if __name__ == "__main__":
    sys.exit(main())
