"""Order histories as CSV files, plain or gzip: which columns are read, and what is said when one cannot be."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from promises.eta.orders import Past, Placed

REQUIRED = ("purchased_at", "delivered_at")
# Columns that are used where they are there. All others are left alone.
OPTIONAL = (
    *(
        "order_id",
        "status",
        "handed_to_carrier_at",
        "platform_promise_date",
        "carrier",
        "service",
        "distance_km",
    ),
    *("seller_id", "seller_state", "seller_lat", "seller_lng"),
    *("customer_zip5", "customer_state", "customer_lat", "customer_lng"),
    *("n_items", "n_sellers", "price_brl", "freight_brl", "weight_g", "volume_l"),
)
DELIVERED = "delivered"
Read = TypeVar("Read")
EARTH_KM = 6371.0
# The first digits of a postal code name a city or part of one, all five a neighbourhood.
CITY_DIGITS = 3

# Lazy: looked up only when a cell is refused, not for every cell.
NOT_A_NUMBER = gettext_lazy("“%(value)s” is not a number")
NOT_A_TIME = gettext_lazy("“%(value)s” is not a time like 2026-03-01 14:05:00")
NOT_A_DATE = gettext_lazy("“%(value)s” is not a date like 2026-03-01")


class BadHistory(Exception):
    """The file cannot be read as an order history. The message says where, why, and what to do."""


def read_history(path: Path) -> list[Past]:
    """All orders of the file by the time they were placed. Raises BadHistory."""
    with readable(path), path.open("rb") as file, unpacked(file) as text:
        rows = [past for _cells, past in read_rows(text)]
    if not rows:
        raise BadHistory(_("%(file)s has no orders, only a head line.") % {"file": path})
    return sorted(rows, key=lambda row: (row.order.placed_at, row.order.key))


@contextmanager
def readable(name: object) -> Iterator[None]:
    """Inside, what goes wrong with opening, unpacking and decoding the file of this name is told as BadHistory."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise BadHistory(
            _("%(file)s cannot be opened: %(why)s. Check the path, or unpack and pack the file again.")
            % {"file": name, "why": getattr(error, "strerror", None) or error}
        ) from error
    except UnicodeDecodeError as error:
        raise BadHistory(
            _("%(file)s is not UTF-8 text. Save it as CSV in UTF-8.") % {"file": name}
        ) from error
    except csv.Error as error:
        raise BadHistory(
            _("%(file)s is not CSV: %(why)s. Save it as CSV with commas.") % {"file": name, "why": error}
        ) from error


def unpacked(file: IO[bytes]) -> IO[str]:
    """The text of the file, which may be packed with gzip."""
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    plain = gzip.GzipFile(fileobj=file) if is_packed else file
    # utf-8-sig: spreadsheets put a mark before the first column's name.
    return io.TextIOWrapper(cast("IO[bytes]", plain), encoding="utf-8-sig", newline="")


def read_rows(file: Iterable[str]) -> Iterator[tuple[dict[str, Any], Past]]:
    """Each line as it stands there and as an order. Raises BadHistory at the first that cannot be read."""
    reader = csv.DictReader(file)
    found = reader.fieldnames or []
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise BadHistory(
            _("The file has no column “%(missing)s”. Its columns: %(found)s. Rename a column, or add it.")
            % {"missing": ", ".join(missing), "found": ", ".join(found) or "-"}
        )
    zones: set[bool] = set()
    for cells in reader:
        past = _past(cells, reader.line_num)
        zones.add(past.order.placed_at.tzinfo is None)
        if len(zones) > 1:
            raise BadHistory(
                _("Line %(line)d: some times have a zone and some have none. Write all of them the same way.")
                % {"line": reader.line_num}
            )
        yield cells, past


def _past(cells: Mapping[str, Any], line: int) -> Past:
    row = _Row(cells, line)
    placed_at = row.time("purchased_at")
    if placed_at is None:
        raise row.refuse("purchased_at", _("it is empty"))
    delivered_at = row.time("delivered_at", like=placed_at)
    # A cancelled order may carry the day on which it came back.
    if row.text("status") not in {"", DELIVERED}:
        delivered_at = None
    return Past(
        order=_placed(row, placed_at),
        handed_at=row.time("handed_to_carrier_at", like=placed_at),
        delivered_at=delivered_at,
        promised_on=row.date("platform_promise_date"),
    )


def _placed(row: _Row, placed_at: datetime) -> Placed:
    postal_code = row.text("customer_zip5")
    # Spreadsheets eat the zeros that a postal code begins with.
    postal_code = postal_code.zfill(5) if postal_code else ""
    return Placed(
        key=f"{row.text('order_id')}#{row.line}",
        placed_at=placed_at,
        county=postal_code,
        city=postal_code[:CITY_DIGITS],
        province=row.text("customer_state"),
        carrier=row.text("carrier"),
        service=row.text("service"),
        origin=row.text("seller_id"),
        origin_region=row.text("seller_state"),
        distance_km=_distance(row),
        weight_g=row.number("weight_g"),
        volume_l=row.number("volume_l"),
        price=row.number("price_brl"),
        freight=row.number("freight_brl"),
        n_items=row.number("n_items"),
        n_origins=row.number("n_sellers"),
    )


def _distance(row: _Row) -> float | None:
    given = row.number("distance_km")
    if given is not None:
        return given
    ends = [row.number(f"{who}_{axis}") for who in ("customer", "seller") for axis in ("lat", "lng")]
    if any(end is None for end in ends):
        return None
    north, east, other_north, other_east = (math.radians(end or 0.0) for end in ends)
    half = (
        math.sin((other_north - north) / 2) ** 2
        + math.cos(north) * math.cos(other_north) * math.sin((other_east - east) / 2) ** 2
    )
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


class _Row:
    """One line of the file; refuses what it cannot read by line, column and value."""

    def __init__(self, cells: Mapping[str, Any], line: int) -> None:
        self._cells = cells
        self.line = line

    def refuse(self, column: str, why: str | Promise) -> BadHistory:
        return BadHistory(
            _("Line %(line)d, column “%(column)s”: %(why)s. Correct the line, or leave it out.")
            % {"line": self.line, "column": column, "why": why}
        )

    def text(self, column: str) -> str:
        return str(self._cells.get(column) or "").strip()

    def number(self, column: str) -> float | None:
        text = self.text(column)
        if not text:
            return None
        value = self._try(column, float, NOT_A_NUMBER)
        if not math.isfinite(value):
            raise self.refuse(column, NOT_A_NUMBER % {"value": text})
        return value

    def time(self, column: str, *, like: datetime | None = None) -> datetime | None:
        """The moment, in the zone of like; None where the cell is empty."""
        if not self.text(column):
            return None
        at = self._try(column, datetime.fromisoformat, NOT_A_TIME)
        if like is not None and (at.tzinfo is None) != (like.tzinfo is None):
            raise self.refuse(column, _("it has a time zone and “purchased_at” has none, or the reverse"))
        return at if like is None or at.tzinfo is None else at.astimezone(like.tzinfo)

    def date(self, column: str) -> date | None:
        if not self.text(column):
            return None
        # A promise is a date, even where its file gives a time of day.
        return self._try(column, _as_date, NOT_A_DATE)

    def _try(self, column: str, read: Callable[[str], Read], why: str | Promise) -> Read:
        text = self.text(column)
        try:
            return read(text)
        except ValueError as error:
            raise self.refuse(column, why % {"value": text}) from error


def _as_date(text: str) -> date:
    return datetime.fromisoformat(text).date()
