"""Panels that other rooms add to the order's page (ORDER_PANELS). One that fails is named and takes nothing down."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from orders.models import Order

logger = logging.getLogger(__name__)
COLUMNS = ("main", "side")


@dataclass(frozen=True)
class Panel:
    """One panel as the page shows it. html: empty if it failed."""

    key: str
    title: str
    column: str
    html: str = ""
    has_failed: bool = False


def panels(order: Order, request: HttpRequest) -> list[Panel]:
    found = (_panel(dotted, order, request) for dotted in settings.ORDER_PANELS)
    return [panel for panel in found if panel is not None]


def _panel(dotted: str, order: Order, request: HttpRequest) -> Panel | None:
    try:
        given: dict[str, Any] | None = import_string(dotted)(order, request)
        return _rendered(given, order, request) if given is not None else None
    except Exception:
        # Whatever another room does wrong, the order's own page stands.
        logger.exception("order panel %s failed on %s", dotted, order.number)
        room = dotted.split(".")[0]
        return Panel(key=dotted, title=_("Panel “%(room)s”") % {"room": room}, column="side", has_failed=True)


def _rendered(given: dict[str, Any], order: Order, request: HttpRequest) -> Panel:
    context = given.get("context") or {}
    html = render_to_string(given["template"], {**context, "panel": context, "order": order}, request=request)
    column = given.get("column", "side")
    return Panel(
        key=str(given.get("key", given["title"])),
        title=str(given["title"]),
        column=column if column in COLUMNS else "side",
        html=html,
    )
