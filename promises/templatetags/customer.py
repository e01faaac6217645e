"""Days and times as customers read them: in words of their language, with the year only where it is another one."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone_name, localtime, now

register = template.Library()


@register.filter
def day(value: date | datetime | None) -> SafeString:
    """ "November 24"; a datetime gives the day on its own clock."""
    if value is None:
        return SafeString("–")
    form = "MONTH_DAY_FORMAT" if value.year == localtime(now()).year else "DATE_FORMAT"
    return _time(value, date_format(value, form, use_l10n=True))


@register.filter(expects_localtime=True)
def day_and_time(at: datetime | None) -> SafeString:
    """ "November 24, 16:02" in the zone of the page."""
    if at is None:
        return SafeString("–")
    return _day_and_time(localtime(at))


@register.filter(expects_localtime=False)
def on_its_clock(at: datetime | None) -> SafeString:
    """ "December 3, 23:59 (America/Santiago)": not moved to the zone of the page; named where it is another one."""
    if at is None:
        return SafeString("–")
    zone = str(at.tzinfo)
    if zone == get_current_timezone_name():
        return _day_and_time(at)
    return format_html('{} (<span translate="no">{}</span>)', _day_and_time(at), zone)


def _day_and_time(at: datetime) -> SafeString:
    form = "MONTH_DAY_FORMAT" if at.year == localtime(now()).year else "DATE_FORMAT"
    return _time(at, f"{date_format(at, form, use_l10n=True)} {at:%H:%M}")


def _time(value: date | datetime, words: str) -> SafeString:
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), words)


@register.filter
def units(value: Decimal) -> str:
    """6, not 6.000."""
    return f"{value.normalize():f}"
