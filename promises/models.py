"""The tables of this room."""

from __future__ import annotations

from promises.backtest_runs import BacktestRun
from promises.estimates.models import (
    Estimate,
    EstimateModel,
    Journey,
    PlannedSurge,
    PromiseRule,
    WarehousePickup,
)

__all__ = [
    "BacktestRun",
    "Estimate",
    "EstimateModel",
    "Journey",
    "PlannedSurge",
    "PromiseRule",
    "WarehousePickup",
]
