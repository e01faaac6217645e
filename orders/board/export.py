"""The list of the board as a file: CSV that Excel opens, and XLSX; streamed, within the row scope, people masked."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import IO, Any
from xml.sax.saxutils import escape

from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from orders.access import role_label
from orders.board.columns import joined
from orders.board.ordering import Sort
from orders.models import Order
from orders.stages import STAGE_ROWS, Stage

CHUNK = 1_000
# Excel opens no sheet with more than 1,048,576 rows, and a part of a plain zip file ends at two gigabytes: what is
# beyond goes on in the next sheet.
ROWS_A_SHEET = 500_000
BOM = "\ufeff"
# What makes a spreadsheet run a cell instead of showing it.
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def headings() -> list[str]:
    return [
        _("Order number"), _("Shop"), _("Shop order no."), _("Stage"), _("Waiting on"), _("Assignee"),
        _("Customer"), _("Stars"), _("Promised by"), _("Step due"), _("Next step"), _("Payment"), _("Invoice"),
        _("Warehouse"), _("Waybill no."), _("Region"), _("Country"), _("Total"), _("Currency"), _("On hold"),
        _("Stock short"), _("Sources disagree"), _("Stuck since"), _("Placed"), _("Updated"),
    ]  # fmt: skip


def line_of(order: Order) -> list[str]:
    """One order in words; a person is their first sign, a phone and a street are never there."""
    customer = str(order.customer) if order.customer else order.contact.masked_name if order.contact else ""
    stars = order.customer.stars if order.customer else None
    assignee = order.assignee.get_username() if order.assignee else ""
    yes = _("yes")
    return [
        order.number, order.shop.name, order.external_id, order.get_stage_display(),
        str(role_label(STAGE_ROWS[Stage(order.stage)].owner)) if order.is_open else "", assignee,
        customer, "" if stars is None else str(stars), _time(order.promised_at), _time(order.step_due_at),
        order.get_next_step_display(), order.get_payment_display(), order.get_invoice_display(),
        order.warehouse.name if order.warehouse else "", order.waybill, order.region, order.country,
        "" if order.total is None else str(order.total), order.currency,
        yes if order.is_held else "", yes if order.is_short else "", yes if order.has_conflict else "",
        _time(order.stalled_at), _time(order.placed_at), _time(order.last_fact_at),
    ]  # fmt: skip


def _time(moment: datetime | None) -> str:
    return f"{localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else ""


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it and never runs it."""
    return f"'{text}" if text.startswith(_RUNS) else text


def orders_in_turn(orders: Any, sort: Sort) -> Iterator[Order]:
    """Every order of the list, read in pages: no cursor stays open for as long as somebody downloads."""
    rows: Sequence[Order] = []
    while True:
        chosen = sort.apply(orders)
        if rows:
            chosen = sort.beyond(chosen, [key.of(rows[-1]) for key in sort.keys])
        ids = list(chosen.values_list("pk", flat=True)[:CHUNK])
        found = {order.pk: order for order in joined(Order.objects.filter(pk__in=ids))}
        rows = [found[pk] for pk in ids if pk in found]
        yield from rows
        if len(ids) < CHUNK or not rows:
            return


def as_csv(orders: Iterable[Order]) -> Iterator[bytes]:
    """Excel takes UTF-8 for what it is only with the mark at the start."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write(BOM)
    writer.writerow(headings())
    yield _emptied(buffer).encode()
    for order in orders:
        writer.writerow([harmless(cell) for cell in line_of(order)])
        if buffer.tell() > 65_536:
            yield _emptied(buffer).encode()
    yield _emptied(buffer).encode()


def _emptied(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEETS = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _parts(n_sheets: int) -> dict[str, str]:
    """What a book consists of besides its sheets."""
    numbers = range(1, n_sheets + 1)
    sheets = "".join(f'<sheet name="orders {n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    places = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    kinds = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SHEETS}.worksheet+xml"/>'
        for n in numbers
    )
    return {
        "[Content_Types].xml": (
            f'<Types xmlns="{_PACKAGE}/content-types">'
            f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEETS}.sheet.main+xml"/>{kinds}</Types>'
        ),
        "_rels/.rels": (
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
        ),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{places}</Relationships>',
    }


_DECLARED = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET = f'<worksheet xmlns="{_MAIN}"><sheetData>'
# Signs that XML has no place for would make the whole book unreadable.
_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Pipe(io.RawIOBase):
    """What a zip file is written into, and bytes are taken out of: it never holds more than a chunk."""

    def __init__(self) -> None:
        self.held: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, given: Any) -> int:
        self.held.append(bytes(given))
        return len(given)

    def taken(self) -> bytes:
        found = b"".join(self.held)
        self.held.clear()
        return found


def as_xlsx(orders: Iterable[Order], *, rows_a_sheet: int = ROWS_A_SHEET) -> Iterator[bytes]:
    """A workbook, written as it is read. Every cell is text, so nothing in it can run."""
    pipe, left, n_sheets = _Pipe(), iter(orders), 0
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as book:
        first = next(left, None)
        while first is not None or not n_sheets:
            n_sheets += 1
            rows = chain([first] if first else [], islice(left, rows_a_sheet - 1))
            with book.open(f"xl/worksheets/sheet{n_sheets}.xml", "w") as sheet:
                for _chunk in _write_sheet(sheet, rows):
                    yield pipe.taken()
            first = next(left, None)
        for name, content in _parts(n_sheets).items():
            book.writestr(name, _DECLARED + content)
    yield pipe.taken()


def _write_sheet(sheet: IO[bytes], orders: Iterable[Order]) -> Iterator[None]:
    """Stops after each CHUNK of rows, so that they can be sent."""
    sheet.write((_DECLARED + _SHEET + _row(headings())).encode())
    for number, order in enumerate(orders, 1):
        sheet.write(_row(line_of(order)).encode())
        if number % CHUNK == 0:
            yield
    sheet.write(b"</sheetData></worksheet>")
    yield


def _row(cells: Sequence[str]) -> str:
    return "<row>" + "".join(_cell(cell) for cell in cells) + "</row>"


def _cell(text: str) -> str:
    return (
        f'<c t="inlineStr"><is><t xml:space="preserve">{escape(harmless(_NO_XML.sub("", text)))}</t></is></c>'
    )
