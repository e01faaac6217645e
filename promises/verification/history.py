"""The log as a whole: counted again from its first entry, held against heads seen before, time stamps and what is remembered."""

# ruff: noqa: FBT003 - an answer is yes, no or open, and stands for itself

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from promises import canonical, merkle, notes, token
from promises.anchors import rfc3161
from promises.ledger import replaying
from promises.verification import verify
from promises.verification.given import Given, Wish
from promises.verification.heads import check_head, is_continued, verifiers
from promises.verification.verify import State


@dataclass(slots=True)
class Counted:
    """A log read from its first entry to its last."""

    found: replaying.Replayed
    roots: dict[int, bytes]
    places: dict[str, int]
    last: int
    mmd: int
    wrong: list[str]


def check_log(given: Given, wish: Wish) -> None:
    note, head = given.note, given.head
    if wish.checkpoint:
        note = notes.parse(wish.checkpoint)
        head = notes.checkpoint(note.text)
        if not check_head(given, note, head):
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
        is_signed = bool(notes.signed_by(note, verifiers(given.trust, stamped.origin)))
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
    ok = is_continued(stamped.size, head.size, stamped.root, head.root, path)
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
        if notes.signed_by(known, verifiers(given.trust, head.origin)):
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
        is_signed = bool(notes.signed_by(known, verifiers(given.trust, head.origin)))
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
    return None if path is None else is_continued(before.size, head.size, before.root, head.root, path)
