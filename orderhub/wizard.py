"""Setting up, step by step: from a fresh house to a board with orders. Every step can be passed over, taken later, undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django_stubs_ext import StrOrPromise

from orderhub import demo, template
from orderhub.demo.loading import Progress
from orderhub.models import House, SetupStep, TemplateInstall, the_house
from orderhub.refusals import permission_label
from orderhub.template import see_other
from orders import audit
from orders.access import ROLES
from orders.models import Order

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

PERMISSION = "orderhub.run_setup"
# Every kind of life and of trouble once; loaded while the person waits.
DEMO_ORDERS = 200
LAST = "done"


class Step(Protocol):
    """What settings.WIZARD_STEPS names. Rooms below give objects of this shape without knowing it."""

    key: str
    title: StrOrPromise
    text: StrOrPromise
    # On the button: verb and object.
    button: StrOrPromise
    permission: str
    # Shown above the buttons; "" = the form alone.
    template: str

    def form(self, request: HttpRequest) -> Form | None:
        """The form to be filled in, bound if this is a POST."""

    def context(self, request: HttpRequest, made: Mapping[str, Any]) -> dict[str, Any]:
        """What the template shows. made: what act returned, {} before."""

    def act(self, request: HttpRequest, form: Form | None, at: datetime) -> dict[str, Any]:
        """Do it; returns what undo will need, as JSON."""

    def undo(self, request: HttpRequest, made: Mapping[str, Any], at: datetime) -> str:
        """Take it back; returns what became of it, in words."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One step and how far it is. state: "" = still to come."""

    step: Step
    state: str
    may: bool
    number: int

    @property
    def url(self) -> str:
        return reverse("admin:wizard_step", args=[self.step.key])


def steps() -> list[Step]:
    return [import_string(name) for name in settings.WIZARD_STEPS]


def remaining(user: User | AnonymousUser) -> list[dict[str, str]]:
    """The steps that this person could still take, as a checklist; [] once somebody has finished. One small query."""
    if not user.has_perm(PERMISSION):
        return []
    taken = set(SetupStep.objects.values_list("key", flat=True))
    if LAST in taken:
        return []
    return [
        {"title": str(step.title), "url": reverse("admin:wizard_step", args=[step.key])}
        for step in steps()
        if step.key not in taken and user.has_perm(step.permission)
    ]


def note(key: str, state: str, made: Mapping[str, Any], *, by: Any, at: datetime) -> None:
    """Keep that the step was taken or passed over; the house notes when setting up began and ended."""
    step, _made = SetupStep.objects.update_or_create(
        key=key, defaults={"state": state, "made": dict(made), "at": at, "by": by}
    )
    audit.record(f"setup.{state}", step, after={"step": key})
    house = the_house()
    house.setup_began_at = house.setup_began_at or at
    if key == LAST:
        house.setup_ended_at = at
    house.save()


def forget(key: str) -> None:
    """The step is still to come again."""
    step = SetupStep.objects.filter(key=key).first()
    if step is None:
        return
    audit.record("setup.undone", step, before={"step": key, "state": step.state})
    step.delete()
    if key == LAST:
        House.objects.filter(pk=1).update(setup_ended_at=None)


def show_demo(
    *, by: Any, at: datetime, n_orders: int = DEMO_ORDERS, progress: Progress = lambda done, total: None
) -> demo.Loaded:
    """Rules, roles and reasons, and demo orders beside them. Sample shops would only be in the way.

    Raises demo.AlreadyLoaded.
    """
    with transaction.atomic():
        # Once: whoever has undone the template does not want it back with every start of the demo.
        if not TemplateInstall.objects.exists():
            template.install(by=by, at=at, without=["places"])
            note("template", SetupStep.State.DONE, {}, by=by, at=at)
    with transaction.atomic():
        loaded = demo.load(n_orders, seed=1, at=at, progress=progress)
        note("source", SetupStep.State.DONE, {"kind": "demo"}, by=by, at=at)
        note("mapping", SetupStep.State.SKIPPED, {}, by=by, at=at)
        House.objects.filter(pk=1).update(demo_removed_at=None)
    return loaded


def remove_demo(*, at: datetime) -> int:
    """Take every demo row out; how many orders went. Steps that only the demo had done are to come again."""
    with transaction.atomic():
        gone = demo.wipe()
        if SetupStep.objects.filter(key="source", made__kind="demo").exists():
            forget("source")
            forget("mapping")
        house = the_house()
        house.demo_removed_at = at
        house.save()
    return gone.get("order", 0)


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/start/ and a page for each step."""
    view = _Pages(site)
    return [
        path("start/", site.admin_view(view.overview), name="wizard"),
        path("start/<slug:key>/", site.admin_view(view.step), name="wizard_step"),
    ]


@dataclass(frozen=True, slots=True)
class _Pages:
    site: AdminSite

    @method_decorator(never_cache)
    def overview(self, request: HttpRequest) -> HttpResponse:
        """Two ways to begin, and the list of steps."""
        _check(request)
        if request.method == "POST":
            return self._act(request)
        standings = standing(request.user)
        context = {
            **self.site.each_context(request),
            "title": _title(),
            "standings": standings,
            "is_fresh": not any(one.state for one in standings),
            "next": _next(standings),
            "n_demo": Order.objects.filter(is_demo=True).count(),
            "n_demo_offered": DEMO_ORDERS,
            "is_demo_house": settings.DEMO,
            "minutes": minutes(),
        }
        return TemplateResponse(request, "hub/wizard.html", context)

    def _act(self, request: HttpRequest) -> HttpResponse:
        action = request.POST.get("action")
        if action == "demo":
            return self._show_demo(request)
        if action == "remove_demo":
            n_orders = remove_demo(at=now())
            text = ngettext("%(n)s demo order was removed.", "%(n)s demo orders were removed.", n_orders)
            messages.success(request, text % {"n": n_orders})
        else:
            messages.error(
                request, _("Nothing was done: the form named no action. Use the buttons on this page.")
            )
        return see_other(reverse("admin:wizard"))

    def _show_demo(self, request: HttpRequest) -> HttpResponse:
        try:
            n_orders = show_demo(by=request.user, at=now()).n_orders
            text = ngettext("%(n)s demo order was loaded.", "%(n)s demo orders were loaded.", n_orders)
            messages.success(request, text % {"n": n_orders})
        except demo.AlreadyLoaded as found:
            text = _("%(n)s demo orders are there already; nothing was changed.")
            messages.info(request, text % {"n": found.n_orders})
        return see_other(reverse("admin:wizard_step", args=[LAST]))

    @method_decorator(never_cache)
    def step(self, request: HttpRequest, key: str) -> HttpResponse:
        _check(request)
        standings = standing(request.user)
        mine = next((one for one in standings if one.step.key == key), None)
        if mine is None:
            raise Http404(_("There is no such step."))
        if request.method == "POST":
            return self._step_act(request, mine, standings)
        return self._step_page(request, mine, standings, mine.step.form(request) if mine.may else None)

    def _step_page(
        self, request: HttpRequest, mine: Standing, standings: list[Standing], form: Form | None
    ) -> HttpResponse:
        row = SetupStep.objects.filter(key=mine.step.key).first()
        made = row.made if row else {}
        context = {
            **self.site.each_context(request),
            "title": mine.step.title,
            "mine": mine,
            "standings": standings,
            "form": form,
            "row": row,
            "is_demo_house": settings.DEMO,
            "permission": permission_label(mine.step.permission),
            "roles": [role.label for role in ROLES.values() if mine.step.permission in role.may],
            **(mine.step.context(request, made) if mine.may else {}),
        }
        return TemplateResponse(request, "hub/wizard_step.html", context)

    def _step_act(self, request: HttpRequest, mine: Standing, standings: list[Standing]) -> HttpResponse:
        action, at = request.POST.get("action"), now()
        if action not in {"do", "skip", "undo"}:
            messages.error(
                request, _("Nothing was done: the form named no action. Use the buttons on this page.")
            )
            return see_other(mine.url)
        if not mine.may:
            raise PermissionDenied(mine.step.permission)
        if action == "undo":
            return _undo(request, mine, at)
        # What a finished step has made is what its undo needs: a page left open does not write over it.
        if mine.state == SetupStep.State.DONE:
            return _is_done_already(request, mine)
        if action == "do":
            return self._do(request, mine, standings, at)
        note(mine.step.key, SetupStep.State.SKIPPED, {}, by=request.user, at=at)
        return _onward(request)

    def _do(
        self, request: HttpRequest, mine: Standing, standings: list[Standing], at: datetime
    ) -> HttpResponse:
        form = mine.step.form(request)
        if form is not None and not form.is_valid():
            return self._step_page(request, mine, standings, form)
        with transaction.atomic():
            made = mine.step.act(request, form, at)
            note(mine.step.key, SetupStep.State.DONE, made, by=request.user, at=at)
        response = see_other(board_url()) if mine.step.key == LAST else _onward(request)
        if language := made.get("language"):
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, samesite="Lax", max_age=365 * 86400)
        return response


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied(PERMISSION)


def standing(user: User | AnonymousUser) -> list[Standing]:
    states = dict(SetupStep.objects.values_list("key", "state"))
    return [
        Standing(step, states.get(step.key, ""), user.has_perm(step.permission), number)
        for number, step in enumerate(steps(), start=1)
    ]


def _next(standings: list[Standing]) -> Standing | None:
    return next((one for one in standings if not one.state and one.may), None)


def _onward(request: HttpRequest) -> HttpResponse:
    """To the next step that this person can take, or to the overview."""
    coming = _next(standing(request.user))
    return see_other(coming.url if coming else reverse("admin:wizard"))


def _is_done_already(request: HttpRequest, mine: Standing) -> HttpResponse:
    messages.error(
        request,
        _("“%(step)s” is done already, so nothing was changed. To take it again, undo it first.")
        % {"step": mine.step.title},
    )
    return see_other(mine.url)


def _undo(request: HttpRequest, mine: Standing, at: datetime) -> HttpResponse:
    row = SetupStep.objects.filter(key=mine.step.key).first()
    if row is None:
        messages.info(request, _("There is nothing to undo."))
        return see_other(mine.url)
    text = ""
    with transaction.atomic():
        if row.state == SetupStep.State.DONE:
            text = mine.step.undo(request, row.made, at)
        forget(mine.step.key)
    messages.success(request, text or _("The step is to come again."))
    return see_other(mine.url)


def _title() -> str:
    company = the_house().company
    return _("Set up orderhub for %(company)s") % {"company": company} if company else _("Set up orderhub")


def minutes() -> int | None:
    """How long setting up took, or has taken so far."""
    house = the_house()
    if house.setup_began_at is None:
        return None
    until = house.setup_ended_at or now()
    return int((until - house.setup_began_at).total_seconds() // 60)


def board_url() -> str:
    try:
        return reverse("admin:board")
    except NoReverseMatch:
        return reverse("admin:index")
