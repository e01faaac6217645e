"""On the order's page: what its customer sees, how often they look and ask, and what staff can do about it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Max, Sum
from django.http import HttpRequest
from django.utils.timezone import localdate, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Order
from promises.tracking import links
from promises.tracking.causes import Cause
from promises.tracking.models import ContactClick, CustomerLink, MessageConsent, NextUpdate, PageVisit
from promises.tracking.picture import picture_of

SEE, OPEN, REVOKE, TELL = (
    "promises.view_customerlink",
    "promises.open_customerlink",
    "promises.revoke_customerlink",
    "promises.give_news",
)
REVEAL = "orders.reveal_contact"
LOOKED_BACK = timedelta(days=30)
NEWS_SHOWN = 3


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
    user, picture = request.user, picture_of(order, at)
    since = localdate(at) - LOOKED_BACK
    looks = PageVisit.objects.filter(order=order, day__gte=since).aggregate(n=Sum("n"), last=Max("last_at"))
    return {
        "picture": picture,
        "address": links.known_address(order) if user.has_perm(OPEN) else "",
        "has_link": CustomerLink.objects.filter(order=order, revoked_at=None).exists(),
        "may_open": user.has_perm(OPEN),
        "may_revoke": user.has_perm(REVOKE),
        "may_reveal": user.has_perm(REVEAL),
        "news_form": NewsForm(initial={"cause": picture.cause or Cause.NEWS, "within": 8})
        if user.has_perm(TELL) and picture.is_awaited
        else None,
        "n_looks": looks["n"] or 0,
        "last_look_at": looks["last"],
        "n_clicks": ContactClick.objects.filter(order=order, at__gt=at - LOOKED_BACK).count(),
        "n_consents": MessageConsent.objects.filter(order=order).count(),
        "promised_news": list(NextUpdate.objects.filter(order=order).order_by("-pk")[:NEWS_SHOWN]),
    }
