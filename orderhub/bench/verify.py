"""Checking commitments: do all who check agree, does the page tell unknown from malformed, does it answer under load."""

from __future__ import annotations

import http.client
import logging
import random
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orderhub.bench.figures import Figure, at_most, exactly, percentile, plain, say
from orderhub.bench.house import House

AT = datetime(2026, 6, 1, tzinfo=UTC)
FULL = 1_260_000
BATCH = 2_000
SAMPLE = 1_000
CALLS = 200


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--cases", type=int, default=1000, help="genuine and as many mutated cases (1,000)")
    parser.add_argument("--promises", type=int, default=FULL, help=f"promises in the log ({FULL:,})")
    parser.add_argument("--per-second", type=int, default=50, help="requests a second (50)")
    parser.add_argument("--seconds", type=int, default=60, help="of load (60)")


def run(house: House, options: Namespace) -> list[Figure]:
    figures = [*_cases(options.cases), _browser(options.cases)]
    texts = _fill(options.promises)
    figures += list(_page_cases(texts, options.cases))
    figures.append(_alike())
    house.start(steward=False)
    try:
        took, n_failed = _load(house.port, texts, options.per_second, options.seconds)
    finally:
        house.stop()
    name = f"page of a code, {options.promises:,} promises, {options.per_second} a second"
    return [
        *figures,
        plain(f"{name}, median", f"{percentile(took, 0.5) * 1000:.0f} ms"),
        at_most(f"{name}, 99 of 100", percentile(took, 0.99) * 1000, 300, "ms"),
        exactly("requests that failed or were not genuine", n_failed),
    ]


# Who checks.


def _cases(n: int) -> Iterator[Figure]:
    """The command's code and the stand-alone file on the same cases."""
    from promises.tests.cases import World, cases
    from promises.verification import checking, verify
    from promises.verification.given import Wish

    world, trust = World(seed=7), verify.Trust()
    verify.read_policy(world.log.policy(), trust)
    wrong = apart = 0
    with tempfile.TemporaryDirectory() as directory:
        for case in cases(n, world):
            names = list(case.texts)
            for name, content in case.files:
                file = Path(directory) / name
                file.write_bytes(content)
                names.append(str(file))
            ours = checking.check(names, Wish(trust, as_of=0))
            theirs = verify.verify(names, verify.Wish(trust, as_of=0))
            wrong += (ours.exit, theirs.exit) != (case.exit, case.exit)
            apart += {k: ok for k, (ok, _) in ours.checks.items()} != {
                k: ok for k, (ok, _) in theirs.checks.items()
            }
    yield exactly(f"{n:,} genuine and {n:,} mutated: judged wrongly by command or file", wrong)
    yield exactly("of these judged apart in any single check", apart)


def _browser(n: int) -> Figure:
    """The script of the page, in a real browser, on cases with a paper, a proof and a code."""
    from orderhub.bench.browser import chromium
    from orderhub.bench.browser_cases import verdicts
    from promises.tests.cases import World

    say("  the script in a browser ...")
    with chromium() as browser:
        found = list(verdicts(browser.new_page(), World(seed=11), n))
    wrong = sum(is_green != (put.case.exit == 0) for put, is_green in found)
    return exactly(f"{len(found):,} of them put to the script in a browser: judged wrongly", wrong)


def _page_cases(texts: list[str], n: int) -> Iterator[Figure]:
    """The verdict of the page on codes, whole and with one character changed."""
    from promises.verification import verdict

    drawn, wrong = random.Random(3), 0
    for _time in range(n):
        text = drawn.choice(texts)
        place = drawn.randrange(len(text))
        sign = drawn.choice([one for one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" if one != text[place]])
        bent = text[:place] + sign + text[place + 1 :]
        wrong += verdict.by_token(text, AT).authenticity != "genuine"
        wrong += verdict.by_token(bent, AT).authenticity == "genuine"
    yield exactly(f"{n:,} codes and {n:,} changed ones: judged wrongly by the page", wrong)


def _alike() -> Figure:
    """How much longer one of the two answers takes that must not be told apart."""
    from django.conf import settings
    from django.test import Client

    from promises import numbers

    settings.VERIFY_PER_MINUTE = settings.VERIFY_PER_MINUTE_IN_ALL = 1_000_000
    settings.ALLOWED_HOSTS = ["testserver"]
    # Every answer of these is a 404, which is a line in the log.
    logging.disable(logging.WARNING)
    client, kinds = Client(), {"unknown": "", "malformed": "!"}
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for call in range(CALLS + 10):
        for name, end in kinds.items():
            # No number has such a check symbol.
            path = f"/v/{numbers.draw()}{end}"
            began = time.perf_counter()
            client.get(path)
            if call >= 10:
                took[name].append(time.perf_counter() - began)
    apart = abs(percentile(took["unknown"], 0.5) - percentile(took["malformed"], 0.5))
    return at_most("unknown and malformed apart, medians", apart * 1000, 5, "ms", places=2)


# The ground.


def _fill(n: int) -> list[str]:
    """n promises in the log, and the codes of some of them."""
    from orderhub.bench.ground import make_shop
    from orders.models import Order
    from promises.ledger import sequencer, writing
    from promises.ledger.models import SellerProfile

    SellerProfile.objects.create(legal_name="Bench", uscc="91330000MA0000000X", slug="bench")
    log = writing.log_of(is_demo=False, at=AT)
    order = Order.objects.create(
        number="OH260601-BENCH", shop=make_shop(), external_id="bench", created_at=AT, stage_since=AT
    )
    texts: list[str] = []
    every = max(1, n // SAMPLE)
    for start in range(0, n, BATCH):
        batch = _batch(log, order, range(start, min(start + BATCH, n)))
        texts += [text for number, text in batch if number % every == 0]
        if start % 100_000 == 0:
            say(f"  {start:,} promises")
    while sequencer.write(log, AT):
        pass
    return texts


def _batch(log: Any, order: Any, numbered: range) -> list[tuple[int, str]]:
    from promises import token
    from promises.commitments.models import Promise, PromiseFile
    from promises.ledger import keys
    from promises.ledger.models import LogPending

    secret, due = keys.token_key(log), AT + timedelta(days=4)
    drafts = [_draft(log, secret, due, number) for number in numbered]
    waiting = LogPending.objects.bulk_create(
        LogPending(log=log, kind="issue", body=body, dedup=f"promise:{said['no']}:1", queued_at=AT)
        for said, _data, body, _signed in drafts
    )
    made = Promise.objects.bulk_create(
        Promise(
            number=said["no"],
            version=1,
            order=order,
            ph=body["ph"],
            payload=data,
            token=signed,
            due=due,
            first_due=due,
            pending=pending,
            made_at=AT,
            state="kept",
            state_at=AT,
        )
        for (said, data, body, signed), pending in zip(drafts, waiting, strict=True)
    )
    PromiseFile.objects.bulk_create(
        PromiseFile(promise=one, sha256=draft[2]["pdf"], sm3=draft[2]["pdf"], path="none", n_bytes=1)
        for one, draft in zip(made, drafts, strict=True)
    )
    texts = (token.to_text(signed) for _said, _data, _body, signed in drafts)
    return list(zip(numbered, texts, strict=True))


def _draft(
    log: Any, secret: Any, due: datetime, number: int
) -> tuple[dict[str, Any], bytes, dict[str, Any], bytes]:
    from promises import canonical, token
    from promises.commitments.issuing import number_hash
    from promises.tests.promise import payload
    from promises.tests.smalllog import number as number_of

    at, until = int(AT.timestamp()), int(due.timestamp())
    said = payload(no=number_of(number), log=log.origin, issued_at=at, due=until)
    data = canonical.encode(said)
    ph = canonical.digest(data)
    signed = token.sign(log.origin, secret, number=said["no"], issued_at=at, due=until, ph=bytes.fromhex(ph))
    body = {"nh": number_hash(said["no"]), "ph": ph, "pdf": f"{number:064x}", "due": until}
    return said, data, body, signed


# Load.


def _load(port: int, texts: list[str], per_second: int, seconds: int) -> tuple[list[float], int]:
    """How long each answer took, from the moment at which its request was due, and how many were not good."""
    drawn, own = random.Random(5), threading.local()
    wanted = [drawn.choice(texts) for _time in range(per_second * seconds)]
    began = time.perf_counter() + 1

    def ask(place: int) -> tuple[float, bool]:
        due = began + place / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            is_good = _asked(own, port, wanted[place])
        except (OSError, http.client.HTTPException):
            own.__dict__.pop("connection", None)
            is_good = False
        return time.perf_counter() - due, is_good

    for text in texts[:20]:
        _asked(own, port, text)
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(ask, range(len(wanted))))
    return [took for took, _good in found], sum(not good for _took, good in found)


def _asked(own: threading.local, port: int, text: str) -> bool:
    connection = getattr(own, "connection", None)
    if connection is None:
        connection = own.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/v/{text}?lang=en")
    answer = connection.getresponse()
    return answer.status == 200 and b"Genuine, kept" in answer.read()
