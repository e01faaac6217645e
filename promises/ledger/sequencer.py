"""The sequencer: gives waiting entries their places, writes them for good, reads them again, and signs the new head.

One at a time by a lock. It signs nothing that it has not read back from the database, nothing beside or before what was
signed already, and nothing that would come before the previous entry in time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils.timezone import now

from orders.bulk import add_models, update_rows
from promises import canonical, merkle, notes
from promises.ledger import alarms, entries, fence, keys, reading, writing
from promises.ledger.models import Checkpoint, LogLeaf, LogNode, LogPending, TransparencyLog

logger = logging.getLogger(__name__)

Alarm = TransparencyLog.Alarm
# Entries in one transaction under one signature.
BATCH = 1000
# What one call writes at most, so that the steward's other sweeps get their turn.
BATCHES = 20
# Entries in one file of the log; a whole one is read again at a time.
BUNDLE = 256
# Seconds by which a clock that is being corrected may go back.
BACKWARDS = 5
# Of the advisory lock; the second half is the log.
LOCK = 0x6C6F67


class Stopped(Exception):
    """Nothing was written and nothing signed. alarm: why; what: the facts, for whoever looks after the machine."""

    def __init__(self, alarm: TransparencyLog.Alarm, what: str) -> None:
        super().__init__(what)
        self.alarm, self.what = alarm, what


def sweep(at: datetime | None = None) -> int:
    """Write what waits in every log; how many entries. The steward calls it every five seconds."""
    at = at or now()
    return sum(_swept(log, at) for log in TransparencyLog.objects.order_by("pk"))


def _swept(log: TransparencyLog, at: datetime) -> int:
    try:
        _check_salt(log)
        patrol(log)
        n_written = write(log, at)
    except Stopped as stop:
        alarms.set_off(log, stop.alarm, stop.what, at)
        return 0
    alarms.look(log, at)
    return n_written


def patrol(log: TransparencyLog) -> None:
    """Read the next full bundle of old entries again, and the nodes over it, round and round. Raises Stopped.

    Where something is wrong it stays, so that nothing is signed until that is mended.
    """
    head, start = reading.newest(log), log.patrolled
    if head is None or head.size < BUNDLE:
        return
    if start + BUNDLE > head.size:
        start = 0
    _check_nodes(log, _nodes_over(log, start, _read_back(log, start, start + BUNDLE)))
    TransparencyLog.objects.filter(pk=log.pk).update(patrolled=start + BUNDLE)


def write(log: TransparencyLog, at: datetime) -> int:
    """Write what waits in this log, batch by batch; how many entries. Raises Stopped."""
    n_written = 0
    for _batch in range(BATCHES):
        head = append(log, at)
        if head is None:
            break
        fence.remember(log, head.size, head.root)
        n_written += head.n_new
    return n_written


@dataclass(frozen=True, slots=True)
class Head:
    """A new head, committed. n_new: entries since the one before."""

    size: int
    root: bytes
    n_new: int


def append(log: TransparencyLog, at: datetime) -> Head | None:
    """One batch in one transaction; None if nothing waits or another sequencer is at work. Raises Stopped."""
    with _alone(log) as is_alone:
        if not is_alone:
            return None
        before = reading.newest(log)
        _check_fence(log, before)
        waiting = list(LogPending.objects.filter(log=log, index=None).order_by("pk")[:BATCH])
        if not waiting:
            return None
        size = before.size if before else 0
        leaves = _leaves(log, waiting, size, at)
        add_models(leaves)
        tree_root = _grow(log, before, leaves)
        note = _signed(log, notes.Checkpoint(log.origin, size + len(leaves), tree_root), at)
        Checkpoint.objects.create(
            log=log,
            size=size + len(leaves),
            root=tree_root,
            note=note,
            created_at=at,
            is_demo=log.is_demo,
        )
        update_rows(LogPending, ["index"], [(pending.pk, pending.index) for pending in waiting])
        return Head(size + len(leaves), tree_root, len(leaves))


@contextmanager
def _alone(log: TransparencyLog) -> Iterator[bool]:
    """A transaction in which nobody else writes this log; False inside if somebody does at this moment."""
    with writing.transaction():
        if connection.vendor != "postgresql":
            # BEGIN IMMEDIATE: the one writer of the whole database.
            yield True
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, log.pk])
            yield bool(cursor.fetchone()[0])


# The entries.


def _leaves(log: TransparencyLog, waiting: Sequence[LogPending], size: int, at: datetime) -> list[LogLeaf]:
    """The new entries, and in each waiting row its place."""
    last = _last_ts(log, size)
    if not log.is_demo and int(at.timestamp()) < last - BACKWARDS:
        raise Stopped(Alarm.CLOCK, f"the clock says {at:%Y-%m-%d %H:%M:%S} UTC, the last entry {last}")
    places = _places(waiting)
    leaves = []
    for index, pending in enumerate(waiting, start=size):
        # A demo plays in the past: its entries say when they were asked for.
        last = max(last, int((pending.queued_at if log.is_demo else at).timestamp()))
        pending.index = index
        ref = None if pending.about_id is None else places[pending.about_id]
        places[pending.pk] = index
        entry = entries.encode(pending.kind, pending.body, index=index, ts=last, ref=ref)
        leaves.append(
            LogLeaf(log=log, index=index, entry=entry, leaf_hash=merkle.leaf_hash(entry), is_demo=log.is_demo)
        )
    return leaves


def _places(waiting: Sequence[LogPending]) -> dict[int, int]:
    """Where the entries stand that these speak of, as far as they are written."""
    about = {pending.about_id for pending in waiting if pending.about_id is not None}
    rows = LogPending.objects.filter(pk__in=about, index__isnull=False).values_list("pk", "index")
    return {pk: index for pk, index in rows if index is not None}


def _last_ts(log: TransparencyLog, size: int) -> int:
    if not size:
        return 0
    try:
        found: int = canonical.decode(reading.entry(log, size - 1))["ts"]
    except (reading.NotThere, canonical.Refused, KeyError):
        raise Stopped(Alarm.DAMAGED, f"entry {size - 1} cannot be read") from None
    return found


# The tree.


def _grow(log: TransparencyLog, before: Checkpoint | None, leaves: Sequence[LogLeaf]) -> bytes:
    """Write the nodes over the new entries as they were read back; the new root, over what is stored."""
    size = before.size if before else 0
    # Of the last bundle that is not full, the old entries are read again too.
    start = size - size % BUNDLE
    hashes = _read_back(log, start, size + len(leaves))
    if hashes[size - start :] != [bytes(leaf.leaf_hash) for leaf in leaves]:
        raise Stopped(Alarm.DAMAGED, f"entries {size} and after came back otherwise than they were written")
    try:
        edge = reading.nodes(log, _edge(start))
        grown = _nodes_over(log, start, hashes, edge)
        made = edge | grown
        if before and merkle.root(size, lambda level, index: made[level, index]) != bytes(before.root):
            raise Stopped(
                Alarm.DAMAGED, f"the stored entries do not give the root that was signed for {size}"
            )
    except KeyError as missing:
        raise Stopped(Alarm.DAMAGED, f"the node {missing} is missing") from None
    add_models(
        [
            LogNode(log=log, level=level, index=index, hash=node, is_demo=log.is_demo)
            for (level, index), node in grown.items()
            if level and (index + 1) << level > size
        ]
    )
    _check_nodes(log, grown)
    return merkle.root(size + len(leaves), lambda level, index: made[level, index])


def _nodes_over(
    log: TransparencyLog,
    start: int,
    hashes: Sequence[bytes],
    edge: Mapping[reading.Place, bytes] | None = None,
) -> dict[reading.Place, bytes]:
    """All nodes that become complete with these entries. Raises Stopped where one before them is missing."""
    left = reading.nodes(log, _edge(start)) if edge is None else edge
    try:
        grown = merkle.append(start, hashes, lambda level, index: left[level, index])
        return {(level, index): node for level, index, node in grown}
    except KeyError as missing:
        raise Stopped(Alarm.DAMAGED, f"the node {missing} is missing") from None


def _edge(size: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees that make up a tree of this size."""
    for level in range(size.bit_length()):
        if size >> level & 1:
            yield level, (size >> level) - 1


def _read_back(log: TransparencyLog, start: int, end: int) -> list[bytes]:
    """The hashes of the stored entries, made anew. Raises Stopped where one is missing or is not what was hashed."""
    rows = (
        LogLeaf.objects.filter(log=log, index__gte=start, index__lt=end)
        .order_by("index")
        .values_list("index", "entry", "leaf_hash")
    )
    hashes = []
    for place, (index, entry, stored) in enumerate(rows, start=start):
        found = merkle.leaf_hash(bytes(entry))
        if index != place or found != bytes(stored):
            raise Stopped(Alarm.DAMAGED, f"entry {place} is missing or was altered")
        hashes.append(found)
    if len(hashes) != end - start:
        raise Stopped(Alarm.DAMAGED, f"entry {start + len(hashes)} is missing")
    return hashes


def _check_nodes(log: TransparencyLog, wanted: Mapping[reading.Place, bytes]) -> None:
    inner = {place: node for place, node in wanted.items() if place[0]}
    stored = reading.nodes(log, inner)
    for place, node in inner.items():
        if stored.get(place) != node:
            raise Stopped(Alarm.DAMAGED, f"node {place} is missing or was altered")


# The head.


def _check_fence(log: TransparencyLog, before: Checkpoint | None) -> None:
    """That the database holds all that was signed. Raises Stopped."""
    try:
        known = fence.of(log)
    except fence.Unreadable as file:
        raise Stopped(Alarm.ROLLED_BACK, f"{file} cannot be read") from None
    if known is None:
        return
    if before is None or before.size < known.size:
        size = before.size if before else 0
        raise Stopped(Alarm.ROLLED_BACK, f"the database holds {size} entries, {known.size} were signed")
    if before.size == known.size:
        found = bytes(before.root)
    else:
        # Ended between its commit and the record: what is stored must continue what was recorded.
        row = reading.checkpoint_of(log, known.size)
        found = bytes(row.root) if row else b""
    if found.hex() != known.root:
        raise Stopped(Alarm.ROLLED_BACK, f"the first {known.size} entries are not those that were signed")


def _check_salt(log: TransparencyLog) -> None:
    """A log of hashes that nobody can check any more is not continued. Raises Stopped."""
    if log.purpose == TransparencyLog.Purpose.AUDIT:
        try:
            keys.salt_key(log)
        except keys.KeyMissing as missing:
            raise Stopped(Alarm.KEY, str(missing)) from None


def _signed(log: TransparencyLog, head: notes.Checkpoint, at: datetime) -> str:
    try:
        return notes.write_checkpoint(head, keys.signers(log, at))
    except keys.KeyMissing as missing:
        raise Stopped(Alarm.KEY, str(missing)) from None
