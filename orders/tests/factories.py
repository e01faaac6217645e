"""Builders for tests. Only what matters to a test is named in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from orders.facts import FactReport, ReferenceKey, lock_references, report
from orders.models import Customer, Order, ReferenceLink, Shop, Warehouse, draw_order_number
from orders.precedence import DEFAULT_RULES, Precedence, precedence_of
from orders.stages import FACT_KINDS, Level
from orders.transitions import settle
from orders.units import FactRow

_counter = itertools.count(1)
MONDAY = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)  # Monday 10:00 in Shanghai
DEFAULT = precedence_of(0, DEFAULT_RULES)


def after(hours: float) -> datetime:
    """A moment this many hours after MONDAY."""
    return MONDAY + timedelta(hours=hours)


def precedence(**rules: Any) -> Precedence:
    """The default rules with these entries instead."""
    return precedence_of(1, {**DEFAULT_RULES, **rules})


def make_fact(kind: str, hours: float = 0, **given: Any) -> FactRow:
    """One fact as the derivation reads it, without a database. hours: after MONDAY."""
    number = next(_counter)
    occurred_at = given.pop("occurred_at", after(hours))
    values: dict[str, Any] = {
        "id": number,
        "reference": ("shop-1", "order", "A1"),
        "source": given.get("role", "shop") + "-1",
        "role": "shop",
        "key": f"k{number}",
        "kind": kind,
        "level_id": "",
        "quantity": None,
        "occurred_at": occurred_at,
        "received_at": occurred_at,
        "data": {},
        "actor": None,
    }
    return FactRow(**{**values, **given})


def placed(hours: float = 0, lines: Mapping[str, int | str] | None = None, **fields: Any) -> FactRow:
    """order.placed with these quantities per article (two of BRK-001 unless told)."""
    chosen = {"BRK-001": 2} if lines is None else lines
    return make_fact(
        "order.placed",
        hours,
        data={"fields": fields, "lines": [{"sku": sku, "qty": str(qty)} for sku, qty in chosen.items()]},
    )


def make_shop(code: str = "", **values: Any) -> Shop:
    code = code or f"shop-{next(_counter)}"
    return Shop.objects.create(**{"code": code, "name": code, **values})


def make_warehouse(code: str = "", **values: Any) -> Warehouse:
    code = code or f"wh-{next(_counter)}"
    return Warehouse.objects.create(**{"code": code, "name": code, **values})


def make_customer(code: str = "", **values: Any) -> Customer:
    return Customer.objects.create(**{"code": code or f"customer-{next(_counter)}", **values})


def make_order(
    *,
    lines: Mapping[str, int | str] | None = None,
    shop: Shop | None = None,
    external_id: str = "",
    placed_at: datetime = MONDAY,
    paid: bool = True,
    fields: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Order:
    """An order that came in by facts and was settled at placed_at, as a shop would have told it."""
    shop = shop or make_shop()
    external_id = external_id or f"E{next(_counter)}"
    order = Order.objects.create(
        number=draw_order_number(placed_at),
        shop=shop,
        external_id=external_id,
        created_at=placed_at,
        stage_since=placed_at,
        **{"warehouse": shop.warehouse, **columns},
    )
    reference = ReferenceKey(shop.code, "order", external_id)
    ids = lock_references([reference])
    ReferenceLink.objects.create(reference_id=ids[reference], order=order)
    chosen = {"BRK-001": 2} if lines is None else lines
    add_fact(
        order,
        "order.placed",
        occurred_at=placed_at,
        data={
            "fields": dict(fields or {}),
            "lines": [{"sku": sku, "qty": str(qty)} for sku, qty in chosen.items()],
        },
    )
    if paid:
        add_fact(order, "payment.received", occurred_at=placed_at)
    return settled(order, at=placed_at)


def add_fact(
    order: Order,
    kind: str,
    *,
    occurred_at: datetime | None = None,
    lines: Sequence[tuple[str, str | int]] = (),
    parcel: str = "",
    role: str = "shop",
    source: str = "",
    key: str = "",
    data: Mapping[str, Any] | None = None,
    received_at: datetime | None = None,
) -> None:
    """Report a fact on the order's shop reference; nothing is settled."""
    occurred_at = occurred_at or MONDAY
    level = FACT_KINDS[kind].level
    levels: list[tuple[str, Decimal | None]] = [(parcel if level in {Level.PARCEL, Level.ANY} else "", None)]
    data = dict(data or {})
    if lines and level == Level.LINE:
        levels = [(sku, Decimal(qty)) for sku, qty in lines]
    elif lines:
        data["lines"] = [{"sku": sku, "qty": str(qty)} for sku, qty in lines]
    # Of one length: ties between facts of one moment are broken by their keys, which are texts.
    key = key or f"fact-{next(_counter):07d}"
    report(
        [
            FactReport(
                reference=ReferenceKey(order.shop.code, "order", order.external_id),
                source=source or f"{role}-system",
                role=role,
                key=key,
                kind=kind,
                level_id=level_id,
                quantity=quantity,
                occurred_at=occurred_at,
                received_at=received_at or occurred_at,
                data=data,
            )
            for level_id, quantity in levels
        ]
    )


def settled(order: Order, *, at: datetime = MONDAY) -> Order:
    """The order after judging it again at that moment."""
    settle(order.pk, at=at)
    return Order.objects.get(pk=order.pk)


def told(order: Order, kind: str, hours: float = 0, **given: Any) -> Order:
    """Report one fact, judge, and give the order as it is then."""
    at = after(hours)
    add_fact(order, kind, occurred_at=at, **given)
    return settled(order, at=at)
