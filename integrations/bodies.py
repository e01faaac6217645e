"""Request bodies: never more than allowed, and JSON that means the same to everybody."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _


class BadBody(Exception):
    """A body that is not taken. status: of the answer; code: for programs."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


def read_body(request: HttpRequest) -> bytes:
    """The body, refused by its announced length before a byte of it is read.

    Raises BadBody.
    """
    limit = settings.INBOUND_MAX_BYTES
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        raise BadBody(411, "length_missing", _("Bodies in chunks are not taken; send Content-Length."))
    try:
        announced = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise BadBody(400, "bad_length", _("Content-Length is not a number.")) from None
    if announced > limit:
        raise BadBody(
            413,
            "too_large",
            _("The body has %(bytes)d bytes; at most %(most)d are taken. Send fewer items at once.")
            % {"bytes": announced, "most": limit},
        )
    body = request.read(limit + 1)
    if len(body) > limit:
        raise BadBody(
            413,
            "too_large",
            _("The body has more than %(most)d bytes. Send fewer items at once.") % {"most": limit},
        )
    if len(body) < announced:
        raise BadBody(
            400,
            "cut_off",
            _("The body ends after %(bytes)d of %(announced)d bytes. Send it again.")
            % {"bytes": len(body), "announced": announced},
        )
    return body


def check_json_type(request: HttpRequest) -> None:
    """Raises BadBody unless the sender says that the body is plain JSON."""
    kind = (request.content_type or "").lower()
    if kind != "application/json" and not kind.endswith("+json"):
        text = (
            _("Content-Type is %(kind)s; send application/json.")
            if kind
            else _("Content-Type is missing; send application/json.")
        )
        raise BadBody(415, "not_json", text % {"kind": kind})
    charset = (request.content_params or {}).get("charset", "utf-8").lower().replace("-", "")
    if charset != "utf8":
        raise BadBody(415, "not_utf8", _("JSON is read as UTF-8; leave the charset out."))
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() not in {"", "identity"}:
        raise BadBody(415, "compressed", _("Compressed bodies are not taken; leave Content-Encoding out."))


def text_of(body: bytes) -> str:
    """Raises BadBody if the bytes are not UTF-8 or contain NUL, which no database text keeps."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadBody(
            400,
            "not_utf8",
            _("The body is not UTF-8: byte %(place)d is %(why)s.")
            % {"place": error.start, "why": error.reason},
        ) from None
    if "\x00" in text:
        raise BadBody(
            400,
            "bad_json",
            _("The body is not JSON: NUL at character %(place)d.") % {"place": text.index("\x00")},
        )
    return text


def parse_json(text: str) -> Any:
    """The JSON with exact decimals. Raises BadBody for what readers of JSON disagree on: NaN, names given twice."""
    if not text.strip():
        raise BadBody(400, "bad_json", _("The body is empty; send JSON."))
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_no_twins)
    except json.JSONDecodeError as error:
        raise BadBody(
            400,
            "bad_json",
            _("The body is not JSON: %(why)s at line %(line)d, column %(column)d.")
            % {"why": error.msg, "line": error.lineno, "column": error.colno},
        ) from None
    except RecursionError:
        raise BadBody(400, "too_deep", _("The JSON is nested too deeply.")) from None
    except ValueError as error:
        raise BadBody(400, "bad_json", _("The body is not JSON: %(why)s.") % {"why": error}) from None


def _no_constant(name: str) -> Any:
    raise ValueError(_("%(name)s is not a JSON number") % {"name": name})


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(_("the name “%(name)s” is given twice in one object") % {"name": twin[:40]})
    return found
