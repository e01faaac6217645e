"""What orders refer to, in the admin: shops, warehouses, customers, stock, how sources rank, and when they were heard."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from orders import audit
from orders.access import ROLES, role_label
from orders.models import (
    Customer,
    PrecedenceVersion,
    ReasonCode,
    Shop,
    SourceHeard,
    StockEntry,
    StockItem,
    StockLock,
    Warehouse,
)
from orders.paging import BoundedPaginator
from orders.precedence import DEFAULT_RULES, add_version, check_rules
from orders.rejudging import apply_version, try_version
from orders.scoped_admin import ScopedAdmin
from orders.stages import Role


@admin.register(Shop)
class ShopAdmin(ScopedAdmin):
    may_add = may_change = True
    list_display = ("name", "code", "platform", "warehouse", "timezone", "currency", "is_active")
    list_filter = ("is_active", "platform")
    search_fields = ("code", "name")


@admin.register(Warehouse)
class WarehouseAdmin(ScopedAdmin):
    may_add = may_change = True
    list_display = ("name", "code", "region", "calendar", "is_active")
    search_fields = ("code", "name")


@admin.register(Customer)
class CustomerAdmin(ScopedAdmin):
    may_add = may_change = True
    list_display = ("code", "name", "stars", "region", "owner")
    list_filter = ("stars",)
    search_fields = ("code__startswith", "name__startswith")
    paginator = BoundedPaginator


class ReasonForm(forms.ModelForm):  # type: ignore[type-arg]
    """A reason, and the role that answers for it."""

    owner = forms.ChoiceField(label=gettext_lazy("Answers for it"), required=False)

    class Meta:
        model = ReasonCode
        fields = ("code", "name", "owner", "pauses_clock", "position", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "owner" in self.fields:
            choices = [("", "–"), *((row.code, row.label) for row in ROLES.values())]
            self.fields["owner"].choices = choices  # type: ignore[attr-defined]


@admin.register(ReasonCode)
class ReasonCodeAdmin(ScopedAdmin):
    """Reasons are switched off, not deleted: cases keep theirs."""

    may_add = may_change = True
    form = ReasonForm
    list_display = ("label", "code", "owner_label", "pauses_clock", "position", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: ReasonCode | None = None) -> tuple[str, ...]:
        return ("code",) if obj else ()

    @admin.display(description=gettext_lazy("reason"), ordering="position")
    def label(self, reason: ReasonCode) -> str:
        return str(reason)

    @admin.display(description=gettext_lazy("answers for it"), ordering="owner")
    def owner_label(self, reason: ReasonCode) -> str:
        return str(role_label(reason.owner)) if reason.owner else "–"


@admin.register(StockItem)
class StockItemAdmin(ScopedAdmin):
    list_display = ("sku", "warehouse", "on_hand", "locked", "counted_at")
    list_filter = ("warehouse",)
    search_fields = ("sku__startswith",)


@admin.register(StockLock)
class StockLockAdmin(ScopedAdmin):
    list_display = ("item", "order", "quantity", "locked_at", "expires_at", "released_at")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    list_select_related = ("item__warehouse", "order")
    ordering = ("-id",)
    paginator = BoundedPaginator


@admin.register(StockEntry)
class StockEntryAdmin(ScopedAdmin):
    """The stock ledger, newest first. Read-only: the database refuses changes."""

    list_display = ("at", "item", "kind", "on_hand_change", "locked_change", "order", "key")
    list_filter = ("kind",)
    list_select_related = ("item__warehouse",)
    ordering = ("-id",)
    paginator = BoundedPaginator


@admin.register(SourceHeard)
class SourceHeardAdmin(ScopedAdmin):
    list_display = ("source", "role_name", "heard_at", "fact_at")
    fields = ("source", "role_name", "heard_at", "fact_at")
    readonly_fields = fields
    ordering = ("heard_at",)

    @admin.display(description=gettext_lazy("role"), ordering="role")
    def role_name(self, heard: SourceHeard) -> str:
        return str(dict(Role.choices).get(heard.role, heard.role))


class PrecedenceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new version, started from the one in force."""

    class Meta:
        model = PrecedenceVersion
        fields = ("rules", "note")
        widgets = {"rules": forms.Textarea(attrs={"rows": 24, "class": "font-mono w-full"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rules" in self.fields and not self.instance.pk:
            last = PrecedenceVersion.objects.first()
            rules = last.rules if last else DEFAULT_RULES
            self.initial["rules"] = rules
            self.fields["rules"].widget.attrs["rows"] = len(json.dumps(rules, indent=1).splitlines())

    def clean_rules(self) -> dict[str, Any]:
        rules: dict[str, Any] = self.cleaned_data["rules"]
        check_rules(rules)
        return rules


@admin.register(PrecedenceVersion)
class PrecedenceAdmin(ScopedAdmin):
    """Versions of how sources rank. A version is added, tried on open orders, and then put in force."""

    may_add = True
    form = PrecedenceForm
    list_display = ("number", "note", "made_at", "made_by", "applied_at")

    def save_model(self, request: HttpRequest, obj: PrecedenceVersion, form: Any, change: bool) -> None:  # noqa: FBT001
        made = add_version(obj.rules, note=obj.note, made_by=request.user, at=now())
        obj.pk, obj.number = made.pk, made.number
        audit.record("create", made, after={"number": made.number, "rules": made.rules}, reason=made.note)

    def response_add(
        self, request: HttpRequest, obj: PrecedenceVersion, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:orders_precedence_try", args=[obj.pk]))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/try/", wrap(self.try_out), name="orders_precedence_try"),
            path("<int:pk>/apply/", wrap(self.apply), name="orders_precedence_apply"),
            *super().get_urls(),
        ]

    def try_out(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Which open orders the version would move, before anything is written."""
        if not request.user.has_perm("orders.view_precedenceversion"):
            raise PermissionDenied
        version = PrecedenceVersion.objects.get(pk=pk)
        trial = try_version(version, at=now())
        context = {
            **self.admin_site.each_context(request),
            "title": _("Version %(number)s on open orders") % {"number": version.number},
            "version": version,
            "trial": trial,
            "may_apply": request.user.has_perm("orders.apply_precedence") and version.applied_at is None,
            "opts": self.opts,
        }
        return TemplateResponse(request, "orders/precedence_trial.html", context)

    def apply(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put the version in force. Open orders are judged again in the background, silently."""
        if not request.user.has_perm("orders.apply_precedence"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        with transaction.atomic():
            version = PrecedenceVersion.objects.select_for_update().get(pk=pk)
            n_orders = apply_version(version, at=now())
        messages.success(
            request,
            ngettext(
                "In force. %(n)s open order is judged again in the background.",
                "In force. %(n)s open orders are judged again in the background.",
                n_orders,
            )
            % {"n": n_orders},
        )
        return HttpResponseRedirect(reverse("admin:orders_precedenceversion_changelist"))
