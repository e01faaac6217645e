"""The hub's own judged estimates, as the calibration counts them: one of each order, the first that it was given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, QuerySet

from orders.people import visible
from promises.calibration_figures import Judged
from promises.calibration_rows import MOST
from promises.commitments.models import Promise, Reason
from promises.estimates.models import Estimate
from promises.eta.orders import end_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

Outcome = Estimate.Outcome
# No rule promises further ahead than 90 days.
_LONGEST = timedelta(days=91)


@dataclass(frozen=True, slots=True)
class HouseRow:
    """One order of the house whose date has passed.

    The probe is a date at one of ten levels of odds in turn, kept beside the first estimate; estimates made without one have
    none, nor have those whose probe's day has not passed yet.
    """

    order_id: int
    order: str
    made_at: datetime
    due_at: datetime
    delivered_at: datetime | None
    zone: str
    lane: str
    warehouse: str
    carrier: str
    odds: float
    probe_due_on: date | None
    probe_odds: float
    is_probe_kept: bool
    is_kept: bool
    # The customer had it moved.
    is_excused: bool

    @property
    def placed_on(self) -> date:
        return self.made_at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def due_on(self) -> date:
        return self.due_at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def days(self) -> int:
        """How many days were promised."""
        return (self.due_on - self.placed_on).days

    @property
    def delivered_on(self) -> date | None:
        return self.delivered_at.astimezone(ZoneInfo(self.zone)).date() if self.delivered_at else None

    @property
    def promise(self) -> Judged:
        return Judged(self.odds, self.is_kept, self.is_excused)

    @property
    def probe(self) -> Judged | None:
        if self.probe_due_on is None:
            return None
        return Judged(self.probe_odds, self.is_probe_kept, self.is_excused)


def judged(since: datetime, until: datetime, *, is_demo: bool) -> QuerySet[Estimate]:
    """First estimates whose latest date fell between: by then each one had its end, soon or late.

    Not by when they were judged: deliveries are known before misses are, and would make any young hub look good.
    """
    return (
        Estimate.objects.filter(is_first=True, is_demo=is_demo, due_at__gte=since, due_at__lt=until)
        # Nothing is judged before it is said: with the longest promise this bounds the index.
        .filter(outcome_at__gte=since - _LONGEST)
        .exclude(outcome="")
        .filter(outcome__in=[Outcome.KEPT, Outcome.MISSED])
    )


def is_excused() -> Exists:
    """Whether the customer had the commitment moved, or called it off."""
    moved = Promise.objects.filter(order=OuterRef("order_id"))
    return Exists(moved.filter(rc=Reason.CUSTOMER))


_COLUMNS = (
    "order_id", "order__number", "made_at", "due_at", "delivered_at", "zone", "inputs", "odds", "outcome", "is_excused",
)  # fmt: skip


def read(
    user: User | AnonymousUser, since: datetime, until: datetime, *, is_demo: bool = False
) -> list[HouseRow]:
    """What this person may see of it, by due date, the oldest first; at most the newest MOST."""
    found = visible(judged(since, until, is_demo=is_demo), user).annotate(is_excused=is_excused())
    newest = found.order_by("-outcome_at", "-pk").values(*_COLUMNS)[:MOST]
    rows = [_row(one, until) for one in newest]
    return sorted(rows, key=lambda row: (row.due_at, row.order_id))


def _row(one: dict[str, Any], until: datetime) -> HouseRow:
    inputs, zone = one["inputs"], ZoneInfo(one["zone"])
    probe = inputs.get("probe") or {}
    probe_on = date.fromisoformat(probe["by"]) if probe else None
    probe_at = end_of(probe_on, zone) if probe_on else None
    delivered_at = one["delivered_at"]
    if probe_at is not None and probe_at >= until:
        # Only those that came soon would be known of: as with the promises themselves, the day must have passed.
        probe_on = probe_at = None
    origin, to = inputs.get("origin", ""), inputs.get("city") or inputs.get("province", "")
    return HouseRow(
        order_id=one["order_id"],
        order=one["order__number"],
        made_at=one["made_at"],
        due_at=one["due_at"],
        delivered_at=delivered_at,
        zone=one["zone"],
        lane=" → ".join(filter(None, (origin, to))),
        warehouse=origin,
        carrier=inputs.get("carrier", ""),
        odds=one["odds"] / 1000,
        probe_due_on=probe_on,
        probe_odds=probe.get("odds", 0) / 1000,
        is_probe_kept=delivered_at is not None and probe_at is not None and delivered_at <= probe_at,
        is_kept=one["outcome"] == Outcome.KEPT,
        is_excused=one["is_excused"],
    )
