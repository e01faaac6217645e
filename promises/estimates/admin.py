"""How dates are promised, to be set without code; and what was said of each order, read-only."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from orders.paging import BoundedPaginator
from orders.scoped_admin import ScopedAdmin
from promises.estimates import watching
from promises.estimates.models import (
    Estimate,
    EstimateModel,
    Journey,
    PlannedSurge,
    PromiseRule,
    WarehousePickup,
)
from promises.estimates.panel import per_cent
from promises.estimates.words import REASONS, place
from promises.eta import surge
from promises.recalibration import Recalibration


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The rule with its service level in per cent, as people speak of it."""

    level = forms.DecimalField(
        label=gettext_lazy("Service level, per cent"),
        min_value=Decimal(50),
        max_value=Decimal(99),
        decimal_places=1,
        max_digits=3,
        help_text=gettext_lazy(
            "How many of a hundred orders are to arrive by the latest date. Higher: later dates, fewer broken ones."
        ),
    )

    class Meta:
        model = PromiseRule
        fields = ("shop", "is_on", "cap_days")

    field_order = ("shop", "is_on", "level", "cap_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "level" in self.fields:
            self.fields["level"].initial = Decimal(self.instance.service_level) / 10

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's own signature
        self.instance.service_level = round(self.cleaned_data["level"] * 10)
        return super().save(commit)


class _Asking(ScopedAdmin):
    """Settings by which dates are worked out: after a change the orders that they concern are looked at again."""

    def concerned(self, row: Any) -> Q:
        return Q()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        # One that has changed hands concerns those it was taken from too.
        self._ask_anew(request, Q() if change else self.concerned(obj))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        concerned = self.concerned(obj)
        super().delete_model(request, obj)
        self._ask_anew(request, concerned)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        super().delete_queryset(request, queryset)
        self._ask_anew(request, Q())

    def _ask_anew(self, request: HttpRequest, concerned: Q) -> None:
        n = watching.ask_anew(concerned, now())
        text = ngettext(
            "%(n)s open order is estimated anew in the next minutes. A date already promised stays.",
            "%(n)s open orders are estimated anew in the next minutes. Dates already promised stay.",
            n,
        )
        messages.info(request, text % {"n": number_format(n, force_grouping=True)})


@admin.register(PromiseRule)
class PromiseRuleAdmin(_Asking):
    may_add = may_change = may_delete = True
    form = RuleForm
    list_display = ("whose", "is_on", "level", "cap_days")
    list_select_related = ("shop",)
    ordering = ("shop__code",)

    def concerned(self, row: PromiseRule) -> Q:
        return Q(order__shop=row.shop_id) if row.shop_id else Q()

    def get_fields(self, request: HttpRequest, obj: PromiseRule | None = None) -> tuple[str, ...]:
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        # Whoever only reads gets the row's own values.
        return RuleForm.field_order if may else ("whose", "is_on", "level", "cap_days")

    def get_readonly_fields(self, request: HttpRequest, obj: PromiseRule | None = None) -> tuple[str, ...]:
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return () if may else ("whose", "level")

    @admin.display(description=gettext_lazy("shop"), ordering="shop__code")
    def whose(self, rule: PromiseRule) -> str:
        return str(rule)

    @admin.display(description=gettext_lazy("service level"), ordering="service_level")
    def level(self, rule: PromiseRule) -> str:
        return f"{number_format(rule.service_level / 10, 1)} %"


@admin.register(PlannedSurge)
class PlannedSurgeAdmin(_Asking):
    """Sales known in advance. What a surge adds is shown before anybody relies on it."""

    may_add = may_change = may_delete = True
    list_display = ("name", "first", "last", "factor", "adds")
    fields = ("name", "first", "last", "factor", "adds")
    readonly_fields = ("adds",)

    @admin.display(description=gettext_lazy("adds at most"))
    def adds(self, row: PlannedSurge) -> str:
        """The expected wait of an order of the last day: then most has piled up."""
        if row.pk is None:
            return _("Save it to see how many days it adds.")
        planned = surge.PlannedSurge(first=row.first, last=row.last, factor=float(row.factor))
        waits = surge.waits([planned], row.last)
        if not waits:
            return _("Nothing: the house works that much off as usual.")
        return _("%(days)s days, to orders of %(day)s") % {
            "days": number_format(sum(waits) / len(waits), 1),
            "day": date_format(row.last, "DATE_FORMAT"),
        }


class PickupForm(forms.ModelForm):  # type: ignore[type-arg]
    """One time of a day at one warehouse."""

    class Meta:
        model = WarehousePickup
        fields = ("warehouse", "at")
        help_texts = {
            "at": gettext_lazy(
                "On the warehouse's own clock. What is ready before it leaves with it; there is none on closed days."
            )
        }


@admin.register(WarehousePickup)
class WarehousePickupAdmin(_Asking):
    """One row for each pick-up of a day. A warehouse without any has one at 17:00."""

    may_add = may_change = may_delete = True
    form = PickupForm
    list_display = ("warehouse", "at", "zone")
    list_display_links = ("at",)
    list_select_related = ("warehouse__calendar",)

    def concerned(self, row: WarehousePickup) -> Q:
        return Q(order__warehouse=row.warehouse_id)

    @admin.display(description=gettext_lazy("on the clock of"))
    def zone(self, row: WarehousePickup) -> str:
        calendar = row.warehouse.calendar
        return calendar.timezone if calendar else "Asia/Shanghai"


@admin.register(Estimate)
class EstimateAdmin(ScopedAdmin):
    """Everything that was ever said of an order, the newest first. Found by the order's number."""

    list_display = ("order", "made_at", "window", "latest", "stated", "place", "risk", "outcome")
    list_select_related = ("order",)
    search_fields = ("order__number__startswith",)
    ordering = ("-id",)
    paginator = BoundedPaginator
    lookups = ("order",)
    fields = (
        "order", "made_at", "is_current", "is_first", "model_version", "window", "latest", "stated", "level_asked", "place",
        "no_date", "moved", "promised_at", "risk", "late", "check_at", "outcome", "outcome_at", "delivered_at", "made_from",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description=gettext_lazy("window"))
    def window(self, row: Estimate) -> str:
        if row.window_from is None or row.window_to is None:
            return "–"
        return f"{date_format(row.window_from, 'm-d')} – {date_format(row.window_to, 'm-d')}"

    @admin.display(description=gettext_lazy("latest"), ordering="due_at")
    def latest(self, row: Estimate) -> str:
        return date_format(row.due_on, "DATE_FORMAT") if row.due_on else row.get_no_date_display()

    @admin.display(description=gettext_lazy("odds"))
    def stated(self, row: Estimate) -> str:
        return per_cent(row.odds) or "–"

    @admin.display(description=gettext_lazy("service level"))
    def level_asked(self, row: Estimate) -> str:
        return per_cent(row.service_level)

    @admin.display(description=gettext_lazy("place"))
    def place(self, row: Estimate) -> str:
        kind, name = place(row)
        many = ngettext("%(n)s order", "%(n)s orders", row.n) % {"n": number_format(row.n)}
        return " ".join(filter(None, (str(kind), name, f"({many})")))

    @admin.display(description=gettext_lazy("chance to be late"))
    def late(self, row: Estimate) -> str:
        return per_cent(row.p_late) or "–"

    @admin.display(description=gettext_lazy("reasons"))
    def moved(self, row: Estimate) -> str:
        return (
            "; ".join(f"{REASONS.get(one['code'], one['code'])} {one['days']:+}" for one in row.reasons)
            or "–"
        )

    @admin.display(description=gettext_lazy("made from"))
    def made_from(self, row: Estimate) -> str:
        text = json.dumps(row.inputs, ensure_ascii=False, indent=1, sort_keys=True)
        return format_html('<pre class="whitespace-pre-wrap" translate="no">{}</pre>', text)


@admin.register(Journey)
class JourneyAdmin(ScopedAdmin):
    """What is learned from, order by order. The number behind an estimate's odds opens its part of this list."""

    list_display = (
        "order",
        "placed_at",
        "handed_at",
        "delivered_at",
        "origin",
        "carrier",
        "province",
        "city",
    )
    list_select_related = ("order",)
    ordering = ("-placed_at", "-order_id")
    paginator = BoundedPaginator
    scope_path = "order"
    lookups = ("county", "is_struck", "is_demo")
    fields = (
        "order", "placed_at", "zone", "county", "city", "province", "carrier", "service", "origin", "origin_region",
        "n_items", "handed_at", "delivered_at", "is_queued", "is_struck",
    )  # fmt: skip
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Journey | None = None) -> bool:
        # Whoever reads the odds may read what they were counted from.
        return bool(request.user.has_perm("promises.view_estimate"))


@admin.register(EstimateModel)
class EstimateModelAdmin(ScopedAdmin):
    """What each night learned. Thirty nights are kept; estimates name the one they were made with."""

    list_display = ("version", "made_at", "n_learned", "n_delivered", "newest_placed_at", "is_demo")
    list_display_links = ("version",)
    ordering = ("-id",)
    fields = (
        "version",
        "made_at",
        "method",
        "n_learned",
        "n_delivered",
        "newest_placed_at",
        "is_demo",
        "size",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> Any:
        # A learned state takes up to some megabytes, and nobody reads it here.
        return super().get_queryset(request).defer("state")

    @admin.display(description=gettext_lazy("version"), ordering="id")
    def version(self, row: EstimateModel) -> str:
        return row.version

    @admin.display(description=gettext_lazy("size"))
    def size(self, row: EstimateModel) -> str:
        return _("%(n)s kB") % {"n": number_format(len(row.state) / 1000, 1)}


@admin.register(Recalibration)
class RecalibrationAdmin(ScopedAdmin):
    """Readings of the odds that were in force, and who put them there. The calibration page is where that is done."""

    list_display = (
        "made_at",
        "made_by",
        "n",
        "brier_before",
        "brier_after",
        "ended_at",
        "ended_by",
        "is_demo",
    )
    list_select_related = ("made_by", "ended_by")
    ordering = ("-id",)
    fields = (*list_display, "steps")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("reading"))
    def steps(self, row: Recalibration) -> str:
        return ", ".join(f"{100 * stated:.1f} % → {100 * came:.1f} %" for stated, came in row.points)
