"""What people do from the board: keep views, move cards, change many orders, take a list along as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
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
    JsonResponse,
    QueryDict,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orders import audit
from orders.board import bulk_runs, kanban
from orders.board import views as saved
from orders.board.bulk_actions import (
    ACTIONS,
    MOST_ON_A_PHONE,
    MOST_STEPS_ALONE,
    Action,
    BulkRefused,
    offered,
    plain,
    undo_until,
)
from orders.board.columns import rows_of
from orders.board.counting import newest_floor
from orders.board.export import as_csv, as_xlsx, orders_in_turn
from orders.board.filters import Looking
from orders.board.pages import MAY_EXPORT, TEXTS, desk_of, is_fragment, person, visible_order
from orders.board.query import BoardQuery, read
from orders.byhand import Refused
from orders.desk import BulkRow, BulkRun
from orders.models import Order, Shop
from orders.stages import Step

MOST_PICKED = 200
ROWS_SHOWN = 100
Writer = Callable[[Iterable[Order]], Iterator[bytes]]
FILES: dict[str, tuple[Writer, str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "xlsx": (as_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def _only_post() -> HttpResponse:
    return HttpResponse(status=405, headers={"Allow": "POST"})


def _see(address: str) -> HttpResponse:
    """On to a page, by GET, after something was done."""
    return HttpResponseRedirect(address, status=303)


def _query_of(text: str) -> BoardQuery:
    """The whole of it: an address cut short would name more orders than the person looked at."""
    return read(QueryDict(text))


def views(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Save, rename, delete a view, or begin with it."""
    user = person(request)
    if request.method != "POST":
        return _only_post()
    given = request.POST
    query = _query_of(given.get("query", ""))
    try:
        code = _keep(user, given, query)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return _see(query.url())
    return _see(f"{reverse('admin:board')}?view={code}" if code else reverse("admin:board"))


def _keep(user: User, given: QueryDict, query: BoardQuery) -> str:
    """Does what the form of views says; returns the view to go to."""
    code = given.get("view", "")
    pk = int(code) if code.isdecimal() and len(code) < 19 else 0
    match given.get("do"):
        case "first":
            saved.begin_with(user, code)
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
    back = _query_of(listed).url()
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
            return _see(back)
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
        "heading": f"{order.number}: {action.label}" if action else order.number,
        "action_label": action.label if action else "",
        "form": form,
        "refusal": refusal,
        "back_url": back,
        "list": listed,
        "is_fragment": is_fragment(request),
    }
    status = 409 if request.method == "POST" and refusal else 200
    return TemplateResponse(request, "orders/board/move.html", context, status=status)


def bulk(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What an action over many orders would do (GET), and doing it (POST)."""
    user, at = person(request), now()
    given = request.POST if request.method == "POST" else request.GET
    action, query = ACTIONS.get(given.get("action", "")), _query_of(given.get("list", ""))
    if action is None or action not in offered(user):
        messages.error(
            request, _("Your roles do not allow this, or there is no such action. Nothing was done.")
        )
        return _see(query.url())
    orders = _chosen(given, query, Looking(user, at))
    if orders is None:
        messages.error(request, _("Select at least one order first. Nothing was done."))
        return _see(query.url())
    preview = bulk_runs.preview(action, orders)
    is_careful = bool(action.step) and 1 < preview.n_done <= MOST_STEPS_ALONE
    riskiest = bulk_runs.riskiest(action, orders) if is_careful else []
    must_count = is_careful or preview.n_done > bulk_runs.AT_ONCE
    form, refusal = action.form(request.POST or None), _too_many_for_a_phone(request, preview)
    is_refused_here = bool(refusal)
    if request.method == "POST" and form.is_valid() and not refusal:
        refusal = (_miscounted(given, preview) if must_count else "") or _not_looked_at(given, riskiest)
        try:
            if not refusal:
                return _begun(request, action, orders, plain(form.cleaned_data), user, given.get("list", ""))
        except Refused as refused:
            refusal = str(refused)
    context = {
        **site.each_context(request),
        "title": action.label,
        "action": action,
        "preview": preview,
        "form": form,
        "refusal": refusal,
        "is_all": given.get("all") == "1",
        "ids": _ids(given),
        "list": given.get("list", ""),
        "at_once": bulk_runs.AT_ONCE,
        "is_refused_here": is_refused_here,
        "must_count": must_count,
        "typed": given.get("typed", ""),
        "riskiest": _to_look_at(given, riskiest, at, is_missed=bool(refusal)),
        "submit_label": f"{action.label} ({preview.n_done})",
        "back_url": query.url(),
    }
    status = 409 if refusal and request.method == "POST" else 200
    return TemplateResponse(request, "orders/board/bulk.html", context, status=status)


def _too_many_for_a_phone(request: HttpRequest, preview: bulk_runs.Preview) -> str:
    # The sign by which browsers on phones tell what they run on, and those on desks do not.
    if "Mobi" not in request.headers.get("User-Agent", "") or preview.n_done <= MOST_ON_A_PHONE:
        return ""
    return _(
        "On a phone at most %(most)s orders are changed at once, and these are %(n)s. Select fewer, or go on at a "
        "desk. Nothing was done."
    ) % {"most": MOST_ON_A_PHONE, "n": preview.n_done}


def _not_looked_at(given: QueryDict, riskiest: list[Order]) -> str:
    looked_at = given.getlist("looked")
    missed = [order.number for order in riskiest if str(order.pk) not in looked_at]
    if not missed:
        return ""
    return _("Look at these orders first: %(numbers)s. Nothing was done.") % {"numbers": ", ".join(missed)}


def _to_look_at(
    given: QueryDict, riskiest: list[Order], at: datetime, *, is_missed: bool
) -> list[dict[str, Any]]:
    """After a refusal those that nobody has looked at stand open."""
    looked_at = given.getlist("looked")
    return [
        {"row": row, "is_done": is_done, "is_open": is_missed and not is_done}
        for row in rows_of(riskiest, at)
        for is_done in [str(row.order.pk) in looked_at]
    ]


def _ids(given: QueryDict) -> list[int]:
    texts = [text for text in given.getlist("ids") if text.isdecimal() and len(text) < 19]
    return list(dict.fromkeys(int(text) for text in texts))[:MOST_PICKED]


def _chosen(given: QueryDict, query: BoardQuery, looking: Looking) -> Any:
    """The orders that the form names, as far as this person may see them; None if it names none."""
    if given.get("all") == "1":
        orders = query.orders(looking)
        # Of closed orders no more are read than the list itself looks back over.
        return orders.filter(pk__gt=newest_floor()) if query.is_closed else orders
    ids = _ids(given)
    return Order.objects.visible_to(looking.user).filter(pk__in=ids) if ids else None


def _miscounted(given: QueryDict, preview: bulk_runs.Preview) -> str:
    """For a step, and above one page, the number is typed: it shows that somebody has read it."""
    typed = given.get("typed", "").replace(",", "").strip()
    if typed == str(preview.n_done):
        return ""
    return _("You typed “%(typed)s”; there are %(n)s orders now. Nothing was done.") % {
        "typed": typed[:20],
        "n": preview.n_done,
    }


def _begun(
    request: HttpRequest, action: Action, orders: Any, values: dict[str, Any], user: User, listed: str
) -> HttpResponse:
    """The run: done at once for one page of orders, by the worker for more."""
    with audit.acting(actor=user, way="admin"):
        run = bulk_runs.begin(action, orders, values, actor=user, query=listed, at=now())
        if run.n_orders <= bulk_runs.AT_ONCE:
            bulk_runs.work_off(run)
    return _see(reverse("admin:board_run", args=[run.pk]))


def run(request: HttpRequest, site: AdminSite, run_id: int) -> HttpResponse:
    """How far a run is, what became of each order; stop, retry, undo."""
    user = person(request)
    found = BulkRun.objects.select_related("made_by").filter(pk=run_id, made_by=user).first()
    if found is None:
        raise Http404(_("There is no such run of yours."))
    if request.method == "POST":
        return _steered(request, found, user)
    progress = bulk_runs.progress(found)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"n": progress.n_over, "total": progress.n_orders, "state": found.state})
    return TemplateResponse(request, "orders/board/run.html", _run_context(request, site, found, progress))


def _steered(request: HttpRequest, found: BulkRun, user: User) -> HttpResponse:
    wanted = {"cancel": bulk_runs.cancel, "retry": bulk_runs.retry, "undo": bulk_runs.undo}
    does = wanted.get(request.POST.get("do", ""))
    wants_json = "application/json" in request.headers.get("Accept", "")
    if does is None:
        return HttpResponse(status=400)
    try:
        with audit.acting(actor=user, way="admin"):
            n = does(found, actor=user, at=now())
    except BulkRefused as refusal:
        if wants_json:
            return JsonResponse({"error": str(refusal)}, status=409)
        messages.error(request, str(refusal))
    else:
        if wants_json:
            return JsonResponse({"n": n})
        messages.success(request, ngettext("%(n)s order.", "%(n)s orders.", n) % {"n": n})
    return _see(reverse("admin:board_run", args=[found.pk]))


MEANING = {
    BulkRow.Outcome.WAITING: "stale",
    BulkRow.Outcome.DONE: "ok",
    BulkRow.Outcome.SKIPPED: "neutral",
    BulkRow.Outcome.FAILED: "danger",
    BulkRow.Outcome.UNDONE: "info",
}


def _run_context(
    request: HttpRequest, site: AdminSite, found: BulkRun, progress: bulk_runs.Progress
) -> dict[str, Any]:
    until, at = undo_until(found), now()
    rows, more = _run_rows(found, request.GET.get("after", ""))
    is_working = found.state in bulk_runs.UNFINISHED
    action = ACTIONS.get(found.action)
    return {
        **site.each_context(request),
        "title": action.label if action else found.action,
        "texts": {key: str(text) for key, text in TEXTS.items()},
        "run": found,
        "progress": progress,
        "is_working": is_working,
        "may_retry": not is_working
        and found.undone_at is None
        and progress.counts.get(BulkRow.Outcome.FAILED, 0) > 0,
        "may_undo": until is not None and at <= until and progress.counts.get(BulkRow.Outcome.DONE, 0) > 0,
        "undo_until": until,
        "outcomes": [
            {"meaning": MEANING[outcome], "words": f"{outcome.label} {progress.counts[outcome]}"}
            for outcome in BulkRow.Outcome
            if progress.counts.get(outcome)
        ],
        "rows": [
            {"row": row, "meaning": MEANING[BulkRow.Outcome(row.outcome)], "why": _why(row)} for row in rows
        ],
        "more_url": f"?after={more}" if more else "",
        "back_url": _query_of(found.query).url(),
    }


def _run_rows(found: BulkRun, after: str) -> tuple[list[BulkRow], int]:
    """One page of the run's rows, and the mark of the next one; 0 if there is none."""
    start = int(after) if after.isdecimal() and len(after) < 19 else 0
    rows = list(
        BulkRow.objects.filter(run=found, pk__gt=start)
        .select_related("order")
        .order_by("pk")[: ROWS_SHOWN + 1]
    )
    return rows[:ROWS_SHOWN], rows[ROWS_SHOWN - 1].pk if len(rows) > ROWS_SHOWN else 0


def _why(row: BulkRow) -> str:
    if row.reason.get("code") == "cancelled":
        return _("The run was stopped before this order's turn.")
    if row.reason.get("code") == "error":
        return _("A defect of the hub (%(name)s). It is logged; try again, or tell your operator.") % {
            "name": row.reason.get("text", "")
        }
    return str(row.reason.get("text", ""))


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
        return _see(query.url())
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
