"""A worker dies at each of thirty marked points of its work; afterwards everything is there exactly once."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orderhub.bench import chaos, deadly
from orderhub.bench.figures import Figure, exactly, plain, say
from orderhub.bench.house import House

EACH = 10
ORDERS_EACH = 5
DIES_WITHIN = 60.0
STUCK_AFTER = 120.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--each", type=int, default=EACH, help=f"deaths at each point ({EACH})")
    parser.add_argument("--points", type=int, default=len(deadly.POINTS), help="how many of the points (all)")


def run(house: House, options: Namespace) -> list[Figure]:
    from orderhub.bench.ground import make_shop, make_source, wait_until_dispatched, wait_until_settled
    from orderhub.bench.senders import Senders

    chaos.notice_stuck_workers_soon()
    make_shop()
    feed = Feed(make_source("bench-kills", "shop"))
    # Spread over all of them, so that a small run still meets every kind of point.
    points = deadly.POINTS[:: max(len(deadly.POINTS) // options.points, 1)][: options.points]
    n_deaths, slowest, missed = 0, 0.0, []
    with _deadly_settings():
        house.start()
        for point in points:
            say(f"    {point}")
            for _time in range(options.each):
                began = time.monotonic()
                deadly.armed_file(house.directory).write_text(point, encoding="ascii")
                Senders(house.port, feed.next()).wait()
                if not _dies(house, n_deaths + 1):
                    missed.append(point)
                    break
                n_deaths += 1
                wait_until_settled()
                wait_until_dispatched()
                slowest = max(slowest, time.monotonic() - began)
    return [
        plain("marked points", len(points)),
        plain("deaths", n_deaths),
        exactly("points that no worker came to", len(missed)),
        Figure(
            "longest from a report to its last reaction", f"{slowest:.0f} s", f"<= {STUCK_AFTER:.0f} s",
            slowest <= STUCK_AFTER,
        ),
        *judged(feed),
    ]  # fmt: skip


def _dies(house: House, n_wanted: int) -> bool:
    until = time.monotonic() + DIES_WITHIN
    file = deadly.deaths_file(house.directory)
    while time.monotonic() < until:
        if file.exists() and len(file.read_text(encoding="ascii").splitlines()) >= n_wanted:
            return True
        time.sleep(0.05)
    deadly.armed_file(house.directory).unlink(missing_ok=True)
    return False


@contextmanager
def _deadly_settings() -> Iterator[None]:
    """Processes that start inside carry the marks; this one does not."""
    before = os.environ["DJANGO_SETTINGS_MODULE"]
    os.environ["DJANGO_SETTINGS_MODULE"] = "orderhub.bench.deadly_settings"
    try:
        yield
    finally:
        os.environ["DJANGO_SETTINGS_MODULE"] = before


class Feed:
    """Some new orders for each death, each with everything up to its shipping."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.names: list[str] = []

    def next(self) -> list[list[Any]]:
        from orderhub.bench.ingest import fact_requests, place_requests

        fresh = [f"K{len(self.names) + number:06d}" for number in range(ORDERS_EACH)]
        self.names += fresh
        placed = place_requests(self.source, fresh)
        told = fact_requests(self.source, fresh, ORDERS_EACH)
        return [first + second for first, second in zip(placed, told, strict=True)]


def judged(feed: Feed) -> list[Figure]:
    """Each order once, each fact once, each reaction once."""
    from integrations.models import InboundMessage
    from orderhub.bench.ingest import KINDS
    from orders.models import Order, OrderEvent, OrderFact, Todo

    n_orders = len(feed.names)
    todos = Todo.objects.filter(kind=Todo.Kind.STEP).values_list("order_id", "subject")
    again = Todo.objects.filter(n_times__gt=1).count()
    return [
        exactly("facts lost or double", abs(OrderFact.objects.count() - n_orders * (1 + len(KINDS)))),
        exactly("orders lost or double", abs(Order.objects.count() - n_orders)),
        exactly("orders that are not shipped", n_orders - Order.objects.filter(stage="shipped").count()),
        exactly("messages failed or waiting", InboundMessage.objects.exclude(state="done").count()),
        exactly("events not reacted to", OrderEvent.objects.filter(dispatched_at=None).count()),
        exactly("to-dos double", len(todos) - len(set(todos)) + again),
        exactly("breaks in the journal", chaos.breaks_in_journal()),
    ]
