"""Stock that orders lock: one row per article and warehouse, a lock per order, and a ledger of every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from django.apps import apps
from django.db import models, transaction
from django.db.models import F, Q, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from orders.masters import Warehouse
    from orders.models import Order


class StockItem(models.Model):
    """How many units of an article one warehouse has, and how many of them are locked for orders."""

    warehouse = models.ForeignKey("orders.Warehouse", verbose_name=_("warehouse"), on_delete=models.PROTECT)
    sku = models.CharField(_("article"), max_length=80)
    on_hand = models.DecimalField(_("on hand"), max_digits=14, decimal_places=3, default=0)
    locked = models.DecimalField(_("locked"), max_digits=14, decimal_places=3, default=0)
    counted_at = models.DateTimeField(_("as of"))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("stock")
        verbose_name_plural = _("stock")
        constraints = [
            models.UniqueConstraint(fields=["warehouse", "sku"], name="stock_warehouse_sku"),
            models.CheckConstraint(
                condition=Q(locked__gte=0) & Q(locked__lte=F("on_hand")), name="stock_never_oversold"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} @ {self.warehouse}"


class StockLock(models.Model):
    """Units of one article set aside for one order, until released or expired. At most one live lock per order and article."""

    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), on_delete=models.CASCADE, related_name="locks"
    )
    item = models.ForeignKey(
        StockItem, verbose_name=_("stock"), on_delete=models.PROTECT, related_name="locks"
    )
    quantity = models.DecimalField(_("quantity"), max_digits=14, decimal_places=3)
    locked_at = models.DateTimeField(_("locked at"))
    expires_at = models.DateTimeField(_("expires"), null=True)
    released_at = models.DateTimeField(_("released"), null=True)

    class Meta:
        verbose_name = _("stock lock")
        verbose_name_plural = _("stock locks")
        constraints = [
            models.UniqueConstraint(
                fields=["order", "item"], name="lock_live_once", condition=Q(released_at__isnull=True)
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="lock_is_positive"),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="lock_expires", condition=Q(released_at__isnull=True))
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.item_id} x {self.quantity}"


class StockEntry(models.Model):
    """One change of one stock row. Rows are added, never changed; the sums of a row's entries are its columns."""

    class Kind(models.TextChoices):
        COUNT = "count", _("Counted")
        LOCK = "lock", _("Locked")
        RELEASE = "release", _("Released")
        SHIP = "ship", _("Shipped")

    item = models.ForeignKey(
        StockItem, verbose_name=_("stock"), on_delete=models.PROTECT, related_name="entries"
    )
    order = models.ForeignKey(
        "orders.Order",
        verbose_name=_("order"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    on_hand_change = models.DecimalField(_("change on hand"), max_digits=14, decimal_places=3, default=0)
    locked_change = models.DecimalField(_("change locked"), max_digits=14, decimal_places=3, default=0)
    # The same key twice is one change.
    key = models.CharField(_("key"), max_length=128, unique=True)
    at = models.DateTimeField(_("at"))
    reason = models.CharField(_("reason"), max_length=120, blank=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("stock entry")
        verbose_name_plural = _("stock ledger")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} {self.on_hand_change} {self.locked_change}"


class BadQuantity(Exception):
    """A number of units that no stock can have: negative, not a number, or finer than a thousandth."""


class CountRefused(Exception):
    """A counted figure that is less than what is locked for orders. Carries who holds the units."""

    def __init__(self, sku: str, on_hand: Decimal, holders: list[tuple[str, Decimal]]) -> None:
        self.sku, self.on_hand, self.holders = sku, on_hand, holders
        super().__init__(
            gettext(
                "%(sku)s: %(on_hand)s on hand is less than what is locked (%(holders)s). Release a lock first, or count again."
            )
            % {
                "sku": sku,
                "on_hand": f"{on_hand:f}",
                "holders": ", ".join(f"{number}: {quantity:f}" for number, quantity in holders),
            }
        )


class StockMoved(Exception):
    """Somebody changed a stock row between reading and writing it. Nothing was written; ask again."""


@dataclass(frozen=True, slots=True)
class LockOutcome:
    """Units per article: what the order holds now, and what it wanted and could not get."""

    locked: dict[str, Decimal]
    short: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Difference:
    """A column of a stock row that does not equal the sum it stands for."""

    item_id: int
    sku: str
    what: str  # "on_hand" or "locked" against the ledger, "locks" = locked against the live locks
    stored: Decimal
    expected: Decimal


ZERO = Decimal(0)
_STEP = Decimal("0.001")


def units(quantity: Decimal | int | str) -> Decimal:
    """The quantity as stock keeps it. Raises BadQuantity."""
    try:
        value = Decimal(quantity)
        fits = value.is_finite() and value >= 0 and value == value.quantize(_STEP)
    except InvalidOperation:
        fits = False
    if not fits:
        raise BadQuantity(
            gettext("%(quantity)s is not a number of units: give 0 or more, with at most three decimals.")
            % {"quantity": quantity}
        )
    return value


def count(
    warehouse: Warehouse,
    sku: str,
    on_hand: Decimal | int | str,
    *,
    at: datetime,
    key: str,
    is_demo: bool = False,
) -> StockItem:
    """Take over a counted or reported figure, true at that time. The same key twice is one count.

    Units shipped after the count are subtracted again; a count older than the last one changes nothing.
    Raises CountRefused if locked units would not exist, and BadQuantity.
    """
    counted = units(on_hand)
    with transaction.atomic():
        StockItem.objects.get_or_create(
            warehouse=warehouse, sku=sku, defaults={"counted_at": at, "is_demo": is_demo}
        )
        item = StockItem.objects.select_for_update().get(warehouse=warehouse, sku=sku)
        if item.counted_at > at or _is_known(key, item):
            return item
        counted = max(counted + _shipped_since(item, at), ZERO)
        if counted < item.locked:
            raise CountRefused(sku, counted, _holders(item))
        _change(item, None, StockEntry.Kind.COUNT, on_hand=counted - item.on_hand, key=key, at=at)
        item.counted_at = at
        item.save(update_fields=["counted_at"])
    return item


def lock(
    order: Order,
    wants: Mapping[str, Decimal],
    *,
    warehouse: Warehouse,
    at: datetime,
    expires_at: datetime | None,
    key: str,
) -> LockOutcome:
    """Set units aside until the order holds, of each article, as many as it wants, or as many as there are.

    Wants are totals: asking again adds only what is missing. The same key twice is one change. Raises BadQuantity.
    """
    wants = {sku: units(quantity) for sku, quantity in wants.items()}
    with transaction.atomic():
        _hold_order(order.pk)
        held: dict[str, Decimal] = {}
        # In one fixed order everywhere, so that two orders for the same articles cannot wait for each other.
        items = (
            StockItem.objects.select_for_update().filter(warehouse=warehouse, sku__in=wants).order_by("pk")
        )
        for item in items:
            live = StockLock.objects.filter(order=order, item=item, released_at=None).first()
            has = live.quantity if live else ZERO
            takes = min(wants[item.sku] - has, item.on_hand - item.locked)
            if takes > 0 and not _is_known(key, item):
                _change(item, order.pk, StockEntry.Kind.LOCK, locked=takes, key=key, at=at)
                _set_lock(live or StockLock(order=order, item=item, quantity=ZERO), takes, at, expires_at)
                has += takes
            held[item.sku] = has
    short = {sku: quantity - held.get(sku, ZERO) for sku, quantity in wants.items()}
    return LockOutcome(
        locked={sku: quantity for sku, quantity in held.items() if quantity > 0},
        short={sku: quantity for sku, quantity in short.items() if quantity > 0},
    )


def release(order: Order, *, at: datetime, key: str, reason: str) -> dict[str, Decimal]:
    """Give back everything the order holds; returns it per article. A second release finds nothing to give back."""
    return _release(order.pk, Q(), at=at, key=key, reason=reason)


def release_expired(order: Order, *, at: datetime) -> dict[str, Decimal]:
    """Give back what the order held past its time; returns it per article."""
    key = f"expire:{at.isoformat()}:{order.pk}"
    return _release(order.pk, Q(expires_at__lte=at), at=at, key=key, reason="expired")


def ship(
    order: Order, leaving: Mapping[str, Decimal] | None = None, *, at: datetime, key: str
) -> dict[str, Decimal]:
    """Units the order holds leave the warehouse; without `leaving`, all of them. Returns what left, per article.

    Units that leave without having been locked are not known here: the next count brings them. The same key twice
    is one change.
    """
    left: dict[str, Decimal] = {}
    with transaction.atomic():
        for live, item in _held_rows(order.pk, Q()):
            goes = (
                live.quantity
                if leaving is None
                else min(live.quantity, leaving.get(item.sku, ZERO) - left.get(item.sku, ZERO))
            )
            if goes <= 0 or _is_known(key, item):
                continue
            _change(item, order.pk, StockEntry.Kind.SHIP, on_hand=-goes, locked=-goes, key=key, at=at)
            if goes == live.quantity:
                live.released_at = at
            else:
                live.quantity -= goes
            live.save(update_fields=["quantity", "released_at"])
            left[item.sku] = left.get(item.sku, ZERO) + goes
    return left


def held(order: Order) -> dict[str, Decimal]:
    """Units per article that the order holds now."""
    live = StockLock.objects.filter(order=order, released_at=None)
    sums = live.values_list("item__sku").annotate(Sum("quantity"))
    return {sku: quantity.quantize(_STEP) for sku, quantity in sums}


def shipped(order: Order, sku: str) -> Decimal:
    """Units of the article that were booked out for the order."""
    entries = StockEntry.objects.filter(order=order, item__sku=sku, kind=StockEntry.Kind.SHIP)
    change: Decimal = entries.aggregate(change=Sum("on_hand_change"))["change"] or ZERO
    return -change.quantize(_STEP)


def n_entries(order: Order) -> int:
    """How often the order's stock has changed: under the order's lock, the number of its next change."""
    return StockEntry.objects.filter(order=order).count()


def differences() -> list[Difference]:
    """Every stock row whose columns differ from the ledger's sums or from its live locks. Empty when all is well."""
    ledger = {
        row["item"]: row
        for row in StockEntry.objects.values("item").annotate(
            on_hand=Sum("on_hand_change"), locked=Sum("locked_change")
        )
    }
    locks = dict(
        StockLock.objects.filter(released_at=None)
        .values("item")
        .annotate(held=Sum("quantity"))
        .values_list("item", "held")
    )
    found = []
    for item in StockItem.objects.order_by("pk").iterator():
        sums = ledger.get(item.pk, {})
        for what, stored, expected in (
            ("on_hand", item.on_hand, sums.get("on_hand")),
            ("locked", item.locked, sums.get("locked")),
            ("locks", item.locked, locks.get(item.pk)),
        ):
            # SQLite adds decimals as binary fractions.
            exact = (expected or ZERO).quantize(_STEP)
            if stored != exact:
                found.append(Difference(item.pk, item.sku, what, stored, exact))
    return found


def _release(order_id: int, which: Q, *, at: datetime, key: str, reason: str) -> dict[str, Decimal]:
    given_back: dict[str, Decimal] = {}
    with transaction.atomic():
        for live, item in _held_rows(order_id, which):
            if _is_known(key, item):
                continue
            _change(
                item, order_id, StockEntry.Kind.RELEASE, locked=-live.quantity, key=key, at=at, reason=reason
            )
            live.released_at = at
            live.save(update_fields=["released_at"])
            given_back[item.sku] = given_back.get(item.sku, ZERO) + live.quantity
    return given_back


def _hold_order(order_id: int) -> None:
    """Wait for whoever works on the order. The order comes before its stock, as in the one door."""
    orders = apps.get_model("orders", "Order")
    list(orders._base_manager.select_for_update().filter(pk=order_id).values_list("pk"))


def _held_rows(order_id: int, which: Q) -> list[tuple[StockLock, StockItem]]:
    """The order's live locks with their stock rows, both read after the rows are ours."""
    _hold_order(order_id)
    live = StockLock.objects.filter(which, order_id=order_id, released_at=None).order_by("item_id")
    items = {
        item.pk: item
        for item in StockItem.objects.select_for_update()
        .filter(pk__in=[row.item_id for row in live])
        .order_by("pk")
    }
    return [(row, items[row.item_id]) for row in live]


def _set_lock(live: StockLock, takes: Decimal, at: datetime, expires_at: datetime | None) -> None:
    live.quantity += takes
    live.locked_at, live.expires_at = at, expires_at
    live.save()


def _change(
    item: StockItem,
    order_id: int | None,
    kind: StockEntry.Kind,
    *,
    on_hand: Decimal = ZERO,
    locked: Decimal = ZERO,
    key: str,
    at: datetime,
    reason: str = "",
) -> None:
    """Write one change of a stock row, and its ledger entry. Raises StockMoved if the row is not as it was read."""
    new = {"on_hand": item.on_hand + on_hand, "locked": item.locked + locked}
    # The sums are made here, not in SQL: SQLite would add thousandths as binary fractions.
    if not StockItem.objects.filter(pk=item.pk, on_hand=item.on_hand, locked=item.locked).update(**new):
        raise StockMoved(gettext("The stock of %(sku)s has just changed. Try again.") % {"sku": item.sku})
    item.on_hand, item.locked = new["on_hand"], new["locked"]
    StockEntry.objects.create(
        item=item,
        order_id=order_id,
        kind=kind,
        on_hand_change=on_hand,
        locked_change=locked,
        key=_entry_key(key, item),
        at=at,
        reason=reason,
        is_demo=item.is_demo,
    )


def _entry_key(key: str, item: StockItem) -> str:
    return f"{key}#{item.pk}"


def _is_known(key: str, item: StockItem) -> bool:
    return StockEntry.objects.filter(key=_entry_key(key, item)).exists()


def _shipped_since(item: StockItem, at: datetime) -> Decimal:
    shipped = StockEntry.objects.filter(item=item, kind=StockEntry.Kind.SHIP, at__gt=at)
    change: Decimal = shipped.aggregate(change=Sum("on_hand_change"))["change"] or ZERO
    return change.quantize(_STEP)


def _holders(item: StockItem) -> list[tuple[str, Decimal]]:
    live = (
        StockLock.objects.filter(item=item, released_at=None)
        .select_related("order")
        .order_by("locked_at", "pk")
    )
    return [(row.order.number, row.quantity.normalize()) for row in live]
