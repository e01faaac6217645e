"""The timeline: what was said, newest first, by whom, what it decides, and where the original is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise

from orders.disputes import is_decision
from orders.journal import in_words
from orders.models import OrderEvent, OrderFact
from orders.order_page.reading import Reading, label_of
from orders.stages import Role
from orders.units import FactRow

PAGE = 30
JOURNAL = 12
MAY_SEE_MESSAGE = "integrations.view_inboundmessage"
WHO: dict[str, StrOrPromise] = {
    "system": gettext_lazy("Systems"),
    "person": gettext_lazy("People"),
    "customer": gettext_lazy("Customer"),
    "rule": gettext_lazy("Rules"),
}
# A shop passes on what its customer asked for.
CUSTOMER_SAYS = frozenset({"cancel.requested", "return.requested", "message.received", "address.changed"})
ROLE_LABELS = dict(Role.choices)
DECIDES: dict[str, StrOrPromise] = {
    "stage": gettext_lazy("stage"),
    "payment": gettext_lazy("payment"),
    "invoice": gettext_lazy("invoice"),
    "intent": gettext_lazy("intent"),
    "stock": gettext_lazy("stock lock"),
}
# What a fact carries that a reader wants to see at once, in this sequence.
SHOWN = ("text", "name", "date", "number", "amount", "carrier", "reason", "value")


def who_said(fact: FactRow) -> str:
    """Which of WHO it comes from."""
    if fact.role == Role.PERSON:
        return "person"
    if fact.role == Role.RULE:
        return "rule"
    return "customer" if fact.kind in CUSTOMER_SAYS else "system"


@dataclass(frozen=True)
class Entry:
    """One line. became: what the hub made of it, in words. names: the fact that it takes back."""

    fact: FactRow
    label: str
    who: str
    role: str
    decides: list[str]
    why: list[str]
    became: list[str]
    details: list[str]
    is_gone: bool
    actor: str = ""
    message: int | None = None
    names: FactRow | None = None

    @property
    def data(self) -> str:
        """What the source said, as it is kept."""
        return json.dumps(self.fact.data, ensure_ascii=False, indent=1, sort_keys=True)


@dataclass(frozen=True)
class Timeline:
    """One page of it. earlier: the fact that the page after this one begins with; None where there is none."""

    entries: list[Entry]
    # The newest of what the hub did; the whole journal is one click away.
    events: list[OrderEvent]
    who: str
    filters: list[dict[str, Any]]
    earlier: int | None = None
    is_first: bool = True
    newest: int = 0
    ids: frozenset[int] = field(default_factory=frozenset)


def timeline(reading: Reading, *, who: str = "", begin: int | None = None) -> Timeline:
    """The page that begins with that fact, or the newest one. Two queries at most."""
    counts = Counter(who_said(fact) for fact in reading.facts)
    who = who if who in WHO else ""
    chosen = [fact for fact in reversed(reading.facts) if not who or who_said(fact) == who]
    first = next((place for place, fact in enumerate(chosen) if fact.id == begin), 0)
    page = chosen[first : first + PAGE]
    events = _events(reading, page)
    following = chosen[first + PAGE : first + PAGE + 1]
    return Timeline(
        entries=_entries(reading, page, events),
        events=events[:JOURNAL],
        who=who,
        filters=_filters(who, counts),
        earlier=following[0].id if following else None,
        is_first=not first,
        newest=reading.newest,
        ids=frozenset(fact.id for fact in page),
    )


def _filters(who: str, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    everything = {"code": "", "label": _("All"), "n": sum(counts.values()), "is_on": not who}
    return [
        everything,
        *(
            {"code": code, "label": label, "n": counts.get(code, 0), "is_on": code == who}
            for code, label in WHO.items()
        ),
    ]


def _entries(reading: Reading, facts: Sequence[FactRow], events: Sequence[OrderEvent]) -> list[Entry]:
    rows = OrderFact.objects.filter(pk__in=[fact.id for fact in facts]).select_related("actor")
    stored = {row.pk: row for row in rows.only("message", "actor__username", "actor__first_name")}
    became = _became(events)
    may_see_message = reading.user.has_perm(MAY_SEE_MESSAGE)
    return [_entry(reading, fact, stored[fact.id], became, may_see_message=may_see_message) for fact in facts]


def _entry(
    reading: Reading,
    fact: FactRow,
    row: OrderFact,
    became: Mapping[int, list[str]],
    *,
    may_see_message: bool,
) -> Entry:
    deciding = [one for one in reading.trace["why"] if fact.id in one["facts"]]
    return Entry(
        fact=fact,
        label=_label(fact),
        who=who_said(fact),
        role=str(ROLE_LABELS.get(fact.role, fact.role)),
        decides=[decided(one["what"]) for one in deciding],
        why=list(dict.fromkeys(str(one["text"]) for one in deciding)),
        became=became.get(fact.id, []),
        details=_details(fact),
        is_gone=reading.is_gone(fact),
        actor=row.actor.get_username() if row.actor else "",
        message=row.message if may_see_message else None,
        names=_named(reading, fact),
    )


def _label(fact: FactRow) -> str:
    return _("Source chosen by a person") if is_decision(fact) else label_of(fact)


def decided(what: str) -> str:
    """What a fact decides, in words: an axis, or the state of a parcel."""
    if what.startswith("parcel:"):
        return _("state of parcel %(waybill)s") % {"waybill": what.removeprefix("parcel:")}
    return str(DECIDES.get(what, what))


def _details(fact: FactRow) -> list[str]:
    found = [fact.level_id] if fact.level_id else []
    if fact.quantity is not None:
        found.append(f"× {fact.quantity.normalize():f}")
    values = (fact.data.get(name) for name in SHOWN)
    return [
        *found,
        *(str(value) for value in values if value not in (None, "") and not isinstance(value, dict)),
    ]


def _named(reading: Reading, fact: FactRow) -> FactRow | None:
    """The fact that a retraction takes back."""
    named = fact.data.get("fact") if fact.kind == "fact.retracted" else None
    if not isinstance(named, Mapping):
        return None
    key = (named.get("source", ""), named.get("key", ""))
    kinds = {named.get("kind", ""), ""}
    same = (one for one in reading.facts if (one.source, one.key) == key)
    return next((one for one in same if one.kind in kinds or kinds == {""}), None)


def _events(reading: Reading, facts: Sequence[FactRow]) -> list[OrderEvent]:
    """The newest of the journal, and the moves that these facts brought about; the newest first. One query."""
    mine = OrderEvent.objects.filter(order=reading.order)
    newest = mine.order_by("-pk").values("pk")[:JOURNAL]
    moves = Q(kind=OrderEvent.Kind.MOVED, fact__in=[fact.id for fact in facts])
    return list(mine.filter(moves | Q(pk__in=newest)).select_related("actor").order_by("-pk"))


def _became(events: Sequence[OrderEvent]) -> dict[int, list[str]]:
    """The stages that each fact led to, as the journal has it."""
    found: dict[int, list[str]] = {}
    for event in reversed(events):
        if event.fact is not None and event.kind == OrderEvent.Kind.MOVED:
            found.setdefault(event.fact, []).append(in_words(event)["new"])
    return found
