"""The nightly calibration: by how much estimates were off, the orders still on their way included.

Residual = log(days + 1) minus what was expected when the order was placed. Three things are read off: `level`, what present
days add to any order (moves within days); `curve`, the spread around it (moves within months); and the chance that an order
which is still out will ever come, without which lost parcels would count as very late ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promises.eta.book import Book
from promises.eta.survival import Floats, cumulative, share_ended

LEVEL_HALF_LIFE = 4.0
CURVE_HALF_LIFE = 60.0
CHANCE_HALF_LIFE = 120.0
# An order not delivered after so many days is taken as lost: it leaves the calibration.
LOST_AFTER = 75
LEVEL_WINDOW = 70
CURVE_WINDOW = 300
# The lower part of the spread is known first: the early orders of a slow week arrive while the late ones are out.
LEVEL_AT = (0.2, 0.35)

# Wider steps than the curve: every order is looked at in every step, every night.
_LEVEL_EDGES = np.arange(-2.4, 2.4001, 0.08)
_CURVE_EDGES = np.arange(-2.8, 3.0001, 0.04)
_CHANCE_EDGES = np.arange(-1.5, 2.5001, 0.2)
_CHANCE_PULL = 5.0
_FIRST_CHANCE = 0.95
_ENOUGH_FOR_CHANCE = 50
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of orders whose residual is at most so large."""

    residuals: Floats
    shares: Floats

    def share(self, residual: float) -> float:
        return float(np.interp(residual, self.residuals, self.shares, left=0.0))

    def residual(self, share: float) -> float:
        return float(np.interp(share, self.shares, self.residuals))


@dataclass(frozen=True, slots=True)
class Chances:
    """The chance that an order which is out will come, by what its residual would be if it came now and by hand-over."""

    by_hand_over: Floats

    def of(self, residuals: Floats, is_handed: npt.NDArray[np.bool_]) -> Floats:
        steps = np.clip(np.searchsorted(_CHANCE_EDGES, residuals, "right") - 1, 0, len(_CHANCE_EDGES) - 1)
        return np.asarray(self.by_hand_over[is_handed.astype(np.intp), steps])


ALL_COME = Chances(np.ones((2, len(_CHANCE_EDGES))))


@dataclass(frozen=True, slots=True)
class _Seen:
    """How far each order of a window has come by now."""

    rows: npt.NDArray[np.intp]
    has_come: npt.NDArray[np.bool_]
    # log(days + 1) at delivery or, for those on their way, of the last date that has gone by without it.
    reached: Floats
    weights: Floats
    age: Floats


def _seen(book: Book, now: float, window: float, expected: Floats, chances: Chances) -> _Seen:
    age = book.age(now)
    # What is dated later than today is a wrong clock: it would weigh more than anything that has happened.
    rows = np.flatnonzero((age >= 0) & (age < window) & ~book.column("gone"))
    days = book.column("days")[rows].astype(np.float64)
    has_come = ~np.isnan(days)
    last_date_gone = np.maximum(age[rows] - 1.0, 0.0)
    reached = np.log1p(np.where(has_come, np.nan_to_num(days), last_date_gone))
    is_handed = np.isfinite(book.column("handed")[rows])
    will_come = chances.of(reached - expected[rows], is_handed)
    weights = np.where(has_come, 1.0, np.where(age[rows] < LOST_AFTER, will_come, 0.0))
    return _Seen(rows, has_come, reached, weights, age[rows])


def _steps(residuals: Floats, edges: Floats) -> npt.NDArray[np.intp]:
    steps = ((residuals - edges[0]) / (edges[1] - edges[0])).astype(np.intp)
    return np.asarray(np.clip(steps, 0, len(edges) - 2))


def _curve(shares: Floats, edges: Floats) -> Curve:
    # Rising throughout, or a share would not have one residual.
    rising = np.maximum.accumulate(shares) + np.arange(len(shares)) * 1e-9
    return Curve(edges[1:], rising)


def find_curve(book: Book, now: float, chances: Chances) -> Curve:
    """The spread of residuals by Kaplan-Meier; an order's weight halves with every CURVE_HALF_LIFE days of its age."""
    expected = (book.column("shape") + book.column("level")).astype(np.float64)
    seen = _seen(book, now, CURVE_WINDOW, expected, chances)
    weights = seen.weights * 0.5 ** (seen.age / CURVE_HALF_LIFE)
    steps = _steps(seen.reached - expected[seen.rows], _CURVE_EDGES)
    return _curve(share_ended(steps, seen.has_come, weights, len(_CURVE_EDGES) - 1), _CURVE_EDGES)


def find_level(book: Book, now: float, chances: Chances) -> float:
    """What present days add to any order, on the scale log(days + 1).

    Kaplan-Meier over what happened lately, whenever the orders were placed: an order counts in each step with the weight of
    the day on which it passed through it. Orders that are out longer than expected thus move the level before they arrive.
    """
    shape = book.column("shape").astype(np.float64)
    seen = _seen(book, now, LEVEL_WINDOW, shape, chances)
    if not seen.has_come.any():
        return 0.0
    ended = np.zeros(len(_LEVEL_EDGES) - 1)
    at_risk = np.zeros(len(_LEVEL_EDGES) - 1)
    for start in range(0, len(seen.rows), _CHUNK):
        _expose(seen, slice(start, start + _CHUNK), shape, ended, at_risk)
    curve = _curve(cumulative(ended, at_risk), _LEVEL_EDGES)
    return float(np.mean([curve.residual(share) for share in LEVEL_AT]))


def usual_level(book: Book, now: float) -> float:
    """What days usually added to an order, over the orders of the curve's window: what present days are compared with."""
    age = book.age(now)
    lately = book.column("level")[(age >= 0) & (age < CURVE_WINDOW)]
    return float(lately.mean()) if len(lately) else 0.0


def _expose(seen: _Seen, part: slice, shape: Floats, ended: Floats, at_risk: Floats) -> None:
    expected = shape[seen.rows[part]]
    steps = _steps(seen.reached[part] - expected, _LEVEL_EDGES)
    # The age at which each order enters each step, and how many days ago that was. Half the digits, half the time.
    entered = np.exp(expected).astype(np.float32)[:, None] * np.exp(_LEVEL_EDGES[:-1]).astype(np.float32) - 1
    ago = np.maximum(seen.age[part].astype(np.float32)[:, None] - entered, 0)
    exposed = seen.weights[part].astype(np.float32)[:, None] * np.exp2(ago / np.float32(-LEVEL_HALF_LIFE))
    exposed[np.arange(len(_LEVEL_EDGES) - 1)[None, :] > steps[:, None]] = 0.0
    at_risk += exposed.sum(axis=0)
    came = np.flatnonzero(seen.has_come[part])
    ended += np.bincount(steps[came], exposed[came, steps[came]], len(ended))


def find_chances(book: Book, now: float) -> Chances:
    """From orders old enough for their end to be known: of those that were out at a residual, how many came after all."""
    age = book.age(now)
    rows = np.flatnonzero((age >= LOST_AFTER) & ~book.column("gone"))
    if len(rows) < _ENOUGH_FOR_CHANCE:
        return ALL_COME
    expected = (book.column("shape") + book.column("level"))[rows].astype(np.float64)
    weights = 0.5 ** (age[rows] / CHANCE_HALF_LIFE)
    days = book.column("days")[rows].astype(np.float64)
    came = ~np.isnan(days)
    ended = np.where(came, np.log1p(np.nan_to_num(days)) - expected, np.inf)
    waited = np.maximum(book.column("handed")[rows] - book.column("placed")[rows], 0.0)
    handed = np.where(np.isfinite(waited), np.log1p(waited) - expected, np.inf)
    found = np.empty((2, len(_CHANCE_EDGES)))
    for is_handed in (0, 1):
        before = _FIRST_CHANCE
        for step, edge in enumerate(_CHANCE_EDGES):
            out = (ended > edge) & ((handed <= edge) == bool(is_handed))
            weight = weights[out].sum()
            before = (weights[out & came].sum() + before * _CHANCE_PULL) / (weight + _CHANCE_PULL)
            found[is_handed, step] = before
    return Chances(found)
