"""Facts through the HTTP inbox until they are settled and journalled: as many a second as the machine can carry."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orderhub.bench.figures import Figure, at_least, at_most, exactly, percentile, plain, ratio, say
from orderhub.bench.house import House

SENDERS = 4
PER_REQUEST = 20
# Each moves its order on, so that every fact costs a transition and its journal.
KINDS = ("payment.received", "date.confirmed", "stock.locked", "waybill.made", "parcel.handed_over")
GOAL = 300
ACCEPT_MS = 500


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--facts", type=int, default=30_000, help="facts in requests of 20 (30,000)")
    parser.add_argument("--singles", type=int, default=3_000, help="facts in requests of one (3,000)")
    parser.add_argument(
        "--bare-seconds", type=float, default=5.0, help="how long the bare database is measured (5)"
    )


def run(house: House, options: Namespace) -> list[Figure]:
    from orderhub.bench.ground import make_shop, make_source

    make_shop()
    source = make_source("bench-shop", "shop")
    house.start()
    figures = measured(house, source, options.facts, options.singles, prefix="B")
    figures += _bare(house, options, figures)
    return [*figures, exactly("“database is locked” in the logs", house.complaints("database is locked"))]


def measured(house: House, source: Any, n_facts: int, n_singles: int, *, prefix: str) -> list[Figure]:
    """Orders in, facts in bundles, facts one by one. prefix: of the order numbers, so that runs do not meet."""
    from orderhub.bench.ground import refresh_statistics, wait_until_dispatched

    orders = -(-n_facts // len(KINDS) // PER_REQUEST) * PER_REQUEST
    names = [f"{prefix}{number:07d}" for number in range(orders)]
    placed = _send(house, place_requests(source, names), "orders")
    wait_until_dispatched()
    refresh_statistics()
    bundled = _send(house, fact_requests(source, names, PER_REQUEST), "facts")
    behind = time.monotonic()
    wait_until_dispatched()
    behind = time.monotonic() - behind
    few = names[: max(n_singles // len(KINDS), SENDERS)]
    few = [f"{prefix}S{name}" for name in few]
    _send(house, place_requests(source, few), "orders")
    wait_until_dispatched()
    single = _send(house, fact_requests(source, few, 1), "single facts")
    return [
        plain("orders placed, requests of 50", placed.rate, "/s"),
        at_least("facts, requests of 20", bundled.rate, GOAL, "/s"),
        plain("   of these accepted while sending", bundled.accept_rate, "/s"),
        plain("   accept p50", bundled.p50, "ms"),
        at_most("   accept p99", bundled.p99, ACCEPT_MS, "ms"),
        Figure("   reactions behind the last settled fact", f"{behind:.1f} s"),
        plain("facts, requests of 1", single.rate, "/s"),
        at_most("   accept p99, requests of 1", single.p99, ACCEPT_MS, "ms"),
        exactly("refused or lost", placed.n_lost + bundled.n_lost + single.n_lost),
    ]


class Run:
    """One stretch of sending: from the first POST until the last item was settled."""

    def __init__(self, name: str, n_items: int, sent: Any, sending: float, settled: float) -> None:
        self.n_items, self.rate = n_items, n_items / settled
        self.accept_rate = n_items / sending
        self.p50, self.p99 = (percentile(sent.seconds, share) * 1000 for share in (0.5, 0.99))
        self.n_lost = n_items - sent.n_items + len(sent.refused)
        say(
            f"  {n_items:,} {name}: {self.rate:,.0f}/s, accepted {self.accept_rate:,.0f}/s, p99 {self.p99:.0f} ms"
        )
        for refusal in sent.refused[:3]:
            say(f"    refused: {refusal}")


def _send(house: House, work: list[list[Any]], name: str) -> Run:
    from orderhub.bench.ground import wait_until_settled
    from orderhub.bench.senders import Senders

    senders = Senders(house.port, work)
    sent = senders.wait()
    sending = time.monotonic() - senders.began
    settled = wait_until_settled() - senders.began
    return Run(
        name, sum(request.n_items for requests in work for request in requests), sent, sending, settled
    )


def place_requests(source: Any, names: list[str]) -> list[list[Any]]:
    from orderhub.bench.ground import SHOP, in_chunks
    from orderhub.bench.senders import dealt

    at = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    items = [
        {
            "key": f"place-{name}",
            "shop": SHOP,
            "external_id": name,
            "placed_at": at,
            "currency": "CNY",
            "total": "236.00",
            "lines": [{"sku": "BRK-001", "qty": "2", "price": "118.00"}],
        }
        for name in names
    ]
    return dealt([source.request("orders", chunk) for chunk in in_chunks(items, 50)], SENDERS)


def fact_requests(source: Any, names: list[str], per_request: int) -> list[list[Any]]:
    """Every order's facts in the order of its life; each request is about so many different orders."""
    from orderhub.bench.ground import in_chunks

    at = datetime.now(UTC) - timedelta(hours=1)
    work: list[list[Any]] = [[] for _sender in range(SENDERS)]
    chunks = list(in_chunks(names, per_request))
    for step, kind in enumerate(KINDS):
        moment = (at + timedelta(minutes=step)).isoformat()
        for number, chunk in enumerate(chunks):
            items = [fact(kind, name, moment) for name in chunk]
            work[number % SENDERS].append(source.request("facts", items))
    return work


def fact(kind: str, name: str, moment: str) -> dict[str, Any]:
    from orderhub.bench.ground import SHOP

    item: dict[str, Any] = {
        "key": f"{kind}-{name}",
        "kind": kind,
        "occurred_at": moment,
        "order": {"shop": SHOP, "external_id": name},
    }
    if kind in {"waybill.made", "parcel.handed_over"}:
        item["parcel"] = f"W{name}"
    if kind == "date.confirmed":
        item["data"] = {"date": moment[:10]}
    return item


def _bare(house: House, options: Namespace, figures: list[Figure]) -> list[Figure]:
    """The same machine, minutes later, without us."""
    from orderhub.bench import bare

    if not options.bare_seconds:
        return []
    house.stop()
    address = house.postgres.url if house.postgres else str(Path(house.directory) / "bare.sqlite3")
    one, four = (bare.rate(house.db, address, clients=n, seconds=options.bare_seconds) for n in (1, SENDERS))
    ours = next(one for one in figures if one.name.startswith("facts, requests of 20"))
    facts = float(ours.value.split()[0].replace(",", ""))
    return [
        plain("bare order transactions of five statements, 1 client", one, "/s"),
        plain("bare order transactions of five statements, 4 clients", four, "/s"),
        ratio("facts to bare transactions of 4 clients", facts, four),
    ]
