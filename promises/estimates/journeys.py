"""What is learned from orders, kept beside them: one row an order, written whenever something happens to it."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from cryptography.fernet import InvalidToken
from django.db.models import Exists, OuterRef, Sum

from orders.contacts import Contact
from orders.models import Order, OrderFact, OrderLine, Parcel
from orders.stages import HANDED_OVER, Intent, ParcelState, Stage
from promises.estimates.models import Journey
from promises.estimates.places import zone_of

logger = logging.getLogger(__name__)

# Whatever stands here waits for the house: the queue that a new order joins. What is stuck, held or short of goods stands
# aside: those behind it go first.
QUEUED = frozenset(
    {
        Stage.AWAITING_DATE,
        Stage.AWAITING_STOCK,
        Stage.AWAITING_WAYBILL,
        Stage.AWAITING_PICK,
        Stage.PICKING,
        Stage.AWAITING_PACK,
        Stage.AWAITING_HANDOVER,
    }
)
ARRIVED = frozenset({Stage.DELIVERED, Stage.COMPLETED})
STRUCK = frozenset({Stage.CANCELLED, Stage.RETURNING, Stage.RETURNED})
# The first of these says that a parcel has left the house.
_LEFT = [
    f"parcel.{state.value}"
    for state in (
        ParcelState.HANDED_OVER,
        ParcelState.PICKED_UP,
        ParcelState.IN_TRANSIT,
        ParcelState.AT_CUSTOMS,
        ParcelState.OUT_FOR_DELIVERY,
        ParcelState.DELIVERED,
    )
]
_WRITTEN = [field.attname for field in Journey._meta.concrete_fields if not field.primary_key]
CHUNK = 500
# A queue beyond this is told as this: the wait is absurd either way.
LONGEST_QUEUE = 20_000
_FEW = 3


def note(orders: Collection[Order], at: datetime) -> dict[int, Journey]:
    """Write down how far these orders have come, by order id. Give them with shop, warehouse and contact."""
    ids = [order.pk for order in orders]
    parcels = _parcels(ids)
    handed = _handed([order.pk for order in orders if _has_left(order)])
    units = dict(OrderLine.objects.filter(order_id__in=ids).values_list("order_id").annotate(Sum("ordered")))
    found = {
        order.pk: _journey(order, parcels.get(order.pk, []), handed.get(order.pk), units.get(order.pk), at)
        for order in orders
    }
    Journey.objects.bulk_create(
        found.values(),
        update_conflicts=True,
        unique_fields=["order"],
        update_fields=_WRITTEN,
        batch_size=CHUNK,
    )
    return found


def _has_left(order: Order) -> bool:
    return order.stage in HANDED_OVER or order.stage == Stage.COMPLETED


def _journey(
    order: Order, parcels: list[Parcel], handed_at: datetime | None, units: object, at: datetime
) -> Journey:
    contact, warehouse = order.contact, order.warehouse
    return Journey(
        order_id=order.pk,
        placed_at=order.placed_at or order.created_at,
        zone=zone_of(order),
        county=_county(contact),
        city=contact.city if contact else "",
        # Abroad the country stands for the province where none is named.
        province=(contact.province if contact else "") or order.country,
        carrier=next((one.carrier for one in parcels if one.carrier), ""),
        origin=warehouse.code if warehouse else "",
        origin_region=warehouse.region if warehouse else "",
        n_items=None if units is None else float(str(units)),
        handed_at=handed_at,
        delivered_at=_delivered_at(order, parcels),
        is_queued=_is_queued(order, at),
        is_struck=order.stage in STRUCK or order.intent == Intent.CANCELLED or order.is_test,
        is_demo=order.is_demo,
    )


def _is_queued(order: Order, at: datetime) -> bool:
    is_aside = order.is_held or order.is_short or order.is_test or bool(order.set_aside)
    is_stuck = order.stalls_at is not None and order.stalls_at < at
    return order.stage in QUEUED and not is_aside and not is_stuck


def _county(contact: Contact | None) -> str:
    """The district of the address, for estimates only. Nobody looks at the person: name, phone and street stay sealed."""
    if contact is None or not contact.sealed:
        return ""
    try:
        return contact.opened().get("district", "")[:40]
    except InvalidToken:
        # Said once by the system checks; an estimate can do without.
        return ""


def _delivered_at(order: Order, parcels: list[Parcel]) -> datetime | None:
    """When the last parcel arrived: the promise is of the whole order."""
    if order.stage not in ARRIVED:
        return None
    arrived = [one.state_at for one in parcels if one.state == ParcelState.DELIVERED]
    return max(arrived, default=order.stage_since)


def _parcels(ids: Collection[int]) -> dict[int, list[Parcel]]:
    found: dict[int, list[Parcel]] = {}
    for parcel in Parcel.objects.filter(order_id__in=ids).exclude(state=ParcelState.VOIDED).order_by("pk"):
        found.setdefault(parcel.order_id, []).append(parcel)
    return found


def _handed(ids: Collection[int]) -> dict[int, datetime]:
    """When the last parcel of each order left the house, by the first report of its leaving."""
    if not ids:
        return {}
    facts = OrderFact.objects.filter(reference__links__order_id__in=ids, kind__in=_LEFT)
    left: dict[int, dict[str, datetime]] = {}
    for order_id, parcel, at in facts.values_list("reference__links__order_id", "level_id", "occurred_at"):
        parcels = left.setdefault(order_id, {})
        parcels[parcel] = min(at, parcels.get(parcel, at))
    return {order_id: max(parcels.values()) for order_id, parcels in left.items()}


def orders_of(ids: Iterable[int]) -> list[Order]:
    """These orders with all that a journey and an estimate read of them."""
    rows = Order.objects.filter(pk__in=list(ids)).order_by("pk")
    return list(rows.select_related("shop", "warehouse__calendar", "contact"))


def fill_missing(at: datetime, *, is_demo: bool) -> int:
    """Write down the orders that came before there were journeys; how many."""
    n_done = 0
    for ids in _without_journey(is_demo=is_demo):
        note(orders_of(ids), at)
        n_done += len(ids)
    return n_done


def _without_journey(*, is_demo: bool) -> Iterator[list[int]]:
    last = 0
    missing = Order.objects.filter(~Exists(Journey.objects.filter(order=OuterRef("pk"))), is_demo=is_demo)
    while ids := list(missing.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        yield ids
        last = ids[-1]


def queue_ahead(wanted: Iterable[Journey]) -> Mapping[int, int]:
    """Of each order how many of its warehouse stand in front of it: those placed before."""
    by_origin: dict[str, list[Journey]] = {}
    for journey in wanted:
        by_origin.setdefault(journey.origin, []).append(journey)
    found: dict[int, int] = {}
    for origin, journeys in by_origin.items():
        found.update(_ahead_of(origin, journeys))
    return found


def _ahead_of(origin: str, journeys: list[Journey]) -> dict[int, int]:
    queue = Journey.objects.filter(origin=origin, is_queued=True)
    if len(journeys) <= _FEW:
        return {
            one.order_id: queue.filter(placed_at__lt=one.placed_at)[:LONGEST_QUEUE].count()
            for one in journeys
        }
    placed = list(queue.order_by("placed_at").values_list("placed_at", flat=True)[:LONGEST_QUEUE])
    return {one.order_id: bisect_left(placed, one.placed_at) for one in journeys}
