"""Order histories, one row an order: read from a file, or made up. Columns: docs/benchmarks.md."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

TIMES = ("purchased_at", "approved_at", "handed_to_carrier_at", "delivered_at")
COLUMNS = ("order_id", "status", *TIMES, "n_items", "price_brl", "customer_state", "category")
FORMAT = "%Y-%m-%d %H:%M:%S"

# Where a row must end, by its last status and by which of approved_at, handed_to_carrier_at and delivered_at it has:
# (stage, do sources disagree). Written from the acceptance rows by hand, not computed by anything.
# a = approved, h = handed to the carrier, d = delivered.
EXPECTED: dict[tuple[str, str], tuple[str, bool]] = {
    ("approved", "a"): ("awaiting_date", False),
    ("approved", ""): ("awaiting_date", False),
    # Preparing says neither that money came nor that goods moved.
    ("processing", "a"): ("awaiting_date", False),
    ("processing", ""): ("awaiting_payment", False),
    # The invoice is a step of its own; the date is still owed.
    ("invoiced", "a"): ("awaiting_date", False),
    ("invoiced", ""): ("awaiting_payment", False),
    ("unavailable", "a"): ("cancelled", False),
    ("unavailable", ""): ("cancelled", False),
    ("canceled", ""): ("cancelled", False),
    ("canceled", "a"): ("cancelled", False),
    # Whoever cancels after the goods have left is told so: the goods decide, and a person looks.
    ("canceled", "ah"): ("shipped", True),
    ("canceled", "h"): ("shipped", True),
    ("canceled", "ahd"): ("delivered", True),
    ("canceled", "hd"): ("delivered", True),
    ("shipped", "ah"): ("shipped", False),
    ("shipped", "h"): ("shipped", False),
    ("shipped", "a"): ("shipped", False),
    ("delivered", "ahd"): ("delivered", False),
    ("delivered", "hd"): ("delivered", False),
    ("delivered", "ah"): ("delivered", False),
    ("delivered", "a"): ("delivered", False),
}

Row = dict[str, str]


class BadHistory(Exception):
    """The file is not an order history. The message says what is missing."""


def read(path: Path, limit: int | None = None) -> Iterator[Row]:
    """The rows of a CSV file, also compressed. Raises BadHistory if a column is missing."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(path.open("rb"))
        plain = stack.enter_context(gzip.open(opened)) if path.suffix == ".gz" else opened
        file = io.TextIOWrapper(plain, encoding="utf-8", newline="")
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise BadHistory(f"{path.name} has no column {', '.join(missing)}; see docs/benchmarks.md")
        for number, row in enumerate(reader):
            if limit is not None and number >= limit:
                return
            yield with_last_time(row)


def with_last_time(row: Row) -> Row:
    """The row with one more column: its last status is told one second after the last thing that happened."""
    last = max(datetime.strptime(row[name], FORMAT) for name in TIMES if row[name])  # noqa: DTZ007 - the mapping knows the zone
    return {**row, "last_status_at": (last + timedelta(seconds=1)).strftime(FORMAT)}


def expected(row: Row) -> tuple[str, bool]:
    """Where this row must end. Raises BadHistory for a row that the table does not know."""
    has = "".join(sign for sign, name in zip("ahd", TIMES[1:], strict=True) if row[name])
    try:
        return EXPECTED[row["status"], has]
    except KeyError:
        raise BadHistory(
            f"no line of EXPECTED fits status {row['status']!r} with the times “{has}”"
        ) from None


def made_up(count: int, seed: int = 1) -> Iterator[Row]:
    """A history of its own: every kind of row that EXPECTED names, mostly delivered ones."""
    draw = random.Random(seed)
    rare = list(EXPECTED)
    start = datetime(2017, 1, 2, 8, 0)  # noqa: DTZ001 - the mapping knows the zone
    for number in range(count):
        status, has = rare[number % len(rare)] if number % 4 == 0 else ("delivered", "ahd")
        moment = start + timedelta(minutes=11 * number + draw.randrange(11))
        row = {"order_id": f"made{number:08d}", "status": status, "purchased_at": moment.strftime(FORMAT)}
        for sign, name, hours in zip("ahd", TIMES[1:], (2, 48, 200), strict=True):
            moment += timedelta(seconds=draw.randrange(60, hours * 3600))
            row[name] = moment.strftime(FORMAT) if sign in has else ""
        goods = {
            "n_items": str(draw.choice([1, 1, 1, 2, 3])),
            "price_brl": f"{draw.randrange(500, 90000) / 100:.2f}",
        }
        yield with_last_time(
            {**row, **goods, "customer_state": draw.choice(["SP", "RJ", "MG"]), "category": "auto"}
        )
