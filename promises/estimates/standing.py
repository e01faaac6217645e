"""What is set for all estimates and changes seldom: kept by the process, and read anew once any of it has changed.

Imports numpy: for workers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time

from django.db import connection

from promises.estimates import learned
from promises.estimates.learned import Learned
from promises.estimates.models import PromiseRule, WarehousePickup
from promises.eta.surge import PlannedSurge
from promises.recalibration import Recalibration, in_force

# All of it in one statement, as text: handfuls of rows, told apart by what they say and not by a date of change, which a
# restored dump or a hand in the database would not move. Django takes longer to write one statement than to run this.
_EVERYTHING = " UNION ALL ".join(
    [
        "SELECT 'rule', CAST(id AS text), CAST(shop_id AS text), CAST(is_on AS text), CAST(service_level AS text),"
        " CAST(cap_days AS text) FROM promises_promiserule",
        "SELECT 'surge', CAST(id AS text), CAST(first AS text), CAST(last AS text), CAST(factor AS text), ''"
        " FROM promises_plannedsurge",
        "SELECT 'pickup', CAST(id AS text), CAST(warehouse_id AS text), CAST(at AS text), '', ''"
        " FROM promises_warehousepickup",
        "SELECT 'reading', CAST(id AS text), CAST(is_demo AS text), CAST(made_at AS text), CAST(points AS text), ''"
        " FROM promises_recalibration WHERE ended_at IS NULL",
        *(
            f"SELECT * FROM (SELECT '{kind}', CAST(id AS text), CAST(made_at AS text), CAST(n_learned AS text),"  # noqa: S608 - two words of ours
            " CAST(n_delivered AS text), CAST(newest_placed_at AS text) FROM promises_estimatemodel"
            f" WHERE {which} ORDER BY id DESC LIMIT 1) AS {kind}"
            for kind, which in (("night", "NOT is_demo"), ("demo_night", "is_demo"))
        ),
    ]
)
_Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    rules: Mapping[int | None, PromiseRule]
    surges: tuple[PlannedSurge, ...]
    pickups: Mapping[int, tuple[time, ...]]
    # Of the real orders, of the demo's.
    readings: Mapping[bool, Recalibration | None]
    nights: Mapping[bool, _Row | None]

    def learned(self, *, is_demo: bool) -> Learned | None:
        """What the newest night left, with the surges planned now; None before the first night."""
        night = self.nights[is_demo]
        return None if night is None else learned.of_night(night, self.surges, is_demo=is_demo)


_kept: tuple[frozenset[_Row], Standing] | None = None


def read() -> Standing:
    """As it stands in the database now. One small statement while nothing has changed."""
    global _kept
    rows = _rows()
    if _kept is not None and _kept[0] == rows:
        return _kept[1]
    found = _read(rows)
    # Not if somebody changed it between the two statements: it would be kept under the wrong name.
    _kept = (rows, found) if _rows() == rows else None
    return found


def _rows() -> frozenset[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(_EVERYTHING)
        return frozenset(cursor.fetchall())


def _read(rows: frozenset[_Row]) -> Standing:
    pickups: dict[int, tuple[time, ...]] = {}
    for pk, at in WarehousePickup.objects.order_by("at").values_list("warehouse_id", "at"):
        pickups[pk] = (*pickups.get(pk, ()), at)
    nights = {row[0]: row for row in rows}
    return Standing(
        rules={rule.shop_id: rule for rule in PromiseRule.objects.all()},
        surges=learned.planned_surges(),
        pickups=pickups,
        readings={is_demo: in_force(is_demo=is_demo) for is_demo in (False, True)},
        nights={False: nights.get("night"), True: nights.get("demo_night")},
    )
