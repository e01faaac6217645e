"""The steps of setting up that the house itself brings, for settings.WIZARD_STEPS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from integrations.mapping import versions
from integrations.mapping.starters import STARTERS
from integrations.models import Connection, FieldMapping, ImportRun, InboundMessage
from orderhub import demo, template, wizard
from orderhub.models import the_house
from orders.desk import StaffPreference, preference_of
from orders.models import Order, Shop
from orders.people import visible
from orders.stages import Role
from orders.starting import SHOPS
from orders.wanted import uses_of

ZONES = (
    "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Taipei", "Asia/Tokyo", "Asia/Seoul", "Asia/Singapore", "Asia/Bangkok",
    "Asia/Jakarta", "Asia/Kolkata", "Asia/Dubai", "Europe/Istanbul", "Europe/Moscow", "Europe/Berlin",
    "Europe/Madrid", "Europe/London", "America/Sao_Paulo", "America/New_York", "America/Chicago",
    "America/Mexico_City", "America/Los_Angeles", "Australia/Sydney", "UTC",
)  # fmt: skip
FILE, PUSH, DEMO = "file", "push", "demo"
N_SHOWN = 3
# What connecting changes of the template's sample shop.
SAMPLE_FIELDS = ("name", "timezone", "is_demo")


class PlaceForm(forms.Form):
    company = forms.CharField(
        label=gettext_lazy("Company name"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("Shown on the pages of setting up. It can stay empty."),
    )
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    zone = forms.ChoiceField(label=gettext_lazy("Time zone"))

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [zone, *(name for name in ZONES if name != zone)]
        self.fields["zone"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]


class Place:
    """Whose house it is; the language and the clock of the person who sets it up."""

    key = "place"
    title = gettext_lazy("Language, time zone, company")
    text = gettext_lazy("Language and time zone are yours alone: everybody chooses their own.")
    button = gettext_lazy("Save and go on")
    permission = wizard.PERMISSION
    template = ""

    def form(self, request: HttpRequest) -> forms.Form:
        zone = preference_of(request.user).timezone or settings.TIME_ZONE
        initial = {"company": the_house().company, "language": get_language(), "zone": zone}
        return PlaceForm(request.POST if request.method == "POST" else None, initial=initial, zone=zone)

    def context(self, request: HttpRequest, made: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def act(self, request: HttpRequest, form: forms.Form | None, at: datetime) -> dict[str, Any]:
        said = form.cleaned_data if form is not None else {}
        before = {"company": the_house().company, "zone": preference_of(request.user).timezone}
        self._put(request, said["company"], str(ZoneInfo(said["zone"])))
        return {"language": said["language"], "before": before}

    def undo(self, request: HttpRequest, made: Mapping[str, Any], at: datetime) -> str:
        before = made.get("before", {})
        self._put(request, before.get("company", ""), before.get("zone", ""))
        return _("Company name and time zone are as before. The language is changed in the account menu.")

    def _put(self, request: HttpRequest, company: str, zone: str) -> None:
        house = the_house()
        house.company = company
        house.save()
        StaffPreference.objects.update_or_create(user=request.user, defaults={"timezone": zone})


class Template:
    """The one-click template."""

    key = "template"
    title = gettext_lazy("Install the template")
    text = gettext_lazy(
        "Stages and steps, roles, reasons, a working calendar, sample shops. What is there already stays as it is."
    )
    button = gettext_lazy("Install the template")
    permission = template.PERMISSION
    template = "hub/wizard_template.html"

    def form(self, request: HttpRequest) -> None:
        return None

    def context(self, request: HttpRequest, made: Mapping[str, Any]) -> dict[str, Any]:
        return {"sections": template.compare()}

    def act(self, request: HttpRequest, form: forms.Form | None, at: datetime) -> dict[str, Any]:
        return {"rows": len(template.install(by=request.user, at=at))}  # type: ignore[arg-type]

    def undo(self, request: HttpRequest, made: Mapping[str, Any], at: datetime) -> str:
        return template.say_undone(template.undo(at=at))


class SourceForm(forms.Form):
    kind = forms.ChoiceField(
        label=gettext_lazy("Where do orders come from?"),
        widget=forms.RadioSelect,
        choices=[
            (FILE, gettext_lazy("A file: CSV, Excel or JSON")),
            (PUSH, gettext_lazy("My system reports them: API or signed webhooks")),
            (DEMO, gettext_lazy("The simulator: an invented seller of auto parts")),
        ],
        initial=FILE,
    )
    shop = forms.CharField(label=gettext_lazy("Name of the shop"), max_length=100, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("kind") in {FILE, PUSH} and not cleaned.get("shop", "").strip():
            self.add_error("shop", _("Say what the shop is called; you can rename it at any time."))
        return cleaned


class Source:
    """Where orders come from: makes the shop and its connection."""

    key = "source"
    title = gettext_lazy("Connect a shop")
    text = gettext_lazy("Each way in is a connection. More of them can be added at any time.")
    button = gettext_lazy("Connect and go on")
    permission = "integrations.add_connection"
    template = "hub/wizard_source.html"

    def form(self, request: HttpRequest) -> forms.Form:
        initial = {"kind": FILE, "shop": _("My first shop")}
        return SourceForm(request.POST if request.method == "POST" else None, initial=initial)

    def context(self, request: HttpRequest, made: Mapping[str, Any]) -> dict[str, Any]:
        return {"connection": _connection(made)}

    def act(self, request: HttpRequest, form: forms.Form | None, at: datetime) -> dict[str, Any]:
        said = form.cleaned_data if form is not None else {}
        if said["kind"] == DEMO:
            if not demo.loaded_orders():
                demo.load(wizard.DEMO_ORDERS, seed=1, at=at)
            return {"kind": DEMO}
        shop, before = _shop(said["shop"].strip(), preference_of(request.user).timezone)
        connection = _connect(shop, said["kind"])
        _keep_starters(request, at)
        return {"kind": said["kind"], "connection": connection.pk, "shop": shop.pk, "shop_before": before}

    def undo(self, request: HttpRequest, made: Mapping[str, Any], at: datetime) -> str:
        if made.get("kind") == DEMO:
            n_orders = demo.wipe().get("order", 0)
            text = ngettext("%(n)s demo order was removed.", "%(n)s demo orders were removed.", n_orders)
            return text % {"n": n_orders}
        connection = _connection(made)
        if connection is None:
            return ""
        if uses_of(connection, {}):
            connection.is_active = False
            connection.save(update_fields=["is_active"])
            return _("Something has come over %(connection)s, so it stays, switched off.") % {
                "connection": connection.label
            }
        connection.delete()
        _give_back(made)
        return _("The connection is taken out again.")


def _shop(name: str, zone: str) -> tuple[Shop, dict[str, Any] | None]:
    """A shop of this name, and what it was before: the template's unused sample is renamed, else one is made."""
    sample = Shop.objects.filter(code=SHOPS[0]).first()
    if sample is not None and not uses_of(sample, {}):
        before = {field: getattr(sample, field) for field in SAMPLE_FIELDS}
        return _put(
            sample, {"name": name, "timezone": zone or sample.timezone, "is_demo": settings.DEMO}
        ), before
    taken = set(Shop.objects.filter(code__startswith="shop-").values_list("code", flat=True))
    code = next(code for number in range(1, 10_000) if (code := f"shop-{number}") not in taken)
    zone = zone or settings.TIME_ZONE
    return Shop.objects.create(code=code, name=name, timezone=zone, is_demo=settings.DEMO), None


def _put(shop: Shop, values: Mapping[str, Any]) -> Shop:
    for field in SAMPLE_FIELDS:
        setattr(shop, field, values[field])
    shop.save(update_fields=SAMPLE_FIELDS)
    return shop


def _connect(shop: Shop, kind: str) -> Connection:
    connector, slug = ("rows", f"{shop.code}-files") if kind == FILE else ("standard_webhooks", shop.code)
    number = 1
    while Connection.objects.filter(slug=slug).exists():
        number += 1
        slug = f"{slug.rsplit('--', 1)[0]}--{number}"
    return Connection.objects.create(
        slug=slug,
        label=_("%(shop)s: files") % {"shop": shop.name} if kind == FILE else shop.name,
        connector=connector,
        role=Role.SHOP,
        shop=shop,
        is_demo=settings.DEMO,
    )


def _keep_starters(request: HttpRequest, at: datetime) -> None:
    """Mappings for tables with usual column names, to fit files to; those that are there already stay as they are."""
    known = set(FieldMapping.objects.values_list("name", flat=True))
    for name, (_label, definition) in STARTERS.items():
        if name not in known:
            versions.named(name, definition, by=request.user, at=at)  # type: ignore[arg-type]


def _connection(made: Mapping[str, Any]) -> Connection | None:
    return Connection.objects.filter(pk=made.get("connection", 0)).select_related("shop", "mapping").first()


def _give_back(made: Mapping[str, Any]) -> None:
    """The shop as it was before this step, unless somebody uses it by now."""
    shop = Shop.objects.filter(pk=made.get("shop", 0)).first()
    if shop is None or uses_of(shop, {}):
        return
    if made.get("shop_before") is None:
        shop.delete()
    else:
        _put(shop, made["shop_before"])


class Confirmation:
    """Do the orders arrive, and are their fields understood?"""

    key = "mapping"
    title = gettext_lazy("Bring in orders and check the mapping")
    text = gettext_lazy("Which column is which field. Nothing is written before you have seen the preview.")
    button = gettext_lazy("The mapping is right")
    permission = "integrations.add_importrun"
    template = "hub/wizard_mapping.html"

    def form(self, request: HttpRequest) -> None:
        return None

    def context(self, request: HttpRequest, made: Mapping[str, Any]) -> dict[str, Any]:
        connection = _latest_connection(request)
        runs = ImportRun.objects.filter(connection=connection).order_by("-id")[:N_SHOWN] if connection else []
        waiting = InboundMessage.objects.filter(connection=connection) if connection else None
        return {
            "connection": connection,
            "runs": runs,
            "is_file": connection is not None and connection.connector == "rows",
            "n_messages": waiting[:1000].count() if waiting is not None else 0,
            "import_url": reverse("admin:integrations_importrun_add"),
        }

    def act(self, request: HttpRequest, form: forms.Form | None, at: datetime) -> dict[str, Any]:
        return {}

    def undo(self, request: HttpRequest, made: Mapping[str, Any], at: datetime) -> str:
        return _("The step is to come again. Orders that were brought in stay.")


def _latest_connection(request: HttpRequest) -> Connection | None:
    """The connection that the step before has made, or the newest one of a shop."""
    from orderhub.models import SetupStep

    made = SetupStep.objects.filter(key=Source.key).values_list("made", flat=True).first() or {}
    found = _connection(made)
    if found is not None:
        return found
    rows = Connection.objects.filter(connector="rows", is_active=True)
    newest: Connection | None = visible(rows, request.user, path="=").order_by("-pk").first()
    return newest


class Done:
    """The board, with a red order on it."""

    key = wizard.LAST
    title = gettext_lazy("See the board")
    text = gettext_lazy("Orders whose time is over are red, with the word beside the colour.")
    button = gettext_lazy("Finish and open the board")
    permission = "orders.view_order"
    template = "hub/wizard_done.html"

    def form(self, request: HttpRequest) -> None:
        return None

    def context(self, request: HttpRequest, made: Mapping[str, Any]) -> dict[str, Any]:
        at = now()
        return {
            "late": late_orders(request, at),
            "has_orders": Order.objects.visible_to(request.user).exists(),
            "board_url": wizard.board_url(),
            "n_demo": Order.objects.filter(is_demo=True).count(),
            "minutes": wizard.minutes(),
        }

    def act(self, request: HttpRequest, form: forms.Form | None, at: datetime) -> dict[str, Any]:
        return {}

    def undo(self, request: HttpRequest, made: Mapping[str, Any], at: datetime) -> str:
        return _("The checklist is open again.")


def late_orders(request: HttpRequest, at: datetime) -> list[Order]:
    """A few open orders whose promise or step is overdue, the person's own first of all: demo orders come last."""
    rows = Order.objects.visible_to(request.user).open().select_related("shop")
    overdue = rows.filter(Q(promised_at__lt=at) | Q(step_due_at__lt=at)).order_by("is_demo", "step_due_at")
    return list(overdue[:N_SHOWN])


place, install, source, mapping, done = Place(), Template(), Source(), Confirmation(), Done()
