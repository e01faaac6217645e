"""Every screen in a real Chromium, in both languages and themes, on a desk and on a phone: what it weighs, whether it fits."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from orderhub import env, serve
from orderhub.bench import browser
from orderhub.bench.figures import Figure, at_most, exactly, plain, say
from orderhub.bench.house import House
from orderhub.bench.looks import moving
from orderhub.bench.looks.listed import screens
from orderhub.bench.looks.walk import MOST_SHIFT, Findings, Look

# A working Wednesday, half past ten in the morning: the demo seller is at work.
NOW = "2026-11-18T10:30:00+08:00"
COLD, WARM = 250, 40
# How many findings of one kind are listed in full for each screen.
SHOWN = 8


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, default=1500, help="orders of the demo seller (1,500)")
    parser.add_argument(
        "--filler", type=int, default=100_000, help="orders behind the speed figures (100,000)"
    )
    parser.add_argument("--stream", type=int, default=60, help="seconds of news to an open board (60)")
    parser.add_argument("--only", default="", help="screens whose name begins with this")
    parser.add_argument("--quick", action="store_true", help="Chinese and light only, no speed figures")
    parser.add_argument("--pictures", type=Path, help="also write the pictures of the documents there")


def run(house: House, options: Namespace) -> list[Figure]:
    import time_machine

    os.environ.update({"ORDERHUB_DEMO": "1", "ORDERHUB_BENCH_NOW": NOW})
    with time_machine.travel(datetime.fromisoformat(NOW), tick=True):
        _seed(options.orders)
        _collect_static()
        with _web(house) as address, browser.chromium() as chromium:
            look = Look(chromium, address, options)
            found = look.around([one for one in screens() if one.name.startswith(options.only)])
            speed = [] if options.quick else _moving(look, options)
    return [*_table(found), *speed]


def _moving(look: Look, options: Namespace) -> list[Figure]:
    return [*moving.streamed(look, options), *moving.public_paints(look), *moving.speed(look, options)]


def _seed(n_orders: int) -> None:
    from django.utils.timezone import now

    from orderhub import demo
    from orderhub.demo.logins import give_scopes, make_logins
    from orders.dispatch import dispatch_waiting
    from promises.ledger import sequencer

    file = env.path("ORDERHUB_VAR", env.ROOT / "var") / "logins.txt"
    make_logins(file)
    demo.load(n_orders, seed=1, at=now())
    give_scopes(file)
    _import_table()
    while dispatch_waiting():
        pass
    # What the steward does every few seconds.
    sequencer.sweep()


# A table of a seller, whose second row has no day.
TABLE = "订单号,下单时间,商品编码,数量\nA1,2026-11-17 09:00,BRK-001,2\nA2,2026-13-45,BRK-001,1\n"
MAPPING = {
    "version": 1,
    "timezone": "Asia/Shanghai",
    "fields": {
        "external_id": {"path": "订单号"},
        "placed_at": {"path": "下单时间"},
        "lines[].sku": {"path": "商品编码"},
        "lines[].qty": {"path": "数量"},
    },
}


def _import_table() -> None:
    """A mapping with recorded samples, and an import that is over, for their pages."""
    from django.utils.timezone import now

    from integrations import files, ingest
    from integrations.files.runs import advance
    from integrations.mapping import versions
    from integrations.models import Connection, FieldMapping
    from orders.models import Shop

    mapping = FieldMapping(name="table", definition=MAPPING)
    versions.save(mapping, by=None, at=now())
    shop = Shop.objects.order_by("pk").first()
    connection = Connection.objects.create(
        slug="tables", label="tables", role="shop", connector="rows", shop=shop, mapping=mapping, is_demo=True
    )
    run = files.start_import(connection, mapping, io.BytesIO(TABLE.encode("gbk")), "orders.csv", None)
    while advance(run.pk):
        pass
    while ingest.process().n_messages:
        pass
    files.finish_if_settled(run.pk)


def _collect_static() -> None:
    # In a process of its own: this one reads its settings once, and they say plain names.
    subprocess.run([sys.executable, "-m", "orderhub.preparation"], check=True, cwd=env.ROOT)


@contextmanager
def _web(house: House) -> Iterator[str]:
    """The real web server, with the moment of the pictures for its clock and hashed static files."""
    os.environ["ORDERHUB_HASHED_STATIC"] = "1"
    command = serve.web_command("127.0.0.1", house.port, threads=4)
    command[-1] = "orderhub.bench.frozen_wsgi:application"
    house._start("web", command)
    house._wait_for_web()
    try:
        yield f"http://127.0.0.1:{house.port}"
    finally:
        house.stop()


def _table(found: Findings) -> list[Figure]:
    for measure, what in found.wrong.items():
        listed: Counter[str] = Counter()
        for one in what:
            screen = one.split()[0]
            listed[screen] += 1
            if listed[screen] <= SHOWN:
                say(f"  {measure}: {one}")
    for screen, shift in found.sizes.get("shift", {}).items():
        if shift > MOST_SHIFT:
            say(f"  shift: {screen}: {shift:.3f}")
    shell, public = found.sizes.get("cold", {}), found.sizes.get("public", {})
    heaviest, heaviest_public = (max(one, key=lambda name: one[name], default="") for one in (shell, public))
    return [
        plain("page variants looked at", found.n_pages),
        exactly("3 axe violations (WCAG 2.2 A + AA; public: best practice too)", found.n_wrong("axe")),
        at_most("5 Tab presses to the first row", found.worst("tabs"), 3, ""),
        at_most(f"6 heaviest page of the shell, cold ({heaviest})", shell.get(heaviest, 0), COLD, "KiB"),
        at_most("6 heaviest page of the shell, warm", found.worst("warm"), WARM, "KiB"),
        at_most(
            f"6 heaviest public page, cold ({heaviest_public})", public.get(heaviest_public, 0), 20, "KiB"
        ),
        at_most("8 largest layout shift on load", found.worst("shift"), MOST_SHIFT, "", places=3),
        exactly("9 pages wider than their window (320, 390, 768, 1440, text 200 %)", found.n_wrong("fit")),
        exactly("28 pages too wide with texts longer by 40 %", found.n_wrong("long")),
        exactly("10 targets under 24 px", found.n_wrong("targets")),
        exactly("11 status chips without shape or word", found.n_wrong("chips")),
        exactly("26 requests to third parties", found.n_wrong("third party")),
        exactly("27 words of the other language", found.n_wrong("language")),
        exactly("39 errors and warnings on the console", found.n_wrong("console")),
    ]
