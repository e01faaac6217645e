"""How far each unit of an order has come: parcels' claims weighed, quantities spread over milestones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from orders.precedence import Precedence
from orders.stages import ParcelState, Stage, Topic

ZERO = Decimal(0)


class FactRow(NamedTuple):
    """One fact as the derivation reads it. reference: (name space, kind, value) of what it hangs on."""

    id: int
    reference: tuple[str, str, str]
    source: str
    role: str
    key: str
    kind: str
    level_id: str
    quantity: Decimal | None
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, Any]
    actor: int | None


# How far along a unit is. Below PICKING nothing physical has happened to it.
NOT_STARTED, PICKING, PICKED, PACKED, SHIPPED, IN_TRANSIT, CUSTOMS, OUT, RETURNING, DELIVERED, RETURNED = (
    range(11)
)

STAGE_OF_LEVEL = {
    PICKING: Stage.PICKING,
    PICKED: Stage.AWAITING_PACK,
    PACKED: Stage.AWAITING_HANDOVER,
    SHIPPED: Stage.SHIPPED,
    IN_TRANSIT: Stage.IN_TRANSIT,
    CUSTOMS: Stage.CUSTOMS,
    OUT: Stage.OUT_FOR_DELIVERY,
    RETURNING: Stage.RETURNING,
    DELIVERED: Stage.DELIVERED,
    RETURNED: Stage.RETURNED,
}

# What a parcel's state says about the units in it. States that are missing here (held, lost, damaged, a failed
# attempt) say how the parcel is, not how far: it stays where its furthest milestone put it.
LEVEL_OF_STATE = {
    ParcelState.CREATED: NOT_STARTED,
    ParcelState.AWAITING_PICKUP: PACKED,
    ParcelState.HANDED_OVER: SHIPPED,
    ParcelState.PICKED_UP: IN_TRANSIT,
    ParcelState.IN_TRANSIT: IN_TRANSIT,
    ParcelState.AT_CUSTOMS: CUSTOMS,
    ParcelState.OUT_FOR_DELIVERY: OUT,
    ParcelState.AT_LOCKER: OUT,
    ParcelState.DELIVERY_FAILED: OUT,
    ParcelState.DELIVERED: DELIVERED,
}
# Forward states in the order a parcel passes them: a later one implies the earlier ones.
_FORWARD = [
    ParcelState.CREATED, ParcelState.AWAITING_PICKUP, ParcelState.HANDED_OVER, ParcelState.PICKED_UP,
    ParcelState.IN_TRANSIT, ParcelState.AT_CUSTOMS, ParcelState.OUT_FOR_DELIVERY, ParcelState.AT_LOCKER,
    ParcelState.DELIVERED,
]  # fmt: skip
_PROGRESS = {state.value: position for position, state in enumerate(_FORWARD)}
_BACK = {
    ParcelState.RETURNING.value: RETURNING,
    ParcelState.INTERCEPTED.value: RETURNING,
    ParcelState.RETURNED.value: RETURNED,
}
_ASIDE = {
    ParcelState.DELIVERY_FAILED.value,
    ParcelState.HELD.value,
    ParcelState.LOST.value,
    ParcelState.DAMAGED.value,
}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sources that cannot both be right. winner and loser are fact ids; rule names what decided."""

    topic: str
    winner: int
    loser: int
    rule: str
    about: str = ""


@dataclass(slots=True)
class ParcelView:
    """One parcel as the facts leave it. contents: units per article; {} = whatever no other parcel names."""

    waybill: str
    state: str
    state_at: datetime
    level: int
    contents: dict[str, Decimal]
    carrier: str = ""
    is_void: bool = False
    facts: list[int] = field(default_factory=list)
    decided_by: int = 0
    delivered_at: datetime | None = None


def state_of(kind: str) -> str:
    """The parcel state that a parcel or waybill fact claims."""
    if kind == "waybill.made":
        return ParcelState.CREATED.value
    if kind == "waybill.voided":
        return ParcelState.VOIDED.value
    return kind.removeprefix("parcel.")


def quantities(lines: object) -> dict[str, Decimal]:
    """[{"sku": "A", "qty": "2"}] -> {"A": 2}; an article named twice is added up; anything else is left out."""
    found: dict[str, Decimal] = {}
    if isinstance(lines, (list, tuple)):
        for line in lines:
            if isinstance(line, Mapping) and line.get("sku") and line.get("qty") is not None:
                sku = str(line["sku"])
                found[sku] = found.get(sku, ZERO) + Decimal(str(line["qty"]))
    return found


def standing_claims(
    claims: Sequence[FactRow], precedence: Precedence
) -> tuple[list[FactRow], list[Conflict]]:
    """The forward claims about one parcel that hold, and those that a better source contradicts.

    A claim falls when a source that ranks higher says, later, that the parcel is less far. A source never strikes
    its own claim: carriers deliver scans out of order.
    """
    forward = [claim for claim in claims if state_of(claim.kind) in _PROGRESS]
    if len({claim.role for claim in forward}) < 2:
        return forward, []
    standing, conflicts = [], []
    for claim in forward:
        rank, progress = precedence.rank(Topic.PARCEL, claim.role), _PROGRESS[state_of(claim.kind)]
        against = [
            other
            for other in forward
            if precedence.rank(Topic.PARCEL, other.role) < rank
            and other.occurred_at > claim.occurred_at
            and _PROGRESS[state_of(other.kind)] < progress
        ]
        if against:
            conflicts.append(
                Conflict("parcel", against[-1].id, claim.id, "better_source_later", claim.level_id)
            )
        else:
            standing.append(claim)
    return standing, conflicts


def weigh_parcel(
    waybill: str, claims: Sequence[FactRow], precedence: Precedence
) -> tuple[ParcelView, list[Conflict]]:
    """One parcel from everything said about it. claims: in order of time, at least one."""
    standing, conflicts = standing_claims(claims, precedence)
    view = ParcelView(
        waybill=waybill,
        state=ParcelState.CREATED.value,
        state_at=claims[0].occurred_at,
        level=NOT_STARTED,
        contents=_contents(claims, precedence),
        carrier=_carrier(claims),
        facts=[claim.id for claim in claims],
        decided_by=claims[0].id,
    )
    furthest: FactRow | None = None
    for claim in standing:
        if furthest is None or _PROGRESS[state_of(claim.kind)] > _PROGRESS[state_of(furthest.kind)]:
            furthest = claim
    if furthest is not None:
        _decide(view, furthest, LEVEL_OF_STATE[ParcelState(state_of(furthest.kind))])
        if view.level == DELIVERED:
            view.delivered_at = furthest.occurred_at
    _apply_detours(view, claims)
    conflicts += _apply_void(view, claims, standing)
    return view, conflicts


def _decide(view: ParcelView, claim: FactRow, level: int) -> None:
    view.state, view.state_at, view.decided_by, view.level = (
        state_of(claim.kind),
        claim.occurred_at,
        claim.id,
        level,
    )


def _apply_detours(view: ParcelView, claims: Sequence[FactRow]) -> None:
    """Failed attempts, holds, losses and returns: the newest of them counts unless delivery came after it."""
    for claim in claims:
        state = state_of(claim.kind)
        if state in _BACK:
            # A return that has arrived stays arrived, whatever scans of the way back come late.
            has_arrived = view.level == RETURNED and _BACK[state] == RETURNING
            if not has_arrived and (view.delivered_at is None or claim.occurred_at >= view.delivered_at):
                _decide(view, claim, _BACK[state])
        elif state in _ASIDE and view.level < RETURNING and claim.occurred_at >= view.state_at:
            level = max(view.level, OUT) if state == ParcelState.DELIVERY_FAILED.value else view.level
            _decide(view, claim, level)


def _apply_void(view: ParcelView, claims: Sequence[FactRow], standing: Sequence[FactRow]) -> list[Conflict]:
    void = [claim for claim in claims if state_of(claim.kind) == ParcelState.VOIDED.value]
    if not void:
        return []
    last = void[-1]
    # Goods that a carrier scans after the waybill was made void do move, whatever the paper says.
    scans = [claim for claim in standing if _PROGRESS[state_of(claim.kind)] >= _PROGRESS["handed_over"]]
    after = [claim for claim in scans if claim.occurred_at > last.occurred_at]
    if after:
        return [Conflict("waybill", after[-1].id, last.id, "scan_on_void_waybill", view.waybill)]
    _decide(view, last, NOT_STARTED)
    view.is_void = True
    view.delivered_at = None
    return []


def _contents(claims: Sequence[FactRow], precedence: Precedence) -> dict[str, Decimal]:
    """Units per article from the best source that names any, its newest word."""
    best: tuple[int, dict[str, Decimal]] | None = None
    for claim in claims:
        found = quantities(claim.data.get("lines"))
        if found:
            rank = precedence.rank(Topic.PARCEL, claim.role)
            if best is None or rank <= best[0]:
                best = (rank, found)
    return best[1] if best else {}


def _carrier(claims: Sequence[FactRow]) -> str:
    for claim in reversed(claims):
        if claim.data.get("carrier"):
            return str(claim.data["carrier"])
    return ""


def weigh_parcels(
    facts: Iterable[FactRow], precedence: Precedence
) -> tuple[list[ParcelView], list[Conflict]]:
    """All parcels of an order. facts: parcel-level facts in order of time.

    What a source says without naming a waybill is said of every parcel; the unnamed parcel itself exists only when
    no other parcel could hold the goods.
    """
    named: dict[str, list[FactRow]] = {}
    unnamed: list[FactRow] = []
    for fact in facts:
        if fact.level_id:
            named.setdefault(fact.level_id, []).append(fact)
        else:
            unnamed.append(fact)
    views: list[ParcelView] = []
    conflicts: list[Conflict] = []
    for waybill, claims in named.items():
        if unnamed:
            claims = sorted([*claims, *unnamed], key=in_time)
        view, found = weigh_parcel(waybill, claims, precedence)
        views.append(view)
        conflicts += found
    if unnamed and not any(not view.contents and not view.is_void for view in views):
        view, found = weigh_parcel("", unnamed, precedence)
        views.append(view)
        conflicts += found if not named else []
    return views, conflicts


def in_time(fact: FactRow) -> tuple[datetime, str, str, str, str]:
    """The order of facts: later occurred_at, then source, then key. received_at and row ids never decide."""
    return (fact.occurred_at, fact.source, fact.key, fact.kind, fact.level_id)


@dataclass(slots=True)
class LineView:
    """One article with its units: how many in all, how many cancelled, how many at each level."""

    sku: str
    ordered: Decimal
    cancelled: Decimal = ZERO
    locked: Decimal = ZERO
    picked: Decimal = ZERO
    packed: Decimal = ZERO
    name: str = ""
    unit: str = ""
    price: Decimal | None = None
    levels: dict[int, Decimal] = field(default_factory=dict)

    def at_least(self, level: int) -> Decimal:
        return sum((qty for reached, qty in self.levels.items() if reached >= level), ZERO)

    @property
    def open(self) -> Decimal:
        return sum(self.levels.values(), ZERO)


def spread(
    lines: Mapping[str, LineView], parcels: Sequence[ParcelView], *, picking: bool
) -> tuple[bool, Decimal]:
    """Fill each line's levels from the parcels and from what was picked and packed.

    picking: some source says that picking has begun. Returns whether every unit is in a parcel that has a waybill,
    and how many units no parcel names.
    """
    live = [view for view in parcels if not view.is_void]
    loose = [view for view in live if not view.contents]
    loose_level = min((view.level for view in loose), default=NOT_STARTED)
    all_papered, unnamed = True, ZERO
    for line in lines.values():
        left = line.ordered
        levels: dict[int, Decimal] = {}
        for view in live:
            qty = min(view.contents.get(line.sku, ZERO), left)
            if qty > 0:
                left -= qty
                levels[view.level] = levels.get(view.level, ZERO) + qty
        if left > 0:
            unnamed += left
            levels[loose_level] = levels.get(loose_level, ZERO) + left
            all_papered = all_papered and any(view.waybill for view in loose)
        line.levels = _lift(levels, line, picking=picking)
    return all_papered and any(view.waybill for view in live), unnamed


def _lift(levels: dict[int, Decimal], line: LineView, *, picking: bool) -> dict[int, Decimal]:
    """Units still in the warehouse, moved up to what picking and packing reports say of them."""
    inside = levels.pop(NOT_STARTED, ZERO)
    if inside <= 0:
        return levels
    gone = sum(levels.values(), ZERO)
    packed = min(max(line.packed - gone, ZERO), inside)
    picked = min(max(max(line.picked, line.packed) - gone, ZERO), inside) - packed
    for level, qty in (
        (PACKED, packed),
        (PICKED, picked),
        (PICKING if picking else NOT_STARTED, inside - packed - picked),
    ):
        if qty > 0:
            levels[level] = levels.get(level, ZERO) + qty
    return levels


def cancel_units(line: LineView, wanted: Decimal) -> Decimal:
    """Take cancelled units out of the line, the least advanced first, never one that has left the warehouse.

    Returns how many could not be cancelled.
    """
    for level in sorted(line.levels):
        if wanted <= 0 or level >= SHIPPED:
            break
        taken = min(wanted, line.levels[level])
        line.levels[level] -= taken
        if line.levels[level] <= 0:
            del line.levels[level]
        line.cancelled += taken
        wanted -= taken
    return max(wanted, ZERO)
