"""The learned state: packed into its row, and kept by the process that asks it. Imports numpy: for workers only."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from promises.estimates.models import EstimateModel, Expectations, PlannedSurge
from promises.eta import surge
from promises.eta.learner import VERSION, Learner
from promises.eta.nights import Expected

# How many nights are kept: estimates name the one that they were made with.
KEPT = 30


@dataclass(frozen=True, slots=True)
class Learned:
    """What one night left: from placing to the door, from hand-over to the door, each warehouse's pace by its code.

    carriers: who usually takes what goes from a warehouse to a zone; before the waybill nobody has said.
    """

    version: str
    made_at: datetime
    door: Learner
    way: Learner
    rates: Mapping[str, tuple[float, ...]]
    carriers: Mapping[str, str]

    def carrier_of(self, origin: str, zone: str) -> str:
        return self.carriers.get(route(origin, zone), "")


def route(origin: str, zone: str) -> str:
    return f"{origin}/{zone}"


_kept: dict[bool, tuple[tuple[Any, ...], Learned]] = {}


def of_night(
    mark: tuple[Any, ...], surges: tuple[surge.PlannedSurge, ...], *, is_demo: bool
) -> Learned | None:
    """What the newest night left, with these surges planned. mark: tells that night from any other."""
    known = _kept.get(is_demo)
    if known is None or known[0] != mark:
        row = EstimateModel.objects.filter(is_demo=is_demo).first()
        if row is None:
            return None
        known = _kept[is_demo] = (mark, _read(row))
    found = known[1]
    found.door.surges = found.way.surges = surges
    return found


def forget() -> None:
    """Let go of what this process keeps of the learned state."""
    _kept.clear()


def planned_surges() -> tuple[surge.PlannedSurge, ...]:
    return tuple(
        surge.PlannedSurge(first=row.first, last=row.last, factor=float(row.factor))
        for row in PlannedSurge.objects.all()
    )


def _read(row: EstimateModel) -> Learned:
    state = json.loads(zlib.decompress(bytes(row.state)))
    return Learned(
        version=row.version,
        made_at=row.made_at,
        door=Learner.of_state(state["door"]),
        way=Learner.of_state(state["way"]),
        rates={code: tuple(rates) for code, rates in state["rates"].items()},
        carriers=state["carriers"],
    )


@dataclass(frozen=True, slots=True)
class Stopped:
    """A learner as one night left it, without its orders; packed: what it had expected of each of them by then."""

    learned: Learner
    packed: bytes
    at: datetime

    def expected(self) -> Expected:
        return _unpacked(self.packed)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a night stopped, and the next one can go on."""

    made_at: datetime
    from_placing: Stopped
    from_hand_over: Stopped


def kept(*, is_demo: bool) -> Kept | None:
    """The newest night, if another one of the same method can go on from there."""
    row = EstimateModel.objects.filter(is_demo=is_demo).first()
    if row is None or row.method != VERSION:
        return None
    expectations = Expectations.objects.filter(model=row).first()
    if expectations is None:
        return None
    known = _read(row)
    return Kept(
        row.made_at,
        Stopped(known.door, bytes(expectations.from_placing), row.made_at),
        Stopped(known.way, bytes(expectations.from_hand_over), row.made_at),
    )


def _packed(expected: Expected) -> bytes:
    file = io.BytesIO()
    # The keys rise: their steps take a tenth of the room.
    np.savez_compressed(
        file, steps=np.diff(expected.key, prepend=0), shape=expected.shape, level=expected.level
    )
    return file.getvalue()


def _unpacked(data: bytes) -> Expected:
    with np.load(io.BytesIO(data), allow_pickle=False) as columns:
        return Expected(np.cumsum(columns["steps"]), columns["shape"], columns["level"])


def store(
    door: Learner,
    way: Learner,
    rates: Mapping[str, tuple[float, ...]],
    carriers: Mapping[str, str],
    expected: tuple[Expected, Expected],
    *,
    n_learned: int,
    at: datetime,
    newest_placed_at: datetime | None,
    is_demo: bool,
) -> EstimateModel:
    """Keep this night, clear away the oldest ones. expected: from placing and from hand-over."""
    state: dict[str, Any] = {"door": door.state(), "way": way.state(), "rates": rates, "carriers": carriers}
    row = EstimateModel.objects.create(
        made_at=at,
        method=VERSION,
        n_learned=n_learned,
        n_delivered=door.n_delivered,
        newest_placed_at=newest_placed_at,
        is_demo=is_demo,
        state=zlib.compress(json.dumps(state).encode(), 6),
    )
    Expectations.objects.filter(model__is_demo=is_demo).delete()
    Expectations.objects.create(
        model=row, from_placing=_packed(expected[0]), from_hand_over=_packed(expected[1])
    )
    newest = EstimateModel.objects.filter(is_demo=is_demo).values_list("pk", flat=True)[:KEPT]
    EstimateModel.objects.filter(is_demo=is_demo, pk__lt=min(newest)).delete()
    return row
