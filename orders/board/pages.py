"""The board's pages under /admin/board/: the list as table or kanban, its rows for live patches, the filters, the peek."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import get_template
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.access import ROLES
from orders.board import bulk_actions, counting, kanban
from orders.board.columns import COLUMNS, rows_of, shown
from orders.board.filters import FILTERS, YES, Filter, Looking
from orders.board.ordering import SORTS, BadCursor, Page
from orders.board.query import BoardQuery, read
from orders.board.search import SHOWN, find, find_substring
from orders.board.views import MAY_SHARE, Desk
from orders.byhand import who_may
from orders.desk import Density, SavedView
from orders.models import Order
from orders.order_page.peek import render_peek
from orders.people import visible
from orders.stages import Step
from orders.states import forced

MAY_SEE, MAY_EXPORT = "orders.view_order", "orders.export_order"
PAGE_SIZE = 50
# One poll may ask for as many rows as a page shows and some more, and no more than that.
MOST_ROWS = 100
# Filters that stand beside the button of all filters.
QUICK = ("shop", "stage", "warehouse", "stars", "updated")
TEXTS = {
    "board_changed": gettext_lazy("%(n)s changed – refresh (R)"),
    "board_selected": gettext_lazy("%(n)s selected"),
    "board_gone": gettext_lazy("This order is no longer in the list."),
    "key_next": gettext_lazy("Next row"),
    "key_before": gettext_lazy("Row before"),
    "key_select": gettext_lazy("Select the row"),
    "key_range": gettext_lazy("Select up to this row"),
    "key_open": gettext_lazy("Open the order"),
    "key_new_tab": gettext_lazy("Open the order in a new tab"),
    "key_act": gettext_lazy("Act on the selected orders"),
    "key_assign": gettext_lazy("Reassign"),
    "key_snooze": gettext_lazy("Put on hold until"),
    "key_menu": gettext_lazy("Menu of the row"),
    "key_note": gettext_lazy("Write a note"),
    "key_peek": gettext_lazy("Look at the timeline"),
    "key_refresh": gettext_lazy("Refresh the list"),
    "key_undo_bulk": gettext_lazy("Undo the last action over many orders"),
    "board_failed": gettext_lazy("The board did not answer. What you see is kept; try again in a moment."),
}


def urls(site: AdminSite) -> list[URLPattern]:
    from orders.board import acts, bulk_pages

    def page(address: str, view: Any, name: str) -> URLPattern:
        return path(
            address, site.admin_view(lambda request, **given: view(request, site, **given)), name=name
        )

    return [
        page("board/", board, "board"),
        page("board/rows/", rows, "board_rows"),
        page("board/filters/", filters, "board_filters"),
        page("board/peek/<int:order_id>/", peek, "board_peek"),
        page("board/views/", acts.views, "board_views"),
        page("board/move/<int:order_id>/<slug:to>/", acts.move, "board_move"),
        page("board/bulk/", bulk_pages.bulk, "board_bulk"),
        page("board/bulk/<int:run_id>/", bulk_pages.run, "board_run"),
        page("board/export/", acts.export, "board_export"),
    ]


def person(request: HttpRequest, permission: str = MAY_SEE) -> User:
    """Who looks. Raises PermissionDenied, naming the permission and who has it, for those who may not."""
    user = cast(User, request.user)
    if not user.has_perm(permission):
        raise PermissionDenied(
            _("You need the permission “%(permission)s”. These roles have it: %(roles)s.")
            % {"permission": permission, "roles": who_may(permission)}
        )
    return user


def desk_of(request: HttpRequest, user: User | AnonymousUser) -> Desk:
    """Their views, with the preference that the middleware has read."""
    return Desk.of(user, getattr(request, "preference", None))


def board(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The board as its address names it, or what a search found."""
    looking = Looking(person(request), now())
    term = request.GET.get("q", "").strip()
    if term:
        return _searched(request, site, term, looking)
    desk = desk_of(request, looking.user)
    query = desk.query(request.GET)
    house = {code: view.query for code, view in desk.views.items() if view.row is None}
    numbers = counting.numbers(query, looking, house, with_steps=query.is_kanban)
    try:
        found = _found(query, looking, numbers, request)
    except BadCursor:
        messages.warning(request, _("The page of this address is gone. This is the first one."))
        return HttpResponseRedirect(query.url())
    return _rendered(request, site, {**_frame(query, desk, looking, numbers), **found})


def _found(
    query: BoardQuery, looking: Looking, numbers: counting.Numbers, request: HttpRequest
) -> dict[str, Any]:
    if query.is_kanban:
        lanes = kanban.lanes(query, looking, numbers)
        return {"lanes": lanes, "rows": [row for lane in lanes for row in lane.rows]}
    page: Page = counting.page(
        query,
        looking,
        numbers,
        size=PAGE_SIZE,
        load=shown,
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    return {
        "rows": rows_of(page.rows, looking.at, query.sort),
        "before": query.url(before=page.before) if page.before else "",
        "after": query.url(after=page.after) if page.after else "",
    }


def _rendered(request: HttpRequest, site: AdminSite, context: dict[str, Any]) -> HttpResponse:
    whole = {
        **site.each_context(request),
        "title": _("Order board"),
        "texts": {key: str(text) for key, text in TEXTS.items()},
        **_first_use(request),
        **context,
        **state_of(request, context["query"].url()),
    }
    if whole["state"] not in ("", "stale"):
        whole |= {"rows": [], "lanes": [], "total": counting.Counted(0), "before": "", "after": ""}
    return TemplateResponse(request, "orders/board/board.html", whole)


def state_of(request: HttpRequest, retry_url: str) -> dict[str, Any]:
    """The state that the address asks a list to be shown in, where that is allowed, and what the states say."""
    return {
        "state": forced(request),
        "retry_url": retry_url,
        "see_permission": _("See: %(records)s") % {"records": Order._meta.verbose_name_plural},
        "see_roles": [row.label for row in ROLES.values() if MAY_SEE in row.may],
    }


def _first_use(request: HttpRequest) -> dict[str, Any]:
    """What an empty board says: where orders come from, or who widens a scope."""
    may_import = request.user.has_perm("integrations.add_importrun")
    return {
        "first_title": _("No order is open here."),
        "first_text": _(
            "Orders appear by themselves when a connected shop sends them. You see those of your own area; an "
            "administrator can widen it."
        ),
        "first_url": reverse("admin:integrations_importrun_changelist") if may_import else "",
        "first_action": _("Import orders"),
    }


def _frame(
    query: BoardQuery, desk: Desk, looking: Looking, numbers: counting.Numbers | None = None
) -> dict[str, Any]:
    """What surrounds the list, whatever is in it."""
    user = looking.user
    density = query.density or desk.preference.density or Density.COMFORTABLE
    view = desk.views.get(query.view)
    return {
        "query": query,
        "encoded": query.encoded(),
        "numbers": numbers,
        "total": numbers.total if numbers else counting.Counted(0),
        "tabs": _tabs(query, desk, numbers),
        "current_view": view.row if view else None,
        "is_home": desk.home == query.view and bool(desk.home),
        "has_home": bool(desk.home),
        "columns": [_heading(query, name) for name in query.shown],
        "chips": _chips(query, user),
        "quick": [FILTERS[name] for name in QUICK],
        "refused": [(FILTERS[name].label, value) for name, value in query.refused],
        "density": density,
        **_links(query, density),
        "actions": bulk_actions.offered(user),
        "may_export": user.has_perm(MAY_EXPORT),
        "may_share": user.has_perm(MAY_SHARE),
        "may_change_view": _may_change(view.row if view else None, user),
        "roles": [(row.code, row.label) for row in ROLES.values()],
    }


def _may_change(row: SavedView | None, user: Any) -> bool:
    if row is None or row.owner_id is None:
        return False
    return row.owner_id == user.pk or (row.is_shared and user.has_perm(MAY_SHARE))


def _links(query: BoardQuery, density: str) -> dict[str, str]:
    other = Density.COMFORTABLE if density == Density.COMPACT else Density.COMPACT
    return {
        "filters_url": query.url("admin:board_filters"),
        "table_url": query.laid_out("table").url(),
        "kanban_url": query.laid_out("kanban").url(),
        "density_url": query.with_density(other.value).url(),
        "all_url": f"{reverse('admin:board')}?view=all",
    }


def _tabs(query: BoardQuery, desk: Desk, numbers: counting.Numbers | None) -> list[dict[str, Any]]:
    return [
        {
            "name": view.name,
            "is_typed": view.row is not None,
            "url": f"{reverse('admin:board')}?view={code}",
            "n": numbers.views.get(code) if numbers else None,
            "is_current": query.view == code,
        }
        for code, view in desk.views.items()
    ]


def _heading(query: BoardQuery, name: str) -> dict[str, Any]:
    column = COLUMNS[name]
    found: dict[str, Any] = {"name": name, "label": column.label, "aria": "", "url": ""}
    if column.sort and not query.is_closed:
        is_mine = query.sort.name == column.sort
        found["aria"] = ("descending" if query.sort.descending else "ascending") if is_mine else "none"
        turned = query.sort.reverse() if is_mine else SORTS[column.sort]
        found["url"] = query.sorted_by(turned).url()
    return found


def _chips(query: BoardQuery, user: User | AnonymousUser) -> list[dict[str, Any]]:
    """The filters in force, each with the address of the same list without it."""
    return [
        {"label": _chip(FILTERS[name], word), "remove_url": query.without(name, value).url()}
        for name, values in query.filters.items()
        for value, word in _words(FILTERS[name], values, user)
    ]


def _chip(one: Filter, word: str) -> str:
    """A place's name is data: it stays as it is in every language."""
    if one.model is None:
        return f"{one.label}: {word}"
    return format_html('{}: <span translate="no">{}</span>', one.label, word)


def _words(one: Filter, values: list[str], user: User | AnonymousUser) -> list[tuple[str, str]]:
    """A place outside the person's scope is not named: an address with its id is no way to learn what it is called."""
    if one.model is None:
        choices = one.choices()
        return [(value, str(choices[value])) for value in values]
    seen = visible(one.model.objects.filter(pk__in=values), user)
    names = {str(pk): name for pk, name in seen.values_list("pk", "name")}
    return [(value, names.get(value, f"#{value}")) for value in values]


def _searched(request: HttpRequest, site: AdminSite, term: str, looking: Looking) -> HttpResponse:
    """The order's page if there is one such order; else the list of what the term may mean."""
    is_second_step = request.GET.get("how") == "substring"
    found = (find_substring if is_second_step else find)(term, looking.user)
    if found.is_unique and not is_second_step:
        return HttpResponseRedirect(reverse("admin:orders_order_change", args=[found.ids[0]]))
    desk, query = desk_of(request, looking.user), read(request.GET)
    orders = shown(Order.objects.visible_to(looking.user).filter(pk__in=found.ids)).order_by("-pk")
    context = {
        **_frame(query, desk, looking),
        "found": found,
        "rows": rows_of(orders, looking.at, query.sort),
        "total": counting.Counted(len(found.ids), is_exact=len(found.ids) < SHOWN),
        "is_cut": len(found.ids) >= SHOWN,
        "substring_url": query.url(q=found.term, how="substring"),
        "clear_url": query.url(),
    }
    return _rendered(request, site, context)


def rows(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The rows of these orders as they are now, for patching; gone: those that the list does not have any more."""
    looking = Looking(person(request), now())
    ids = _ids(request.GET.get("ids", ""))
    query = desk_of(request, looking.user).query(request.GET)
    # What a search found is not the list of the address: it has closed orders too, and none of them leaves it.
    is_found = request.GET.get("found") == "1"
    orders = Order.objects.visible_to(looking.user) if is_found else query.orders(looking)
    found = rows_of(shown(orders.filter(pk__in=ids)), looking.at, query.sort)
    template = get_template("orders/board/row.html")
    frame = {"columns": [_heading(query, name) for name in query.shown], "encoded": query.encoded()}
    rendered = {str(row.order.pk): template.render({"row": row, **frame}, request) for row in found}
    return JsonResponse({"rows": rendered, "gone": [pk for pk in ids if str(pk) not in rendered]})


def _ids(text: str) -> list[int]:
    numbers: Iterable[str] = (one for one in text.split(",") if one.isdecimal() and len(one) < 19)
    return list(dict.fromkeys(int(one) for one in numbers))[:MOST_ROWS]


def filters(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The form of all filters, columns and limits; it asks for the board's address."""
    user = person(request)
    query = desk_of(request, user).query(request.GET)
    context = {
        **site.each_context(request),
        "title": _("Filters and columns"),
        "query": query,
        "groups": [_group(one, query, user) for name, one in FILTERS.items() if name not in YES],
        "marks": [(name, FILTERS[name].label, name in query.filters) for name in YES],
        "columns": [(name, column.label, name in query.shown) for name, column in COLUMNS.items()],
        "densities": [(value, label, value == query.density) for value, label in Density.choices],
        "limits": _limits(query),
        "all_url": f"{reverse('admin:board')}?view=all",
        "is_fragment": is_fragment(request),
    }
    return TemplateResponse(request, "orders/board/filters.html", context)


def _group(one: Filter, query: BoardQuery, user: User) -> dict[str, Any]:
    chosen = query.filters.get(one.name, [])
    options = one.choices() if one.model is None else _places(one.model, user)
    return {
        "name": one.name,
        "label": one.label,
        "several": one.several,
        "is_data": one.model is not None,
        "chosen": chosen,
        "options": [(value, label, value in chosen) for value, label in options.items()],
    }


def _places(model: Any, user: User) -> dict[str, str]:
    seen = visible(model.objects.filter(is_active=True), user).order_by("name")
    return {str(pk): name for pk, name in seen.values_list("pk", "name")[:500]}


def _limits(query: BoardQuery) -> list[tuple[str, Any, int]]:
    limits = [*query.limits, *[0] * len(Step)]
    return [(step.value, step.label, limit) for step, limit in zip(Step, limits, strict=False)]


def is_fragment(request: HttpRequest) -> bool:
    """Does a script of ours ask, to show the answer in a dialog?"""
    return request.headers.get("X-Fragment") == "1"


def visible_order(request: HttpRequest, order_id: int) -> Order:
    """Raises Http404 for an order that this person may not see, as for one that does not exist."""
    order = shown(Order.objects.visible_to(person(request))).filter(pk=order_id).first()
    if order is None:
        raise Http404(_("There is no such order, or it is outside your area."))
    return cast(Order, order)


def peek(request: HttpRequest, site: AdminSite, order_id: int) -> HttpResponse:
    """An order's latest news, without leaving the board."""
    order = visible_order(request, order_id)
    context = {
        **({} if is_fragment(request) else site.each_context(request)),
        "title": order.number,
        "peek": render_peek(order, request, is_closable=is_fragment(request)),
    }
    name = "orders/board/peek.html" if is_fragment(request) else "orders/board/peek_page.html"
    return TemplateResponse(request, name, context)
