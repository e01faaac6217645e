"""The connections at /admin/connections/: how each is doing, pausing, and connecting a new one on one page."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Min, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django_stubs_ext import StrOrPromise

from integrations import tokens
from integrations.models import Connection, ImportRun, InboundMessage, UnmappedValue
from integrations.signatures import new_secret
from integrations.views import SECRET_NAME
from orders import audit
from orders.by_hour import Hour, hours_of, key_of
from orders.masters import Shop
from orders.people import visible
from orders.stages import Role
from orders.states import forced

# From here on a source that pushes is shown as silent: grey, never green.
SILENT_AFTER = timedelta(hours=1)
LATE_AFTER = timedelta(minutes=2)
# So many messages are looked at for each number, those of all connections together.
COUNTED = 20_000
NONE: tuple[int, datetime | None] = (0, None)
State = InboundMessage.State
SLUG = re.compile(r"(?:webhook|api|files)-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in that can be connected here."""

    key: str
    connector: str
    title: StrOrPromise
    text: StrOrPromise
    icon: str
    permissions: tuple[str, ...]


KINDS: dict[str, Kind] = {
    row.key: row
    for row in (
        Kind(
            "webhook",
            "standard_webhooks",
            gettext_lazy("Signed webhook"),
            gettext_lazy(
                "Your own shop, or any system that can post JSON, reports each event as it happens."
            ),
            "live",
            ("integrations.add_connection", "integrations.set_secret"),
        ),
        Kind(
            "api",
            "api",
            gettext_lazy("API with a token"),
            gettext_lazy("A program of yours sends orders and facts, many at once, and may read orders."),
            "link",
            ("integrations.add_connection", "integrations.add_apitoken"),
        ),
        Kind(
            "files",
            "rows",
            gettext_lazy("CSV and Excel files"),
            gettext_lazy("Somebody exports a table and uploads it here; a look at what it does comes first."),
            "upload",
            ("integrations.add_connection",),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Health:
    """How one connection is doing. meaning: of its chip. at_least: the numbers that may be more, by name."""

    connection: Connection
    meaning: str
    word: str
    n_today: int = 0
    n_failed: int = 0
    n_waiting: int = 0
    n_unmapped: int = 0
    oldest_at: datetime | None = None
    lag: timedelta | None = None
    at_least: frozenset[str] = frozenset()
    # Messages of the last 24 hours that failed, hour by hour.
    failures: Sequence[tuple[datetime, int]] = ()

    @property
    def n_failures(self) -> int:
        return sum(n for _hour, n in self.failures)

    @property
    def bars(self) -> list[tuple[int, int, int]]:
        """(left, top, height) of each hour's bar in a drawing of 120 by 24."""
        most = max((n for _hour, n in self.failures), default=0) or 1
        heights = [-(-n * 24 // most) for _hour, n in self.failures]
        return [(place * 5, 24 - height, height) for place, height in enumerate(heights)]

    @property
    def is_failing(self) -> bool:
        return self.meaning == "danger"


class ConnectForm(forms.Form):
    """What a new connection must be told."""

    label = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    role = forms.ChoiceField(label=gettext_lazy("It is a"), choices=Role.choices, initial=Role.SHOP)
    shop = forms.ModelChoiceField(
        Shop.objects.none(),
        label=gettext_lazy("Shop"),
        required=False,
        help_text=gettext_lazy("Whose orders it reports. A warehouse or carrier needs none."),
    )
    may_read = forms.BooleanField(label=gettext_lazy("It may also read orders"), required=False)
    slug = forms.RegexField(SLUG, widget=forms.HiddenInput)

    def __init__(self, *args: Any, kind: Kind, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["shop"].queryset = visible(Shop.objects.order_by("name"), user)  # type: ignore[attr-defined]
        if kind.key != "api":
            del self.fields["may_read"]
        if kind.key == "files":
            del self.fields["role"]
            self.fields["shop"].required = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("role", Role.SHOP) == Role.SHOP and not cleaned.get("shop"):
            self.add_error("shop", _("Choose the shop whose orders come over this connection."))
        return cleaned


def urls(site: AdminSite) -> list[URLPattern]:
    def page(address: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        def answer(request: HttpRequest, **given: Any) -> HttpResponse:
            return view(request, site, **given)

        return path(f"connections/{address}", site.admin_view(answer), name=name)

    return [
        page("", gallery, "connections"),
        page("new/<slug:kind>/", connect, "connect"),
        page("<int:pk>/", detail, "connection"),
        page("<int:pk>/state/", state, "connection_state"),
        page("<int:pk>/switch/", switch, "connection_switch"),
        page("<int:pk>/secret/", renew, "connection_secret"),
    ]


# Who may.


def _demand(request: HttpRequest, *permissions: str) -> None:
    """Raises PermissionDenied with the first permission that is missing: the page of refusals says who has it."""
    for name in permissions:
        if not request.user.has_perm(name):
            raise PermissionDenied(name)


def _mine(request: HttpRequest) -> Any:
    rows = Connection.objects.select_related("shop", "mapping").order_by("label")
    return visible(rows, request.user, path="=")


def _one(request: HttpRequest, pk: int) -> Connection:
    """The connection. Raises PermissionDenied, Http404."""
    _demand(request, "integrations.view_connection")
    found: Connection | None = _mine(request).filter(pk=pk).first()
    if found is None:
        raise Http404(_("There is no such record, or it is outside your area."))
    return found


# How they are doing.


def health(connections: Sequence[Connection], at: datetime, most: int = COUNTED) -> list[Health]:
    """How these connections are doing, in five questions however many they are.

    most: messages looked at for each number: the newest of today, the newest that failed, the oldest that wait.
    """
    midnight = localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)
    messages = InboundMessage.objects.all()
    today = _counted(messages.filter(received_at__gte=midnight).order_by("-received_at")[:most])
    failed = _counted(messages.filter(state=State.FAILED).order_by("-id")[:most])
    waiting = _counted(messages.filter(state=State.WAITING).order_by("id")[:most])
    by_hour = _failures(messages, at, most)
    unmapped = UnmappedValue.objects.filter(mapped_at=None).values_list("connection")
    tallies = {"today": today, "failed": failed, "waiting": waiting}
    at_least = frozenset(
        name for name, tally in tallies.items() if sum(n for n, _first in tally.values()) >= most
    )
    n_unmapped = dict(unmapped.annotate(n=Count("pk")).order_by())
    found = []
    for one in connections:
        (n_today, _first), (n_failed, _first) = today.get(one.pk, NONE), failed.get(one.pk, NONE)
        n_waiting, oldest = waiting.get(one.pk, NONE)
        lag = at - oldest if oldest else None
        meaning, word = _standing(one, at, lag)
        numbers = (n_today, n_failed, n_waiting, n_unmapped.get(one.pk, 0))
        found.append(Health(one, meaning, word, *numbers, oldest, lag, at_least, by_hour(one.pk)))
    return found


def _failures(
    messages: QuerySet[InboundMessage], at: datetime, most: int
) -> Callable[[int], list[tuple[datetime, int]]]:
    """The last 24 hours of a connection, and how many messages of each have failed."""
    hours = hours_of(at)
    newest = messages.filter(state=State.FAILED).order_by("-id").values("pk")[:most]
    rows = messages.filter(pk__in=newest, received_at__gte=hours[0]).order_by()
    counted = rows.values_list("connection", Hour("received_at")).annotate(n=Count("pk"))
    found = {(pk, hour): n for pk, hour, n in counted}
    return lambda pk: [(hour, found.get((pk, key_of(hour)), 0)) for hour in hours]


def _counted(chosen: QuerySet[InboundMessage]) -> dict[int, tuple[int, datetime | None]]:
    """By connection: how many of the chosen messages are its, and when the first of them came."""
    rows = InboundMessage.objects.filter(pk__in=chosen.values("pk")).order_by().values_list("connection")
    return {pk: (n, oldest) for pk, n, oldest in rows.annotate(n=Count("pk"), oldest=Min("received_at"))}


def _standing(one: Connection, at: datetime, lag: timedelta | None) -> tuple[str, str]:
    """The chip: the worst thing that is so."""
    if not one.is_active:
        return "neutral", _("Paused")
    if one.failed_at and (one.heard_at is None or one.failed_at > one.heard_at):
        return "danger", _("Failing")
    if lag is not None and lag > LATE_AFTER:
        return "warn", _("Falling behind")
    if one.heard_at is None:
        return "stale", _("Nothing heard yet")
    if one.connector == "rows":
        return "neutral", _("Waits for files")
    if at - one.heard_at > SILENT_AFTER:
        return "stale", _("Silent")
    return "ok", _("Works")


# The pages.


def gallery(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What is connected and how it is doing; below, what can be connected."""
    _demand(request, "integrations.view_connection")
    rows = [] if forced(request) in ("empty_first", "loading") else list(_mine(request)[:200])
    judged = sorted(health(rows, now()), key=lambda one: ORDER.index(one.meaning))
    context = {
        **site.each_context(request),
        "title": _("Connections"),
        "judged": judged,
        "kinds": [(kind, all(map(request.user.has_perm, kind.permissions))) for kind in KINDS.values()],
        "may_change": request.user.has_perm("integrations.change_connection"),
        "forced": forced(request),
        "now": now(),
    }
    return TemplateResponse(request, "integrations/gallery.html", context)


# What needs somebody stands first.
ORDER = ("danger", "warn", "stale", "ok", "neutral")


@never_cache
def connect(request: HttpRequest, site: AdminSite, kind: str) -> HttpResponse:
    """One page to connect a system; by POST it is made, and its secret shown this once."""
    _demand(request, "integrations.add_connection")
    chosen = KINDS.get(kind)
    if chosen is None:
        raise Http404(_("There is no such way in."))
    _demand(request, *chosen.permissions)
    new_slug = f"{chosen.key}-{secrets.token_hex(4)}"
    form = ConnectForm(request.POST or None, kind=chosen, user=request.user, initial={"slug": new_slug})
    if request.method == "POST" and form.is_valid():
        there = _mine(request).filter(slug=form.cleaned_data["slug"]).first()
        if there is not None:
            messages.warning(request, _("This connection was made before. Its secret is shown only once."))
            return HttpResponseRedirect(reverse("admin:connection", args=[there.pk]))
        return _connected(request, site, chosen, form.cleaned_data)
    context = {
        **site.each_context(request),
        "title": _("Connect: %(kind)s") % {"kind": chosen.title},
        "kind": chosen,
        "form": form,
        "has_shops": form.fields["shop"].queryset.exists(),  # type: ignore[attr-defined]
    }
    return TemplateResponse(request, "integrations/connect.html", context)


def _connected(request: HttpRequest, site: AdminSite, kind: Kind, given: dict[str, Any]) -> HttpResponse:
    connection = Connection(
        slug=given["slug"],
        label=given["label"],
        connector=kind.connector,
        role=given.get("role", Role.SHOP),
        shop=given.get("shop"),
        is_demo=settings.DEMO,
    )
    clear = ""
    with transaction.atomic():
        if kind.key == "webhook":
            clear = new_secret()
            connection.seal({SECRET_NAME: [clear]})
        connection.save()
        if kind.key == "api":
            clear = tokens.make(connection, given["label"][:60], may_read=given.get("may_read", False))
    if kind.key == "files":
        messages.success(
            request, _("“%(name)s” is connected. Now upload its first file.") % {"name": connection}
        )
        return HttpResponseRedirect(
            f"{reverse('admin:integrations_importrun_add')}?connection={connection.pk}"
        )
    return _detail_page(request, site, connection, clear=clear)


def detail(request: HttpRequest, site: AdminSite, pk: int) -> HttpResponse:
    """One connection: its health, what went wrong last in both sides' words, how to reach it."""
    return _detail_page(request, site, _one(request, pk))


def _detail_page(
    request: HttpRequest, site: AdminSite, connection: Connection, *, clear: str = ""
) -> HttpResponse:
    one = health([connection], now())[0]
    may_see_messages = request.user.has_perm("integrations.view_inboundmessage")
    context = {
        **site.each_context(request),
        "title": connection.label,
        "one": one,
        "connection": connection,
        "clear": clear,
        "address": request.build_absolute_uri(f"/hooks/{connection.slug}/"),
        "api_address": request.build_absolute_uri("/api/v1/orders/"),
        "last_failed": _last(connection, failed=True) if may_see_messages else None,
        "waits": one.n_today == 0 and connection.heard_at is None and connection.connector != "rows",
        "last_run": ImportRun.objects.filter(connection=connection).first(),
        "may_change": request.user.has_perm("integrations.change_connection"),
        "may_set_secret": request.user.has_perm("integrations.set_secret"),
    }
    return TemplateResponse(request, "integrations/connection.html", context)


def _last(connection: Connection, *, failed: bool = False) -> InboundMessage | None:
    rows = InboundMessage.objects.filter(connection=connection)
    rows = rows.filter(state=State.FAILED) if failed else rows
    return rows.defer("body").order_by("-id").first()


def state(request: HttpRequest, site: AdminSite, pk: int) -> HttpResponse:
    """Whether the first event has come, as JSON: what a page that waits for it asks."""
    connection = _one(request, pk)
    last = _last(connection)
    context = {
        "one": health([connection], now())[0],
        "connection": connection,
        "last": last,
        "problems": last.errors if last else [],
    }
    html = render_to_string("integrations/connection_wait.html", context, request)
    return JsonResponse({"has_come": last is not None and last.state != State.WAITING, "html": html})


def switch(request: HttpRequest, site: AdminSite, pk: int) -> HttpResponse:
    """Pause or resume. Paused, it takes nothing and its sender is told so."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    connection = _one(request, pk)
    _demand(request, "integrations.change_connection")
    is_active = request.POST.get("do") == "resume"
    if connection.is_active != is_active:
        connection.is_active = is_active
        connection.save(update_fields=["is_active"])
    text = (
        _("“%(name)s” takes messages again.")
        if is_active
        else _("“%(name)s” is paused: its messages are refused, and the sender is told so.")
    )
    messages.success(request, text % {"name": connection})
    return HttpResponseRedirect(_back(request, pk))


def _back(request: HttpRequest, pk: int) -> str:
    to_list = request.POST.get("from") == "list"
    return reverse("admin:connections") if to_list else reverse("admin:connection", args=[pk])


@never_cache
def renew(request: HttpRequest, site: AdminSite, pk: int) -> HttpResponse:
    """A new webhook secret, shown this once; the one before stays valid so that the sender can change over."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    connection = _one(request, pk)
    _demand(request, "integrations.change_connection", "integrations.set_secret")
    if connection.connector != KINDS["webhook"].connector:
        raise Http404(_("This connection has no webhook secret."))
    clear = new_secret()
    kept = connection.secrets()
    kept[SECRET_NAME] = [clear, *kept.get(SECRET_NAME, [])][:2]
    connection.seal(kept)
    with transaction.atomic():
        connection.save(update_fields=["sealed_secrets"])
        audit.record("connection.secret", connection)
    return _detail_page(request, site, connection, clear=clear)
