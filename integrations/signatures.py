"""Signatures of pushes: checked and made, without database or clock."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from integrations.told import told as _

SHARED, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
HMAC_VERSION, ED25519_VERSION = "v1", "v1a"
# The sender decides how many signatures it lists; nobody rotates more keys than this at once.
MAX_SIGNATURES = 16
MAX_HEADER = 4096


class BadSecret(ValueError):
    """A secret that is no secret of this scheme. Its text never repeats the secret."""


class SignatureRefused(Exception):
    """A push that did not come from the one who holds the secret, or not now. code: for programs."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Signed:
    """The three headers of a Standard Webhooks push, and its bytes."""

    message_id: str
    timestamp: str
    signature: str
    body: bytes

    @property
    def content(self) -> bytes:
        return f"{self.message_id}.{self.timestamp}.".encode() + self.body


def check(signed: Signed, secrets: Iterable[str], at: datetime, tolerance: timedelta) -> None:
    """Raises SignatureRefused unless one listed signature fits one secret and the time is within the tolerance.

    secrets: every one that is in force, so that keys can be changed without a gap. Unknown versions are passed over.
    """
    if not (signed.message_id and signed.timestamp and signed.signature):
        raise SignatureRefused(
            "signature_missing", _("webhook-id, webhook-timestamp and webhook-signature are all needed.")
        )
    if not re.fullmatch(r"[0-9]{1,12}", signed.timestamp):
        raise SignatureRefused("timestamp_wrong", _("webhook-timestamp must be whole UNIX seconds."))
    if not fits(signed, secrets):
        raise SignatureRefused(
            "signature_wrong",
            _(
                "No listed signature fits. "
                "Sign the raw body: id.timestamp.body, with the secret of this connection."
            ),
        )
    # Only after the signature: a stranger need not learn how this clock stands.
    seconds = int(signed.timestamp) - at.timestamp()
    if abs(seconds) > tolerance.total_seconds():
        raise SignatureRefused("timestamp_stale", _off(round(seconds), round(tolerance.total_seconds())))


def _off(seconds: int, most: int) -> str:
    text = (
        _(
            "webhook-timestamp is %(seconds)d seconds ahead; at most %(most)d are allowed. "
            "Sign each attempt anew, and check the clock."
        )
        if seconds > 0
        else _(
            "webhook-timestamp is %(seconds)d seconds old; at most %(most)d are allowed. "
            "Sign each attempt anew, and check the clock."
        )
    )
    return text % {"seconds": abs(seconds), "most": most}


def fits(signed: Signed, secrets: Iterable[str]) -> bool:
    given = list(listed(signed.signature))
    found = False
    for secret in secrets:
        for version, signature in given:
            # No early end: how long it takes must not say which secret or signature came close.
            found |= _fits_one(secret, version, signature, signed.content)
    return found


def listed(header: str) -> Iterator[tuple[str, str]]:
    """(version, signature) of every entry of the header."""
    for entry in header[:MAX_HEADER].split()[:MAX_SIGNATURES]:
        version, _sign, signature = entry.partition(",")
        yield version, signature


def _fits_one(secret: str, version: str, signature: str, content: bytes) -> bool:
    if version == HMAC_VERSION and not secret.startswith((PRIVATE, PUBLIC)):
        expected = base64.b64encode(hmac.digest(shared_key(secret), content, "sha256"))
        return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
    if version == ED25519_VERSION and secret.startswith((PRIVATE, PUBLIC)):
        try:
            public_key(secret).verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, ValueError):
            return False
        return True
    return False


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The entry of webhook-signature: v1 with a shared secret, v1a with a private key.

    Raises BadSecret.
    """
    content = Signed(message_id, str(timestamp), "", body).content
    if secret.startswith(PRIVATE):
        signature = private_key(secret).sign(content)
        return f"{ED25519_VERSION},{base64.b64encode(signature).decode()}"
    mac = hmac.digest(shared_key(secret), content, hashlib.sha256)
    return f"{HMAC_VERSION},{base64.b64encode(mac).decode()}"


def shared_key(secret: str) -> bytes:
    key = _decoded(secret.removeprefix(SHARED))
    if len(key) < 16:
        raise BadSecret(_("a shared secret must be at least 16 bytes in base64, usually 24 to 64"))
    return key


def private_key(secret: str) -> Ed25519PrivateKey:
    # Some tools write the seed alone, some the seed with the public key behind it.
    key = _decoded(secret.removeprefix(PRIVATE))
    if len(key) not in {32, 64}:
        raise BadSecret(_("a private key must be 32 or 64 bytes in base64"))
    return Ed25519PrivateKey.from_private_bytes(key[:32])


def public_key(secret: str) -> Ed25519PublicKey:
    if secret.startswith(PRIVATE):
        return private_key(secret).public_key()
    key = _decoded(secret.removeprefix(PUBLIC))
    if len(key) != 32:
        raise BadSecret(_("a public key must be 32 bytes in base64"))
    return Ed25519PublicKey.from_public_bytes(key)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(_("the secret is not base64")) from None


def new_secret() -> str:
    """A shared secret that nobody has had before."""
    return SHARED + base64.b64encode(randomness.token_bytes(32)).decode()


def hidden(secret: str) -> str:
    """The secret as it may be shown: its prefix and how long it is."""
    prefix = next((one for one in (SHARED, PRIVATE, PUBLIC) if secret.startswith(one)), "")
    return f"{prefix}… ({len(secret) - len(prefix)} signs)"
