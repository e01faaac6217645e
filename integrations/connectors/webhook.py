"""Pushes in the Standard Webhooks format: {"type", "timestamp", "data"}."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy

from integrations import items
from integrations.canonical import FactItem, Problem, Translated, UnknownValue, Untranslatable
from integrations.connectors.base import Connector
from integrations.told import told as _
from orders.stages import FACT_KINDS

PLACES_ORDER = frozenset({"order.created", "order.placed", "order.updated", "order.changed"})


class StandardWebhook(Connector):
    slug = "standard_webhooks"
    label = gettext_lazy("Signed webhook (Standard Webhooks)")

    def read(
        self, form: str, body: str, *, key: str, shop: str, mapping: dict[str, Any] | None
    ) -> Iterable[Translated]:
        event = _event(body)
        key = _fact_key(key)
        if mapping is not None:
            # Only connections with a mapping pay for its language.
            from integrations.mapping import translate

            return translate(mapping, event["data"], shop=shop, key=key)
        return _read(event, key=key, shop=shop)


def _event(body: str) -> Mapping[str, Any]:
    try:
        event = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise Untranslatable([Problem("", _("is not JSON: %(why)s") % {"why": error})]) from error
    if not isinstance(event, Mapping):
        raise Untranslatable([Problem("", _("must be an object with type, timestamp and data"))])
    check = items.Checker(event)
    check.take("type", items.as_text(120), "", required=True)
    check.take("timestamp", items.as_time, None, required=True)
    check.take("data", items.as_mapping, {}, required=True)
    check.finish()
    return event


def _fact_key(key: str) -> str:
    return key if len(key) <= items.MAX_FACT_KEY else hashlib.sha256(key.encode()).hexdigest()


def _read(event: Mapping[str, Any], *, key: str, shop: str) -> list[Translated]:
    kind, data = event["type"], event["data"]
    try:
        if kind in PLACES_ORDER:
            return [items.read_order({**_order(event), "key": key}, shop=shop)]
        if kind in FACT_KINDS:
            said = {"occurred_at": event["timestamp"], **data, "kind": kind, "key": key}
            return [items.read_fact(said, shop=shop)]
    except Untranslatable as error:
        raise Untranslatable(
            [Problem(f"data.{one.field}".rstrip("."), one.error) for one in error.problems]
        ) from error
    return _unknown(event, key=key, shop=shop)


def _order(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The order in the event; one that was changed without saying when, was changed when the event happened."""
    data: Mapping[str, Any] = event["data"]
    if event["type"] in {"order.updated", "order.changed"} and data.get("changed_at") is None:
        return {**data, "changed_at": event["timestamp"]}
    return data


def _unknown(event: Mapping[str, Any], *, key: str, shop: str) -> list[Translated]:
    """A type nobody knows: kept as a fact of the order if it names one, and shown to whoever tends the connection."""
    kind, data = event["type"][:120], event["data"]
    unknown = UnknownValue(field="type", value=kind)
    named = data.get("order", {name: data[name] for name in items.REF_FIELDS if name in data})
    try:
        order = items.read_ref(named, shop=shop)
    except (Untranslatable, ValueError):
        raise Untranslatable(
            [
                Problem(
                    "type",
                    _("“%(kind)s” is not known and its data name no order; give the connection a mapping")
                    % {"kind": kind},
                )
            ]
        ) from None
    said = {"field": "type", "value": kind}
    occurred_at = items.as_time(event["timestamp"])
    return [
        unknown,
        FactItem(key=key, kind="status.unknown", occurred_at=occurred_at, order=order, data=said),
    ]
