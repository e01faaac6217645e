"""The payload of a commitment and the entries of its log as bytes: what may stand in them, and RFC 8785 for how.

Strings, integers up to 2**53 - 1, null, lists and objects; nothing that two readers could read differently.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import rfc8785

from promises.numbers import DIGITS, LENGTH

SAFE = 2**53 - 1
DEPTH = 8
MAX_ITEMS = 500
# Characters that change how a text looks without being seen: they could make one promise read like another.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
ZERO_WIDTH = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u3164\ufeff\uffa0"
)


class Refused(ValueError):
    """Something that may not stand in a commitment: where, and what."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where or 'payload'}: {what}")
        self.where, self.what = where, what


def check(value: object, where: str = "", depth: int = 0) -> None:
    """That the value holds nothing but what commitments may hold. Raises Refused."""
    if depth > DEPTH:
        raise Refused(where, "nested too deeply")
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        if value is not None and not -SAFE <= value <= SAFE:
            raise Refused(where, "an integer beyond 2**53 - 1")
    elif isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            check(one, f"{where}[{place}]", depth + 1)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                raise Refused(where, "a key that is not text")
            _check_text(key, f"{where}.{key}")
            check(one, f"{where}.{key}".lstrip("."), depth + 1)
    else:
        raise Refused(where, f"a {type(value).__name__}")


def _check_text(text: str, where: str) -> None:
    # Most texts are hashes and names of members: of those none can hide anything.
    if text.isascii() and text.isprintable():
        return
    if not unicodedata.is_normalized("NFC", text):
        raise Refused(where, "text that is not in the NFC form")
    for sign in text:
        if sign in BIDI or sign in ZERO_WIDTH or unicodedata.category(sign) in {"Cc", "Cs", "Cn", "Zl", "Zp"}:
            raise Refused(where, f"the invisible character U+{ord(sign):04X}")
        if 0xE0000 <= ord(sign) <= 0xE007F or 0xFE00 <= ord(sign) <= 0xFE0F:
            raise Refused(where, f"the invisible character U+{ord(sign):04X}")


def encode(value: Mapping[str, Any]) -> bytes:
    """The one way to write it down (RFC 8785). Raises Refused."""
    check(value)
    return rfc8785.dumps(dict(value))


def decode(data: bytes) -> dict[str, Any]:
    """What these bytes say. Raises Refused, also when the same thing could be written in other bytes."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_float=_no_float)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Refused("", "not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise Refused("", "not an object")
    if encode(value) != data:
        raise Refused("", "not written in the canonical form")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("", "the same key twice")
    return found


def _no_float(text: str) -> Any:
    raise Refused("", f"the fraction {text[:20]}")


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex: of a payload it is ph."""
    return hashlib.sha256(data).hexdigest()


def _is_hex(value: object, length: int) -> bool:
    return isinstance(value, str) and len(value) == length and not set(value) - set("0123456789abcdef")


def _is_text(value: object, most: int = 500) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most


def _is_time(value: object) -> bool:
    # Four bytes in the token: until the year 2106.
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**32


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _has(value: object, required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> bool:
    """An object with just these members, each as its check says."""
    wanted, may = dict(required), dict(optional or {})
    if not isinstance(value, dict) or set(value) - set(wanted) - set(may) or set(wanted) - set(value):
        return False
    return all((wanted | may)[key](one) for key, one in value.items())


def _is_quantity(value: object) -> bool:
    if isinstance(value, str):
        whole, _dot, part = value.partition(".")
        return (
            whole.isascii()
            and whole.isdigit()
            and (not _dot or (part.isascii() and part.isdigit()))
            and len(value) <= 20
        )
    return _is_count(value) and value != 0


def _is_number(value: object) -> bool:
    return isinstance(value, str) and len(value) == LENGTH and not set(value) - set(DIGITS)


def _are_items(value: object) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ITEMS:
        return False
    return all(
        _has(one, {"name": _is_text, "qty": _is_quantity, "unit": lambda text: _is_text(text, 20)})
        for one in value
    )


def _is_basis(value: object) -> bool:
    return _has(
        value,
        {"model": _is_text, "lane": _is_text, "p": lambda p: _is_count(p) and p <= 1000},
        {"n": _is_count},
    )


PAYLOAD: dict[str, Any] = {
    "v": lambda value: value == 1 and not isinstance(value, bool),
    "typ": lambda value: value == "promise",
    "log": _is_text,
    "no": _is_number,
    "salt": lambda value: _is_hex(value, 32),
    "seller": lambda value: _has(value, {"name": _is_text, "uscc": lambda text: _is_text(text, 32)}),
    "issued_at": _is_time,
    "due": _is_time,
    "tz": lambda value: _is_text(value, 64),
    "dest": lambda value: _has(value, {"province": _is_text, "city": _is_text}),
    "items": _are_items,
    "order": lambda value: isinstance(value, str) and value[:2] == "h:" and _is_hex(value[2:], 16),
    "basis": _is_basis,
    "seen": lambda value: _has(value, {"size": _is_count, "root": lambda text: _is_hex(text, 64)}),
    "supersedes": lambda value: value is None or _is_hex(value, 64),
    "terms": lambda value: value is None or _is_hex(value, 64),
}
OPTIONAL: dict[str, Any] = {
    "window": lambda value: _has(value, {"from": _is_time, "to": _is_time}) and value["from"] <= value["to"],
    "order_tail": lambda value: isinstance(value, str) and len(value) == 4,
    "to": lambda value: _is_text(value, 40),
    "country": lambda value: _is_text(value, 60),
}


def check_payload(payload: Mapping[str, Any]) -> None:
    """That this is a whole promise and nothing more. Raises Refused naming the member."""
    check(payload)
    for name in PAYLOAD:
        if name not in payload:
            raise Refused(name, "missing")
    for name, value in payload.items():
        judge = PAYLOAD.get(name) or OPTIONAL.get(name)
        if judge is None:
            raise Refused(name, "unknown")
        if not judge(value):
            raise Refused(name, "not as the format says")
    if payload["due"] < payload["issued_at"]:
        raise Refused("due", "before the promise was made")
