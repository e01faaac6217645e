"""How the board is sorted, and how one page follows another: by the values of its last row, never by how many came before."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func, Value
from django.db.models.sql.compiler import SQLCompiler

# What stands for "no time" where times are compared. Written into the statement as it is, never as a parameter:
# SQLite uses an index on an expression only if the statement has the very same words.
FAR = datetime(9999, 12, 31, tzinfo=UTC)
NEVER = datetime(1, 1, 1, tzinfo=UTC)


class _Filled(Func):
    """A time, with a fixed one where there is none."""

    function = "COALESCE"
    output_field = models.DateTimeField()
    filler = ""

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        template = f"COALESCE(%(expressions)s, '{self.filler}')"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        template = f"COALESCE(%(expressions)s, '{self.filler}+00'::timestamptz)"
        return self.as_sql(compiler, connection, template=template, **context)


class NullsLast(_Filled):
    """A deadline; rows without one come after all that have one."""

    filler = "9999-12-31 00:00:00"


class NullsFirst(_Filled):
    """When something was last heard; rows of which nothing ever was come before all others."""

    filler = "0001-01-01 00:00:00"


def _row(parts: Sequence[Any]) -> Func:
    return Func(*parts, template="(%(expressions)s)", output_field=models.BooleanField())


class BadCursor(ValueError):
    """A page mark that this board did not write."""


@dataclass(frozen=True, slots=True)
class Key:
    """One column of a sort: what the database compares, and what the same is of a row that was read."""

    column: str
    filler: datetime | None = None

    @property
    def expression(self) -> Any:
        if self.filler is None:
            return models.F(self.column)
        return (NullsLast if self.filler == FAR else NullsFirst)(self.column)

    def value(self, given: Any) -> Value:
        return Value(given, output_field=models.DateTimeField()) if self.filler else Value(given)

    def of(self, record: Any) -> Any:
        return getattr(record, self.column) or self.filler


@dataclass(frozen=True, slots=True)
class Sort:
    """A way of sorting in which no two rows are equal: the last key is the row's id."""

    name: str
    keys: tuple[Key, ...]
    descending: bool = False

    @property
    def code(self) -> str:
        return f"-{self.name}" if self.descending else self.name

    def reverse(self) -> Sort:
        return Sort(self.name, self.keys, descending=not self.descending)

    def apply(self, rows: Any) -> Any:
        expressions = [key.expression for key in self.keys]
        ordered = [one.desc() if self.descending else one.asc() for one in expressions]
        return rows.order_by(*ordered)

    def beyond(self, rows: Any, values: Sequence[Any]) -> Any:
        """The rows that come after the one with these values."""
        sign = " < " if self.descending else " > "
        mine = _row([key.expression for key in self.keys])
        given = _row([key.value(value) for key, value in zip(self.keys, values, strict=True)])
        is_beyond = Func(
            mine, given, template="%(expressions)s", arg_joiner=sign, output_field=models.BooleanField()
        )
        # SQLite finds the place in the index by the first column only.
        first = {"first__lte" if self.descending else "first__gte": values[0]}
        return rows.alias(first=self.keys[0].expression).filter(is_beyond, **first)

    def mark(self, record: Any) -> str:
        """Where the record stands in this sort, for an address."""
        values = [key.of(record) for key in self.keys]
        text = json.dumps([value.isoformat() if isinstance(value, datetime) else value for value in values])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, mark: str) -> list[Any]:
        """The values of a mark. Raises BadCursor."""
        try:
            values = json.loads(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
            return [_read(key, value) for key, value in zip(self.keys, values, strict=True)]
        except (ValueError, TypeError, binascii.Error) as error:
            raise BadCursor(mark) from error


def _read(key: Key, value: Any) -> Any:
    if key.filler is None:
        if type(value) is not int or not 0 <= value < 2**63:
            raise BadCursor(value)
        return value
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise BadCursor(value)
    return moment


ID = Key("id")
_SORTS = (
    Sort("due", (Key("promised_at", FAR), Key("step_due_at", FAR), Key("stalls_at", FAR), ID)),
    Sort("updated", (Key("last_fact_at", NEVER), ID)),
    Sort("placed", (ID,)),
)
SORTS: dict[str, Sort] = {one.code: one for sort in _SORTS for one in (sort, sort.reverse())}
DEFAULT_SORT = SORTS["due"]
# Over a million closed orders only the newest are ever wanted first, and ids are the one index that costs nothing.
CLOSED_SORT = SORTS["-placed"]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in order, and the marks of the pages before and after; empty where there is none."""

    rows: list[Any]
    before: str = ""
    after: str = ""


def page_of(rows: Any, sort: Sort, *, size: int, after: str = "", before: str = "", load: Any = None) -> Page:
    """The page after one mark, or before the other; without a mark, the first.

    load: what to do to the chosen rows before they are read (joins), so that choosing them reads one table.
    Raises BadCursor.
    """
    way = sort.reverse() if before else sort
    chosen = way.apply(rows)
    if after or before:
        chosen = way.beyond(chosen, way.read(before or after))
    taken = list(_loaded(chosen, way, size + 1, load))
    has_more, taken = len(taken) > size, taken[:size]
    if before:
        taken.reverse()
    if not taken:
        return Page([], before="", after="")
    is_first = not (after or (before and has_more))
    is_last = not (before or has_more)
    return Page(
        taken,
        before="" if is_first else sort.mark(taken[0]),
        after="" if is_last else sort.mark(taken[-1]),
    )


def _loaded(chosen: Any, way: Sort, size: int, load: Any) -> Any:
    if load is None:
        return chosen[:size]
    # Chosen in the narrow table through its index first: a planner that sees the joins may start from one of them.
    ids = chosen.values("pk")[:size]
    return way.apply(load(chosen.model._default_manager.filter(pk__in=ids)))
