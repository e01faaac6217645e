"""The page of people who let another system report: calls that work here, a verifier, a simulator, what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from integrations import tokens, verifying
from integrations.api import MAX_ITEMS
from integrations.models import ApiToken, Connection, InboundMessage
from integrations.refusal_codes import REFUSAL_CODES
from integrations.sandbox.post import Hub, Letter
from integrations.signatures import new_secret
from integrations.views import SECRET_NAME
from orders.access import ROLES
from orders.masters import Shop
from orders.stages import Role

SEE, MAKE = "integrations.view_apitoken", "integrations.add_apitoken"
TEST_SHOP = "api-test"
N_LOGGED = 20
# Placed so long ago that the order is late as soon as it is read: the first call shows a red order.
PLACED_BEFORE = timedelta(days=3)

EVENTS = [
    ("order.created", gettext_lazy("A new order")),
    ("payment.received", gettext_lazy("Its payment")),
    ("date.confirmed", gettext_lazy("Its date is confirmed")),
    ("parcel.handed_over", gettext_lazy("It has left under a waybill")),
    ("parcel.delivered", gettext_lazy("It has arrived")),
]
CHANGES = [
    ("1", gettext_lazy("Report orders and facts, read orders, push signed webhooks.")),
    ("1", gettext_lazy("Within a version, fields and codes are only ever added.")),
]


class VerifyForm(forms.Form):
    """Something somebody signed. The secret is looked at and forgotten."""

    secret = forms.CharField(
        label=gettext_lazy("Secret"),
        max_length=200,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("It is not kept, not logged, and not shown again."),
    )
    headers = forms.CharField(
        label=gettext_lazy("The three headers, one a line"),
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    body = forms.CharField(
        label=gettext_lazy("The body, as it was sent"),
        required=False,
        strip=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API to copy."""

    title: str
    method: str
    path: str
    body: dict[str, Any] | None = None

    def shell(self, hub: str, token: str) -> str:
        """The call as a shell command."""
        lines = [f"curl -X {self.method} '{hub}{self.path}'", f'-H "Authorization: Token {token}"']
        if self.body is not None:
            lines.append("-H 'Content-Type: application/json'")
            lines.append(f"-d '{json.dumps(self.body)}'")
        return " \\\n  ".join(lines)


def calls(at: datetime) -> list[Call]:
    """Report an order, report its payment, read it. The same order all day, so that calling again is harmless."""
    placed = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - PLACED_BEFORE
    number = f"HELLO-{at:%m%d}"
    order = {
        "shop": TEST_SHOP, "external_id": number, "placed_at": placed.isoformat(), "lines": [{"sku": "BRK-001", "qty": "2"}],
    }  # fmt: skip
    paid = {
        "key": f"paid-{number}",
        "kind": "payment.received",
        "occurred_at": (placed + timedelta(minutes=5)).isoformat(),
        "order": {"shop": TEST_SHOP, "external_id": number},
    }
    return [
        Call(_("Report an order"), "POST", "/api/v1/orders/", {"items": [order]}),
        Call(_("Report that it is paid"), "POST", "/api/v1/facts/", {"items": [paid]}),
        Call(_("Read what became of it"), "GET", f"/api/v1/orders/?shop={TEST_SHOP}&limit=5"),
    ]


RECIPE = """\
HUB={hub}
CONNECTION={slug}
SECRET={secret}
BODY='{{"type":"payment.received","timestamp":"{moment}","data":{{"order":{{"shop":"{shop}","external_id":"{number}"}}}}}}'
ID=push-{number}; TS=$(date +%s)
KEY=$(printf %s "${{SECRET#whsec_}}" | base64 -d | od -An -v -tx1 | tr -d ' \\n')
SIG=$(printf %s "$ID.$TS.$BODY" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64)
curl "$HUB/hooks/$CONNECTION/" -H 'Content-Type: application/json' -H "webhook-id: $ID" \\
  -H "webhook-timestamp: $TS" -H "webhook-signature: v1,$SIG" -d "$BODY"
"""


def recipe(hub: str, slug: str, secret: str, at: datetime) -> str:
    """The signing recipe as a shell script for this very connection."""
    moment = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - PLACED_BEFORE
    return RECIPE.format(
        hub=hub,
        slug=slug,
        secret=secret,
        moment=moment.isoformat(),
        shop=TEST_SHOP,
        number=f"HELLO-{at:%m%d}",
    )


def slug_of(user: Any) -> str:
    return f"{TEST_SHOP}-{user.pk}"


def find_connection(user: Any) -> Connection | None:
    """This person's test connection, if it was made already."""
    return Connection.objects.filter(slug=slug_of(user)).first()


def make_connection(user: Any) -> Connection:
    """This person's test connection: a demo shop's, so that nothing sent over it counts as business."""
    shop, _made = Shop.objects.get_or_create(
        code=TEST_SHOP, defaults={"name": _("API test"), "is_demo": True}
    )
    connection, _made = Connection.objects.get_or_create(
        slug=slug_of(user),
        defaults={
            "label": _("API test of %(name)s") % {"name": user},
            "connector": "standard_webhooks",
            "role": Role.SHOP,
            "shop": shop,
            "is_demo": True,
        },
    )
    return connection


@sensitive_variables()
def make_keys(user: Any, at: datetime) -> tuple[str, str]:
    """A test token and a webhook secret, in clear for this one time. The token before stops working."""
    with transaction.atomic():
        connection = make_connection(user)
        for old in connection.tokens.filter(revoked_at=None):
            old.revoked_at = at
            old.save(update_fields=["revoked_at"])
        return tokens.make(connection, _("Test")[:60], may_read=True), renew_secret(connection)


@sensitive_variables()
def renew_secret(connection: Connection) -> str:
    """A new webhook secret of the test connection, in clear; the one before is worth nothing."""
    secret = new_secret()
    connection.seal({**connection.secrets(), SECRET_NAME: [secret]})
    connection.save(update_fields=["sealed_secrets"])
    return secret


def simulated(kind: str, connection: Connection, at: datetime) -> Letter:
    """A signed event as a shop would send it. Everything but a new order is about the newest order sent before."""
    if kind == "order.created":
        placed = at - PLACED_BEFORE
        number = f"SIM-{at:%m%d-%H%M%S}"
        data: dict[str, Any] = {
            "external_id": number, "placed_at": placed.isoformat(), "lines": [{"sku": "BRK-001", "qty": "2"}],
        }  # fmt: skip
        return Letter(connection.slug, number, kind, placed, data)
    number = _newest_order(connection)
    data = {"order": {"shop": TEST_SHOP, "external_id": number}}
    if kind.startswith("parcel."):
        data["parcel"] = f"TEST{number}"
    return Letter(connection.slug, f"{kind}-{number}-{at:%H%M%S}", kind, at, data)


def _newest_order(connection: Connection) -> str:
    """Number of the order that the simulator sent last. Raises LookupError if there is none."""
    sent = InboundMessage.objects.filter(connection=connection, form="webhook", remote_key__startswith="SIM-")
    number = sent.order_by("-id").values_list("remote_key", flat=True).first()
    if number is None:
        raise LookupError
    return number


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/api/"""
    return [path("api/", site.admin_view(_Page(site).answer), name="api")]


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @method_decorator([never_cache, sensitive_post_parameters()])
    def answer(self, request: HttpRequest) -> HttpResponse:
        """The page. By POST: make a token, judge a signature, send an event."""
        if not request.user.has_perm(SEE):
            raise PermissionDenied(SEE)
        if request.method != "POST":
            return self._page(request)
        action = request.POST.get("action")
        if action == "verify":
            return self._verify(request)
        if action not in {"token", "simulate"}:
            messages.error(
                request, _("Nothing was done: the form named no action. Use the buttons on this page.")
            )
            return _back()
        if not request.user.has_perm(MAKE):
            raise PermissionDenied(MAKE)
        return self._token(request) if action == "token" else self._simulate(request)

    @sensitive_variables()
    def _page(
        self,
        request: HttpRequest,
        *,
        token: str = "",
        secret: str = "",
        form: VerifyForm | None = None,
        verdict: verifying.Verdict | None = None,
    ) -> HttpResponse:
        at = now()
        hub = request.build_absolute_uri("/").rstrip("/")
        connection = find_connection(request.user)
        context = {
            **self.site.each_context(request),
            "title": _("API and webhooks"),
            "token": token,
            "secret": secret,
            "calls": [(call, call.shell(hub, token or "$TOKEN")) for call in calls(at)],
            "recipe": recipe(hub, slug_of(request.user), secret or "$SECRET", at),
            "may_make": request.user.has_perm(MAKE),
            "make_label": _("Add: %(records)s") % {"records": ApiToken._meta.verbose_name_plural},
            "make_roles": [row.label for row in ROLES.values() if MAKE in row.may],
            "form": form or VerifyForm(),
            "verdict": verdict,
            "events": EVENTS,
            "connection": connection,
            "mine": _token_of(connection),
            "log": _log(connection),
            "refusals": REFUSAL_CODES.values(),
            "limits": limits(),
            "changes": CHANGES,
        }
        return TemplateResponse(request, "integrations/developer.html", context)

    @sensitive_variables()
    def _token(self, request: HttpRequest) -> HttpResponse:
        # Shown in this answer and never again: a redirect would have to keep it somewhere.
        token, secret = make_keys(request.user, now())
        return self._page(request, token=token, secret=secret)

    @sensitive_variables()
    def _verify(self, request: HttpRequest) -> HttpResponse:
        form = VerifyForm(request.POST)
        verdict = None
        if form.is_valid():
            said = form.cleaned_data
            verdict = verifying.verify(
                said["secret"].strip(), said["headers"], said["body"], now(), settings.WEBHOOK_TOLERANCE
            )
        return self._page(request, form=form, verdict=verdict)

    @sensitive_variables()
    def _simulate(self, request: HttpRequest) -> HttpResponse:
        kind = request.POST.get("kind", "")
        if kind not in dict(EVENTS):
            messages.error(request, _("Choose what shall happen."))
            return _back()
        connection = make_connection(request.user)
        kept = connection.secrets().get(SECRET_NAME, [])
        self._send(request, kind, connection, kept[0] if kept else renew_secret(connection))
        return _back()

    @sensitive_variables()
    def _send(self, request: HttpRequest, kind: str, connection: Connection, secret: str) -> None:
        at = now()
        try:
            letter = simulated(kind, connection, at)
        except LookupError:
            messages.error(request, _("There is no simulated order yet. Send a new order first."))
            return
        hub = Hub(request.build_absolute_uri("/"), "")
        answer = hub.push(letter, secret, at)
        hub.close()
        shown = {"kind": kind, "status": answer.status, "answer": answer.text[:300]}
        if answer.is_taken:
            messages.success(request, _("%(kind)s was sent and taken: %(status)s %(answer)s") % shown)
        elif answer.status:
            messages.error(request, _("%(kind)s was sent and refused: %(status)s %(answer)s") % shown)
        else:
            text = _("This server does not reach its own address %(hub)s: %(answer)s. Nothing was sent.")
            messages.error(request, text % {**shown, "hub": request.build_absolute_uri("/")})


def _back() -> HttpResponseRedirect:
    response = HttpResponseRedirect(reverse("admin:api"))
    response.status_code = 303
    return response


def _token_of(connection: Connection | None) -> ApiToken | None:
    if connection is None:
        return None
    return connection.tokens.filter(revoked_at=None).order_by("-id").first()


def _log(connection: Connection | None) -> list[InboundMessage]:
    """What came last over this person's test connection. Whatever was refused as a whole has left nothing."""
    if connection is None:
        return []
    rows = InboundMessage.objects.filter(connection=connection).defer("body").order_by("-id")
    return list(rows[:N_LOGGED])


def limits() -> list[tuple[Any, str]]:
    """What one sender may do, as this installation is set."""
    megabytes = settings.INBOUND_MAX_BYTES / 1024 / 1024
    return [
        (_("Requests a minute, for each token"), str(settings.API_REQUESTS_PER_MINUTE)),
        (_("Items in one request"), str(MAX_ITEMS)),
        (_("Size of one request"), f"{megabytes:.0f} MB"),
        (_("How far webhook-timestamp may be off"), _minutes(settings.WEBHOOK_TOLERANCE)),
        (_("How long an Idempotency-Key is remembered"), _days(settings.IDEMPOTENCY_KEPT_FOR)),
        (_("How long bodies are kept"), _days(settings.BODY_KEPT_FOR)),
    ]


def _minutes(span: timedelta) -> str:
    return _("%(n)s minutes") % {"n": int(span.total_seconds() // 60)}


def _days(span: timedelta) -> str:
    return _("%(n)s days") % {"n": span.days}
