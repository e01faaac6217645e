"""Reporting facts: the only way anything is ever said about an order. The same report twice is one fact."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.utils.timezone import now

from orders import audit
from orders.bulk import add_models_with_ids
from orders.models import ExternalReference, Order, OrderFact, ReferenceLink
from orders.stages import FACT_KINDS, Level, Role

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class ReferenceKey(NamedTuple):
    """What a fact hangs on. connection: the shop's code for its order numbers, "" for waybills and hub numbers."""

    connection: str
    kind: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FactReport:
    """One fact on its way into the book.

    source: the connection's slug, or "person", "rule", "hub". key: the source's own name for the report.
    level_id: the article of a line fact, the waybill of a parcel fact. quantity: None = all of it.
    """

    reference: ReferenceKey
    source: str
    role: str
    key: str
    kind: str
    occurred_at: datetime
    received_at: datetime
    level_id: str = ""
    quantity: Decimal | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    actor_id: int | None = None
    message: int | None = None
    is_demo: bool = False

    @property
    def identity(self) -> tuple[str, str, str, str]:
        return (self.source, self.key, self.kind, self.level_id)


@dataclass(frozen=True, slots=True)
class Reported:
    """new: facts that were added. duplicates: reports that said nothing new. references: row ids by key."""

    new: list[OrderFact]
    duplicates: list[FactReport]
    references: dict[ReferenceKey, int]


def lock_references(keys: Iterable[ReferenceKey], *, is_demo: bool = False) -> dict[ReferenceKey, int]:
    """Make the references that are missing and lock all of them until the transaction ends.

    Whoever reports on a name and whoever ties the name to an order must wait for each other: else a fact that
    arrives while its order is being made would be seen by neither. Always in the same sequence, so nobody deadlocks.
    """
    wanted = sorted(set(keys))
    found = _references(wanted)
    missing = [key for key in wanted if key not in found]
    if missing:
        ExternalReference.objects.bulk_create(
            [
                ExternalReference(connection=key.connection, kind=key.kind, value=key.value, is_demo=is_demo)
                for key in missing
            ],
            ignore_conflicts=True,
        )
    return _references(wanted, lock=True)


def _references(keys: Sequence[ReferenceKey], *, lock: bool = False) -> dict[ReferenceKey, int]:
    rows = ExternalReference.objects.filter(value__in={key.value for key in keys})
    if lock:
        rows = rows.select_for_update(no_key=True).order_by("pk")
    wanted = set(keys)
    found = {
        ReferenceKey(connection, kind, value): pk
        for pk, connection, kind, value in rows.values_list("pk", "connection", "kind", "value")
    }
    return {key: pk for key, pk in found.items() if key in wanted}


def report(reports: Sequence[FactReport], *, references: dict[ReferenceKey, int] | None = None) -> Reported:
    """Add the facts that are new. Call inside a transaction, with all reports of the batch at once.

    references: row ids of every report's reference if the caller has locked them already.
    """
    references = references or lock_references([one.reference for one in reports])
    known = _known(reports)
    new: list[OrderFact] = []
    duplicates: list[FactReport] = []
    for one in reports:
        if one.identity in known:
            duplicates.append(one)
            continue
        known.add(one.identity)
        new.append(_fact(one, references[one.reference]))
    add_models_with_ids(new)
    return Reported(new, duplicates, references)


def _known(reports: Sequence[FactReport]) -> set[tuple[str, str, str, str]]:
    rows = OrderFact.objects.filter(key__in={one.key for one in reports})
    return set(rows.values_list("source", "key", "kind", "level_id"))


def _fact(one: FactReport, reference_id: int) -> OrderFact:
    return OrderFact(
        reference_id=reference_id,
        source=one.source,
        role=one.role,
        key=one.key,
        kind=one.kind,
        level_id=one.level_id,
        quantity=one.quantity,
        occurred_at=one.occurred_at,
        received_at=one.received_at,
        data=dict(one.data),
        actor_id=one.actor_id,
        message=one.message,
        is_demo=one.is_demo,
    )


def orders_of(reference_ids: Iterable[int]) -> dict[int, list[int]]:
    """Ids of the orders that each reference means; a reference without an order is missing."""
    found: dict[int, list[int]] = {}
    links = ReferenceLink.objects.filter(reference_id__in=set(reference_ids)).order_by("order_id")
    for reference_id, order_id in links.values_list("reference_id", "order_id"):
        found.setdefault(reference_id, []).append(order_id)
    return found


def hub_reference(order: Order) -> ReferenceKey:
    """The order's own number as a reference, tied to it. Made when first needed: most orders never need it."""
    key = ReferenceKey("", ExternalReference.Kind.NUMBER, order.number)
    ids = lock_references([key], is_demo=order.is_demo)
    ReferenceLink.objects.get_or_create(reference_id=ids[key], order=order)
    return key


def report_by_person(
    order: Order,
    kind: str,
    *,
    actor: User | None,
    occurred_at: datetime | None = None,
    data: Mapping[str, Any] | None = None,
    lines: Sequence[tuple[str, Decimal | None]] = (),
    parcel: str = "",
    key: str = "",
    source: str = "person",
    role: str = Role.PERSON.value,
    reason: str = "",
) -> list[OrderFact]:
    """Report a fact on an order by hand and settle the order in the same transaction; leaves one audit row.

    lines: (article, quantity or None for all) of a line fact. key: give one to make the action idempotent.
    Raises KeyError if there is no such kind of fact.
    """
    from orders.transitions import Cause, settle

    at = now()
    level = FACT_KINDS[kind].level
    key = key or f"{kind}:{uuid.uuid4().hex}"
    levels: Sequence[tuple[str, Decimal | None]] = [("", None)]
    if level == Level.LINE and lines:
        levels = lines
    elif level == Level.PARCEL:
        levels = [(parcel, None)]
    with transaction.atomic():
        reference = hub_reference(order)
        reported = report(
            [
                FactReport(
                    reference=reference,
                    source=source,
                    role=role,
                    key=key,
                    kind=kind,
                    level_id=level_id,
                    quantity=quantity,
                    occurred_at=occurred_at or at,
                    received_at=at,
                    data=data or {},
                    actor_id=actor.pk if actor else None,
                    is_demo=order.is_demo,
                )
                for level_id, quantity in levels
            ]
        )
        if reported.new:
            audit.record(
                f"fact.{kind}",
                order,
                after={"facts": [fact.pk for fact in reported.new], **(data or {})},
                reason=reason,
            )
            settle(order.pk, at=at, cause=Cause(source=source, key=key, actor_id=actor.pk if actor else None))
    return reported.new


def retract(order: Order, facts: Sequence[OrderFact], *, actor: User | None, reason: str) -> list[OrderFact]:
    """Take facts back: derivation ignores them from now on; the rows stay."""
    found: list[OrderFact] = []
    with transaction.atomic():
        for fact in facts:
            found += report_by_person(
                order,
                "fact.retracted",
                actor=actor,
                data={"fact": {"source": fact.source, "key": fact.key, "kind": fact.kind}, "reason": reason},
                key=f"retract:{fact.pk}",
                reason=reason,
            )
    return found
