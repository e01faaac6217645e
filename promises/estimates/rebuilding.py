"""The night: everything that the hub's own orders teach, told in the order in which it happened. Imports numpy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil

from django.db import transaction
from django.db.models import Count, QuerySet

from orders.models import Warehouse
from orders.worktime import calendar_of
from promises.estimates import journeys, learned
from promises.estimates.models import EstimateModel, Journey
from promises.eta import processing
from promises.eta.begun import Begun, Place, Told, gather, seconds_of
from promises.eta.learner import FIRST_FITS_UNTIL, Learner
from promises.eta.nights import Expected, Heard, live_through
from promises.eta.orders import MEMORY_DAYS, moment

# The newest so many orders teach: what fits into the memory of one process, and more than a year of a large house.
MOST = 1_300_000
# Nights that are lived through again where none is kept; what is older is learned from in one go.
RELIVED_DAYS = 240
# Orders times nights that one such retelling may look at: what keeps it within minutes.
BUDGET = 30_000_000
# Of the orders begun by the last night so many must be known to it, or the past is told anew: a history was read in.
KNOWN = 0.9
_CHUNK = 5_000
_SURELY_IN_WINDOW = timedelta(days=processing.LONGEST_CLOSURE)
_DAY, _HALF_A_DAY = timedelta(days=1), timedelta(hours=12)


def rebuild(at: datetime, *, is_demo: bool = False, heard: Heard | None = None) -> EstimateModel | None:
    """Learn by what the orders say by now, and keep it; None while no order has ever arrived.

    Goes on from where the last night stopped; where it cannot, the past is told anew.
    heard: has the past told anew, and is told what was said of each order when it was placed, by what was known then.
    """
    journeys.fill_missing(at, is_demo=is_demo)
    rows = _window(at, is_demo=is_demo)
    if not rows.filter(delivered_at__isnull=False).exists():
        return None
    begun = gather(_told(rows), rows.count())
    n_learned = len(begun)
    last = None if heard else learned.kept(is_demo=is_demo)
    if last is not None and not _goes_on(last, begun, at):
        last = None
    # One after the other, and of the first only what is kept: its orders take half of the memory that there is.
    door, from_placing = _learn(begun, last.from_placing if last else None, at, heard)
    begun = begun.from_hand_over()
    way, from_hand_over = _learn(begun, last.from_hand_over if last else None, at)
    with transaction.atomic():
        return learned.store(
            door,
            way,
            warehouse_rates(at),
            usual_carriers(rows),
            (from_placing, from_hand_over),
            n_learned=n_learned,
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


def _told(rows: QuerySet[Journey]) -> Iterator[Told]:
    columns = rows.order_by("placed_at", "order_id").values_list(
        "order_id", "placed_at", "zone", "handed_at", "delivered_at", "n_items", *Place._fields
    )
    for key, begun_at, zone, handed_at, delivered_at, n_items, *place in columns.iterator(chunk_size=_CHUNK):
        yield Told(key, begun_at, zone, handed_at, delivered_at, n_items, Place(*place))


def _goes_on(last: learned.Kept, begun: Begun, at: datetime) -> bool:
    """Whether the last night knows the orders well enough, and lies behind."""
    if last.made_at > at or last.from_placing.learned.n_delivered < FIRST_FITS_UNTIL:
        return False
    told = begun.begun <= seconds_of(last.made_at)
    found = last.from_placing.expected().rows_of(begun.key[told]) >= 0
    return bool(found.mean() >= KNOWN) if len(found) else False


def _learn(
    begun: Begun, last: learned.Stopped | None, at: datetime, heard: Heard | None = None
) -> tuple[Learner, Expected]:
    surges = learned.planned_surges()
    if last is None:
        first = begun.begun[0] / 86_400 if len(begun) else moment(at)
        learner = Learner(surges)
        expected = live_through(begun, nights(len(begun), first, at), moment(at), learner, heard=heard)
    else:
        learner = last.learned
        learner.surges = surges
        expected = live_through(begun, missed_nights(last.at, at), moment(at), learner, known=last.expected())
    learner.close_book()
    return learner, expected


def nights(n_orders: int, first: float, at: datetime) -> list[float]:
    """The nights to live through again, oldest first: every one where that is cheap, else fewer the longer ago they are."""
    span = min(RELIVED_DAYS, int(moment(at) - first))
    most = max(4, min(span, BUDGET // max(n_orders, 1)))
    ages = {ceil(span * (step / most) ** 2) if most < span else step for step in range(most + 1)}
    today = int(moment(at))
    return [float(today - age) for age in sorted(ages, reverse=True)]


def missed_nights(last: datetime, at: datetime) -> list[float]:
    """The nights between the last one and this in which nobody learned: none where the house has been at work."""
    found = []
    while (last := last + _DAY) < at - _HALF_A_DAY:
        found.append(moment(last))
    return found


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
