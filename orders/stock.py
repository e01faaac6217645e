"""Stock that orders lock: one row per article and warehouse, a lock per order, and a ledger of every change."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


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

    item = models.ForeignKey(StockItem, on_delete=models.PROTECT, related_name="entries")
    order = models.ForeignKey(
        "orders.Order", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    on_hand_change = models.DecimalField(_("change on hand"), max_digits=14, decimal_places=3, default=0)
    locked_change = models.DecimalField(_("change locked"), max_digits=14, decimal_places=3, default=0)
    # The same key twice is one change.
    key = models.CharField(_("key"), max_length=128, unique=True)
    at = models.DateTimeField(_("at"))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("stock entry")
        verbose_name_plural = _("stock ledger")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} {self.on_hand_change} {self.locked_change}"
