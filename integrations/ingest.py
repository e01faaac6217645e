"""From stored messages to settled orders: translated, matched, reported and judged, a batch in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q
from django.utils.timezone import now

from integrations import files, matching
from integrations.canonical import FactItem, OrderReport, Problem, Translated, UnknownValue, Untranslatable
from integrations.connectors.base import REGISTRY
from integrations.drift import note_unmapped
from integrations.heard import note_heard
from integrations.models import Connection, InboundMessage
from integrations.told import row_of
from integrations.told import told as _
from orders import audit
from orders.bulk import update_rows
from orders.contacts import Contact
from orders.facts import FactReport, ReferenceKey, Reported, lock_references, report
from orders.models import OrderFact
from orders.stages import FACT_KINDS, Level
from orders.transitions import Cause, settle_many

logger = logging.getLogger(__name__)

BATCH = 200
# A message that fails through no fault of its content is tried again after these waits, then left to an operator.
WAITS = [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)]
# Which connector reads an API item or a file's row; a webhook's body is read by its own connection's connector.
READERS = {"order": "api", "fact": "api", "row": "rows"}
State = InboundMessage.State


@dataclass(slots=True)
class Work:
    """One message with what it says."""

    message: InboundMessage
    orders: list[OrderReport] = field(default_factory=list)
    items: list[FactItem] = field(default_factory=list)
    unknown: list[UnknownValue] = field(default_factory=list)
    n_facts: int = 0
    n_new: int = 0


@dataclass(slots=True)
class Processed:
    """What one batch did, in messages and facts. duplicates: messages that said nothing new."""

    n_messages: int = 0
    n_failed: int = 0
    n_facts: int = 0
    n_duplicates: int = 0


def process(limit: int = BATCH) -> Processed:
    """Take up to limit waiting messages and carry them through to settled orders.

    Everything of a batch is one transaction: a worker that dies leaves the messages waiting and nothing else. If
    the batch fails as a whole, its messages are tried one by one, so that one bad message cannot hold up the rest.
    """
    for _attempt in range(2):
        try:
            return _process(limit)
        except (OperationalError, IntegrityError):
            # Deadlock, lock time-out, or two workers making the same customer: the other side has gone on, try once more.
            logger.warning("a batch met another worker and starts again", exc_info=True)
        except Exception:
            logger.exception("a batch failed; its messages are tried one by one")
            break
    return _one_by_one(limit)


def _process(limit: int, only: int | None = None) -> Processed:
    at = now()
    with audit.acting(way="worker"), transaction.atomic():
        messages = _claim(limit, at, only)
        if not messages:
            return Processed()
        works, failed = _translate(messages)
        works, refused = _check(works)
        failed += refused
        new = _carry_out(works, at)
        _mark(works, failed, at)
        files.note_outcomes([(work.message, work.n_new) for work in works], failed)
        done = Processed(
            n_messages=len(messages),
            n_failed=len(failed),
            n_facts=len(new),
            n_duplicates=sum(1 for work in works if not work.n_new),
        )
    note_heard(works, at)
    note_unmapped(works, at)
    return done


def read_again(messages: Sequence[InboundMessage], at: datetime) -> None:
    """Carry messages through once more that were done before and say something else by now: their mapping was changed.

    Call in a transaction, with the messages locked and with their connections. What they say is old, so orders move
    silently: no customer is told today of what happened last week. The counts of the file they came in stay.
    """
    for is_demo in (False, True):
        works, failed = _translate([message for message in messages if message.is_demo == is_demo])
        works, refused = _check(works)
        _carry_out(works, at, silent=True)
        _mark(works, [*failed, *refused], at)
        note_unmapped(works, at)


def _claim(limit: int, at: datetime, only: int | None) -> list[InboundMessage]:
    """Lock the oldest waiting messages. Other workers pass over locked rows, so each message has one worker."""
    waiting = InboundMessage.objects.filter(state=State.WAITING).order_by("id")
    waiting = waiting.filter(pk=only) if only else waiting.filter(Q(not_before=None) | Q(not_before__lte=at))
    if connection.features.has_select_for_update_skip_locked:
        waiting = waiting.select_for_update(skip_locked=True, of=("self",))
    messages = list(waiting[:limit])
    # Demo and real data never share a batch: whatever a batch makes is all of one kind.
    messages = [message for message in messages if message.is_demo == messages[0].is_demo]
    connections = {
        row.pk: row
        for row in Connection.objects.filter(
            pk__in={message.connection_id for message in messages}
        ).select_related("shop", "mapping")
    }
    for message in messages:
        message.connection = connections[message.connection_id]
    return messages


Failed = list[tuple[InboundMessage, list[Problem]]]


def _translate(messages: Sequence[InboundMessage]) -> tuple[list[Work], Failed]:
    works: list[Work] = []
    failed: Failed = []
    for message in messages:
        try:
            works.append(_read(message))
        except Untranslatable as error:
            failed.append((message, error.problems))
        except Exception as error:
            logger.exception("message %s could not be read", message.pk)
            failed.append(
                (
                    message,
                    [Problem("", _("the connector failed: %(error)s") % {"error": type(error).__name__})],
                )
            )
    return works, failed


def _read(message: InboundMessage) -> Work:
    connector = REGISTRY.get(READERS.get(message.form, message.connection.connector))
    if connector is None:
        raise Untranslatable(
            [
                Problem(
                    "connector",
                    _("no connector “%(name)s” is installed") % {"name": message.connection.connector},
                )
            ]
        )
    work = Work(message)
    mapping = message.connection.mapping
    said: Translated
    for said in connector().read(
        message.form,
        message.body,
        key=message.remote_key,
        shop=message.connection.shop.code if message.connection.shop else "",
        mapping=mapping.definition if mapping else None,
    ):
        if isinstance(said, OrderReport):
            work.orders.append(said)
        elif isinstance(said, FactItem):
            work.items.append(said)
        else:
            work.unknown.append(said)
    work.unknown = list(dict.fromkeys([*work.unknown, *_unknown_in(work.items)]))
    return work


def _unknown_in(items: Sequence[FactItem]) -> list[UnknownValue]:
    """Unknown statuses that a sender reports as such, without a mapping having met them."""
    return [
        UnknownValue(field=str(item.data.get("field", "")), value=str(item.data.get("value", "")))
        for item in items
        if item.kind == "status.unknown"
    ]


def _check(works: list[Work]) -> tuple[list[Work], Failed]:
    """Turn away messages that name a shop, a warehouse or an order that does not exist, or is not the sender's.

    Nothing of them is written.
    """
    masters = _masters(works)
    numbers = matching.known_numbers(item.order for work in works for item in work.items)
    good: list[Work] = []
    failed: Failed = []
    for work in works:
        shop = work.message.connection.shop.code if work.message.connection.shop else ""
        try:
            _check_shop(work, shop)
            for order in work.orders:
                matching.check_order(order, masters)
            for item in work.items:
                matching.check_ref(item.order, masters, numbers, shop)
            good.append(work)
        except Untranslatable as error:
            failed.append((work.message, error.problems))
    return good, failed


def _check_shop(work: Work, shop: str) -> None:
    """Raises Untranslatable if a connection of one shop speaks for another."""
    said: list[OrderReport | FactItem] = [*work.orders, *work.items]
    if problems := [problem for one in said for problem in matching.elsewhere(one, shop)]:
        raise Untranslatable(problems)


def _masters(works: Sequence[Work]) -> matching.Masters:
    return matching.Masters.of(
        (order for work in works for order in work.orders),
        (item.order for work in works for item in work.items),
    )


def _carry_out(works: Sequence[Work], at: datetime, *, silent: bool = False) -> list[OrderFact]:
    """Match, report, settle. Returns the facts that were new. silent: as settle_many says."""
    if not works:
        return []
    orders = [order for work in works for order in work.orders]
    items = [item for work in works for item in work.items]
    is_demo = works[0].message.is_demo
    references = lock_references(_references(orders, items), is_demo=is_demo)
    matching.tie_numbers(references)
    known = matching.make_orders(orders, references, _masters(works), at=at, is_demo=is_demo)
    matching.tie_waybills(items, references, known)
    reports = _reports(works, references)
    reported = report(reports, references=references)
    _count(works, reported)
    causes: dict[int, Cause] = {}
    for fact in reported.new:
        for order_id in known.get(fact.reference_id, ()):
            causes[order_id] = Cause(source=fact.source, key=fact.key, occurred_at=fact.occurred_at)
    settle_many(causes, at=at, causes=causes, silent=silent)
    return reported.new


def _references(orders: Sequence[OrderReport], items: Sequence[FactItem]) -> set[ReferenceKey]:
    keys = {ReferenceKey(order.shop, matching.KIND.ORDER, order.external_id) for order in orders}
    for item in items:
        keys.add(matching.reference_of(item.order))
        waybill = matching.waybill_reference(item)
        if waybill is not None:
            keys.add(waybill)
    return keys


def _reports(works: Sequence[Work], references: dict[ReferenceKey, int]) -> list[FactReport]:
    placed = _placed_by(works, references)
    people = [order.person or {} for work in works for order in work.orders]
    contacts = iter(Contact.objects.keep_many(people, is_demo=bool(works) and works[0].message.is_demo))
    reports: list[FactReport] = []
    for work in works:
        own = [_order_report(work, order, next(contacts), placed) for order in work.orders]
        for item in work.items:
            own += _item_reports(work, item)
        work.n_facts = len(own)
        reports += own
    return reports


class _Placed(NamedTuple):
    """The report that placed an order."""

    key: str
    message: int
    occurred_at: datetime


def _placed_by(works: Sequence[Work], references: dict[ReferenceKey, int]) -> dict[ReferenceKey, _Placed]:
    """By shop order: the report that placed it. A different report on it tells of a change."""
    keys = {
        references[key]: key
        for work in works
        for order in work.orders
        if (key := ReferenceKey(order.shop, matching.KIND.ORDER, order.external_id))
    }
    if not keys:
        return {}
    rows = OrderFact.objects.filter(reference_id__in=keys, kind="order.placed").values_list(
        "reference_id", "key", "message", "occurred_at"
    )
    return {
        keys[reference_id]: _Placed(key, message or 0, occurred_at)
        for reference_id, key, message, occurred_at in rows
    }


def _order_report(
    work: Work, order: OrderReport, contact: Contact | None, placed: dict[ReferenceKey, _Placed]
) -> FactReport:
    reference = ReferenceKey(order.shop, matching.KIND.ORDER, order.external_id)
    key = order.key or f"order:{work.message.digest[:32]}"
    first = placed.setdefault(reference, _Placed(key, work.message.pk, order.placed_at))
    is_change = order.changed_at is not None or first.key != key
    occurred_at = order.changed_at or (
        order.placed_at if first.key == key else _changed_at(work.message, first)
    )
    data: dict[str, Any] = {"fields": dict(order.fields), "lines": [_line(line) for line in order.lines]}
    if not order.lines:
        del data["lines"]
    if contact is not None:
        data["contact"] = contact.pk
    if order.modes:
        data["modes"] = dict(order.modes)
    if is_change:
        data["placed_at"] = order.placed_at.isoformat()
    return _fact(work, reference, key, "order.changed" if is_change else "order.placed", occurred_at, data)


def _changed_at(message: InboundMessage, first: _Placed) -> datetime:
    """When a report without a time of its own changed the order: when it was received.

    One that was sent before the report that placed the order, and was put off or taken by a slower worker, says
    nothing newer: it stands before it.
    """
    if message.pk < first.message:
        return first.occurred_at - timedelta(microseconds=1)
    return message.received_at


def _line(line: Any) -> dict[str, str]:
    found = {"sku": line.sku, "qty": str(line.qty), "name": line.name, "unit": line.unit}
    if line.price is not None:
        found["price"] = str(line.price)
    return {name: value for name, value in found.items() if value}


def _item_reports(work: Work, item: FactItem) -> list[FactReport]:
    """One fact, or one for each line that a line-level report names."""
    reference = matching.reference_of(item.order)
    level = FACT_KINDS[item.kind].level
    data = dict(item.data)
    if item.kind == "fact.retracted":
        # Nobody takes back what another source said.
        data["fact"] = {**(data.get("fact") or {}), "source": work.message.connection.slug}
    if level == Level.LINE and item.lines:
        return [
            _fact(work, reference, item.key, item.kind, item.occurred_at, data, level_id=sku, quantity=qty)
            for sku, qty in item.lines
        ]
    if item.lines:
        data["lines"] = [{"sku": sku, "qty": str(qty)} for sku, qty in item.lines if qty is not None]
    level_id = (item.parcel or item.order.waybill) if level in {Level.PARCEL, Level.ANY} else ""
    return [_fact(work, reference, item.key, item.kind, item.occurred_at, data, level_id=level_id)]


def _fact(
    work: Work,
    reference: ReferenceKey,
    key: str,
    kind: str,
    occurred_at: datetime,
    data: dict[str, Any],
    *,
    level_id: str = "",
    quantity: Decimal | None = None,
) -> FactReport:
    message = work.message
    return FactReport(
        reference=reference,
        source=message.connection.slug,
        role=message.connection.role,
        key=key[:128],
        kind=kind,
        level_id=level_id[:80],
        quantity=quantity,
        occurred_at=occurred_at,
        received_at=message.received_at,
        data=data,
        message=message.pk,
        is_demo=message.is_demo,
    )


def _count(works: Sequence[Work], reported: Reported) -> None:
    by_message = {work.message.pk: work for work in works}
    for fact in reported.new:
        by_message[fact.message or 0].n_new += 1


def _mark(works: Sequence[Work], failed: Failed, at: datetime) -> None:
    rows: list[list[Any]] = [
        [work.message.pk, State.DONE.value, at, [], work.message.n_facts + work.n_new] for work in works
    ]
    rows += [
        [
            message.pk,
            State.FAILED.value,
            at,
            [row_of(one) for one in problems],
            message.n_facts,
        ]
        for message, problems in failed
    ]
    update_rows(InboundMessage, ["state", "processed_at", "errors", "n_facts"], rows)


def _one_by_one(limit: int) -> Processed:
    total = Processed()
    waiting = InboundMessage.objects.filter(state=State.WAITING).filter(
        Q(not_before=None) | Q(not_before__lte=now())
    )
    for pk in list(waiting.order_by("id").values_list("pk", flat=True)[:limit]):
        try:
            one = _process(1, only=pk)
        except Exception as error:
            logger.exception("message %s failed", pk)
            _put_off(pk, error)
            total.n_failed += 1
        else:
            total.n_messages += one.n_messages
            total.n_facts += one.n_facts
    return total


def _put_off(pk: int, error: Exception) -> None:
    """Try the message again later, and after the last wait leave it to an operator. It is never dropped."""
    with transaction.atomic():
        message = InboundMessage.objects.select_for_update().filter(pk=pk, state=State.WAITING).first()
        if message is None:
            # Another worker has carried it through meanwhile.
            return
        message.attempts += 1
        problem = Problem(
            "", _("%(error)s: the hub failed on this message") % {"error": type(error).__name__}
        )
        message.errors = [row_of(problem)]
        if message.attempts > len(WAITS):
            message.state = State.FAILED
            files.note_outcomes([], [(message, [problem])])
        else:
            message.not_before = now() + WAITS[message.attempts - 1]
        message.save(update_fields=["attempts", "errors", "state", "not_before"])


def replay(pks: Sequence[int]) -> int:
    """Put failed messages back to work, after a mapping was mended or a shop was made. Returns how many."""
    from orders.tasks import hint

    with transaction.atomic():
        n_messages = InboundMessage.objects.filter(pk__in=pks, state=State.FAILED).update(
            state=State.WAITING, attempts=0, not_before=None
        )
        hint("inbox")
    return n_messages
