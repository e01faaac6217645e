"""Working calendars: which days are worked, in which shifts, and arithmetic on working time."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited


class WorkCalendar(Audited):
    """When one office or warehouse works: a weekly pattern of shifts, corrected day by day by CalendarDay."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    # Seven lists, Monday first, of [from, to] in HH:MM; a to before its from ends on the next day.
    week = models.JSONField(
        _("week"),
        help_text=_('Seven lists of shifts, Monday first: [["09:00", "18:00"]]. A shift may cross midnight.'),
    )
    # The shifts of a day that is worked though it is normally free; empty = the first worked weekday's.
    follows_chinese_holidays = models.BooleanField(_("follows Chinese public holidays"), default=True)
    is_default = models.BooleanField(_("default"), default=False)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("working calendar")
        verbose_name_plural = _("working calendars")
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], name="calendar_one_default", condition=models.Q(is_default=True)
            )
        ]

    def __str__(self) -> str:
        return self.name


class CalendarDay(Audited):
    """One date on which a calendar (or, without one, every calendar that follows Chinese holidays) differs from its week."""

    calendar = models.ForeignKey(
        WorkCalendar,
        verbose_name=_("working calendar"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="days",
    )
    day = models.DateField(_("day"))
    is_worked = models.BooleanField(_("worked"))
    # [["09:00", "12:00"]] for half days; empty = the usual shifts of a worked day.
    shifts = models.JSONField(_("shifts"), default=list, blank=True)
    name = models.CharField(_("name"), max_length=60, blank=True)
    # True when the year is not published and the day is a guess.
    is_provisional = models.BooleanField(_("provisional"), default=False)

    class Meta:
        verbose_name = _("calendar day")
        verbose_name_plural = _("calendar days")
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["calendar", "day"], name="day_once_per_calendar"),
            models.UniqueConstraint(
                fields=["day"], name="day_once_for_all", condition=models.Q(calendar__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
