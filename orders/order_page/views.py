"""The order's pages: the page itself, what is done on it, deciding a conflict, merging, splitting, and its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _

from orders import byhand, disputes, merging, order_actions
from orders.access import ROLES
from orders.answer import Derivation
from orders.audit import AuditEntry
from orders.explain import labels_of
from orders.journal import in_words
from orders.models import Order, OrderEvent, OrderLine
from orders.order_page.neighbours import list_of
from orders.order_page.page import here, joined, live_context, page_of
from orders.order_page.reading import label_of, read
from orders.order_page.timeline import ROLE_LABELS, decided
from orders.states import forced

MAY_SEE_AUDIT = "orders.view_auditentry"
HISTORY = 50
MOST_CANDIDATES = 20
# Parts of the page that are drawn anew, and their templates; panels of other rooms come beside them.
FRAGMENTS = {
    **{
        name: f"orders/order/{name}.html"
        for name in ("status", "steps", "conflicts", "next", "fields", "timeline")
    },
    **{
        name: f"orders/order/side/{name}.html"
        for name in ("todos", "holds", "write", "articles", "parcels", "names", "journal")
    },
}


def urls(admin: Any) -> list[URLPattern]:
    """The addresses under /admin/orders/order/, to stand before Django's own."""

    def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        def handle(request: HttpRequest, order_id: int, **kwargs: Any) -> HttpResponse:
            return view(admin, request, found(admin, request, order_id), **kwargs)

        return cast("Callable[..., HttpResponse]", admin.admin_site.admin_view(handle))

    return [
        path("<int:order_id>/act/<slug:action>/", page(act), name="orders_order_act"),
        path("<int:order_id>/live/", page(live), name="orders_order_live"),
        path("<int:order_id>/decide/<int:believed>/<int:against>/", page(decide), name="orders_order_decide"),
        path("<int:order_id>/merge/", page(merge), name="orders_order_merge"),
        path("<int:order_id>/split/", page(split), name="orders_order_split"),
    ]


def found(admin: Any, request: HttpRequest, order_id: int | str) -> Order:
    """The order, if this person may see it. Raises Http404 if it is out of scope, before anything else is said."""
    rows: QuerySet[Order] = joined(admin.get_queryset(request))
    order = (
        rows.filter(pk=order_id).first() if str(order_id).isdecimal() and len(str(order_id)) < 19 else None
    )
    if order is None:
        raise Http404(_("There is no such order, or it is outside your area."))
    if not admin.has_view_permission(request, order):
        raise PermissionDenied("orders.view_order")
    return order


def show(
    admin: Any, request: HttpRequest, order: Order, failed: order_actions.Outcome | None = None
) -> HttpResponse:
    context = {**_around(admin, request, order), **page_of(order, request, now(), failed)}
    status = failed.status if failed else 200
    return TemplateResponse(request, "orders/order/page.html", context, status=status)


def _around(admin: Any, request: HttpRequest, order: Order) -> dict[str, Any]:
    # Unfold's header names the record by "original".
    return {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "original": order,
        "list": list_of(request),
    }


def act(admin: Any, request: HttpRequest, order: Order, action: str) -> HttpResponse:
    """One thing a person does to an order: a step, its undo, a hold, a note. By POST only."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    outcome = order_actions.run(action, order, request)
    return _answer(admin, request, order, outcome)


def _answer(admin: Any, request: HttpRequest, order: Order, outcome: order_actions.Outcome) -> HttpResponse:
    url = here(order, request, undo=outcome.undo)
    if request.headers.get("Accept", "").startswith("application/json"):
        data = {"done": outcome.is_done, "text": outcome.text, "undo": outcome.undo, "url": url}
        return JsonResponse(data, status=outcome.status)
    if not outcome.is_done:
        fresh: Order = joined(Order.objects.filter(pk=order.pk)).get()
        return show(admin, request, fresh, outcome)
    if not outcome.undo:
        messages.success(request, outcome.text)
    return HttpResponseRedirect(url, status=303)


def live(admin: Any, request: HttpRequest, order: Order) -> HttpResponse:
    """What has changed on the page, as fragments: the page puts them where nothing is being typed."""
    reading = read(order, request.user, now())
    context = live_context(reading, request)
    found = {
        name: render_to_string(template, context, request=request) for name, template in FRAGMENTS.items()
    }
    for panel in context["panels"]:
        given = {**context, "panel": panel}
        found[f"panel:{panel.key}"] = render_to_string("orders/order/panel.html", given, request=request)
    return JsonResponse({"seen": context["seen"], "newest": reading.newest, "fragments": found})


def decide(admin: Any, request: HttpRequest, order: Order, believed: int, against: int) -> HttpResponse:
    """Which of two reports is to be believed: what that would change, then, by POST, doing it."""
    if not request.user.has_perm(disputes.MAY):
        raise PermissionDenied(disputes.MAY)
    error, status = "", 200
    if request.method == "POST":
        error, status = order_actions.news_since([order], request.POST.get("seen", "")), 409
        if not error:
            try:
                said = disputes.believe(
                    order.pk,
                    believed,
                    against,
                    actor=cast("Any", request.user),
                    reason=request.POST.get("reason", ""),
                    at=now(),
                )
            except byhand.Refused as refusal:
                error, status = str(refusal), 422
            else:
                return HttpResponseRedirect(here(order, request, undo=disputes.key_of(said)), status=303)
    return _decision_page(admin, request, order, believed, against, error, status)


def _decision_page(
    admin: Any,
    request: HttpRequest,
    order: Order,
    believed: int,
    against: int,
    error: str,
    status: int,
) -> HttpResponse:
    reading = read(order, request.user, now())
    try:
        verdict = disputes.weigh(reading.facts, believed, against, reading.precedence, reading.at)
    except disputes.DisputeRefused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(here(order, request), status=303)
    context = {
        **_around(admin, request, order),
        "title": _("Which report is right?"),
        "order": order,
        "believed": _told(verdict.believed),
        "struck": [_told(fact) for fact in verdict.struck],
        "changes": changes(verdict.before, verdict.after),
        "error": error,
        "reason": request.POST.get("reason", ""),
        "seen": seen_of([order]),
        "here": here(order, request),
    }
    return TemplateResponse(request, "orders/order/decide.html", context, status=status)


def _told(fact: Any) -> dict[str, Any]:
    return {"fact": fact, "label": label_of(fact), "role": ROLE_LABELS.get(fact.role, fact.role)}


def changes(before: Derivation, after: Derivation) -> list[dict[str, str]]:
    """What differs between two judgements, in words."""
    rows = [
        (decided(name), _word(name, getattr(before, name)), _word(name, getattr(after, name)))
        for name in ("stage", "payment", "invoice", "intent")
    ]
    old, new = ({view.waybill: view.state for view in one.parcels} for one in (before, after))
    rows += [
        (
            decided(f"parcel:{waybill}"),
            _word("parcel:", old.get(waybill, "")),
            _word("parcel:", new.get(waybill, "")),
        )
        for waybill in sorted({*old, *new})
    ]
    for sku in sorted({*before.lines, *after.lines}):
        for name, label in (("picked", _("picked")), ("cancelled", _("cancelled")), ("locked", _("locked"))):
            rows.append((f"{sku} {label}", _units(before, sku, name), _units(after, sku, name)))
    return [
        {"what": what, "old": was or "–", "new": became or "–"} for what, was, became in rows if was != became
    ]


def _units(judged: Derivation, sku: str, name: str) -> str:
    return f"{getattr(judged.lines[sku], name).normalize():f}" if sku in judged.lines else ""


def _word(name: str, value: str) -> str:
    return str(labels_of(name).get(value, value))


def seen_of(orders: Sequence[Order]) -> int:
    """Id of the newest event of these orders: what a form says it was opened with."""
    newest: int | None = OrderEvent.objects.filter(order__in=orders).aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def merge(admin: Any, request: HttpRequest, order: Order) -> HttpResponse:
    """Choose the orders that leave as one, look at what becomes of them, then, by POST, merge them."""
    if not request.user.has_perm(merging.MAY):
        raise PermissionDenied(merging.MAY)
    given = request.POST if request.method == "POST" else request.GET
    chosen, unknown = _chosen(admin, request, order, given.getlist("order"), given.get("with", ""))
    error = _not_mergeable(given.getlist("order"), given.get("with", ""), unknown)
    outlook = None
    if chosen and not error:
        try:
            outlook = merging.foresee_merge(
                [order.pk, *(one.pk for one in chosen)], actor=cast("Any", request.user)
            )
        except byhand.Refused as refusal:
            error = str(refusal)
    everyone = [order, *chosen]
    return _foreseen(
        admin,
        request,
        everyone,
        template="orders/order/merge.html",
        title=_("Merge with other orders"),
        outlook=outlook,
        error=error,
        act=lambda: _merged(request, everyone, cast("merging.MergeOutlook", outlook)),
        more={
            "chosen": chosen,
            "typed": given.get("with", ""),
            "candidates": candidates(admin, request, order),
            "chosen_ids": {one.pk for one in chosen},
            "state": forced(request),
        },
    )


def _foreseen(
    admin: Any,
    request: HttpRequest,
    orders: Sequence[Order],
    *,
    template: str,
    title: str,
    outlook: object,
    error: str,
    act: Callable[[], HttpResponse | tuple[str, int]],
    more: dict[str, Any],
) -> HttpResponse:
    """What would become of the orders, the first of which is the page's; by POST it is done.

    outlook: None while there is nothing to do. act: does it; gives the way on, or what is in the way with its status.
    """
    status = 422 if request.method == "POST" and error else 200
    if request.method == "POST" and outlook is not None:
        answer = act()
        if isinstance(answer, HttpResponse):
            return answer
        error, status = answer
    order = orders[0]
    context = {
        **_around(admin, request, order),
        "title": title,
        "order": order,
        "outlook": outlook,
        "error": error,
        "reason": request.POST.get("reason", ""),
        "seen": seen_of(orders),
        "here": here(order, request),
        **more,
    }
    return TemplateResponse(request, template, context, status=status)


def _merged(
    request: HttpRequest, orders: list[Order], outlook: merging.MergeOutlook
) -> HttpResponse | tuple[str, int]:
    news = order_actions.news_since(orders, request.POST.get("seen", ""))
    if news:
        return news, 409
    try:
        kept = merging.merge(
            [one.pk for one in orders],
            actor=cast("Any", request.user),
            reason=request.POST.get("reason", ""),
            at=now(),
        )
    except byhand.Refused as refusal:
        return str(refusal), 422
    messages.success(
        request,
        _("Merged into %(kept)s: %(absorbed)s.")
        % {"kept": kept.number, "absorbed": ", ".join(one.number for one in outlook.absorbed)},
    )
    return HttpResponseRedirect(here(kept, request), status=303)


def _chosen(
    admin: Any, request: HttpRequest, order: Order, ids: list[str], typed: str
) -> tuple[list[Order], list[str]]:
    """(the other orders that were ticked or typed, numbers that mean none of those this person may see)."""
    visible: QuerySet[Order] = admin.get_queryset(request)
    wanted = [int(one) for one in ids if one.isdecimal() and len(one) < 19][:MOST_CANDIDATES]
    numbers = _numbers(typed)[:MOST_CANDIDATES]
    rows = visible.filter(
        Q(pk__in=wanted) | Q(number__in=[one.upper() for one in numbers]) | Q(external_id__in=numbers)
    )
    orders = list(rows.select_related("shop").order_by("pk")) if wanted or numbers else []
    known = {name for one in orders for name in (one.number, one.external_id)}
    unknown = [one for one in numbers if one not in known and one.upper() not in known]
    return [one for one in orders if one.pk != order.pk], unknown


def _numbers(typed: str) -> list[str]:
    return list(dict.fromkeys(typed.replace(",", " ").replace("，", " ").split()))


def _not_mergeable(ids: list[str], typed: str, unknown: list[str]) -> str:
    """What is wrong with what was ticked and typed; "" if nothing is."""
    n = len(set(ids)) + len(_numbers(typed))
    if n > MOST_CANDIDATES:
        return _(
            "%(n)s orders are named; at most %(most)s can be merged at once. Take some out, or merge the rest afterwards."
        ) % {"n": n, "most": MOST_CANDIDATES}
    if unknown:
        return _("No order you may see has this number: %(numbers)s.") % {"numbers": ", ".join(unknown)}
    return ""


def candidates(admin: Any, request: HttpRequest, order: Order) -> list[Order]:
    """Open orders of the same customer or receiver that could leave with this one."""
    same = Q(pk__in=[])
    if order.customer_id:
        same |= Q(customer=order.customer_id)
    if order.contact_id:
        same |= Q(contact=order.contact_id)
    rows: QuerySet[Order] = admin.get_queryset(request)
    rows = rows.filter(same, is_open=True, warehouse=order.warehouse_id, currency=order.currency)
    return list(rows.exclude(pk=order.pk).select_related("shop").order_by("-pk")[:MOST_CANDIDATES])


def split(admin: Any, request: HttpRequest, order: Order) -> HttpResponse:
    """Choose the units that go into an order of their own, look at both, then, by POST, split it."""
    if not request.user.has_perm(merging.MAY):
        raise PermissionDenied(merging.MAY)
    given = request.POST if request.method == "POST" else request.GET
    lines = list(order.lines.order_by("sku"))
    typed = {line.pk: given.get(f"qty-{line.pk}", "").strip() for line in lines}
    wanted, error = _quantities(lines, typed)
    outlook = None
    if wanted and not error:
        try:
            stays, goes = merging.foresee_split(order.pk, wanted, actor=cast("Any", request.user))
            outlook = {"stays": stays, "goes": goes}
        except byhand.Refused as refusal:
            error = str(refusal)
    rows = [{"line": line, "left": line.ordered - line.cancelled, "typed": typed[line.pk]} for line in lines]
    return _foreseen(
        admin,
        request,
        [order],
        template="orders/order/split.html",
        title=_("Split the order"),
        outlook=outlook,
        error=error,
        act=lambda: _split(request, order, wanted),
        more={"rows": rows},
    )


def _quantities(lines: list[OrderLine], typed: dict[int, str]) -> tuple[dict[str, Decimal], str]:
    """(units per article to take out, what is wrong with what was typed)."""
    wanted: dict[str, Decimal] = {}
    for line in lines:
        text = typed[line.pk]
        try:
            quantity = Decimal(text or 0)
        except InvalidOperation:
            quantity = Decimal(-1)
        if not quantity.is_finite() or quantity < 0:
            return {}, _("“%(text)s” is not a quantity of %(sku)s. Write a number, like 2.") % {
                "text": text,
                "sku": line.sku,
            }
        if quantity:
            wanted[line.sku] = quantity
    return wanted, ""


def _split(request: HttpRequest, order: Order, wanted: dict[str, Decimal]) -> HttpResponse | tuple[str, int]:
    news = order_actions.news_since([order], request.POST.get("seen", ""))
    if news:
        return news, 409
    try:
        new = merging.split(
            order.pk,
            wanted,
            actor=cast("Any", request.user),
            reason=request.POST.get("reason", ""),
            at=now(),
        )
    except byhand.Refused as refusal:
        return str(refusal), 422
    messages.success(
        request,
        _("Split: %(number)s has what was taken out. Merging both again is the way back.")
        % {"number": new.number},
    )
    return HttpResponseRedirect(here(order, request), status=303)


def history(admin: Any, request: HttpRequest, order: Order) -> HttpResponse:
    """What the hub did with the order, and what people changed: both from the book, newest first."""
    before, audit_before = (_mark(request.GET.get(name)) for name in ("before", "audit_before"))
    events = OrderEvent.objects.filter(order=order).select_related("actor").order_by("-pk")
    if before:
        events = events.filter(pk__lt=before)
    journal = list(events[: HISTORY + 1])
    entries: list[AuditEntry] = []
    if request.user.has_perm(MAY_SEE_AUDIT):
        entries = _audited(order, audit_before)
    context = {
        **_around(admin, request, order),
        "title": _("History of %(number)s") % {"number": order.number},
        "order": order,
        "rows": [in_words(event) for event in journal[:HISTORY]],
        "earlier": journal[HISTORY - 1].pk if len(journal) > HISTORY else None,
        "entries": entries[:HISTORY],
        "audit_earlier": entries[HISTORY - 1].pk if len(entries) > HISTORY else None,
        "may_see_audit": request.user.has_perm(MAY_SEE_AUDIT),
        "audit_permission": _("See: %(records)s") % {"records": AuditEntry._meta.verbose_name_plural},
        "audit_roles": [row.label for row in ROLES.values() if MAY_SEE_AUDIT in row.may],
        "here": reverse("admin:orders_order_change", args=[order.pk]),
        "state": forced(request),
    }
    return TemplateResponse(request, "orders/order/history.html", context)


def _audited(order: Order, before: int | None) -> list[AuditEntry]:
    rows = AuditEntry.objects.filter(model="orders.order", object_id=str(order.pk)).order_by("-pk")
    return list((rows.filter(pk__lt=before) if before else rows)[: HISTORY + 1])


def _mark(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None
