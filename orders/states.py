"""The six states of every list: the names, and a way to look at each in tests."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

STATES = ("loading", "empty_first", "empty_filtered", "error", "stale", "no_permission")


def forced(request: HttpRequest) -> str:
    """The state that ?_state= asks for, where settings.SHOW_STATES allows it; else ""."""
    wanted = request.GET.get("_state", "") if getattr(settings, "SHOW_STATES", False) else ""
    return wanted if wanted in STATES else ""
