"""Says of a signed push whether it would be taken, and if not, which part of it is wrong. Keeps and logs nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from integrations import signatures
from integrations.signatures import BadSecret, SignatureRefused, Signed

KEY_PAIRS = (signatures.PRIVATE, signatures.PUBLIC)
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


@dataclass(frozen=True, slots=True)
class Verdict:
    """part: what is wrong, "" if nothing is. text: in words; hint: what probably happened, "" if nobody can tell."""

    part: str
    text: str
    hint: str = ""

    @property
    def is_right(self) -> bool:
        return not self.part


def headers_of(text: str) -> dict[str, str]:
    """The three headers out of pasted lines, in any case, with or without quotes and a -H before them."""
    found = {}
    for line in text.replace("\\\n", "\n").splitlines():
        name, _colon, value = line.strip().removeprefix("-H").strip(" '\"\\").partition(":")
        if name.strip().lower() in HEADERS:
            found[name.strip().lower()] = value.strip(" '\"\\")
    return found


@sensitive_variables()
def verify(secret: str, headers: str, body: str, at: datetime, tolerance: timedelta) -> Verdict:
    """Judge the push as the hub would at that moment."""
    named = headers_of(headers)
    missing = [name for name in HEADERS if not named.get(name)]
    if missing:
        return Verdict("headers", _("Missing: %(names)s.") % {"names": ", ".join(missing)})
    if not _is_usable(secret):
        return Verdict(
            "secret", _("This is no secret of a webhook. Copy it whole, with its beginning whsec_.")
        )
    # Browsers send every line end of a form as CR LF, whatever was pasted.
    first = _signed(named, body.replace("\r\n", "\n"))
    for signed in (first, _signed(named, body)):
        try:
            signatures.check(signed, [secret], at, tolerance)
        except SignatureRefused as refusal:
            if refusal.code == "signature_wrong":
                continue
            return Verdict("webhook-timestamp", _off(refusal.code, signed, at, tolerance))
        return Verdict("", _("The signature fits. This push would be taken."))
    return Verdict("webhook-signature", _("The signature does not fit."), _hint(secret, first))


@sensitive_variables()
def _is_usable(secret: str) -> bool:
    try:
        if secret.startswith(KEY_PAIRS):
            signatures.public_key(secret)
        else:
            signatures.shared_key(secret)
    except BadSecret:
        return False
    return True


def _off(code: str, signed: Signed, at: datetime, tolerance: timedelta) -> str:
    if code != "timestamp_stale":
        return _("webhook-timestamp must be whole UNIX seconds.")
    seconds = abs(int(signed.timestamp) - round(at.timestamp()))
    text = _(
        "The signature fits, but webhook-timestamp is %(seconds)s seconds off; at most %(most)s are allowed. "
        "Sign each attempt anew, and check the clock."
    )
    return text % {"seconds": seconds, "most": round(tolerance.total_seconds())}


def _signed(named: dict[str, str], body: str) -> Signed:
    name, timestamp, signature = (named[header] for header in HEADERS)
    return Signed(name, timestamp, signature, body.encode())


@sensitive_variables()
def _hint(secret: str, signed: Signed) -> str:
    """The usual mistakes, tried one by one."""
    unknown = _(
        "Neither secret nor content fits: is it the secret of this connection, and the body byte for byte?"
    )
    if secret.startswith(KEY_PAIRS):
        return unknown
    given = {signature for _version, signature in signatures.listed(signed.signature) if signature}
    if not given:
        return _("webhook-signature must read v1, a comma, and the signature in base64.")
    for key, content, hint in _mistakes(secret, signed):
        mac = hmac.digest(key, content, hashlib.sha256)
        if base64.b64encode(mac).decode() in given:
            return hint
        if mac.hex() in {one.lower() for one in given}:
            return _("The signature is in hexadecimal. Send it in base64.")
    return unknown


def _mistakes(secret: str, signed: Signed) -> Iterator[tuple[bytes, bytes, str]]:
    key, body = signatures.shared_key(secret), signed.body
    before = f"{signed.message_id}.{signed.timestamp}.".encode()
    yield key, signed.content, ""
    yield (
        key,
        before + body.rstrip(b"\n"),
        _("The body was signed without the line end that stands at its end here."),
    )
    yield key, before + body + b"\n", _("The body was signed with a line end that is not at its end here.")
    yield key, body, _("Only the body was signed. Sign id, timestamp and body, with dots between them.")
    yield (
        key,
        f"{signed.timestamp}.".encode() + body,
        _("webhook-id was left out. Sign id, timestamp and body, with dots between them."),
    )
    undecoded = _("The secret was used as text. Decode what stands after whsec_ from base64 first.")
    yield secret.removeprefix(signatures.SHARED).encode(), signed.content, undecoded
    yield secret.encode(), signed.content, undecoded
