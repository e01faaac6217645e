"""The postmaster is killed again and again under load: whatever was acknowledged must be there afterwards."""

from __future__ import annotations

import random
import time
from argparse import ArgumentParser, Namespace

from orderhub.bench.figures import Figure, at_most, exactly, plain, say
from orderhub.bench.house import House

RECOVERS_WITHIN = 10.0
# Requests of this many facts: many answers, so that many of them are on their way at any moment.
PER_REQUEST = 5


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs to the postmaster (20)")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds of work between two of them (3)")


def run(house: House, options: Namespace) -> list[Figure]:
    if house.postgres is None:
        return [plain("SQLite has no server to kill; workers are killed in “chaos”", "-")]
    from django.db import connections

    from orderhub.bench import ingest
    from orderhub.bench.ground import make_shop, make_source, wait_until_settled
    from orderhub.bench.senders import Senders
    from orders.models import OrderFact

    make_shop()
    source = make_source("bench-crash", "shop")
    # More work than can be done by the last kill; what is left then is sent and settled in peace.
    names = [f"K{number:06d}" for number in range(int(options.kills * (options.pause + 4) * 90))]
    work = ingest.place_requests(source, names)
    for sender, more in enumerate(ingest.fact_requests(source, names, PER_REQUEST)):
        work[sender] += more
    house.start()
    senders = Senders(house.port, work)
    draw = random.Random(1)
    recoveries = []
    for number in range(options.kills):
        time.sleep(options.pause * draw.uniform(0.5, 1.5))
        if not senders.is_sending():
            break
        connections.close_all()
        house.postgres.kill()
        recoveries.append(house.postgres.recover())
        say(f"  kill {number + 1}: back after {recoveries[-1]:.1f} s")
    sent = senders.wait()
    wait_until_settled()
    stored = set(OrderFact.objects.values_list("key", flat=True))
    promised = {key for sender, place in sent.acknowledged for key in _keys(work[sender][place].body)}
    return [
        plain("SIGKILLs to the postmaster under load", len(recoveries)),
        plain("items acknowledged", len(promised)),
        exactly("acknowledged and not there", len(promised - stored)),
        exactly("facts double", OrderFact.objects.count() - len(stored)),
        at_most("slowest recovery", max(recoveries, default=0.0), RECOVERS_WITHIN, "s", places=1),
        plain("requests sent again after a failure", sent.n_retries),
        exactly("requests given up", len(sent.refused)),
    ]


def _keys(body: bytes) -> list[str]:
    import json

    return [item["key"] for item in json.loads(body)["items"]]
