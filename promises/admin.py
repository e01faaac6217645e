"""The admin classes of this room: importing them registers them."""

from __future__ import annotations

from promises.anchors import admin as anchors
from promises.commitments import admin as commitments
from promises.estimates import admin as estimates
from promises.ledger import admin as ledger
from promises.tracking import admin as tracking

__all__ = ["anchors", "commitments", "estimates", "ledger", "tracking"]
