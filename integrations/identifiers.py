"""Ids as they come from outside: text, kept to the last digit."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from integrations.told import told as _

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
        raise ValueError(_("must not be empty"))
    if len(text) > limit:
        raise ValueError(
            _("is %(length)d signs long; at most %(most)d are kept") % {"length": len(text), "most": limit}
        )
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in text):
        raise ValueError(_("contains a control character"))
    if DAMAGED.fullmatch(text):
        raise ValueError(
            _("%(value)s has been through a number format and may have lost digits; send it as text")
            % {"value": text}
        )
    return text


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError(_("must be text"))
    if isinstance(value, int):
        # Python refuses to write out integers of thousands of digits, with an error of its own.
        if abs(value) >= 10**MAX_ID:
            raise ValueError(_("is too long; at most %(most)d signs are kept") % {"most": MAX_ID})
        return str(value)
    if isinstance(value, (float, Decimal)):
        raise ValueError(_("is a number with a decimal point and may have lost digits; send it as text"))
    raise ValueError(_("must be text"))
