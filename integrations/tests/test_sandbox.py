"""The sandbox partners: a whole life over real HTTP in spite of mischief, and good manners when the hub says no."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from integrations import signatures
from integrations.ingest import process
from integrations.models import Connection, InboundMessage
from integrations.sandbox.acquaintance import Acquaintance, NotIntroduced, Partner, read
from integrations.sandbox.mischief import BadMischief, Control, Mischief
from integrations.sandbox.plots import Beat, Plot, Seen
from integrations.sandbox.post import Hub
from integrations.sandbox.town import Town
from integrations.signatures import Signed
from integrations.tests.senders import SECRET
from orders.models import Order, OrderEvent, OrderFact
from orders.tests.factories import make_shop

ROLES = {"shop-s": "shop", "erp-s": "erp", "wms-s": "wms", "carrier-s": "carrier", "finance-s": "finance"}
KNOWN = Acquaintance(
    partners={
        slug: Partner(slug, role, "shop-s" if role == "shop" else "", SECRET) for slug, role in ROLES.items()
    },
    token="none",
    articles=[{"sku": "BPF-1010", "name": "前刹车片", "unit": "套", "price": "88.00"}] * 3,
    customers=[
        {"code": "C1", "name": "示例汽配", "region": "华南", "country": "CN", "contact": {"name": "王先生"}}
    ],
    abroad=frozenset(),
)
QUIET = Mischief(speed=2000, duplicate=0, reorder=0, contradict=0)


def make_town(address: str, mischief: Mischief, *, seed: int = 3, known: Acquaintance = KNOWN) -> Town:
    """One order, and nothing but what follows from it."""
    return Town(
        known,
        Hub(address, known.token),
        Control(Path("/nonexistent"), mischief),
        chance=random.Random(seed),
        say=lambda text: None,
        most_orders=1,
        carries_on=False,
    )


def introduce_partners() -> None:
    shop = make_shop("shop-s", is_demo=True)
    for slug, role in ROLES.items():
        row = Connection(slug=slug, label=slug, role=role, connector="standard_webhooks", is_demo=True)
        row.shop = shop if role == "shop" else None
        row.seal({"webhook": [SECRET]})
        row.save()


class Listener:
    """A hub that only listens: it answers what it is told to, and remembers every request."""

    def __init__(self, answers: list[tuple[int, dict[str, str]]]) -> None:
        self.answers = answers
        self.heard: list[tuple[float, str, Signed]] = []

    def take(self, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str]]:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        self.heard.append((time.monotonic(), path, Signed(*(headers[name] for name in names), body)))
        return self.answers.pop(0) if self.answers else (202, {})


@contextmanager
def listening(*answers: tuple[int, dict[str, str]]) -> Iterator[tuple[str, Listener]]:
    listener = Listener(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = listener.take(self.path, self.headers, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Tests are quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.django_db(transaction=True)
def test_an_order_of_the_sandbox_is_delivered_in_spite_of_duplicates_and_reordering(live_server: Any) -> None:
    introduce_partners()
    town = make_town(live_server.url, replace(QUIET, duplicate=0.5, reorder=0.5))

    town.run(20)
    town.hub.close()
    while process().n_messages:
        pass

    order = Order.objects.get()
    facts = Counter(OrderFact.objects.values_list("kind", flat=True))
    assert order.stage == "delivered"
    assert order.invoice == "issued"
    assert order.is_demo
    assert facts == Counter(
        [
            "order.placed", "payment.received", "date.confirmed", "stock.locked", "waybill.made", "pick.started",
            "pick.done", "pack.done", "parcel.handed_over", "parcel.in_transit", "parcel.out_for_delivery",
            "parcel.delivered", "invoice.issued",
        ]
    )  # fmt: skip
    assert town.counts["accepted"] == InboundMessage.objects.filter(state="done").count() == 13
    assert town.counts["known"] == town.counts["duplicated"] > 2
    assert town.counts["reordered"] > 2
    assert OrderEvent.objects.filter(kind="moved", new="delivered").count() == 1


def test_a_letter_that_fails_is_sent_again_with_its_id_and_body() -> None:
    with listening((503, {}), (500, {})) as (address, hub):
        town = make_town(address, QUIET)
        town.run(9)
        town.hub.close()

    sent: dict[str, list[Signed]] = {}
    for _at, _path, signed in hub.heard:
        sent.setdefault(signed.message_id, []).append(signed)
        signatures.check(signed, [SECRET], datetime.now(UTC), timedelta(minutes=1))
    again = [letters for letters in sent.values() if len(letters) > 1]
    assert sum(len(letters) - 1 for letters in again) == 2
    for letters in again:
        assert len({signed.body for signed in letters}) == 1
    assert town.counts["answered 503"] == town.counts["answered 500"] == 1
    assert town.counts["accepted"] == len(sent) == 13


def test_a_partner_waits_as_long_as_the_hub_asks_and_then_signs_anew() -> None:
    with listening((429, {"Retry-After": "2"})) as (address, hub):
        town = make_town(address, QUIET)
        town.run(8)
        town.hub.close()

    asked_at, path, refused = hub.heard[0]
    again = [signed for _at, _path, signed in hub.heard[1:] if signed.message_id == refused.message_id]
    same_partner = [at for at, where, _signed in hub.heard[1:] if where == path]
    assert min(same_partner) - asked_at >= 2
    assert len(again) == 1
    assert int(again[0].timestamp) >= int(refused.timestamp) + 2
    assert any(at - asked_at < 1 for at, where, _signed in hub.heard if where != path)


def test_a_partner_that_is_told_410_sends_nothing_more() -> None:
    with listening((410, {})) as (address, hub):
        town = make_town(address, QUIET)
        town.run(8)
        town.hub.close()

    assert [path for _at, path, _signed in hub.heard].count("/hooks/shop-s/") == 1
    assert town.counts["withheld"] > 0
    assert town.counts["accepted"] > 5


def test_dropped_letters_are_never_sent() -> None:
    with listening() as (address, hub):
        town = make_town(address, replace(QUIET, drop=1))
        town.run(5)

    assert hub.heard == []
    assert town.counts["dropped"] > 5


def test_a_contradicted_order_is_cancelled_while_the_warehouse_ships_it() -> None:
    plot = Plot(KNOWN, random.Random(3))

    beats = plot.new_order("SB1", datetime.now(UTC), contradict=1)

    kinds = [beat.kind for beat in sorted(beats, key=lambda beat: beat.after)]
    assert kinds.index("cancel.accepted") == kinds.index("parcel.handed_over") - 1
    assert "cancel.accepted" not in [
        beat.kind for beat in Plot(KNOWN, random.Random(3)).new_order("SB1", datetime.now(UTC), contradict=0)
    ]


def test_a_carrier_names_its_waybill_and_nothing_else() -> None:
    plot = Plot(KNOWN, random.Random(1))
    order = Seen("shop-s", "A1", "out_for_delivery", "SD900")

    told = plot.next_beat(order, datetime.now(UTC).date())

    assert told == (
        Beat(0, "carrier-s", "parcel.delivered", {"order": {"waybill": "SD900"}}),
        "delivered",
    )


@pytest.mark.parametrize("trouble", ["conflict", "held", "partial", "test", "stalled_since"])
def test_the_partners_leave_orders_in_trouble_alone(trouble: str) -> None:
    plot = Plot(KNOWN, random.Random(1))
    flags = {
        "conflict": False,
        "held": False,
        "partial": None,
        "test": False,
        "stalled_since": None,
        "demo": True,
    }
    item = {"external_id": "SB-1", "axes": {"intent": "go"}, "flags": flags}

    assert plot.may_carry_on(item)
    assert not plot.may_carry_on({**item, "flags": {**flags, trouble: "yes"}})
    assert not plot.may_carry_on({**item, "flags": {**flags, "demo": False}})


def test_the_control_file_is_obeyed_while_the_partners_run(tmp_path: Path) -> None:
    file = tmp_path / "control.json"
    control = Control(file, Mischief(duplicate=0.2))

    assert control.look() == ""
    file.write_text('{"drop": 0.5, "paused": true}')
    assert "drop 0.5" in control.look()
    assert control.mischief == Mischief(duplicate=0.2, drop=0.5, paused=True)
    assert control.look() == ""
    file.unlink()
    control.look()
    assert control.mischief == Mischief(duplicate=0.2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"duplicate": 7}', "duplicate must be from 0 to 1"),
        ('{"chaos": 1}', "chaos is not one of"),
        ('{"speed": "fast"}', "speed must be a number"),
        ("[1]", "must be an object"),
        ("{", "Expecting property name"),
    ],
)
def test_a_wrong_control_file_is_named_and_not_used(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "control.json"
    control = Control(file, QUIET)
    file.write_text(text)

    assert named in control.look()
    assert control.mischief == QUIET


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(BadMischief, match="reorder must be from 0 to 1"):
        Mischief().changed({"reorder": 1.5})


def test_without_an_introduction_the_partners_say_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.json"

    with pytest.raises(NotIntroduced, match="quickstart --demo"):
        read(file)
    file.write_text('{"partners": {}}')
    with pytest.raises(NotIntroduced, match="token"):
        read(file)


@pytest.mark.processes
def test_the_sandbox_ends_cleanly_when_it_is_asked_to(tmp_path: Path) -> None:
    partners = {
        slug: {"role": role, "shop": "shop-s" if role == "shop" else "", "secret": SECRET}
        for slug, role in ROLES.items()
    }
    told = {
        "token": "t",
        "partners": partners,
        "articles": KNOWN.articles,
        "customers": KNOWN.customers,
        "abroad": [],
    }
    (tmp_path / "sandbox.json").write_text(json.dumps(told), encoding="utf-8")
    environment = {**os.environ, "ORDERHUB_VAR": str(tmp_path), "ORDERHUB_KEYS": str(settings.KEY_DIR)}
    with listening() as (address, hub):
        command = [sys.executable, "manage.py", "sandbox", "--base-url", address, "--speed", "100", "--json"]
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 30
        while not hub.heard and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, _err = process.communicate(timeout=10)

    assert process.returncode == 0
    assert json.loads(out)["accepted"] >= 1
