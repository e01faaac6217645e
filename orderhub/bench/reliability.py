"""The rows of the reliability table that this house can already be held to, with their full counts."""

from __future__ import annotations

import json
import random
import signal
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil

from orderhub.bench import chaos, crash
from orderhub.bench.figures import Figure, exactly, plain, say
from orderhub.bench.house import House

ROWS = ("R1", "R3", "R4", "R6", "R7", "R13")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these of {', '.join(ROWS)}")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the full counts; the tests take a hundredth (1)"
    )
    parser.add_argument("--seed", type=int, default=1)


def run(house: House, options: Namespace) -> list[Figure]:
    figures: list[Figure] = []
    for row, measure in (("R1", _r1), ("R3", _r3), ("R4", _r4), ("R6", _r6), ("R7", _r7), ("R13", _r13)):
        if options.rows and row not in options.rows:
            continue
        say(f"  {row}")
        found = measure(house, options)
        figures += [Figure(f"{row} {one.name}", one.value, one.goal, one.met) for one in found]
        house.stop()
        _empty()
    return figures


def _empty() -> None:
    """Every row begins with an empty house."""
    from django.core.management import call_command
    from django.utils.timezone import now

    from orders import append_only
    from orders.worktime import ensure_holidays

    with append_only.lifted():
        call_command("flush", interactive=False, verbosity=0)
    ensure_holidays(now())


def _count(full: int, options: Namespace) -> int:
    return max(int(full * options.share), 1)


def _r1(house: House, options: Namespace) -> list[Figure]:
    """Facts by four kinds of sources while workers and backends are killed."""
    kills = max(_count(50, options), 2)
    asked = Namespace(
        facts=_count(100_000, options), kills=kills, backend_kills=min(5, kills), seed=options.seed
    )
    return chaos.run(house, asked)


def _r3(house: House, options: Namespace) -> list[Figure]:
    """A worker dies at 300 random moments of its work."""
    from integrations.models import InboundMessage
    from orderhub.bench.ground import make_shop, make_source, wait_until_dispatched, wait_until_settled
    from orderhub.bench.ingest import KINDS, fact_requests, place_requests
    from orderhub.bench.senders import Senders
    from orders.models import Order, OrderFact

    kills, draw = _count(300, options), random.Random(options.seed)
    chaos.notice_stuck_workers_soon()
    make_shop()
    source = make_source("bench-r3", "shop")
    names = [f"R{number:06d}" for number in range(max(kills * 20, 500))]
    house.start()
    work = [
        placed + told
        for placed, told in zip(place_requests(source, names), fact_requests(source, names, 5), strict=True)
    ]
    senders = Senders(house.port, work)
    # What was sent is not done yet: workers die until nothing is left to do.
    waiting = InboundMessage.objects.filter(state=InboundMessage.State.WAITING)
    done = 0
    while done < kills and (senders.is_sending() or waiting.exists()):
        time.sleep(draw.uniform(0.05, 0.6))
        done += _kill_one(house, draw)
    senders.wait()
    wait_until_settled()
    wait_until_dispatched()
    n_facts = len(names) * (1 + len(KINDS))
    return [
        exactly("SIGKILLs to workers", done, kills),
        exactly("facts lost or double", abs(OrderFact.objects.count() - n_facts)),
        exactly("orders that are not shipped", len(names) - Order.objects.filter(stage="shipped").count()),
        exactly("breaks in the journal", chaos.breaks_in_journal()),
    ]


def _kill_one(house: House, draw: random.Random) -> int:
    workers = house.processes("steward")[2:]
    with suppress(psutil.NoSuchProcess):
        if workers:
            draw.choice(workers).send_signal(signal.SIGKILL)
            return 1
    return 0


def _r4(house: House, options: Namespace) -> list[Figure]:
    return crash.run(house, Namespace(kills=max(_count(20, options), 2), pause=3.0))


def _r6(house: House, options: Namespace) -> list[Figure]:
    """One idempotency key, 50 times at once, 200 keys; then the same key with another body."""
    from integrations.models import InboundMessage
    from orderhub.bench.ground import SHOP, make_shop, make_source
    from orderhub.bench.ingest import fact

    n_keys = _count(200, options)
    make_shop()
    source = make_source("bench-r6", "shop")
    house.start()
    url = f"http://127.0.0.1:{house.port}/api/v1/facts/"
    wrong = 0
    with ThreadPoolExecutor(50) as pool:
        for number in range(n_keys):
            items = [fact("payment.received", f"I{number}", "2026-01-05T09:00:00+08:00")]
            answers = list(
                pool.map(
                    lambda _n, items=items, number=number: _post(url, source, items, f"key-{number}"),
                    range(50),
                )
            )
            other = _post(
                url, source, [{**items[0], "order": {"shop": SHOP, "external_id": "other"}}], f"key-{number}"
            )
            for answer in sorted({*answers} - {answers[0]}):
                say(f"    {answers[0]} beside {answer}")
            wrong += len(set(answers)) != 1 or answers[0][0] != 200 or other[0] not in {409, 422}
    return [
        plain("keys, each 50 times at once", n_keys),
        exactly("keys with more than one answer, or another body let in", wrong),
        exactly("messages more or fewer than keys", abs(InboundMessage.objects.count() - n_keys)),
    ]


def _post(url: str, source: Any, items: list[dict[str, Any]], key: str) -> tuple[int, bytes]:
    body = json.dumps({"items": items}).encode()
    headers = {
        "Authorization": f"Token {source.token}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _r7(house: House, options: Namespace) -> list[Figure]:
    """Random lives in random orders of arrival, judged by the derivation and by the model. No server is needed."""
    from django.utils.timezone import now

    from orderhub.bench.lives import lives
    from orders.derivation import derive
    from orders.precedence import DEFAULT_RULES, precedence_of

    draw, at = random.Random(options.seed), now()
    rules = precedence_of(0, DEFAULT_RULES)
    n_orders = _count(50_000, options)
    n_wrong = n_unsteady = 0
    for life in lives(n_orders * 10, draw):
        facts = _rows_of(life)
        first = derive(facts, rules, at)
        draw.shuffle(facts)
        again = derive(facts, rules, at)
        n_wrong += first.stage != life.stage
        n_unsteady += first != again
    return [
        plain("lives judged in two random orders", n_orders),
        exactly("stages other than the model's", n_wrong),
        exactly("answers that depend on the order", n_unsteady),
    ]


def _rows_of(life: Any) -> list[Any]:
    from orderhub.bench.ground import SHOP
    from orders.units import FactRow

    rows = []
    for number, fact in enumerate(life.facts):
        kind, at = fact["kind"], fact["occurred_at"]
        parcel = f"W{life.name}" if kind.startswith(("parcel.", "waybill.")) else ""
        data = {"lines": [{"sku": "BRK-001", "qty": "2"}]} if kind == "order.placed" else {}
        rows.append(
            FactRow(
                id=number,
                reference=(SHOP, "order", life.name),
                source=f"bench-{fact['role']}",
                role=fact["role"],
                key=f"{life.name}:{kind}:{number}",
                kind=kind,
                level_id=parcel,
                quantity=None,
                occurred_at=at,
                received_at=at,
                data=data,
                actor=None,
            )
        )
    return rows


def _r13(house: House, options: Namespace) -> list[Figure]:
    """Sixteen clients at a few articles and orders; what each was told must be possible one after another."""
    from django.contrib.auth.models import User
    from django.db import transaction

    from orders.models import Warehouse
    from orders.tests import stock_history
    from orders.tests.factories import make_order, make_shop

    n_operations = max(_count(20_000, options), 320)
    warehouse = Warehouse.objects.create(code="r13", name="R13")
    boss = User.objects.create_superuser("r13")
    shop = make_shop("r13", warehouse=warehouse)
    # About as many calls on one order as in the small test: the judge tries every order in which they may have happened.
    with transaction.atomic():
        orders = [make_order(shop=shop) for _number in range(n_operations // 27)]
    wanted = stock_history.prepare(warehouse, orders, skus=max(len(orders) // 4, 1))
    history = stock_history.run(
        n_operations, seed=options.seed, wanted=wanted, warehouse=warehouse, actor=boss, patience=1800
    )
    verdict = stock_history.judge(history, wanted, warehouse)
    for line in verdict.anomalies[:5]:
        say(f"    {line}")
    return [plain("calls of 16 clients", verdict.n_operations), exactly("anomalies", len(verdict.anomalies))]
