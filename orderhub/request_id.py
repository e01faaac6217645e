"""One number for each request: in the answer's header, on error pages, and on every line of the log that it caused."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse

Handler = Callable[[HttpRequest], HttpResponse]

HEADER = "X-Request-ID"
# What a proxy in front may have given; anything else could forge lines of the log.
GIVEN = re.compile(r"^[A-Za-z0-9-]{8,64}$")

# Whoever has such an address has what it opens: it must not lie in log files. What follows /v/ and /o/ is the secret, and
# the code of a commitment wherever it stands.
SECRETS = re.compile(r"(/[vVoO]/+)[^\s\"'<>\\?]+|[A-Za-z2-7]{191}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The number of the request being answered; empty outside of requests."""
    return _current.get()


def request_id(get_response: Handler) -> Handler:
    """The outermost middleware: whatever answers, the answer has its number."""

    def handle(request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        number = given if GIVEN.match(given) else secrets.token_hex(8)
        # Django's own lines about an answer are written after the last middleware.
        request.request_id = number  # type: ignore[attr-defined]
        token = _current.set(number)
        try:
            response = get_response(request)
        finally:
            _current.reset(token)
        response.headers[HEADER] = number
        return response

    return handle


def scrubbed(text: str) -> str:
    """The text without the secrets that addresses carry."""
    return SECRETS.sub(lambda found: f"{found[1] or ''}***", text)


class JsonLines(logging.Formatter):
    """Each record as one line of JSON; a traceback stays inside its line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        number = current() or getattr(getattr(record, "request", None), "request_id", "")
        if number:
            line["request"] = number
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return scrubbed(json.dumps(line, ensure_ascii=False))
