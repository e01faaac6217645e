"""Working calendars in the admin: weeks as lines of shifts, and what the next days look like."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.timezone import now
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from orders.worktime import Calendar, CalendarDay, WorkCalendar, calendar_of
from orders.worktime.shifts import DAY, Shift, parse_shifts, standard_week, write_shifts

PREVIEWED_DAYS = 14
WEEKDAYS = {
    "monday": gettext_lazy("Monday"),
    "tuesday": gettext_lazy("Tuesday"),
    "wednesday": gettext_lazy("Wednesday"),
    "thursday": gettext_lazy("Thursday"),
    "friday": gettext_lazy("Friday"),
    "saturday": gettext_lazy("Saturday"),
    "sunday": gettext_lazy("Sunday"),
}
WEEKDAY_NAMES = list(WEEKDAYS.values())


class ShiftsField(forms.CharField):
    """A line of shifts; gives pairs of HH:MM."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "widget", UnfoldAdminTextInputWidget(attrs={"placeholder": "09:00-12:00, 13:00-18:00"})
        )
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> Any:
        return parse_shifts(super().clean(value))

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else write_shifts(value or [])

    def has_changed(self, initial: Any, data: Any) -> bool:
        return str(self.prepare_value(initial)) != (data or "").strip()


class WorkCalendarForm(forms.ModelForm[WorkCalendar]):
    """The week as seven lines."""

    monday = ShiftsField(label=WEEKDAYS["monday"])
    tuesday = ShiftsField(label=WEEKDAYS["tuesday"])
    wednesday = ShiftsField(label=WEEKDAYS["wednesday"])
    thursday = ShiftsField(label=WEEKDAYS["thursday"])
    friday = ShiftsField(label=WEEKDAYS["friday"])
    saturday = ShiftsField(label=WEEKDAYS["saturday"])
    sunday = ShiftsField(label=WEEKDAYS["sunday"])

    class Meta:
        model = WorkCalendar
        fields = ("name", "timezone", "follows_chinese_holidays", "is_default")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, pairs in zip(WEEKDAYS, self.instance.week or standard_week(), strict=False):
            self.initial.setdefault(name, pairs)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        # A line that cannot be read has its own message; the model checks the week as a whole.
        if all(name in cleaned for name in WEEKDAYS):
            self.instance.week = [cleaned[name] for name in WEEKDAYS]
        return cleaned


class CalendarDayForm(forms.ModelForm[CalendarDay]):
    """A date's shifts as a line."""

    shifts = ShiftsField(
        label=_("shifts"),
        help_text=_("Only where they differ: a worked day without shifts has the usual ones."),
    )

    class Meta:
        model = CalendarDay
        fields = ("calendar", "day", "is_worked", "shifts", "name", "is_provisional")

    def save(self, commit: bool = True) -> CalendarDay:  # noqa: FBT001, FBT002 - Django's signature
        if self.has_changed():
            # A day that a person has touched is theirs: loading holidays leaves it as it is.
            self.instance.is_loaded = False
        return super().save(commit=commit)


class CalendarDayInline(TabularInline):  # type: ignore[misc]
    model = CalendarDay
    form = CalendarDayForm
    fields = ("day", "is_worked", "shifts", "name", "is_provisional")
    extra = 0
    verbose_name_plural = _("days of this calendar only")


@admin.register(WorkCalendar)
class WorkCalendarAdmin(ModelAdmin):  # type: ignore[misc]
    form = WorkCalendarForm
    list_display = ("name", "timezone", "follows_chinese_holidays", "is_default")
    readonly_fields = ("next_days",)
    inlines = (CalendarDayInline,)

    def get_fieldsets(self, request: HttpRequest, obj: WorkCalendar | None = None) -> list[Any]:
        week_help = _(
            "One line per day, for example 09:00-12:00, 13:00-18:00. An empty line is a free day. "
            "22:00-06:00 ends on the next day. Changes apply to deadlines set from now on."
        )
        fieldsets: list[Any] = [
            (None, {"fields": ("name", "timezone", "follows_chinese_holidays", "is_default")}),
            (_("Week"), {"fields": tuple(WEEKDAYS), "description": week_help}),
        ]
        if obj is not None:
            fieldsets.append((_("Next days"), {"fields": ("next_days",)}))
        return fieldsets

    @admin.display(description=_("next 14 days"))
    def next_days(self, row: WorkCalendar) -> str:
        # The row in hand may carry what a refused form has put into it; the preview shows what is in force.
        stored = WorkCalendar.objects.filter(pk=row.pk).first()
        if stored is None:
            return "-"
        return render_to_string(
            "orders/calendar_next_days.html", {"days": next_days(calendar_of(stored), now(), PREVIEWED_DAYS)}
        )


@admin.register(CalendarDay)
class CalendarDayAdmin(ModelAdmin):  # type: ignore[misc]
    form = CalendarDayForm
    list_display = (
        "day",
        "shown_name",
        "applies_to",
        "is_worked",
        "shown_shifts",
        "is_provisional",
        "is_loaded",
    )
    list_filter = ("is_provisional", "is_worked", "calendar")
    list_select_related = ("calendar",)
    date_hierarchy = "day"
    ordering = ("-day",)
    search_fields = ("name",)
    actions = ("confirm_days",)

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, row: CalendarDay) -> str:
        return row.title

    @admin.display(description=_("applies to"), ordering="calendar")
    def applies_to(self, row: CalendarDay) -> str:
        return str(row.calendar) if row.calendar else gettext("all that follow Chinese holidays")

    @admin.display(description=_("shifts"))
    def shown_shifts(self, row: CalendarDay) -> str:
        return write_shifts(row.shifts)

    @admin.action(description=_("Confirm: these days are certain"), permissions=["change"])
    def confirm_days(self, request: HttpRequest, queryset: QuerySet[CalendarDay]) -> None:
        """Take provisional days over as a person's own, for when the notice is out before the data."""
        confirmed = queryset.filter(is_provisional=True).update(is_provisional=False, is_loaded=False)
        self.message_user(
            request,
            ngettext("%(count)d day confirmed.", "%(count)d days confirmed.", confirmed)
            % {"count": confirmed},
            messages.SUCCESS if confirmed else messages.WARNING,
        )


def next_days(calendar: Calendar, at: datetime, n_days: int) -> list[dict[str, Any]]:
    """What the calendar says of the local dates from at on, for showing."""
    today = calendar.local_date(at)
    return [_shown(calendar, today + timedelta(days=n)) for n in range(n_days)]


def _shown(calendar: Calendar, day: date) -> dict[str, Any]:
    shifts = calendar.shifts_on(day)
    special = calendar.days.get(day)
    return {
        "day": day,
        "weekday": WEEKDAY_NAMES[day.weekday()],
        "is_worked": bool(shifts),
        "shifts": ", ".join(_written(shift) for shift in shifts),
        "is_provisional": calendar.is_provisional_on(day),
        "name": gettext(special.name) if special and special.name else "",
    }


def _written(shift: Shift) -> str:
    start, end = (_clock(minute) for minute in shift)
    return (
        gettext("%(start)s-%(end)s next day") % {"start": start, "end": end}
        if shift[1] > DAY
        else f"{start}-{end}"
    )


def _clock(minute: int) -> str:
    if minute != DAY:
        minute %= DAY
    return f"{minute // 60:02d}:{minute % 60:02d}"
