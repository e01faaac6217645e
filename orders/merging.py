"""Several shop orders as one, and one as several. References move, facts never: the derivation reads them where they hang."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from orders import stock
from orders.byhand import HUB, NotAllowed, Refused, Saying, check_allowed, check_reason, draw_key, note, tell
from orders.facts import ReferenceKey, lock_references
from orders.models import ExternalReference, Order, OrderLine, ReferenceLink
from orders.numbers import add_orders
from orders.stages import CLOSED, PHYSICAL
from orders.tasks import hint
from orders.transitions import settle_many

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAY = "orders.join_orders"
NUMBER, SHOP_ORDER = ExternalReference.Kind.NUMBER, ExternalReference.Kind.ORDER


class JoinRefused(Refused):
    """Orders that cannot be merged, or an order that cannot be split so."""


def merge(order_ids: Sequence[int], *, actor: User, reason: str, at: datetime) -> Order:
    """Make one order of several; the oldest stays and takes over the names of the others, which are closed.

    Raises JoinRefused or NotAllowed.
    """
    check_allowed(actor, MAY)
    reason = check_reason(reason)
    with transaction.atomic():
        orders = _taken(actor, order_ids)
        if len(orders) < 2:
            raise JoinRefused("too_few", _("Choose at least two different orders to merge."))
        _check_alike(orders)
        for order in orders:
            _check_untouched(order)
        kept, absorbed = orders[0], orders[1:]
        lines = _lines_in_all(orders) if any(_has_own_lines(order) for order in orders) else None
        for order in absorbed:
            _give_back(order, at, reason)
            _move_names(order, kept)
            data = {"merged_into": kept.number, "reason": reason}
            tell(order, draw_key("merge"), [Saying(kind="cancel.accepted", data=data)], actor=actor, at=at)
        _give_back(kept, at, reason)
        if lines is not None:
            _allot(kept, lines, actor, at)
        settle_many([order.pk for order in orders], at=at)
        hint("dispatch")
        after = {"absorbed": [order.number for order in absorbed]}
        note(kept, "merge", [], actor=actor, reason=reason, after=after)
    return Order.objects.get(pk=kept.pk)


def split(order_id: int, lines: Mapping[str, Decimal], *, actor: User, reason: str, at: datetime) -> Order:
    """Take these units out of an order into a new one of the same shop order; returns the new one.

    Raises JoinRefused or NotAllowed.
    """
    check_allowed(actor, MAY)
    reason = check_reason(reason)
    with transaction.atomic():
        order = _taken(actor, [order_id])[0]
        _check_untouched(order)
        stays, goes = _divided(order, lines)
        _give_back(order, at, reason)
        new = _twin(order, at)
        for key in ReferenceLink.objects.filter(order=order, reference__kind=SHOP_ORDER).values_list(
            "reference", flat=True
        ):
            ReferenceLink.objects.create(reference_id=key, order=new)
        _allot(order, stays, actor, at)
        _allot(new, goes, actor, at)
        settle_many([order.pk, new.pk], at=at)
        hint("dispatch")
        after = {"into": new.number, "lines": {sku: str(quantity) for sku, quantity in lines.items()}}
        note(order, "split", [], actor=actor, reason=reason, after=after)
    return Order.objects.get(pk=new.pk)


@dataclass(frozen=True, slots=True)
class MergeOutlook:
    """What a merge would make: which order stays, which are closed, and the lines it would have in all."""

    kept: Order
    absorbed: list[Order]
    lines: list[dict[str, Any]]


def foresee_merge(order_ids: Sequence[int], *, actor: User) -> MergeOutlook:
    """What merge would do with these orders as they are now; writes nothing. Raises JoinRefused or NotAllowed."""
    check_allowed(actor, MAY)
    orders = _oldest_first(_seen(actor, order_ids))
    if len(orders) < 2:
        raise JoinRefused("too_few", _("Choose at least two different orders to merge."))
    _check_alike(orders)
    for order in orders:
        _check_untouched(order)
    return MergeOutlook(orders[0], orders[1:], _lines_in_all(orders))


def foresee_split(
    order_id: int, lines: Mapping[str, Decimal], *, actor: User
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(what would stay, what would go); writes nothing. Raises JoinRefused or NotAllowed."""
    check_allowed(actor, MAY)
    order = _seen(actor, [order_id])[0]
    _check_untouched(order)
    return _divided(order, lines)


def _seen(actor: User, order_ids: Sequence[int]) -> list[Order]:
    """The orders, if this person may see all of them."""
    visible = list(Order.objects.visible_to(actor).filter(pk__in=set(order_ids)))
    if len(visible) != len(set(order_ids)) or not visible:
        raise NotAllowed("not_found", _("One of these orders is not among those you may see."))
    return visible


def _oldest_first(orders: Iterable[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: (order.placed_at or order.created_at, order.pk))


def _taken(actor: User, order_ids: Sequence[int]) -> list[Order]:
    """The orders, the oldest first, with all their names and their rows locked."""
    visible = _seen(actor, order_ids)
    names = ExternalReference.objects.filter(links__order__in=visible).values_list(
        "connection", "kind", "value"
    )
    # Names before orders, and all at once, so that nobody who reports on one of them can deadlock with us.
    lock_references(
        [
            *(ReferenceKey(*name) for name in names),
            *(ReferenceKey("", NUMBER, order.number) for order in visible),
        ]
    )
    return _oldest_first(
        Order.objects.select_for_update().filter(pk__in=[order.pk for order in visible]).order_by("pk")
    )


def _check_alike(orders: Sequence[Order]) -> None:
    for what, name in (
        ("warehouse_id", _("warehouses")),
        ("customer_id", _("customers")),
        ("currency", _("currencies")),
        ("is_test", _("kinds (test orders and real ones)")),
        ("is_demo", _("kinds (demo orders and real ones)")),
    ):
        if len({getattr(order, what) for order in orders}) > 1:
            raise JoinRefused(
                "unlike",
                _("These orders have different %(what)s. Merge only what leaves as one.") % {"what": name},
            )


def _check_untouched(order: Order) -> None:
    """Goods that somebody has in hand belong to the order they were picked for."""
    if order.stage in CLOSED:
        raise JoinRefused(
            "closed", _("%(number)s is closed; closed orders stay as they are.") % {"number": order.number}
        )
    touched = OrderLine.objects.filter(order=order).exclude(picked=0, packed=0, shipped=0)
    if order.stage in PHYSICAL or touched.exists() or order.parcels.exclude(state="voided").exists():
        raise JoinRefused(
            "touched",
            _(
                "%(number)s has a waybill, or its goods are being picked. Make the waybill void first, or leave it as it is."
            )
            % {"number": order.number},
        )


def _has_own_lines(order: Order) -> bool:
    """Whether the order was split before: then its lines stand on its own number."""
    own = ExternalReference.objects.filter(kind=NUMBER, value=order.number, facts__kind="order.changed")
    return any("lines" in data for data in own.values_list("facts__data", flat=True))


def _lines_in_all(orders: Sequence[Order]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for line in OrderLine.objects.filter(order__in=orders).order_by("pk"):
        if line.sku in found:
            found[line.sku]["qty"] = str(Decimal(found[line.sku]["qty"]) + line.ordered)
        else:
            found[line.sku] = _as_data(line, line.ordered)
    return list(found.values())


def _as_data(line: OrderLine, quantity: Decimal) -> dict[str, Any]:
    price = str(line.price) if line.price is not None else None
    return {"sku": line.sku, "qty": str(quantity), "name": line.name, "unit": line.unit, "price": price}


def _move_names(order: Order, kept: Order) -> None:
    """Every name of the order but its own number becomes a name of the one that stays."""
    links = ReferenceLink.objects.filter(order=order).exclude(
        reference__kind=NUMBER, reference__value=order.number
    )
    known = ReferenceLink.objects.filter(order=kept).values("reference")
    links.filter(reference__in=known).delete()
    links.update(order=kept)


def _divided(order: Order, lines: Mapping[str, Decimal]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(what stays, what goes). Raises JoinRefused if one of them were empty or more than there is."""
    stays, goes, unknown = [], [], set(lines)
    for line in order.lines.order_by("pk"):
        unknown.discard(line.sku)
        quantity = stock.units(lines.get(line.sku, stock.ZERO))
        if quantity > line.ordered - line.cancelled:
            raise JoinRefused(
                "too_many",
                _("The order has %(has)s of %(sku)s, so %(quantity)s cannot be taken out of it.")
                % {
                    "has": f"{(line.ordered - line.cancelled).normalize():f}",
                    "sku": line.sku,
                    "quantity": f"{quantity:f}",
                },
            )
        if quantity:
            goes.append(_as_data(line, quantity))
        if line.ordered > quantity:
            stays.append(_as_data(line, line.ordered - quantity))
    if unknown:
        raise JoinRefused(
            "unknown_line", _("The order has no %(sku)s.") % {"sku": ", ".join(sorted(unknown))}
        )
    if not goes or not stays:
        raise JoinRefused("nothing_left", _("Take out some units and leave some: both orders need goods."))
    return stays, goes


def _twin(order: Order, at: datetime) -> Order:
    """A new order beside this one, of the same shop order."""
    for number in range(2, 100):
        external_id = f"{order.external_id[:60]}/{number}"
        if Order.objects.filter(shop=order.shop, external_id=external_id).exists():
            continue
        twin = Order(
            shop=order.shop,
            external_id=external_id,
            warehouse=order.warehouse,
            created_at=at,
            stage_since=at,
            is_demo=order.is_demo,
        )
        try:
            add_orders([twin], [order.placed_at or at])
        except IntegrityError:
            # Another split took this suffix at the same moment.
            continue
        return twin
    raise JoinRefused("too_often", _("This order was split too often. Merge parts of it first."))


def _allot(order: Order, lines: list[dict[str, Any]], actor: User, at: datetime) -> None:
    """Lines on the order's own number stand above what the shop lists."""
    tell(order, draw_key("allot"), [Saying(kind="order.changed", data={"lines": lines})], actor=actor, at=at)


def _give_back(order: Order, at: datetime, reason: str) -> None:
    """Locks were made for the order as it was; the new ones are made for what it is now."""
    released = stock.release(
        order, at=at, key=f"join:{order.pk}:{stock.n_entries(order)}", reason=reason[:120]
    )
    if released:
        sayings = [Saying(kind="stock.released", level_id=sku) for sku in released]
        tell(order, draw_key("join"), sayings, actor=None, at=at, by=HUB)
