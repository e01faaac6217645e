"""What every connector and every mapping translates into: orders and facts in the hub's own words, no database, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.contacts import Person


class Mode(StrEnum):
    """What a value from outside does to a value that is already there."""

    OVERWRITE = "overwrite"
    IF_NEW = "if_new"
    IF_EMPTY = "if_empty"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class HubField:
    """One field of an order that a source may fill. kind: text, number, money, time, date, bool, words."""

    name: str
    label: StrOrPromise
    kind: str
    required: bool = False


# "lines[]." fields repeat per article; "contact." fields are personal data and go to Contact.
HUB_FIELDS: dict[str, HubField] = {
    row.name: row
    for row in (
        HubField("external_id", _("Shop order number"), "text", required=True),
        HubField("placed_at", _("Placed at"), "time", required=True),
        HubField("changed_at", _("Changed at"), "time"),
        HubField("currency", _("Currency"), "text"),
        HubField("total", _("Total"), "money"),
        HubField("customer", _("Customer code"), "text"),
        HubField("customer_name", _("Company name"), "text"),
        HubField("stars", _("Stars"), "number"),
        HubField("warehouse", _("Warehouse code"), "text"),
        HubField("region", _("Region"), "text"),
        HubField("country", _("Country"), "text"),
        HubField("remark", _("Remark"), "text"),
        HubField("rush", _("Rush"), "bool"),
        HubField("test", _("Test order"), "bool"),
        HubField("payment_terms", _("Payment terms: prepaid or credit"), "text"),
        HubField("invoice", _("Invoice: required or exempt"), "text"),
        HubField("contact.name", _("Receiver"), "text"),
        HubField("contact.phone", _("Phone"), "text"),
        HubField("contact.email", _("E-mail"), "text"),
        HubField("contact.country", _("Receiver's country"), "text"),
        HubField("contact.province", _("Province"), "text"),
        HubField("contact.city", _("City"), "text"),
        HubField("contact.district", _("District"), "text"),
        HubField("contact.street", _("Street"), "text"),
        HubField("contact.postcode", _("Postcode"), "text"),
        HubField("lines[].sku", _("Article"), "text", required=True),
        HubField("lines[].qty", _("Quantity"), "number", required=True),
        HubField("lines[].name", _("Article name"), "text"),
        HubField("lines[].unit", _("Unit"), "text"),
        HubField("lines[].price", _("Unit price"), "money"),
    )
}
# Order-level fields that the derivation folds (orders/derivation.py); the rest of HUB_FIELDS is handled on its own.
FOLDED = (
    "currency", "total", "customer", "customer_name", "stars", "warehouse", "region", "country",
    "remark", "rush", "test", "payment_terms", "invoice",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRef:
    """Which order is meant: by the shop's number, the hub's number, or a waybill. Exactly one of the three."""

    shop: str = ""
    external_id: str = ""
    number: str = ""
    waybill: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineReport:
    sku: str
    qty: Decimal
    name: str = ""
    unit: str = ""
    price: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderReport:
    """One order as a shop tells it.

    key: the shop's own key for this report; empty = made from the content.
    changed_at: set when the shop says that this is a later version of the order.
    fields: values by name of FOLDED; modes: Mode by name of FOLDED, "lines" or "contact" (missing = overwrite).
    """

    shop: str
    external_id: str
    placed_at: datetime
    changed_at: datetime | None = None
    key: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    person: Person | None = None
    lines: tuple[LineReport, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FactItem:
    """One thing that happened to an order.

    lines: (sku, quantity or None for all of it); a line-level kind without lines means every line in full.
    parcel: the waybill of a parcel-level kind; empty = the source names none.
    """

    key: str
    kind: str
    occurred_at: datetime
    order: OrderRef
    lines: tuple[tuple[str, Decimal | None], ...] = ()
    parcel: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownValue:
    """An outside status that the mapping does not know. The fact status.unknown that keeps it is reported beside it."""

    field: str
    value: str


Translated = OrderReport | FactItem | UnknownValue


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one field, in words for the person who can mend it."""

    field: str
    error: str


class Untranslatable(Exception):
    """A message that cannot become orders or facts. Carries every problem found, so that one look mends them all."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.error}" for problem in problems))
        self.problems = problems
