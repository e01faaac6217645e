"""What a field mapping's definition is compiled to: readers that find, transform, map and check one value each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from integrations.mapping.paths import Getter
from integrations.mapping.transforms import Refused, Step, clean_text, shown
from integrations.told import told as _

# The widths of the columns behind the fields (orders/models.py), so that a long value is refused here, by name.
WIDTHS = {
    "external_id": 64, "number": 20, "waybill": 40, "parcel": 40, "currency": 3, "customer": 64, "customer_name": 120,
    "warehouse": 40, "region": 40, "country": 2, "remark": 5000, "lines[].sku": 80, "lines[].name": 200, "lines[].unit": 20,
}  # fmt: skip
DECIMALS = {"total": 2, "lines[].price": 4, "lines[].qty": 3}
CHOICES = {"payment_terms": ("prepaid", "credit"), "invoice": ("required", "exempt")}
IDS = frozenset({"external_id", "number", "waybill", "parcel", "lines[].sku", "customer", "warehouse"})
LARGEST = Decimal(10) ** 10


class Unmapped(Exception):
    """A value that the field's value map does not know."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one field: finds the value, transforms it, maps it, checks it against the column behind it."""

    name: str
    kind: str
    get: Getter
    steps: tuple[Step, ...] = ()
    default: Any = None
    mode: str = ""
    required: bool = False

    def read(self, record: Mapping[str, Any]) -> Any:
        return self.refine(self.get(record))

    def refine(self, value: Any) -> Any:
        """The finished value; the default (or None) if there is none. Raises Refused or Unmapped."""
        for step in self.steps:
            if value is None or value == "":
                return self.default
            value = step(value)
        if value is None or value == "" or value == []:
            return self.default
        return value


@dataclass(frozen=True, slots=True)
class StatusReader:
    value: Reader
    kinds: Mapping[str, tuple[str, ...]]
    at: Reader | None
    parcel: Reader | None
    repeats: bool
    label: str


@dataclass(frozen=True, slots=True)
class FactReader:
    kind: str
    at: Reader
    parcel: Reader | None
    sku: Reader | None
    qty: Reader | None
    data: tuple[Reader, ...]


@dataclass(slots=True)
class Compiled:
    """A definition ready to read records."""

    record: str = "order"
    grouped: bool = False
    fields: dict[str, Reader] = field(default_factory=dict)
    contact: list[Reader] = field(default_factory=list)
    lines: dict[str, Reader] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    status: StatusReader | None = None
    facts: list[FactReader] = field(default_factory=list)


def lookup(values: Mapping[str, Any]) -> Step:
    def look_up(value: Any) -> Any:
        text = clean_text(value)
        if text in values:
            return values[text]
        raise Unmapped(text)

    return look_up


def fits(name: str, kind: str) -> Step:
    """The check against the column behind the field."""
    if kind in ("text", "id"):
        return _fits_text(WIDTHS.get(name, 300), CHOICES.get(name))
    if kind in ("number", "money"):
        return _fits_number(name)
    return lambda value: value


def _fits_text(width: int, choices: tuple[str, ...] | None) -> Step:
    def fit(value: Any) -> Any:
        # A zero byte is refused by PostgreSQL only once the row is written.
        if len(value) > width or "\x00" in value:
            raise Refused(
                _("“%(value)s” does not fit: at most %(width)d characters, no control signs.")
                % {"value": shown(value), "width": width}
            )
        if choices and value not in choices:
            raise Refused(
                _("“%(value)s” is not one of: %(names)s. Give the field a value map.")
                % {"value": shown(value), "names": ", ".join(choices)}
            )
        return value

    return fit


def _fits_number(name: str) -> Step:
    places = DECIMALS.get(name, 4)

    def fit(value: Decimal) -> Any:
        if abs(value) >= LARGEST or -int(value.normalize().as_tuple().exponent) > places:
            raise Refused(
                _("%(value)s does not fit: below 10,000,000,000 and at most %(places)d decimals.")
                % {"value": shown(value), "places": places}
            )
        if name == "lines[].qty" and value <= 0:
            raise Refused(_("A quantity is more than 0."))
        if name == "stars":
            return _stars(value)
        return value

    return fit


def _stars(value: Decimal) -> int:
    if value != int(value) or not 0 <= value <= 5:
        raise Refused(_("Stars are a whole number from 0 to 5."))
    return int(value)
