"""On the order's page: what its customer sees, how often they look and ask, and what staff can do about it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Aggregate, Count, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.timezone import localdate, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Order
from promises.said import said_of
from promises.tracking import links
from promises.tracking.causes import Cause
from promises.tracking.models import ContactClick, CustomerLink, MessageConsent, PageVisit
from promises.tracking.picture import picture_of

SEE, OPEN, REVOKE, TELL = (
    "promises.view_customerlink",
    "promises.open_customerlink",
    "promises.revoke_customerlink",
    "promises.give_news",
)
REVEAL = "orders.reveal_contact"
LOOKED_BACK = timedelta(days=30)


class NewsForm(forms.Form):
    """What the customer is told: a class of cause, and when the next news comes, in working hours."""

    cause = forms.ChoiceField(label=gettext_lazy("What it lies at"), choices=Cause.choices)
    within = forms.TypedChoiceField(
        label=gettext_lazy("Next update by"),
        coerce=int,
        choices=[
            (4, gettext_lazy("in 4 working hours")),
            (8, gettext_lazy("in 8 working hours")),
            (16, gettext_lazy("in 16 working hours")),
        ],
        initial=8,
    )


def panel(order: Order, request: HttpRequest) -> dict[str, Any] | None:
    """For ORDER_PANELS."""
    if not request.user.has_perm(SEE):
        return None
    return {
        "key": "customer",
        "title": _("What the customer sees"),
        "template": "promises/customer/panel.html",
        "context": context_of(order, request, now()),
        "column": "side",
    }


def context_of(order: Order, request: HttpRequest, at: datetime) -> dict[str, Any]:
    """Six queries, five of them the picture's; four where another panel has asked before what was said of the order."""
    picture = picture_of(order, at, is_whole=False, said=said_of(order, request))
    user, link = request.user, _link(order, at)
    may_open = user.has_perm(OPEN)
    return {
        "picture": picture,
        "address": links.path_by(link) if may_open and link else "",
        "link": link,
        "may_open": may_open,
        "may_revoke": user.has_perm(REVOKE),
        "may_reveal": user.has_perm(REVEAL),
        "news_form": NewsForm(initial={"cause": picture.cause or Cause.NEWS, "within": 8})
        if user.has_perm(TELL) and picture.is_awaited
        else None,
    }


def _link(order: Order, at: datetime) -> Any:
    """The link in force, with how often the page was looked at and asked from lately; without a link nobody ever did."""
    of_order = {"order": OuterRef("order")}
    looks = PageVisit.objects.filter(**of_order, day__gte=localdate(at) - LOOKED_BACK)
    clicks = ContactClick.objects.filter(**of_order, at__gt=at - LOOKED_BACK)
    consents = MessageConsent.objects.filter(**of_order)
    return (
        CustomerLink.objects.filter(order=order, revoked_at=None)
        .annotate(
            n_looks=Coalesce(_one(looks, Sum("n")), 0),
            last_look_at=_one(looks, Max("last_at")),
            n_clicks=Coalesce(_one(clicks, Count("pk")), 0),
            n_consents=Coalesce(_one(consents, Count("pk")), 0),
        )
        .first()
    )


def _one(rows: QuerySet[Any], figure: Aggregate) -> Subquery:
    return Subquery(rows.order_by().values("order").annotate(figure=figure).values("figure"))
