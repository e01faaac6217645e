"""The attestation number on a commitment: 80 random bits in Crockford's base 32, with a check symbol (modulo 37)."""

from __future__ import annotations

import secrets

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECK = DIGITS + "*~$=U"
LENGTH = 16
# What people write instead: Crockford reads O as 0, I and L as 1.
_READ_AS = str.maketrans("OIL", "011", " -\t\u00a0\u2010\u2011\u2013\u3000")


class BadNumber(ValueError):
    """Not an attestation number: another length, another letter, or a check symbol that does not fit."""


def draw() -> str:
    return encode(secrets.token_bytes(10))


def encode(number: bytes) -> str:
    """Ten bytes as sixteen characters."""
    value = int.from_bytes(number, "big")
    return "".join(DIGITS[value >> shift & 31] for shift in range(75, -1, -5))


def decode(number: str) -> bytes:
    """Sixteen characters as ten bytes. Raises BadNumber."""
    value = 0
    for sign in number:
        place = DIGITS.find(sign)
        if place < 0:
            raise BadNumber(number)
        value = value << 5 | place
    if len(number) != LENGTH:
        raise BadNumber(number)
    return value.to_bytes(10, "big")


def check_symbol(number: str) -> str:
    return CHECK[int.from_bytes(decode(number), "big") % 37]


def shown(number: str) -> str:
    """As printed: four groups and the check symbol."""
    groups = [number[start : start + 4] for start in range(0, LENGTH, 4)]
    return "-".join([*groups, check_symbol(number)])


def read(typed: str) -> str:
    """The sixteen characters that somebody typed, in any case, with or without blanks, hyphens and check symbol.

    Raises BadNumber; a wrong check symbol is a mistyped number.
    """
    text = typed.strip().upper().translate(_READ_AS)
    number, symbol = text[:LENGTH], text[LENGTH:]
    decode(number)
    if symbol and symbol != check_symbol(number):
        raise BadNumber(typed)
    return number
