"""What an estimate costs, what an event costs, and the nightly calibration over a long history; with FILE also a back-test."""

from __future__ import annotations

import random
import resource
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orderhub.bench.figures import Figure, at_most, percentile, plain, say

if TYPE_CHECKING:
    from promises.eta.book import Book
    from promises.eta.learner import Learner
    from promises.eta.orders import Placed
    from promises.replay import Row

# Without a zone, like the files that back-tests read.
START = datetime(2025, 1, 1)  # noqa: DTZ001
DAYS = 365
PROBES = 2_000
# So many are told one by one; the rest of the year repeats them.
TOLD = 20_000
TARGETS = (0.8, 0.85, 0.88, 0.9, 0.91, 0.927, 0.94, 0.95)
# The stretches of the public history whose figures docs/promises.md gives.
YEAR = (date(2017, 5, 1), date(2018, 4, 30))
LAST_MONTHS = (date(2018, 3, 1), date(2018, 4, 30))
HARD_MONTHS = {
    "February 2018": (date(2018, 2, 1), date(2018, 2, 28)),
    "March 2018": (date(2018, 3, 1), date(2018, 3, 31)),
}
HELD = 0.927


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="an order history to back-test (CSV, also .gz); without it only the costs",
    )
    parser.add_argument(
        "--orders", type=int, default=1_260_000, help="orders of the made-up year (1,260,000)"
    )


def run(options: Namespace) -> list[Figure]:
    figures = costs(options.orders)
    if options.file:
        figures += back_tests(options.file)
    return figures


def costs(n_orders: int) -> list[Figure]:
    from promises.eta.learner import Learner

    learner = Learner()
    say(f"  writing down {n_orders:,} orders ...")
    _tell(learner, min(n_orders, TOLD))
    _repeat(learner.book, n_orders)
    # Before the night: what the columns hold by then is part of what the night needs.
    night = (START + timedelta(days=DAYS + 1)).toordinal() - date(2000, 1, 1).toordinal()
    begun = time.perf_counter()
    learner.calibrate(night)
    nightly = time.perf_counter() - begun
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        at_most(f"nightly calibration with the weekly fit, {n_orders:,} orders", nightly, 60, "s", places=1),
        at_most("most memory of the process by then", most, 500, "MB"),
        *_probe(learner),
    ]


def _tell(learner: Learner, n_orders: int) -> None:
    """A year of orders; the nights between are left out, only the last is measured."""
    draw = random.Random(1)
    learner.hold_nights()
    for order in _orders(draw, n_orders):
        learner.placed(order)
        if (order.placed_at - START).days < DAYS - 10:
            learner.delivered(order.key, order.placed_at + timedelta(days=draw.lognormvariate(2.2, 0.45)))
    learner.release_nights()


def _repeat(book: Book, n_orders: int) -> None:
    """Repeat the orders told until the book holds that many; their times spread over the same year."""
    import numpy as np

    for name, column in book.columns().items():
        book.replace(name, np.resize(column, (n_orders, *column.shape[1:])))
    first = (START.date() - date(2000, 1, 1)).days
    placed = first + np.arange(n_orders) / n_orders * DAYS
    days = book.column("days")
    days[placed > first + DAYS - 10] = np.nan
    days[(placed <= first + DAYS - 10) & np.isnan(days)] = 9
    book.replace("placed", placed)
    book.replace("day", np.floor(placed).astype(np.int32))


def _orders(draw: random.Random, n_orders: int, *, first_day: float = 0.0) -> Iterator[Placed]:
    from promises.eta.orders import Placed

    for number in range(n_orders):
        city = draw.randrange(400)
        yield Placed(
            key=f"e{first_day}-{number}",
            placed_at=START + timedelta(days=first_day + number / n_orders * DAYS),
            county=f"k{city}-{draw.randrange(8)}",
            city=f"c{city}",
            province=f"p{city % 31}",
            carrier=f"x{draw.randrange(5)}",
            origin=f"w{draw.randrange(40)}",
            origin_region=f"p{draw.randrange(31)}",
            distance_km=draw.uniform(5, 3000),
            weight_g=draw.uniform(50, 20_000),
            price=draw.uniform(5, 900),
        )


def _probe(learner: Learner) -> list[Figure]:
    draw = random.Random(2)
    probes = [
        order for _number, order in zip(range(PROBES), _orders(draw, 10**9, first_day=DAYS + 1), strict=False)
    ]
    learner.pass_nights(probes[0].placed_at)
    estimates, updates = [], []
    for order in probes:
        begun = time.perf_counter()
        _promised(learner, order)
        estimates.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        learner.placed(order)
        updates.append(time.perf_counter() - begun)
    for order in probes:
        begun = time.perf_counter()
        learner.delivered(order.key, order.placed_at + timedelta(minutes=1))
        updates.append(time.perf_counter() - begun)
    return [
        at_most("one estimate, median", 1000 * percentile(estimates, 0.5), 1, "ms", places=3),
        at_most("an update on an event, median", 1000 * percentile(updates, 0.5), 2, "ms", places=3),
        plain("one estimate, p99", f"{1000 * percentile(estimates, 0.99):.3f} ms"),
        plain("an update on an event, p99", f"{1000 * percentile(updates, 0.99):.3f} ms"),
    ]


def _promised(learner: Learner, order: Placed) -> None:
    from promises.eta.forecast import promise

    promise(order, learner.forecast(order))


def back_tests(file: Path) -> list[Figure]:
    from promises.history_file import read_history
    from promises.replay import back_test, days_at_rate

    begun = time.perf_counter()
    history = read_history(file)
    whole = back_test(history, TARGETS)
    figures = [at_most("whole back-test of the file", time.perf_counter() - begun, 180, "s")]
    figures.append(plain("average, kept", _percent(_row(whole.rows, "average").on_time)))
    for name, (first, last), fewer in (("2018-03..04", LAST_MONTHS, 4.0), ("2017-05..2018-04", YEAR, 0.0)):
        say(f"  {name} ...")
        rows = back_test(history, TARGETS, scored_from=first, scored_to=last).rows
        figures += _against_platform(name, rows, days_at_rate(rows, _row(rows, "platform").on_time), fewer)
    for name, (first, last) in HARD_MONTHS.items():
        say(f"  {name} ...")
        kept = _row(back_test(history, [HELD], scored_from=first, scored_to=last).rows, "hub").on_time
        figures.append(Figure(f"{name}, kept at target {HELD}", _percent(kept), ">= 90 %", kept >= 0.9))
    return figures


def _against_platform(name: str, rows: list[Row], days: float | None, fewer: float) -> list[Figure]:
    platform, hub = _row(rows, "platform"), _row(rows, "hub", HELD)
    saved = 100 * (1 - days / platform.mean_days) if days is not None else 0.0
    return [
        Figure(
            f"{name}, fewer days at the platform's {_percent(platform.on_time)}",
            f"{saved:.1f} %",
            f">= {fewer:.0f} %",
            saved >= fewer,
        ),
        at_most(
            f"{name}, weekly deviation",
            hub.weekly_deviation_pp,
            platform.weekly_deviation_pp,
            "points",
            places=2,
        ),
        at_most(f"{name}, mean error of the shown date", hub.mae_days, 5.8, "days", places=2),
        plain(f"{name}, the platform's", f"{platform.mae_days:.2f} days"),
    ]


def _row(rows: list[Row], method: str, target: float | None = None) -> Row:
    return next(row for row in rows if row.method == method and target in {None, row.target})


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
