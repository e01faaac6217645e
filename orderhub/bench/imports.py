"""A file of new one-line orders through manage.py import_orders, while the worker runs: how fast, and with how much memory."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from orderhub import serve
from orderhub.bench.figures import Figure, at_least, at_most, exactly, plain, say
from orderhub.bench.house import House, pss

GOAL = {"sqlite": 500, "postgres": 400}
MOST_MEMORY_MB = 300
COLUMNS = ("order_no", "placed", "amount", "article", "count", "town")
MAPPING = {
    "version": 1,
    "record": "order",
    "timezone": "Asia/Shanghai",
    "fields": {
        "external_id": {"path": "order_no"},
        "placed_at": {"path": "placed"},
        "total": {"path": "amount"},
        "currency": {"constant": "CNY"},
        "lines[].sku": {"path": "article"},
        "lines[].qty": {"path": "count"},
        "region": {"path": "town"},
    },
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the file (100,000)")


def run(house: House, options: Namespace) -> list[Figure]:
    from integrations.models import ImportRun
    from orderhub.bench.ground import SHOP, make_shop, wait_until_dispatched, wait_until_settled
    from orders.models import Order

    make_shop()
    file, mapping = house.directory / "orders.csv", house.directory / "bench-import.json"
    _write(file, options.rows)
    mapping.write_text(json.dumps(MAPPING), encoding="utf-8")
    house.start(web=False)
    command = [*serve.MANAGE, "import_orders", str(file), "--shop", SHOP, "--mapping", str(mapping), "--json"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=serve.die_with_parent)
    peak = Peak(house, process)
    seen: set[int] = set()
    while process.poll() is None:
        peak.look()
        seen |= set(ImportRun.objects.values_list("n_rows", flat=True))
        time.sleep(0.25)
    answer = json.loads(process.stdout.read()) if process.stdout else {}
    took = wait_until_settled() - began
    behind = wait_until_dispatched() - began - took
    say(f"  {answer}")
    n_orders = Order.objects.exclude(settled_through=None).count()
    return [
        at_least("orders mapped, stored and settled", n_orders / took, GOAL[house.db], "/s"),
        Figure("from the command to the last settled", f"{took:.0f} s"),
        Figure("reactions behind", f"{behind:.1f} s"),
        exactly("orders settled", n_orders, options.rows),
        exactly("rows that failed", int(answer.get("errors", -1))),
        plain("progress shown, different states", len(seen)),
        at_most("peak memory of import and workers (PSS)", peak.together, MOST_MEMORY_MB, "MB"),
        plain("   of these the importing process", peak.importing, "MB"),
    ]


class Peak:
    """The most memory seen, in MB of proportional set size."""

    def __init__(self, house: House, process: subprocess.Popen[bytes]) -> None:
        self.house, self.process = house, process
        self.together = self.importing = 0.0

    def look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            importing = pss([psutil.Process(self.process.pid)])
            workers = pss(self.house.processes("steward")[1:])
            self.importing = max(self.importing, importing)
            self.together = max(self.together, importing + workers)


def _write(path: Path, n_rows: int) -> None:
    start = datetime.now(UTC) - timedelta(days=2)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(n_rows):
            placed = start + timedelta(seconds=number)
            writer.writerow(
                [f"F{number:08d}", f"{placed:%Y-%m-%d %H:%M:%S}", "236.00", "BRK-001", "2", "Shanghai"]
            )
