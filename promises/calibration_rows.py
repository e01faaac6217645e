"""The judged promises of a back-test: written by the replay, read by the page that asks how far odds can be believed."""

from __future__ import annotations

import csv
import gzip
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from promises.calibration_figures import BINS, Judged

if TYPE_CHECKING:
    from promises.eta.forecast import Forecast
    from promises.eta.orders import Past

# The newest so many are kept: what a page reads at once.
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """One order that was promised and delivered.

    The promise is the hub's, at the target; the probe is a date at one of ten levels of odds in turn, so that all odds
    are tried, not only those of promises.
    """

    order: str
    placed_on: date
    delivered_on: date
    lane: str
    warehouse: str
    carrier: str
    due_on: date
    odds: float
    probe_due_on: date
    probe_odds: float

    @property
    def days(self) -> int:
        """How many days were promised."""
        return (self.due_on - self.placed_on).days

    @property
    def promise(self) -> Judged:
        return Judged(self.odds, self.delivered_on <= self.due_on)

    @property
    def probe(self) -> Judged:
        return Judged(self.probe_odds, self.delivered_on <= self.probe_due_on)


class Listening:
    """Hears each forecast of a replay and keeps the newest as rows."""

    def __init__(self, target: float) -> None:
        self._target = target
        self._n = 0
        self.rows: deque[Row] = deque(maxlen=MOST)

    def __call__(self, past: Past, forecast: Forecast) -> None:
        order, placed_on = past.order, past.order.placed_at.date()
        due, probe = (forecast.days_at(odds) for odds in (self._target, (self._n % BINS + 0.5) / BINS))
        self._n += 1
        self.rows.append(
            Row(
                # The number of the line makes keys unique; people know the order without it.
                order=order.key.rpartition("#")[0] or order.key,
                placed_on=placed_on,
                delivered_on=placed_on + timedelta(days=past.days or 0),
                lane=" → ".join(filter(None, (order.origin_region, order.province))),
                warehouse=order.origin,
                carrier=" ".join(filter(None, (order.carrier, order.service))),
                due_on=placed_on + timedelta(days=due),
                odds=round(forecast.odds(due), 6),
                probe_due_on=placed_on + timedelta(days=probe),
                probe_odds=round(forecast.odds(probe), 6),
            )
        )


def write(path: Path, rows: deque[Row]) -> None:
    """Readable by this account only; whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with _written(part) as file:
        csv.writer(file).writerows(astuple(row) for row in rows)
    part.replace(path)


@contextmanager
def _written(path: Path) -> Iterator[IO[str]]:
    with (
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw,
        gzip.open(raw, "wt", encoding="utf-8", newline="") as file,
    ):
        yield file


_READ: dict[str, Callable[[str], Any]] = {"date": date.fromisoformat, "float": float, "str": str}
_READERS = [_READ[str(field.type)] for field in fields(Row)]


def read(path: Path) -> list[Row]:
    """The rows as they were written, oldest first; none where there is no such file."""
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            return [
                Row(*(reader(cell) for reader, cell in zip(_READERS, cells, strict=True)))
                for cells in csv.reader(file)
            ]
    except FileNotFoundError:
        return []
