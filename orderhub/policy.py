"""What a page may load and run. Strict for every page; looser only where a page runs code that needs it, and only there."""

from __future__ import annotations

from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponseBase

STRICT: dict[str, list[str]] = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "manifest-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}

# Unfold's Alpine compiles the expressions in attributes, and some of its widgets carry style attributes.
UNFOLD: dict[str, list[str]] = {"script-src": [SELF, UNSAFE_EVAL], "style-src-attr": [UNSAFE_INLINE]}
# The reading pages of the API's schema: a script in the page that starts them, styles made at run time, a worker.
API_READERS = frozenset({"api-docs", "api-redoc"})
READER: dict[str, list[str]] = {
    "script-src": [SELF, UNSAFE_INLINE],
    "style-src": [SELF, UNSAFE_INLINE],
    "worker-src": [SELF, "blob:"],
}


def runs_unfold(request: HttpRequest) -> None:
    """Called by a page's own template, where it loads Unfold's scripts."""
    request.runs_unfold = True  # type: ignore[attr-defined]


class PagePolicy:
    """Middleware, inside csp's own: tells it which of the looser rules this response needs, and closes what is outside."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        match = request.resolver_match
        if getattr(request, "runs_unfold", False):
            response._csp_replace = UNFOLD  # type: ignore[attr-defined]
        elif match is not None and match.url_name in API_READERS:
            response._csp_replace = READER  # type: ignore[attr-defined]
        if not request.path.startswith("/admin/"):
            # Addresses outside carry tokens: no other page may learn them, no search engine keep them.
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["X-Robots-Tag"] = "noindex, nofollow"
        return response
