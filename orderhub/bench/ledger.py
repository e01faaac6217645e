"""The transparency log: how fast entries are written, how long a proof takes, how long a whole replay takes."""

from __future__ import annotations

import json
import random
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from orderhub.bench.figures import Figure, at_least, at_most, exactly, percentile, plain
from orderhub.bench.house import House

GOAL = {"sqlite": 0, "postgres": 5_000}
PROOFS = 1000
YEAR = 2_520_000
AT = datetime(2026, 6, 1, tzinfo=UTC)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--entries", type=int, default=100_000, help="entries written (100,000)")
    parser.add_argument("--replay", type=int, default=YEAR, help=f"entries replayed ({YEAR:,}: a year)")


def run(house: House, options: Namespace) -> list[Figure]:
    from promises.ledger import monitor, sequencer

    log = _queue(options.entries)
    began = time.monotonic()
    n_written = 0
    while n := sequencer.write(log, AT):
        n_written += n
    rate = n_written / (time.monotonic() - began)
    took = list(_proofs(log, n_written))
    began = time.monotonic()
    report = monitor.watch(log, AT)
    watched = time.monotonic() - began
    size, replayed = _replay(options.replay)
    written = f"entries written, {n_written:,} in batches of {sequencer.BATCH:,}"
    return [
        at_least(written, rate, GOAL[house.db], "a second")
        if GOAL[house.db]
        else plain(written, rate, "a second"),
        at_most("path of an inclusion proof, median", percentile(took, 0.5) * 1000, 1, "ms", places=2),
        plain("path of an inclusion proof, 99 of 100", f"{percentile(took, 0.99) * 1000:.2f} ms"),
        exactly("findings of the monitor", len(report.findings)),
        plain("the monitor's reading", n_written / watched, "entries a second"),
        at_most(f"log_stats over {size:,} lines", replayed, 60 * max(size, YEAR) / YEAR, "s", places=1),
    ]


def _queue(n: int) -> Any:
    from promises.ledger import writing
    from promises.ledger.models import LogPending, SellerProfile

    SellerProfile.objects.create(legal_name="Bench", uscc="91330000MA0000000X", slug="bench")
    log = writing.log_of(is_demo=False, at=AT)
    for start in range(0, n, 5000):
        LogPending.objects.bulk_create(
            LogPending(
                log=log,
                kind="issue",
                body=_issue(number),
                dedup=f"issue {number}",
                queued_at=AT,
                is_demo=False,
            )
            for number in range(start, min(start + 5000, n))
        )
    return log


def _issue(number: int) -> dict[str, Any]:
    return {
        "nh": f"{number:064x}",
        "ph": f"{number:064x}",
        "pdf": f"{number:064x}",
        "due": 1_790_000_000 + number,
    }


def _proofs(log: Any, size: int) -> Iterator[float]:
    from promises import merkle
    from promises.ledger import reading

    drawn = random.Random(1)
    for _time in range(PROOFS + 20):
        index = drawn.randrange(size)
        began = time.perf_counter()
        reading.with_nodes(log, partial(merkle.inclusion, index, size))
        # The first ones prepare statements and fill caches.
        if _time >= 20:
            yield time.perf_counter() - began


def _replay(n: int) -> tuple[int, float]:
    """As log_stats reads a file: one line an entry, half of them outcomes."""
    from promises.ledger import replaying

    def lines() -> Iterator[bytes]:
        for number in range(n):
            said: dict[str, Any] = {"v": 1, "i": number, "ts": 1_780_000_000 + number}
            if number % 2:
                said |= {
                    "t": "outcome",
                    "ref": number - 1,
                    "k": "delivered",
                    "at": 1_790_000_000,
                    "src": "carrier",
                    "ev": "e" * 64,
                }
            else:
                said |= {"t": "issue", **_issue(number)}
            yield json.dumps(said, sort_keys=True, separators=(",", ":")).encode()

    # Made before, in portions, so that only the replay is measured.
    spent, source, found = 0.0, lines(), replaying.replay([])
    while portion := [line for _number, line in zip(range(50_000), source, strict=False)]:
        began = time.monotonic()
        replaying.go_on(found, portion)
        spent += time.monotonic() - began
    began = time.monotonic()
    found.promises.statistics(as_of=1_800_000_000)
    found.tree.root()
    return found.tree.size, spent + time.monotonic() - began
