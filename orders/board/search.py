"""Finding an order by any of its numbers. What was typed says which kinds of number it can be; each has an index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import BooleanField, F, Func, Q, Value
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.board.counting import newest_floor
from orders.models import Order, ReferenceLink

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

SHOWN = 50
# More hits than this are not looked through for the newest.
MOST_HITS = 1_000
# As the numbers are read over a telephone: O is 0, I and L are 1, the hyphen may be left out.
_HUB_NUMBER = re.compile(r"^OH(\d{6})-?([0-9A-Z]{5})$")
# In the very words of the partial index on waybills: with a parameter in it SQLite would not use that index.
_HAS_WAYBILL = Func(F("waybill"), template="NOT (%(expressions)s = '')", output_field=BooleanField())
_READ_AS = str.maketrans("OIL", "011")


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to. ids: newest first, at most SHOWN. kinds: in words, what the term was taken for."""

    term: str
    ids: list[int]
    kinds: list[StrOrPromise]
    is_substring: bool = False

    @property
    def is_unique(self) -> bool:
        return len(self.ids) == 1


def find(term: str, user: User | AnonymousUser) -> Found:
    """The visible orders that this number means: hub number, shop number, waybill, last four digits of a phone.

    One query. Not sorted by the database: it would rather walk through all orders in that sequence than sort a few.
    """
    term = term.strip()[:64]
    kinds = _kinds(term)
    parts = [
        Order.objects.visible_to(user).filter(condition).values_list("pk", Value(position))
        for position, (_kind, condition) in enumerate(kinds)
    ]
    hits = list(parts[0].union(*parts[1:], all=True)[:MOST_HITS]) if parts else []
    return Found(
        term,
        sorted({pk for pk, _position in hits}, reverse=True)[:SHOWN],
        [kinds[position][0] for position in sorted({position for _pk, position in hits})],
    )


def _kinds(term: str) -> list[tuple[StrOrPromise, Q]]:
    """What the term may be, each with a condition that an index answers."""
    if not term:
        return []
    hub = _HUB_NUMBER.match(term.upper().replace(" ", ""))
    if hub:
        number = f"OH{hub[1]}-{hub[2].translate(_READ_AS)}"
        return [(_("hub order no."), Q(number__in={number, term}))]
    linked = ReferenceLink.objects.filter(reference__value__in={term, term.upper()}).values("order_id")
    kinds: list[tuple[StrOrPromise, Q]] = [
        (_("shop order no. or waybill no."), Q(pk__in=linked)),
        (_("shop order no."), Q(external_id=term)),
        (_("waybill no."), Q(_HAS_WAYBILL, waybill__in={term, term.upper()})),
        (_("hub order no."), Q(number__in={term, term.upper()})),
    ]
    if len(term) == 4 and term.isdecimal():
        kinds.append((_("last four digits of a phone"), Q(contact__phone_tail=term)))
    return kinds


def find_substring(term: str, user: User | AnonymousUser) -> Found:
    """Orders with the term anywhere in a number: among the open ones and the newest of the closed ones."""
    term = term.strip()[:64]
    if len(term) < 3:
        return Found(term, [], [], is_substring=True)
    within = Q(number__icontains=term) | Q(external_id__icontains=term) | Q(waybill__icontains=term)
    visible = Order.objects.visible_to(user).filter(within)
    parts = [
        visible.filter(among).values_list("pk", flat=True) for among in (Q(is_open=True), _new_and_closed())
    ]
    ids = list(parts[0].union(parts[1], all=True)[:MOST_HITS])
    return Found(term, sorted(set(ids), reverse=True)[:SHOWN], [_("part of a number")], is_substring=True)


def _new_and_closed() -> Q:
    return Q(pk__gt=newest_floor(), is_open=False)
