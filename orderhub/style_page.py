"""The style page: every token with its measured contrast, every chip, button, field and state in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.states import STATES
from orders.templatetags.hub import MEANINGS, shapes

TEXT = 4.5
PARTS = 3.0
TOKEN = re.compile(r"--([\w-]+):\s*(#[0-9a-fA-F]{6})\s*;")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")

# Which token is read or seen on which, and what ratio that needs.
PAIRS: tuple[tuple[str, str, float], ...] = (
    ("ink", "surface", TEXT),
    ("ink", "surface-2", TEXT),
    ("ink-2", "surface", TEXT),
    ("ink-2", "surface-2", TEXT),
    ("accent", "surface", TEXT),
    ("accent", "surface-2", TEXT),
    ("accent", "accent-soft", TEXT),
    ("accent-ink", "accent", TEXT),
    ("ink", "accent-soft", TEXT),
    *((f"{name}-ink", f"{name}-bg", TEXT) for name in ("danger", "warn", "ok", "info", "stale", "gate")),
    *((f"{name}-ink", "surface", TEXT) for name in ("danger", "warn", "ok", "info", "stale", "gate")),
    ("line-strong", "surface", PARTS),
    ("line-strong", "surface-2", PARTS),
    ("focus", "surface", PARTS),
    ("focus", "surface-2", PARTS),
    ("focus", "accent-soft", PARTS),
)  # fmt: skip

EXAMPLES = {
    "danger": gettext_lazy("Exception"),
    "warn": gettext_lazy("At risk"),
    "ok": gettext_lazy("On time"),
    "info": gettext_lazy("In progress"),
    "stale": gettext_lazy("Stale"),
    "gate": gettext_lazy("Needs review"),
    "neutral": gettext_lazy("Not started"),
}


def pages(site: AdminSite) -> list[URLPattern]:
    def style(request: HttpRequest) -> HttpResponse:
        context = {**site.each_context(request), "title": _("Style"), **_examples()}
        return TemplateResponse(request, "hub/style.html", context)

    return [path("style/", site.admin_view(style), name="style")]


@dataclass(frozen=True, slots=True)
class Measured:
    """One token on another, in one theme."""

    front: str
    back: str
    front_colour: str
    back_colour: str
    needs: float

    @property
    def ratio(self) -> float:
        return contrast(self.front_colour, self.back_colour)

    @property
    def is_enough(self) -> bool:
        return self.ratio >= self.needs


@cache
def tokens() -> dict[str, dict[str, str]]:
    """Colours by name for "light" and "dark", as tokens.css sets them."""
    found = finders.find("orderhub/tokens.css")
    if not found:
        raise ImproperlyConfigured("orderhub/tokens.css is missing from the static files.")
    themes: dict[str, dict[str, str]] = {"light": {}, "dark": {}}
    sheet = COMMENT.sub("", Path(str(found)).read_text(encoding="utf-8"))
    for selector, body in RULE.findall(sheet):
        themes["dark" if "html.dark" in selector else "light"].update(TOKEN.findall(body))
    return themes


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2 between two colours "#rrggbb", from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def measured(theme: str) -> list[Measured]:
    colours = tokens()[theme]
    return [Measured(front, back, colours[front], colours[back], needs) for front, back, needs in PAIRS]


def _examples() -> dict[str, Any]:
    at = now()
    return {
        "themes": [("light", _("Light"), measured("light")), ("dark", _("Dark"), measured("dark"))],
        "chips": [(code, EXAMPLES[code]) for code in sorted(MEANINGS)],
        "icons": sorted(shapes()),
        "states": STATES,
        "earlier": at - timedelta(hours=3, minutes=20),
        "later": at + timedelta(hours=6, minutes=23),
        "filters": [{"label": _("Shop: example"), "remove_url": "?"}],
        "rows": [("OH261122-7K2MD", _("Awaiting pick"), 12), ("OH261122-3QX8A", _("In transit"), 3)],
    }
