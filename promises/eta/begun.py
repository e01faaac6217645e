"""Orders that have begun, as columns: when, for which place, and what has come of them. More than a million fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from promises.eta.book import Book
from promises.eta.features import GROUPS, LEVELS, groups, levels, numbers_of
from promises.eta.orders import EPOCH, Placed

Floats = npt.NDArray[np.float64]

_DAY = 86_400
_CHUNK = 20_000
_START = datetime.fromordinal(EPOCH).replace(tzinfo=UTC)
_START_STAMP = _START.timestamp()


class Place(NamedTuple):
    """All words that are known of an order, as Placed names them."""

    county: str
    city: str
    province: str
    carrier: str
    service: str
    origin: str
    origin_region: str


class Told(NamedTuple):
    """One order as it is read. key: a number; zone: the clock of its destination; None: it has not happened, or is not known."""

    key: int
    begun_at: datetime
    zone: str
    handed_at: datetime | None
    delivered_at: datetime | None
    n_items: float | None
    place: Place


@dataclass(frozen=True, slots=True)
class Begun:
    """n orders, first begun first; every column is (n,).

    begun, handed, delivered: seconds since EPOCH on the common clock, nan where it has not happened. zone and place: numbers in
    zones and places. n_items: nan where it is not known.
    """

    key: npt.NDArray[np.int64]
    begun: Floats
    handed: Floats
    delivered: Floats
    zone: npt.NDArray[np.int16]
    place: npt.NDArray[np.int32]
    n_items: npt.NDArray[np.float32]
    zones: Sequence[ZoneInfo]
    places: Sequence[Place]

    def __len__(self) -> int:
        return len(self.key)

    def order(self, row: int) -> Placed:
        zone = self.zones[self.zone[row]]
        n_items = float(self.n_items[row])
        return Placed(
            key=str(self.key[row]),
            placed_at=(_START + timedelta(seconds=float(self.begun[row]))).astimezone(zone),
            n_items=None if np.isnan(n_items) else n_items,
            **self.places[self.place[row]]._asdict(),
        )

    def from_hand_over(self) -> Begun:
        """The same orders as if each had begun when it left the house; without those that have not."""
        rows = np.flatnonzero(~np.isnan(self.handed))
        rows = rows[np.lexsort((self.key[rows], self.handed[rows]))]
        columns = {name: getattr(self, name)[rows] for name in _DTYPES}
        return Begun(**{**columns, "begun": columns["handed"]}, zones=self.zones, places=self.places)

    def offsets(self, moments: Floats) -> Floats:
        """How many seconds each order's clock is ahead of the common one at that moment of it; nan where there is none."""
        found = np.full(len(moments), np.nan)
        for number, zone in enumerate(self.zones):
            rows = np.flatnonzero((self.zone == number) & ~np.isnan(moments))
            if len(rows):
                found[rows] = _offsets(zone, moments[rows])
        return found

    def delivered_by_level(self, has_come: npt.NDArray[np.bool_]) -> dict[tuple[str, tuple[str, ...]], int]:
        """Of these orders, how many there are at each place of each of LEVELS."""
        counted: dict[tuple[str, tuple[str, ...]], int] = {}
        ns = np.bincount(self.place[has_come], minlength=len(self.places)).tolist()
        for place, n in zip(self.places, ns, strict=True):
            if n:
                for level in zip(LEVELS, levels(_anywhen(place)), strict=True):
                    counted[level] = counted.get(level, 0) + n
        return counted

    def write_into(self, book: Book) -> None:
        """Put all orders into an empty book, whatever has come of them; what was expected of them stays empty (nan)."""
        offset = self.offsets(self.begun)
        local = self.begun + offset
        day = np.floor_divide(local, _DAY)
        came = self.delivered + self.offsets(self.delivered)
        days = np.maximum(np.floor_divide(came, _DAY) - day, 0)
        table = book.number_all(groups(_anywhen(place)) for place in self.places)
        nothing = np.full(len(self), np.nan, np.float32)
        columns: dict[str, npt.NDArray[Any]] = {
            "placed": self.begun / _DAY,
            "offset": (offset / _DAY).astype(np.float32),
            "day": day.astype(np.int32),
            "shape": nothing,
            "level": nothing.copy(),
            "handed": np.where(np.isnan(self.handed), np.inf, self.handed / _DAY),
            "days": days.astype(np.float32),
            "gone": np.zeros(len(self), np.bool_),
            "numbers": self._numbers(local, day),
            "groups": table[self.place] if len(self.places) else np.zeros((0, len(GROUPS)), np.int32),
        }
        for name, column in columns.items():
            book.replace(name, column)

    def _numbers(self, local: Floats, day: Floats) -> npt.NDArray[np.float16]:
        is_near = np.array([bool(one.province) and one.province == one.origin_region for one in self.places])
        return numbers_of(
            minute=np.floor_divide(local - day * _DAY, 60),
            day=day,
            n_items=self.n_items,
            is_near=is_near[self.place] if len(self.places) else np.zeros(0, np.bool_),
        )


def _anywhen(place: Place) -> Placed:
    """An order to that place: for what does not depend on the time."""
    return Placed(key="", placed_at=_START, **place._asdict())


def _offsets(zone: ZoneInfo, moments: Floats) -> Floats:
    """Clocks are changed on few days: all others need to be asked for once a day, not once an order."""
    days, where = np.unique(np.floor_divide(moments, _DAY), return_inverse=True)
    at_dawn = np.array([_offset(zone, day * _DAY) for day in days])
    at_dusk = np.array([_offset(zone, (day + 1) * _DAY) for day in days])
    found = at_dawn[where]
    for row in np.flatnonzero((at_dawn != at_dusk)[where]):
        found[row] = _offset(zone, moments[row])
    return np.asarray(found, np.float64)


def _offset(zone: ZoneInfo, seconds: float) -> float:
    offset = (_START + timedelta(seconds=float(seconds))).astimezone(zone).utcoffset()
    return offset.total_seconds() if offset else 0.0


def seconds_of(at: datetime | None) -> float:
    return np.nan if at is None else at.timestamp() - _START_STAMP


def gather(told: Iterable[Told], n: int) -> Begun:
    """Columns of these orders, n at most, which come first begun first."""
    zones: dict[str, int] = {}
    places: dict[Place, int] = {}
    # Whole columns from the beginning: put together from pieces they would be held twice.
    columns = {name: np.empty(n, dtype) for name, dtype in _DTYPES.items()}
    rows, end = islice(told, n), 0
    while piece := list(islice(rows, _CHUNK)):
        some = slice(end, end := end + len(piece))
        columns["key"][some] = [one.key for one in piece]
        columns["begun"][some] = [seconds_of(one.begun_at) for one in piece]
        columns["handed"][some] = [seconds_of(one.handed_at) for one in piece]
        columns["delivered"][some] = [seconds_of(one.delivered_at) for one in piece]
        columns["zone"][some] = [zones.setdefault(one.zone, len(zones)) for one in piece]
        columns["place"][some] = [places.setdefault(one.place, len(places)) for one in piece]
        columns["n_items"][some] = [np.nan if one.n_items is None else one.n_items for one in piece]
    found = {name: column[:end] for name, column in columns.items()}
    return Begun(**found, zones=[ZoneInfo(zone) for zone in zones], places=list(places))


_DTYPES: Mapping[str, Any] = {
    "key": np.int64,
    "begun": np.float64,
    "handed": np.float64,
    "delivered": np.float64,
    "zone": np.int16,
    "place": np.int32,
    "n_items": np.float32,
}
