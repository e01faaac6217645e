"""An order as numbers: what the fit weighs, and the groups it belongs to."""

from __future__ import annotations

import math
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from promises.eta.orders import EPOCH, Placed

# Parcels do not take a day per kilometre: the first hundred cost more than the tenth. Each hinge lets the slope change.
HINGES_KM = (30, 100, 300, 600, 1000, 1600, 2400)
_NEAR_KM = 10.0
_HINGES = tuple(math.log(hinge + _NEAR_KM) for hinge in HINGES_KM)
UNKNOWN = math.nan

# How many orders' worth of weight pull a group's effect to nothing. The narrower the group, the fewer it needs: it corrects
# what the wider ones left.
GROUPS: dict[str, float] = {
    "province": 20.0,
    "lane": 30.0,
    "city": 30.0,
    "county": 30.0,
    "carrier": 20.0,
    "carrier_province": 30.0,
    "origin": 15.0,
    "origin_province": 15.0,
}

# Where an estimate looks for enough orders, the nearest place first.
LEVELS = ("county", "city", "province", "carrier")


class Described(NamedTuple):
    """An order as the fit sees it: made once, because it is asked for twice."""

    numbers: list[float]
    groups: tuple[tuple[str, ...], ...]


def describe(order: Placed) -> Described:
    return Described(numbers(order), groups(order))


def groups(order: Placed) -> tuple[tuple[str, ...], ...]:
    """The key of the order in each of GROUPS, in that order. A group whose own word is unknown is the empty key."""
    place = order.province
    return (
        _key(place),
        _key(order.origin_region, place),
        _key(order.city, place),
        _key(order.county, order.city, place),
        _key(order.carrier, order.service),
        _key(order.carrier, order.service, place),
        _key(order.origin),
        _key(order.origin, place),
    )


def _key(word: str, *wider: str) -> tuple[str, ...]:
    return (word, *wider) if word else ()


def levels(order: Placed) -> tuple[tuple[str, ...], ...]:
    """The order's key at each of LEVELS."""
    place = order.province
    return (
        _key(order.county, order.city, place),
        _key(order.city, place),
        _key(place),
        # Orders that name no carrier all go with the one that is not named.
        (order.carrier,),
    )


def numbers(order: Placed) -> list[float]:
    """The features of the fit. What is unknown is nan, and the fit reads it as the average."""
    far = _log(order.distance_km, _NEAR_KM)
    at = order.placed_at
    day_part = (at.hour * 60 + at.minute) / 1440
    weekday = at.weekday()
    return [
        far,
        *(UNKNOWN if math.isnan(far) else max(0.0, far - hinge) for hinge in _HINGES),
        day_part,
        float(day_part > 0.5),
        *(float(weekday == day) for day in range(6)),
        _log(order.weight_g),
        _log(order.volume_l),
        _log(order.price),
        (freight := _log(order.freight)),
        freight * freight,
        _log(order.n_items, 0.0),
        UNKNOWN if order.n_origins is None else float(order.n_origins > 1),
        float(bool(order.province) and order.province == order.origin_region),
    ]


N_NUMBERS = 1 + len(HINGES_KM) + 2 + 6 + 8
_DAY_PART, _WEEKDAYS = 1 + len(HINGES_KM), 3 + len(HINGES_KM)
_N_ITEMS, _IS_NEAR = N_NUMBERS - 3, N_NUMBERS - 1
_FIRST_WEEKDAY = date.fromordinal(EPOCH).weekday()


def numbers_of(
    *,
    minute: npt.NDArray[np.float64],
    day: npt.NDArray[np.float64],
    n_items: npt.NDArray[np.float32],
    is_near: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float16]:
    """The same features of many orders of which only this is known, (n, N_NUMBERS), to three digits.

    minute: of the local day; day: the local date since EPOCH; n_items: nan where unknown; is_near: from its own province.
    """
    found = np.full((len(minute), N_NUMBERS), UNKNOWN, np.float16)
    day_part = minute / 1440
    found[:, _DAY_PART] = day_part
    found[:, _DAY_PART + 1] = day_part > 0.5
    weekday = (day + _FIRST_WEEKDAY) % 7
    for number in range(6):
        found[:, _WEEKDAYS + number] = weekday == number
    is_some = n_items > 0
    found[is_some, _N_ITEMS] = np.log(n_items[is_some].astype(np.float64))
    found[:, _IS_NEAR] = is_near
    return found


def _log(value: float | None, shift: float = 1.0) -> float:
    if value is None or not value + shift > 0:
        return UNKNOWN
    return math.log(value + shift)
