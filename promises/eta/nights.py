"""Learning from all orders at once, night by night: what each began with was expected by what was known the night before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from promises.eta.begun import Begun
from promises.eta.forecast import Forecast, NoDate
from promises.eta.learner import ENOUGH, Learner
from promises.eta.orders import Placed

Heard = Callable[[Placed, Forecast | NoDate], None]

_DAY = 86_400
_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of orders when they began, (n,) each, by their keys in rising order.

    shape and level: on the scale log(days + 1), as Book.add has them.
    """

    key: npt.NDArray[np.int64]
    shape: npt.NDArray[np.float32]
    level: npt.NDArray[np.float32]

    def rows_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Where each of these orders stands; -1 for those that nothing was expected of."""
        if not len(self.key):
            return np.full(len(keys), -1, np.intp)
        rows = np.minimum(np.searchsorted(self.key, keys), len(self.key) - 1)
        return np.where(self.key[rows] == keys, rows, -1)


def live_through(
    begun: Begun,
    nights: Sequence[float],
    at: float,
    learner: Learner,
    *,
    known: Expected | None = None,
    heard: Heard | None = None,
) -> Expected:
    """Let the learner live through these nights up to a moment (days since EPOCH); what was expected of each order by then.

    Of nothing it knows more at any time than had happened. Without known it begins with nothing: the first orders are judged
    by what the first night with ENOUGH of them had learned. With known it goes on: it must be the learner that was kept
    beside it, and only orders that are not in there are expected anew.
    heard: is told what was said of each of these when it began.
    """
    told = _Telling(begun, learner, known)
    # As large as a column of the book, and not needed any more.
    del known
    for night in nights:
        told.expect_until(night, "left", heard)
        told.learn(night)
    told.expect_until(at, "right", heard)
    told.learn(at)
    if not told.has_looked_back:
        learner.look_back(at)
        learner.calibrate(at)
    told.count()
    return told.expected()


class _Telling:
    """Where in the past the telling stands. The book holds all orders; it is made to show those that had begun by then."""

    def __init__(self, begun: Begun, learner: Learner, known: Expected | None) -> None:
        self._begun, self._learner = begun, learner
        learner.hold_nights()
        begun.write_into(learner.book)
        self._all: dict[str, npt.NDArray[Any]] = learner.book.columns()
        self._n_expected = 0
        self._has_come = np.zeros(len(begun), np.bool_)
        self.has_looked_back = known is not None
        if known is not None:
            rows = known.rows_of(begun.key)
            found = rows >= 0
            self._all["shape"][found] = known.shape[rows[found]]
            self._all["level"][found] = known.level[rows[found]]

    def expect_until(self, to: float, side: Literal["left", "right"], heard: Heard | None) -> None:
        """What is known now is said of the orders that begin before then (left), or until then (right)."""
        first, end = self._n_expected, int(np.searchsorted(self._all["placed"], to, side))
        self._n_expected = end
        rows = first + np.flatnonzero(np.isnan(self._all["shape"][first:end]))
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            self._show({name: column[some] for name, column in self._all.items()})
            self._all["shape"][some], self._all["level"][some] = self._learner.expectations()
        if heard is not None and len(rows):
            self.count()
            for row in rows:
                order = self._begun.order(int(row))
                heard(order, self._learner.forecast(order))

    def count(self) -> None:
        """Have the learner know how many had come to each place by the last night."""
        self._learner.count(self._begun.delivered_by_level(self._has_come))

    def learn(self, night: float) -> None:
        """Calibrate by what had happened by then, and by nothing else."""
        begun, n = self._begun, self._n_expected
        rows = {name: column[:n] for name, column in self._all.items()}
        # Clocks of two systems differ: nothing happens to an order before it begins.
        has_come = np.maximum(begun.delivered[:n], begun.begun[:n]) <= night * _DAY
        rows["days"] = np.where(has_come, rows["days"], np.float32(np.nan))
        rows["handed"] = np.where(rows["handed"] <= night, rows["handed"], np.inf)
        self._show(rows)
        self._has_come[:n] = has_come
        self._learner.n_delivered = int(has_come.sum())
        self._learner.calibrate(night)
        if not self.has_looked_back and self._learner.n_delivered >= ENOUGH:
            self._learner.look_back(night)
            self.has_looked_back = True

    def _show(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        for name, column in columns.items():
            self._learner.book.replace(name, column)

    def expected(self) -> Expected:
        rows = np.flatnonzero(~np.isnan(self._all["shape"]))
        rows = rows[np.argsort(self._begun.key[rows], kind="stable")]
        return Expected(self._begun.key[rows], self._all["shape"][rows], self._all["level"][rows])
