"""How much memory web, steward and worker hold together, some minutes after the demo was loaded and looked at."""

from __future__ import annotations

import time
import urllib.request
from argparse import ArgumentParser, Namespace
from contextlib import suppress

from orderhub.bench.figures import Figure, at_most, plain, say
from orderhub.bench.house import House, pss

MOST_MB = 400
PAGES = ("/admin/login/", "/healthz", "/readyz", "/api/v1/docs/", "/api/v1/schema/")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=300, help="how long the house runs before it is weighed (300)"
    )
    parser.add_argument("--no-demo", action="store_true", help="weigh an empty house")


def run(house: House, options: Namespace) -> list[Figure]:
    from orders.models import Order

    n_orders = 0 if options.no_demo else house.load_demo()
    house.start()
    has_sandbox = house.start_sandbox()
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        for page in PAGES:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{house.port}{page}", timeout=20).read()
        time.sleep(min(5.0, max(0.1, until - time.monotonic())))
    parts = {name: pss(house.processes(name)) for name in ("web", "steward")}
    steward = pss(house.processes("steward")[:1])
    say(f"  {Order.objects.count():,} orders")
    return [
        at_most("web + steward + worker (PSS)", sum(parts.values()), MOST_MB, "MB"),
        plain("   web", parts["web"], "MB"),
        plain("   steward", steward, "MB"),
        plain("   worker with its cluster", parts["steward"] - steward, "MB"),
        plain("processes", sum(len(house.processes(name)) for name in parts)),
        plain("demo orders at the start", n_orders),
        plain("sandbox partners, not counted", "running" if has_sandbox else "not installed"),
        plain("weighed after", float(options.seconds), "s"),
    ]
