"""A changed mapping and the orders that were read with an older one: who is affected, and reading them anew on request.

Nothing here runs by itself. Only open orders are read anew; each of their messages is translated with the mapping as it
is now, and if it now says something else, the new facts are added and those it no longer says are taken back. The
report that placed an order stays: the corrected one stands above it as a later word of the same source.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from integrations import ingest
from integrations.canonical import OrderReport, Translated, UnknownValue, Untranslatable
from integrations.connectors.base import REGISTRY
from integrations.models import Connection, FieldMapping, InboundMessage, UnmappedValue
from orders import audit, tasks
from orders.facts import FactReport, ReferenceKey, lock_references, report
from orders.models import ExternalReference, Order, OrderFact, Todo
from orders.transitions import settle_many

logger = logging.getLogger(__name__)

# As far as pages count.
COUNTED = 10_000
ORDERS_AT_ONCE = 200
# Facts that no change of a mapping takes back.
KEPT = ("order.placed", "fact.retracted")


@dataclass(frozen=True, slots=True)
class Affected:
    """What hangs on a mapping. Counts stop at COUNTED + 1."""

    connections: tuple[Connection, ...]
    n_open: int
    n_failed: int


@dataclass(slots=True)
class Reread:
    """What one step did. next_id: where the next step begins; None when all open orders were looked at."""

    n_orders: int = 0
    n_changed: int = 0
    n_retracted: int = 0
    n_unreadable: int = 0
    n_without_body: int = 0
    next_id: int | None = None


def affected(mapping: FieldMapping) -> Affected:
    connections = tuple(Connection.objects.filter(mapping=mapping).order_by("slug"))
    return Affected(
        connections,
        _orders_of(connections)[: COUNTED + 1].count(),
        failed_messages(mapping)[: COUNTED + 1].count(),
    )


def failed_messages(mapping: FieldMapping) -> Any:
    return InboundMessage.objects.filter(
        state=InboundMessage.State.FAILED, connection__mapping=mapping
    ).order_by("-id")


def _orders_of(connections: Iterable[Connection]) -> Any:
    """Open orders that one of these connections has said anything about."""
    slugs = [connection.slug for connection in connections]
    said = OrderFact.objects.filter(reference__links__order=OuterRef("pk"), source__in=slugs)
    return Order.objects.filter(Exists(said), is_open=True).order_by("id")


def reread(mapping: FieldMapping, *, at: datetime, after_id: int = 0) -> Reread:
    """Read the next ORDERS_AT_ONCE open orders anew, one transaction. Doing it twice changes nothing more."""
    connections = list(Connection.objects.filter(mapping=mapping).select_related("shop", "mapping"))
    orders = list(_orders_of(connections).filter(pk__gt=after_id)[:ORDERS_AT_ONCE])
    done = _reread_orders(orders, connections, at)
    done.next_id = orders[-1].pk if len(orders) == ORDERS_AT_ONCE else None
    return done


def reread_last(mapping: FieldMapping, *, at: datetime, limit: int = ORDERS_AT_ONCE) -> Reread:
    """Read the newest open orders anew, at most ORDERS_AT_ONCE of them, in one transaction."""
    connections = list(Connection.objects.filter(mapping=mapping).select_related("shop", "mapping"))
    newest = _orders_of(connections).order_by("-id")[: min(limit, ORDERS_AT_ONCE)]
    return _reread_orders(list(newest), connections, at)


def note_known(mapping: FieldMapping, *, at: datetime) -> int:
    """Take values that the mapping knows by now off the list of unmapped ones; how many. No order is read anew."""
    open_ones = UnmappedValue.objects.filter(connection__mapping=mapping, mapped_at=None)
    known = [value.pk for value in open_ones[:COUNTED] if knows(mapping, value)]
    UnmappedValue.objects.filter(pk__in=known).update(mapped_at=at)
    subjects = [f"unmapped:{pk}" for pk in known]
    Todo.objects.filter(subject__in=subjects, done_at=None).update(done_at=at, outcome="mapped")
    return len(known)


def reread_value(value: UnmappedValue, *, at: datetime) -> Reread:
    """Read the open orders anew that carry this unknown value, now that the mapping knows it."""
    connection = Connection.objects.select_related("shop", "mapping").get(pk=value.connection_id)
    facts = OrderFact.objects.filter(
        source=connection.slug, kind="status.unknown", data__field=value.field, data__value=value.value
    )
    orders = Order.objects.filter(is_open=True, links__reference__facts__in=facts).distinct().order_by("id")
    done = Reread()
    with audit.acting(way="admin", reason=f"{value.field} = {value.value}"):
        # By id and not by place: an order that closes by what it now says leaves the list.
        batch = list(orders[:ORDERS_AT_ONCE])
        while batch and done.n_orders < COUNTED:
            _add(done, _reread_orders(batch, [connection], at))
            batch = list(orders.filter(pk__gt=batch[-1].pk)[:ORDERS_AT_ONCE])
    if knows(connection.mapping, value):
        UnmappedValue.objects.filter(pk=value.pk).update(mapped_at=at)
        Todo.objects.filter(subject=f"unmapped:{value.pk}", done_at=None).update(done_at=at, outcome="mapped")
    return done


def is_status(mapping: FieldMapping | None, value: UnmappedValue) -> bool:
    """Whether the value was unknown as the record's status, not in one of its fields."""
    status = (mapping.definition.get("status") or {}) if mapping else {}
    return value.field in (status.get("path"), status.get("jmespath"), "status")


def _value_map(mapping: FieldMapping, value: UnmappedValue) -> dict[str, Any]:
    """The value map that does not know the value. Raises LookupError if the mapping has none there any more."""
    found = (
        mapping.definition.get("status")
        if is_status(mapping, value)
        else (mapping.definition.get("fields") or {}).get(value.field)
    )
    if not found or not isinstance(found.get("values"), dict):
        raise LookupError(
            _("The mapping has no value map for “%(field)s” any more.") % {"field": value.field}
        )
    values: dict[str, Any] = found["values"]
    return values


def add_value(mapping: FieldMapping, value: UnmappedValue, meaning: Any) -> None:
    """Put the value into its value map; the caller saves. Raises LookupError."""
    mapping.definition = copy.deepcopy(mapping.definition)
    _value_map(mapping, value)[value.value] = meaning


def knows(mapping: FieldMapping | None, value: UnmappedValue) -> bool:
    if mapping is None:
        return False
    try:
        return value.value in {str(name).strip() for name in _value_map(mapping, value)}
    except LookupError:
        return False


def _add(total: Reread, step: Reread) -> None:
    for name in ("n_orders", "n_changed", "n_retracted", "n_unreadable", "n_without_body"):
        setattr(total, name, getattr(total, name) + getattr(step, name))


def _reread_orders(orders: Sequence[Order], connections: Sequence[Connection], at: datetime) -> Reread:
    done = Reread(n_orders=len(orders))
    by_slug = {connection.slug: connection for connection in connections}
    with transaction.atomic():
        by_message: dict[int, list[OrderFact]] = {}
        for fact in _facts_of(orders, by_slug):
            by_message.setdefault(fact.message or 0, []).append(fact)
        messages = InboundMessage.objects.filter(pk__in=by_message, state=InboundMessage.State.DONE)
        again: list[InboundMessage] = []
        for message in messages.select_for_update().order_by("pk"):
            own = by_message[message.pk]
            message.connection = by_slug[own[0].source]
            if _reread_message(message, own, at, done):
                again.append(message)
        ingest.read_again(again, at)
        settle_many([order.pk for order in orders], at=at, silent=True)
        tasks.hint("dispatch")
    return done


def _facts_of(orders: Sequence[Order], by_slug: Mapping[str, Connection]) -> list[OrderFact]:
    """What these connections' messages have said on the orders, with the references locked."""
    facts = (
        OrderFact.objects.filter(
            reference__links__order__in=orders, source__in=by_slug, message__isnull=False
        )
        .select_related("reference")
        .distinct()
    )
    found = list(facts)
    lock_references(key_of(fact.reference) for fact in found)
    return found


def _reread_message(message: InboundMessage, facts: Sequence[OrderFact], at: datetime, done: Reread) -> bool:
    """Take back what the message no longer says. True if it now says something new and must go through again."""
    connection = message.connection
    if not message.body:
        done.n_without_body += 1
        return False
    try:
        said = _said(message, connection)
    except Untranslatable:
        done.n_unreadable += 1
        return False
    stale = [fact for fact in facts if fact.kind not in KEPT and (fact.key, fact.kind) not in said]
    retractions = [_retraction(fact, connection, at) for fact in stale]
    new = report(retractions).new if retractions else []
    done.n_retracted += len(new)
    keys = {key for key, _kind in said}
    known = set(OrderFact.objects.filter(source=connection.slug, key__in=keys).values_list("key", flat=True))
    if keys - known or new:
        done.n_changed += 1
    return bool(keys - known)


def _said(message: InboundMessage, connection: Connection) -> set[tuple[str, str]]:
    """Key and kind of everything that the message says under the mapping as it is now."""
    connector = REGISTRY[ingest.READERS.get(message.form, connection.connector)]()
    found: set[tuple[str, str]] = set()
    item: Translated
    for item in connector.read(
        message.form,
        message.body,
        key=message.remote_key,
        shop=connection.shop.code if connection.shop else "",
        mapping=connection.mapping.definition if connection.mapping else None,
    ):
        if isinstance(item, OrderReport):
            key = item.key or f"order:{message.digest[:32]}"
            found |= {(key, "order.placed"), (key, "order.changed")}
        elif not isinstance(item, UnknownValue):
            found.add((item.key, item.kind))
    return found


def key_of(reference: ExternalReference) -> ReferenceKey:
    return ReferenceKey(reference.connection, reference.kind, reference.value)


def _retraction(fact: OrderFact, connection: Connection, at: datetime) -> FactReport:
    return FactReport(
        reference=key_of(fact.reference),
        source=connection.slug,
        role=connection.role,
        key=f"retract:{fact.pk}",
        kind="fact.retracted",
        occurred_at=at,
        received_at=at,
        data={
            "fact": {"source": fact.source, "key": fact.key, "kind": fact.kind},
            "reason": "the field mapping was changed",
        },
        is_demo=fact.is_demo,
    )
