"""Field mappings in the admin: edit, try on samples without writing, see and put back versions, read orders anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.text import format_lazy
from django.utils.timezone import now
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextareaWidget

from integrations import admin_editor, ingest, mapping
from integrations.canonical import HUB_FIELDS
from integrations.files import FileRefused, samples_from
from integrations.mapping import BadDefinition, rereading, versions
from integrations.mapping.starters import STARTERS
from integrations.models import Connection, FieldMapping, FieldMappingVersion, InboundMessage, UnmappedValue
from orders import audit
from orders.people import visible
from orders.scoped_admin import ScopedAdmin
from orders.stages import FACT_KINDS

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MADE_BY_HUB = ("order.placed", "order.changed", "status.unknown", "fact.retracted")


class DefinitionField(forms.JSONField):
    """The definition as text that people can read and change; errors say the line, then the place in the definition."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 30, "spellcheck": "false", "class": "font-mono"})

    def prepare_value(self, value: Any) -> Any:
        is_text = isinstance(value, (str, forms.fields.InvalidJSONInput))
        return value if is_text else json.dumps(value, ensure_ascii=False, indent=2)

    def to_python(self, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) and value.strip() else value
        except (ValueError, RecursionError) as error:
            raise ValidationError(gettext("This is not JSON: %(why)s") % {"why": error}) from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True

    def validate(self, value: Any) -> None:
        super().validate(value)
        problems = mapping.check(value)
        if problems:
            raise ValidationError([f"{problem.field}: {problem.error}" for problem in problems])


class MappingForm(forms.ModelForm):  # type: ignore[type-arg]
    definition = DefinitionField(label=_("Definition"), help_text=_("See docs/field-mapping.md."))

    class Meta:
        model = FieldMapping
        fields = ("name", "definition")


class TrialForm(forms.Form):
    definition = DefinitionField(label=_("Definition"))
    samples = forms.CharField(
        label=_("Samples"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false", "class": "font-mono"}),
        help_text=_("Paste JSON, JSON lines, or a table with a header. At most 20 are tried."),
    )


class MapValueForm(forms.Form):
    """What an unknown value means: kinds of fact for a status, the hub's value for a field."""

    kinds = forms.MultipleChoiceField(
        label=_("It means that this has happened"),
        required=False,
        # With the code: "waybill made" is said of a step and of a parcel.
        choices=[
            (code, format_lazy("{label} · {code}", label=kind.label, code=code))
            for code, kind in FACT_KINDS.items()
            if code not in MADE_BY_HUB
        ],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None = the value is known and says nothing."),
    )
    meaning = forms.CharField(label=_("Value in orderhub"), required=False, max_length=300)


def person(request: HttpRequest) -> User:
    """Who is logged in: admin pages let nobody else in."""
    return cast("User", request.user)


@admin.register(FieldMapping)
class FieldMappingAdmin(ScopedAdmin):
    """Every saved change is a version; orders are read anew only when somebody asks for it."""

    scope_path = None
    may_add = may_change = True
    form = MappingForm
    list_display = ("name", "version", "used_by", "edit_it", "try_it")
    search_fields = ("name",)
    fields = ("name", "definition")
    change_form_template = "integrations/mapping_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            *admin_editor.urls(self),
            path("<int:pk>/trial/", wrap(self.trial), name="integrations_fieldmapping_trial"),
            path("<int:pk>/revert/<int:number>/", wrap(self.revert), name="integrations_fieldmapping_revert"),
            path("<int:pk>/reread/", wrap(self.reread), name="integrations_fieldmapping_reread"),
            path("<int:pk>/replay/", wrap(self.replay), name="integrations_fieldmapping_replay"),
            *super().get_urls(),
        ]

    @admin.display(description=_("Used by"))
    def used_by(self, row: FieldMapping) -> str:
        return ", ".join(Connection.objects.filter(mapping=row).values_list("label", flat=True)) or "-"

    @admin.display(description=_("Table"))
    def edit_it(self, row: FieldMapping) -> str:
        address = reverse("admin:integrations_fieldmapping_editor", args=[row.pk])
        return format_html('<a href="{}">{}</a>', address, gettext("Open the table"))

    @admin.display(description=_("Trial run"))
    def try_it(self, row: FieldMapping) -> str:
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:integrations_fieldmapping_trial", args=[row.pk]),
            gettext("Try it"),
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        name = request.GET.get("starter", "table-zh")
        return {"name": "", "definition": STARTERS.get(name, STARTERS["table-zh"])[1]}

    def save_model(self, request: HttpRequest, obj: FieldMapping, form: Any, change: bool) -> None:  # noqa: FBT001
        if versions.save(obj, by=person(request), at=now()) and change:
            self._tell_affected(request, obj)

    def _tell_affected(self, request: HttpRequest, row: FieldMapping) -> None:
        n_open = rereading.affected(row).n_open
        if n_open:
            text = ngettext(
                "%(count)d open order was read with an older version. It stays as it is until you read it anew below.",
                "%(count)d open orders were read with an older version. They stay as they are until you read them anew below.",
                n_open,
            )
            self.message_user(request, text % {"count": n_open}, messages.WARNING)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None:
            context |= {
                "versions": row.versions.select_related("saved_by")[:50],
                "affected": rereading.affected(row),
                "counted": rereading.COUNTED,
            }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def _row(self, request: HttpRequest, pk: int, *, change: bool) -> FieldMapping:
        """The mapping. Raises Http404, then PermissionDenied."""
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None or not self.has_view_permission(request, row):
            raise Http404(gettext("There is no such record, or it is outside your area."))
        if change and not self.has_change_permission(request, row):
            raise PermissionDenied("integrations.change_fieldmapping")
        found: FieldMapping = row
        return found

    def trial(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what samples would become. Only the button "save" writes, and only the definition."""
        row = self._row(request, pk, change=False)
        form = TrialForm(request.POST or None, initial={"definition": row.definition})
        context: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            definition = form.cleaned_data["definition"]
            if "save" in request.POST:
                row = self._row(request, pk, change=True)
                row.definition = definition
                versions.save(row, by=person(request), at=now())
                self.message_user(
                    request,
                    gettext("Saved as version %(number)d.") % {"number": row.version},
                    messages.SUCCESS,
                )
                return redirect("admin:integrations_fieldmapping_change", pk)
            context = self._tried(request, row, definition, form.cleaned_data["samples"])
        context |= {
            **self.admin_site.each_context(request),
            "title": gettext("Trial run: %(name)s") % {"name": row},
            "opts": self.opts,
            "original": row,
            "form": form,
            "hub_fields": HUB_FIELDS.values(),
            "may_read_bodies": request.user.has_perm("integrations.read_body"),
            "may_save": self.has_change_permission(request, row),
        }
        return TemplateResponse(request, "integrations/mapping_trial.html", context)

    def _tried(
        self, request: HttpRequest, row: FieldMapping, definition: dict[str, Any], text: str
    ) -> dict[str, Any]:
        try:
            samples: Sequence[Any] = (
                self._last_messages(request, row)
                if "last" in request.POST
                else samples_from(text, definition, mapping.TRIAL_LIMIT)
            )
            results = mapping.trial(definition, samples, shop="")
        except (FileRefused, BadDefinition) as error:
            return {"error": str(error)}
        paths = mapping.paths_of(list(samples[:1]))
        return {
            "results": results,
            "n_passed": sum(result.verdict == "passed" for result in results),
            "n_failed": sum(result.verdict == "failed" for result in results),
            "paths": [(one.path.removeprefix("[]."), one.sample) for one in paths],
            "suggestions": mapping.suggest(one.path for one in paths),
        }

    def _last_messages(self, request: HttpRequest, row: FieldMapping) -> list[Any]:
        """The newest messages of the connections that use the mapping; each look at them is recorded."""
        if not request.user.has_perm("integrations.read_body"):
            raise PermissionDenied("integrations.read_body")
        connections = visible(Connection.objects.filter(mapping=row), request.user, path="=")
        newest = InboundMessage.objects.filter(connection__in=connections, form="row").exclude(body="")
        found = list(newest.order_by("-id")[: mapping.TRIAL_LIMIT])
        with audit.acting(actor=request.user, way="admin"):
            audit.record("mapping.trial", row, after={"messages": [message.pk for message in found]})
        return [json.loads(message.body) for message in found]

    @method_decorator(require_POST)
    def revert(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        row = self._row(request, pk, change=True)
        try:
            versions.revert(row, number, by=person(request), at=now())
        except FieldMappingVersion.DoesNotExist:
            raise Http404(gettext("There is no such version.")) from None
        except BadDefinition as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            text = gettext("Version %(old)d is in force again, as version %(new)d.")
            self.message_user(request, text % {"old": number, "new": row.version}, messages.SUCCESS)
            self._tell_affected(request, row)
        return redirect("admin:integrations_fieldmapping_change", pk)

    @method_decorator(require_POST)
    def reread(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Read the next open orders anew; the page offers to go on while there are more."""
        row = self._row(request, pk, change=True)
        after = request.POST.get("after", "0")
        done = rereading.reread(
            row, at=now(), after_id=int(after) if after.isascii() and after.isdigit() else 0
        )
        audit.record("mapping.reread", row, after={"orders": done.n_orders, "changed": done.n_changed})
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Orders read anew: %(name)s") % {"name": row},
            "opts": self.opts,
            "original": row,
            "done": done,
        }
        return TemplateResponse(request, "integrations/mapping_reread.html", context)

    @method_decorator(require_POST)
    def replay(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._row(request, pk, change=False)
        if not request.user.has_perm("integrations.replay_message"):
            raise PermissionDenied("integrations.replay_message")
        failed = visible(rereading.failed_messages(row), request.user, path="=connection")
        count = ingest.replay(list(failed.values_list("pk", flat=True)[: rereading.COUNTED]))
        audit.record("mapping.replay", row, after={"messages": count})
        text = ngettext("%(count)d message is tried again.", "%(count)d messages are tried again.", count)
        self.message_user(request, text % {"count": count}, messages.SUCCESS)
        return redirect("admin:integrations_fieldmapping_change", pk)


@admin.register(UnmappedValue)
class UnmappedValueAdmin(ScopedAdmin):
    """Outside values that no mapping knows, with the way to say what they mean."""

    scope_path = "=connection"
    list_display = (
        "field",
        "value",
        "connection",
        "n_seen",
        "first_seen_at",
        "last_seen_at",
        "mapped_at",
        "map_it",
    )
    list_filter = (("mapped_at", admin.EmptyFieldListFilter),)
    fields = ("connection", "field", "value", "n_seen", "first_seen_at", "last_seen_at", "mapped_at")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.map_value)
        return [path("<int:pk>/map/", view, name="integrations_unmappedvalue_map"), *super().get_urls()]

    @admin.display(description=_("Map it"))
    def map_it(self, row: UnmappedValue) -> str:
        address = reverse("admin:integrations_unmappedvalue_map", args=[row.pk])
        return format_html('<a href="{}">{}</a>', address, gettext("Say what it means"))

    def map_value(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add the value to the connection's mapping, as a new version, and read the open orders that carry it anew."""
        row = self.get_queryset(request).select_related("connection__mapping").filter(pk=pk).first()
        if row is None or not self.has_view_permission(request, row):
            raise Http404(gettext("There is no such record, or it is outside your area."))
        if not request.user.has_perm("integrations.change_fieldmapping"):
            raise PermissionDenied("integrations.change_fieldmapping")
        form = MapValueForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            error = self._map(request, row, form)
            if not error:
                return redirect("admin:integrations_unmappedvalue_changelist")
            form.add_error(None, error)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What does “%(value)s” mean?") % {"value": row.value},
            "opts": self.opts,
            "original": row,
            "form": form,
            "is_status": rereading.is_status(row.connection.mapping, row),
        }
        return TemplateResponse(request, "integrations/unmapped_map.html", context)

    def _map(self, request: HttpRequest, row: UnmappedValue, form: MapValueForm) -> str:
        """What stands in the way; "" when done."""
        target = row.connection.mapping
        if target is None:
            return gettext("The connection has no field mapping; its values are fixed in the program.")
        meaning: Any = form.cleaned_data["meaning"]
        if rereading.is_status(target, row):
            meaning = form.cleaned_data["kinds"]
        try:
            rereading.add_value(target, row, meaning)
            versions.save(target, by=person(request), at=now())
        except (BadDefinition, LookupError) as error:
            return str(error)
        done = rereading.reread_value(row, at=now())
        text = gettext("The mapping has a new version; %(count)d open orders were read anew.")
        self.message_user(request, text % {"count": done.n_orders}, messages.SUCCESS)
        return ""
