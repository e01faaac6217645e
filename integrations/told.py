"""Sentences that are written now and read later, by somebody else in another language.

Workers write down what is wrong with a row. Beside the words in their own language they keep which sentence it is and
what was filled in, so that a page says it in the reader's. `told` stands where gettext would: it gives a plain string
that remembers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from integrations.canonical import Problem

# As much of one filled-in value as is kept.
LONGEST = 300


class Told(str):
    """A translated sentence that remembers its English msgid and what was filled into it."""

    msgid: str
    params: dict[str, Any]

    def __new__(cls, text: str, msgid: str, params: Mapping[str, Any] | None = None) -> Told:
        made = super().__new__(cls, text)
        made.msgid, made.params = msgid, dict(params or {})
        return made

    def __str__(self) -> str:
        # str() of a subclass gives a plain copy, which has forgotten; errors are passed on by str(error).
        return self

    def __mod__(self, params: Any) -> Told:
        return Told(super().__mod__(params), self.msgid, params)


def told(msgid: str) -> Told:
    """The sentence in the present language. Fill it in with %, as any other."""
    return Told(gettext(msgid), msgid)


def kept(text: str) -> dict[str, Any]:
    """What to keep beside the words: {"id", "params"}; {} for text that is no sentence of ours."""
    if not isinstance(text, Told):
        return {}
    return {"id": text.msgid, "params": {name: _plain(value) for name, value in text.params.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Told):
        return kept(value)
    return value if isinstance(value, (bool, int, float)) else str(value)[:LONGEST]


def words(text: str, memory: Mapping[str, Any] | None) -> str:
    """The sentence in the reader's language; the text as it was written, if its memory says nothing usable."""
    msgid = (memory or {}).get("id")
    if not memory or not isinstance(msgid, str):
        return text
    params = {
        name: words("", value) if isinstance(value, dict) else value
        for name, value in (memory.get("params") or {}).items()
    }
    try:
        return gettext(msgid) % params if params else gettext(msgid)
    except (KeyError, TypeError, ValueError):
        return text


def row_of(problem: Problem) -> dict[str, Any]:
    """The problem as a message keeps it."""
    return {"field": problem.field, "error": str.__str__(problem.error), **kept(problem.error)}


def problem_of(row: Mapping[str, Any]) -> Problem:
    """row_of, back again."""
    text = str(row.get("error", ""))
    memory = row.get("id")
    return Problem(str(row["field"]), Told(text, memory, row.get("params")) if memory else text)


def words_of(row: Mapping[str, Any]) -> str:
    """What a kept problem says to this reader."""
    return words(str(row.get("error", "")), row)
