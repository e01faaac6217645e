"""What every staff screen shows alike: icons, chips, times that say how long ago and when, and where a number came from."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django import template
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import get_current_timezone, now
from django.utils.translation import get_language, gettext_lazy, ngettext, pgettext
from django.utils.translation import gettext as _

from orders.stages import Stage

register = template.Library()

MEANINGS = frozenset({"danger", "warn", "ok", "info", "stale", "gate", "neutral"})
SYMBOL = re.compile(r'<symbol id="([\w-]+)"[^>]*>(.*?)</symbol>', re.DOTALL)


@cache
def shapes() -> dict[str, str]:
    """Every icon by name, as drawn in icons.svg: one drawing for the pages, the scripts and the papers."""
    found = finders.find("orderhub/icons.svg")
    if not found:
        raise ImproperlyConfigured("orderhub/icons.svg is missing from the static files.")
    return dict(SYMBOL.findall(Path(str(found)).read_text(encoding="utf-8")))


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """The icon as inline SVG, hidden from screen readers: the word beside it says the same."""
    return format_html(
        '<svg class="icon {}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{}</svg>',
        extra or f"icon-{name}",
        mark_safe(shapes()[name]),  # noqa: S308 - our own drawing
    )


@register.simple_tag
def chip(meaning: str, word: object, title: str = "") -> SafeString:
    """Shape, word and colour; never colour alone."""
    if meaning not in MEANINGS:
        raise ValueError(f"A chip means one of {sorted(MEANINGS)}, not {meaning!r}.")
    hint = format_html(' title="{}"', title) if title else ""
    return format_html(
        '<span class="chip chip-{}"{}>{}<span>{}</span></span>', meaning, hint, icon(meaning), word
    )


STAGE_MEANS = {
    Stage.INTAKE: "neutral",
    Stage.AWAITING_PAYMENT: "neutral",
    Stage.PLATFORM_REVIEW: "neutral",
    Stage.DELIVERED: "ok",
    Stage.COMPLETED: "ok",
    Stage.CANCELLING: "warn",
    Stage.CANCELLED: "neutral",
    Stage.RETURNING: "warn",
    Stage.RETURNED: "neutral",
}


@register.simple_tag
def stage_chip(order: Any) -> SafeString:
    """Where the order stands. Trouble has chips of its own beside it: this one never turns red."""
    return chip(STAGE_MEANS.get(Stage(order.stage), "info"), order.get_stage_display())


@register.filter(expects_localtime=True)
def moment(at: datetime | None) -> SafeString:
    """ "3 h ago · 11-22 18:04" in the reader's zone; the title has the second and the zone."""
    if at is None:
        return SafeString("–")
    return _time(at, format_html("{} · {}", since(at, now()), _short(at)), "moment")


@register.filter(expects_localtime=True)
def clock(at: datetime | None) -> SafeString:
    """ "11-22 18:04" in the reader's zone."""
    return SafeString("–") if at is None else _time(at, _short(at), "clock")


def _time(at: datetime, words: str, kind: str) -> SafeString:
    return format_html(
        '<time class="{}" datetime="{}" title="{}">{}</time>', kind, at.isoformat(), full(at), words
    )


def _local(at: datetime) -> datetime:
    return at.astimezone(get_current_timezone())


def _short(at: datetime) -> str:
    at, today = _local(at), _local(now())
    return f"{at:%m-%d %H:%M}" if at.year == today.year else f"{at:%Y-%m-%d %H:%M}"


def full(at: datetime) -> str:
    """ "2026-11-22 18:04:05 Asia/Shanghai"."""
    return f"{_local(at):%Y-%m-%d %H:%M:%S} {get_current_timezone()}"


def since(at: datetime, today: datetime) -> str:
    """ "3 h ago", "in 5 min", "just now": one unit, rounded down."""
    away = abs(today - at)
    if away < timedelta(minutes=1):
        return _("just now")
    words = _one_unit(away)
    return (_("%(lasting)s ago") if at < today else _("in %(lasting)s")) % {"lasting": words}


def _one_unit(length: timedelta) -> str:
    if length.days:
        return ngettext("%(n)s day", "%(n)s days", length.days) % {"n": length.days}
    minutes = length.seconds // 60
    return _("%(hours)s h") % {"hours": minutes // 60} if minutes >= 60 else _("%(n)s min") % {"n": minutes}


@register.filter
def lasting(length: timedelta | int | None) -> str:
    """ "6 h 23 min": two units, rounded down; the sign is left to the words around it. length: whole seconds if a number."""
    if length is None:
        return "–"
    if isinstance(length, int):
        length = timedelta(seconds=length)
    minutes = int(abs(length).total_seconds() // 60)
    values = {"days": minutes // 1440, "hours": minutes // 60, "minutes": f"{minutes % 60:02}"}
    if minutes < 60:
        return _("%(n)s min") % {"n": minutes}
    if minutes < 1440:
        return _("%(hours)s h %(minutes)s min") % values
    return _("%(days)s d %(hours)s h") % {**values, "hours": minutes % 1440 // 60}


@register.simple_tag
def countdown(at: datetime | None) -> SafeString:
    """Time left, or over. hub.js goes on counting by the server's clock; nothing is announced aloud."""
    if at is None:
        return SafeString("–")
    left = at - now()
    words = _("%(lasting)s left") if left >= timedelta(0) else pgettext("time", "%(lasting)s over")
    return format_html(
        '<time class="countdown num{}" role="timer" aria-live="off" data-at="{}" datetime="{}" title="{}">{}</time>',
        " over" if left < timedelta(0) else "",
        at.isoformat(),
        at.isoformat(),
        full(at),
        words % {"lasting": lasting(left)},
    )


@register.simple_tag
def provenance(
    source: object,
    fetched_at: datetime | None = None,
    occurred_at: datetime | None = None,
    *,
    tab: bool = True,
) -> SafeString:
    """Where a number came from and when. In a grid give tab=False: the grid is one Tab stop."""
    words = provenance_words(source, fetched_at, occurred_at)
    return format_html(
        '<button type="button" class="source" data-tip="{}" aria-label="{}"{}>{}</button>',
        words,
        words,
        "" if tab else mark_safe(' tabindex="-1"'),
        icon("clock"),
    )


@register.filter
def source_name(source: object) -> str:
    """As it is set up; what a person typed has no system behind it."""
    return _("Person") if source == "person" else str(source)


def provenance_words(source: object, fetched_at: datetime | None, occurred_at: datetime | None) -> str:
    """ "Source SF Express · fetched 21:03:12 · happened 20:58"."""
    parts = [_("Source %(source)s") % {"source": source_name(source)}]
    if fetched_at:
        parts.append(_("fetched %(at)s") % {"at": _of_day(fetched_at, "%H:%M:%S")})
    if occurred_at:
        parts.append(_("happened %(at)s") % {"at": _of_day(occurred_at, "%H:%M")})
    return " · ".join(parts)


def _of_day(at: datetime, form: str) -> str:
    at = _local(at)
    return at.strftime(form) if at.date() == _local(now()).date() else at.strftime(f"%m-%d {form}")


# What hub.js says. Screens add their own with {{ texts|json_script:"<name>-texts" }}.
TEXTS = {
    "n_min": gettext_lazy("%(n)s min"),
    "h_min": gettext_lazy("%(hours)s h %(minutes)s min"),
    "d_h": gettext_lazy("%(days)s d %(hours)s h"),
    "left": gettext_lazy("%(lasting)s left"),
    "undo": gettext_lazy("Undo"),
    "close": gettext_lazy("Close"),
    "all_help": gettext_lazy("All of the help"),
    "keys_title": gettext_lazy("Keyboard shortcuts"),
    "keys_off": gettext_lazy("Shortcuts are switched off for you. Switch them on under “My settings”."),
    "key_help": gettext_lazy("Show this help"),
    "key_search": gettext_lazy("Search"),
    "key_palette": gettext_lazy("Go to anything"),
    "key_close": gettext_lazy("Close and return"),
    "key_undo": gettext_lazy("Undo the last action"),
    "go_home": gettext_lazy("Go to today"),
    "go_board": gettext_lazy("Go to the order board"),
    "go_exceptions": gettext_lazy("Go to the exceptions"),
    "go_gates": gettext_lazy("Go to the review gates"),
    "go_rules": gettext_lazy("Go to the rules"),
    "palette_hint": gettext_lazy("Order number, waybill, page or view"),
    "palette_none": gettext_lazy("Nothing found for “%(q)s”. Try a whole number or a page's name."),
    "palette_failed": gettext_lazy("The search did not answer. Try again in a moment."),
    "post_failed": gettext_lazy("The server did not answer. Nothing was changed; try again in a moment."),
}
# Where the g-keys lead, as far as the pages exist.
PLACES = {
    "home": "admin:index",
    "board": "admin:board",
    "exceptions": "admin:exceptions",
    "gates": "admin:gates",
    "rules": "admin:rules",
    "palette": "admin:palette",
    "live": "admin:live",
    "me": "admin:me",
    "help": "admin:help",
}


def _places() -> dict[str, str]:
    found = {}
    for key, name in PLACES.items():
        try:
            found[key] = reverse(name)
        except NoReverseMatch:
            continue
    return found


@register.simple_tag(takes_context=True)
def hub_config(context: dict[str, Any]) -> SafeString:
    """What hub.js must know, as JSON in the page."""
    texts = {key: str(text) for key, text in TEXTS.items()}
    texts["over"] = pgettext("time", "%(lasting)s over")
    preference = context.get("preference")
    return json_script(
        {
            "now": now().isoformat(),
            "language": get_language(),
            "zone": str(get_current_timezone()),
            "shortcuts": getattr(preference, "shortcuts", True),
            "urls": {**_places(), "icons": static("orderhub/icons.svg")},
            "texts": texts,
        },
        "hub-config",
    )
