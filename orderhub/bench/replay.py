"""An order history, played through the HTTP API as if it were happening; every row must end as the table says."""

from __future__ import annotations

import json
import random
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from orderhub.bench.figures import Figure, at_least, at_most, exactly, percentile, plain, say
from orderhub.bench.histories import BadHistory, Row, expected, made_up, read
from orderhub.bench.house import House

MAPPING = Path(__file__).parent / "olist.json"
SENDERS = 4
PER_REQUEST = 20
DUPLICATES = 0.05
REORDERED = 0.10
# How far a report that is late falls behind, in reports.
LATE_BY = 400


class Report(NamedTuple):
    """One item on its way: which address takes it, and when it happened."""

    what: str
    at: datetime
    item: dict[str, Any]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, help="an order history (CSV, also .gz); without it one is made up"
    )
    parser.add_argument(
        "--mapping", type=Path, default=MAPPING, help="JSON with the definitions “row” and “last_status”"
    )
    parser.add_argument(
        "--speed", default="max", help="how many times faster than it happened, or max (default)"
    )
    parser.add_argument("--limit", type=int, help="only so many rows")
    parser.add_argument("--rows", type=int, default=5_000, help="rows of the made-up history (5,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the duplicates and the disorder (1)")


def run(house: House, options: Namespace) -> list[Figure]:
    from orderhub.bench.ground import (
        make_shop,
        make_source,
        refresh_statistics,
        wait_until_dispatched,
        wait_until_settled,
    )
    from orderhub.bench.senders import Senders

    made = made_up(options.limit or options.rows)
    rows = list(read(options.file, options.limit) if options.file else made)
    for row in rows:
        expected(row)
    make_shop("America/Sao_Paulo")
    source = make_source("bench-shop", "shop")
    reports = reports_of(rows, json.loads(options.mapping.read_text(encoding="utf-8")))
    stream = disturbed(reports, random.Random(options.seed))
    work = requests_of(stream, source, options.speed)
    say(f"  {len(rows):,} rows give {len(reports):,} reports, {len(stream):,} with duplicates; sending ...")
    house.start()
    refresh_statistics()
    senders = Senders(house.port, work)
    sent = senders.wait()
    took = wait_until_settled() - senders.began
    began = time.monotonic()
    wait_until_dispatched()
    behind = time.monotonic() - began
    wrong = mismatches(rows)
    for line in wrong[:10]:
        say(f"    {line}")
    n_facts, n_failed = _stored()
    rate = len(stream) / took
    return [
        plain("rows", len(rows)),
        plain("reports sent, 5 % twice, 10 % late", len(stream)),
        Figure("facts stored", f"{n_facts:,}", f"{len(reports):,}", n_facts == len(reports)),
        at_least("reports settled", rate, 300, "/s")
        if options.speed == "max"
        else plain("reports settled", rate, "/s"),
        Figure("from the first report to the last settled", f"{took:.1f} s"),
        Figure("reactions behind", f"{behind:.1f} s"),
        plain("accept p50", percentile(sent.seconds, 0.5) * 1000, "ms"),
        at_most("accept p99", percentile(sent.seconds, 0.99) * 1000, 500, "ms"),
        exactly("requests refused", len(sent.refused)),
        exactly("messages that failed", n_failed),
        exactly("rows that end elsewhere than the table says", len(wrong)),
        *(plain(f"   rows that end in {stage}", count) for stage, count in ends(rows).most_common()),
    ]


def reports_of(rows: Iterable[Row], mapping: dict[str, Any]) -> list[Report]:
    """What the rows say, through the mapping, in the order in which it happened."""
    from integrations.mapping import translate
    from orderhub.bench.ground import SHOP

    found: list[Report] = []
    for row in rows:
        for definition in (mapping["row"], mapping["last_status"]):
            found += [_report(said) for said in translate(definition, row, shop=SHOP)]
    return sorted(found, key=lambda report: report.at)


def _report(said: Any) -> Report:
    from integrations.canonical import FactItem, OrderReport

    if isinstance(said, OrderReport):
        lines = [{"sku": line.sku, "qty": str(line.qty)} for line in said.lines]
        item = {
            "key": f"{said.external_id}:placed",
            "shop": said.shop,
            "external_id": said.external_id,
            "placed_at": said.placed_at.isoformat(),
            "lines": lines,
            **said.fields,
        }
        return Report("orders", said.placed_at, item)
    if not isinstance(said, FactItem):
        raise BadHistory(f"the mapping does not know {said.field} = {said.value}")
    order = {"shop": said.order.shop, "external_id": said.order.external_id}
    item = {"key": said.key, "kind": said.kind, "occurred_at": said.occurred_at.isoformat(), "order": order}
    return Report("facts", said.occurred_at, {**item, "data": dict(said.data)} if said.data else item)


def disturbed(reports: Sequence[Report], draw: random.Random) -> list[Report]:
    """As networks deliver them: some late, some twice."""
    placed = [(float(place), report) for place, report in enumerate(reports)]
    late = [
        (place + draw.uniform(1, LATE_BY) if draw.random() < REORDERED else place, report)
        for place, report in placed
    ]
    again = [
        (place + draw.uniform(0, LATE_BY), report) for place, report in placed if draw.random() < DUPLICATES
    ]
    return [report for _place, report in sorted([*late, *again], key=lambda one: one[0])]


def requests_of(stream: Sequence[Report], source: Any, speed: str) -> list[list[Any]]:
    """The stream in requests of up to 20 reports, in turn to each sender; at a speed, each not before its time."""
    from orderhub.bench.senders import dealt

    first = min((report.at for report in stream), default=None)
    requests = []
    for start in range(0, len(stream), PER_REQUEST * 2):
        some = stream[start : start + PER_REQUEST * 2]
        for what in ("orders", "facts"):
            items = [report.item for report in some if report.what == what]
            if items and first is not None:
                late = max(report.at for report in some) - first
                not_before = 0.0 if speed == "max" else late.total_seconds() / float(speed)
                requests.append(source.request(what, items, not_before))
    return dealt(requests, SENDERS)


def ends(rows: Iterable[Row]) -> Counter[str]:
    """How many rows end where, by the table; “!” marks those on which sources disagree."""
    return Counter(stage + (" !" if conflict else "") for stage, conflict in map(expected, rows))


def mismatches(rows: Sequence[Row]) -> list[str]:
    """One line for each row whose order is not as the table says."""
    from orders.models import Order

    found = {
        name: (str(stage), conflict)
        for name, stage, conflict in Order.objects.values_list("external_id", "stage", "has_conflict")
    }
    return [
        f"{row['order_id']} ({row['status']}): {found.get(row['order_id'])} instead of {expected(row)}"
        for row in rows
        if found.get(row["order_id"]) != expected(row)
    ]


def _stored() -> tuple[int, int]:
    from integrations.models import InboundMessage
    from orders.models import OrderFact

    return OrderFact.objects.count(), InboundMessage.objects.filter(state=InboundMessage.State.FAILED).count()
