"""Commitments in the admin, read-only; who promises, and how each shop does it, to be filled in without code."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders import auditing
from orders.paging import BoundedPaginator
from orders.scoped_admin import ScopedAdmin
from promises import canonical, numbers
from promises.commitments.models import CommitmentRule, IssueRequest, Promise
from promises.commitments.payload import tidy
from promises.commitments.refusals import in_words, of_format
from promises.ledger.models import SellerProfile, TransparencyLog

# In the first entry of the log for ever.
FIXED = ("uscc", "slug", "visibility")


class SellerForm(forms.ModelForm):  # type: ignore[type-arg]
    """Who promises, in words that may stand on paper."""

    class Meta:
        model = SellerProfile
        fields = (
            "legal_name",
            "uscc",
            "slug",
            "hotline",
            "terms",
            "terms_en",
            "apology",
            "apology_en",
            "issue_on",
            "visibility",
            "head_readers",
        )
        help_texts = {
            "legal_name": gettext_lazy("As registered. It stands on every commitment."),
            "slug": gettext_lazy(
                "Names the log in its address, for ever: small letters, digits, hyphens. Once the first commitment is "
                "issued it is fixed, as are the credit code and who reads the log."
            ),
            "hotline": gettext_lazy("Stands at the foot of the paper and on the customer's page."),
            "terms": gettext_lazy(
                "What you do if the date is missed, in your own words; printed as they stand here."
            ),
            "apology": gettext_lazy("Shown on the page of a missed commitment."),
            "issue_on": gettext_lazy("For shops without a commitment rule of their own."),
            "head_readers": gettext_lazy(
                "One address to a line, such as the owner, the accountant, a customer. Each keeps a signed fingerprint of the "
                "log a day, and could prove that it was altered. Needs a mail server (ORDERHUB_MAIL_URL)."
            ),
        }

    def clean_legal_name(self) -> str:
        return self._printable("legal_name")

    def clean_hotline(self) -> str:
        return self._printable("hotline")

    def _printable(self, name: str) -> str:
        text = tidy(self.cleaned_data[name])
        try:
            canonical.check(text, "seller")
        except canonical.Refused as refused:
            raise ValidationError(str(of_format(refused))) from refused
        return text


@admin.register(SellerProfile)
class SellerProfileAdmin(ScopedAdmin):
    """One row: its list leads to it, or to the form for it."""

    may_add = may_change = True
    scope_path = None
    form = SellerForm
    fieldsets = (
        (gettext_lazy("Who promises"), {"fields": ("legal_name", "uscc", "slug", "hotline")}),
        (gettext_lazy("If the date is missed"), {"fields": ("terms", "terms_en", "apology", "apology_en")}),
        (gettext_lazy("Issuing and the log"), {"fields": ("issue_on", "visibility", "head_readers")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """One is enough. Only its own pages look whether there is one: every page's navigation asks for permissions."""
        may = super().has_add_permission(request)
        match = request.resolver_match
        is_elsewhere = match is not None and not (match.url_name or "").startswith("promises_sellerprofile_")
        return may and (is_elsewhere or SellerProfile.the_one() is None)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        one = SellerProfile.the_one()
        if one is None and self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:promises_sellerprofile_add"))
        if one is not None and self.has_view_permission(request):
            return HttpResponseRedirect(reverse("admin:promises_sellerprofile_change", args=[one.pk]))
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def get_readonly_fields(self, request: HttpRequest, obj: SellerProfile | None = None) -> tuple[str, ...]:
        has_begun = TransparencyLog.objects.filter(purpose=TransparencyLog.Purpose.SELLER).exists()
        return FIXED if obj is not None and has_begun else ()

    def save_model(self, request: HttpRequest, obj: SellerProfile, form: Any, change: bool) -> None:  # noqa: FBT001
        before = SellerProfile.the_one()
        # Whoever fills it in by hand makes it the real one.
        obj.is_demo = False
        super().save_model(request, obj, form, change)
        if before is None:
            auditing.record_creation(obj)
        else:
            auditing.record_change(obj, auditing.raw(before))


@admin.register(CommitmentRule)
class CommitmentRuleAdmin(ScopedAdmin):
    may_add = may_change = may_delete = True
    list_display = ("shop", "issue_on", "person_from_total", "person_from_stars")
    list_select_related = ("shop",)


@admin.register(Promise)
class PromiseAdmin(ScopedAdmin):
    """Every version of every commitment, newest first. Read-only: what it says, the database refuses to change."""

    list_display = ("shown", "version", "order", "state", "due", "rc", "made_at")
    list_filter = ("state", "rc")
    list_select_related = ("order",)
    search_fields = ("number__startswith", "order__number__startswith")
    ordering = ("-id",)
    paginator = BoundedPaginator
    fields = (
        "shown", "version", "order", "state", "state_at", "state_reason", "due", "first_due", "window_from", "window_to",
        "rc", "asked_by", "is_automatic", "made_by", "made_at", "ph", "supersedes", "paper", "said",
    )  # fmt: skip
    readonly_fields = fields

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        # As it is printed, or as somebody typed it.
        with suppress(numbers.BadNumber):
            search_term = numbers.read(search_term)
        found: tuple[Any, bool] = super().get_search_results(request, queryset, search_term)
        return found

    @admin.display(description=gettext_lazy("attestation number"), ordering="number")
    def shown(self, promise: Promise) -> str:
        return promise.shown_number

    @admin.display(description=gettext_lazy("paper"))
    def paper(self, promise: Promise) -> str:
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:commitment_paper", args=[promise.pk]),
            _("Download (PDF)"),
        )

    @admin.display(description=gettext_lazy("what it says"))
    def said(self, promise: Promise) -> str:
        laid_out = json.dumps(json.loads(bytes(promise.payload)), ensure_ascii=False, indent=2)
        return format_html("<pre>{}</pre>", laid_out)


@admin.register(IssueRequest)
class IssueRequestAdmin(ScopedAdmin):
    """Who asked for which commitment, and what the worker answered."""

    list_display = ("order", "state", "why", "asked_at", "asker", "is_automatic")
    list_filter = ("state",)
    list_select_related = ("order", "asker")
    ordering = ("-id",)
    paginator = BoundedPaginator
    fields = (
        "order", "state", "why", "due_on", "rc", "asked_by", "is_automatic", "asked_at", "asker", "attempts",
        "ended_at", "promise",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("because"))
    def why(self, request: IssueRequest) -> str:
        return in_words(request.code, request.words) if request.code else "–"
