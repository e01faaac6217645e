"""The rates of `ingest` on a small and on a large house: what a year of orders in the tables costs."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from orderhub.bench.figures import Figure, exactly, plain, say
from orderhub.bench.house import House

SMALL, LARGE, OPEN = 10_000, 1_260_000, 20_000
FACTS, EVENTS = 5, 5
SEEDED_WITHIN = 300.0
WITHIN = 0.25
# Rows of one statement: long enough to be fast, short enough to be seen to go on.
AT_ONCE = 60_000
CLOSED_LIFE = ("payment.received", "parcel.handed_over", "parcel.delivered", "invoice.issued")
OPEN_LIFE = ("payment.received", "date.confirmed", "stock.locked", "waybill.made")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--small", type=int, default=SMALL, help="orders of the small house (10,000)")
    parser.add_argument("--large", type=int, default=LARGE, help="orders of the large house (1,260,000)")
    parser.add_argument("--open", type=int, default=OPEN, help="how many of them are open (20,000)")
    parser.add_argument(
        "--facts", type=int, default=20_000, help="facts in requests of 20, each time (20,000)"
    )
    parser.add_argument(
        "--singles", type=int, default=2_000, help="facts in requests of one, each time (2,000)"
    )


def run(house: House, options: Namespace) -> list[Figure]:
    from orderhub.bench.ground import make_shop, make_source
    from orderhub.bench.ingest import measured
    from orders.models import Order, OrderEvent, OrderFact

    shop = make_shop()
    source = make_source("bench-shop", "shop")
    templates = Templates(shop, source)
    n_open = min(options.open, options.small // 2)
    templates.multiply(options.small, n_open)
    house.start()
    small = measured(house, source, options.facts, options.singles, prefix="A")
    house.stop()
    began = time.monotonic()
    templates.multiply(options.large - options.small, options.open - n_open)
    seeding = time.monotonic() - began
    n_orders, n_facts, n_events = (model.objects.count() for model in (Order, OrderFact, OrderEvent))
    say(f"  {n_orders:,} orders, {n_facts:,} facts, {n_events:,} events, seeded in {seeding:.0f} s")
    house.start()
    large = measured(house, source, options.facts, options.singles, prefix="B")
    return [
        Figure("seeding", f"{seeding:.0f} s", f"<= {SEEDED_WITHIN:.0f} s", seeding <= SEEDED_WITHIN),
        plain("orders in the large house", n_orders),
        plain("facts in it", n_facts),
        plain("events in it", n_events),
        *beside(small, large),
        exactly("“database is locked” in the logs", house.complaints("database is locked")),
    ]


def beside(small: list[Figure], large: list[Figure]) -> list[Figure]:
    """Each rate in the large house, with its ratio to the same rate in the small one."""
    found = []
    for one, other in zip(small, large, strict=True):
        if not one.value.endswith(" /s"):
            found += [
                Figure(f"{one.name}, {where}", two.value, two.goal, two.met)
                for where, two in (("small", one), ("large", other))
            ]
            continue
        first, second = (float(figure.value.split()[0].replace(",", "")) for figure in (one, other))
        share = second / first if first else 0.0
        found.append(Figure(f"{one.name}, small", one.value, one.goal, one.met))
        met = share >= 1 - WITHIN if one.goal else None
        goal = f">= {1 - WITHIN:.2f} of small" if one.goal else ""
        found.append(Figure(f"{one.name}, large", f"{other.value} = {share:.2f} of small", goal, met))
    return found


class Templates:
    """Two orders that went through the real path, one closed and one open, and their copies by SQL."""

    def __init__(self, shop: Any, source: Any) -> None:
        self.shop, self.source = shop, source
        self.closed = self._live("T1", CLOSED_LIFE, datetime.now(UTC) - timedelta(days=90))
        self.open = self._live("T2", OPEN_LIFE, datetime.now(UTC) - timedelta(hours=3))

    def _live(self, name: str, kinds: tuple[str, ...], at: datetime) -> int:
        from integrations.inbox import Arrival, digest_of, receive
        from integrations.ingest import process
        from orderhub.bench.ground import SHOP
        from orderhub.bench.ingest import fact
        from orders.dispatch import dispatch_waiting
        from orders.models import Order

        order = {
            "key": f"place-{name}", "shop": SHOP, "external_id": name, "placed_at": at.isoformat(),
            "lines": [{"sku": "BRK-001", "qty": "2"}],
        }  # fmt: skip
        said = [("order", order)]
        said += [
            ("fact", fact(kind, name, (at + timedelta(minutes=step)).isoformat()))
            for step, kind in enumerate(kinds)
        ]
        for form, item in said:
            body = json.dumps(item)
            receive(
                self.source.connection,
                [Arrival(f"{form}:{item['key']}", form, body, digest_of(body))],
                datetime.now(UTC),
            )
            process()
        while dispatch_waiting():
            pass
        return int(Order.objects.values_list("pk", flat=True).get(external_id=name))

    def multiply(self, n_orders: int, n_open: int) -> None:
        """So many copies, each with its reference, link, line, 5 facts and 5 events."""
        from orderhub.bench.ground import refresh_statistics

        with quick_writes() as cursor:
            for template, count in ((self.open, n_open), (self.closed, n_orders - n_open)):
                if count:
                    Copies(cursor, template).make(count)
        refresh_statistics()


@contextmanager
def quick_writes() -> Iterator[Any]:
    """A cursor that writes without checking references between rows and without waiting for the disk. For seeding only."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("SET synchronous_commit = off")
            yield cursor
            cursor.execute("RESET session_replication_role")
            cursor.execute("RESET synchronous_commit")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("PRAGMA foreign_keys = OFF")
            cursor.execute("PRAGMA synchronous = OFF")
            yield cursor
            cursor.execute("PRAGMA synchronous = NORMAL")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


NUMBERS = {
    "postgresql": "(SELECT generate_series(%s::bigint, %s::bigint) AS n) AS numbers",
    "sqlite": "(WITH RECURSIVE up(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM up WHERE n < %s) SELECT n FROM up) AS numbers",
}


class Copies:
    """INSERT ... SELECT statements that copy one template order with everything that hangs on it."""

    def __init__(self, cursor: Any, template: int) -> None:
        from orders.models import ExternalReference, Order, OrderEvent, OrderFact, OrderLine, ReferenceLink

        self.cursor = cursor
        links = ReferenceLink.objects.filter(order_id=template, reference__kind="order")
        link, reference = links.values_list("pk", "reference_id")[0]
        # Above every id there is: the real orders between two copyings get the next ones.
        mine, named = (f"{_highest(model)} + n" for model in (Order, ExternalReference))
        name = f"'S' || CAST({mine} AS text)"
        self.renewed = (Order, ExternalReference)
        self.statements = [
            _copy(Order, [template], id=mine, number=f"'O' || {name}", external_id=name, waybill=name),
            _copy(ExternalReference, [reference], id=named, value=name),
            _copy(ReferenceLink, [link], order_id=mine, reference_id=named),
            _copy(OrderLine, _ids(OrderLine, order_id=template), order_id=mine),
            _copy(
                OrderFact,
                _ids(OrderFact, reference_id=reference)[:FACTS],
                reference_id=named,
                key=f"{name} || '-' || t.kind",
            ),
            _copy(OrderEvent, _ids(OrderEvent, order_id=template)[:EVENTS], order_id=mine),
        ]

    def make(self, count: int) -> None:
        """So many copies, in statements short enough to be seen to go on."""
        from django.db import transaction

        for first in range(1, count + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, count)
            with transaction.atomic():
                for statement in self.statements:
                    self.cursor.execute(statement, [first, last])
            say(f"    {last:,} of {count:,} orders")
        for model in self.renewed:
            _continue_ids(self.cursor, model)


def _ids(model: Any, **names: Any) -> list[int]:
    return list(model.objects.filter(**names).order_by("pk").values_list("pk", flat=True))


def _highest(model: Any) -> int:
    return int(model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0)


def _continue_ids(cursor: Any, model: Any) -> None:
    """PostgreSQL draws ids from a sequence, which does not see the ids that were given by hand."""
    from django.db import connection

    if connection.vendor == "postgresql":
        sequence = f"pg_get_serial_sequence('{model._meta.db_table}', 'id')"
        cursor.execute(f"SELECT setval({sequence}, {_highest(model)})")


def _copy(model: Any, ids: list[int], **own: str) -> str:
    """own: expressions of n for the columns that differ from the template's row t."""
    from django.db import connection

    columns = [field.column for field in model._meta.concrete_fields if not field.primary_key or "id" in own]
    values = ", ".join(own.get(column, f't."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    rows = ", ".join(str(pk) for pk in ids)
    table = model._meta.db_table
    return (
        f'INSERT INTO "{table}" ({names}) SELECT {values} '  # noqa: S608 - names and ids of our own
        f'FROM {NUMBERS[connection.vendor]} CROSS JOIN "{table}" AS t WHERE t.id IN ({rows}) ORDER BY n, t.id'
    )
