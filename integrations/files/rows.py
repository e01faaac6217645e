"""The rows of a table or of JSON records, one after another, whatever the file's size."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from typing import Any

from integrations.canonical import Problem
from integrations.files.opening import (
    MAX_LINE,
    TABLE,
    WORKBOOK,
    FileRefused,
    Source,
    opened_bytes,
    opened_text,
)
from integrations.told import told as _

MAX_COLUMNS = 300
# As many as a worker unpacks well within the time one task may take.
MAX_ROWS = 500_000
# ="00123" is how some systems keep spreadsheet programs from eating the zeros.
AS_TEXT = re.compile(r'="(.*)"', re.DOTALL)

# How far down the column names are looked for.
LOOKED_AT = 10

# Cells that begin with one of these are run as formulas by spreadsheet programs.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number as a spreadsheet counts, its values by column, and what is wrong with it as a row."""

    number: int
    record: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)


def rows_of(source: Source) -> Iterator[Row]:
    """Every row of the file that is not empty.

    Raises FileRefused as soon as the file as a whole turns out unreadable.
    """
    if source.kind == WORKBOOK:
        from integrations.files.workbook import workbook_rows

        found = workbook_rows(source.path)
    else:
        found = _table_rows(source) if source.kind == TABLE else _json_rows(source)
    for count, row in enumerate(found):
        if count >= MAX_ROWS:
            raise FileRefused(_("The file has more than %(limit)d rows. Split it.") % {"limit": MAX_ROWS})
        yield row


# Tables.


def header_of(cells: Sequence[str]) -> list[str]:
    """The column names; a name that occurs again gets a number, an empty one stays empty and is not read.

    Raises FileRefused if there are none, or far too many.
    """
    names: list[str] = []
    for cell in cells:
        name = " ".join(cell.split())
        names.append(f"{name} ({names.count(name) + 1})" if name and name in names else name)
    if not any(names):
        raise FileRefused(
            _("The first row has no column names. Put the names of the columns in the first row.")
        )
    if len(names) > MAX_COLUMNS:
        raise FileRefused(_("The first row has more than %(limit)d columns.") % {"limit": MAX_COLUMNS})
    return names


def _table_rows(source: Source) -> Iterator[Row]:
    with opened_text(source) as lines:
        head = list(islice(lines, LOOKED_AT))
        told = bool(head) and head[0][:4].lower() == "sep="
        rest = chain(head[1:] if told else head, lines)
        reader = csv.reader(rest, delimiter=_separator(head), strict=True)
        number = 1 if told else 0
        names: list[str] = []
        try:
            first = list(islice(reader, LOOKED_AT))
            n_titles = titles_above([sum(_is_filled(cell) for cell in cells) for cells in first])
            number += n_titles
            for cells in chain(first[n_titles:], reader):
                number += 1
                if not names:
                    names = header_of(cells)
                elif any(_is_filled(cell) for cell in cells):
                    yield _table_row(number, names, cells)
        except csv.Error as error:
            raise FileRefused(
                _(
                    "Row %(row)d cannot be read as CSV (%(why)s). Look for a quotation mark that is missing or too many."
                )
                % {"row": number + 1, "why": error}
            ) from error


def _is_filled(cell: str) -> bool:
    return bool(cell) and not cell.isspace()


def titles_above(filled: Sequence[int]) -> int:
    """How many rows stand above the column names, given how many cells are filled in each of the first rows.

    People put a title over their tables, merged over all columns, and a line with the date of the export: one or two
    cells, where the table itself has at least three. Blank rows count only under a title.
    """
    wanted = (max(filled, default=0) + 1) // 2
    if wanted < 2 or not filled[0]:
        return 0
    titles = takewhile(lambda count: count <= 2 and count < wanted, filled)
    return sum(1 for _count in titles)


def _separator(head: Sequence[str]) -> str:
    """The sign that parts the columns of the first line that has any: a title above them has none."""
    if head and head[0][:4].lower() == "sep=" and len(head[0]) > 4:
        return head[0][4]
    for line in head:
        bare = re.sub(r'"[^"]*"', "", line)
        sign = max(",;\t|", key=bare.count)
        if bare.count(sign) > 1:
            return sign
    return max(",;\t|", key=head[0].count) if head else ","


def _table_row(number: int, names: list[str], cells: list[str]) -> Row:
    record = {}
    for name, cell in zip(names, cells, strict=False):
        if name:
            if cell[:2] == '="':
                found = AS_TEXT.fullmatch(cell)
                cell = found[1] if found else cell
            elif cell[:1] == "'" and (cell[1:].isdigit() or cell[1:].startswith(FORMULA_SIGNS)):
                # As our own list of errors writes ids and what looks like a formula.
                cell = cell[1:]
            record[name] = cell
    if any(cells[len(names) :]):
        error = _(
            "The row has %(count)d cells, the header %(names)d. A separator inside a value needs quotation marks."
        )
        return Row(number, record, [Problem("", error % {"count": len(cells), "names": len(names)})])
    return Row(number, record)


# JSON: one record a line, or one list of records.


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _json_rows(source: Source) -> Iterator[Row]:
    with opened_bytes(source) as file:
        head = file.peek(64)[:64].lstrip(b"\xef\xbb\xbf \t\r\n")  # type: ignore[attr-defined]
    if head[:1] == b"[":
        with opened_text(source, in_lines=False) as chunks:
            yield from _list_rows(chunks)
    else:
        with opened_text(source) as lines:
            yield from _line_rows(lines)


def _line_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _json_row(number, _DECODER.decode(line.strip()))
            except (ValueError, RecursionError) as error:
                shown = {"": line.strip()[:500]}
                yield Row(
                    number, shown, [Problem("", _("The line is not JSON: %(why)s.") % {"why": _why(error)})]
                )


def _json_row(number: int, value: Any) -> Row:
    if isinstance(value, dict):
        return Row(number, value)
    return Row(number, {"": value}, [Problem("", _("Expected an object with named values: {…}."))])


def _why(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def _list_rows(chunks: Iterator[str]) -> Iterator[Row]:
    buffer = next(chunks, "").lstrip("\ufeff \t\r\n")[1:]
    number = 0
    while True:
        buffer = buffer.lstrip(", \t\r\n")
        if not buffer:
            buffer = next(chunks, "")
            if not buffer:
                raise FileRefused(
                    _("The list of records is cut off: its closing bracket ] is missing. Export it again.")
                )
        elif buffer[0] == "]":
            return
        else:
            number += 1
            value, buffer = _element(buffer, chunks, number)
            yield _json_row(number, value)


def _element(buffer: str, chunks: Iterator[str], number: int) -> tuple[Any, str]:
    """One element of a list and what follows it; reads on while the element is not complete."""
    while True:
        try:
            value, end = _DECODER.raw_decode(buffer)
        except (ValueError, RecursionError) as error:
            more = next(chunks, "") if len(buffer) <= MAX_LINE else ""
            if not more:
                raise FileRefused(
                    _("Record %(number)d is not JSON: %(why)s.") % {"number": number, "why": _why(error)}
                ) from error
            buffer += more
        else:
            return value, buffer[end:]
