"""The rows of a run that failed, as a table to mend and import again."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from django.utils.translation import gettext as _

from integrations.files.rows import FORMULA_SIGNS
from integrations.models import ImportRowError, ImportRun

# Spreadsheet programs eat leading zeros, and every digit after the fifteenth.
AT_RISK = re.compile(r"0\d+|\d{12,}")
BOM = "\ufeff"
# Its number, (field, error) for each thing wrong with it, its columns.
BadRow = tuple[int, list[tuple[str, str]], dict[str, Any]]


def escaped(value: object) -> str:
    """The value as a cell that no spreadsheet program runs or rounds; reading in takes the apostrophe off again."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA_SIGNS) or AT_RISK.fullmatch(text) else text


def error_csv(run: ImportRun) -> Iterator[str]:
    """The original rows with what is wrong with each, as CSV that spreadsheet programs read as UTF-8."""
    errors = ImportRowError.objects.filter(run=run).order_by("row", "id")
    return table_of(_names(run), _by_row(errors.iterator(chunk_size=500)))


def _by_row(errors: Iterable[ImportRowError]) -> Iterator[BadRow]:
    for row, group in groupby(errors, key=lambda error: error.row):
        found = list(group)
        original: dict[str, Any] = next((error.original for error in found if error.original), {})
        yield row, [(error.field, error.words) for error in found], original


def table_of(names: Sequence[str], rows: Iterable[BadRow]) -> Iterator[str]:
    """A table of rows with what is wrong with each. names: the columns of the original rows."""
    yield BOM + _line([_("Row"), _("Field"), _("What is wrong"), *names])
    for row, problems, original in rows:
        fields = "; ".join(field for field, _error in problems if field)
        told = " | ".join(error for _field, error in problems)
        yield _line([str(row), fields, told, *(original.get(name) for name in names)])


def _names(run: ImportRun) -> list[str]:
    """The columns of the rows, in the order in which they first appear."""
    names: dict[str, None] = {}
    errors = ImportRowError.objects.filter(run=run).order_by("row", "id").values_list("original", flat=True)
    for original in errors[:2000]:
        names.update(dict.fromkeys(original))
    return list(names)


def _line(cells: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([escaped(cell) for cell in cells])
    return buffer.getvalue()
