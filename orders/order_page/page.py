"""Everything the order's page shows, put together from its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Exists, OuterRef, QuerySet, prefetch_related_objects
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from orders import disputes, merging, order_actions
from orders.access import ROLES
from orders.board.columns import chips_of
from orders.journal import in_words
from orders.models import ExternalReference, Order, OrderFact, ReferenceLink, Todo
from orders.order_page.neighbours import list_of, neighbours
from orders.order_page.panels import panels
from orders.order_page.reading import Reading, read
from orders.order_page.sources import decisions, disagreements, fields
from orders.order_page.steps_bar import Cell, cells
from orders.order_page.timeline import Timeline, timeline
from orders.order_page.turns import turn_of
from orders.stages import Step
from orders.states import forced
from orders.worktime import calendar_of, is_provisional

# A document may name many orders; nobody reads them all here.
MOST_LINKS = 200
MAY_SEE_FACTS = "orders.view_orderfact"


def joined(orders: QuerySet[Order]) -> QuerySet[Order]:
    """With the masters that the head of the page names."""
    return orders.select_related("shop", "warehouse__calendar", "customer", "contact", "assignee")


def page_of(
    order: Order,
    request: HttpRequest,
    at: datetime,
    failed: order_actions.Outcome | None = None,
) -> dict[str, Any]:
    """The context of the whole page. failed: an action that was refused, with what was typed."""
    reading = read(order, request.user, at)
    live = live_context(reading, request, failed)
    return {
        **live,
        "title": order.number,
        "around": neighbours(order, request, at),
        "failed": failed,
        "undo": offered_undo(reading, live["cells"], request.GET.get("undo", "")),
        "texts": texts(),
    }


def live_context(
    reading: Reading, request: HttpRequest, failed: order_actions.Outcome | None = None
) -> dict[str, Any]:
    """What is drawn anew when the order changes while the page is open."""
    order, at = reading.order, reading.at
    # The panels of other rooms tell of them as well.
    prefetch_related_objects([order], "parcels")
    steps = {row.step: row for row in order.steps.select_related("done_by")}
    names = names_of(order, request.user)
    holds = list(order.holds.order_by("set_at")) if order.is_held else []
    bar = cells(reading, steps)
    lines = timeline(reading, who=request.GET.get("who", ""), begin=_number(request.GET.get("at")))
    return {
        "order": order,
        "at": at,
        "reading": reading,
        "trace": reading.trace,
        "stage_why": next((one for one in reading.trace["why"] if one["what"] == "stage"), None),
        "turn": turn_of(order, at),
        "chips": chips_of(order, at),
        "is_provisional": is_provisional_until(order, at),
        "cells": bar,
        "conflicts": disagreements(reading),
        "decisions": decisions(reading),
        "fields": fields(reading, names.parts, names.first),
        "references": names.references,
        "parts": names.parts,
        "timeline": lines,
        "events": [in_words(event) for event in lines.events],
        "seen": lines.events[0].pk if lines.events else 0,
        "holds": holds,
        "lines": order.lines.order_by("sku"),
        "parcels": sorted(order.parcels.all(), key=lambda parcel: parcel.waybill),
        "panels": panels(order, request),
        "todos": list(Todo.objects.filter(order=order, done_at=None).order_by("due_at", "id")),
        "actions": order_actions.offered(order, request, list(steps.values()), holds, bar, failed),
        "merged_into": merged_into(reading),
        "list": list_of(request),
        "here": here(order, request),
        "may": may(request),
        "state": forced(request) or state_of(lines, reading, request),
        "facts_permission": _("See: %(records)s") % {"records": OrderFact._meta.verbose_name_plural},
        "facts_roles": [row.label for row in ROLES.values() if MAY_SEE_FACTS in row.may],
    }


def may(request: HttpRequest) -> dict[str, bool]:
    """What of the page is offered to this person. Each is refused as well where it is done."""
    user = request.user
    return {
        "join": user.has_perm(merging.MAY),
        "decide": user.has_perm(disputes.MAY),
        "reveal": user.has_perm("orders.reveal_contact"),
    }


def state_of(lines: Timeline, reading: Reading, request: HttpRequest) -> str:
    """Which of the six states the timeline is in; empty if there is just a list to show."""
    if not request.user.has_perm(MAY_SEE_FACTS):
        return "no_permission"
    if not lines.entries:
        return "empty_filtered" if lines.who else "empty_first"
    return "stale" if reading.order.stalled_at else ""


def is_provisional_until(order: Order, at: datetime) -> bool:
    """Whether a deadline shown runs through days whose holidays are not published."""
    deadlines = [moment for moment in (order.step_due_at, order.stalls_at) if moment is not None]
    if not deadlines:
        return False
    calendar = calendar_of(order.warehouse.calendar if order.warehouse else None)
    return is_provisional(at, max(deadlines), calendar)


@dataclass(frozen=True)
class Names:
    """What systems call the order, and the other orders split from the same shop order that the reader may see.

    first: id of the first of all these orders, seen or not: with it the shop's total is counted.
    """

    references: list[ExternalReference]
    parts: list[Order]
    first: int


def names_of(order: Order, reader: User | AnonymousUser) -> Names:
    """One query."""
    is_shown = Exists(Order.objects.visible_to(reader).filter(pk=OuterRef("order")))
    links = ReferenceLink.objects.filter(reference__links__order=order).annotate(is_shown=is_shown)
    links = links.select_related("reference", "order").only("reference", "order__number", "order__shop")
    mine, others, first = [], {}, order.pk
    for link in links.order_by("reference__kind", "pk")[:MOST_LINKS]:
        if link.order_id == order.pk:
            mine.append(link.reference)
        elif link.reference.kind == ExternalReference.Kind.ORDER:
            first = min(first, link.order_id)
            if link.is_shown:
                others[link.order_id] = link.order
    return Names(mine, [others[pk] for pk in sorted(others)], first)


def merged_into(reading: Reading) -> str:
    """Number of the order that took this one over; empty if none did."""
    told = (fact for fact in reversed(reading.facts) if fact.data.get("merged_into"))
    fact = next(told, None)
    return str(fact.data["merged_into"]) if fact is not None and not reading.is_gone(fact) else ""


def here(order: Order, request: HttpRequest, **extra: object) -> str:
    """The page's address with the list it belongs to."""
    query = {"list": list_of(request), **extra}
    kept = urlencode({name: str(value) for name, value in query.items() if value})
    return reverse("admin:orders_order_change", args=[order.pk]) + (f"?{kept}" if kept else "")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


@dataclass(frozen=True)
class Undo:
    """What was just done and can be taken back with one press. hidden: the form's fields."""

    text: str
    action: str
    hidden: Mapping[str, str]


def offered_undo(reading: Reading, bar: Sequence[Cell], named: str) -> Undo | None:
    """The undo that the address names ("step:date", "hold.set:9f…"), if it can still be had."""
    reason = _("Taken back at once")
    if named.startswith("step:"):
        step = named.removeprefix("step:")
        cell = next((one for one in bar if one.step == step and one.back and one.back.code == "undo"), None)
        if cell is None:
            return None
        text = _("Done: %(what)s.") % {"what": Step(step).label}
        return Undo(text, "undo", {"undo-step": step, "undo-reason": reason})
    said = disputes.standing_actions(reading.facts).get(named)
    if not said or not disputes.is_undoable(said, reading.user, reading.at):
        return None
    text = _("Done: %(what)s.") % {"what": order_actions.light_label(named)}
    return Undo(text, "takeback", {"takeback-key": named, "takeback-reason": reason})


def texts() -> dict[str, str]:
    """What order.js says."""
    return {
        "new_one": _("1 new entry: show it"),
        "new_many": _("%(n)s new entries: show them"),
        "changed": _("The order has changed. What you have typed is still here."),
        "copied": _("The customer's link is copied."),
        "key_next": _("Next order of the list"),
        "key_previous": _("Previous order of the list"),
        "key_note": _("Write a note"),
        "key_copy": _("Copy the customer's link"),
        "key_view": _("See what the customer sees"),
        "key_refresh": _("Show what is new"),
        "key_act": _("Go to the next action"),
    }
