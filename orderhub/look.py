"""Unfold's settings: names, the deep blue-green accent, the side bar."""

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
    "BORDER_RADIUS": "4px",
    "COLORS": {
        "primary": {
            "50": "oklch(97.6% .013 205)",
            "100": "oklch(94.2% .028 205)",
            "200": "oklch(88.6% .050 205)",
            "300": "oklch(80.4% .077 206)",
            "400": "oklch(69.5% .092 208)",
            "500": "oklch(58.0% .090 210)",
            "600": "oklch(48.0% .078 212)",
            "700": "oklch(41.5% .067 213)",
            "800": "oklch(36.0% .056 214)",
            "900": "oklch(31.5% .047 215)",
            "950": "oklch(23.5% .036 217)",
        },
    },
    "LOGIN": {"form": "orderhub.login.HubLoginForm"},
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "orderhub.navigation.sidebar",
    },
}
