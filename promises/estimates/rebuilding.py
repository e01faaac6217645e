"""The night: everything that the hub's own orders teach, told again in the order in which it happened. Imports numpy."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count, QuerySet

from orders.models import Warehouse
from orders.worktime import calendar_of
from promises.estimates import journeys, learned
from promises.estimates.models import EstimateModel, Journey
from promises.eta import processing
from promises.eta.forecast import Forecast, NoDate
from promises.eta.learner import ENOUGH, MEMORY_DAYS, Learner
from promises.eta.orders import Placed, moment

# The newest so many orders teach: the night tells all of them again, which takes minutes and memory.
MOST = 150_000
# Nights that are lived through again; what is older is learned from in one go.
RELIVED_DAYS = 240
# Orders times nights that one rebuild may look at: what keeps it within minutes.
BUDGET = 1_000_000
_CHUNK = 2_000
_SURELY_IN_WINDOW = timedelta(days=processing.LONGEST_CLOSURE)

Heard = Callable[[Placed, Forecast | NoDate], None]


@dataclass(frozen=True, slots=True)
class Known:
    """One order as the learner is told of it. key: the order's id."""

    order: Placed
    handed_at: datetime | None
    delivered_at: datetime | None


def rebuild(at: datetime, *, is_demo: bool = False, heard: Heard | None = None) -> EstimateModel | None:
    """Learn anew from what the orders say by now, and keep it; None while no order has ever arrived.

    heard: is told what was said of each order when it was placed, by what was known then.
    """
    journeys.fill_missing(at, is_demo=is_demo)
    rows = _window(at, is_demo=is_demo)
    if not rows.filter(delivered_at__isnull=False).exists():
        return None
    surges = learned.planned_surges()
    n, first = rows.count(), rows.order_by("placed_at").values_list("placed_at", flat=True)[0]
    relived = nights(n, first, at)
    door = learn(_from_placing(rows), relived, at, Learner(surges), heard)
    way = learn(_from_hand_over(rows), relived, at, Learner(surges))
    with transaction.atomic():
        return learned.store(
            door,
            way,
            warehouse_rates(at),
            usual_carriers(rows),
            n_learned=n,
            at=at,
            newest_placed_at=rows.order_by("-placed_at").values_list("placed_at", flat=True)[0],
            is_demo=is_demo,
        )


def _window(at: datetime, *, is_demo: bool) -> QuerySet[Journey]:
    rows = Journey.objects.filter(
        is_demo=is_demo, is_struck=False, placed_at__gte=at - timedelta(days=MEMORY_DAYS), placed_at__lte=at
    )
    oldest = rows.order_by("-placed_at").values_list("placed_at", flat=True)[MOST : MOST + 1]
    return rows.filter(placed_at__gt=oldest[0]) if oldest else rows


def nights(n_orders: int, first: datetime, at: datetime) -> list[float]:
    """The nights to live through again, oldest first: every one where that is cheap, else fewer the longer ago they are."""
    span = min(RELIVED_DAYS, int(moment(at) - moment(first)))
    most = max(4, min(span, BUDGET // max(n_orders, 1)))
    ages = {round(span * (step / most) ** 2) if most < span else step for step in range(most + 1)}
    today = int(moment(at))
    return [float(today - age) for age in sorted(ages, reverse=True)]


_COLUMNS = (
    "order_id", "placed_at", "zone", "county", "city", "province", "carrier", "service", "origin", "origin_region",
    "n_items", "handed_at", "delivered_at",
)  # fmt: skip


def _from_placing(rows: QuerySet[Journey]) -> Iterator[Known]:
    for row in _streamed(rows.order_by("placed_at", "order_id")):
        yield Known(placed(row, row["placed_at"]), row["handed_at"], row["delivered_at"])


def _from_hand_over(rows: QuerySet[Journey]) -> Iterator[Known]:
    left = rows.filter(handed_at__isnull=False).order_by("handed_at", "order_id")
    for row in _streamed(left):
        yield Known(placed(row, row["handed_at"]), row["handed_at"], row["delivered_at"])


def _streamed(rows: QuerySet[Journey]) -> Iterator[dict[str, Any]]:
    yield from rows.values(*_COLUMNS).iterator(chunk_size=_CHUNK)


def placed(row: dict[str, Any], start: datetime) -> Placed:
    """A journey as the learner knows it, beginning at that moment."""
    return Placed(
        key=str(row["order_id"]),
        placed_at=start.astimezone(ZoneInfo(row["zone"])),
        county=row["county"],
        city=row["city"],
        province=row["province"],
        carrier=row["carrier"],
        service=row["service"],
        origin=row["origin"],
        origin_region=row["origin_region"],
        n_items=row["n_items"],
    )


def learn(
    known: Iterable[Known], relived: list[float], at: datetime, learner: Learner, heard: Heard | None = None
) -> Learner:
    """Tell the learner these orders, first begun first, and let it live through the nights in between."""
    telling = _Telling(learner, relived, at)
    for one in known:
        telling.until(moment(one.order.placed_at))
        said = learner.placed(one.order)
        if heard is not None:
            heard(one.order, said)
        telling.expect(one)
    telling.until(moment(at))
    if not telling.has_looked_back:
        learner.calibrate(moment(at))
        learner.look_back(moment(at))
    learner.calibrate(moment(at))
    return learner


class _Telling:
    """Where in the past the telling stands: what is still to happen to orders that have begun, and which nights are to come."""

    def __init__(self, learner: Learner, relived: list[float], at: datetime) -> None:
        self._learner, self._at = learner, moment(at)
        self._nights = list(reversed(relived))
        self._ahead: list[tuple[float, int, str, datetime]] = []
        self.has_looked_back = False
        # The nights are chosen here: living through all of them takes too long with many orders.
        learner.hold_nights()

    def expect(self, one: Known) -> None:
        begun = moment(one.order.placed_at)
        for kind, when in ((0, one.handed_at), (1, one.delivered_at)):
            if when is not None and moment(when) <= self._at:
                # Clocks of two systems differ: nothing happens to an order before it is placed.
                heapq.heappush(self._ahead, (max(begun, moment(when)), kind, one.order.key, when))

    def until(self, to: float) -> None:
        while self._ahead and self._ahead[0][0] <= to:
            at, kind, key, when = heapq.heappop(self._ahead)
            self._let_nights_pass(at)
            if kind:
                self._learner.delivered(key, when)
            else:
                self._learner.handed(key, when)
        self._let_nights_pass(to)

    def _let_nights_pass(self, to: float) -> None:
        while self._nights and self._nights[-1] <= to:
            night = self._nights.pop()
            self._learner.calibrate(night)
            if not self.has_looked_back and self._learner.n_delivered >= ENOUGH:
                self._learner.look_back(night)
                self.has_looked_back = True


def warehouse_rates(at: datetime) -> dict[str, tuple[float, ...]]:
    """Each warehouse's pace on its last worked days, by its code; those that finished nothing are left out."""
    found = {}
    for warehouse in Warehouse.objects.filter(is_active=True).select_related("calendar"):
        left = Journey.objects.filter(origin=warehouse.code, handed_at__isnull=False)
        since = at - _SURELY_IN_WINDOW
        finished = list(
            left.filter(handed_at__gte=since, handed_at__lt=at).values_list("handed_at", flat=True)
        )
        if not finished:
            continue
        rates = processing.rates(finished, calendar_of(warehouse.calendar), at)
        if not left.filter(handed_at__lt=since).exists():
            rates = _without_days_before_the_first(rates)
        if any(rates):
            found[warehouse.code] = rates
    return found


def usual_carriers(rows: QuerySet[Journey]) -> dict[str, str]:
    """Of each route the carrier that took most of what has left by it."""
    left = rows.filter(handed_at__isnull=False).exclude(carrier="")
    counted = left.values_list("origin", "zone", "carrier").annotate(n=Count("pk")).order_by("n", "carrier")
    return {learned.route(origin, zone): carrier for origin, zone, carrier, _n in counted}


def _without_days_before_the_first(rates: tuple[float, ...]) -> tuple[float, ...]:
    """A house that has just begun did not stand still before it began."""
    last = max((number for number, rate in enumerate(rates) if rate), default=-1)
    return rates[: last + 1]
