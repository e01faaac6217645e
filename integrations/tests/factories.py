"""Builders for tests of what arrives. Only what matters to a test is named in it."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from typing import Any

from django.utils.timezone import now

from integrations.inbox import Arrival, Receipt, digest_of, receive
from integrations.models import Connection
from orders.models import Shop
from orders.tests.factories import MONDAY, make_shop

_counter = itertools.count(1)


def make_connection(
    slug: str = "", *, role: str = "shop", connector: str = "api", **values: Any
) -> Connection:
    slug = slug or f"connection-{next(_counter)}"
    return Connection.objects.create(
        **{"slug": slug, "label": slug, "role": role, "connector": connector, **values}
    )


def order_item(shop: Shop | str, external_id: str, **given: Any) -> dict[str, Any]:
    """An order as the API takes it: two of BRK-001, placed on MONDAY."""
    return {
        "shop": shop if isinstance(shop, str) else shop.code,
        "external_id": external_id,
        "placed_at": MONDAY.isoformat(),
        "lines": [{"sku": "BRK-001", "qty": "2"}],
        **given,
    }


def fact_item(kind: str, *, occurred_at: datetime = MONDAY, key: str = "", **given: Any) -> dict[str, Any]:
    """A fact as the API takes it; name the order as order={...}."""
    return {
        "key": key or f"key-{next(_counter)}",
        "kind": kind,
        "occurred_at": occurred_at.isoformat(),
        **given,
    }


def arrive(
    connection: Connection, form: str, item: dict[str, Any], *, key: str = "", at: datetime | None = None
) -> Receipt:
    """Put one item down in the inbox, as a view would."""
    body = json.dumps(item)
    key = key or f"{form}:{item.get('key') or digest_of(body)}"
    return receive(connection, [Arrival(key, form, body, digest_of(body))], at or now())[0]


def make_shop_with_connection(code: str = "") -> tuple[Shop, Connection]:
    shop = make_shop(code)
    return shop, make_connection(f"{shop.code}-api", shop=shop)
