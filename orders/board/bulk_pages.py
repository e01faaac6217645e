"""The pages of work over many orders: what it would do, how far it is, what became of each order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orders import audit
from orders.board import bulk_runs
from orders.board.acts import query_of, see_other
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
from orders.board.filters import Looking
from orders.board.pages import TEXTS, person, state_of
from orders.board.query import BoardQuery
from orders.byhand import Refused
from orders.desk import BulkRow, BulkRun
from orders.models import Order

MOST_PICKED = 200
ROWS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked before an action begins: which orders to look at first, and whether the number is typed."""

    preview: bulk_runs.Preview
    riskiest: list[Order]
    must_count: bool

    @classmethod
    def of(cls, action: Action, orders: Any) -> Asked:
        preview = bulk_runs.preview(action, orders)
        is_careful = bool(action.step) and 1 < preview.n_done <= MOST_STEPS_ALONE
        riskiest = bulk_runs.riskiest(action, orders) if is_careful else []
        return cls(preview, riskiest, is_careful or preview.n_done > bulk_runs.AT_ONCE)

    def refusal(self, given: QueryDict) -> str:
        """Why the action does not begin with these answers; "" if it does."""
        typed = given.get("typed", "").replace(",", "").strip()
        if self.must_count and typed != str(self.preview.n_done):
            return _("You typed “%(typed)s”; there are %(n)s orders now. Nothing was done.") % {
                "typed": typed[:20],
                "n": self.preview.n_done,
            }
        looked_at = given.getlist("looked")
        missed = [order.number for order in self.riskiest if str(order.pk) not in looked_at]
        if not missed:
            return ""
        return _("Look at these orders first: %(numbers)s. Nothing was done.") % {
            "numbers": ", ".join(missed)
        }

    def to_look_at(self, given: QueryDict, at: datetime, *, is_refused: bool) -> list[dict[str, Any]]:
        """After a refusal those that nobody has looked at stand open."""
        looked_at = given.getlist("looked")
        return [
            {"row": row, "is_done": is_done, "is_open": is_refused and not is_done}
            for row in rows_of(self.riskiest, at)
            for is_done in [str(row.order.pk) in looked_at]
        ]


def bulk(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What an action over many orders would do (GET), and doing it (POST)."""
    user, at = person(request), now()
    given = request.POST if request.method == "POST" else request.GET
    action, query = ACTIONS.get(given.get("action", "")), query_of(given.get("list", ""))
    if action is None or action not in offered(user):
        messages.error(
            request, _("Your roles do not allow this, or there is no such action. Nothing was done.")
        )
        return see_other(query.url())
    orders = _chosen(given, query, Looking(user, at))
    if orders is None:
        messages.error(request, _("Select at least one order first. Nothing was done."))
        return see_other(query.url())
    asked, form = Asked.of(action, orders), action.form(request.POST or None)
    too_many = refusal = _too_many_for_a_phone(request, asked.preview)
    if request.method == "POST" and form.is_valid() and not too_many:
        try:
            refusal = asked.refusal(given)
            if not refusal:
                return _begun(request, action, orders, plain(form.cleaned_data), user, given.get("list", ""))
        except Refused as refused:
            refusal = str(refused)
    context = {
        **site.each_context(request),
        **_context(action, asked, given),
        "form": form,
        "refusal": refusal,
        "is_refused_here": bool(too_many),
        "riskiest": asked.to_look_at(given, at, is_refused=bool(refusal)),
        "back_url": query.url(),
    }
    status = 409 if refusal and request.method == "POST" else 200
    return TemplateResponse(request, "orders/board/bulk.html", context, status=status)


def _context(action: Action, asked: Asked, given: QueryDict) -> dict[str, Any]:
    return {
        "title": action.label,
        "action": action,
        "preview": asked.preview,
        "is_all": given.get("all") == "1",
        "ids": _ids(given),
        "list": given.get("list", ""),
        "at_once": bulk_runs.AT_ONCE,
        # Said here: a template would call the function that it finds under the action's name for it.
        "may_be_undone": action.undo is not None,
        "must_count": asked.must_count,
        "typed": given.get("typed", ""),
        "submit_label": f"{action.label} ({asked.preview.n_done})",
    }


def _too_many_for_a_phone(request: HttpRequest, preview: bulk_runs.Preview) -> str:
    # The sign by which browsers on phones tell what they run on, and those on desks do not.
    if "Mobi" not in request.headers.get("User-Agent", "") or preview.n_done <= MOST_ON_A_PHONE:
        return ""
    return _(
        "On a phone at most %(most)s orders are changed at once, and these are %(n)s. Select fewer, or go on at a "
        "desk. Nothing was done."
    ) % {"most": MOST_ON_A_PHONE, "n": preview.n_done}


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


def _begun(
    request: HttpRequest, action: Action, orders: Any, values: dict[str, Any], user: User, listed: str
) -> HttpResponse:
    """The run: done at once for one page of orders, by the worker for more."""
    with audit.acting(actor=user, way="admin"):
        run = bulk_runs.begin(action, orders, values, actor=user, query=listed, at=now())
        if run.n_orders <= bulk_runs.AT_ONCE:
            bulk_runs.work_off(run)
    return see_other(reverse("admin:board_run", args=[run.pk]))


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
    return see_other(reverse("admin:board_run", args=[found.pk]))


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
        "back_url": query_of(found.query).url(),
        "first_title": _("No order was chosen."),
        **state_of(request, request.path),
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
