"""Imports in the admin: upload, look at what would happen, confirm; progress, failed rows, cancel, try again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.timezone import now
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from integrations import files, ingest
from integrations.admin_mapping import person
from integrations.files import looking, progress
from integrations.files.runs import OPEN, upload_path
from integrations.mapping import BadDefinition, check
from integrations.models import Connection, FieldMapping, ImportRun, InboundMessage
from orders import audit
from orders.access import ROLES
from orders.people import visible
from orders.scoped_admin import ScopedAdmin

DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_RETRIED = 10_000
CONNECT = "integrations.add_connection"


class UploadForm(forms.Form):
    connection = forms.ModelChoiceField(Connection.objects.none(), label=_("Connection"))
    mapping = forms.ModelChoiceField(
        FieldMapping.objects.all(),
        label=_("Field mapping"),
        required=False,
        empty_label=_("The connection's own, else the one that fits best"),
    )
    file = forms.FileField(
        label=_("File"),
        required=False,
        help_text=_("CSV, Excel (.xlsx), JSON or JSON lines; text files also as .gz."),
    )
    # A file that was put down by the look before, so that it need not be uploaded twice.
    digest = forms.RegexField(DIGEST, required=False, widget=forms.HiddenInput)
    name = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections = Connection.objects.filter(is_active=True, connector="rows").select_related("shop")
        self.fields["connection"].queryset = visible(connections, user, path="=")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        digest = cleaned.get("digest")
        if not cleaned.get("file") and not (digest and upload_path(digest).exists()):
            self.add_error("file", gettext("Choose a file."))
        return cleaned


@admin.register(ImportRun)
class ImportRunAdmin(ScopedAdmin):
    """Files on their way in."""

    scope_path = "=connection"
    may_add = True
    list_display = (
        "file_name", "connection", "state", "n_rows", "n_orders", "n_duplicates", "n_errors", "started_at", "ended_at",
    )  # fmt: skip
    list_filter = ("state",)
    search_fields = ("file_name",)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/cancel/", wrap(self.cancel), name="integrations_importrun_cancel"),
            path("<int:pk>/retry/", wrap(self.retry), name="integrations_importrun_retry"),
            path("<int:pk>/progress/", wrap(self.progress), name="integrations_importrun_progress"),
            path("<int:pk>/errors.csv", wrap(self.errors), name="integrations_importrun_errors"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Upload, look, confirm. Until the confirmation nothing but the file itself is written."""
        if not self.has_add_permission(request):
            raise PermissionDenied("integrations.add_importrun")
        wanted = request.GET.get("connection", "")
        form = UploadForm(
            request.POST or None,
            request.FILES or None,
            user=request.user,
            initial={"connection": wanted} if wanted.isdigit() else None,
        )
        context: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            try:
                answer = self._act(request, form, context)
            except (files.FileRefused, BadDefinition) as error:
                form.add_error(None, str(error))
            else:
                if answer is not None:
                    return answer
        context |= {
            **self.admin_site.each_context(request),
            "title": gettext("Import a file"),
            "opts": self.opts,
            "form": form,
            "has_connections": form.fields["connection"].queryset.exists(),  # type: ignore[attr-defined]
            "may_connect": request.user.has_perm(CONNECT),
            "connect_label": gettext("Add: %(records)s") % {"records": Connection._meta.verbose_name_plural},
            "connect_roles": [row.label for row in ROLES.values() if CONNECT in row.may],
            "may_map": request.user.has_perm("integrations.add_fieldmapping"),
            "max_rows": looking.MAX_ROWS,
        }
        return TemplateResponse(request, "integrations/import_upload.html", context)

    def _act(
        self, request: HttpRequest, form: UploadForm, context: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Put the file down and choose the mapping; then start, or look. Raises FileRefused, BadDefinition."""
        digest, name = self._kept(form)
        context |= {"digest": digest, "file_name": name}
        connection: Connection = form.cleaned_data["connection"]
        columns = looking.columns_of(digest, name)
        best = looking.best_fit(_usable_mappings(), columns)
        chosen = form.cleaned_data["mapping"] or connection.mapping or (best.mapping if best else None)
        context |= {"columns": columns, "best": best, "chosen": chosen}
        if chosen is None:
            return None
        context["fit"] = fit = looking.fit(chosen, columns)
        if "start" in request.POST:
            run = files.start_import(connection, chosen, digest, name, person(request))
            return redirect("admin:integrations_importrun_change", run.pk)
        if fit.reads_all:
            looked = looking.look(digest, name, connection, chosen)
            if "errors" in request.POST:
                return _as_csv(looking.error_table(looked), "errors.csv")
            context |= {"looked": looked, "connection": connection}
        return None

    def _kept(self, form: UploadForm) -> tuple[str, str]:
        """Digest and name of the file, put down now or by the trial before. Raises FileRefused."""
        given = form.cleaned_data["file"]
        if given:
            return files.keep(given), files.safe_name(given.name or "")
        return form.cleaned_data["digest"], files.safe_name(form.cleaned_data["name"])

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Progress; the page asks again by itself while the run is open."""
        run = self.get_object(request, object_id)
        if run is None or not self.has_view_permission(request, run):
            raise Http404(gettext("There is no such record, or it is outside your area."))
        page = Paginator(run.errors.defer("original").order_by("row", "id"), 100).get_page(
            request.GET.get("p")
        )
        standing = progress.standing(run, now())
        context = {
            **self.admin_site.each_context(request),
            "title": run.file_name,
            "opts": self.opts,
            "run": run,
            "errors_page": page,
            "is_open": run.state in OPEN,
            "standing": standing,
            "orders": progress.orders_of(run, request.user) if run.n_orders else [],
            "n_shown": progress.ORDERS_SHOWN,
            "may_retry": request.user.has_perm("integrations.replay_message"),
            "may_edit": request.user.has_perm("integrations.change_fieldmapping"),
            "may_cancel": request.user.has_perm("integrations.change_importrun"),
            "may_download": request.user.has_perm("integrations.view_importrowerror"),
        }
        return TemplateResponse(request, "integrations/import_run.html", context)

    def _run(self, request: HttpRequest, pk: int, permission: str) -> ImportRun:
        """The run. Raises Http404, then PermissionDenied."""
        run = self.get_queryset(request).filter(pk=pk).first()
        if run is None or not self.has_view_permission(request, run):
            raise Http404(gettext("There is no such record, or it is outside your area."))
        if not request.user.has_perm(permission):
            raise PermissionDenied(permission)
        found: ImportRun = run
        return found

    @method_decorator(require_POST)
    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = self._run(request, pk, "integrations.change_importrun")
        if files.cancel(run):
            self.message_user(
                request, gettext("The import is cancelled. Rows read in before stay."), messages.SUCCESS
            )
        else:
            self.message_user(request, gettext("The import had ended already."), messages.WARNING)
        return redirect("admin:integrations_importrun_change", pk)

    @method_decorator(require_POST)
    def errors(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """The rows that failed, with names and addresses as they came: by POST, and recorded."""
        run = self._run(request, pk, "integrations.view_importrowerror")
        audit.record("import.errors", run, after={"rows": run.n_errors})
        return _as_csv(files.error_csv(run), f"errors-{run.pk}.csv")

    @method_decorator(require_POST)
    def retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Try the failed rows of this import again with the mapping as it is now."""
        run = self._run(request, pk, "integrations.replay_message")
        failed = run.messages.filter(state=InboundMessage.State.FAILED).order_by("id")
        count = ingest.replay(list(failed.values_list("pk", flat=True)[:MOST_RETRIED]))
        audit.record("import.retry", run, after={"messages": count})
        text = ngettext("%(count)d row is tried again.", "%(count)d rows are tried again.", count)
        self.message_user(request, text % {"count": count}, messages.SUCCESS if count else messages.WARNING)
        return redirect("admin:integrations_importrun_change", pk)

    def progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Where the run stands, as JSON: what the page asks for every second."""
        run = self._run(request, pk, "integrations.view_importrun")
        standing = progress.standing(run, now())
        context = {"run": run, "standing": standing}
        html = render_to_string("integrations/import_progress.html", context, request)
        return JsonResponse({"is_open": run.state in OPEN or standing.n_waiting > 0, "html": html})


def _usable_mappings() -> list[FieldMapping]:
    return [row for row in FieldMapping.objects.order_by("name")[:200] if not check(row.definition)]


def _as_csv(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
