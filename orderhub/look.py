"""Unfold's settings: names and the side bar."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "orderhub",
    "SITE_HEADER": "orderhub",
    "SITE_URL": None,
    "SITE_SYMBOL": "hub",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": False,
    # Its colours stand in unfold.css: a style element in every page would need a looser policy.
    "COLORS": {},
    "LOGIN": {"form": "orderhub.login.HubLoginForm"},
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "orderhub.navigation.sidebar",
    },
}
