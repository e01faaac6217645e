"""The monitor: reads a whole log again and says where it is not what was signed, and what in it a reader should know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Max

from promises import merkle, notes
from promises.ledger import audit_trail, fence, keys, reading, replaying, rotation
from promises.ledger.models import Checkpoint, LogKey, LogLeaf, LogNode, LogPending, TransparencyLog
from promises.statistics import Replay

# Of all signed heads the roots are compared; of the newest ones the signatures are checked too.
SIGNATURES = 1000
BACKWARDS = 5
# Findings of one kind that are named; of the others the number is said.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was signed. place: the entry, or the first of those concerned; None: the whole log."""

    code: str
    place: int | None
    what: str


@dataclass(slots=True)
class Report:
    """What one reading found. notices: what everybody may do, and a reader should know."""

    origin: str
    at: int
    size: int = 0
    root: bytes = merkle.EMPTY_ROOT
    findings: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    statistics: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "at": self.at,
            "size": self.size,
            "root_hex": self.root.hex(),
            "clean": self.is_clean,
            "findings": [_said(one) for one in self.findings],
            "notices": [_said(one) for one in self.notices],
            "statistics": self.statistics,
        }


def _said(finding: Finding) -> dict[str, Any]:
    return {"code": finding.code, "entry": finding.place, "what": finding.what}


@dataclass(frozen=True, slots=True)
class Published:
    """What was told before: size, root_hex and statistics as log_stats gives them, and as of when they were counted."""

    told: Mapping[str, Any]
    as_of: int


def watch(log: TransparencyLog, at: datetime, published: Published | None = None) -> Report:
    """Read everything that a signed head covers."""
    # In this order: entries and head are committed together, so that no head is older than entries seen before it.
    last = LogLeaf.objects.filter(log=log).aggregate(last=Max("index"))["last"]
    n_entries = 0 if last is None else last + 1
    newest = reading.newest(log)
    size = newest.size if newest else 0
    found = _Reading(log, int(at.timestamp()), size, published)
    for place, entry, stored in replaying.stored(log, size):
        found.entry(place, entry, stored)
    found.end(n_entries)
    return found.report


class _Reading:
    """One pass over the entries: the tree grows, and everything is compared as soon as it can be."""

    def __init__(self, log: TransparencyLog, at: int, size: int, published: Published | None) -> None:
        self.log, self.published = log, published
        self.report = Report(log.origin, at)
        self.tree, self.said = replaying.Tree(), _Contents(self)
        heads = Checkpoint.objects.filter(log=log, size__lte=size).order_by("size")
        self.heads: Iterator[Checkpoint] = heads.iterator(chunk_size=1000)
        self.next_head = next(self.heads, None)
        self.signed_by = keys.log_verifiers(log)
        newest = heads.reverse().values_list("size", flat=True)[:SIGNATURES]
        self.checked_from = min(newest, default=0)
        self.nodes: list[merkle.Node] = []
        self.last_good_head = 0

    def find(self, code: str, place: int | None, what: str) -> None:
        self.report.findings.append(Finding(code, place, what))

    def notice(self, code: str, place: int | None, what: str) -> None:
        self.report.notices.append(Finding(code, place, what))

    def entry(self, place: int, entry: bytes, stored: bytes) -> None:
        while self.tree.size < place:
            self.find("missing", self.tree.size, "the entry is missing")
            self._grow(bytes(merkle.HASH_SIZE))
        found = merkle.leaf_hash(entry)
        if found != stored:
            self.find(
                "altered",
                place,
                "the entry was altered: its bytes do not give the hash that was stored with it",
            )
        # The tree is made of what was signed as far as it is known, so that one altered entry is one finding.
        self._grow(stored)
        self.said.add(place, entry)

    def _grow(self, leaf: merkle.Hash) -> None:
        self.nodes += [one for one in self.tree.add(leaf) if one[0]]
        if len(self.nodes) >= replaying.AT_ONCE:
            self._compare_nodes()
        while self.next_head is not None and self.next_head.size <= self.tree.size:
            self._compare_head(self.next_head)
            self.next_head = next(self.heads, None)

    def _compare_nodes(self) -> None:
        """With the stored ones. Of those that differ the lowest say most: those above it differ because of it."""
        if not self.nodes:
            return
        wanted = {(level, index): node for level, index, node in self.nodes}
        self.nodes = []
        stored: dict[tuple[int, int], bytes] = {}
        for level in {level for level, _index in wanted}:
            places = [index for one, index in wanted if one == level]
            rows = LogNode.objects.filter(
                log=self.log, level=level, index__gte=min(places), index__lte=max(places)
            )
            stored |= {(level, index): bytes(node) for index, node in rows.values_list("index", "hash")}
        for level, index in sorted(wanted):
            if stored.get((level, index)) == wanted[level, index]:
                continue
            first, end = index << level, (index + 1) << level
            if not any(one.place is not None and first <= one.place < end for one in self.report.findings):
                self.find(
                    "node", first, f"the stored hash over the entries {first} to {end - 1} is not theirs"
                )

    def _compare_head(self, head: Checkpoint) -> None:
        tree_root = self.tree.root() if head.size == self.tree.size else b""
        if bytes(head.root) != tree_root or not self._is_signed(head):
            # The nodes say more closely which entry it is.
            self._compare_nodes()
            first = self.last_good_head
            if not any(one.place is not None and one.place < head.size for one in self.report.findings):
                what = f"the head of {head.size} entries was altered, or one of the entries {first} to {head.size - 1}"
                self.find("head", first, what)
            return
        self.last_good_head = head.size

    def _is_signed(self, head: Checkpoint) -> bool:
        if head.size < self.checked_from:
            return True
        try:
            note = notes.parse(head.note)
            said = notes.checkpoint(note.text)
            signed = notes.signed_by(note, self.signed_by)
        except notes.BadNote:
            return False
        return bool(signed) and said == notes.Checkpoint(self.log.origin, head.size, bytes(head.root))

    def end(self, n_entries: int) -> None:
        self._compare_nodes()
        report, size = self.report, self.tree.size
        report.size, report.root = size, self.tree.root()
        if self.next_head is not None:
            self.find("cut", size, f"a head of {self.next_head.size} entries was signed, {size} are here")
        elif n_entries > size:
            self.find("unsigned", size, "entries that no signed head covers")
        self._compare_fence()
        self._compare_queue()
        self._compare_published()
        self._compare_audit()
        self.said.end()
        report.findings = list(_shortened(report.findings))
        report.statistics = self.said.promises.statistics(as_of=report.at).as_dict()

    def _compare_fence(self) -> None:
        """With what this machine remembers outside the database: what it signed, and what the monitor saw."""
        try:
            known = fence.of(self.log)
        except fence.Unreadable as file:
            self.find("fence", None, f"{file} cannot be read")
            return
        if known is None:
            return
        if known.size > self.tree.size:
            self.find(
                "rolled_back", self.tree.size, f"{known.size} entries were signed, {self.tree.size} are here"
            )
            return
        row = Checkpoint.objects.filter(log=self.log, size=known.size).first()
        if row is None or bytes(row.root).hex() != known.root:
            self.find("rewritten", None, f"the first {known.size} entries are not those that were signed")

    def _compare_queue(self) -> None:
        """What was asked for is what was written: as many of each kind."""
        rows = (
            LogPending.objects.filter(log=self.log, index__isnull=False)
            .values("kind")
            .annotate(n=Count("pk"))
        )
        asked = {row["kind"]: row["n"] for row in rows.order_by()}
        for kind in sorted(asked.keys() | self.said.kinds.keys()):
            if asked.get(kind, 0) != self.said.kinds[kind]:
                what = (
                    f"{self.said.kinds[kind]} entries of the kind {kind}, {asked.get(kind, 0)} were asked for"
                )
                self.find("count", None, what)

    def _compare_audit(self) -> None:
        if self.log.purpose == TransparencyLog.Purpose.AUDIT:
            for wrong in audit_trail.compare(self.log):
                self.find("audit", wrong.index, wrong.what)

    def _compare_published(self) -> None:
        if self.published is None:
            return
        told = self.published.told
        if self.said.at_published is None:
            self.find("published", None, f"figures over {told.get('size')} entries were published")
            return
        tree_root, statistics = self.said.at_published
        if tree_root != told.get("root_hex"):
            self.find("published", None, "the root that was published is not the one of these entries")
        for name, value in statistics.items():
            other = told.get("statistics", {}).get(name)
            if other != value:
                self.find("published", None, f"{name} is {value}; {other} was published")


class _Contents:
    """What the entries say, judged one by one."""

    def __init__(self, reading: _Reading) -> None:
        self.reading = reading
        self.promises = Replay()
        self.kinds: Counter[str] = Counter()
        self.numbers: dict[str, int] = {}
        self.open: dict[int, int] = {}
        self.issues: set[int] = set()
        self.last_ts = 0
        self.chain = rotation.Chain()
        self.at_published: tuple[str, dict[str, int]] | None = None

    def add(self, place: int, entry: bytes) -> None:
        try:
            said = replaying.decoded(entry, place)
        except replaying.BadEntry as bad:
            said = {}
            self.reading.find("unreadable", place, bad.why)
        kind = str(said.get("t", ""))
        self.kinds[kind] += 1
        try:
            self._judge(place, kind, said)
            self.promises.add(said)
        except (KeyError, TypeError, ValueError):
            self.reading.find("unreadable", place, f"an entry of the kind {kind or '?'} without its members")
        published = self.reading.published
        if published is not None and published.told.get("size") == place + 1:
            counted = self.promises.statistics(as_of=published.as_of).as_dict()
            self.at_published = (self.reading.tree.root().hex(), counted)

    def _judge(self, place: int, kind: str, said: dict[str, Any]) -> None:
        find = self.reading.find
        if said["i"] != place:
            find("place", place, f"the entry says that it is number {said['i']}")
        if said["ts"] < self.last_ts - BACKWARDS:
            find("time", place, "the entry is earlier than the one before it")
        self.last_ts = max(self.last_ts, said["ts"])
        if kind == "issue":
            first = self.numbers.setdefault(said["nh"], place)
            if first != place:
                find("duplicate", place, f"the number was given before, in entry {first}")
            self.issues.add(place)
            self.open[place] = said["due"]
        elif kind in {"revise", "outcome", "dispute", "answer"}:
            if said["ref"] not in self.issues and kind in {"revise", "outcome"}:
                find("reference", place, f"entry {said['ref']} is no promise")
            if kind == "outcome":
                self.open.pop(said["ref"], None)
        elif kind in {"key", "revoke", "genesis"}:
            self._judge_key(place, kind, said)

    def _judge_key(self, place: int, kind: str, said: dict[str, Any]) -> None:
        find, notice = self.reading.find, self.reading.notice
        match kind:
            case "genesis" if place:
                find("genesis", place, "a second beginning")
            case "genesis":
                self.chain.begin(said)
            case "key" if not self.chain.add(said):
                find("key", place, "the log's key does not vouch for the new key")
            case "key":
                notice("key", place, f"a new key for the use {said['use']}")
            case _:
                notice(
                    "revoked", place, f"the key {said['key']} was revoked: good below entry {said['size']}"
                )

    def _end_of_keys(self) -> None:
        asked = LogPending.objects.filter(log=self.reading.log, index=None, kind="key").exists()
        used = LogKey.objects.filter(log=self.reading.log).exclude(purpose=LogKey.Purpose.MONITOR)
        for vkey in used.order_by("pk").values_list("vkey", flat=True):
            if self.reading.tree.size and not asked and vkey not in self.chain.vkeys:
                self.reading.find("key", None, f"the log does not name the key {vkey}")

    def end(self) -> None:
        self._end_of_keys()
        grace = self.promises.grace or 0
        late = [place for place, due in self.open.items() if due + grace < self.reading.report.at]
        if late:
            what = f"{len(late)} promises are overdue without an outcome and count as broken"
            self.reading.notice("overdue", late[0], what)


def _shortened(findings: list[Finding]) -> Iterator[Finding]:
    """The first of each kind, and how many more there are."""
    seen: Counter[str] = Counter()
    for one in findings:
        seen[one.code] += 1
        if seen[one.code] <= NAMED:
            yield one
    for code, n in seen.items():
        if n > NAMED:
            yield Finding(code, None, f"{n - NAMED} more of this kind")


def signed(report: Report, log: TransparencyLog, at: datetime) -> str:
    """The report as a signed note. Raises keys.KeyMissing."""
    use = LogKey.Purpose.MONITOR
    key = next(iter(keys.all_of(log, use)), None) or keys.make(log, use, at)
    name = keys.name_of(log.origin, use)
    text = f"{name}\n" + json.dumps(report.as_dict(), sort_keys=True) + "\n"
    return str(notes.Note(text, (notes.sign(text, name, keys.secret_of(key)),)))
