"""The live estimate on the hub's own orders: one estimate, one event's update alone and in a batch, and the whole night."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orderhub import env
from orderhub.bench.figures import Figure, at_most, exactly, percentile, plain, say
from orderhub.bench.house import House
from orderhub.serve import MANAGE

if TYPE_CHECKING:
    from orders.models import Order, Shop, Warehouse

DAYS = 360
OPEN = 400
BATCH = 200
CHUNK = 20_000
CITIES = 400
JUDGED = 25_000


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--orders",
        type=int,
        default=1_260_000,
        help="past orders to learn from (1,260,000: a large house's year); 5,000 is a trial",
    )


def run(house: House, options: Namespace) -> list[Figure]:
    from django.utils.timezone import now

    at = now()
    say(f"  writing down {options.orders:,} past orders ...")
    still_open = _fill(options.orders, at)
    say("  the first night ...")
    figures = _night(f"the first night, {options.orders:,} past orders told anew", within=600)
    say("  the next night ...")
    figures += _night("the next night, which goes on from it", within=60)
    say("  estimates ...")
    figures += _estimates(still_open)
    say("  the calibration page ...")
    return [*figures, *_calibration(min(JUDGED, options.orders), at)]


def _fill(n: int, at: datetime) -> list[int]:
    """Past orders, and OPEN that wait in the warehouse; the ids of these."""
    from orderhub.bench.ground import refresh_statistics
    from orders.models import Order, Shop, Warehouse
    from orders.stages import Stage

    shop = Shop.objects.create(code="bench", name="bench")
    warehouse = Warehouse.objects.create(code="bench", name="bench")
    first = _orders(shop, warehouse, [at - timedelta(days=DAYS)], stage=Stage.COMPLETED, is_open=False)[0]
    _copies(first, [at - timedelta(days=DAYS * (1 - number / n)) for number in range(1, n)])
    draw = random.Random(1)
    past = Order.objects.order_by("pk").values_list("pk", "placed_at").iterator(chunk_size=CHUNK)
    _pour("promises_journey", (_journey(pk, placed_at, draw, at) for pk, placed_at in past))
    # All of them newer than the past: whatever the pace, the house has some days of work in front of it.
    waiting = [at - timedelta(seconds=number) for number in range(OPEN)]
    still_open = _orders(shop, warehouse, waiting, stage=Stage.AWAITING_STOCK, is_open=True)
    refresh_statistics()
    return [row.pk for row in still_open]


def _orders(shop: Shop, warehouse: Warehouse, placed: list[datetime], **columns: Any) -> list[Order]:
    from orders.models import Order

    rows = (
        Order(
            number=f"W{number}-{columns['stage']}",
            shop=shop,
            external_id=f"{columns['stage']}-{moment.timestamp()}",
            warehouse=warehouse,
            created_at=moment,
            placed_at=moment,
            stage_since=moment,
            **columns,
        )
        for number, moment in enumerate(placed)
    )
    return Order.objects.bulk_create(rows, batch_size=500)


def _copies(order: Order, placed: list[datetime]) -> None:
    """The same order, placed at these moments."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM orders_order WHERE id = %s", [order.pk])
        row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
    del row["id"]
    rows = (
        {
            **row,
            **dict.fromkeys(("created_at", "placed_at", "stage_since"), moment),
            "number": f"B{number}",
            "external_id": f"B{number}",
        }
        for number, moment in enumerate(placed)
    )
    _pour("orders_order", rows)


def _pour(table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Rows by plain statements: through models, a year of orders takes a quarter of an hour."""
    from django.db import connection

    from orderhub.bench.scale import quick_writes

    adapt = connection.ops.adapt_datetimefield_value
    with quick_writes() as cursor:
        while some := list(itertools.islice(rows, CHUNK)):
            names = list(some[0])
            values = ", ".join(["%s"] * len(names))
            cursor.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})",  # noqa: S608 - names of ours
                [
                    [adapt(value) if isinstance(value, datetime) else value for value in one.values()]
                    for one in some
                ],
            )


def _journey(pk: int, placed_at: datetime, draw: random.Random, at: datetime) -> dict[str, Any]:
    handed_at = placed_at + timedelta(hours=draw.uniform(4, 48))
    delivered_at = handed_at + timedelta(days=draw.lognormvariate(1.2, 0.45))
    city = draw.randrange(CITIES)
    return {
        "order_id": pk,
        "placed_at": placed_at,
        "zone": "Asia/Shanghai",
        "county": "",
        "province": f"p{city % 31}",
        "city": f"c{city}",
        "carrier": f"x{city % 5}",
        "service": "",
        "origin": "bench",
        "origin_region": "",
        "handed_at": handed_at if handed_at <= at else None,
        "delivered_at": delivered_at if delivered_at <= at else None,
        "is_queued": False,
        "is_struck": False,
        "is_demo": False,
    }


def _night(name: str, *, within: int) -> list[Figure]:
    """As the worker begins it: in a process of its own, from its start. within: seconds."""
    from promises.estimates.watching import ALONE

    begun = time.monotonic()
    # Its peak is asked of the kernel when it ends: that of all children would be the largest of them.
    process = subprocess.Popen(
        [*MANAGE, "rebuild_estimates", "--json"],
        cwd=env.ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, **ALONE},
    )
    said = process.stdout.read() if process.stdout else b""
    _pid, status, used = os.wait4(process.pid, 0)
    took = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name}: exit {process.returncode}")
    return [
        at_most(name, took, within, "s", places=1),
        plain("of them learned from", int(json.loads(said)[0]["n_learned"])),
        at_most("most memory of its process", used.ru_maxrss / 1024, 500, "MB"),
    ]


def _estimates(ids: list[int]) -> list[Figure]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.utils.timezone import now

    from promises.estimates import journeys, making
    from promises.estimates.models import Estimate

    # The first reads what was learned.
    making.estimate(journeys.orders_of(ids[:1]), at=now())
    alone = [_took(lambda pk=pk: making.estimate(journeys.orders_of([pk]), at=now())) for pk in ids[1:BATCH]]
    again = [_took(lambda pk=pk: making.estimate(journeys.orders_of([pk]), at=now())) for pk in ids[1:BATCH]]
    with CaptureQueriesContext(connection) as asked:
        making.estimate(journeys.orders_of(ids[1:2]), at=now())
    batch = _took(lambda: making.estimate(journeys.orders_of(ids[BATCH:]), at=now())) / len(ids[BATCH:])
    return [
        at_most("one estimate, everything read, median", percentile(_alone(ids), 0.5), 1, "ms", places=2),
        at_most("an event's first estimate, alone, median", percentile(alone, 0.5), 2, "ms", places=2),
        at_most("an event's update, alone, median", percentile(again, 0.5), 2, "ms", places=2),
        plain("statements of such an update", len(asked)),
        at_most(f"an event's update in a batch of {len(ids[BATCH:])}", batch, 2, "ms", places=2),
        exactly("orders without a date", Estimate.objects.current().exclude(no_date="").count()),
    ]


def _alone(ids: list[int]) -> list[float]:
    """The estimates themselves, without what they are read from and written to."""
    from django.db import transaction
    from django.utils.timezone import now

    from promises.estimates import journeys, making

    with transaction.atomic():
        orders = journeys.orders_of(ids[:BATCH])
        desk = making.Desk(orders, now())
        # The queue of the warehouse is read with the first of them.
        desk.look_at(orders[0])
        return [_took(lambda order=order: desk.look_at(order)) for order in orders[1:]]


def _calibration(n: int, at: datetime) -> list[Figure]:
    """The page over as many judged orders as it reads at most, and a list of orders behind one of its numbers."""
    from django.conf import settings
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from orderhub.bench.board import logged_in
    from promises.calibration_rows import MOST

    settings.ALLOWED_HOSTS = ["*"]
    _judge(n, at)
    client = logged_in("ops_manager")
    found = []
    for name, address in (("calibration page", ""), ("orders behind a number of it", "rows/")):
        address = f"/admin/promises/calibration/{address}?of=house&days=180"
        with CaptureQueriesContext(connection) as asked:
            if client.get(address).status_code != 200:
                raise AssertionError(address)
        # Now: the next request clears what was caught.
        n_statements = len(asked)
        times = [_took(lambda address=address: client.get(address)) for _time in range(5)]
        found += [
            plain(f"{name}, {min(n, MOST):,} orders, median", f"{percentile(times, 0.5):,.0f} ms"),
            plain(f"{name}, statements", n_statements),
        ]
    return found


def _judge(n: int, at: datetime) -> None:
    from promises.estimates.models import Estimate, Journey

    arrived = Journey.objects.filter(delivered_at__lt=at - timedelta(days=10)).order_by("-placed_at")[:n]
    Estimate.objects.bulk_create(
        (
            Estimate(
                order_id=row.pk,
                made_at=row.placed_at,
                is_first=True,
                is_current=False,
                due_at=row.placed_at + timedelta(days=8),
                odds=900,
                inputs={
                    "origin": row.origin,
                    "city": row.city,
                    "carrier": row.carrier,
                    "probe": {
                        "by": (row.placed_at + timedelta(days=row.pk % 8)).date().isoformat(),
                        "odds": 50 + 100 * (row.pk % 10),
                    },
                },
                outcome="kept" if row.delivered_at <= row.placed_at + timedelta(days=8) else "missed",
                outcome_at=row.delivered_at,
                delivered_at=row.delivered_at,
            )
            for row in arrived
        ),
        batch_size=500,
    )


def _took(work: Any) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begun)
