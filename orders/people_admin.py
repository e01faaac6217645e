"""Who sees what, who changed what, and the one way to a person's details: scopes, audit log and contacts in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from import_export import resources
from import_export.admin import ExportMixin
from import_export.formats.base_formats import CSV, XLSX
from unfold.contrib.import_export.forms import ExportForm

from orders.audit import AuditEntry, because
from orders.contacts import Contact, InvalidToken
from orders.people import StaffScope
from orders.scoped_admin import ScopedAdmin

DETAIL_LABELS = {
    "name": _("Name"),
    "phone": _("Phone"),
    "email": _("E-mail"),
    "country": _("Country"),
    "province": _("Province"),
    "city": _("City"),
    "district": _("District"),
    "street": _("Street"),
    "postcode": _("Postcode"),
}


@admin.register(Contact)
class ContactAdmin(ScopedAdmin):
    """Masked details; the full ones by POST, with a permission, and each look recorded."""

    list_display = ("masked_name", "masked_phone", "country", "province", "city", "emptied_at")
    list_filter = ("country",)
    search_fields = ("=phone_tail", "city")
    search_help_text = _("Last four digits of the phone number, or a city.")
    fields = ("masked_name", "masked_phone", "country", "province", "city", "emptied_at")
    change_form_template = "admin/orders/contact/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/reveal/", wrap(self.reveal), name="orders_contact_reveal"),
            path("<int:pk>/empty/", wrap(self.empty), name="orders_contact_empty"),
            *super().get_urls(),
        ]

    def _in_scope(self, request: HttpRequest, pk: int, permission: str) -> Contact:
        """The contact, if this person may see it at all and has the permission.

        Raises Http404 out of scope, before anything about the permission is said.
        """
        contact = self.get_queryset(request).filter(pk=pk).first()
        if contact is None or not self.has_view_permission(request, contact):
            raise Http404(gettext("There is no such record, or it is outside your area."))
        if not request.user.has_perm(permission):
            raise PermissionDenied(permission)
        found: Contact = contact
        return found

    @method_decorator(require_POST)
    @method_decorator(never_cache)
    def reveal(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the details this once. Nothing of them is in the address, and a reload shows the masked page again."""
        contact = self._in_scope(request, pk, "orders.reveal_contact")
        try:
            person = contact.reveal(reason=request.POST.get("reason", "")[:500])
        except InvalidToken:
            error = gettext("The details cannot be decrypted: none of this installation's secrets fits.")
            self.message_user(request, error, messages.ERROR)
            return redirect("admin:orders_contact_change", pk)
        details = [(label, person[key]) for key, label in DETAIL_LABELS.items() if person.get(key)]  # type: ignore[literal-required]
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Contact details"),
            "opts": self.opts,
        }
        return TemplateResponse(
            request, "admin/orders/contact/reveal.html", {**context, "contact": contact, "details": details}
        )

    @method_decorator(require_POST)
    def empty(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Remove the person's details for good."""
        contact = self._in_scope(request, pk, "orders.empty_contact")
        contact.empty(now(), reason=request.POST.get("reason", "")[:500])
        self.message_user(
            request, gettext("The details are removed. Orders keep the empty contact."), messages.SUCCESS
        )
        return redirect("admin:orders_contact_change", pk)


class ScopeForm(forms.ModelForm):  # type: ignore[type-arg]
    """Regions are typed one a line."""

    regions = forms.CharField(
        label=_("Regions"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One region a line, as orders carry it."),
    )
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=500, help_text=_("Goes to the audit log.")
    )

    class Meta:
        model = StaffScope
        fields = ("user", "everything", "shops", "warehouses", "regions", "own_customers", "cross_border")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["regions"] = "\n".join(self.instance.regions)

    def clean_regions(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["regions"].splitlines() if line.strip()]


@admin.register(StaffScope)
class StaffScopeAdmin(ScopedAdmin):
    """Which part of the business a person sees."""

    may_add = may_change = may_delete = True
    form = ScopeForm
    list_display = ("user", "everything", "own_customers", "cross_border")
    list_select_related = ("user",)
    search_fields = ("user__username",)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with because(request.POST.get("reason", "")[:500]):
            return super().changeform_view(request, *args, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: StaffScope | None = None) -> tuple[str, ...]:
        return ("user",) if obj else ()


class AuditResource(resources.ModelResource):  # type: ignore[misc]
    """Audit rows for a spreadsheet; cells that a spreadsheet would run are escaped by the settings."""

    class Meta:
        model = AuditEntry
        fields = (
            "id", "at", "actor_name", "way", "action", "model", "object_id", "object_label", "before", "after", "reason",
        )  # fmt: skip


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportMixin, ScopedAdmin):  # type: ignore[misc]
    """Who changed what. Read-only for everybody, superusers included; those who may, take it with them as a file."""

    resource_classes = (AuditResource,)
    export_form_class = ExportForm

    list_display = ("at", "actor_name", "way", "action", "model", "object_label", "changes", "reason")
    list_filter = ("way", "action", "model", ("at", admin.DateFieldListFilter))
    search_fields = ("actor_name", "=object_id", "object_label")
    search_help_text = _("Login name, record number or record name.")
    fields = ("at", "actor_name", "way", "action", "model", "object_id", "object_label", "changes", "reason")
    readonly_fields = ("changes",)
    lookups = ("object_id", "at")
    ordering = ("-at", "-id")
    date_hierarchy = None

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.export_auditentry")

    def get_export_formats(self) -> list[Any]:
        return [CSV, XLSX]

    @admin.display(description=_("Changes"))
    def changes(self, entry: AuditEntry) -> str:
        names = sorted({*entry.before, *entry.after})
        rows = ((name, entry.before.get(name, ""), entry.after.get(name, "")) for name in names)
        return format_html_join(" · ", "{}: {} → {}", rows)
