"""Where a value stands in a record: a column, a dotted path with [] for every element of a list, or JMESPath."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from integrations.mapping.transforms import Refused
from integrations.told import told as _

Getter = Callable[[Mapping[str, Any]], Any]
MAX_PATH = 200
MAX_EXPRESSION = 500
EACH = -1
_PIECE = re.compile(r"[^.\[\]]+|\[\d*\]")


class BadPath(ValueError):
    """The path cannot be read. The message says why."""


def steps_of(path: str) -> tuple[str | int, ...]:
    """a.b[].c[0] -> ("a", "b", EACH, "c", 0)"""
    if not path.strip() or len(path) > MAX_PATH:
        raise BadPath(_("A path has 1 to %(limit)d characters.") % {"limit": MAX_PATH})
    steps: list[str | int] = []
    for piece in _PIECE.findall(path):
        if piece[0] != "[":
            steps.append(piece)
        else:
            steps.append(int(piece[1:-1]) if piece[1:-1] else EACH)
    if not steps or (isinstance(steps[0], int) and steps[0] != EACH):
        raise BadPath(_("The path does not begin with a name."))
    return tuple(steps)


def by_path(path: str) -> Getter:
    """A getter that gives None where the record has nothing, and a list where the path has []."""
    steps = steps_of(path)
    if len(steps) == 1:
        return lambda record: record.get(path)

    def get(record: Mapping[str, Any]) -> Any:
        # A column of a flat file may itself be called "price.usd".
        return record[path] if path in record else _walk(record, steps)

    return get


def _walk(value: Any, steps: tuple[str | int, ...]) -> Any:
    for place, step in enumerate(steps):
        if step == EACH:
            if value is None:
                return None
            found = value if isinstance(value, list) else [value]
            rest = steps[place + 1 :]
            inner = [_walk(each, rest) for each in found]
            return [leaf for each in inner for leaf in (each or [])] if EACH in rest else inner
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return None
    return value


def by_expression(expression: str) -> Getter:
    """A getter for a JMESPath expression, compiled once."""
    if not expression.strip() or len(expression) > MAX_EXPRESSION:
        raise BadPath(_("An expression has 1 to %(limit)d characters.") % {"limit": MAX_EXPRESSION})
    try:
        search = jmespath.compile(expression).search
    except (JMESPathError, RecursionError) as error:
        raise BadPath(
            _("This is not a JMESPath expression: %(why)s") % {"why": " ".join(str(error).split())}
        ) from error

    def get(record: Mapping[str, Any]) -> Any:
        try:
            return search(record)
        except (JMESPathError, RecursionError, ArithmeticError) as error:
            raise Refused(
                _("The expression fails on this record: %(why)s")
                % {"why": " ".join(str(error).split())[:160]}
            ) from error

    return get
