"""/admin/promises/customer/...: what staff do about a customer's page. Every act is a POST, and each is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from django_stubs_ext import StrOrPromise

from orders import audit
from orders.deadlines import Calendars
from orders.models import Order
from orders.worktime import CalendarNeverOpens, add_working
from promises.tracking import links, updates
from promises.tracking.causes import Cause
from promises.tracking.figures import DAYS, figures
from promises.tracking.models import CustomerRequest
from promises.tracking.panel import OPEN, REVEAL, REVOKE, SEE, TELL, NewsForm

# How the parts of an address are called on the page that reveals them.
PARTS: dict[str, StrOrPromise] = {
    "name": gettext_lazy("Name"),
    "phone": gettext_lazy("Phone"),
    "province": gettext_lazy("Province or state"),
    "city": gettext_lazy("City"),
    "street": gettext_lazy("Street, house number, room"),
}


def pages(site: AdminSite) -> list[URLPattern]:
    page, base = _Page(site), "promises/customer/"
    return [
        path(base, site.admin_view(page.figures), name="customer_figures"),
        path(f"{base}<int:order_id>/link/", site.admin_view(page.link), name="customer_link"),
        path(f"{base}<int:order_id>/revoke/", site.admin_view(page.revoke), name="customer_revoke"),
        path(f"{base}<int:order_id>/news/", site.admin_view(page.news), name="customer_news"),
        path(f"{base}request/<int:pk>/", site.admin_view(page.reveal), name="customer_reveal"),
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @method_decorator([require_safe, never_cache])
    def figures(self, request: HttpRequest) -> HttpResponse:
        """How customers use their pages, and how promised news was kept."""
        if not request.user.has_perm(SEE):
            raise PermissionDenied(SEE)
        context = {
            **self.site.each_context(request),
            "title": _("Customers' pages"),
            "days": DAYS,
            "figures": figures(request.user, now()),
            "board": reverse("admin:board"),
            "to_board": _("Open the board"),
        }
        return TemplateResponse(request, "promises/customer/figures.html", context)

    @method_decorator([require_POST, never_cache])
    def link(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Make the link of an order that has none yet."""
        order = _order(request, order_id, OPEN)
        links.address_of(order)
        messages.success(request, _("The link is made. Copy it for the customer."))
        return _back(order)

    @method_decorator([require_POST, never_cache])
    def revoke(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Close the address that is out, and make another one."""
        order = _order(request, order_id, REVOKE)
        links.revoke(order, by=cast(User, request.user), at=now())
        messages.success(
            request, _("The old link opens nothing any more. Copy the new one for the customer.")
        )
        return _back(order)

    @method_decorator([require_POST, never_cache])
    def news(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Tell the customer what it lies at and when the next news comes."""
        order = _order(request, order_id, TELL)
        form = NewsForm(request.POST)
        if not form.is_valid():
            messages.error(request, _("Nothing was told: choose a cause and a time from the lists."))
            return _back(order)
        at, within = now(), timedelta(hours=form.cleaned_data["within"])
        try:
            due_at = add_working(at, within, Calendars().of(order.warehouse_id))
        except CalendarNeverOpens:
            due_at = at + timedelta(days=1)
        updates.give(order, Cause(form.cleaned_data["cause"]), due_at, by=cast(User, request.user), at=at)
        messages.success(
            request, _("The customer reads it now. If no news comes by then, the house asks you for it.")
        )
        return _back(order)

    @method_decorator([require_POST, never_cache, sensitive_variables()])
    def reveal(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What a customer wrote, in clear. Each look is recorded."""
        asked = (
            CustomerRequest.objects.visible_to(request.user)
            .select_related("order", "contact", "todo")
            .filter(pk=pk)
            .first()
        )
        if asked is None:
            raise Http404(_("There is no such request, or it is outside your area."))
        if not request.user.has_perm(REVEAL):
            raise PermissionDenied(REVEAL)
        context = {
            **self.site.each_context(request),
            "title": asked.get_kind_display(),
            "order": asked.order,
            "here": _url(asked.order),
            "asked": asked,
            "parts": _parts(asked),
        }
        return TemplateResponse(request, "promises/customer/revealed.html", context)


def _parts(asked: CustomerRequest) -> list[tuple[str, str]]:
    """What was written, by its parts, and the look in the audit."""
    reason = _("Customer's request of order %(number)s") % {"number": asked.order.number}
    with transaction.atomic():
        if asked.contact is not None:
            person: Any = asked.contact.reveal(reason=reason)
            return [(str(label), person[name]) for name, label in PARTS.items() if person.get(name)]
        audit.record("reveal", asked, reason=reason)
        return [(_("Message"), asked.opened())]


def _order(request: HttpRequest, order_id: int, may: str) -> Order:
    """The order, if it is in this person's scope. Raises Http404 before anything else is said, then PermissionDenied."""
    order = Order.objects.visible_to(request.user).filter(pk=order_id).first()
    if order is None:
        raise Http404(_("There is no such order, or it is outside your area."))
    if not request.user.has_perm(may):
        raise PermissionDenied(may)
    return cast(Order, order)


def _url(order: Order) -> str:
    return reverse("admin:orders_order_change", args=[order.pk])


def _back(order: Order) -> HttpResponse:
    return HttpResponseRedirect(_url(order), status=303)
