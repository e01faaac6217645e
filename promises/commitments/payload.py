"""What a commitment says: built from the order and the seller's details, nothing that the reader cannot check.

Texts are taken as they came, in NFC and with plain blanks, which changes no reader's meaning. Characters that cannot be
seen are not removed but refused: without them the text might say something else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings

from orders.models import Order
from promises import canonical
from promises.commitments.refusals import NotIssued, of_format
from promises.eta.orders import CAP_DAYS
from promises.eta.orders import end_of as last_second
from promises.merkle import EMPTY_ROOT

if TYPE_CHECKING:
    from promises.estimates.models import Estimate

# A day that a person has confirmed rests on no odds: the hub does not pretend to any.
BY_A_PERSON = {"model": "person", "lane": "confirmed", "p": 0}
UNIT = "件"
_BLANKS = re.compile(r"[ \t\r\n\v\f\u00a0]+")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The day that is promised. due: its last second at the destination."""

    due: datetime
    zone: str
    basis: Mapping[str, Any]
    window: tuple[datetime, datetime] | None = None


def end_of(day: date, zone: str) -> datetime:
    """The last second of the day on the clock of the destination."""
    return last_second(day, ZoneInfo(zone))


def choose(order: Order, estimate: Estimate | None, zone: str, *, day: date | None, at: datetime) -> Chosen:
    """The day to be promised: the one asked for, else the confirmed one, else the estimate at its service level.

    The estimate is the basis of its own day and of any later one, where its odds hold all the more; an earlier day is a
    person's word. Raises NotIssued.
    """
    estimated = estimate if estimate is not None and estimate.has_date else None
    day = day or order.confirmed_on or (estimated.due_on if estimated else None)
    if day is None:
        raise NotIssued("no_date")
    due = end_of(day, zone)
    if due < at:
        raise NotIssued("past", day=day.isoformat())
    if (due - at).days > CAP_DAYS:
        raise NotIssued("beyond_cap", day=day.isoformat(), days=CAP_DAYS)
    if estimated is None or estimated.due_at is None or due < estimated.due_at:
        return Chosen(due, zone, BY_A_PERSON)
    return Chosen(due, zone, _basis(estimated), window_of(estimated))


def _basis(estimate: Estimate) -> dict[str, Any]:
    return {
        "model": estimate.model_version or "-",
        "lane": estimate.level or "-",
        "p": estimate.odds or 0,
        "n": estimate.n,
    }


def window_of(estimate: Estimate) -> tuple[datetime, datetime] | None:
    """From the first second of its first day to the last of its last, at the destination."""
    if estimate.window_from is None or estimate.window_to is None:
        return None
    first = datetime.combine(estimate.window_from, time.min, ZoneInfo(estimate.zone))
    return first, end_of(estimate.window_to, estimate.zone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Paper:
    """What is drawn and known before anything of the order is: the number, the log, the seller."""

    origin: str
    number: str
    salt: str
    seller_name: str
    seller_uscc: str
    # The hash of the terms' text; None without terms.
    terms: str | None
    seen: tuple[int, str]
    supersedes: str | None


def build(order: Order, chosen: Chosen, paper: Paper, *, at: datetime) -> dict[str, Any]:
    """The payload. Raises NotIssued, which names the member that is not to stand in it."""
    found: dict[str, Any] = {
        "v": 1,
        "typ": "promise",
        "log": paper.origin,
        "no": paper.number,
        "salt": paper.salt,
        "seller": {"name": tidy(paper.seller_name), "uscc": tidy(paper.seller_uscc)},
        "issued_at": int(at.timestamp()),
        "due": int(chosen.due.timestamp()),
        "tz": chosen.zone,
        "dest": _place(order),
        "items": items(order),
        "order": order_mark(order.number),
        "order_tail": order.number[-4:],
        "basis": dict(chosen.basis),
        "seen": {"size": paper.seen[0], "root": paper.seen[1] or EMPTY_ROOT.hex()},
        "supersedes": paper.supersedes,
        "terms": paper.terms,
    }
    if chosen.window:
        first, last = chosen.window
        found["window"] = {"from": int(first.timestamp()), "to": int(last.timestamp())}
    if order.contact and order.contact.masked_name:
        found["to"] = tidy(order.contact.masked_name)
    if (country := _country(order)) not in {"", "CN"}:
        found["country"] = country
    try:
        canonical.check_payload(found)
    except canonical.Refused as refused:
        raise of_format(refused) from refused
    return found


def tidy(text: str) -> str:
    """The same text in NFC, with plain single blanks. What cannot be seen stays in it, and is refused."""
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip()


def _place(order: Order) -> dict[str, str]:
    contact = order.contact
    province = tidy(contact.province) if contact else ""
    city = tidy(contact.city) if contact else ""
    if not province and _country(order) not in {"", "CN"}:
        # Many countries' addresses know no province; the format wants both named.
        province = city
    if not province or not city:
        raise NotIssued("no_place")
    return {"province": province, "city": city}


def _country(order: Order) -> str:
    return tidy((order.contact.country if order.contact else "") or order.country)


def items(order: Order) -> list[dict[str, Any]]:
    """The units that are still the customer's, article by article. Raises NotIssued."""
    lines = [line for line in order.lines.order_by("pk") if line.ordered > line.cancelled]
    if not lines:
        raise NotIssued("no_goods")
    if len(lines) > canonical.MAX_ITEMS:
        raise NotIssued("too_many_items", n=len(lines), most=canonical.MAX_ITEMS)
    return [
        {
            "name": tidy(line.name or line.sku) or "-",
            "qty": quantity(line.ordered - line.cancelled),
            "unit": tidy(line.unit) or UNIT,
        }
        for line in lines
    ]


def quantity(units: Decimal) -> int | str:
    """A whole number as such, anything else as the shortest decimal text: fractions are read differently by machines."""
    return int(units) if units == units.to_integral_value() else f"{units.normalize():f}"


def order_mark(number: str) -> str:
    """Says to whoever knows the order's number that this is it, and nothing to anybody else."""
    key = settings.ORDERHUB_FINGERPRINT_KEY.encode()
    mark = hmac.new(key, number.encode(), hashlib.sha256)
    return f"h:{mark.hexdigest()[:16]}"


def terms_hash(terms: str) -> str | None:
    return hashlib.sha256(terms.encode()).hexdigest() if terms else None
