"""Finding an order by any of its numbers. What was typed says which kinds of number it can be; each has an index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.board.counting import LOOKED_BACK
from orders.models import Order, ReferenceLink

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

SHOWN = 50
# As the numbers are read over a telephone: O is 0, I and L are 1, the hyphen may be left out.
_HUB_NUMBER = re.compile(r"^OH(\d{6})-?([0-9A-Z]{5})$")
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
    """The visible orders that this number means: hub number, shop number, waybill, last four digits of a phone."""
    term = term.strip()[:64]
    kinds: list[StrOrPromise] = []
    found: set[int] = set()
    for kind, condition in _kinds(term):
        visible = Order.objects.visible_to(user).filter(condition)
        ids = list(visible.order_by("-pk").values_list("pk", flat=True)[: SHOWN + 1])
        if ids:
            kinds.append(kind)
            found.update(ids)
    return Found(term, sorted(found, reverse=True)[:SHOWN], kinds)


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
        (_("waybill no."), Q(waybill__in={term, term.upper()})),
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
    found: set[int] = set()
    for among in (Q(is_open=True), Q(pk__gt=_newest() - LOOKED_BACK[-1])):
        visible: Any = Order.objects.visible_to(user).filter(among).filter(within)
        found.update(visible.order_by("-pk").values_list("pk", flat=True)[:SHOWN])
    return Found(term, sorted(found, reverse=True)[:SHOWN], [_("part of a number")], is_substring=True)


def _newest() -> int:
    return int(Order.objects.order_by("-pk").values_list("pk", flat=True).first() or 0)
