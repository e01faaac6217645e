"""/o/<token>/: the page of one order for its customer, and the forms on it. Reading changes nothing; forms are sent by POST."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.timezone import now
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orders.models import OrderEvent
from orders.stages import Stage
from promises.commitments.models import Promise
from promises.estimates.models import Estimate
from promises.ledger.models import SellerProfile
from promises.tracking import counting, entry, links, wishes
from promises.tracking.models import CustomerLink, CustomerRequest, MessageConsent, NextUpdate
from promises.tracking.picture import context_of, picture_of
from promises.tracking.words import STAGES, Milestone

View = Callable[..., HttpResponse]
# What time alone changes on the page (days left, when a source was heard) is at most this old.
RENEWED_EVERY = 600


def for_holder(view: View) -> View:
    """The view is called with the link as well: unknown and revoked links do not exist, expired ones ask for the phone."""

    @wraps(view)
    def guarded(request: HttpRequest, token: str) -> HttpResponse:
        link = links.found(token)
        if link is None:
            raise Http404
        if entry.has_expired(link.order, now()) and not entry.has_entry(request, link):
            return HttpResponseRedirect(reverse("tracking:entry", args=[token]))
        if request.method == "POST" and entry.is_too_fast(request):
            return _too_fast(request, token)
        return view(request, token, link)

    return guarded


def _too_fast(request: HttpRequest, token: str) -> HttpResponse:
    context = {
        "title": _("Too many forms at once"),
        "text": _("Nothing was sent. Wait a minute, then try again."),
        "token": token,
    }
    return render(request, "promises/customer/said.html", context, status=429)


@require_safe
@never_cache
@for_holder
def page(request: HttpRequest, token: str, link: CustomerLink) -> HttpResponse:
    """The order at a glance. A customer's own look is counted; a robot's and the staff's are not."""
    at = now()
    picture = picture_of(link.order, at)
    if request.method == "GET" and counting.is_counted(request):
        counting.count_visit(picture)
    context = {
        **context_of(picture),
        "title": _("Order %(number)s") % {"number": link.order.number},
        "token": token,
        "tag": tag_of(token, at),
        "has_consent": MessageConsent.objects.filter(order=link.order).exists(),
        "consent_form": wishes.ConsentForm(),
        "zone": settings.TIME_ZONE,
        "stars": wishes.STARS.items(),
        "rated": wishes.rated(link.order) if picture.milestone == Milestone.ARRIVED else 0,
        "done": request.GET.get("done", ""),
    }
    return render(request, "promises/customer/page.html", context)


@require_safe
def state(request: HttpRequest, token: str) -> HttpResponse:
    """The part of the page that changes, for its script. As long as nothing has: 304, after one query."""
    at = now()
    tag = tag_of(token, at)
    if not tag:
        raise Http404
    if request.headers.get("If-None-Match") == tag:
        response: HttpResponse = HttpResponseNotModified()
    else:
        response = _fresh_state(request, token, at)
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Cookie", "Accept-Language"])
    return response


def _fresh_state(request: HttpRequest, token: str, at: datetime) -> HttpResponse:
    link = links.found(token)
    if link is None or (entry.has_expired(link.order, at) and not entry.has_entry(request, link)):
        raise Http404
    picture = picture_of(link.order, at)
    context = {**context_of(picture), "token": token, "zone": settings.TIME_ZONE}
    return render(request, "promises/customer/state.html", context)


def tag_of(token: str, at: datetime) -> str:
    """Another one whenever the page would say something else; empty for an unknown link. One query by indexes.

    Silent events count for nothing: old facts that were judged anew are no news to a customer.
    """
    order = OuterRef("order")
    events = OrderEvent.objects.filter(order=order, silent=False).order_by("-pk")
    promise = Promise.objects.filter(order=order).order_by("-pk")
    estimate = Estimate.objects.filter(order=order, is_current=True)
    news = NextUpdate.objects.filter(order=order).order_by("-pk")
    asked = CustomerRequest.objects.filter(order=order).order_by("-pk")
    row = (
        CustomerLink.objects.filter(token_hash=links.hash_of(token), revoked_at=None)
        .annotate(
            event=Subquery(events.values("pk")[:1]),
            promise=Subquery(promise.values("pk")[:1]),
            promise_state=Subquery(promise.values("state")[:1]),
            promise_due=Subquery(promise.values("due")[:1]),
            estimate=Subquery(estimate.values("pk")[:1]),
            estimate_due=Subquery(estimate.values("due_at")[:1]),
            news=Subquery(news.values("pk")[:1]),
            news_kept=Subquery(news.values("kept_at")[:1]),
            asked=Subquery(asked.values("pk")[:1]),
            answered=Subquery(asked.values("todo__done_at")[:1]),
        )
        .values_list(
            "pk", "event", "promise", "promise_state", "estimate", "news", "news_kept", "asked", "answered",
            "promise_due", "estimate_due", "order__promised_at",
        )
        .first()
    )  # fmt: skip
    if row is None:
        return ""
    over = [due is not None and due < at for due in row[-3:]]
    said = (*row, over, get_language(), int(at.timestamp()) // RENEWED_EVERY)
    return f'"{hashlib.sha256(repr(said).encode()).hexdigest()[:20]}"'


@require_POST
@never_cache
@for_holder
def contact(request: HttpRequest, token: str, link: CustomerLink) -> HttpResponse:
    """The customer wants to talk to somebody: counted with what stood on the page, then shown how."""
    if counting.is_counted(request):
        counting.count_click(picture_of(link.order, now()))
    return HttpResponseRedirect(reverse("tracking:ask", args=[token]), status=303)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
@for_holder
def ask(request: HttpRequest, token: str, link: CustomerLink) -> HttpResponse:
    """How to reach the seller, with everything they need to know, and a message. By POST: send it."""
    at, is_sent = now(), request.method == "POST"
    form = wishes.MessageForm(request.POST if is_sent else None)
    if is_sent and form.is_valid():
        return _sent(
            token, form, lambda: wishes.ask_message(link.order, form.cleaned_data["message"], at)
        ) or (_form_page(request, token, link, form, at, kind="message"))
    return _form_page(request, token, link, form, at, kind="message")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
@for_holder
def address(request: HttpRequest, token: str, link: CustomerLink) -> HttpResponse:
    """Ask for another address. By POST: ask; nothing changes before a person has agreed."""
    at, is_sent = now(), request.method == "POST"
    form = wishes.AddressForm(request.POST if is_sent else None)
    picture = picture_of(link.order, at)
    if not picture.is_awaited:
        return HttpResponseRedirect(links.path_of(token), status=303)
    if is_sent and form.is_valid():
        return _sent(token, form, lambda: wishes.ask_address(link.order, form.person(), at)) or (
            _form_page(request, token, link, form, at, kind="address")
        )
    return _form_page(request, token, link, form, at, kind="address")


def _sent(token: str, form: Any, send: Callable[[], CustomerRequest]) -> HttpResponse | None:
    """Back to the page, which shows the wish; None if it was refused, with the reason in the form."""
    try:
        asked = send()
    except wishes.TooMany:
        form.add_error(
            None,
            _(
                "You have sent several requests today, and all of them are with us. Call us if it is urgent, or write again "
                "tomorrow."
            ),
        )
        return None
    return HttpResponseRedirect(f"{links.path_of(token)}?done={asked.kind}", status=303)


def _form_page(
    request: HttpRequest, token: str, link: CustomerLink, form: Any, at: datetime, *, kind: str
) -> HttpResponse:
    picture = picture_of(link.order, at)
    is_address = kind == "address"
    context = {
        "title": _("Ask for another address") if is_address else _("Contact us"),
        "token": token,
        "picture": picture,
        "form": form,
        "due_at": wishes.answered_by(link.order, CustomerRequest.Kind(kind), at),
        "hotline": hotline(),
        "zone": settings.TIME_ZONE,
    }
    name = "promises/customer/address.html" if is_address else "promises/customer/ask.html"
    return render(request, name, context, status=400 if form.errors else 200)


def hotline() -> str:
    """The seller's number, if one is set."""
    return SellerProfile.objects.values_list("hotline", flat=True).first() or ""


@require_POST
@never_cache
@sensitive_post_parameters()
@for_holder
def consent(request: HttpRequest, token: str, link: CustomerLink) -> HttpResponse:
    """Wish to be told of changes, or take it back."""
    if "withdraw" in request.POST:
        wishes.withdraw(link.order)
        return HttpResponseRedirect(f"{links.path_of(token)}?done=withdrawn", status=303)
    form = wishes.ConsentForm(request.POST)
    if not form.is_valid():
        context = {"title": _("Tell me of changes"), "token": token, "form": form}
        return render(request, "promises/customer/consent.html", context, status=400)
    wishes.consent(link.order, form.cleaned_data["channel"], form.cleaned_data["target"], now())
    return HttpResponseRedirect(f"{links.path_of(token)}?done=consent", status=303)


@require_POST
@never_cache
@for_holder
def rate(request: HttpRequest, token: str, link: CustomerLink) -> HttpResponse:
    """How the delivery went, once it has arrived."""
    stars = request.POST.get("stars", "")
    has_arrived = STAGES[Stage(link.order.stage)].milestone == Milestone.ARRIVED
    if has_arrived and stars.isascii() and stars.isdigit() and int(stars) in wishes.STARS:
        wishes.rate(link.order, int(stars), now())
        return HttpResponseRedirect(f"{links.path_of(token)}?done=rating", status=303)
    return HttpResponseRedirect(links.path_of(token), status=303)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
def entry_page(request: HttpRequest, token: str) -> HttpResponse:
    """The link has expired: the last four digits of the receiver's phone open it for a day. Five tries a link."""
    link = links.found(token)
    if link is None:
        raise Http404
    if not entry.has_expired(link.order, now()):
        return HttpResponseRedirect(links.path_of(token))
    if request.method != "POST":
        return _entry_form(request, token, link)
    if entry.is_too_fast(request):
        return _too_fast(request, token)
    if not entry.try_phone(link, link.order.contact, request.POST.get("digits", "").strip()):
        link.refresh_from_db(fields=["n_tries"])
        return _entry_form(request, token, link, is_wrong=True)
    response = HttpResponseRedirect(links.path_of(token), status=303)
    entry.let_in(response, link, links.path_of(token), is_secure=request.is_secure())
    return response


def _entry_form(
    request: HttpRequest, token: str, link: CustomerLink, *, is_wrong: bool = False
) -> HttpResponse:
    context = {
        "title": _("This link has expired"),
        "token": token,
        "n_left": entry.tries_left(link),
        "is_wrong": is_wrong,
        "hotline": hotline(),
    }
    return render(request, "promises/customer/entry.html", context, status=403 if is_wrong else 200)
