"""Puts the paper together: words, QR code, terms, letters; then the printer."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import segno
from django.template.loader import render_to_string

from promises import canonical
from promises.document import faces
from promises.document.printing import to_pdf
from promises.document.words import in_fours, said

TEMPLATE = "promises/document/paper.html"
ATTACHMENT = "commitment.json"
# Modules of white around the code, without which readers do not find it.
QUIET_ZONE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What stands around the promise. logo: a picture as a data: address; serial: of the certificate that signs the paper."""

    hotline: str = ""
    logo: str = ""
    serial: str = ""


def render(
    payload: Mapping[str, Any], *, token_text: str, verify_url: str, terms: str, letterhead: Letterhead
) -> bytes:
    """The paper of this payload, a PDF with the payload itself attached.

    token_text: the token in base 32; verify_url: the address that it is put behind; terms: the text whose SHA-256 the
    payload names. Raises canonical.Refused for a payload that is none, ValueError for other terms, and Unprintable.
    """
    canonical.check_payload(payload)
    if payload["terms"] != (hashlib.sha256(terms.encode()).hexdigest() if terms else None):
        raise ValueError("these are not the terms that the payload names")
    data = canonical.encode(payload)
    html = render_to_string(
        TEMPLATE,
        {
            **said(payload),
            "qr": qr(verify_url + token_text),
            # For programs, which open the file without eyes: with it the file alone tells all that is checked.
            "link": verify_url + token_text,
            "address": _as_typed(verify_url),
            "fingerprint": in_fours(canonical.digest(data)[:16]),
            "terms": [part.strip() for part in terms.split("\n") if part.strip()],
            "letterhead": letterhead,
        },
    )
    faces.check(re.sub(r"<[^>]*>", "", html))
    return to_pdf(
        html, attachment=data, name=ATTACHMENT, at=datetime.fromtimestamp(payload["issued_at"], UTC)
    )


def qr(address: str) -> str:
    """The QR code as the address of a picture. Upper case packs tighter, and our addresses take either."""
    code = segno.make(address.upper(), error="m", micro=False, boost_error=False)
    svg = code.svg_inline(border=QUIET_ZONE, omitsize=True, light="#fff")
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _as_typed(address: str) -> str:
    """The address without its scheme, as people type it."""
    parts = urlsplit(address)
    return f"{parts.netloc}{parts.path}".rstrip("/")
