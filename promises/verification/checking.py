"""The checks of verify.py once more, by the house's own code: canonical form, tokens, notes, trees, statistics.

The two share how a PDF is opened, how a policy is read and how the answer is written down, and nothing of what they
judge by; a test holds their answers together.
"""

# ruff: noqa: FBT003 - an answer is yes, no or open, and stands for itself

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promises import canonical, merkle, notes, proofs, token
from promises.anchors import rfc3161
from promises.ledger import replaying
from promises.verification import verify
from promises.verification.verify import Report, State, Trust

SAME = "all of it is about the same commitment"
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


def check(subjects: Sequence[str], wish: Wish) -> Report:
    """The whole check. Touches nothing but the state folder."""
    given = Given(Report(), wish.trust)
    for subject in subjects:
        _read(subject, given)
    if wish.complete is not None:
        wish.complete(given)
    _gather_token(given)
    if given.token:
        _check_token(given)
    if given.proof is not None:
        given.entry = _check_proof(given)
    _check_contents(given)
    _check_log(given, wish)
    if wish.state is not None:
        for what in given.report.misbehaviour:
            wish.state.write_out(what)
    return given.report


# Opening.


def _read(subject: str, given: Given) -> None:
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


# Signatures.


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


def _verifiers(trust: Trust, origin: str) -> list[notes.Verifier]:
    return [notes.Verifier(one.name, one.kind, one.public) for one in trust.logs if one.name == origin]


def _check_head(given: Given, note: notes.Note, head: notes.Checkpoint) -> bool:
    report, trust = given.report, given.trust
    try:
        is_signed = bool(notes.signed_by(note, _verifiers(trust, head.origin)))
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


def _check_proof(given: Given) -> dict[str, Any]:
    """The entry if it stands in the log, else empty."""
    report, proof, head = given.report, given.proof, given.head
    if proof is None or head is None or given.note is None or not _check_head(given, given.note, head):
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


# What it says.


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
        ok = _is_continued(size, head.size, root, head.root, path)
        given.report.note("seen", ok, f"the head of {size} entries that the commitment names is continued")


def _is_continued(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    try:
        merkle.check_consistency(old, new, old_root, new_root, path)
    except merkle.BadProof:
        return False
    return True


# The log as a whole.


@dataclass(slots=True)
class Counted:
    """A log read from its first entry to its last."""

    found: replaying.Replayed
    roots: dict[int, bytes]
    places: dict[str, int]
    last: int
    mmd: int
    wrong: list[str]


def _check_log(given: Given, wish: Wish) -> None:
    note, head = given.note, given.head
    if wish.checkpoint:
        note = notes.parse(wish.checkpoint)
        head = notes.checkpoint(note.text)
        if not _check_head(given, note, head):
            return
    _check_revocation(given)
    if wish.stamp and wish.roots is not None:
        _check_stamp(given, wish, wish.roots)
    known = _known(head, wish.state) if head is not None and wish.state is not None else None
    counted = _check_replay(given, note, head, known, wish) if wish.entries else None
    if head is None or note is None or not given.report.checks.get("checkpoint", (False, ""))[0]:
        return
    if wish.seen:
        _check_earlier(given, note, head, counted, wish.seen)
    if wish.state is not None:
        _check_state(given, note, head, known, counted, wish.state)


def _check_revocation(given: Given) -> None:
    limit = given.trust.revoked.get(given.token[1:5].hex()) if given.token else None
    if limit is not None:
        ok = given.entry["i"] < limit if given.entry else None
        given.report.note("revocation", ok, f"the key was revoked at entry {limit}")


def _check_stamp(given: Given, wish: Wish, roots: Path) -> None:
    report = given.report
    note = notes.parse(wish.stamped)
    stamped = notes.checkpoint(note.text)
    try:
        is_signed = bool(notes.signed_by(note, _verifiers(given.trust, stamped.origin)))
        said = rfc3161.check(wish.stamp, wish.stamped, roots)
    except (notes.BadNote, rfc3161.NoStamp) as refused:
        report.note("stamp", False, str(refused))
        return
    if not is_signed:
        report.note("stamp", False, "the stamped head is not signed by the log")
        return
    ok, what = _is_under(stamped, given)
    at = f"{said.at:%Y-%m-%d %H:%M:%S} UTC"
    report.note("stamp", ok, what or f"the head of {stamped.size} entries was there by {at}")
    if ok:
        report.log |= {"stamped": at, "stamp": said.serial, "stamped_size": stamped.size}


def _is_under(stamped: notes.Checkpoint, given: Given) -> tuple[bool | None, str]:
    """Whether the head under the stamp is a beginning of the one that the entry was found in, and holds the entry."""
    head, proof = given.head, given.proof
    if head is None or proof is None:
        return None, "give the proof file too: it shows what stands in the log"
    if stamped.origin != head.origin:
        return False, "the stamp is over a head of another log"
    if not proof.index < stamped.size <= head.size:
        return (
            None,
            f"the stamped head has {stamped.size} entries, the proof is of entry {proof.index} of {head.size}",
        )
    path = [] if stamped.size == head.size else given.extra.continued.get(stamped.size)
    if path is None:
        return None, f"get the proof file again with ?since={stamped.size}"
    ok = _is_continued(stamped.size, head.size, stamped.root, head.root, path)
    return ok, "" if ok else "the stamp is over another history"


def _known(head: notes.Checkpoint, state: State) -> notes.Note | None:
    """What is remembered of this log; an empty note where that cannot be read."""
    try:
        return notes.parse(state.file(head.origin).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except notes.BadNote:
        return notes.Note("", ())


def _check_replay(
    given: Given, note: notes.Note | None, head: notes.Checkpoint | None, known: notes.Note | None, wish: Wish
) -> Counted | None:
    report = given.report
    sizes = {head.size} if head else set()
    if known is not None and known.text:
        sizes.add(notes.checkpoint(known.text).size)
    if wish.seen:
        sizes.add(notes.checkpoint(notes.parse(wish.seen).text).size)
    try:
        counted = _count(wish.entries or Path(), sizes)
    except (replaying.BadEntry, canonical.Refused, KeyError, TypeError, OSError) as refused:
        report.note("replay", False, str(refused))
        return None
    report.subject = report.subject or "log"
    tree = counted.found.tree
    report.log |= {"n_entries": tree.size, "entries_root": tree.root().hex()}
    report.statistics = counted.found.promises.statistics(as_of=wish.as_of).as_dict()
    if head is None or note is None:
        report.note("checkpoint", None, "give a signed head too: it shows that these are all entries")
        return counted
    root = counted.roots.get(head.size)
    ok = None if root is None else root == head.root
    report.note("replay", ok, f"{tree.size} entries counted again")
    if ok:
        _check_missing(given, note, head, counted)
        for what in counted.wrong:
            report.blame(what, str(note))
    return counted


def _count(file: Path, sizes: set[int]) -> Counted:
    counted = Counted(replaying.replay([]), {}, {}, 0, verify.MMD, [])
    numbered: dict[str, int] = {}
    if 0 in sizes:
        counted.roots[0] = merkle.EMPTY_ROOT
    with open(file, "rb") as lines:
        for line in lines:
            if line.strip():
                _count_one(line.rstrip(b"\r\n"), counted, numbered)
                if counted.found.tree.size in sizes:
                    counted.roots[counted.found.tree.size] = counted.found.tree.root()
    return counted


def _count_one(data: bytes, counted: Counted, numbered: dict[str, int]) -> None:
    place, entry = counted.found.tree.size, canonical.decode(data)
    counted.found.tree.add(merkle.leaf_hash(data))
    counted.found.promises.add(entry)
    if entry.get("i") != place:
        counted.wrong.append(f"entry {place} says that it is entry {entry.get('i')}")
        return
    if entry["ts"] < counted.last - verify.KEPT_TIME_ORDER:
        counted.wrong.append(f"entry {place} was written before the entry that precedes it")
    counted.last = max(counted.last, entry["ts"])
    if "ph" in entry:
        counted.places[entry["ph"]] = place
    if entry["t"] == "genesis" and place == 0:
        counted.mmd = entry["policy"]["mmd"]
    if entry["t"] == "issue":
        first = numbered.setdefault(entry["nh"], place)
        if first != place:
            counted.wrong.append(f"entries {first} and {place} promise under the same number")


def _check_missing(given: Given, note: notes.Note, head: notes.Checkpoint, counted: Counted) -> None:
    report = given.report
    if not given.token or report.checks["token"][0] is not True or counted.found.tree.size > head.size:
        return
    said = token.parse(given.token)
    place = counted.places.get(said.ph.hex())
    if place is not None:
        report.checks.pop("inclusion", None)
        report.note("inclusion", True, f"entry {place} of {head.size}")
    elif counted.last > said.issued_at + counted.mmd:
        text = token.to_text(given.token)
        report.blame("This code was signed, and the log does not hold it:", text, str(note))
    else:
        report.checks.pop("inclusion", None)
        report.note("inclusion", None, "not in the log yet")


def _check_state(
    given: Given,
    note: notes.Note,
    head: notes.Checkpoint,
    known: notes.Note | None,
    counted: Counted | None,
    state: State,
) -> None:
    report = given.report
    if known is None:
        state.keep(verify.head(str(note)))
        report.note("consistency", True, "the first head of this log; it is remembered from now on")
        return
    before = None
    with suppress(notes.BadNote):
        if notes.signed_by(known, _verifiers(given.trust, head.origin)):
            before = notes.checkpoint(known.text)
    if before is None or before.origin != head.origin:
        report.note(
            "consistency", None, "the remembered head is damaged, or not signed by a key that you trust"
        )
        return
    ok = _continues((known, before), (note, head), counted, given)
    report.note("consistency", ok, f"{before.size} entries known, {head.size} shown")
    if ok and head.size > before.size:
        state.keep(verify.head(str(note)))


def _check_earlier(
    given: Given, note: notes.Note, head: notes.Checkpoint, counted: Counted | None, seen: str
) -> None:
    known = notes.parse(seen)
    before = notes.checkpoint(known.text)
    try:
        is_signed = bool(notes.signed_by(known, _verifiers(given.trust, head.origin)))
    except notes.BadNote:
        is_signed = False
    ok: bool | None = False
    if is_signed and before.origin == head.origin:
        ok = _continues((known, before), (note, head), counted, given)
    given.report.note("earlier head", ok, f"{before.size} entries of {before.origin}, {head.size} shown")


def _continues(
    known: tuple[notes.Note, notes.Checkpoint],
    shown: tuple[notes.Note, notes.Checkpoint],
    counted: Counted | None,
    given: Given,
) -> bool | None:
    before, head = known[1], shown[1]
    if before.size == head.size:
        if before.root != head.root:
            given.report.blame(
                "Two signed heads of one size with different roots:", str(known[0]), str(shown[0])
            )
        return before.root == head.root
    old, new = sorted([known, shown], key=lambda one: one[1].size)
    if counted is not None and {old[1].size, new[1].size} <= set(counted.roots):
        first, second = counted.roots[old[1].size], counted.roots[new[1].size]
        if second == new[1].root and first != old[1].root:
            said = "The entries give the second signed head, and they do not give the first:"
            given.report.blame(said, str(old[0]), str(new[0]))
        return (first, second) == (old[1].root, new[1].root)
    path = given.extra.continued.get(before.size) if new is shown else None
    return None if path is None else _is_continued(before.size, head.size, before.root, head.root, path)
