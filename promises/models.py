"""The tables of this room."""

from __future__ import annotations

from promises.anchors.models import Anchor
from promises.backtest_runs import BacktestRun
from promises.commitments.models import (
    CommitmentRule,
    Compensation,
    IssueRequest,
    Outcome,
    Promise,
    PromiseFile,
)
from promises.estimates.models import (
    Estimate,
    EstimateModel,
    Expectations,
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
from promises.recalibration import Recalibration
from promises.tracking.models import (
    ContactClick,
    CustomerLink,
    CustomerRequest,
    DeliveryRating,
    MessageConsent,
    NextUpdate,
    PageVisit,
)

__all__ = [
    "Anchor",
    "BacktestRun",
    "Checkpoint",
    "CommitmentRule",
    "Compensation",
    "ContactClick",
    "Cosignature",
    "CustomerLink",
    "CustomerRequest",
    "DeliveryRating",
    "Estimate",
    "EstimateModel",
    "Expectations",
    "IssueRequest",
    "Journey",
    "LogKey",
    "LogLeaf",
    "LogNode",
    "LogPending",
    "MessageConsent",
    "NextUpdate",
    "Outcome",
    "PageVisit",
    "PlannedSurge",
    "Promise",
    "PromiseFile",
    "PromiseRule",
    "Recalibration",
    "SellerProfile",
    "TransparencyLog",
    "WarehousePickup",
]
