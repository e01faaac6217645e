"""Made-up lives of orders, told by four kinds of sources, with the stage that the reference model gives each."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orders.tests import reference_model

# What happens to an order, who tells it: (kind, role). An order's life ends anywhere in it.
LIFE = (
    ("order.placed", "shop"),
    ("payment.received", "shop"),
    ("date.confirmed", "shop"),
    ("stock.locked", "wms"),
    ("waybill.made", "carrier"),
    ("pick.started", "wms"),
    ("pick.done", "wms"),
    ("pack.done", "wms"),
    ("parcel.handed_over", "wms"),
    ("parcel.picked_up", "carrier"),
    ("parcel.in_transit", "carrier"),
    ("parcel.out_for_delivery", "carrier"),
    ("parcel.delivered", "carrier"),
)
# The place in LIFE of the carrier's first scan.
SCANNED = 9
PLACED_BY_FILE = 0.25
IS_CANCELLED = 0.08
CLAIMS_TOO_MUCH = 0.05
BEGAN = timedelta(days=3)


@dataclass
class Life:
    """One order: what is said of it, by whom, and where that leaves it."""

    name: str
    by_file: bool
    facts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stage(self) -> str:
        return reference_model.stage(self.facts)


def lives(n_facts: int, draw: random.Random, at: datetime | None = None) -> list[Life]:
    """Lives that come to about so many facts."""
    start = (at or datetime.now(UTC)) - BEGAN
    found: list[Life] = []
    told = 0
    while told < n_facts:
        found.append(_life(f"L{len(found):07d}", start + timedelta(seconds=len(found)), draw))
        told += len(found[-1].facts)
    return found


def _life(name: str, placed_at: datetime, draw: random.Random) -> Life:
    length = draw.choice([4, 6, 8, 9, 10, 11, 12, 13, 13, 13])
    life = Life(name, by_file=draw.random() < PLACED_BY_FILE)
    moment = placed_at
    for kind, role in LIFE[:length]:
        life.facts.append({"kind": kind, "role": role, "occurred_at": moment})
        moment += timedelta(minutes=draw.randint(5, 180))
    if draw.random() < IS_CANCELLED:
        for kind in ("cancel.requested", draw.choice(["cancel.accepted", "cancel.refused"])):
            life.facts.append({"kind": kind, "role": "shop", "occurred_at": moment})
            moment += timedelta(minutes=7)
    if length > SCANNED and draw.random() < CLAIMS_TOO_MUCH:
        # The shop says delivered while the carrier scans on: every later scan of the one who knows better contradicts it.
        early = life.facts[SCANNED]["occurred_at"] - timedelta(minutes=1)
        life.facts.append({"kind": "parcel.delivered", "role": "shop", "occurred_at": early})
    return life


def order_item(life: Life, shop: str) -> dict[str, Any]:
    return {
        "key": f"{life.name}:placed",
        "shop": shop,
        "external_id": life.name,
        "placed_at": life.facts[0]["occurred_at"].isoformat(),
        "lines": [{"sku": "BRK-001", "qty": "2"}],
    }


def fact_item(life: Life, fact: Mapping[str, Any], shop: str) -> dict[str, Any]:
    kind = fact["kind"]
    item: dict[str, Any] = {
        "key": f"{life.name}:{kind}",
        "kind": kind,
        "occurred_at": fact["occurred_at"].isoformat(),
        "order": {"shop": shop, "external_id": life.name},
    }
    if kind.startswith(("parcel.", "waybill.")):
        item["parcel"] = f"W{life.name}"
    if kind == "date.confirmed":
        item["data"] = {"date": f"{fact['occurred_at']:%Y-%m-%d}"}
    return item


def file_of(found: Sequence[Life]) -> str:
    """The orders that come by file, as JSON lines for FILE_MAPPING."""
    import json

    rows = (
        {"no": life.name, "at": life.facts[0]["occurred_at"].isoformat(), "sku": "BRK-001", "qty": "2"}
        for life in found
        if life.by_file
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


FILE_MAPPING = {
    "version": 1,
    "record": "order",
    "timezone": "UTC",
    "fields": {
        "external_id": {"path": "no"},
        "placed_at": {"path": "at"},
        "lines[].sku": {"path": "sku"},
        "lines[].qty": {"path": "qty"},
    },
}
