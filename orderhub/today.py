"""Today: what needs this person now, whether the data is true, whether the house keeps its times.

Every number is counted by the definition of the list that it opens, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Count, F, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise

from integrations.models import InboundMessage
from orderhub import health_of_sources, last_day, live, wizard
from orderhub.refusals import permission_label
from orders import mine
from orders.access import ROLES
from orders.audit import AuditEntry
from orders.board import counting
from orders.board.filters import Looking, stages_of
from orders.board.query import BoardQuery
from orders.by_hour import hours_of
from orders.models import OrderStep, Todo
from orders.people import visible
from orders.stages import STEP_ROWS, Step, StepState
from orders.states import forced
from promises import calibration_house
from promises.calibration_rows import MOST as MOST_JUDGED
from promises.calibration_sources import midnight
from promises.estimates.models import Estimate

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

SEES_ORDERS = live.MAY
SEES_ESTIMATES = "promises.view_estimate"
SEES_TODOS = "orders.view_todo"
SEES_MESSAGES = "integrations.view_inboundmessage"
# A count that reads rows of the past ends here and says so.
MOST_COUNTED = 10_000
WINDOW = timedelta(days=30)
N_ACTIONS = 8


@dataclass(frozen=True, slots=True)
class Tile:
    """One number that wants something of the reader, and the list it opens."""

    key: str
    label: StrOrPromise
    # What kind of trouble: a meaning of the chips.
    meaning: str
    url: str
    n: int = 0
    is_exact: bool = True

    @property
    def looks(self) -> str:
        return self.meaning if self.n else "neutral"


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, over a window. Nothing to measure: no percentage."""

    key: str
    label: StrOrPromise
    means: StrOrPromise
    n_kept: int
    n: int
    window: str
    # The list of those that were not kept.
    url: str = ""
    unmeasured: StrOrPromise = ""
    # Sources that have fallen silent, so that the number may be older than it looks.
    doubts: Sequence[str] = ()

    @property
    def percent(self) -> str:
        """Rounded down: 99.98 % is not 100 %."""
        return f"{1000 * self.n_kept // self.n / 10:.1f}%" if self.n else ""

    @property
    def n_missed(self) -> int:
        return self.n - self.n_kept


# What the audit calls a doing, in the reader's words; anything else is named by its code.
DOINGS: dict[str, StrOrPromise] = {
    "create": gettext_lazy("Added"),
    "change": gettext_lazy("Changed"),
    "delete": gettext_lazy("Deleted"),
    "link": gettext_lazy("Connected"),
    "unlink": gettext_lazy("Disconnected"),
    "look": gettext_lazy("Looked at the original"),
    "reveal": gettext_lazy("Revealed personal data"),
    "empty": gettext_lazy("Emptied"),
    "replay": gettext_lazy("Replayed"),
    "apply": gettext_lazy("Put in force"),
    "todo.closed": gettext_lazy("Closed a to-do"),
    "order.assigned": gettext_lazy("Assigned"),
    "board.exported": gettext_lazy("Exported a list"),
    "bulk.begun": gettext_lazy("Began an action over many orders"),
    "bulk.undone": gettext_lazy("Undid an action over many orders"),
    "recalibration.begin": gettext_lazy("Put a reading of the odds in force"),
    "recalibration.end": gettext_lazy("Took a reading of the odds out of force"),
    "import.start": gettext_lazy("Started an import"),
    "import.cancel": gettext_lazy("Cancelled an import"),
    "import.retry": gettext_lazy("Tried an import again"),
    "mapping.trial": gettext_lazy("Tried a mapping"),
    "template.install": gettext_lazy("Installed the template"),
    "template.undo": gettext_lazy("Undid the template"),
    "setup.done": gettext_lazy("Took a step of setting up"),
    "setup.skipped": gettext_lazy("Passed over a step of setting up"),
    "setup.undone": gettext_lazy("Undid a step of setting up"),
}


@dataclass(frozen=True, slots=True)
class Done:
    """One thing the person did, from the audit."""

    at: datetime
    doing: StrOrPromise
    kind: StrOrPromise
    name: str

    @classmethod
    def of(cls, entry: AuditEntry) -> Done:
        try:
            kind = apps.get_model(entry.model)._meta.verbose_name or ""
        except LookupError:
            kind = entry.model
        return cls(entry.at, DOINGS.get(entry.action, entry.action), kind, entry.object_label)


def my_actions(person: Person) -> list[Done]:
    return [
        Done.of(entry)
        for entry in AuditEntry.objects.filter(actor=person.user.pk).order_by("-at")[:N_ACTIONS]
    ]


@dataclass(frozen=True, slots=True)
class StepLoad:
    """One of the four steps: how many orders wait there, and since when the first of them."""

    step: Step
    n: int
    oldest_since: datetime | None
    url: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who looks, with what decides what they are shown. Roles are read once."""

    user: User
    roles: tuple[str, ...]
    at: datetime

    def may(self, permission: str) -> bool:
        return self.user.has_perm(permission)

    @property
    def steps(self) -> list[Step]:
        return [step for step, row in STEP_ROWS.items() if row.owner in self.roles]

    @property
    def part(self) -> dict[str, list[str]]:
        """The board's filters that leave this person's work; {} for whoever answers for everything."""
        if self.user.is_superuser or self.may("orders.see_all_orders") or "supervisor" in self.roles:
            return {}
        if self.steps == [Step.INVOICE]:
            # Invoicing goes on beside the order's way: no stage says that it is finance's turn.
            return {"step": [Step.INVOICE.value]}
        mine = [role for role in self.roles if stages_of(role)]
        return {"turn": mine} if mine else {}


@dataclass(slots=True)
class Today:
    """Everything on the page, read at one moment."""

    person: Person
    tiles: list[Tile] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    funnel: list[StepLoad] = field(default_factory=list)
    sources: list[health_of_sources.Source] = field(default_factory=list)
    day: last_day.Day | None = None
    actions: list[Done] = field(default_factory=list)
    checklist: list[dict[str, str]] = field(default_factory=list)
    has_orders: bool = True
    n_open: int = 0

    @property
    def is_first_use(self) -> bool:
        return not self.has_orders


def index(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The page; with X-Fragment: 1 only its changing part, for the script that keeps the numbers fresh."""
    opening = open_for(request, now())
    person = opening.person
    context = {
        "today": read(opening),
        "live_cursor": opening.cursor,
        "looking_at": person.at,
        "state": forced(request),
        **_refusal(person),
    }
    if request.headers.get("X-Fragment") == "1":
        return TemplateResponse(request, "hub/today_body.html", context)
    whole = {**site.each_context(request), "title": site.index_title, **context}
    return TemplateResponse(request, "hub/today.html", whole)


@dataclass(frozen=True, slots=True)
class Opening:
    """What must be known before anything is counted."""

    person: Person
    cursor: live.Cursor
    has_orders: bool


_JOINED = {"postgresql": "STRING_AGG(g.name, %s)", "sqlite": "GROUP_CONCAT(g.name, %s)"}


def open_for(request: HttpRequest, at: datetime) -> Opening:
    """One statement: how far the feed is, the person's roles, whether there is any order in the house."""
    user = cast(User, request.user)
    statement = (
        f"SELECT ({live.newest_event()}), (SELECT {_JOINED[connection.vendor]} FROM auth_group g "  # noqa: S608
        "JOIN auth_user_groups ug ON ug.group_id = g.id WHERE ug.user_id = %s), EXISTS (SELECT 1 FROM orders_order)"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, ["\n", user.pk])
        newest, roles, has_orders = cursor.fetchone()
    person = Person(user, tuple(sorted((roles or "").split("\n"))) if roles else (), at)
    return Opening(person, live.Cursor.read(newest or "") or live.Cursor(), bool(has_orders))


def _refusal(person: Person) -> dict[str, Any]:
    if person.may(SEES_ORDERS):
        return {}
    return {
        "permission": permission_label(SEES_ORDERS),
        "roles": [row.label for row in ROLES.values() if SEES_ORDERS in row.may],
    }


def read(opening: Opening) -> Today:
    """Every number of the page. Each statement is bounded by the open orders, by a day, or by MOST_COUNTED rows."""
    person = opening.person
    found = Today(person, has_orders=opening.has_orders)
    kinds = last_day.kinds(person.user) if person.may(SEES_ORDERS) else []
    tallies = _tallied(person, kinds)
    found.sources = health_of_sources.read(person.user, person.at, tallies)
    found.actions = my_actions(person)
    found.tiles = record_tiles(person, tallies)
    if person.may(SEES_ORDERS):
        found.day = last_day.day(kinds, person.at, tallies)
        _count_orders(found, tallies)
    if not found.has_orders:
        found.checklist = wizard.remaining(person.user)
    return found


def _count_orders(found: Today, tallies: Tallies) -> None:
    person = found.person
    wanted = board_tiles(person)
    queries = {key: query for key, _label, _meaning, query in wanted}
    numbers = counting.numbers(
        BoardQuery(),
        Looking(person.user, person.at),
        {**queries, "old": BoardQuery(filters={"updated": ["o48"]})},
        with_steps=True,
    )
    found.n_open = numbers.total.n
    found.tiles += [
        Tile(key, label, meaning, query.url(), numbers.views[key]) for key, label, meaning, query in wanted
    ]
    found.funnel = [_load(step, numbers.steps[step.value]) for step in Step]
    doubts = [source.label for source in found.sources if source.is_doubtful]
    found.shares = [steps_on_time(tallies, doubts), freshness(numbers, doubts)]
    if person.may(SEES_ESTIMATES):
        found.shares.append(promises_kept(tallies, doubts))


Tallies = dict[tuple[str, str], int]


def _tallied(person: Person, kinds: list[last_day.Kind]) -> Tallies:
    """Everything that is counted beside the open orders, in one statement: (what, of which) -> number."""
    since = hours_of(person.at)[0]
    wanted = [kind.tally(since) for kind in kinds] + health_of_sources.tallies(person.user, person.at)
    if person.may(SEES_TODOS):
        wanted.append(_tally("todos", my_todos(person)))
    if person.may(SEES_MESSAGES):
        newest = failed_messages(person).order_by("-pk").values("pk")[: MOST_COUNTED + 1]
        wanted.append(_tally("failed", InboundMessage.objects.filter(pk__in=newest)))
    if person.may(SEES_ORDERS):
        steps = finished_steps(person)
        wanted += [_tally("steps", steps), _tally("steps kept", steps.filter(done_at__lte=F("due_at")))]
    if person.may(SEES_ESTIMATES):
        wanted += promises_judged(person)
    if not wanted:
        return {}
    return {(what, which): n for what, which, n in wanted[0].union(*wanted[1:], all=True)}


def _tally(what: str, rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    found: QuerySet[Any, Any] = rows.order_by().values_list(Value(what), Value("")).annotate(n=Count("pk"))
    return found


def board_tiles(person: Person) -> list[tuple[str, StrOrPromise, str, BoardQuery]]:
    """The tiles that open the board: their key, label, meaning and list. Steps of one's own come first."""
    steps = [
        (f"step_{step.value}", step.label, "info", BoardQuery(filters={"step": [step.value]}))
        for step in person.steps
    ]
    return [
        *steps,
        *((key, label, meaning, BoardQuery(filters=given)) for key, label, meaning, given in _needs(person)),
    ]


def _needs(person: Person) -> list[tuple[str, StrOrPromise, str, dict[str, list[str]]]]:
    part = person.part
    found: list[tuple[str, StrOrPromise, str, dict[str, list[str]]]] = [
        ("late", gettext_lazy("Late"), "danger", {"need": ["late"], **part}),
        ("risk", gettext_lazy("Late or at risk"), "warn", {"need": ["risk"], **part}),
        ("stuck", gettext_lazy("Stuck"), "danger", {"stuck": ["1"], **part}),
        ("conflict", gettext_lazy("Sources disagree"), "warn", {"conflict": ["1"], **part}),
        ("short", gettext_lazy("Stock short"), "danger", {"short": ["1"], **part}),
    ]
    if not part:
        found += [
            ("unknown", gettext_lazy("Unknown status"), "warn", {"unknown": ["1"]}),
            ("aside", gettext_lazy("Set aside"), "danger", {"aside": ["1"]}),
        ]
    return found


def my_todos(person: Person) -> QuerySet[Any]:
    rows = visible(Todo.objects.filter(done_at__isnull=True), person.user)
    return rows.filter(mine.is_mine(person.user.pk, person.roles))


def failed_messages(person: Person) -> QuerySet[Any]:
    return visible(InboundMessage.objects.filter(state=InboundMessage.State.FAILED), person.user)


def record_tiles(person: Person, tallies: Tallies) -> list[Tile]:
    """Those that open a list of records, for whoever may see these records."""
    tiles = []
    if person.may(SEES_TODOS):
        query = urlencode({mine.PARAMETER: "me", "done_at__isempty": "1"})
        url = f"{reverse('admin:orders_todo_changelist')}?{query}"
        tiles.append(
            _bounded("todos", gettext_lazy("To-dos for you"), "gate", url, tallies.get(("todos", ""), 0))
        )
    if person.may(SEES_MESSAGES):
        url = f"{reverse('admin:integrations_inboundmessage_changelist')}?{urlencode({'state__exact': 'failed'})}"
        tiles.append(
            _bounded("failed", gettext_lazy("Failed messages"), "danger", url, tallies.get(("failed", ""), 0))
        )
    return tiles


def _bounded(key: str, label: StrOrPromise, meaning: str, url: str, n: int) -> Tile:
    return Tile(key, label, meaning, url, min(n, MOST_COUNTED), is_exact=n <= MOST_COUNTED)


def _load(step: Step, found: counting.Load) -> StepLoad:
    return StepLoad(step, found.n, found.oldest_since, BoardQuery(filters={"step": [step.value]}).url())


def steps_on_time(tallies: Tallies, doubts: Sequence[str]) -> Share:
    """Of the steps that were done in the window: how many before they were due. Among the newest MOST_COUNTED of the house."""
    return Share(
        key="steps",
        label=gettext_lazy("Steps on time"),
        means=gettext_lazy(
            "Steps that were done before they were due, of the newest 10,000 done in the last 30 days that had a due time."
        ),
        n_kept=tallies.get(("steps kept", ""), 0),
        n=tallies.get(("steps", ""), 0),
        window=_("last %(n)s days") % {"n": WINDOW.days},
        url=reverse("admin:today_steps"),
        unmeasured=gettext_lazy("Not measurable yet: no step with a due time was done in the last 30 days."),
        doubts=doubts,
    )


def finished_steps(person: Person) -> QuerySet[Any]:
    """The steps that the share counts."""
    newest = (
        OrderStep.objects.filter(
            done_at__gte=person.at - WINDOW,
            due_at__isnull=False,
            state__in=[StepState.DONE, StepState.OVERTAKEN],
        )
        .order_by("-done_at")
        .values("pk")[:MOST_COUNTED]
    )
    return visible(OrderStep.objects.filter(pk__in=newest), person.user)


def promises_judged(person: Person) -> list[QuerySet[Any, Any]]:
    """Orders whose first latest date fell in the window, as the calibration counts them: (whose, outcome) -> number."""
    since = midnight(person.at) - WINDOW
    found = []
    for is_demo, whose in ((False, "promises"), (True, "demo promises")):
        rows = visible(calibration_house.judged(since, person.at, is_demo=is_demo), person.user)
        newest = rows.order_by("-outcome_at", "-pk").values("pk")[:MOST_JUDGED]
        counted = Estimate.objects.filter(pk__in=newest).order_by()
        found.append(counted.values_list(Value(whose), "outcome").annotate(n=Count("pk")))
    return found


def promises_kept(tallies: Tallies, doubts: Sequence[str]) -> Share:
    """Of the first dates that have passed: how many were kept. The demo's only as long as there are no real ones."""
    counts = {whose: _outcomes(tallies, whose) for whose in ("promises", "demo promises")}
    is_demo = not sum(counts["promises"]) and sum(counts["demo promises"]) > 0
    kept, missed = counts["demo promises" if is_demo else "promises"]
    query = urlencode({"of": "demo" if is_demo else "house", "days": WINDOW.days, "came": "missed"})
    return Share(
        key="promises",
        label=gettext_lazy("Promises kept"),
        means=gettext_lazy(
            "Orders delivered by the first latest date they were given, of all whose date fell in the last 30 days. The raw "
            "rate; the calibration has the adjusted one beside it."
        ),
        n_kept=kept,
        n=kept + missed,
        window=_("last %(n)s days") % {"n": WINDOW.days},
        url=f"{reverse('admin:promise_calibration_rows')}?{query}",
        unmeasured=gettext_lazy(
            "Not measurable yet: no date that the hub gave has passed in the last 30 days."
        ),
        doubts=doubts,
    )


def _outcomes(tallies: Tallies, whose: str) -> tuple[int, int]:
    kept, missed = Estimate.Outcome.KEPT.value, Estimate.Outcome.MISSED.value
    return tallies.get((whose, kept), 0), tallies.get((whose, missed), 0)


def freshness(numbers: counting.Numbers, doubts: Sequence[str]) -> Share:
    """Of the open orders: how many were heard of within two days."""
    n_open = numbers.total.n
    return Share(
        key="fresh",
        label=gettext_lazy("Status freshness"),
        means=gettext_lazy("Open orders with news within 48 hours, of all open orders."),
        n_kept=n_open - numbers.views["old"],
        n=n_open,
        window=_("now"),
        url=BoardQuery(filters={"updated": ["o48"]}).url(),
        unmeasured=gettext_lazy("Not measurable yet: there are no open orders."),
        doubts=doubts,
    )


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/today/steps/: the evidence behind “Steps on time”."""
    return [
        path("today/steps/", site.admin_view(lambda request: late_steps(request, site)), name="today_steps")
    ]


def late_steps(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The steps that were done late, of those that the share counts, newest first."""
    if not request.user.has_perm(SEES_ORDERS):
        raise PermissionDenied(SEES_ORDERS)
    person = open_for(request, now()).person
    late = finished_steps(person).filter(done_at__gt=F("due_at")).select_related("order", "done_by")
    page = Paginator(late.order_by("-done_at", "pk"), 50).get_page(request.GET.get("page"))
    context = {
        **site.each_context(request),
        "title": _("Steps that were done late"),
        "page": page,
        "rows": [(step, step.done_at - step.due_at) for step in page],
        "state": forced(request),
    }
    return TemplateResponse(request, "hub/today_steps.html", context)
