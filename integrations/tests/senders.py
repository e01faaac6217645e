"""Other systems, as tests play them: with a token over the API, with a secret over webhooks, many at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from django.db import connection as database
from django.test import Client

from integrations import signatures, tokens
from integrations.models import Connection
from orders.models import Shop
from orders.stages import Role

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE = 60


def make_connection(
    slug: str = "wms", *, role: str = Role.WMS, shop: Shop | None = None, **values: Any
) -> Connection:
    connection = Connection(slug=slug, label=slug, role=role, shop=shop, **{"connector": "api", **values})
    connection.save()
    return connection


def make_webhook(slug: str = "site", *secrets: str, **values: Any) -> Connection:
    connection = Connection(slug=slug, label=slug, role=Role.SHOP, connector="standard_webhooks", **values)
    connection.seal({"webhook": list(secrets or [SECRET])})
    connection.save()
    return connection


class Sender:
    """A system with a token."""

    def __init__(
        self, connection: Connection | None = None, *, may_read: bool = False, clear: str = ""
    ) -> None:
        self.clear = clear or tokens.make(connection or make_connection(), "test", may_read=may_read)

    def send(self, address: str, body: Any, **headers: str) -> Any:
        raw = body if isinstance(body, (bytes, str)) else json.dumps(body, ensure_ascii=False)
        given = {"Authorization": f"Token {self.clear}", "Content-Type": "application/json", **headers}
        return Client().post(
            f"/api/v1/{address}/", raw, content_type=given.pop("Content-Type"), headers=given
        )

    def facts(self, *items: Any, **headers: str) -> Any:
        return self.send("facts", {"items": list(items)}, **headers)

    def orders(self, *items: Any, **headers: str) -> Any:
        return self.send("orders", {"items": list(items)}, **headers)

    def get(self, address: str) -> Any:
        return Client().get(f"/api/v1/{address}", headers={"Authorization": f"Token {self.clear}"})


def push(
    body: bytes | str,
    *,
    at: datetime,
    slug: str = "site",
    message_id: str = "msg_1",
    secret: str = SECRET,
    **headers: str,
) -> Any:
    raw = body.encode() if isinstance(body, str) else body
    timestamp = int(at.timestamp())
    given = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures.sign(secret, message_id, timestamp, raw),
        **headers,
    }
    return Client().post(f"/hooks/{slug}/", raw, content_type="application/json", headers=given)


def together(work: Callable[[int], Any], count: int) -> list[Any]:
    """Call work(0), work(1), ... in as many threads, each with a database connection of its own, all at once."""
    ready = threading.Barrier(count)

    def run(number: int) -> Any:
        ready.wait(PATIENCE)
        try:
            return work(number)
        finally:
            database.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def picked(key: str | None = "pick-1", **values: Any) -> dict[str, Any]:
    """A fact about an order of the shop "tmall"."""
    item = {
        "key": key,
        "kind": "pick.done",
        "occurred_at": "2026-06-01T10:00:00+08:00",
        "order": {"shop": "tmall", "external_id": "1001"},
        **values,
    }
    return {name: value for name, value in item.items() if value is not None}


def bought(external_id: Any = "1001", **values: Any) -> dict[str, Any]:
    item = {
        "shop": "tmall",
        "external_id": external_id,
        "placed_at": "2026-06-01T09:00:00+08:00",
        "lines": [{"sku": "BRK-001", "qty": 2}],
        **values,
    }
    return {name: value for name, value in item.items() if value is not None}
