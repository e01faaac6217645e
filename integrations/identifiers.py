"""Ids as they come from outside: text, kept to the last digit."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

MAX_ID = 64

# What a spreadsheet makes of a long id: 2.88231E+17, or 1001.0. The digits that are gone cannot be guessed back.
DAMAGED = re.compile(r"[+-]?\d+(\.\d+)?[eE]\+\d+|\d+\.\d+[eE]\d+|\d+\.0+")
# Blanks that NFKC leaves alone and that nobody sees.
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


def clean_id(value: object, *, limit: int = MAX_ID) -> str:
    """The id as the hub keeps it: half-width signs, no blanks around it, every digit and leading zero kept.

    Raises ValueError, in words for the sender, if the value is not an id or has lost digits on its way.
    """
    text = unicodedata.normalize("NFKC", _as_text(value)).strip(INVISIBLE + " \t\r\n")
    if not text:
        raise ValueError("must not be empty")
    if len(text) > limit:
        raise ValueError(f"is {len(text)} signs long; at most {limit} are kept")
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in text):
        raise ValueError("contains a control character")
    if DAMAGED.fullmatch(text):
        raise ValueError(f"{text} has been through a number format and may have lost digits; send it as text")
    return text


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError("must be text")
    if isinstance(value, int):
        # Python refuses to write out integers of thousands of digits, with an error of its own.
        if abs(value) >= 10**MAX_ID:
            raise ValueError(f"is too long; at most {MAX_ID} signs are kept")
        return str(value)
    if isinstance(value, (float, Decimal)):
        raise ValueError("is a number with a decimal point and may have lost digits; send it as text")
    raise ValueError("must be text")
