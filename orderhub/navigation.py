"""Where staff can go: the pages of the header, and the records of the side bar. What a person may not see is not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Place:
    """A page in the header. may: who does not have this permission does not see it; empty: all staff."""

    name: str
    title: StrOrPromise
    icon: str
    may: str = ""


# Those that are not built or not installed have no address, and are left out.
PLACES: tuple[Place, ...] = (
    Place("admin:index", _("Today"), "today"),
    Place("admin:board", _("Board"), "kanban", "orders.view_order"),
    Place("admin:exceptions", _("Exceptions"), "danger"),
    Place("admin:gates", _("Review gates"), "gate"),
    Place("admin:rules", _("Rules"), "rule"),
    Place("admin:connections", _("Connections"), "cable", "integrations.view_connection"),
    Place("admin:insights", _("Insights"), "eye"),
    Place("admin:promise_backtest", _("Back-test"), "history", "promises.view_backtestrun"),
    Place("admin:promise_calibration", _("Calibration"), "check", "promises.view_estimate"),
    Place("admin:wizard", _("Set up"), "settings", "orderhub.run_setup"),
    Place("admin:api", _("API"), "key", "integrations.view_apitoken"),
)

# The side bar: groups of record kinds; whoever may see none of a group does not see the group.
NAVIGATION: tuple[tuple[Any, tuple[tuple[str, str], ...]], ...] = (
    (
        _("Orders"),
        (
            ("orders.order", "order"),
            ("orders.todo", "todo"),
            ("orders.parcel", "truck"),
            ("orders.orderfact", "fact"),
            ("orders.orderevent", "history"),
            ("orders.externalreference", "link"),
            ("orders.contact", "phone"),
        ),
    ),
    (
        _("Customers' pages"),
        (
            ("promises.customerrequest", "inbox"),
            ("promises.nextupdate", "clock"),
            ("promises.contactclick", "phone"),
        ),
    ),
    (
        _("Stock"),
        (
            ("orders.stockitem", "box"),
            ("orders.stocklock", "lock"),
            ("orders.stockentry", "list"),
        ),
    ),
    (
        _("Promises"),
        (
            ("promises.promise", "receipt"),
            ("promises.issuerequest", "clock"),
            ("promises.estimate", "today"),
            ("promises.promiserule", "rule"),
            ("promises.plannedsurge", "calendar"),
            ("promises.warehousepickup", "truck"),
            ("promises.estimatemodel", "history"),
            ("promises.recalibration", "check"),
            ("promises.commitmentrule", "rule"),
            ("promises.sellerprofile", "badge"),
            ("promises.transparencylog", "history"),
            ("promises.logleaf", "list"),
            ("promises.checkpoint", "check"),
            ("promises.logpending", "clock"),
            ("promises.logkey", "key"),
        ),
    ),
    (
        _("Ways in"),
        (
            ("integrations.connection", "cable"),
            ("integrations.inboundmessage", "inbox"),
            ("integrations.importrun", "upload"),
            ("integrations.fieldmapping", "schema"),
            ("integrations.unmappedvalue", "help"),
            ("integrations.apitoken", "key"),
        ),
    ),
    (
        _("House"),
        (
            ("orders.shop", "store"),
            ("orders.warehouse", "warehouse"),
            ("orders.customer", "users"),
            ("orders.reasoncode", "list"),
            ("orders.workcalendar", "calendar"),
            ("orders.calendarday", "today"),
            ("orders.precedenceversion", "rule"),
            ("orders.sourceheard", "ear"),
        ),
    ),
    (
        _("Access"),
        (
            ("auth.user", "user"),
            ("auth.group", "badge"),
            ("orders.staffscope", "eye"),
            ("orders.auditentry", "policy"),
        ),
    ),
)


def places(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of the header for this person, with the one that is open marked."""
    found = []
    for place in PLACES:
        link = address(place.name)
        if link and (not place.may or request.user.has_perm(place.may)):
            active = request.path == link if place.name == "admin:index" else request.path.startswith(link)
            found.append({"title": place.title, "icon": place.icon, "link": link, "active": active})
    return found


def address(name: str) -> str:
    """The page's address; empty if there is no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def search_address(request: HttpRequest) -> str:
    """Where the search box of the header leads; empty for whoever may not see orders."""
    if not request.user.has_perm("orders.view_order"):
        return ""
    return address("admin:board") or address("admin:orders_order_changelist")


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The side bar for this person."""
    groups = []
    for title, entries in NAVIGATION:
        items = [item for label, icon in entries if (item := _item(request, label, icon))]
        if items:
            groups.append({"title": title, "items": items})
    return groups


def _item(request: HttpRequest, label: str, icon: str) -> dict[str, Any] | None:
    try:
        model = apps.get_model(label)
    except LookupError:
        return None
    model_admin = admin.site._registry.get(model)
    if model_admin is None or not model_admin.has_view_permission(request):
        return None
    link = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return {"title": capfirst(model._meta.verbose_name_plural), "icon": icon, "link": link}
