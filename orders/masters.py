"""Who and what orders refer to: shops, warehouses, customers, and when each source was last heard."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited
from orders.reasons import reason_label


class Shop(Audited):
    """One place where customers order: a marketplace shop, the seller's own site, a price list for key accounts."""

    code = models.SlugField(_("code"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=100)
    platform = models.CharField(_("platform"), max_length=40, blank=True)
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    warehouse = models.ForeignKey(
        "orders.Warehouse", verbose_name=_("usual warehouse"), null=True, blank=True, on_delete=models.PROTECT
    )
    is_active = models.BooleanField(_("active"), default=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("shop")
        verbose_name_plural = _("shops")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Warehouse(Audited):
    """One place that goods leave from, with its own working calendar."""

    code = models.SlugField(_("code"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=100)
    region = models.CharField(_("region"), max_length=40, blank=True)
    calendar = models.ForeignKey(
        "orders.WorkCalendar",
        verbose_name=_("working calendar"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
    )
    is_active = models.BooleanField(_("active"), default=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("warehouse")
        verbose_name_plural = _("warehouses")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Customer(Audited):
    """A buying company or person, without personal data: those live in Contact."""

    code = models.CharField(_("code"), max_length=64, unique=True)
    name = models.CharField(_("company name"), max_length=120, blank=True)
    # Null = nobody rated them. That is not the same as zero.
    stars = models.PositiveSmallIntegerField(_("stars"), null=True, blank=True)
    region = models.CharField(_("region"), max_length=40, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name or self.code


class ReasonCode(Audited):
    """One reason why an order is stuck, to choose from. The list is never emptied: a must without a choice blocks people."""

    code = models.SlugField(_("code"), max_length=40, unique=True)
    name = models.CharField(
        _("name"), max_length=80, blank=True, help_text=_("Empty: the usual words for this code.")
    )
    # A role of orders.access.ROLES.
    owner = models.CharField(_("answers for it"), max_length=40, blank=True)
    pauses_clock = models.BooleanField(
        _("stops our clock"), default=False, help_text=_("While somebody outside must act.")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=100)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reason code")
        verbose_name_plural = _("reason codes")
        ordering = ["position", "code"]

    def __str__(self) -> str:
        return self.name or str(reason_label(self.code))

    def clean(self) -> None:
        if not self.is_active and not ReasonCode.objects.filter(is_active=True).exclude(pk=self.pk).exists():
            raise ValidationError(
                {
                    "is_active": gettext(
                        "This is the last active reason. Switch another one on first: people must be able to choose one."
                    )
                }
            )


class SourceHeard(models.Model):
    """When a source last said anything, and when it last said something new. A silent source must be visible as such."""

    source = models.CharField(_("source"), max_length=64, unique=True)
    role = models.CharField(_("role"), max_length=10)
    heard_at = models.DateTimeField(_("last heard"))
    fact_at = models.DateTimeField(_("last new fact"), null=True)

    class Meta:
        verbose_name = _("source heard")
        verbose_name_plural = _("sources heard")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.source
