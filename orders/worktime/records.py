"""The rows behind the calendars: weeks of shifts, and the dates that differ."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited, AuditedQuerySet
from orders.worktime.shifts import check_shifts, check_week, standard_week


def draw_version() -> str:
    return secrets.token_hex(8)


class CalendarQuerySet(AuditedQuerySet):
    """Rows that calendars are built from: every bulk write gives the calendars a new version."""

    def update(self, **values: Any) -> int:
        count = super().update(**values)
        renew_versions()
        return count

    def delete(self) -> tuple[int, dict[str, int]]:
        deleted = super().delete()
        renew_versions()
        return deleted

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        created = super().bulk_create(objs, *args, **kwargs)
        renew_versions()
        return created


class WorkCalendar(Audited):
    """When one office or warehouse works: a weekly pattern of shifts, corrected day by day by CalendarDay."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    # Seven lists, Monday first, of [from, to] in HH:MM; a to before its from ends on the next day.
    week = models.JSONField(
        _("week"),
        default=standard_week,
        help_text=_('Seven lists of shifts, Monday first: [["09:00", "18:00"]]. A shift may cross midnight.'),
    )
    follows_chinese_holidays = models.BooleanField(_("follows Chinese public holidays"), default=True)
    is_default = models.BooleanField(_("default"), default=False)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)
    # Drawn anew with every change of any calendar or day, in the change's own transaction: whoever has read the row
    # knows without another query whether the Calendar built earlier still holds (see book.calendar_of).
    version = models.CharField(max_length=16, default=draw_version, editable=False)

    NOT_AUDITED = frozenset({"version"})

    objects: ClassVar[models.Manager[Any]] = CalendarQuerySet.as_manager()

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

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        renew_versions()
        self.refresh_from_db(fields=["version"])

    def clean(self) -> None:
        check_week(self.week)
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValidationError(
                gettext(
                    "“%(name)s” is not a time zone. Use a name such as Asia/Shanghai or America/New_York."
                )
                % {"name": self.timezone}
            ) from None


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
    # Written by the holiday loader, which may replace it. A row that a person enters or changes is theirs and stays.
    is_loaded = models.BooleanField(_("loaded"), default=False, editable=False)

    objects: ClassVar[models.Manager[Any]] = CalendarQuerySet.as_manager()

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
        return f"{self.day} {self.title}".strip()

    @property
    def title(self) -> str:
        """The name as the reader's language has it; loaded names are English."""
        return gettext(self.name) if self.name else ""

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        renew_versions()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        renew_versions()
        return deleted

    def clean(self) -> None:
        check_shifts(self.shifts)
        if self.shifts and not self.is_worked:
            raise ValidationError(
                gettext("A free day has no shifts. Tick “worked”, or leave the shifts empty.")
            )


def renew_versions() -> None:
    """Say that the calendars must be built anew. Not a change that a person made, so past the audit."""
    models.QuerySet(WorkCalendar).update(version=draw_version())
