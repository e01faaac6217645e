"""What the sources say where they differ: conflicts with the rule that decided, and the provenance of every field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise

from orders import disputes
from orders.models import Contact, Order
from orders.order_page.reading import Reading, label_of
from orders.order_page.timeline import ROLE_LABELS
from orders.stages import FACT_KINDS, Topic
from orders.units import FactRow


@dataclass(frozen=True)
class Side:
    """One of two sources that disagree."""

    fact: FactRow
    label: str
    role: str
    is_believed: bool


@dataclass(frozen=True)
class Disagreement:
    """Both sides, the believed one first, with what is at issue and the rule that decided."""

    what: str
    about: str
    rule: str
    believed: Side
    other: Side


def disagreements(reading: Reading) -> list[Disagreement]:
    return [
        Disagreement(
            what=str(one["label"]),
            about=one["about"],
            rule=str(one["text"]),
            believed=_side(reading.by_id[one["winner"]], is_believed=True),
            other=_side(reading.by_id[one["loser"]], is_believed=False),
        )
        for one in reading.trace["conflicts"]
    ]


def _side(fact: FactRow, *, is_believed: bool) -> Side:
    return Side(fact, label_of(fact), str(ROLE_LABELS.get(fact.role, fact.role)), is_believed)


@dataclass(frozen=True)
class Decision:
    """What a person decided about a disagreement, as long as it stands."""

    key: str
    at: datetime
    actor: int | None
    reason: str
    believed: FactRow | None
    n_struck: int


def decisions(reading: Reading) -> list[Decision]:
    found = disputes.standing_decisions(reading.facts)
    return [_decision(reading, key, facts) for key, facts in found.items()]


def _decision(reading: Reading, key: str, facts: Sequence[FactRow]) -> Decision:
    first = facts[0]
    believed = reading.by_id.get(int(first.data.get("believed") or 0))
    reason = str(first.data.get("reason", ""))
    return Decision(key, first.occurred_at, first.actor, reason, believed, len(facts))


@dataclass(frozen=True)
class Claim:
    """What one source said of a field. is_believed: it is what the hub shows."""

    fact: FactRow
    role: str
    value: str
    is_believed: bool
    is_gone: bool


@dataclass(frozen=True)
class Field:
    """One field with its value, and who said what of it, the newest first."""

    name: str
    label: str
    value: str
    claims: list[Claim]
    note: str = ""

    @property
    def newest(self) -> Claim | None:
        return next((claim for claim in self.claims if claim.is_believed), None)

    @property
    def has_several(self) -> bool:
        """Whether more than one source has spoken, or one has changed its word."""
        return len({(claim.fact.source, claim.value) for claim in self.claims}) > 1


# Fields that facts carry by name, and axes that a topic of facts decides.
CARRIED = ("total", "warehouse", "customer", "payment_terms", "country", "region", "remark")
AXES = {"payment": Topic.PAYMENT, "invoice": Topic.INVOICE, "confirmed_on": Topic.DATE}


def fields(reading: Reading, parts: Sequence[Order], first: int) -> list[Field]:
    """The fields of the order's head. One query, and only if several people are named as its receiver.

    parts, first: as in page.Names.
    """
    order = reading.order
    values = {
        "payment": order.get_payment_display(),
        "invoice": order.get_invoice_display(),
        "confirmed_on": order.confirmed_on.isoformat() if order.confirmed_on else "",
        "total": f"{order.total} {order.currency}".strip() if order.total is not None else "",
        "warehouse": str(order.warehouse or ""),
        "customer": str(order.customer or ""),
        "payment_terms": _worded("payment_terms", reading.answer.fields.get("payment_terms")),
        "country": order.country,
        "region": order.region,
        "remark": order.remark,
    }
    found = [
        Field(name, str(label), values[name], _claims_of(reading, name), _note(order, parts, first, name))
        for name, label in _labels().items()
    ]
    # What nobody has said anything of is not worth a line, but money and dates that are missing are news.
    kept = [one for one in found if one.value or one.claims or one.name in {*AXES, "total", "warehouse"}]
    return [*kept, _receiver(reading)]


def _labels() -> dict[str, StrOrPromise]:
    return {
        "payment": _("Payment"),
        "invoice": _("Invoice"),
        "confirmed_on": _("Confirmed date"),
        "total": _("Total"),
        "warehouse": _("Warehouse"),
        "customer": _("Customer"),
        "payment_terms": _("Payment terms"),
        "country": _("Country"),
        "region": _("Region"),
        "remark": _("Remark"),
    }


def _note(order: Order, parts: Sequence[Order], first: int, name: str) -> str:
    """A shop's total is that of its whole order, whatever part of it fell to this one."""
    if name != "total" or order.total is None or (order.pk == first and not parts):
        return ""
    if order.pk == first:
        return _("total of the whole shop order; count it here only, not with %(others)s") % {
            "others": ", ".join(part.number for part in parts)
        }
    number = next((part.number for part in parts if part.pk == first), "")
    if not number:
        return _("total of the whole shop order; counted with its first part, which you do not see")
    return _("total of the whole shop order; counted with %(first)s") % {"first": number}


def _claims_of(reading: Reading, name: str) -> list[Claim]:
    if name in AXES:
        facts = [fact for fact in reading.facts if FACT_KINDS[fact.kind].topic == AXES[name]]
        believed = _decisive(reading, name, facts)
        return _newest_first(reading, [(fact, _said(name, fact)) for fact in facts], believed)
    told = [(fact, (fact.data.get("fields") or {})) for fact in reading.facts]
    said = [(fact, _worded(name, given[name])) for fact, given in told if given.get(name) not in (None, "")]
    now = _worded(name, reading.answer.fields.get(name) or "")
    believed = {fact.id for fact, value in said if value == now}
    return _newest_first(reading, said, believed)


def _decisive(reading: Reading, name: str, facts: Sequence[FactRow]) -> set[int]:
    why = reading.answer.why.get(name)
    if why is not None:
        return set(why.facts)
    standing = [fact.id for fact in facts if not reading.is_gone(fact)]
    return set(standing[-1:])


# Values that come as codes, in words.
WORDS: dict[str, dict[str, StrOrPromise]] = {
    "payment_terms": {"prepaid": gettext_lazy("Prepaid"), "credit": gettext_lazy("On credit")},
}


def _worded(name: str, value: object) -> str:
    text = "" if value is None else str(value)
    return str(WORDS.get(name, {}).get(text, text))


def _said(name: str, fact: FactRow) -> str:
    if name == "confirmed_on":
        return str(fact.data.get("date") or "")
    amount = fact.data.get("amount") or fact.data.get("number") or ""
    return f"{label_of(fact)} {amount}".strip()


def _newest_first(reading: Reading, said: Iterable[tuple[FactRow, str]], believed: set[int]) -> list[Claim]:
    claims = [
        Claim(
            fact=fact,
            role=str(ROLE_LABELS.get(fact.role, fact.role)),
            value=value,
            is_believed=fact.id in believed and not reading.is_gone(fact),
            is_gone=reading.is_gone(fact),
        )
        for fact, value in said
    ]
    return claims[::-1]


def _receiver(reading: Reading) -> Field:
    """Masked, as everywhere; the full details are a click, a permission and an audit row away."""
    order = reading.order
    told = [(fact, int(fact.data["contact"])) for fact in reading.facts if fact.data.get("contact")]
    masked = _masked({pk for _fact, pk in told}, order)
    believed = {fact.id for fact, pk in told if pk == order.contact_id}
    claims = _newest_first(reading, [(fact, masked.get(pk, f"#{pk}")) for fact, pk in told], believed)
    return Field("receiver", _("Receiver"), str(order.contact or ""), claims)


def _masked(ids: set[int], order: Order) -> Mapping[int, str]:
    known: dict[int, Any] = {order.contact_id: order.contact} if order.contact_id and order.contact else {}
    if ids - set(known):
        rows = Contact.objects.defer("sealed").in_bulk(ids - set(known))
        known |= rows
    return {pk: str(contact) for pk, contact in known.items()}
