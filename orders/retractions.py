"""Facts that were taken back by a later fact, and what then still counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

Fact = TypeVar("Fact", bound=Any)


def not_taken_back(facts: Sequence[Fact]) -> list[Fact]:
    """The facts that count, without the retractions themselves. facts: in order of time."""
    gone = taken_back(facts)
    if not gone:
        return list(facts)
    return [fact for fact in facts if fact.kind != "fact.retracted" and not is_named(fact, gone)]


def taken_back(facts: Iterable[Any]) -> set[tuple[str, str, str]]:
    """What the retractions among these facts name. facts: in order of time.

    Judged from the last one back: a retraction that was itself taken back strikes nothing.
    """
    gone: set[tuple[str, str, str]] = set()
    for fact in reversed([fact for fact in facts if fact.kind == "fact.retracted"]):
        if not is_named(fact, gone):
            gone.add(_named(fact))
    return gone


def is_named(fact: Any, names: Collection[tuple[str, str, str]]) -> bool:
    """Whether one of these names means the fact; a name without a kind means all of its key."""
    return (fact.source, fact.key, fact.kind) in names or (fact.source, fact.key, "") in names


def _named(retraction: Any) -> tuple[str, str, str]:
    """Which fact a retraction names: {"source", "key", "kind"}; without kind, every fact of that key."""
    named = retraction.data.get("fact") or {}
    return (str(named.get("source", "")), str(named.get("key", "")), str(named.get("kind", "")))
