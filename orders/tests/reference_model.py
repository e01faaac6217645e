"""A second opinion on where an order stands: a table of milestones, written from the acceptance rows alone.

It covers what the replay benchmark and the property tests play: one line, one parcel, no partial quantities. It knows
nothing of orders.derivation and shares no code with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

# How far a fact says the goods are, and which stage an order with goods there is in.
MILESTONES = {
    "pick.started": (1, "picking"),
    "pick.done": (2, "awaiting_pack"),
    "pack.done": (3, "awaiting_handover"),
    "parcel.awaiting_pickup": (3, "awaiting_handover"),
    "parcel.handed_over": (4, "shipped"),
    "parcel.picked_up": (5, "in_transit"),
    "parcel.in_transit": (5, "in_transit"),
    "parcel.at_customs": (6, "customs"),
    "parcel.out_for_delivery": (7, "out_for_delivery"),
    "parcel.delivered": (8, "delivered"),
}
STEPS = (
    ("date.confirmed", "awaiting_date"),
    ("stock.locked", "awaiting_stock"),
    ("waybill.made", "awaiting_waybill"),
)
PARCEL_RANKS = ("carrier", "wms", "shop", "person")
CANCEL_RANKS = ("shop", "finance", "person")


def stage(
    facts: Iterable[Mapping[str, Any]],
    *,
    parcel_ranks: tuple[str, ...] = PARCEL_RANKS,
    cancel_ranks: tuple[str, ...] = CANCEL_RANKS,
) -> str:
    """The stage that these facts (kind, role, occurred_at) come to."""
    facts = list(facts)
    kinds = {fact["kind"] for fact in facts}
    physical = _furthest(facts, parcel_ranks)
    answer = _cancel_answer(facts, cancel_ranks)
    if physical[0] < 4 and answer == "accepted":
        return "cancelled"
    if physical[0] < 4 and answer == "requested":
        return "cancelling"
    if physical[0] > 0:
        return physical[1]
    if "order.placed" not in kinds:
        return "intake"
    if "payment.received" not in kinds:
        return "awaiting_payment"
    return next((name for kind, name in STEPS if kind not in kinds), "awaiting_pick")


def _furthest(facts: list[Mapping[str, Any]], ranks: tuple[str, ...]) -> tuple[int, str]:
    reached = (0, "")
    for claim in facts:
        if claim["kind"] in MILESTONES and not _struck(claim, facts, ranks):
            reached = max(reached, MILESTONES[claim["kind"]])
    return reached


def _struck(claim: Mapping[str, Any], facts: list[Mapping[str, Any]], ranks: tuple[str, ...]) -> bool:
    """A parcel claim falls when a better source says later that the parcel is less far."""
    if not claim["kind"].startswith("parcel."):
        return False
    return any(
        other["kind"].startswith("parcel.")
        and ranks.index(other["role"]) < ranks.index(claim["role"])
        and other["occurred_at"] > claim["occurred_at"]
        and _progress(other) < _progress(claim)
        for other in facts
    )


def _progress(fact: Mapping[str, Any]) -> int:
    return list(MILESTONES).index(fact["kind"])


def _cancel_answer(facts: list[Mapping[str, Any]], ranks: tuple[str, ...]) -> str:
    """requested, accepted or refused by the best source that answered; '' if nobody asked."""
    asked: list[datetime] = [fact["occurred_at"] for fact in facts if fact["kind"] == "cancel.requested"]
    answers = [fact for fact in facts if fact["kind"] in {"cancel.accepted", "cancel.refused"}]
    if not answers:
        return "requested" if asked else ""
    best = min(ranks.index(fact["role"]) for fact in answers)
    last = max(
        (fact for fact in answers if ranks.index(fact["role"]) == best), key=lambda fact: fact["occurred_at"]
    )
    if last["kind"] == "cancel.refused" and asked and max(asked) > last["occurred_at"]:
        return "requested"
    return str(last["kind"]).removeprefix("cancel.")
