"""From an uploaded file to the messages it holds: one line each, so that reading in can stop and go on anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integrations.canonical import Problem
from integrations.files.opening import FileRefused, Source
from integrations.files.rows import Row, rows_of
from integrations.mapping import compiled
from integrations.mapping.readers import Compiled
from integrations.mapping.transforms import Refused, clean_text
from integrations.mapping.translation import MAX_LINES
from integrations.told import problem_of, row_of
from integrations.told import told as _

MAX_BODY = 1_000_000


@dataclass(slots=True)
class Group:
    """The rows that make one message: one row, or all rows of one order."""

    row: int
    records: list[dict[str, Any]]
    n_rows: int = 1
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Packed:
    """One line of the unpacked file. body is JSON; with problems it is the original row, for the list of errors."""

    row: int
    n_rows: int
    body: str
    problems: tuple[Problem, ...] = ()


def groups_of(rows: Iterable[Row], definition: Mapping[str, Any]) -> Iterator[Group]:
    """Rows as messages: each by itself, or, if the mapping says so, neighbours with one order number together.

    A row without an order number belongs to the order above it. Rows of an order that stand apart are an error: the
    second message would take the lines of the first for cancelled.
    """
    yield from groups_by(rows, compiled(definition))


def groups_by(rows: Iterable[Row], plan: Compiled) -> Iterator[Group]:
    """groups_of for a definition that may not be finished yet."""
    reader = plan.fields.get("external_id")
    if not plan.grouped or reader is None:
        for row in rows:
            yield Group(row.number, [row.record], problems=row.problems)
        return
    seen: set[int] = set()
    present: Group | None = None
    name = ""
    for row in rows:
        found = _order_number(reader.get, row.record)
        if present is not None and found in ("", name):
            _add(present, row)
            continue
        if present is not None:
            yield present
        name = found
        present = Group(row.number, [row.record], problems=list(row.problems))
        # Hashes of the numbers: some ten million of them fit where the numbers themselves would not.
        if name and hash(name) in seen:
            present.problems.append(
                Problem(
                    "external_id", _("The rows of this order stand apart. Sort the file by order number.")
                )
            )
        seen.add(hash(name))
    if present is not None:
        yield present


def _order_number(get: Any, record: dict[str, Any]) -> str:
    try:
        value = get(record)
        return "" if value is None else clean_text(value)
    except Refused:
        return ""


def _add(group: Group, row: Row) -> None:
    group.n_rows += 1
    group.problems += row.problems
    if len(group.records) < MAX_LINES:
        group.records.append(row.record)
    elif group.n_rows == MAX_LINES + 1:
        group.problems.append(
            Problem("lines", _("An order has at most %(limit)d lines.") % {"limit": MAX_LINES})
        )


def unpack(source: Source, definition: Mapping[str, Any], target: Path) -> int:
    """Write every message of the file to target, one a line. Returns the number of rows.

    Raises FileRefused, with nothing left behind, if the file as a whole cannot be read.
    """
    part = target.with_suffix(f".{os.getpid()}.part")
    total = 0
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            for group in groups_of(rows_of(source), definition):
                total += group.n_rows
                file.write(_line(group))
        if not total:
            raise FileRefused(_("The file has column names but no rows. Export it again."))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return total


def body_of(group: Group) -> str:
    """The message's body as it will stand in the inbox."""
    # One row stays an object, so that a mapping without grouping reads the same bodies from a file as from a push.
    value = group.records if len(group.records) > 1 else group.records[0]
    # Unpaired surrogates, which JSON can spell but no database stores, become question marks.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def _line(group: Group) -> str:
    body = body_of(group)
    problems = group.problems
    if len(body) > MAX_BODY:
        problems = [
            *problems,
            Problem("", _("The row is longer than %(limit)d characters.") % {"limit": MAX_BODY}),
        ]
        body = "{}"
    told = json.dumps([row_of(problem) for problem in problems]) if problems else ""
    return f"{group.row}\t{group.n_rows}\t{told}\t{body}\n"


def packed(line: bytes) -> Packed:
    """One line of an unpacked file, read back."""
    row, n_rows, told, body = line.decode().rstrip("\n").split("\t", 3)
    problems = tuple(problem_of(each) for each in json.loads(told)) if told else ()
    return Packed(int(row), int(n_rows), body, problems)
