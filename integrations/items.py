"""The hub's own shape of orders and facts, as the API takes them: checked field by field, no database, no clock."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, TypeVar

from django.utils.translation import gettext_noop

from integrations.canonical import (
    HUB_FIELDS,
    FactItem,
    LineReport,
    OrderRef,
    OrderReport,
    Problem,
    Untranslatable,
)
from integrations.identifiers import clean_id
from integrations.told import told as _
from orders.contacts import FIELDS as CONTACT_FIELDS
from orders.contacts import Person
from orders.stages import FACT_KINDS, Level, Topic

T = TypeVar("T")
D = TypeVar("D")
Item = Mapping[str, Any]

# Stands in for a time that is missing or wrong; the item is refused, so nobody ever sees it.
NO_TIME = datetime.min.replace(tzinfo=UTC)

MAX_FACT_KEY = 128
MAX_LINES = 500
MAX_DEPTH = 8
MAX_DATA_VALUES = 500
MAX_TEXT = 2000
MAX_SKU = 80
MAX_WAYBILL = 40

FACT_FIELDS = ("key", "kind", "occurred_at", "order", "lines", "parcel", "data")
REF_FIELDS = ("shop", "external_id", "number", "waybill")
FACT_LINE_FIELDS = ("sku", "qty")
ORDER_LINE_FIELDS = tuple(name.removeprefix("lines[].") for name in HUB_FIELDS if name.startswith("lines[]."))
ORDER_FIELDS = (
    "key", "shop", *(name for name in HUB_FIELDS if "." not in name), "contact", "lines",
)  # fmt: skip
# Who says it is settled by the token or the signature. A body that names somebody else is not believed.
WHO = ("source", "connection", "role", "actor")
# Names under which the hub itself keeps checked data: an id of personal data, an order's lines and fields.
RESERVED = {
    "contact": gettext_noop("is reserved; personal data are reported with the order, to /api/v1/orders/"),
    "fields": gettext_noop("is reserved; fields of an order are reported to /api/v1/orders/"),
    "modes": gettext_noop("is reserved; fields of an order are reported to /api/v1/orders/"),
    "lines": gettext_noop("is reserved; lines stand beside data, not in it"),
}


class Checker:
    """Takes fields out of one item and remembers everything that is wrong with them."""

    def __init__(self, item: Item, at: str = "") -> None:
        self.item = item
        self.at = at
        self.problems: list[Problem] = []

    def wrong(self, name: str, error: str) -> None:
        self.problems.append(Problem(f"{self.at}{name}", error))

    def take(self, name: str, read: Callable[[Any], T], default: D, *, required: bool = False) -> T | D:
        """The field as `read` makes it, or the default if it is missing, null or wrong."""
        value = self.item.get(name)
        if value is None:
            if required:
                self.wrong(name, _("is missing"))
            return default
        try:
            return read(value)
        except Untranslatable as error:
            self.problems += [Problem(f"{self.at}{name}{one.field}", one.error) for one in error.problems]
        except ValueError as error:
            self.wrong(name, str(error))
        return default

    def refuse_typos(self, known: Iterable[str]) -> None:
        for name in self.item:
            if name in WHO and name not in known:
                self.wrong(name, _("is settled by the token; leave it out"))
            elif near := near_to(name, known):
                self.wrong(name, _("is not a field; did you mean %(near)s?") % {"near": near})

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """For small objects, where a name that is passed over would change what the rest means."""
        known = tuple(known)
        for name in self.item:
            if name not in known:
                self.wrong(name[:120], _("is not a field; there are %(known)s") % {"known": ", ".join(known)})

    def finish(self) -> None:
        if self.problems:
            raise Untranslatable(self.problems)


def near_to(name: str, known: Iterable[str]) -> str:
    """The known name that this unknown one is probably meant to be, or ""."""
    known = tuple(known)
    if name in known:
        return ""
    return next(iter(get_close_matches(name.lower(), known, n=1, cutoff=0.75)), "")


def ignored(item: Item, known: Iterable[str]) -> list[Problem]:
    """Fields that nobody reads and that are no typing mistake, for the sender to know."""
    known = tuple(known)
    return [
        Problem(name[:120], _("is not a field of this and was not used"))
        for name in item
        if name not in known and name not in WHO and not near_to(name, known)
    ]


def as_mapping(value: object) -> Item:
    if not isinstance(value, Mapping):
        raise ValueError(_("must be an object"))
    return value


def as_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(_("must be a list"))
    if len(value) > MAX_LINES:
        raise ValueError(
            _("has %(count)d entries; at most %(most)d are taken") % {"count": len(value), "most": MAX_LINES}
        )
    return value


def as_text(limit: int = MAX_TEXT) -> Callable[[Any], str]:
    def read(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return clean_id(value, limit=limit)
        if not isinstance(value, str):
            raise ValueError(_("must be text"))
        return storable(value.strip(), limit)

    return read


def storable(text: str, limit: int) -> str:
    if len(text) > limit:
        raise ValueError(
            _("is %(length)d signs long; at most %(most)d are kept") % {"length": len(text), "most": limit}
        )
    # PostgreSQL stores neither; both come only from broken senders.
    if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError(_("contains a sign that cannot be stored"))
    return text


def as_key(value: object) -> str:
    """A sender's own key: kept as it is, so that two different keys stay different."""
    text = as_text(MAX_FACT_KEY)(value)
    if not text:
        raise ValueError(_("must not be empty"))
    if not text.isprintable():
        raise ValueError(_("contains a control character"))
    return text


def as_id(limit: int) -> Callable[[Any], str]:
    def read(value: object) -> str:
        return clean_id(value, limit=limit)

    return read


def as_time(value: object) -> datetime:
    """An ISO time with its offset, in UTC."""
    if not isinstance(value, str):
        raise ValueError(_("must be an ISO time with offset, like 2026-03-01T09:30:00+08:00"))
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(
            _("“%(value)s” is not an ISO time with offset, like 2026-03-01T09:30:00+08:00")
            % {"value": value[:40]}
        ) from None
    if moment.tzinfo is None:
        raise ValueError(_("“%(value)s” has no offset; add +08:00, or Z for UTC") % {"value": value[:40]})
    if not 2000 <= moment.year <= 2200:
        raise ValueError(_("“%(value)s” is not in this age") % {"value": value[:40]})
    return moment.astimezone(UTC)


def as_date(value: object) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year <= 2200:
        raise ValueError(_("must be a date like 2026-03-01"))
    return day.isoformat()


def as_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("must be true or false"))
    return value


def as_number(*, places: int, digits: int = 14, positive: bool = False) -> Callable[[Any], Decimal]:
    """A decimal given as a JSON number or as text; never through a binary float."""

    def read(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise ValueError(_("must be a decimal number, as text or as a number"))
        try:
            number = Decimal(
                unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else value
            )
        except InvalidOperation:
            raise ValueError(_("“%(value)s” is not a number") % {"value": str(value)[:40]}) from None
        return _in_range(number, places=places, digits=digits, positive=positive)

    return read


def _in_range(number: Decimal, *, places: int, digits: int, positive: bool) -> Decimal:
    if not number.is_finite():
        raise ValueError(_("must be a finite number"))
    if number <= 0 if positive else number < 0:
        raise ValueError(_("must be more than 0") if positive else _("must not be negative"))
    if number.adjusted() >= digits - places:
        raise ValueError(
            _("is too large; at most %(most)d digits stand before the point") % {"most": digits - places}
        )
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places:
        raise ValueError(_("has more than %(most)d decimal places") % {"most": places})
    return number


def as_choice(*choices: str) -> Callable[[Any], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(_("must be one of %(choices)s") % {"choices": ", ".join(choices)})
        return str(value)

    return read


def as_code(length: int) -> Callable[[Any], str]:
    """A code of so many Latin letters: a currency, a country."""

    def read(value: object) -> str:
        text = value.strip().upper() if isinstance(value, str) else ""
        if text and not (len(text) == length and text.isascii() and text.isalpha()):
            raise ValueError(_("must be %(length)d letters") % {"length": length})
        return text

    return read


def as_kind(value: object) -> str:
    if not isinstance(value, str) or value not in FACT_KINDS:
        near = get_close_matches(str(value), FACT_KINDS, n=1)
        text = (
            _("“%(value)s” is not a kind of fact; did you mean %(near)s?")
            if near
            else _("“%(value)s” is not a kind of fact; the kinds are listed at /api/v1/docs/")
        )
        raise ValueError(text % {"value": str(value)[:40], "near": "".join(near)})
    return value


quantity = as_number(places=3, positive=True)
price = as_number(places=4)
money = as_number(places=2)


# --- facts


def read_fact(item: object, *, key: str = "", shop: str = "") -> FactItem:
    """One fact. key, shop: used where the item names none.

    Raises Untranslatable with every problem found.
    """
    check = Checker(_item(item))
    check.refuse_typos(FACT_FIELDS)
    own_key = check.take("key", as_key, key)
    kind = check.take("kind", as_kind, "", required=True)
    occurred_at = check.take("occurred_at", as_time, NO_TIME, required=True)
    order = check.take("order", lambda value: read_ref(value, shop=shop), OrderRef(), required=True)
    lines = check.take("lines", read_fact_lines, ())
    parcel = check.take("parcel", as_id(MAX_WAYBILL), "")
    data = check.take("data", read_data, {})
    if kind:
        _check_level(check, kind, has_lines=bool(lines), has_parcel=bool(parcel))
        _check_data_of(check, kind)
    check.finish()
    if not parcel and FACT_KINDS[kind].level == Level.PARCEL:
        parcel = order.waybill
    return FactItem(
        key=own_key, kind=kind, occurred_at=occurred_at, order=order, lines=lines, parcel=parcel, data=data
    )


def _item(value: object) -> Item:
    if not isinstance(value, Mapping):
        raise Untranslatable([Problem("", _("each item must be an object"))])
    return value


def _check_level(check: Checker, kind: str, *, has_lines: bool, has_parcel: bool) -> None:
    row = FACT_KINDS[kind]
    may_have_lines = row.level != Level.ORDER or row.topic in {Topic.CANCEL, Topic.RETURN}
    if has_lines and not may_have_lines:
        check.wrong("lines", _("%(kind)s is about the whole order; leave lines out") % {"kind": kind})
    if has_parcel and row.level not in {Level.PARCEL, Level.ANY}:
        check.wrong("parcel", _("%(kind)s is not about a parcel; leave parcel out") % {"kind": kind})


# What a kind cannot do without, and how it looks.
NEEDED = {
    "date.confirmed": ("date", gettext_noop("is missing: the date that was confirmed, like 2026-03-01")),
    "fact.retracted": (
        "fact",
        gettext_noop('is missing: the fact to take back, like {"key": "pick-7781", "kind": "pick.done"}'),
    ),
}


def _check_data_of(check: Checker, kind: str) -> None:
    given = check.item.get("data")
    if kind in NEEDED and NEEDED[kind][0] not in (given if isinstance(given, Mapping) else {}):
        check.wrong(f"data.{NEEDED[kind][0]}", _(NEEDED[kind][1]))


def read_ref(value: object, *, shop: str = "") -> OrderRef:
    """Which order is meant: by exactly one of external_id (with shop), number and waybill."""
    check = Checker(as_mapping(value), ".")
    check.refuse_unknown(REF_FIELDS)
    named = [name for name in ("external_id", "number", "waybill") if check.item.get(name) is not None]
    if len(named) != 1:
        check.wrong("", _("needs exactly one of shop with external_id, number, waybill"))
    own_shop = check.take("shop", as_id(40), "")
    ref = OrderRef(
        shop=own_shop or shop,
        external_id=check.take("external_id", as_id(64), ""),
        number=check.take("number", as_id(20), "").upper(),
        waybill=check.take("waybill", as_id(MAX_WAYBILL), ""),
    )
    if named == ["external_id"] and not ref.shop:
        check.wrong("shop", _("is missing: an external_id is unique only within its shop"))
    if own_shop and named and named != ["external_id"]:
        check.wrong("shop", _("goes with external_id, not with %(name)s") % {"name": named[0]})
    if check.problems:
        # A problem of the object as a whole has no name of its own after the point.
        raise Untranslatable([Problem(one.field.rstrip("."), one.error) for one in check.problems])
    if not ref.external_id:
        return OrderRef(number=ref.number, waybill=ref.waybill)
    return ref


def read_fact_lines(value: object) -> tuple[tuple[str, Decimal | None], ...]:
    found: dict[str, Decimal | None] = {}
    problems: list[Problem] = []
    for position, line in enumerate(as_list(value)):
        check = Checker(line if isinstance(line, Mapping) else {}, f"[{position}].")
        check.refuse_unknown(FACT_LINE_FIELDS)
        sku = check.take("sku", as_id(MAX_SKU), "", required=True)
        if sku in found:
            check.wrong("sku", _("%(sku)s is named twice; add the quantities up") % {"sku": sku})
        found[sku] = check.take("qty", quantity, None)
        problems += check.problems
    if problems:
        raise Untranslatable(problems)
    return tuple(found.items())


def read_data(value: object) -> dict[str, Any]:
    """What a kind says beyond its level; the names that the derivation reads are checked."""
    given = as_mapping(value)
    check = Checker(given, ".")
    for name in RESERVED.keys() & given.keys():
        check.wrong(name, _(RESERVED[name]))
    data = {
        name: check.take(name, DATA_FIELDS.get(name, _plain_value), None)
        for name in given
        if name not in RESERVED
    }
    check.finish()
    return {name: one for name, one in data.items() if one is not None}


def _plain_value(value: object) -> object:
    return plain(value, MAX_DEPTH, [MAX_DATA_VALUES])


def plain(value: object, depth: int, left: list[int]) -> object:
    """The value with decimals as text and nothing that a database refuses. left: how many values may still come."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(_("has more than %(most)d values") % {"most": MAX_DATA_VALUES})
    if isinstance(value, str):
        return storable(value, MAX_TEXT)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**64:
        raise ValueError(_("has a number of more than 64 digits"))
    if not isinstance(value, (Mapping, list)):
        return value
    if not depth:
        raise ValueError(_("is nested deeper than %(most)d levels") % {"most": MAX_DEPTH})
    if isinstance(value, list):
        return [plain(one, depth - 1, left) for one in value]
    return {storable(str(name), 120): plain(one, depth - 1, left) for name, one in value.items()}


def _retracted(value: object) -> dict[str, str]:
    """The fact that is taken back. Its source is always the one that takes it back: nobody unsays for others."""
    check = Checker(as_mapping(value), ".")
    check.refuse_unknown(("key", "kind"))
    named = {"key": check.take("key", as_key, "", required=True), "kind": check.take("kind", as_kind, "")}
    check.finish()
    return {name: one for name, one in named.items() if one}


DATA_FIELDS: dict[str, Callable[[Any], Any]] = {
    "amount": lambda value: str(money(value)),
    "date": as_date,
    "until": lambda value: as_time(value).isoformat(),
    "name": as_text(60),
    "owner": as_text(150),
    "reason": as_text(300),
    "carrier": as_text(40),
    "state": as_text(20),
    "field": as_text(120),
    "value": as_text(200),
    "fact": _retracted,
}


# --- orders

ORDER_VALUES: dict[str, Callable[[Any], Any]] = {
    "currency": as_code(3),
    "total": lambda value: str(money(value)),
    "customer": as_id(64),
    "customer_name": as_text(120),
    "stars": lambda value: int(as_number(places=0, digits=4)(value)),
    "warehouse": as_id(40),
    "region": as_text(40),
    "country": as_code(2),
    "remark": as_text(),
    "rush": as_bool,
    "test": as_bool,
    "payment_terms": as_choice("prepaid", "credit"),
    "invoice": as_choice("required", "exempt"),
}


def read_order(item: object, *, key: str = "", shop: str = "") -> OrderReport:
    """One order. key, shop: used where the item names none.

    Raises Untranslatable with every problem found.
    """
    check = Checker(_item(item))
    check.refuse_typos(ORDER_FIELDS)
    changed_at = check.take("changed_at", as_time, None)
    report = OrderReport(
        key=check.take("key", as_key, key),
        shop=check.take("shop", as_id(40), shop, required=not shop),
        external_id=check.take("external_id", as_id(64), "", required=True),
        placed_at=check.take("placed_at", as_time, NO_TIME, required=True),
        changed_at=changed_at,
        fields=_order_values(check),
        person=check.take("contact", read_contact, None),
        lines=check.take("lines", read_order_lines, (), required=changed_at is None),
    )
    if check.item.get("lines") == []:
        check.wrong("lines", _("must not be empty"))
    check.finish()
    return report


def _order_values(check: Checker) -> dict[str, Any]:
    found = {name: check.take(name, read, None) for name, read in ORDER_VALUES.items() if name in check.item}
    return {name: value for name, value in found.items() if value is not None}


def read_contact(value: object) -> Person | None:
    check = Checker(as_mapping(value), ".")
    check.refuse_unknown(CONTACT_FIELDS)
    found = {name: check.take(name, as_text(200), "") for name in CONTACT_FIELDS}
    check.finish()
    person: Person = {name: text for name, text in found.items() if text}  # type: ignore[assignment]
    return person or None


def read_order_lines(value: object) -> tuple[LineReport, ...]:
    lines: dict[str, LineReport] = {}
    problems: list[Problem] = []
    for position, line in enumerate(as_list(value)):
        check = Checker(line if isinstance(line, Mapping) else {}, f"[{position}].")
        check.refuse_typos(ORDER_LINE_FIELDS)
        sku = check.take("sku", as_id(MAX_SKU), "", required=True)
        qty = check.take("qty", quantity, Decimal(0), required=True)
        one = LineReport(
            sku=sku,
            qty=qty + lines[sku].qty if sku in lines else qty,
            name=check.take("name", as_text(200), ""),
            unit=check.take("unit", as_text(20), ""),
            price=check.take("price", price, None),
        )
        lines[sku] = one
        problems += check.problems
    if problems:
        raise Untranslatable(problems)
    return tuple(lines.values())
