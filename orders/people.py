"""Which staff may see which orders: row scope by shop, warehouse, region and customer owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class StaffScope(Audited):
    """The part of the business one person sees. Parts add up; without a row, or with an empty one, nothing is seen."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="scope"
    )
    everything = models.BooleanField(_("sees every order"), default=False)
    shops = models.ManyToManyField("orders.Shop", verbose_name=_("shops"), blank=True)
    warehouses = models.ManyToManyField("orders.Warehouse", verbose_name=_("warehouses"), blank=True)
    regions = models.JSONField(_("regions"), default=list, blank=True)
    own_customers = models.BooleanField(_("orders of own customers"), default=False)

    class Meta:
        verbose_name = _("row scope")
        verbose_name_plural = _("row scopes")

    def __str__(self) -> str:
        return str(self.user)


def order_scope(user: User | AnonymousUser) -> Q | Literal[True] | None:
    """True for everything, None for nothing, else the condition on orders."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return True
    scope = StaffScope.objects.filter(user=user).first()
    if scope is None:
        return None
    if scope.everything:
        return True
    shops = list(scope.shops.values_list("pk", flat=True))
    warehouses = list(scope.warehouses.values_list("pk", flat=True))
    condition = Q()
    if shops:
        condition |= Q(shop__in=shops)
    if warehouses:
        condition |= Q(warehouse__in=warehouses)
    if scope.regions:
        condition |= Q(region__in=scope.regions)
    if scope.own_customers:
        condition |= Q(customer__owner=user)
    return condition or None
