"""The estimate, driven by events in the order in which they happen. It knows what it was told, and nothing is told early."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from promises.eta import calibration
from promises.eta.book import Book
from promises.eta.calibration import ALL_COME, Chances, Curve
from promises.eta.features import LEVELS, describe, levels
from promises.eta.fit import Fit, Floats, Parts, fit, from_data, nothing_learned
from promises.eta.forecast import Forecast, NoDate, NoDateReason
from promises.eta.orders import EPOCH, MEMORY_DAYS, Placed, days_until, moment
from promises.eta.surge import PlannedSurge, waits

# Changes with anything that changes what comes out; stored with every estimate.
VERSION = "1"

FIT_HALF_LIFE = 180.0
FIT_EVERY = 7
# A level counts from here on. Fewer delivered orders at the widest level: no date at all.
ENOUGH = 30
FIRST_FITS_UNTIL = 200
# Delivered orders are counted by level in spans of this many days, so that old ones can be taken out again.
_COUNTED_DAYS = 30
# The span of orders that were counted together: none is ever taken out again.
_UNDATED = 10**9
Place = tuple[str, tuple[str, ...]]


class Learner:
    """Tell it what happened by placed, handed, delivered and struck, in the order of the events; ask it by forecast.

    Every event and every question first lets the nights pass that lie between. heard: when it was told, where that is known;
    what is dated later than that is a wrong clock, and lets no night pass before its time.
    """

    def __init__(self, surges: Sequence[PlannedSurge] = ()) -> None:
        self.surges = tuple(surges)
        self.n_delivered = 0
        self.book = Book()
        self._fit: Fit = nothing_learned(self.book)
        self._curve: Curve | None = None
        self._chances: Chances = ALL_COME
        self._level = 0.0
        self._usual_level = 0.0
        self._night = -math.inf
        self._fitted = -math.inf
        self._delivered_at: dict[Place, dict[int, int]] = {}
        self._open: dict[str, Placed] = {}

    # What happens.

    def placed(self, order: Placed, heard: datetime | None = None) -> Forecast | NoDate:
        """A new order. Returns what can be said of it now."""
        self.pass_nights(_first(order.placed_at, heard))
        described = describe(order)
        parts = self._fit.parts(described)
        self.book.add(order, described, parts.total, self._expected(order, parts) - parts.total)
        self._open[order.key] = order
        return self._forecast(order, parts)

    def handed(self, key: str, at: datetime, heard: datetime | None = None) -> None:
        self.pass_nights(_first(at, heard))
        self.book.hand_over(key, moment(at))

    def delivered(self, key: str, at: datetime, heard: datetime | None = None) -> None:
        """The order came. Learned now, not before; an order that is not on its way is left alone."""
        self.pass_nights(_first(at, heard))
        order = self._open.pop(key, None)
        if order is None:
            return
        self.book.deliver(key, days_until(order, at))
        self.n_delivered += 1
        span = math.floor(moment(order.placed_at)) // _COUNTED_DAYS
        for place in zip(LEVELS, levels(order), strict=True):
            spans = self._delivered_at.setdefault(place, {})
            spans[span] = spans.get(span, 0) + 1

    def struck(self, key: str, at: datetime, heard: datetime | None = None) -> None:
        """The order was cancelled: how long it would have taken is not known."""
        self.pass_nights(_first(at, heard))
        self._open.pop(key, None)
        self.book.strike(key)

    # What is made of it.

    def pass_nights(self, now: datetime) -> None:
        """Calibrate if a midnight lies between this moment and the last one; fit once a week."""
        night = math.floor(moment(now))
        if night > self._night:
            self._night = night
            self.calibrate(night)

    def hold_nights(self) -> None:
        """Let no night pass until release_nights: for telling a long past of which only the end matters."""
        self._night = math.inf

    def release_nights(self) -> None:
        self._night = -math.inf

    def count(self, delivered: Mapping[Place, int]) -> None:
        """So many orders are known to have come, by place: for a book that was written at once and not told order by order."""
        self._delivered_at = {place: {_UNDATED: n} for place, n in delivered.items()}
        widest = LEVELS[-1]
        self.n_delivered = sum(n for (level, _key), n in delivered.items() if level == widest)

    def expectations(self) -> tuple[Floats, Floats]:
        """What is expected now of every row of the book: its shape and its level, as Book.add has them."""
        shapes = self._fit.totals(self.book)
        found = np.full(self.book.n, self._level)
        days = self.book.column("day")
        for day in np.unique(days):
            if extra := waits(self.surges, date.fromordinal(EPOCH + int(day))):
                rows = days == day
                found[rows] = (
                    np.log(np.exp(shapes[rows] + self._level) + sum(extra) / len(extra)) - shapes[rows]
                )
        return shapes, found

    def calibrate(self, night: float) -> None:
        if not self.n_delivered:
            return
        if night - self._fitted >= FIT_EVERY or self.n_delivered < FIRST_FITS_UNTIL:
            self._fitted = night
            self._forget(night - MEMORY_DAYS)
            self._fit = fit(self.book, night, FIT_HALF_LIFE)
            self._chances = calibration.find_chances(self.book, night)
        self._level = calibration.find_level(self.book, night, self._chances)
        self._curve = calibration.find_curve(self.book, night, self._chances)
        self._usual_level = calibration.usual_level(self.book, night)

    def _forget(self, before: float) -> None:
        """What was placed before that moment is no longer learned from, nor counted."""
        self.book.forget(before)
        self._open = {key: order for key, order in self._open.items() if key in self.book.open}
        for place, spans in list(self._delivered_at.items()):
            kept = {span: n for span, n in spans.items() if (span + 1) * _COUNTED_DAYS > before}
            if kept:
                self._delivered_at[place] = kept
            else:
                del self._delivered_at[place]

    def _expected(self, order: Placed, parts: Parts) -> float:
        """The middle of the estimate on the scale log(days + 1), planned surges included."""
        plain = parts.total + self._level
        extra = waits(self.surges, order.placed_at.date())
        return math.log(math.exp(plain) + sum(extra) / len(extra)) if extra else plain

    def look_back(self, night: float) -> None:
        """Judge the orders told so far by what is known now, as if it had been known when they were placed.

        For the first orders of a history: what was expected of them before anything was known says nothing of the spread.
        """
        self.book.column("shape")[:] = self._fit.totals(self.book)
        for _time in range(2):
            self.calibrate(night)
            self.book.column("level")[:] = self._level
        self.calibrate(night)

    # What is kept of it.

    def close_book(self) -> None:
        """Let go of the orders: what was learned of them stays, for forecasts and state."""
        self.book = Book()
        self.hold_nights()

    def state(self) -> dict[str, Any]:
        """All that forecasts need, as JSON holds it; the orders themselves are left out."""
        counts = [
            [level, list(key), sum(spans.values())] for (level, key), spans in self._delivered_at.items()
        ]
        curve = self._curve
        return {
            "version": VERSION,
            "fit": self._fit.as_data(),
            "level": self._level,
            "usual_level": self._usual_level,
            "curve": [curve.residuals.tolist(), curve.shares.tolist()] if curve else None,
            "counts": counts,
            "n_delivered": self.n_delivered,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], surges: Sequence[PlannedSurge] = ()) -> Learner:
        """A learner that can be asked as the one that left this state. It lets no nights pass: it has no orders."""
        learner = cls(surges)
        learner._fit = from_data(state["fit"], learner.book)
        learner._level, learner._usual_level = state["level"], state["usual_level"]
        if state["curve"]:
            learner._curve = Curve(*(np.asarray(part, np.float64) for part in state["curve"]))
        learner.count({(level, tuple(key)): n for level, key, n in state["counts"]})
        learner.n_delivered = state["n_delivered"]
        learner.hold_nights()
        return learner

    # What can be said.

    def forecast(self, order: Placed, heard: datetime | None = None) -> Forecast | NoDate:
        """The odds of every date for an order placed at its own moment, or why there are none."""
        self.pass_nights(_first(order.placed_at, heard))
        return self._forecast(order, self._fit.parts(describe(order)))

    def _forecast(self, order: Placed, parts: Parts) -> Forecast | NoDate:
        level, n = self.level_of(order)
        if not level or self._curve is None:
            return NoDate(NoDateReason.NOT_ENOUGH_HISTORY, n)
        return Forecast(
            expected=parts.total + self._level,
            curve=self._curve,
            level=level,
            n=n,
            waits=waits(self.surges, order.placed_at.date()),
            parts={
                "goods_and_distance": parts.goods_and_distance,
                **parts.groups,
                "present_days": self._level - self._usual_level,
            },
        )

    def level_of(self, order: Placed) -> tuple[str, int]:
        """The nearest level with ENOUGH delivered orders and their number; "" and what the widest has where none does."""
        n = 0
        for name, key in zip(LEVELS, levels(order), strict=True):
            n = sum(self._delivered_at.get((name, key), {}).values()) if key else 0
            if n >= ENOUGH:
                return name, n
        return "", n


def _first(at: datetime, heard: datetime | None) -> datetime:
    return at if heard is None else min(at, heard)
