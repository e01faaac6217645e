"""The signed token in the QR code: 119 bytes that say who promised what until when, to be checked without any server."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from promises import numbers

VERSION = 1
BODY = 55
LENGTH = 119
DOMAIN = b"orderhub/promise-token/v1\n"
KEY_KIND = b"orderhub-token-v1"
# The most common ways a chat or a scanner bends an address.
TEXT_LENGTH = 191


class BadToken(ValueError):
    """Not a token of ours: cut, extended, another version, an unknown key, or a signature that does not fit."""


@dataclass(frozen=True, slots=True)
class Token:
    """number: 16 characters. issued_at, due: Unix seconds. ph: SHA-256 of the payload, 32 bytes."""

    key_id: bytes
    number: str
    issued_at: int
    due: int
    ph: bytes


def key_id(name: str, public: bytes) -> bytes:
    """Four bytes that tell keys apart; name is the log's origin."""
    return hashlib.sha256(name.encode() + b"\n\xff" + KEY_KIND + public).digest()[:4]


def sign(name: str, key: Ed25519PrivateKey, *, number: str, issued_at: int, due: int, ph: bytes) -> bytes:
    body = (
        bytes([VERSION])
        + key_id(name, key.public_key().public_bytes_raw())
        + numbers.decode(number)
        + issued_at.to_bytes(4, "big")
        + due.to_bytes(4, "big")
        + ph
    )
    if len(body) != BODY:
        raise ValueError("ph must be 32 bytes")
    return body + key.sign(DOMAIN + body)


def parse(token: bytes) -> Token:
    """What the token says, not yet whether it is true. Raises BadToken."""
    if len(token) != LENGTH:
        raise BadToken("the length is wrong")
    if token[0] != VERSION:
        raise BadToken("the version is unknown")
    return Token(
        key_id=token[1:5],
        number=numbers.encode(token[5:15]),
        issued_at=int.from_bytes(token[15:19], "big"),
        due=int.from_bytes(token[19:23], "big"),
        ph=token[23:BODY],
    )


def verify(token: bytes, keys: dict[bytes, bytes]) -> Token:
    """What the token says if one of these keys (key id -> public key, 32 bytes) has signed it. Raises BadToken."""
    said = parse(token)
    public = keys.get(said.key_id)
    if public is None:
        raise BadToken("the key is unknown")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(token[BODY:], DOMAIN + token[:BODY])
    except InvalidSignature:
        raise BadToken("the signature does not fit") from None
    return said


def to_text(token: bytes) -> str:
    """Base 32 without padding, upper case: the QR code's alphanumeric set."""
    return base64.b32encode(token).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """The token in an address, in either case, tolerant of slashes around it. Raises BadToken."""
    wanted = text.strip().strip("/").upper()
    if len(wanted) != TEXT_LENGTH:
        raise BadToken("the length is wrong")
    try:
        token = base64.b32decode(wanted + "=" * (-len(wanted) % 8))
    except (binascii.Error, ValueError):
        raise BadToken("a character is not of this alphabet") from None
    # Left-over bits of the last character must be zero, else one token would have several texts.
    if to_text(token) != wanted:
        raise BadToken("the last character is wrong")
    return token
