"""Rows of an Excel workbook: the first visible sheet, read as a stream, with nothing trusted that Excel computed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.xml import DEFUSEDXML, LXML

from integrations.canonical import Problem
from integrations.files.opening import MAX_RATIO, MIB, RATIO_COUNTS_FROM, FileRefused
from integrations.files.rows import LOOKED_AT, Row, header_of, titles_above
from integrations.told import told as _

MAX_ROWS = 50_000
MAX_PARTS = 2_000
# What the library reads whole, into memory, is kept small; sheets are streamed.
PART_LIMITS = {"xl/sharedStrings.xml": 48 * MIB}
SHEET_LIMIT = 300 * MIB
OTHER_LIMIT = 8 * MIB
# Excel keeps 15 digits of a number. What is longer has been rounded before it got here.
EXACT_BELOW = 10**15
ZEROS = re.compile(r"0{2,}")
ROW_TAG = re.compile(rb"<(?:\w+:)?row[ >]")
VALUE_TAG = re.compile(rb"<(?:\w+:)?(?:v|is)>")

if LXML or not DEFUSEDXML:  # pragma: no cover - see integrations/apps.py and the pinned requirements
    raise ImportError(
        "without defusedxml, or with lxml in its place, workbooks would be read with entity expansion on"
    )


def workbook_rows(path: Path) -> Iterator[Row]:
    """Every row of the first visible sheet that is not empty.

    Raises FileRefused for anything that is not an honest workbook of a reasonable size.
    """
    _inspect(path)
    try:
        # Opened here: the library leaves a file open that it fails on.
        with path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=False, keep_links=False)
            sheet = next((sheet for sheet in book.worksheets if sheet.sheet_state == "visible"), None)
            if sheet is None:
                raise FileRefused(_("The workbook has no visible sheet."))
            yield from _sheet_rows(sheet)
    except (
        zipfile.BadZipFile, InvalidFileException, ParseError,
        KeyError, ValueError, TypeError, AttributeError, IndexError,
    ) as error:  # fmt: skip
        if _has_entities(error):
            raise FileRefused(
                _("The workbook contains XML entities, which no spreadsheet program writes. It is not read.")
            ) from error
        raise FileRefused(_("The workbook is damaged. Open it and save it again as .xlsx.")) from error


def _has_entities(error: BaseException | None) -> bool:
    """Whether this, or what the library wrapped in it, is the refusal of an entity."""
    return error is not None and (
        isinstance(error, DefusedXmlException) or _has_entities(error.__cause__ or error.__context__)
    )


def _inspect(path: Path) -> None:
    """Look at the archive's directory before anything is unpacked. Unpacking stops at the sizes stated there."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile as error:
        raise FileRefused(_("The workbook is damaged. Open it and save it again as .xlsx.")) from error
    names = [part.filename for part in parts]
    if "[Content_Types].xml" not in names or "xl/workbook.xml" not in names:
        raise FileRefused(_("This is a ZIP archive, not a workbook. Unpack it and upload the file inside."))
    if len(parts) > MAX_PARTS or len(set(names)) != len(names):
        raise FileRefused(
            _("The workbook's archive is not built as spreadsheet programs do. Save it again as .xlsx.")
        )
    for part in parts:
        _inspect_part(part)
    for name in names:
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            _refuse_long(path, name)


def _inspect_part(part: zipfile.ZipInfo) -> None:
    name = part.filename
    if name.startswith(("/", "\\")) or ".." in name.split("/") or "\\" in name or ":" in name:
        raise FileRefused(_("The workbook's archive contains an unsafe path. It is not read."))
    if part.flag_bits & 0x1:
        raise FileRefused(_("The workbook has a password. Save it without one."))
    limit = PART_LIMITS.get(name, SHEET_LIMIT if name.startswith("xl/worksheets/") else OTHER_LIMIT)
    # Pictures and the like are never unpacked.
    if name.endswith((".xml", ".rels")) and part.file_size > limit:
        raise FileRefused(_("The workbook is too large. Save the sheet as CSV."))
    if part.file_size > RATIO_COUNTS_FROM and part.file_size > MAX_RATIO * max(part.compress_size, 1):
        raise FileRefused(
            _("The file unpacks to more than %(ratio)d times its size. It is not read.")
            % {"ratio": MAX_RATIO}
        )


def _refuse_long(path: Path, part: str) -> None:
    """Count rows and values in the raw text: the library walks through every sheet that does not state its size."""
    n_rows = n_values = 0
    with zipfile.ZipFile(path) as archive, archive.open(part) as file:
        tail = b""
        while block := file.read(MIB):
            text = tail + block
            n_rows += len(ROW_TAG.findall(text))
            n_values += len(VALUE_TAG.findall(text))
            # A tag cut in two by the end of a block; whole ones are not seen twice.
            cut = text.rfind(b"<")
            tail = text[cut:] if cut > len(text) - 8 else b""
    if min(n_rows, n_values) > MAX_ROWS:
        raise _too_long()


def _too_long() -> FileRefused:
    return FileRefused(
        _("A sheet has more than %(limit)d rows. Save it as CSV: those may be longer.") % {"limit": MAX_ROWS}
    )


def _sheet_rows(sheet: Any) -> Iterator[Row]:
    names: list[str] = []
    count = 0
    given = ((number, cells) for number, cells in enumerate(sheet.iter_rows(), 1) if _n_filled(cells))
    first = list(islice(given, LOOKED_AT))
    n_titles = titles_above([_n_filled(cells) for _number, cells in first])
    for number, cells in chain(first[n_titles:], given):
        if not names:
            names = header_of(["" if cell.value is None else str(cell.value) for cell in cells])
            continue
        count += 1
        if count > MAX_ROWS:
            raise _too_long()
        yield _row(number, names, cells)


def _n_filled(cells: tuple[Any, ...]) -> int:
    return sum(cell.value is not None for cell in cells)


def _row(number: int, names: list[str], cells: tuple[Any, ...]) -> Row:
    record: dict[str, Any] = {}
    problems = []
    for name, cell in zip(names, cells, strict=False):
        if name and cell.value is not None:
            record[name], problem = _cell(cell)
            if problem:
                problems.append(Problem(name, problem))
    return Row(number, record, problems)


def _cell(cell: Any) -> tuple[str, str]:
    """The cell as text, and what is wrong with it."""
    value, kind = cell.value, cell.data_type
    if kind == "f":
        formula = str(getattr(value, "text", value) or "=")[:60]
        return formula, _("A formula (%(formula)s) is not read. Copy the column and paste it as values.") % {
            "formula": formula
        }
    if kind == "e":
        return str(value), _("The cell shows an error (%(value)s). Mend the sheet.") % {"value": value}
    if isinstance(value, bool):
        return ("true" if value else "false"), ""
    if isinstance(value, (int, float)):
        return _number(value, cell.number_format)
    if isinstance(value, (date, datetime)):
        return value.isoformat(), ""
    return str(value), ""


def _number(value: float, number_format: str | None) -> tuple[str, str]:
    if abs(value) >= EXACT_BELOW:
        text = f"{Decimal(value):f}" if isinstance(value, float) else str(value)
        return text[:40], _(
            "A number of more than 15 digits has been rounded by the spreadsheet program; the last digits are lost. "
            "Format the column as text before the numbers are put in, and export again."
        )
    if value == int(value):
        text = str(int(value))
        # A column formatted as 00000 shows 00123 for 123: what people see is the id.
        return (
            text.zfill(len(number_format)) if number_format and ZEROS.fullmatch(number_format) else text
        ), ""
    # Excel shows 15 digits; the sixteenth and later ones are noise of binary fractions.
    return f"{Decimal(format(value, '.15g')):f}", ""
