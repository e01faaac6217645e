"""What a log proves about its promises: integers that anybody gets who reads its entries.

A promise counts once its first date and the grace are over, or once it has an outcome; one that the customer cancelled
never counts. The first outcome wins, silence is a broken promise, and a date moved after it had passed was not moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

GRACE = 259_200
MILLION = 1_000_000


@dataclass(slots=True)
class _Promise:
    first_due: int
    latest_due: int
    is_revised: bool = False
    kind: str = ""
    at: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """due: how many promises count. The rates are parts per million of them, by the first date, rounded down."""

    issued: int
    due: int
    open_not_due: int
    cancelled_by_customer: int
    kept_first: int
    kept_latest: int
    kept_first_evidence_carrier: int
    late: int
    failed: int
    cancelled_by_seller: int
    silent: int
    revised: int
    rate_first_floor_ppm: int
    rate_first_carrier_ppm: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Replay:
    """Reads entries in the order of the log, whole or in portions."""

    def __init__(self) -> None:
        self._promises: dict[int, _Promise] = {}
        self._size = 0
        self.grace: int | None = None

    def add(self, entry: Mapping[str, Any]) -> None:
        """One entry as decoded JSON. Entries of kinds that say nothing about promises are counted over."""
        index, self._size = self._size, self._size + 1
        kind = entry.get("t")
        if kind == "issue":
            self._promises[index] = _Promise(entry["due"], entry["due"])
        elif kind in {"revise", "outcome"}:
            promise = self._promises.get(entry["ref"])
            if promise is not None and not promise.kind:
                (_revise if kind == "revise" else _close)(promise, entry)
        elif kind == "genesis" and self.grace is None:
            policy = entry.get("policy")
            self.grace = policy.get("grace") if isinstance(policy, Mapping) else None

    def statistics(self, *, as_of: int, grace: int | None = None) -> Statistics:
        """How it stands at that moment (Unix seconds). grace: seconds; without it what the genesis entry fixes."""
        wait = next(one for one in (self.grace, grace, GRACE) if one is not None)
        found = dict.fromkeys(Statistics.__slots__, 0)
        for promise in self._promises.values():
            found["issued"] += 1
            found["revised"] += promise.is_revised
            _count(promise, found, is_over=promise.first_due + wait < as_of)
        due = found["due"]
        found["rate_first_floor_ppm"] = found["kept_first"] * MILLION // due if due else 0
        found["rate_first_carrier_ppm"] = found["kept_first_evidence_carrier"] * MILLION // due if due else 0
        return Statistics(**found)


def _revise(promise: _Promise, entry: Mapping[str, Any]) -> None:
    if entry["ts"] > promise.latest_due:
        return
    promise.latest_due = entry["due"]
    promise.is_revised = True


def _close(promise: _Promise, entry: Mapping[str, Any]) -> None:
    promise.kind, promise.at, promise.source = entry["k"], entry["at"], entry["src"]


def _count(promise: _Promise, found: dict[str, int], *, is_over: bool) -> None:
    if promise.kind == "cancel_customer":
        found["cancelled_by_customer"] += 1
        return
    if not promise.kind and not is_over:
        found["open_not_due"] += 1
        return
    found["due"] += 1
    if promise.kind == "delivered":
        is_kept = promise.at <= promise.first_due
        found["kept_first" if is_kept else "late"] += 1
        found["kept_latest"] += promise.at <= promise.latest_due
        found["kept_first_evidence_carrier"] += is_kept and promise.source == "carrier"
    else:
        found[{"failed": "failed", "cancel_seller": "cancelled_by_seller"}.get(promise.kind, "silent")] += 1


def replay(entries: Iterable[Mapping[str, Any]]) -> Replay:
    found = Replay()
    for entry in entries:
        found.add(entry)
    return found
