"""Which staff may see which orders: row scope by shop, warehouse, region and customer owner, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited, audit_links

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

Rows = TypeVar("Rows", bound="models.QuerySet[Any]")

HOME_COUNTRY = "CN"


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
    cross_border = models.BooleanField(_("orders to other countries"), default=False)

    class Meta:
        verbose_name = _("row scope")
        verbose_name_plural = _("row scopes")

    def __str__(self) -> str:
        return str(self.user)


audit_links(StaffScope.shops.through, owner="staffscope", other="shop")
audit_links(StaffScope.warehouses.through, owner="staffscope", other="warehouse")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one person's scope says, read once. Ids, not subqueries: a keeper's 1 % is then an index lookup."""

    user_id: int
    everything: bool = False
    shops: tuple[int, ...] = ()
    warehouses: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()
    own_customers: bool = False
    cross_border: bool = False

    def orders(self, prefix: str = "") -> Q:
        """The condition on orders reached over prefix ("order__"); an empty Q if the scope names nothing."""
        condition = Q()
        if self.shops:
            condition |= Q(**{f"{prefix}shop__in": self.shops})
        if self.warehouses:
            condition |= Q(**{f"{prefix}warehouse__in": self.warehouses})
        if self.regions:
            condition |= Q(**{f"{prefix}region__in": self.regions})
        if self.own_customers:
            condition |= Q(**{f"{prefix}customer__owner": self.user_id})
        if self.cross_border:
            condition |= ~Q(**{f"{prefix}country__in": ["", HOME_COUNTRY]})
        return condition

    def places(self, prefix: str = "") -> Q:
        """The condition on rows that name a shop or a warehouse themselves, reached over prefix ("connection__")."""
        return Q(**{f"{prefix}shop__in": self.shops}) | Q(**{f"{prefix}warehouse__in": self.warehouses})


# Only a request opens one (orderhub/middleware.py), so that a grant never outlives the role it was read from.
_kept: ContextVar[dict[int, Grant] | None] = ContextVar("kept", default=None)


@contextmanager
def scopes_kept() -> Iterator[None]:
    """Inside, each person's scope is read once."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def granted(user: User | AnonymousUser) -> Grant | None:
    """What this person's scope says; None if nothing is to be seen."""
    if not user.is_authenticated or not user.is_active:
        return None
    kept = _kept.get()
    if kept is not None and user.pk in kept:
        return kept[user.pk]
    grant = _read_grant(user)
    if kept is not None:
        kept[user.pk] = grant
    return grant


def _read_grant(user: User) -> Grant:
    if user.has_perm("orders.see_all_orders"):
        return Grant(user.pk, everything=True)
    return scope_of(user.pk)


def scope_of(user_id: int) -> Grant:
    """What the scope of an active person says who may not see every order by permission. One query."""
    rows = _scope_rows(user_id)
    if not rows:
        return Grant(user_id)
    _kind, _pk, everything, regions, own_customers, cross_border = rows[0]
    if everything:
        return Grant(user_id, everything=True)
    return Grant(
        user_id,
        shops=tuple(sorted(row[1] for row in rows if row[0] == _SHOP)),
        warehouses=tuple(sorted(row[1] for row in rows if row[0] == _WAREHOUSE)),
        regions=tuple(regions),
        own_customers=own_customers,
        cross_border=cross_border,
    )


_ITSELF, _SHOP, _WAREHOUSE = range(3)
_COLUMNS = ("everything", "regions", "own_customers", "cross_border")


def _scope_rows(user_id: int) -> list[Any]:
    """The scope itself, its shops and its warehouses by id, each with the scope's columns. One query: every page asks."""
    itself = StaffScope.objects.filter(user=user_id).values_list(models.Value(_ITSELF), "pk", *_COLUMNS)
    parts = [
        through.objects.filter(staffscope__user=user_id).values_list(
            models.Value(kind), column, *(f"staffscope__{name}" for name in _COLUMNS)
        )
        for kind, through, column in (
            (_SHOP, StaffScope.shops.through, "shop_id"),
            (_WAREHOUSE, StaffScope.warehouses.through, "warehouse_id"),
        )
    ]
    return sorted(itself.union(*parts, all=True), key=lambda row: (row[0], row[1]))


def order_scope(user: User | AnonymousUser) -> Q | Literal[True] | None:
    """True for everything, None for nothing, else the condition on orders."""
    grant = granted(user)
    if grant is None:
        return None
    return True if grant.everything else grant.orders() or None


# How each kind of row is reached from an order. "=" rows name a shop or warehouse themselves; None: seen by whoever
# has the permission. What is not listed is not shown by ScopedAdmin at all.
SCOPE_PATHS: dict[str, str | None] = {
    "orders.order": "",
    "orders.orderline": "order",
    "orders.parcel": "order",
    "orders.orderstep": "order",
    "orders.orderhold": "order",
    "orders.orderevent": "order",
    "orders.referencelink": "order",
    "orders.stocklock": "order",
    "orders.todo": "order",
    "orders.orderfact": "reference",
    "orders.externalreference": "",
    "orders.contact": "",
    "orders.customer": "",
    "orders.shop": "",
    "orders.warehouse": "",
    "orders.stockitem": "=",
    "orders.stockentry": "=item",
    "orders.workcalendar": None,
    "orders.calendarday": None,
    "orders.sourceheard": None,
    "orders.precedenceversion": None,
    "orders.reasoncode": None,
    "orders.auditentry": None,
    "orders.staffscope": None,
    "orders.worksignal": None,
    # The pages show a person their own ones and the shared ones; a view is a definition, the orders in it are scoped.
    "orders.savedview": None,
    "orders.staffpreference": None,
    "orders.bulkrun": None,
    "orders.bulkrow": "order",
    "orderhub.house": None,
    "orderhub.setupstep": None,
    "orderhub.templateinstall": None,
    "orderhub.templaterow": None,
    "integrations.connection": "=",
    "integrations.apitoken": "=connection",
    "integrations.unmappedvalue": "=connection",
    "integrations.importrun": "=connection",
    "integrations.importrowerror": "=run__connection",
    "integrations.inboundmessage": "=connection",
    "integrations.idempotencykey": "=connection",
    # Mappings belong to no shop: several connections may share one.
    "integrations.fieldmapping": None,
    "integrations.fieldmappingversion": None,
    "promises.customerlink": "order",
    "promises.pagevisit": "order",
    "promises.contactclick": "order",
    "promises.nextupdate": "order",
    "promises.customerrequest": "order",
    "promises.messageconsent": "order",
    "promises.deliveryrating": "order",
    "promises.estimate": "order",
    "promises.journey": "order",
    # How promises are made is the house's; the orders they are made for are scoped.
    "promises.promiserule": None,
    "promises.plannedsurge": None,
    "promises.warehousepickup": None,
    "promises.estimatemodel": None,
    "promises.recalibration": None,
    "promises.promise": "order",
    "promises.promisefile": "promise__order",
    "promises.outcome": "promise__order",
    "promises.issuerequest": "order",
    "promises.commitmentrule": "",
    # Of single customers the log holds salted hashes only.
    "promises.sellerprofile": None,
    "promises.transparencylog": None,
    "promises.logkey": None,
    "promises.logpending": None,
    "promises.logleaf": None,
    "promises.lognode": None,
    "promises.checkpoint": None,
    "promises.cosignature": None,
    "promises.anchor": None,
    "auth.user": None,
    "auth.group": None,
}


class NoScopePath(LookupError):
    """A kind of row that nobody has said how to scope."""


def visible(rows: Rows, user: User | AnonymousUser, *, path: str | None = "?") -> Rows:
    """The rows this user's scope covers; beside `within` the one place where scope meets a query.

    Raises NoScopePath for a model that is not in SCOPE_PATHS if no path is given.
    """
    label = rows.model._meta.label_lower
    if path == "?":
        if label not in SCOPE_PATHS:
            raise NoScopePath(f"{label} has no line in orders.people.SCOPE_PATHS")
        path = SCOPE_PATHS[label]
    grant = granted(user)
    if grant is None:
        return rows.none()
    if path is None or grant.everything:
        return rows
    return rows.filter(_condition(label, path, grant, user))


def within(orders: Rows, grant: Grant) -> Rows:
    """Of these orders those that the grant covers."""
    return orders if grant.everything else orders.filter(grant.orders() or Q(pk__in=[]))


def _condition(label: str, path: str, grant: Grant, user: User | AnonymousUser) -> Q:
    if path.startswith("="):
        return _of_places(label, path[1:], grant)
    if label in _OWN_RULES:
        own: Q = _OWN_RULES[label](grant, user)
        return own
    condition = grant.orders(f"{path}__" if path else "")
    return condition or Q(pk__in=[])


def _of_places(label: str, path: str, grant: Grant) -> Q:
    prefix = f"{path}__" if path else ""
    if label.startswith("orders.stock"):
        return Q(**{f"{prefix}warehouse__in": grant.warehouses})
    return grant.places(prefix)


def _orders_in_scope(grant: Grant, **of: OuterRef) -> Q:
    from orders.models import Order

    condition = grant.orders()
    return Q(Exists(Order.objects.filter(condition, **of))) if condition else Q(pk__in=[])


def _linked(grant: Grant, reference: str) -> Q:
    from orders.models import ReferenceLink

    condition = grant.orders("order__")
    return (
        Q(Exists(ReferenceLink.objects.filter(condition, reference=OuterRef(reference))))
        if condition
        else Q(pk__in=[])
    )


def _todos(grant: Grant, user: User | AnonymousUser) -> Q:
    """Those of visible orders; those without an order go to the person or the role they name."""
    # Asked within the statement: Today counts to-dos several times on one page.
    roles = user.groups.values("name")
    mine = Q(order__isnull=True) & (Q(person=grant.user_id) | Q(owner__in=roles))
    return grant.orders("order__") | mine


_OWN_RULES: dict[str, Any] = {
    "orders.todo": _todos,
    "orders.orderfact": lambda grant, user: _linked(grant, "reference"),
    "orders.externalreference": lambda grant, user: _linked(grant, "pk"),
    "orders.contact": lambda grant, user: _orders_in_scope(grant, contact=OuterRef("pk")),
    "orders.customer": lambda grant, user: (
        _orders_in_scope(grant, customer=OuterRef("pk"))
        | (Q(owner=grant.user_id) if grant.own_customers else Q(pk__in=[]))
    ),
    "orders.shop": lambda grant, user: Q(pk__in=grant.shops) | Q(warehouse__in=grant.warehouses),
    "promises.commitmentrule": lambda grant, user: Q(shop__in=grant.shops),
    "orders.warehouse": lambda grant, user: Q(pk__in=grant.warehouses) | Q(shop__in=grant.shops),
}
