"""The weekly fit: weighted ridge on log(days + 1), then shrunken group effects, all within the week of the order.

Within the week: a slow month is compared with itself, so that it is not blamed on the places that happened to order in it.
What present days add to any order is the calibration's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from promises.eta.book import Book
from promises.eta.features import GROUPS, N_NUMBERS, Described

Floats = npt.NDArray[np.float64]

# log(days + 1) of an order of which nothing is known: nine days. A constant, so that estimates of different weeks differ
# from the outcome on one scale.
BASE = 2.3
RIDGE = 5.0
WEEK_PULL = 10.0
PASSES = 3
# Fewer delivered orders than this carry group effects alone.
ENOUGH_FOR_NUMBERS = 200
_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What each thing known of an order adds to its expectation, on the scale log(days + 1)."""

    goods_and_distance: float = 0.0
    groups: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return BASE + self.goods_and_distance + sum(self.groups.values())


class Fit:
    """Weights learned from delivered orders; those that nothing was learned of weigh nothing."""

    def __init__(self, mean: Floats, slopes: Floats, effects: list[Floats], book: Book) -> None:
        self.mean = mean
        self.slopes = slopes
        self._effects = effects
        self._numbering = book.numbering

    def parts(self, order: Described) -> Parts:
        known = np.asarray(order.numbers) - self.mean
        known[np.isnan(known)] = 0.0
        return Parts(
            float(known @ self.slopes),
            {
                name: self._effect(place, key)
                for place, (name, key) in enumerate(zip(GROUPS, order.groups, strict=True))
                if key
            },
        )

    def totals(self, book: Book) -> Floats:
        """What is expected of every row of the book that this was learned from, on the scale log(days + 1)."""
        found = np.full(book.n, BASE)
        for start in range(0, book.n, _CHUNK):
            rows = slice(start, start + _CHUNK)
            known = book.column("numbers")[rows] - self.mean
            np.nan_to_num(known, copy=False)
            found[rows] += known @ self.slopes
            groups = book.column("groups")[rows]
            for place, learned in enumerate(self._effects):
                numbers = groups[:, place]
                is_known = (numbers > 0) & (numbers < len(learned))
                found[rows][is_known] += learned[numbers[is_known]]
        return found

    def as_data(self) -> dict[str, Any]:
        """All that was learned, as JSON holds it."""
        effects = [
            [
                [list(key), float(learned[number])]
                for key, number in known.items()
                if key and number < len(learned)
            ]
            for known, learned in zip(self._numbering, self._effects, strict=True)
        ]
        return {"mean": self.mean.tolist(), "slopes": self.slopes.tolist(), "effects": effects}

    def _effect(self, place: int, key: tuple[str, ...]) -> float:
        number = self._numbering[place].get(key)
        learned = self._effects[place]
        return float(learned[number]) if number is not None and number < len(learned) else 0.0


def from_data(data: Mapping[str, Any], book: Book) -> Fit:
    """The fit that as_data gave, on a book that knows no rows."""
    effects = []
    for known, pairs in zip(book.numbering, data["effects"], strict=True):
        known.update({tuple(key): number for number, (key, _effect) in enumerate(pairs, start=1)})
        effects.append(np.asarray([0.0, *(effect for _key, effect in pairs)], np.float64))
    return Fit(np.asarray(data["mean"], np.float64), np.asarray(data["slopes"], np.float64), effects, book)


def nothing_learned(book: Book) -> Fit:
    return Fit(np.zeros(N_NUMBERS), np.zeros(N_NUMBERS), [np.zeros(0) for _ in GROUPS], book)


def fit(book: Book, now: float, half_life: float) -> Fit:
    """Learn from the orders delivered so far; the weight of an order halves with every half_life days of its age."""
    delivered = ~np.isnan(book.column("days"))
    age = book.age(now)
    weights = np.where(delivered & (age >= 0), 0.5 ** (np.maximum(age, 0) / half_life), 0.0)
    if not weights.sum() > 0:
        return nothing_learned(book)
    target = np.where(delivered, np.log1p(np.nan_to_num(book.column("days"))) - BASE, 0.0)
    return _descend(book, _Ridge(book, weights, use_numbers=delivered.sum() >= ENOUGH_FOR_NUMBERS), target)


def _descend(book: Book, ridge: _Ridge, target: Floats) -> Fit:
    """Fit each thing in turn to what the others leave."""
    weights = ridge.weights
    weeks = (book.column("day") - book.column("day").min()) // 7
    columns = [weeks, *(book.column("groups")[:, place] for place in range(len(GROUPS)))]
    pulls = [WEEK_PULL, *GROUPS.values()]
    sums = [_sums(column, weights) for column in columns]
    effects = [np.zeros(len(one)) for one in sums]
    # The plain mean first, so that the groups start from what is usual.
    left = target - float(np.average(target, weights=weights))
    slopes = np.zeros(N_NUMBERS)
    line = np.zeros(book.n)
    for _ in range(PASSES):
        left += line
        slopes = ridge.solve(left)
        line = ridge.line(slopes)
        left -= line
        for place, column in enumerate(columns):
            left += effects[place][column]
            effects[place] = _sums(column, weights * left) / (sums[place] + pulls[place])
            # Number 0 is "not known": no group.
            if place:
                effects[place][0] = 0.0
            left -= effects[place][column]
    return Fit(ridge.mean, slopes, effects[1:], book)


def _sums(column: npt.NDArray[np.int32], weights: Floats) -> Floats:
    return np.bincount(column, weights).astype(np.float64)


class _Ridge:
    """Weighted ridge over the numbers, read in pieces: at a million rows the whole of them is never held in doubles."""

    def __init__(self, book: Book, weights: Floats, *, use_numbers: bool) -> None:
        self._numbers = book.column("numbers")
        self.weights = weights
        self.used = use_numbers
        self.mean = self._mean()
        self._gram = self._products() if use_numbers else np.zeros((N_NUMBERS, N_NUMBERS))

    def _pieces(self) -> Iterator[tuple[slice, Floats]]:
        for start in range(0, len(self.weights), _CHUNK):
            rows = slice(start, start + _CHUNK)
            piece = self._numbers[rows] - self.mean
            np.nan_to_num(piece, copy=False)
            yield rows, piece

    def _mean(self) -> Floats:
        total, weight = np.zeros(N_NUMBERS), np.zeros(N_NUMBERS)
        for start in range(0, len(self.weights), _CHUNK):
            rows = slice(start, start + _CHUNK)
            piece, weights = self._numbers[rows], self.weights[rows]
            weight += weights @ ~np.isnan(piece)
            total += weights @ np.nan_to_num(piece)
        return np.divide(total, weight, out=np.zeros(N_NUMBERS), where=weight > 0)

    def _products(self) -> Floats:
        gram = RIDGE * np.eye(N_NUMBERS)
        for rows, piece in self._pieces():
            gram += piece.T @ (piece * self.weights[rows, None])
        return gram

    def solve(self, target: Floats) -> Floats:
        if not self.used:
            return np.zeros(N_NUMBERS)
        moments = np.zeros(N_NUMBERS)
        for rows, piece in self._pieces():
            moments += piece.T @ (target[rows] * self.weights[rows])
        return np.asarray(np.linalg.solve(self._gram, moments))

    def line(self, slopes: Floats) -> Floats:
        found = np.zeros(len(self.weights))
        if self.used:
            for rows, piece in self._pieces():
                found[rows] = piece @ slopes
        return found
