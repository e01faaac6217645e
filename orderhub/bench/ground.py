"""What every measurement stands on: a shop, the systems that report on it, and looks at how far the work is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError
from django.db import connection as database

from integrations import tokens
from integrations.models import Connection, InboundMessage
from orderhub.bench.senders import Request
from orders.models import OrderEvent, Shop, Warehouse

SHOP = "bench"
SETTLES_WITHIN = 1800.0
# How long a database may be gone before a question to it fails. Crash recovery takes seconds.
BACK_WITHIN = 60.0
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Source:
    """One reporting system with its token."""

    connection: Connection
    token: str

    def request(self, what: str, items: Sequence[Any], not_before: float = 0.0) -> Request:
        """POST /api/v1/orders/ or /facts/ with these items."""
        body = json.dumps({"items": list(items)}, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        return Request(f"/api/v1/{what}/", headers, body, len(items), not_before)


def make_shop(timezone: str = "Asia/Shanghai") -> Shop:
    warehouse = Warehouse.objects.create(code="bench-wh", name="Bench warehouse")
    return Shop.objects.create(code=SHOP, name="Bench shop", warehouse=warehouse, timezone=timezone)


def make_source(slug: str, role: str, **values: Any) -> Source:
    connection = Connection(slug=slug, label=slug, role=role, **{"connector": "api", **values})
    connection.save()
    return Source(connection, tokens.make(connection, slug))


def in_chunks(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def asked(question: Callable[[], Answer], *, within: float = BACK_WITHIN) -> Answer:
    """What the database answers; if the connection is lost meanwhile, the question is asked again on a new one.

    One killed backend makes PostgreSQL end every connection, also that of a measurement which did nothing wrong.
    Any other error, and a database that stays away, is raised.
    """
    until = time.monotonic() + within
    while True:
        try:
            return question()
        except (OperationalError, InterfaceError):
            if not _is_lost() or time.monotonic() > until:
                raise
            database.close()
            time.sleep(0.1)


def _is_lost() -> bool:
    """Whether there is no connection, or one that takes no statements. A SQLite file cannot be lost."""
    return database.vendor != "sqlite" and (database.connection is None or not database.is_usable())


def wait_until_settled(pause: float = 0.1) -> float:
    """Wait until no message waits; returns the moment (monotonic) when that was so."""
    waiting = InboundMessage.objects.filter(state=InboundMessage.State.WAITING)
    return _wait_while(waiting.exists, pause, "messages still wait")


def wait_until_dispatched(pause: float = 0.2) -> float:
    """Wait until every event has gone through the pipeline."""
    waiting = OrderEvent.objects.filter(dispatched_at__isnull=True, set_aside=False)
    return _wait_while(waiting.exists, pause, "events still wait")


def _wait_while(is_so: Callable[[], bool], pause: float, complaint: str) -> float:
    until = time.monotonic() + SETTLES_WITHIN
    while asked(is_so):
        if time.monotonic() > until:
            raise TimeoutError(complaint)
        time.sleep(pause)
    return time.monotonic()


def refresh_statistics() -> None:
    """What autovacuum would do within minutes of real operation, at a moment that is not measured."""
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")
