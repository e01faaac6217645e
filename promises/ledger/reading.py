"""Reading a log: its head, its entries, and proofs of their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.db import connection

from promises import merkle, proofs
from promises.ledger.models import Checkpoint, LogLeaf, LogPending, TransparencyLog

Place = tuple[int, int]
Found = TypeVar("Found")
# Both databases take far more parameters in one statement; a proof needs about forty.
MOST_AT_ONCE = 400


class NotThere(LookupError):
    """There is no such entry, or no checkpoint covers it yet."""


# Heads.


def newest(log: TransparencyLog) -> Checkpoint | None:
    """The largest head that was signed; None before the first."""
    return Checkpoint.objects.filter(log=log).order_by("-size").first()


def checkpoint_of(log: TransparencyLog, size: int) -> Checkpoint | None:
    """The head of just that size, if one was signed."""
    return Checkpoint.objects.filter(log=log, size=size).first()


def note_of(checkpoint: Checkpoint) -> str:
    """The signed note with the lines of the witnesses that have signed it since."""
    lines = checkpoint.cosignatures.order_by("witness").values_list("line", flat=True)
    return checkpoint.note + "".join(lines)


# Entries.


def place_of(pending: LogPending) -> int | None:
    """The place in the log that the sequencer has given; None while the entry waits."""
    return LogPending.objects.values_list("index", flat=True).get(pk=pending.pk)


def entry(log: TransparencyLog, index: int) -> bytes:
    """The bytes of one entry. Raises NotThere."""
    found = LogLeaf.objects.filter(log=log, index=index).values_list("entry", flat=True).first()
    if found is None:
        raise NotThere(index)
    return bytes(found)


# Nodes.


def nodes(log: TransparencyLog, places: Iterable[Place]) -> dict[Place, bytes]:
    """The hashes of these nodes, (level, index), that are there."""
    wanted = sorted(set(places))
    found: dict[Place, bytes] = {}
    for start in range(0, len(wanted), MOST_AT_ONCE):
        found |= _fetched(log, wanted[start : start + MOST_AT_ONCE])
    return found


def _fetched(log: TransparencyLog, places: list[Place]) -> dict[Place, bytes]:
    """In one statement: a proof is asked for more often than anything else."""
    leaves = [index for level, index in places if level == 0]
    inner = [number for place in places if place[0] for number in place]
    parts, values = [], []
    if leaves:
        parts.append(_LEAVES % ", ".join(["%s"] * len(leaves)))
        values += [log.pk, *leaves]
    if inner:
        parts.append(_INNER % ", ".join(["(%s, %s)"] * (len(inner) // 2)))
        values += [*inner, log.pk]
    if not parts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        return {(level, index): bytes(value) for level, index, value in cursor.fetchall()}


_LEAVES = 'SELECT 0, "index", leaf_hash FROM promises_logleaf WHERE log_id = %%s AND "index" IN (%s)'
# A join, so that each place is one look into the index; for "(a, b) IN (...)" SQLite reads the whole table.
_INNER = (
    'SELECT node.level, node."index", node.hash FROM (VALUES %s) wanted '
    "JOIN promises_lognode node ON node.log_id = %%s AND node.level = wanted.column1 "
    'AND node."index" = wanted.column2'
)


def with_nodes(log: TransparencyLog, work: Callable[[merkle.Read], Found]) -> Found:
    """What the function gives that reads nodes one by one, with all of them fetched at once. Raises NotThere.

    It is called twice: once to learn which nodes it reads.
    """
    wanted: list[Place] = []

    def note(level: int, index: int) -> bytes:
        wanted.append((level, index))
        return bytes(merkle.HASH_SIZE)

    work(note)
    found = nodes(log, wanted)

    def read(level: int, index: int) -> bytes:
        try:
            return found[level, index]
        except KeyError:
            raise NotThere((level, index)) from None

    return work(read)


def root(log: TransparencyLog, size: int) -> bytes:
    """The root over the first entries, from the stored hashes. Raises NotThere."""
    return with_nodes(log, lambda read: merkle.root(size, read))


# Proofs.


def proof_file(log: TransparencyLog, index: int, extra: bytes = b"") -> str:
    """The proof that the entry stands in the newest head, as a text of its own. Raises NotThere.

    extra: see extra_of.
    """
    head = newest(log)
    if head is None or not 0 <= index < head.size:
        raise NotThere(index)
    size = head.size
    path = with_nodes(log, lambda read: merkle.inclusion(index, size, read))
    return str(proofs.ProofFile(index, tuple(path), note_of(head), extra))


def extra_of(entry_bytes: bytes, payload: bytes | None = None) -> bytes:
    """What makes a proof file suffice alone: {"entry": text, "payload": text}; the payload only for who may see it."""
    said: dict[str, Any] = {"entry": entry_bytes.decode()}
    if payload is not None:
        said["payload"] = payload.decode()
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def consistency(log: TransparencyLog, old: int, new: int) -> list[bytes]:
    """The proof that the head of size new continues the one of size old. Raises IndexError, NotThere."""
    return with_nodes(log, lambda read: merkle.consistency(old, new, read))
