"""Kaplan-Meier: how long things last when some have not ended yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]


def cumulative(ended: Floats, at_risk: Floats) -> Floats:
    """The share that has ended by the end of each step, from the weight that ended in it and the weight that was exposed to it.

    Steps that nobody was exposed to end nothing.
    """
    hazard: Floats = np.divide(ended, at_risk, out=np.zeros_like(ended), where=at_risk > 1e-9)
    return np.asarray(1.0 - np.cumprod(1.0 - np.clip(hazard, 0.0, 1.0)), np.float64)


def share_ended(steps: Ints, has_ended: Bools, weights: Floats, n_steps: int) -> Floats:
    """Kaplan-Meier over weighted lives. steps: the step in which a life ended or, if it goes on, was last seen.

    A life counts as exposed in every step up to and with its own.
    """
    ended = np.bincount(steps[has_ended], weights[has_ended], n_steps).astype(np.float64)
    leaving = np.bincount(steps, weights, n_steps).astype(np.float64)
    return cumulative(ended, np.cumsum(leaving[::-1])[::-1])
