"""From a commit to the changed cell: real browsers beside scripted readers of the feed; and what an idle board costs."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import random
import subprocess
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orderhub import serve
from orderhub.bench.figures import Figure, at_most, exactly, percentile, plain, say
from orderhub.bench.house import House

BROWSERS, POLLERS, CHANGES = 3, 197, 160
# Seconds between an answer and the next question: VISIBLE of live.js.
EVERY = 0.9
# The same while something is held back, and how often in turn: SOON and SOONS of live.js.
SOON, SOONS = 0.15, 3
IDLE_SECONDS = 20.0
# Rows of one page of the board.
MOST_ORDERS = 40
KINDS = ("date.confirmed", "stock.locked", "waybill.made", "parcel.handed_over")
P50, P99, FROM_RECEIPT = 0.7, 1.5, 3.0
CPU_MS = 2.0
SHOWN_WITHIN = 15.0

# Notes when the stage of a row reads differently than before.
WATCH = """() => {
  window.seen = [];
  const last = new Map();
  const look = () => {
    for (const row of document.querySelectorAll('tr[data-id]')) {
      const words = row.querySelector('[data-col=status] .chip')?.textContent.trim();
      if (last.get(row.dataset.id) === words) continue;
      if (last.has(row.dataset.id)) window.seen.push([Number(row.dataset.id), Date.now() / 1000]);
      last.set(row.dataset.id, words);
    }
  };
  look();
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
  return last.size;
}"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--browsers", type=int, default=BROWSERS, help=f"real browsers ({BROWSERS})")
    parser.add_argument("--pollers", type=int, default=POLLERS, help=f"scripted readers ({POLLERS})")
    parser.add_argument("--changes", type=int, default=CHANGES, help=f"changes of orders ({CHANGES})")
    parser.add_argument(
        "--idle", type=float, default=IDLE_SECONDS, help=f"seconds without changes ({IDLE_SECONDS:.0f})"
    )


def run(house: House, options: Namespace) -> list[Figure]:
    from django.db import connection

    from orderhub.bench.ground import make_shop, make_source, wait_until_dispatched

    if house.postgres:
        connection.close()
        house.postgres.keep_commit_times()
    shop = make_shop()
    source = make_source("bench-shop", "shop")
    sessions = _sessions(shop)
    _collect_static()
    house.start()
    n_orders = min(MOST_ORDERS, max(1, options.changes // len(KINDS)))
    names = [f"L{number:04d}" for number in range(n_orders)]
    _post(house, source, "orders", [_order(name) for name in names])
    _post(house, source, "facts", [_fact("payment.received", name) for name in names])
    time.sleep(1)
    wait_until_dispatched()
    began_at = datetime.now(UTC)
    with _pollers(house.port, sessions, options.pollers) as polled:
        idle = _idle_cost(house, options)
        say(f"  an idle board costs {idle:.2f} ms a second")
        with _boards(house, sessions[0], options.browsers) as boards:
            receipts = _change(house, source, names, options.changes)
            seen = _seen(boards, len(receipts))
    return [
        *_delays(seen, receipts, began_at),
        at_most("CPU of an idle open board, a second", idle, CPU_MS, "ms", places=2),
        plain("answers to scripted readers", polled.n_answers),
        exactly("answers that were no 200 or 304", polled.n_wrong),
        plain("load of the machine (1 min)", f"{os.getloadavg()[0]:.1f}"),
    ]


def _collect_static() -> None:
    """In a process of its own: this one has read its settings without hashed names."""
    os.environ["ORDERHUB_HASHED_STATIC"] = "1"
    command = [*serve.MANAGE, "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _order(name: str) -> dict[str, Any]:
    from orderhub.bench.ground import SHOP

    at = datetime.now(UTC).isoformat()
    lines = [{"sku": "BRK-001", "qty": "2"}]
    return {"shop": SHOP, "external_id": name, "placed_at": at, "lines": lines}


def _fact(kind: str, name: str) -> dict[str, Any]:
    from orderhub.bench.ingest import fact

    made: dict[str, Any] = fact(kind, name, datetime.now(UTC).isoformat())
    return made


def _post(house: House, source: Any, what: str, items: list[dict[str, Any]]) -> float:
    """Returns the moment of the answer."""
    request = source.request(what, items)
    line = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
    line.request("POST", request.path, request.body, request.headers)
    answer = line.getresponse()
    text = answer.read()
    line.close()
    if answer.status != 200 or b"refused" in text:
        raise AssertionError(f"{what}: {answer.status} {text[:300]!r}")
    return time.time()


def _sessions(shop: Any) -> list[str]:
    """Logins of managers, who see everything, and of people who see one shop, two to one."""
    from orders.models import Shop

    other = Shop.objects.create(code="other", name="Other shop")
    return [
        *(_session("ops_manager", shop, number) for number in range(8)),
        *(_session("warehouse", place, 10 + number) for number, place in enumerate([shop, other] * 2)),
    ]


def _session(role: str, shop: Any, number: int) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import Group, User
    from django.contrib.sessions.backends.db import SessionStore
    from django_otp import DEVICE_ID_SESSION_KEY
    from django_otp.plugins.otp_totp.models import TOTPDevice

    from orders.models import StaffScope

    user = User.objects.create_user(f"bench-{role}-{number}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    StaffScope.objects.create(user=user).shops.set([shop])
    device = TOTPDevice.objects.create(user=user, confirmed=True)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    session.create()
    return str(session.session_key)


@dataclass
class Polled:
    n_answers: int = 0
    n_wrong: int = 0


@contextmanager
def _pollers(port: int, sessions: Sequence[str], count: int) -> Iterator[Polled]:
    """So many readers in a process of their own, each asking about once a second over one connection."""
    from django.db import connections

    connections.close_all()
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_poll_all, args=(port, list(sessions), count, theirs), daemon=True)
    process.start()
    found = Polled()
    try:
        if count:
            time.sleep(3)
        yield found
        ours.send("stop")
        if ours.poll(30):
            found.n_answers, found.n_wrong = ours.recv()
    finally:
        process.terminate()
        process.join(5)


def _poll_all(port: int, sessions: list[str], count: int, pipe: Any) -> None:
    counts = {"answers": 0, "wrong": 0}

    async def until_told() -> None:
        readers = [
            asyncio.create_task(_poll(port, sessions[n % len(sessions)], counts)) for n in range(count)
        ]
        while not pipe.poll():
            await asyncio.sleep(0.2)
        for reader in readers:
            reader.cancel()

    asyncio.run(until_told())
    pipe.send((counts["answers"], counts["wrong"]))


async def _poll(port: int, session: str, counts: dict[str, int]) -> None:
    """What live.js does: the cursor on, the same tag, as often."""
    await asyncio.sleep(random.random())
    cursor, line, hurried = "", None, 0
    while True:
        try:
            line = line or await asyncio.open_connection("127.0.0.1", port)
            status, held, body = await _ask(*line, session, cursor)
            hurried = hurried + 1 if held else 0
            counts["answers"] += 1
            counts["wrong"] += status not in {200, 304}
            if status == 200:
                cursor = json.loads(body)["cursor"]
        except (OSError, asyncio.IncompleteReadError):
            counts["wrong"] += 1
            line = None
        pause = SOON if 0 < hurried <= SOONS else EVERY * (0.9 + random.random() / 5)
        await asyncio.sleep(pause)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: str, cursor: str
) -> tuple[int, bool, bytes]:
    """(status, something is held back, body)."""
    query = f"?since={cursor}" if cursor else ""
    tag = f'If-None-Match: "{cursor}"\r\n' if cursor else ""
    writer.write(
        f"GET /admin/live/{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        f"Cookie: sessionid={session}\r\n{tag}\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(
        (int(one.split(":")[1]) for one in head.split("\r\n") if one.startswith("content-length:")), 0
    )
    return int(head.split(" ", 2)[1]), "\r\nhub-held:" in head, await reader.readexactly(length)


def _idle_cost(house: House, options: Namespace) -> float:
    """Milliseconds of CPU that the web server spends on one open board in a second, while nothing changes."""
    if not options.pollers:
        return 0.0
    before, began = _cpu_seconds(house), time.monotonic()
    time.sleep(options.idle)
    spent, lasted = _cpu_seconds(house) - before, time.monotonic() - began
    return float(1000 * spent / lasted / options.pollers)


def _cpu_seconds(house: House) -> float:
    times = [process.cpu_times() for process in house.processes("web")]
    return float(sum(one.user + one.system for one in times))


@contextmanager
def _boards(house: House, session: str, count: int) -> Iterator[list[Any]]:
    """Browsers with the board of all open orders on their screens."""
    from orderhub.bench import browser

    address = f"http://127.0.0.1:{house.port}"
    with browser.chromium() as chromium:
        pages = []
        for _number in range(count):
            context = browser.window(chromium, 1440)
            context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
            page = context.new_page()
            page.goto(f"{address}/admin/board/?x=1")
            pages.append(page)
        rows = [page.evaluate(WATCH) for page in pages]
        say(f"  {count} boards with {rows} rows")
        yield pages


@dataclass
class Receipts:
    """When the house acknowledged each change, by order and in turn."""

    at: dict[int, list[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.at.values()))


def _change(house: House, source: Any, names: Sequence[str], count: int) -> Receipts:
    from orders.models import Order

    ids = dict(Order.objects.filter(external_id__in=names).values_list("external_id", "pk"))
    found = Receipts()
    turns = [(kind, name) for kind in KINDS for name in names][:count]
    for number, (kind, name) in enumerate(turns, start=1):
        found.at.setdefault(ids[name], []).append(_post(house, source, "facts", [_fact(kind, name)]))
        # At any moment of the readers' second.
        time.sleep(0.1 + random.random() / 2)
        if number % 40 == 0:
            say(f"    {number} of {count} changes")
    return found


def _seen(pages: list[Any], n_changes: int) -> list[dict[int, list[float]]]:
    """When each browser showed each change; waits until all are there or nothing more comes."""
    until = time.monotonic() + SHOWN_WITHIN
    while time.monotonic() < until:
        raw = [page.evaluate("window.seen") for page in pages]
        if all(len(one) >= n_changes for one in raw):
            break
        time.sleep(0.2)
    found = []
    for one in raw:
        times: dict[int, list[float]] = {}
        for pk, at in one:
            times.setdefault(pk, []).append(at)
        found.append(times)
    return found


def _committed(began_at: datetime) -> dict[int, list[float]]:
    """When the moves of each order were committed, first first.

    SQLite does not say: there it is recorded_at, the beginning of the transaction, so the true delay is shorter.
    """
    from django.db import connection
    from django.db.models import DateTimeField
    from django.db.models.expressions import RawSQL

    from orders.models import OrderEvent

    events = OrderEvent.objects.filter(kind="moved", recorded_at__gte=began_at).order_by("id")
    found: dict[int, list[float]] = {}
    if connection.vendor == "postgresql":
        at = RawSQL("pg_xact_commit_timestamp(xid::text::xid)", [], output_field=DateTimeField())
        rows = events.annotate(committed_at=at).values_list("order_id", "committed_at")
    else:
        rows = events.values_list("order_id", "recorded_at")
    for pk, when in rows:
        found.setdefault(pk, []).append(when.timestamp())
    return found


def _delays(seen: list[dict[int, list[float]]], receipts: Receipts, began_at: datetime) -> list[Figure]:
    moves = _committed(began_at)
    from_commit: list[float] = []
    from_receipt: list[float] = []
    for times in seen:
        for pk, shown in times.items():
            from_commit += [at - start for at, start in zip(shown, moves.get(pk, []), strict=False)]
            from_receipt += [at - start for at, start in zip(shown, receipts.at.get(pk, []), strict=False)]
    n_expected = len(receipts) * len(seen)
    return [
        plain("changes; cells in browsers", f"{len(receipts):,}; {len(from_commit):,}"),
        exactly("changes that a browser did not show", n_expected - len(from_commit)),
        at_most("commit to changed cell p50", percentile(from_commit, 0.5), P50, "s", places=2),
        at_most("commit to changed cell p99", percentile(from_commit, 0.99), P99, "s", places=2),
        plain("receipt to changed cell p50", f"{percentile(from_receipt, 0.5):.2f} s"),
        at_most("receipt to changed cell p99", percentile(from_receipt, 0.99), FROM_RECEIPT, "s", places=2),
    ]
