"""A long replay by four kinds of sources while workers are killed; in the end every order must stand where the model says."""

from __future__ import annotations

import io
import os
import random
import signal
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from orderhub.bench.figures import Figure, at_least, exactly, percentile, plain, say
from orderhub.bench.house import House
from orderhub.bench.replay import DUPLICATES, LATE_BY, REORDERED

SENDERS = 4
PER_REQUEST = 20
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of a database that lives for minutes
# A stuck cluster is found by its missing heartbeat; the usual 90 seconds would be most of this measurement.
# It must be well above the eight seconds of one slice of work, or a long queue looks like a stuck one.
BEAT_SECONDS, BEAT_LIMIT_SECONDS = 2, 25
KILLS_WITHIN = 1500.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--facts", type=int, default=100_000, help="how many facts (100,000)")
    parser.add_argument("--kills", type=int, default=20, help="how many times workers get SIGKILL (20)")
    parser.add_argument(
        "--backend-kills", type=int, default=5, help="PostgreSQL: how many times a backend gets it (5)"
    )
    parser.add_argument("--seed", type=int, default=1)


@dataclass
class Sources:
    """Who reports: a shop and a warehouse over the API, a carrier by signed webhooks."""

    shop: Any
    wms: Any


def run(house: House, options: Namespace) -> list[Figure]:
    from orderhub.bench.ground import (
        asked,
        make_shop,
        make_source,
        refresh_statistics,
        wait_until_dispatched,
        wait_until_settled,
    )
    from orderhub.bench.lives import lives
    from orderhub.bench.senders import Senders

    notice_stuck_workers_soon()
    draw = random.Random(options.seed)
    found = lives(options.facts, draw)
    n_facts = sum(len(life.facts) for life in found)
    shop = make_shop()
    sources = Sources(make_source("bench-shop", "shop"), make_source("bench-wms", "wms"))
    _make_carrier()
    work = requests_of(found, sources, draw)
    say(f"  {len(found):,} orders, {n_facts:,} facts; sending ...")
    house.start()
    _start_file(found, shop)
    refresh_statistics()
    senders = Senders(house.port, work)
    n_kills, n_backends = _kill_while_working(house, options, draw)
    sent = senders.wait()
    took = wait_until_settled() - senders.began
    wait_until_dispatched()
    return [
        plain("orders", len(found)),
        plain("facts, sent with 5 % twice and 10 % late", n_facts),
        at_least("facts settled", n_facts / took, 300, "/s"),
        Figure("from the first report to the last settled", f"{took:.0f} s", "<= 600 s", took <= 600),
        plain("SIGKILLs to workers", n_kills),
        plain("SIGKILLs to backends of PostgreSQL", n_backends),
        plain("requests sent again after a failure", sent.n_retries),
        plain("accept p99", percentile(sent.seconds, 0.99) * 1000, "ms"),
        exactly("requests refused", len(sent.refused)),
        *asked(lambda: judged(found, n_facts)),
    ]


def notice_stuck_workers_soon() -> None:
    """For the house that is started next."""
    os.environ["ORDERHUB_BEAT_SECONDS"] = str(BEAT_SECONDS)
    os.environ["ORDERHUB_BEAT_LIMIT_SECONDS"] = str(BEAT_LIMIT_SECONDS)


def judged(found: Sequence[Any], n_facts: int) -> list[Figure]:
    """What is wrong with the end: compared with the model, with what was sent, and with the journal."""
    from integrations.models import InboundMessage
    from orders.models import Order, OrderFact

    stages = dict(Order.objects.values_list("external_id", "stage"))
    wrong = [life for life in found if stages.get(life.name) != life.stage]
    for life in wrong[:5]:
        say(f"    {life.name}: {stages.get(life.name)} instead of {life.stage}: {life.facts}")
    n_stored = OrderFact.objects.count()
    n_open = InboundMessage.objects.exclude(state=InboundMessage.State.DONE).count()
    return [
        exactly("orders that end elsewhere than the model says", len(wrong)),
        exactly("facts lost", max(n_facts - n_stored, 0)),
        exactly("facts double", max(n_stored - n_facts, 0)),
        exactly("orders double", Order.objects.count() - len(found)),
        exactly("messages failed or waiting", n_open),
        exactly("breaks in the journal", breaks_in_journal()),
    ]


def breaks_in_journal() -> int:
    """Moves that do not begin where the one before ended, and orders that do not stand where the last one ended.

    A batch that was done twice, or half, would leave one.
    """
    from orders.models import Order, OrderEvent

    last: dict[int, str] = {}
    n_breaks = 0
    moves = OrderEvent.objects.filter(kind=OrderEvent.Kind.MOVED).order_by("id")
    for order_id, old, new in moves.values_list("order_id", "old", "new").iterator():
        n_breaks += old != last.get(order_id, "")
        last[order_id] = new
    return n_breaks + sum(last.get(pk) != stage for pk, stage in Order.objects.values_list("pk", "stage"))


def _make_carrier() -> None:
    from integrations.models import Connection

    carrier = Connection(slug="bench-carrier", label="Carrier", role="carrier", connector="standard_webhooks")
    carrier.seal({"webhook": [SECRET]})
    carrier.save()


def _start_file(found: Sequence[Any], shop: Any) -> None:
    from django.utils.timezone import now

    from integrations.files import start_import
    from integrations.mapping.versions import named
    from integrations.models import Connection
    from orderhub.bench.lives import FILE_MAPPING, file_of

    mapping = named("bench lines", FILE_MAPPING, by=None, at=now())
    connection = Connection(
        slug="bench-files", label="Files", role="shop", connector="rows", shop=shop, mapping=mapping
    )
    connection.save()
    start_import(connection, mapping, io.BytesIO(file_of(found).encode()), "orders.jsonl", None)


def requests_of(found: Sequence[Any], sources: Sources, draw: random.Random) -> list[list[Any]]:
    """Everything but the file, as it would come over time, some late, some twice, in turn to each sender."""
    from orderhub.bench.ground import SHOP
    from orderhub.bench.lives import fact_item, order_item
    from orderhub.bench.senders import dealt

    told: list[tuple[float, str, dict[str, Any]]] = []
    for life in found:
        for fact in life.facts:
            if fact["kind"] != "order.placed":
                told.append((fact["occurred_at"].timestamp(), fact["role"], fact_item(life, fact, SHOP)))
            elif not life.by_file:
                told.append((fact["occurred_at"].timestamp(), "orders", order_item(life, SHOP)))
    told.sort(key=lambda one: one[0])
    places = [
        (place + draw.uniform(1, LATE_BY) if draw.random() < REORDERED else place, one)
        for place, one in enumerate(told)
    ]
    places += [
        (place + draw.uniform(0, LATE_BY), one)
        for place, one in enumerate(told)
        if draw.random() < DUPLICATES
    ]
    places.sort(key=lambda one: one[0])
    return dealt(_bundled([one for _place, one in places], sources), SENDERS)


def _bundled(told: Sequence[tuple[float, str, dict[str, Any]]], sources: Sources) -> list[Any]:
    requests: list[Any] = []
    waiting: dict[str, list[dict[str, Any]]] = {"orders": [], "shop": [], "wms": []}
    for _at, who, item in told:
        if who == "carrier":
            requests.append(_webhook(item))
            continue
        waiting[who].append(item)
        if len(waiting[who]) == PER_REQUEST:
            requests.append(_request(who, waiting[who], sources))
            waiting[who] = []
    return [*requests, *(_request(who, items, sources) for who, items in waiting.items() if items)]


def _request(who: str, items: Sequence[dict[str, Any]], sources: Sources) -> Any:
    if who == "orders":
        return sources.shop.request("orders", items)
    return (sources.wms if who == "wms" else sources.shop).request("facts", items)


def _webhook(item: dict[str, Any]) -> Any:
    import json

    from orderhub.bench.senders import Request

    data = {name: value for name, value in item.items() if name not in {"key", "kind", "occurred_at"}}
    body = json.dumps({"type": item["kind"], "timestamp": item["occurred_at"], "data": data}).encode()
    headers = {"Content-Type": "application/json"}
    return Request("/hooks/bench-carrier/", headers, body, 1, secret=SECRET, message_id=item["key"])


def _kill_while_working(house: House, options: Namespace, draw: random.Random) -> tuple[int, int]:
    """SIGKILL to workers, spread over the work: sometimes one, sometimes all of them, whatever they are doing.

    On PostgreSQL a backend gets it now and then too. Returns how many times each happened.
    """
    from integrations.models import InboundMessage
    from orderhub.bench.ground import asked

    done = InboundMessage.objects.filter(state=InboundMessage.State.DONE)
    n_kills = n_backends = 0
    wanted = options.backend_kills if house.postgres else 0
    deadline = time.monotonic() + KILLS_WITHIN
    while (n_kills < options.kills or n_backends < wanted) and time.monotonic() < deadline:
        time.sleep(0.2)
        # Until one is there: workers that were all killed have left none behind.
        if n_backends < min(wanted, n_kills // max(options.kills // max(wanted, 1), 1)):
            n_backends += _kill_backend(house)
        is_due = asked(done.count) >= options.facts * (n_kills + 0.5) / (options.kills + 1)
        if n_kills < options.kills and is_due and _kill_workers(house, draw):
            n_kills += 1
    return n_kills, n_backends


def _kill_workers(house: House, draw: random.Random) -> int:
    """Kills one worker or all; returns how many. The cluster's own processes are left: they die with the steward only."""
    children = house.processes("steward")[1:]
    clusters = {process.pid for process in children[:1]}
    workers = [process for process in children if process.pid not in clusters]
    if not workers:
        return 0
    victims = workers if draw.random() < 0.3 else [draw.choice(workers)]
    n_killed = 0
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
            n_killed += 1
    return n_killed


def _kill_backend(house: House) -> int:
    """SIGKILL to one busy backend: the whole server goes through crash recovery. Returns how many were killed."""
    import psycopg
    from django.db import connections

    assert house.postgres is not None
    # Our own backend is no worker's.
    connections.close_all()
    with psycopg.connect(house.postgres.url) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
            "ORDER BY state = 'active' DESC LIMIT 1"
        ).fetchone()
    if row is None:
        return 0
    with suppress(ProcessLookupError):
        os.kill(int(row[0]), signal.SIGKILL)
        return 1
    return 0
