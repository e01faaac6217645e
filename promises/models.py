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
from promises.ledger.models import (
    Checkpoint,
    Cosignature,
    LogKey,
    LogLeaf,
    LogNode,
    LogPending,
    SellerProfile,
    TransparencyLog,
)

__all__ = [
    "BacktestRun",
    "Checkpoint",
    "Cosignature",
    "Estimate",
    "EstimateModel",
    "Journey",
    "LogKey",
    "LogLeaf",
    "LogNode",
    "LogPending",
    "PlannedSurge",
    "PromiseRule",
    "SellerProfile",
    "TransparencyLog",
    "WarehousePickup",
]
