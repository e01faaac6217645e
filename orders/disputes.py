"""Two sources disagree, and a person says which one is to be believed: what that changes, doing it, and taking it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from orders.answer import Derivation
from orders.byhand import PERSON, Refused, Saying, check_allowed, check_reason, opened_for, say
from orders.derivation import derive
from orders.models import Order, OrderFact
from orders.precedence import Precedence, precedence_in_force
from orders.retractions import is_named, taken_back
from orders.transitions import facts_by_order
from orders.units import Conflict, FactRow, in_time

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAY = "orders.report_fact"
MAY_FOR_OTHERS = "orders.undo_step_late"
DECISION = "conflict.decided"
# Facts of one action that can be taken back as a whole by striking them: nothing else hangs on them.
LIGHT = (DECISION, "hold.set", "hold.lifted", "note.added")
# Striking one claim may lay bare another of the same source; nobody has so many about one thing.
MOST_STRUCK = 200


class DisputeRefused(Refused):
    """A disagreement that cannot be decided so."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What believing one fact means. struck: the facts that then count for nothing; before, after: the order judged."""

    believed: FactRow
    struck: tuple[FactRow, ...]
    before: Derivation
    after: Derivation


def weigh(
    facts: Sequence[FactRow], believed: int, against: int, precedence: Precedence, at: datetime
) -> Verdict:
    """What it would mean to believe one side of a conflict. Pure. Raises DisputeRefused if the two do not disagree (any more)."""
    before = derive(facts, precedence, at)
    by_id = {fact.id: fact for fact in facts}
    conflict = next((one for one in before.conflicts if {one.winner, one.loser} == {believed, against}), None)
    if conflict is None:
        raise DisputeRefused(
            "no_conflict", _("These two reports do not disagree any more. Look at the page again.")
        )
    struck: list[FactRow] = []
    after = before
    while (other := _other_side(after.conflicts, conflict, believed, by_id)) is not None:
        if other in struck or len(struck) == MOST_STRUCK:
            raise DisputeRefused(
                "stands", _("This report cannot be set aside. Correct it in the system it came from.")
            )
        struck.append(other)
        after = derive(_without(facts, struck), precedence, at)
    return Verdict(by_id[believed], tuple(struck), before, after)


def _other_side(
    conflicts: Iterable[Conflict], first: Conflict, believed: int, by_id: dict[int, FactRow]
) -> FactRow | None:
    """The report that still stands against the believed source in this matter."""
    mine, hers = ("loser", "winner") if believed == first.loser else ("winner", "loser")
    side = by_id[believed].source, by_id[getattr(first, hers)].source
    for one in conflicts:
        if (one.topic, one.about, one.rule) != (first.topic, first.about, first.rule):
            continue
        if (by_id[getattr(one, mine)].source, by_id[getattr(one, hers)].source) == side:
            return by_id[getattr(one, hers)]
    return None


def _without(facts: Sequence[FactRow], struck: Iterable[FactRow]) -> list[FactRow]:
    names = {(fact.source, fact.key, fact.kind) for fact in struck}
    return [fact for fact in facts if not is_named(fact, names)]


def believe(
    order_id: int, believed: int, against: int, *, actor: User, reason: str, at: datetime
) -> list[OrderFact]:
    """Decide a disagreement: what the other source said of it counts for nothing from now on. The rows stay.

    Returns the facts that say so, one for each report that was set aside. Raises DisputeRefused or NotAllowed.
    """
    check_allowed(actor, MAY)
    reason = check_reason(reason)
    with transaction.atomic():
        order = opened_for(actor, order_id)
        facts = facts_by_order([order.pk]).get(order.pk, [])
        verdict = weigh(facts, believed, against, precedence_in_force(), at)
        sayings = [
            _retraction(fact, position, believed=believed, reason=reason)
            for position, fact in enumerate(verdict.struck)
        ]
        after = {"believed": believed, "set_aside": [fact.id for fact in verdict.struck]}
        return say(order, DECISION, sayings, actor=actor, at=at, reason=reason, after=after)


def _retraction(fact: Any, position: int, **said: object) -> Saying:
    """Take back this fact, as one of several within an action."""
    named = {"source": fact.source, "key": fact.key, "kind": fact.kind}
    return Saying(kind="fact.retracted", part=str(position), data={"fact": named, **said})


def key_of(facts: Sequence[OrderFact]) -> str:
    """What take_back needs to name an action by: the key all its facts share."""
    return action_key(facts[0].key) if facts else ""


def action_key(key: str) -> str:
    """ "hold.set:9f…" of "hold.set:9f….0"."""
    action, colon, rest = key.rpartition(":")
    return f"{action}{colon}{rest.split('.')[0]}"


def take_back(order_id: int, key: str, *, actor: User, reason: str, at: datetime) -> list[OrderFact]:
    """Undo one light action of a person: a decision of a conflict at any time, a hold or a note within UNDO_WINDOW.

    Raises DisputeRefused or NotAllowed.
    """
    reason = check_reason(reason)
    with transaction.atomic():
        order = opened_for(actor, order_id)
        facts = _of_action(order, key)
        _check_undoable(facts, key, actor, at)
        sayings = [
            _retraction(fact, position, reason=reason, undone=key) for position, fact in enumerate(facts)
        ]
        return say(order, "undo", sayings, actor=actor, at=at, reason=reason, after={"undone": key})


def _of_action(order: Order, key: str) -> list[OrderFact]:
    """The facts of one action that count, in order of time."""
    rows = list(OrderFact.objects.timeline(order).filter(source=PERSON[0]))
    gone = taken_back(rows)
    return [fact for fact in rows if action_key(fact.key) == key and not is_named(fact, gone)]


def _check_undoable(facts: Sequence[OrderFact], key: str, actor: User, at: datetime) -> None:
    action = key.partition(":")[0]
    if action not in LIGHT or not facts:
        raise DisputeRefused(
            "not_there", _("There is nothing to take back: it was taken back before. Reload the page.")
        )
    if action == DECISION:
        check_allowed(actor, MAY)
        return
    if facts[0].actor_id != actor.pk:
        check_allowed(actor, MAY_FOR_OTHERS)
    if at - facts[0].received_at > settings.UNDO_WINDOW:
        raise DisputeRefused(
            "too_late",
            _("This can be taken back for %(minutes)s minutes only. Do the opposite instead.")
            % {"minutes": int(settings.UNDO_WINDOW.total_seconds()) // 60},
        )


def is_decision(fact: FactRow) -> bool:
    return fact.source == PERSON[0] and fact.key.startswith(f"{DECISION}:")


def standing_actions(facts: Iterable[FactRow]) -> dict[str, list[FactRow]]:
    """The light actions of people that nobody has taken back, by their keys, in order of time."""
    ordered = sorted(facts, key=in_time)
    gone = taken_back(ordered)
    found: dict[str, list[FactRow]] = {}
    for fact in ordered:
        action = fact.key.partition(":")[0]
        if fact.source == PERSON[0] and action in LIGHT and not is_named(fact, gone):
            found.setdefault(action_key(fact.key), []).append(fact)
    return found


def standing_decisions(facts: Iterable[FactRow]) -> dict[str, list[FactRow]]:
    """What people have decided about conflicts and not taken back, by the key of the decision."""
    return {key: said for key, said in standing_actions(facts).items() if is_decision(said[0])}


def is_undoable(facts: Sequence[FactRow], user: User, at: datetime) -> bool:
    """Whether take_back would let this person take the action back now."""
    if is_decision(facts[0]):
        return user.has_perm(MAY)
    is_in_time = at - facts[0].received_at <= settings.UNDO_WINDOW
    return is_in_time and (facts[0].actor == user.pk or user.has_perm(MAY_FOR_OTHERS))
