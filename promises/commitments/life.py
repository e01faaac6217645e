"""How promises end: kept or missed by the last parcel, waived, revoked, or counted as missed because nothing was heard.

The first date counts, however often it was moved, and the first outcome stands.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from orders import audit
from orders.answer import Derivation
from orders.board.written import write_promise
from orders.byhand import check_allowed, check_reason
from orders.derivation import derive
from orders.models import Order
from orders.precedence import precedence_in_force
from orders.retractions import not_taken_back
from orders.stages import ParcelState, Role, Stage, Topic
from orders.transitions import Cause, facts_by_order
from orders.units import RETURNING, FactRow, in_time
from promises.commitments.models import Outcome, Promise
from promises.commitments.refusals import NotIssued
from promises.ledger import writing

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from orders.precedence import Precedence

State, Kind, Source = Promise.State, Outcome.Kind, Outcome.Source
MAY_ISSUE, MAY_REVOKE = "promises.issue_promise", "promises.revoke_promise"
GATE = "promises.revoke"
DELIVERED = f"parcel.{ParcelState.DELIVERED.value}"
# Goods that go back without having arrived.
SENT_BACK = frozenset({Stage.RETURNING.value, Stage.RETURNED.value})
_AFTER: dict[str, str] = {
    Kind.FAILED: State.MISSED,
    Kind.CANCEL_CUSTOMER: State.WAIVED,
    Kind.CANCEL_SELLER: State.MISSED,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What the facts say of an order's end. facts: the evidence."""

    kind: str
    at: datetime
    source: str
    facts: tuple[FactRow, ...]


# Judging.


def due(at: datetime) -> QuerySet[Promise]:
    """Promises to be looked at: something was heard of them, or their grace is over."""
    found: QuerySet[Promise] = Promise.objects.filter(judge_at__lte=at).order_by("judge_at")
    return found


def judge_due(at: datetime, *, limit: int) -> int:
    """Judge some that are due; how many."""
    found = list(due(at).values_list("pk", flat=True)[:limit])
    for pk in found:
        judge(pk, at=at)
    return len(found)


def judge(promise_id: int, *, at: datetime) -> str:
    """Judge one promise by the facts of its order; the state it is in then. Safe to repeat."""
    with writing.transaction():
        promise = _locked(promise_id)
        if promise.state not in {State.ACTIVE, State.UNKNOWN}:
            return promise.state
        ending = ending_of(promise.order)
        grace_ends = promise.first_due + timedelta(seconds=promise.pending.log.grace)
        if ending is not None and not (ending.kind == Kind.FAILED and at <= grace_ends):
            _close(promise, ending, at)
        elif at > grace_ends:
            _mark(promise, State.UNKNOWN, at, judge_at=None)
        else:
            _mark(promise, promise.state, at, judge_at=grace_ends + timedelta(seconds=1))
    return promise.state


def _locked(promise_id: int) -> Promise:
    """Order first, as whoever issues does: two who wait for each other would wait for ever."""
    order_id = Promise.objects.values_list("order_id", flat=True).get(pk=promise_id)
    Order.objects.select_for_update(no_key=True).get(pk=order_id)
    promise: Promise = (
        Promise.objects.select_for_update(of=("self",))
        .select_related("order", "pending__log")
        .get(pk=promise_id)
    )
    return promise


def _close(promise: Promise, ending: Ending, at: datetime, *, state: str = "", reason: str = "") -> Outcome:
    """Record the outcome, have it logged, and say what has become of the promise."""
    first = Promise.objects.select_related("pending").get(number=promise.number, version=1)
    evidence = sealed(ending)
    # In whole seconds, as the log says it: whoever replays it comes to the same answer.
    seconds, ev = int(ending.at.timestamp()), hashlib.sha256(evidence).hexdigest()
    body = {"k": str(ending.kind), "at": seconds, "src": str(ending.source), "ev": ev}
    is_delivered = ending.kind == Kind.DELIVERED
    kept_first = is_delivered and seconds <= int(promise.first_due.timestamp())
    kept_latest = is_delivered and seconds <= int(promise.due.timestamp())
    pending = writing.queue(
        promise.pending.log, "outcome", body, dedup=f"outcome:{promise.number}", about=first.pending, at=at
    )
    outcome = Outcome.objects.create(
        promise=promise,
        number=promise.number,
        kind=ending.kind,
        at=ending.at,
        src=ending.source,
        ev=ev,
        evidence=evidence,
        kept_first=kept_first,
        kept_latest=kept_latest,
        pending=pending,
        made_at=at,
        is_demo=promise.is_demo,
    )
    if not state:
        state = _AFTER.get(ending.kind, "") or (State.KEPT if kept_first else State.MISSED)
    _mark(promise, state, at, judge_at=None, reason=reason)
    audit.record(f"promise.{state}", promise, after=body, reason=reason)
    return outcome


def _mark(promise: Promise, state: str, at: datetime, *, judge_at: datetime | None, reason: str = "") -> None:
    if promise.state != state:
        promise.state, promise.state_at = state, at
    promise.judge_at = judge_at
    promise.state_reason = reason[:300] or promise.state_reason
    promise.save(update_fields=["state", "state_at", "judge_at", "state_reason"])


def sealed(ending: Ending) -> bytes:
    """The evidence with a salt of its own: who is shown it can check its hash, nobody can guess it from the hash."""
    record = {
        "salt": secrets.token_hex(16),
        "outcome": str(ending.kind),
        "facts": [
            {
                "source": fact.source,
                "role": fact.role,
                "key": fact.key,
                "kind": fact.kind,
                "level": fact.level_id,
                "occurred_at": fact.occurred_at.astimezone(UTC).isoformat(),
                "received_at": fact.received_at.astimezone(UTC).isoformat(),
            }
            for fact in ending.facts
        ],
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


# What the facts say.


def ending_of(order: Order) -> Ending | None:
    """How the order ended, by its facts; None while it goes on."""
    standing, precedence = standing_facts(order), precedence_in_force()
    if order.stage == Stage.CANCELLED:
        return _cancelled(standing)
    delivered = _delivered(derive(standing, precedence, at=_latest(standing)), standing, precedence)
    if delivered is not None:
        return delivered
    if order.stage in SENT_BACK:
        back = [fact for fact in standing if fact.kind.startswith(("parcel.return", "parcel.intercepted"))]
        last = back[-1:] or standing[-1:]
        return Ending(Kind.FAILED, last[0].occurred_at, source_of(last[0]), tuple(last)) if last else None
    return None


def standing_facts(order: Order) -> list[FactRow]:
    """The order's facts that nobody has taken back, in order of time."""
    return not_taken_back(sorted(facts_by_order([order.pk]).get(order.pk, []), key=in_time))


def _latest(facts: Sequence[FactRow]) -> datetime:
    return max((fact.received_at for fact in facts), default=datetime.now(UTC))


def _delivered(answer: Derivation, facts: Sequence[FactRow], precedence: Precedence) -> Ending | None:
    """The last parcel's delivery, once every unit that was not cancelled has arrived."""
    live = [view for view in answer.parcels if not view.is_void]
    is_all = bool(live) and all(view.delivered_at for view in live)
    left = [line for line in answer.lines.values() if line.open > line.at_least(RETURNING)]
    if not is_all or left:
        return None
    said = [_said_delivered(view.waybill, facts, precedence) for view in live]
    last = max((fact for fact in said if fact is not None), key=lambda fact: fact.occurred_at, default=None)
    if last is None:
        return None
    # The weakest evidence of all its parcels is the evidence of the order.
    sources = {source_of(fact) for fact in said if fact is not None}
    source = next(one for one in (Source.SELLER, Source.CUSTOMER, Source.CARRIER) if one in sources)
    return Ending(Kind.DELIVERED, last.occurred_at, source, tuple(fact for fact in said if fact is not None))


def _said_delivered(waybill: str, facts: Sequence[FactRow], precedence: Precedence) -> FactRow | None:
    """The report of this parcel's delivery by the source that is believed first."""
    said = [fact for fact in facts if fact.kind == DELIVERED and fact.level_id in {waybill, ""}]
    return min(
        said, key=lambda fact: (precedence.rank(Topic.PARCEL, fact.role), fact.occurred_at), default=None
    )


def _cancelled(facts: Sequence[FactRow]) -> Ending | None:
    """Who called the order off: the customer only where the facts say so, else it counts against the seller."""
    accepted = [fact for fact in facts if fact.kind == "cancel.accepted"]
    if not accepted:
        return None
    by_customer = [fact for fact in wishes(facts) if fact.occurred_at <= accepted[-1].occurred_at]
    kind = Kind.CANCEL_CUSTOMER if by_customer else Kind.CANCEL_SELLER
    first = by_customer[0] if by_customer else accepted[-1]
    evidence = (first, accepted[-1]) if first.id != accepted[-1].id else (first,)
    return Ending(kind, accepted[-1].occurred_at, source_of(first), evidence)


def wishes(facts: Sequence[FactRow]) -> list[FactRow]:
    """What the customer said to call the order off and nobody has refused since."""
    refused = max((fact.occurred_at for fact in facts if fact.kind == "cancel.refused"), default=None)
    return [fact for fact in facts if is_customers(fact) and (refused is None or fact.occurred_at > refused)]


def is_customers(fact: FactRow) -> bool:
    """Whether this is the customer's own wish: said so, or a request that came through the shop."""
    if fact.kind not in {"cancel.requested", "cancel.accepted"}:
        return False
    said = str(fact.data.get("by", "")).lower()
    if said:
        return said in {"customer", "buyer"}
    return fact.kind == "cancel.requested" and fact.role == Role.SHOP


def source_of(fact: FactRow) -> str:
    """The evidence class of a report: the carrier's own, the customer's own, else the seller's."""
    if fact.source == "customer" or str(fact.data.get("by", "")).lower() in {"customer", "buyer"}:
        return Source.CUSTOMER
    if fact.role == Role.CARRIER:
        return Source.CARRIER
    is_request = fact.kind == "cancel.requested" and fact.role == Role.SHOP
    return Source.CUSTOMER if is_request else Source.SELLER


# Revoking and waiving.


def revoke(promise: Promise, *, by: User, reason: str, at: datetime) -> None:
    """Ask the second person to let this promise be revoked. Raises NotIssued while no review gate is installed.

    GATED_ACTIONS names the gate, a function (action, promise, by, reason, at); once somebody has agreed it calls carry_out.
    """
    check_allowed(by, MAY_REVOKE)
    reason = check_reason(reason)
    _check_live(promise)
    gate = settings.GATED_ACTIONS.get(GATE)
    if not gate:
        raise NotIssued("no_gate")
    import_string(gate)(GATE, promise, by=by, reason=reason, at=at)


def has_gate() -> bool:
    return bool(settings.GATED_ACTIONS.get(GATE))


def carry_out(promise_id: int, *, by: User, reason: str, at: datetime) -> Promise:
    """What the gate calls once a second person has agreed: the promise is taken back, and counts as not kept."""
    with writing.transaction():
        promise = _locked(promise_id)
        _check_live(promise)
        with audit.acting(actor=by, way=audit.current().way):
            ending = Ending(Kind.CANCEL_SELLER, at, Source.SELLER, ())
            _close(promise, ending, at, state=State.REVOKED, reason=check_reason(reason))
        _take_off_board(promise, by, at)
    return promise


def waive(promise: Promise, *, by: User, reason: str, at: datetime) -> Promise:
    """The customer called the order off, and no system will close it: nothing is owed any more.

    Not on the seller's word: a report of the customer's wish must be there. Raises NotIssued or NotAllowed.
    """
    check_allowed(by, MAY_ISSUE)
    with writing.transaction():
        promise = _locked(promise.pk)
        _check_live(promise)
        wish = wishes(standing_facts(promise.order))[-1:]
        if not wish:
            raise NotIssued("not_cancelled")
        ending = Ending(Kind.CANCEL_CUSTOMER, wish[0].occurred_at, source_of(wish[0]), tuple(wish))
        with audit.acting(actor=by, way=audit.current().way):
            _close(promise, ending, at, reason=check_reason(reason))
        _take_off_board(promise, by, at)
    return promise


def _check_live(promise: Promise) -> None:
    if promise.state != State.ACTIVE:
        raise NotIssued("ended", state=promise.get_state_display())


def _take_off_board(promise: Promise, by: User, at: datetime) -> None:
    cause = Cause(source="hub", key=f"promise:{promise.number}:{promise.state}", actor_id=by.pk)
    write_promise(promise.order_id, promised_at=None, cause=cause, at=at)
