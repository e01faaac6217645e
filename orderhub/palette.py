"""The command palette: one box for pages, orders by any of their numbers, saved views and the beginnings of actions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orderhub import navigation
from orders.board import search
from orders.board.views import house_views, saved_for
from orders.models import Order
from orders.states import forced

MAY_SEE_ORDERS = "orders.view_order"
MOST_ORDERS = 8
MOST_OTHERS = 6
MOST_TYPED = 64

# (words, name of the page it begins on, icon, permission). The palette opens pages; it never changes anything itself.
ACTIONS = (
    (gettext_lazy("Upload a file of orders"), "admin:integrations_importrun_add", "upload", "integrations.add_importrun"),
    (gettext_lazy("Add a connection"), "admin:connections", "plus", "integrations.add_connection"),
    (gettext_lazy("Make an API token"), "admin:integrations_apitoken_add", "key", "integrations.add_apitoken"),
    (gettext_lazy("Add a person"), "admin:auth_user_add", "user", "auth.add_user"),
    (gettext_lazy("Set up step by step"), "admin:wizard", "settings", "orderhub.run_setup"),
    (gettext_lazy("Change my settings"), "admin:me", "settings", ""),
    (gettext_lazy("Show the help"), "admin:help", "help", ""),
)  # fmt: skip

# What the palette says below its list in a state it is asked to be shown in.
NOTES = {
    "loading": gettext_lazy("Loading"),
    "empty_first": gettext_lazy("There is nothing to go to yet."),
    "empty_filtered": gettext_lazy("Nothing matches what you typed."),
    "error": gettext_lazy("The list could not be read."),
    "stale": gettext_lazy("This may be older than it looks."),
    "no_permission": gettext_lazy("Your roles do not allow this."),
}


def pages(site: AdminSite) -> list[URLPattern]:
    def palette(request: HttpRequest) -> HttpResponse:
        state = forced(request)
        if state == "error":
            return JsonResponse({"groups": [], "note": str(NOTES[state])}, status=503)
        groups = found(request, request.GET.get("q", "").strip()[:MOST_TYPED])
        shown = [group for group in groups if group["items"]] if state in ("", "stale") else []
        return JsonResponse({"groups": shown, "note": str(NOTES.get(state, ""))})

    return [path("palette/", site.admin_view(palette), name="palette")]


def found(request: HttpRequest, term: str) -> list[dict[str, Any]]:
    """Groups of hits in the order in which people look for them: orders, views, pages, actions."""
    return [
        {"title": _("Orders"), "items": orders(request, term)},
        {"title": _("Views of the board"), "items": _matching(views(request), term)},
        {"title": _("Pages"), "items": _matching(own_pages(request), term)},
        {"title": _("Actions"), "items": _matching(actions(request), term)},
    ]


def orders(request: HttpRequest, term: str) -> list[dict[str, Any]]:
    """The orders this person may see that have this number."""
    if not term or not request.user.has_perm(MAY_SEE_ORDERS):
        return []
    ids = search.find(term, request.user).ids[:MOST_ORDERS]
    if not ids:
        return []
    rows = Order.objects.visible_to(request.user).filter(pk__in=ids).select_related("shop").order_by("-pk")
    return [
        {
            "title": row.number,
            "hint": f"{row.shop.name} {row.external_id} · {row.get_stage_display()}",
            "url": reverse("admin:orders_order_change", args=[row.pk]),
            "icon": "order",
            "is_data": True,
        }
        for row in rows
    ]


def views(request: HttpRequest) -> Iterable[dict[str, Any]]:
    """Views of the house, and those saved by this person or shared with all."""
    board = navigation.address("admin:board")
    if not board or not request.user.has_perm(MAY_SEE_ORDERS):
        return
    for code, view in house_views().items():
        yield {"title": str(view.name), "hint": "", "url": f"{board}?view={code}", "icon": "kanban"}
    for row in saved_for(request.user):
        yield {
            "title": row.name,
            "hint": "",
            "url": f"{board}?view={row.pk}",
            "icon": "kanban",
            "is_data": True,
        }


def own_pages(request: HttpRequest) -> Iterable[dict[str, Any]]:
    """Every page of the header and of the side bar that this person has."""
    for page in navigation.places(request):
        yield {"title": str(page["title"]), "hint": "", "url": page["link"], "icon": page["icon"]}
    for group in navigation.sidebar(request):
        for item in group["items"]:
            hint = str(group["title"])
            yield {"title": str(item["title"]), "hint": hint, "url": item["link"], "icon": item["icon"]}


def actions(request: HttpRequest) -> Iterable[dict[str, Any]]:
    for words, name, icon, may in ACTIONS:
        url = navigation.address(name)
        if url and (not may or request.user.has_perm(may)):
            yield {"title": str(words), "hint": "", "url": url, "icon": icon}


def _matching(items: Iterable[dict[str, Any]], term: str) -> list[dict[str, Any]]:
    """Those whose words contain every word typed; the first ones if nothing was typed."""
    wanted = term.casefold().split()
    hits = (
        item for item in items if all(word in f"{item['title']} {item['hint']}".casefold() for word in wanted)
    )
    return [item for item, _n in zip(hits, range(MOST_OTHERS), strict=False)]
