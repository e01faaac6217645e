"""The orders that are learned from, as columns: placed, handed over, delivered, and what was expected of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from promises.eta.features import GROUPS, N_NUMBERS, Described
from promises.eta.orders import EPOCH, Placed, moment, offset_days

_FIRST_ROOM = 1024
_GROWTH = 1.3
_COLUMNS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "placed": (np.float64, ()),
    "offset": (np.float32, ()),
    "day": (np.int32, ()),
    "shape": (np.float32, ()),
    "level": (np.float32, ()),
    "handed": (np.float64, ()),
    "days": (np.float32, ()),
    "gone": (np.bool_, ()),
    "numbers": (np.float32, (N_NUMBERS,)),
    "groups": (np.int32, (len(GROUPS),)),
}


class Book:
    """Rows in the order of their placing. An outcome is nan until the event that tells it has come."""

    def __init__(self) -> None:
        self.n = 0
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: np.zeros((_FIRST_ROOM, *shape), dtype) for name, (dtype, shape) in _COLUMNS.items()
        }
        self.open: dict[str, int] = {}
        self.numbering: tuple[dict[tuple[str, ...], int], ...] = tuple({(): 0} for _ in GROUPS)

    def column(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name][: self.n]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        return {name: self.column(name) for name in self._columns}

    def replace(self, name: str, values: npt.NDArray[Any]) -> None:
        """Put these values in place of a whole column; every column must be given as many."""
        self._columns[name] = values
        self.n = len(values)

    def add(self, order: Placed, described: Described, shape: float, level: float) -> None:
        """Write down a new order and what is expected of it now on the scale log(days + 1).

        shape is what its kind of order takes, level what present days add to any order.
        """
        if self.n == len(self._columns["placed"]):
            self._make_room()
        row = self.n
        self.n += 1
        at = order.placed_at
        values = {
            "placed": moment(at),
            "offset": offset_days(at),
            "day": at.toordinal() - EPOCH,
            "shape": shape,
            "level": level,
            "handed": np.inf,
            "days": np.nan,
            "gone": False,
            "numbers": described.numbers,
            "groups": self._numbered(described.groups),
        }
        for name, value in values.items():
            self._columns[name][row] = value
        self.open[order.key] = row

    def number_all(self, groups: Iterable[tuple[tuple[str, ...], ...]]) -> npt.NDArray[np.int32]:
        """The numbers of these keys, one row of len(GROUPS) for each order's keys."""
        return np.array([self._numbered(keys) for keys in groups], np.int32)

    def _numbered(self, keys: tuple[tuple[str, ...], ...]) -> list[int]:
        return [known.setdefault(key, len(known)) for known, key in zip(self.numbering, keys, strict=True)]

    def hand_over(self, key: str, at: float) -> None:
        row = self.open.get(key)
        if row is not None:
            self._columns["handed"][row] = min(at, self._columns["handed"][row])

    def deliver(self, key: str, days: int) -> int | None:
        """The row of the order, or None if it is not one that is on its way."""
        row = self.open.pop(key, None)
        if row is not None:
            self._columns["days"][row] = days
        return row

    def strike(self, key: str) -> None:
        """The order was cancelled or came back: it says nothing about how long orders take."""
        row = self.open.pop(key, None)
        if row is not None:
            self._columns["gone"][row] = True

    def forget(self, before: float) -> None:
        """Drop the rows placed before that moment. Rows stand in the order of placing, give or take what came in late."""
        is_kept = self.column("placed") >= before
        n_old = int(np.argmax(is_kept)) if is_kept.any() else self.n
        if not n_old:
            return
        for name, column in self._columns.items():
            self._columns[name] = column[n_old:].copy()
        self.n -= n_old
        self.open = {key: row - n_old for key, row in self.open.items() if row >= n_old}

    def _make_room(self) -> None:
        room = int(self.n * _GROWTH) + 1
        # One column after the other, so that only one is held twice.
        for name in list(self._columns):
            old = self._columns[name]
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: self.n] = old[: self.n]
            self._columns[name] = new

    def age(self, now: float) -> npt.NDArray[np.float64]:
        """Days since each order's date, counted in whole dates of its destination."""
        local_today = np.floor(now + self.column("offset"))
        return np.asarray(local_today - self.column("day"), np.float64)
