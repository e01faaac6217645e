"""What people do from the board: keep views, move cards, take a list along as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    QueryDict,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _

from orders import audit
from orders.board import kanban
from orders.board import views as saved
from orders.board.export import as_csv, as_xlsx, orders_in_turn
from orders.board.filters import Looking
from orders.board.pages import MAY_EXPORT, desk_of, is_fragment, person, visible_order
from orders.board.query import BoardQuery, read
from orders.byhand import Refused
from orders.models import Order, Shop
from orders.stages import Step

Writer = Callable[[Iterable[Order]], Iterator[bytes]]
FILES: dict[str, tuple[Writer, str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "xlsx": (as_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def _only_post() -> HttpResponse:
    return HttpResponse(status=405, headers={"Allow": "POST"})


def see_other(address: str) -> HttpResponse:
    """On to a page, by GET, after something was done."""
    return HttpResponseRedirect(address, status=303)


def query_of(text: str) -> BoardQuery:
    """The whole of it: an address cut short would name more orders than the person looked at."""
    return read(QueryDict(text))


def views(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Save, rename, delete a view, or begin with it."""
    user = person(request)
    if request.method != "POST":
        return _only_post()
    query = query_of(request.POST.get("query", ""))
    try:
        code = _keep(request, user, query)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return see_other(query.url())
    return see_other(f"{reverse('admin:board')}?view={code}" if code else reverse("admin:board"))


def _keep(request: HttpRequest, user: User, query: BoardQuery) -> str:
    """Does what the form of views says; returns the view to go to."""
    given = request.POST
    code = given.get("view", "")
    pk = int(code) if code.isdecimal() and len(code) < 19 else 0
    match given.get("do"):
        case "first":
            saved.begin_with(user, code)
            messages.success(request, _("The board opens with this view from now on."))
            return code
        case "default":
            saved.begin_with(user, "")
            messages.success(request, _("The board opens with the view of your role again."))
            return code
        case "rename":
            return str(saved.rename(user, pk, given.get("name", "")).pk)
        case "delete":
            saved.delete(user, pk)
            return ""
        case _other:
            row = saved.save(
                user,
                query,
                name=given.get("name", ""),
                is_shared=given.get("is_shared") == "1",
                default_for=given.get("default_for", ""),
            )
            return str(row.pk)


def move(request: HttpRequest, site: AdminSite, order_id: int, to: str) -> HttpResponse:
    """A card's move to another lane: the form of the step in its lane, or why it cannot be moved there."""
    if to not in {*Step.values, kanban.DONE}:
        raise Http404(_("There is no such lane."))
    user, order = person(request), visible_order(request, order_id)
    listed = request.POST.get("list", request.GET.get("list", ""))
    back = query_of(listed).url()
    refusal = kanban.refusal(order, to, user)
    action = None if refusal else kanban.action_of(order)
    form = action.form(request.POST or None) if action else None
    if request.method == "POST" and action and form and form.is_valid():
        try:
            with audit.acting(actor=user, way="admin"):
                text = action.run(order, form.cleaned_data, user, now())
        except (Refused, ValidationError) as refused:
            refusal = str(refused)
        else:
            messages.success(request, f"{order.number}: {text}")
            return see_other(back)
    return _move_page(request, site, order, form, refusal, back, listed, action)


def _move_page(
    request: HttpRequest,
    site: AdminSite,
    order: Order,
    form: Any,
    refusal: str,
    back: str,
    listed: str,
    action: Any,
) -> HttpResponse:
    context = {
        **({} if is_fragment(request) else site.each_context(request)),
        "title": order.number,
        "action_label": action.label if action else "",
        "form": form,
        "refusal": refusal,
        "back_url": back,
        "list": listed,
        "is_fragment": is_fragment(request),
    }
    status = 409 if request.method == "POST" and refusal else 200
    return TemplateResponse(request, "orders/board/move.html", context, status=status)


def export(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """The present list as a file. By POST: taking data along is recorded."""
    user = person(request, MAY_EXPORT)
    if request.method != "POST":
        return _only_post()
    person(request)
    form = request.POST.get("format", "")
    query = desk_of(request, user).query(request.GET)
    if form not in FILES:
        messages.error(request, _("Choose CSV or Excel. Nothing was exported."))
        return see_other(query.url())
    at = now()
    with transaction.atomic(), audit.acting(actor=user, way="admin"):
        house = Shop(pk=0, name=_("Order board"))
        audit.record("board.exported", house, after={"format": form, "list": query.encoded()})
    write, kind = FILES[form]
    orders = query.orders(Looking(user, at))
    parts = _in_the_readers_words(write(orders_in_turn(orders, query.sort)))
    name = f"orders-{localtime(at):%Y%m%d-%H%M}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(parts, content_type=kind, headers=headers)


def _in_the_readers_words(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The file is written after the request's own language and time zone have been put away."""
    language, zone = translation.get_language() or settings.LANGUAGE_CODE, timezone.get_current_timezone()
    source = iter(parts)

    def written() -> Iterator[bytes]:
        while True:
            with translation.override(language), timezone.override(zone):
                part = next(source, None)
            if part is None:
                return
            yield part

    return written()
