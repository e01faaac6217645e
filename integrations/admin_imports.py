"""Imports in the admin: upload with a trial first, progress, the rows that failed, cancel."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from integrations import files
from integrations.admin_mapping import person
from integrations.files.runs import OPEN, upload_path
from integrations.mapping import TRIAL_LIMIT, BadDefinition, trial
from integrations.models import Connection, FieldMapping, ImportRun
from orders import audit
from orders.people import visible
from orders.scoped_admin import ScopedAdmin

DIGEST = re.compile(r"[0-9a-f]{64}")


class UploadForm(forms.Form):
    connection = forms.ModelChoiceField(
        Connection.objects.none(), label=_("Connection"), widget=UnfoldAdminSelectWidget
    )
    mapping = forms.ModelChoiceField(
        FieldMapping.objects.all(), label=_("Field mapping"), widget=UnfoldAdminSelectWidget
    )
    file = forms.FileField(
        label=_("File"),
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("CSV, Excel (.xlsx), JSON or JSON lines; text files also as .gz."),
    )
    # A file that was put down by the trial run, so that it need not be uploaded twice.
    digest = forms.RegexField(DIGEST, required=False, widget=forms.HiddenInput)
    name = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections = Connection.objects.filter(is_active=True, connector="rows")
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
            path("<int:pk>/errors.csv", wrap(self.errors), name="integrations_importrun_errors"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Upload. The first button only tries the first records; nothing but the file itself is written."""
        if not self.has_add_permission(request):
            raise PermissionDenied("integrations.add_importrun")
        form = UploadForm(request.POST or None, request.FILES or None, user=request.user)
        context: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            try:
                digest, name = self._kept(form)
                if "start" in request.POST:
                    run = files.start_import(
                        form.cleaned_data["connection"],
                        form.cleaned_data["mapping"],
                        digest,
                        name,
                        person(request),
                    )
                    return redirect("admin:integrations_importrun_change", run.pk)
                context = self._tried(form, digest, name)
            except (files.FileRefused, BadDefinition) as error:
                form.add_error(None, str(error))
        context |= {
            **self.admin_site.each_context(request),
            "title": gettext("Import a file"),
            "opts": self.opts,
            "form": form,
        }
        return TemplateResponse(request, "integrations/import_upload.html", context)

    def _kept(self, form: UploadForm) -> tuple[str, str]:
        """Digest and name of the file, put down now or by the trial before. Raises FileRefused."""
        given = form.cleaned_data["file"]
        if given:
            return files.keep(given), files.safe_name(given.name or "")
        return form.cleaned_data["digest"], files.safe_name(form.cleaned_data["name"])

    def _tried(self, form: UploadForm, digest: str, name: str) -> dict[str, Any]:
        mapping = form.cleaned_data["mapping"]
        shop = form.cleaned_data["connection"].shop
        records = files.first_records(digest, name, mapping, TRIAL_LIMIT)
        results = trial(mapping.definition, records, shop=shop.code if shop else "")
        return {
            "results": results,
            "digest": digest,
            "file_name": name,
            "n_passed": sum(result.verdict == "passed" for result in results),
            "n_failed": sum(result.verdict == "failed" for result in results),
        }

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
        context = {
            **self.admin_site.each_context(request),
            "title": run.file_name,
            "opts": self.opts,
            "run": run,
            "errors_page": page,
            "is_open": run.state in OPEN,
            "per_cent": min(100, run.n_rows * 100 // run.n_total) if run.n_total else 0,
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
        response = StreamingHttpResponse(files.error_csv(run), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="errors-{run.pk}.csv"'
        return response
