"""What is known of an order at the moment it is placed, and what became known of it later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

EPOCH = date(2000, 1, 1).toordinal()
NO_OFFSET = timedelta(0)
# No parcel that a customer still waits for takes longer; a date beyond it is for a person to judge.
CAP_DAYS = 90
# What was placed longer ago teaches nothing any more.
MEMORY_DAYS = 720
END_OF_DAY = time(23, 59, 59)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order as it stands when it is placed. Nothing in here is an outcome.

    placed_at is in the zone of the destination, because a promise counts days there; without a zone it is read as wall-clock
    time, and then all times of the history must be. county lies in city, city in province; origin (a warehouse or seller) in
    origin_region. Unknown words are empty, unknown numbers None.
    """

    key: str
    placed_at: datetime
    county: str = ""
    city: str = ""
    province: str = ""
    carrier: str = ""
    service: str = ""
    origin: str = ""
    origin_region: str = ""
    distance_km: float | None = None
    weight_g: float | None = None
    volume_l: float | None = None
    price: float | None = None
    freight: float | None = None
    n_items: float | None = None
    n_origins: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An order of a history: what was known, and what happened. None = it had not happened when the history was written."""

    order: Placed
    handed_at: datetime | None = None
    delivered_at: datetime | None = None
    promised_on: date | None = None

    @property
    def days(self) -> int | None:
        """Whole days from the date of the order to the date of delivery."""
        return None if self.delivered_at is None else days_until(self.order, self.delivered_at)

    @property
    def promised_days(self) -> int | None:
        if self.promised_on is None:
            return None
        return (self.promised_on - self.order.placed_at.date()).days


def days_until(order: Placed, at: datetime) -> int:
    """Whole days from the order's date to the date of this moment, both as its destination counts them; never below 0."""
    local = at if at.tzinfo is None else at.astimezone(order.placed_at.tzinfo)
    return max(0, (local.date() - order.placed_at.date()).days)


def moment(at: datetime) -> float:
    """Days since EPOCH on one common clock."""
    offset = at.utcoffset() or NO_OFFSET
    seconds = at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6 - offset.total_seconds()
    return at.toordinal() - EPOCH + seconds / 86_400


def offset_days(at: datetime) -> float:
    """How far the local clock is ahead of the common one, in days."""
    return (at.utcoffset() or NO_OFFSET).total_seconds() / 86_400


def end_of(day: date, zone: tzinfo | None) -> datetime:
    """The last second of a date on the wall clock of the destination, whatever the clocks do that day."""
    return datetime.combine(day, END_OF_DAY, zone)
