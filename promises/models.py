"""The tables of this room."""

from __future__ import annotations

from promises.backtest_runs import BacktestRun
from promises.commitments.models import CommitmentRule, IssueRequest, Outcome, Promise, PromiseFile
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
    "CommitmentRule",
    "Cosignature",
    "Estimate",
    "EstimateModel",
    "IssueRequest",
    "Journey",
    "LogKey",
    "LogLeaf",
    "LogNode",
    "LogPending",
    "Outcome",
    "PlannedSurge",
    "Promise",
    "PromiseFile",
    "PromiseRule",
    "SellerProfile",
    "TransparencyLog",
    "WarehousePickup",
]
