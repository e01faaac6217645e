"""Reading a log from its first entry to its last: the tree that its entries give, and what they say about promises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from promises import merkle
from promises.ledger.models import LogLeaf, TransparencyLog
from promises.statistics import Replay

AT_ONCE = 4096


# What the count reads: kind of entry -> its members. A truth value is no whole number here.
_COUNTED: dict[str, dict[str, type]] = {
    "issue": {"due": int},
    "revise": {"ref": int, "due": int, "ts": int},
    "outcome": {"ref": int, "k": str, "at": int, "src": str},
}


class BadEntry(ValueError):
    """A line that is no entry: its place, counted from 0, and why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"entry {index}: {why}")
        self.index, self.why = index, why


class Tree:
    """A growing tree of which only the right edge is held."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[merkle.Hash] = []

    def add(self, leaf: merkle.Hash) -> list[merkle.Node]:
        """Append one leaf's hash; the nodes that are complete now, the leaf first."""
        index, level, node = self.size, 0, leaf
        nodes = [(0, index, leaf)]
        while index >> level & 1:
            node = merkle.node_hash(self._edge.pop(), node)
            level += 1
            nodes.append((level, index >> level, node))
        self._edge.append(node)
        self.size += 1
        return nodes

    def root(self) -> merkle.Hash:
        if not self._edge:
            return merkle.EMPTY_ROOT
        node = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            node = merkle.node_hash(left, node)
        return node


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it: the tree, and the promises to count."""

    tree: Tree
    promises: Replay


def replay(entries: Iterable[bytes]) -> Replayed:
    """Read the entries in the order of the log. Raises BadEntry."""
    found = Replayed(Tree(), Replay())
    go_on(found, entries)
    return found


def go_on(found: Replayed, entries: Iterable[bytes]) -> None:
    """Read the next entries. Raises BadEntry."""
    tree, promises = found.tree, found.promises
    for entry in entries:
        place = tree.size
        tree.add(merkle.leaf_hash(entry))
        said = decoded(entry, place)
        for name, kind in _COUNTED.get(str(said.get("t")), {}).items():
            if type(said.get(name)) is not kind:
                raise BadEntry(place, f"{name} is missing or of another kind")
        promises.add(said)


def decoded(entry: bytes, place: int) -> dict[str, Any]:
    """What one entry says. Raises BadEntry."""
    try:
        said = json.loads(entry)
    except (ValueError, RecursionError):
        raise BadEntry(place, "not JSON in UTF-8") from None
    if not isinstance(said, dict):
        raise BadEntry(place, "not an object")
    return said


def stored(log: TransparencyLog, until: int | None = None) -> Iterator[tuple[int, bytes, bytes]]:
    """Place, entry and hash of every stored entry, in the order of their places; some thousands in memory at a time.

    until: the first place that is left out.
    """
    last = -1
    while True:
        rows = LogLeaf.objects.filter(log=log, index__gt=last).order_by("index")
        if until is not None:
            rows = rows.filter(index__lt=until)
        portion = list(rows.values_list("index", "entry", "leaf_hash")[:AT_ONCE])
        for index, entry, leaf_hash in portion:
            yield index, bytes(entry), bytes(leaf_hash)
        if len(portion) < AT_ONCE:
            return
        last = portion[-1][0]
