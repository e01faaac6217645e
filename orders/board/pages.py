"""The board's pages under /admin/board/: the list, its rows for live patches, the peek; who may see them, and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _

from orders.board import counting
from orders.board.columns import COLUMNS, Row, rows_of, shown
from orders.board.filters import FILTERS, Filter, Looking
from orders.board.ordering import SORTS, BadCursor, Page
from orders.board.query import BoardQuery, read
from orders.board.search import SHOWN, Found, find, find_substring
from orders.board.views import Desk
from orders.byhand import who_may
from orders.desk import Density
from orders.journal import in_words
from orders.models import Order, OrderEvent, OrderFact
from orders.people import visible
from orders.stages import FACT_KINDS

MAY_SEE = "orders.view_order"
PAGE_SIZE = 50
# One poll may ask for as many rows as a page shows, and no more.
MOST_ROWS = 100


def urls(site: AdminSite) -> list[URLPattern]:
    def page(address: str, view: Any, name: str) -> URLPattern:
        return path(
            address, site.admin_view(lambda request, **given: view(request, site, **given)), name=name
        )

    return [
        page("board/", board, "board"),
        page("board/rows/", rows, "board_rows"),
        page("board/peek/<int:order_id>/", peek, "board_peek"),
    ]


def person(request: HttpRequest) -> User:
    """Who looks. Raises PermissionDenied, naming the permission and who has it, for those who may not."""
    user = cast(User, request.user)
    if not user.has_perm(MAY_SEE):
        raise PermissionDenied(
            _("You need the permission “%(permission)s”. These roles have it: %(roles)s.")
            % {"permission": _("Can view order"), "roles": who_may(MAY_SEE)}
        )
    return user


def board(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The board as its address names it, or what a search found."""
    looking = Looking(person(request), now())
    term = request.GET.get("q", "").strip()
    if term:
        return _searched(request, site, term, looking)
    desk = Desk.of(looking.user)
    query = desk.query(request.GET)
    house = {code: view.query for code, view in desk.views.items() if view.row is None}
    numbers = counting.numbers(query, looking, house)
    try:
        page = counting.page(query, looking, numbers, size=PAGE_SIZE, load=shown, **_marks(request))
    except BadCursor:
        messages.warning(request, _("The page of this address is gone. This is the first one."))
        return HttpResponseRedirect(query.url())
    return _rendered(request, site, _context(query, desk, page, numbers, looking))


def _marks(request: HttpRequest) -> dict[str, str]:
    return {"after": request.GET.get("after", ""), "before": request.GET.get("before", "")}


def _rendered(request: HttpRequest, site: AdminSite, context: dict[str, Any]) -> HttpResponse:
    whole = {**site.each_context(request), "title": _("Order board"), **context}
    return TemplateResponse(request, "orders/board/board.html", whole)


def _context(
    query: BoardQuery, desk: Desk, page: Page, numbers: counting.Numbers, looking: Looking
) -> dict[str, Any]:
    rows = rows_of(page.rows, looking.at)
    return {
        **_frame(query, desk, looking),
        "rows": rows,
        "numbers": numbers,
        "total": numbers.total,
        "tabs": _tabs(query, desk, numbers),
        "before": query.url(before=page.before) if page.before else "",
        "after": query.url(after=page.after) if page.after else "",
        "is_first_page": not page.before,
    }


def _frame(query: BoardQuery, desk: Desk, looking: Looking) -> dict[str, Any]:
    """What surrounds the list, whatever is in it."""
    return {
        "query": query,
        "looking_at": looking.at,
        "columns": _headings(query),
        "chips": _chips(query),
        "density": query.density or desk.preference.density or Density.COMFORTABLE,
        "encoded": query.encoded(),
        "refused": [(FILTERS[name].label, value) for name, value in query.refused],
        "page_size": PAGE_SIZE,
    }


def _tabs(query: BoardQuery, desk: Desk, numbers: counting.Numbers | None = None) -> list[dict[str, Any]]:
    return [
        {
            "code": code,
            "name": view.name,
            "url": f"{reverse('admin:board')}?view={code}",
            "n": numbers.views.get(code) if numbers else None,
            "is_current": query.view == code,
            "row": view.row,
        }
        for code, view in desk.views.items()
    ]


def _headings(query: BoardQuery) -> list[dict[str, Any]]:
    return [_heading(query, name) for name in query.shown]


def _heading(query: BoardQuery, name: str) -> dict[str, Any]:
    column = COLUMNS[name]
    found: dict[str, Any] = {"name": name, "label": column.label, "aria": "", "url": ""}
    if column.sort and not query.is_closed:
        is_mine = query.sort.name == column.sort
        found["aria"] = ("descending" if query.sort.descending else "ascending") if is_mine else "none"
        turned = query.sort.reverse() if is_mine else SORTS[column.sort]
        found["url"] = query.sorted_by(turned).url()
    return found


def _chips(query: BoardQuery) -> list[dict[str, Any]]:
    """The filters in force, each with the address of the same list without it."""
    return [
        {
            "label": f"{FILTERS[name].label}: {word}",
            "remove_url": query.without(name, value).url(),
        }
        for name, values in query.filters.items()
        for value, word in _words(FILTERS[name], values)
    ]


def _words(one: Filter, values: list[str]) -> list[tuple[str, str]]:
    if one.model is None:
        choices = one.choices()
        return [(value, str(choices[value])) for value in values]
    names = {str(pk): name for pk, name in one.model.objects.filter(pk__in=values).values_list("pk", "name")}
    return [(value, names.get(value, f"#{value}")) for value in values]


def _searched(request: HttpRequest, site: AdminSite, term: str, looking: Looking) -> HttpResponse:
    """The order's page if there is one such order; else the list of what the term may mean."""
    is_second_step = request.GET.get("how") == "substring"
    found = (find_substring if is_second_step else find)(term, looking.user)
    if found.is_unique and not is_second_step:
        return HttpResponseRedirect(reverse("admin:orders_order_change", args=[found.ids[0]]))
    query, desk = read(request.GET), Desk.of(looking.user)
    orders = shown(Order.objects.visible_to(looking.user).filter(pk__in=found.ids)).order_by("-pk")
    context = {
        **_context_of_search(query, desk, found, looking),
        "rows": rows_of(orders, looking.at),
    }
    return _rendered(request, site, context)


def _context_of_search(query: BoardQuery, desk: Desk, found: Found, looking: Looking) -> dict[str, Any]:
    return {
        **_frame(query, desk, looking),
        "found": found,
        "is_cut": len(found.ids) >= SHOWN,
        "substring_url": query.url(q=found.term, how="substring"),
        "clear_url": query.url(),
        "tabs": _tabs(query, desk),
        "total": counting.Counted(len(found.ids), is_exact=len(found.ids) < SHOWN),
    }


def rows(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The rows of these orders as they are now, for patching; gone: those that the list no longer has."""
    looking = Looking(person(request), now())
    ids = _ids(request.GET.get("ids", ""))
    query = Desk.of(looking.user).query(request.GET)
    orders = list(shown(query.orders(looking).filter(pk__in=ids)))
    rendered = {str(row.order.pk): render_row(row, query, request) for row in rows_of(orders, looking.at)}
    gone = [pk for pk in ids if str(pk) not in rendered]
    return JsonResponse({"rows": rendered, "gone": gone})


def render_row(row: Row, query: BoardQuery, request: HttpRequest) -> str:
    context = {"row": row, "columns": _headings(query)}
    return render_to_string("orders/board/row.html", context, request)


def _ids(text: str) -> list[int]:
    numbers: Iterable[str] = (one for one in text.split(",") if one.isdecimal() and len(one) < 19)
    return list(dict.fromkeys(int(one) for one in numbers))[:MOST_ROWS]


def visible_order(request: HttpRequest, order_id: int) -> Order:
    """Raises Http404 for an order that this person may not see, as for one that does not exist."""
    user = person(request)
    order = shown(Order.objects.visible_to(user)).filter(pk=order_id).first()
    if order is None:
        raise Http404(_("There is no such order, or it is outside your area."))
    return cast(Order, order)


def peek(request: HttpRequest, site: AdminSite, order_id: int) -> HttpResponse:
    """An order's latest news, without leaving the board."""
    order, at = visible_order(request, order_id), now()
    facts = visible(OrderFact.objects.all(), request.user).timeline(order).select_related("reference")
    newest = list(facts.distinct().reverse()[:8])
    events = OrderEvent.objects.filter(order=order).select_related("actor").order_by("-id")[:5]
    context = {
        **site.each_context(request),
        "title": order.number,
        "row": rows_of([order], at)[0],
        "facts": [{"fact": fact, "label": FACT_KINDS[fact.kind].label} for fact in newest],
        "events": [in_words(event) for event in events],
        "steps": order.steps.select_related("done_by").order_by("opened_at", "id"),
        "looking_at": at,
        "is_fragment": request.headers.get("X-Fragment") == "1",
    }
    name = "orders/board/peek.html" if context["is_fragment"] else "orders/board/peek_page.html"
    return TemplateResponse(request, name, context)
