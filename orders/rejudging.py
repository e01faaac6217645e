"""Old facts under new rules: tried on open orders first, then carried out in the background, silently."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _

from orders import audit
from orders.deadlines import calendar_version
from orders.derivation import derive
from orders.models import Order, PrecedenceVersion
from orders.precedence import precedence_in_force, precedence_of
from orders.querysets import OrderQuerySet
from orders.transitions import facts_by_order, settle_many

BATCH = 200
# More open orders than this are judged as a sample: the page has to answer in seconds.
MOST_TRIED = 5_000


@dataclass(slots=True)
class Trial:
    """What a version would change. moves: (stage now, stage then) -> orders; examples: up to 20 of them."""

    n_tried: int = 0
    n_open: int = 0
    n_changed: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[tuple[Order, str, str]] = field(default_factory=list)


def try_version(version: PrecedenceVersion, *, at: datetime, at_most: int = MOST_TRIED) -> Trial:
    """Derive open orders with the version, and with the rules in force. Writes nothing."""
    new, old = precedence_of(version.number, version.rules), precedence_in_force()
    trial = Trial(n_open=Order.objects.open().count())
    orders = list(Order.objects.open().order_by("-pk")[:at_most])
    for start in range(0, len(orders), BATCH):
        batch = orders[start : start + BATCH]
        facts = facts_by_order([order.pk for order in batch])
        for order in batch:
            own = facts.get(order.pk, [])
            now_stage, then_stage = derive(own, old, at).stage, derive(own, new, at).stage
            trial.n_tried += 1
            if now_stage != then_stage:
                trial.n_changed += 1
                trial.moves[str(now_stage.label), str(then_stage.label)] += 1
                if len(trial.examples) < 20:
                    trial.examples.append((order, str(now_stage.label), str(then_stage.label)))
    return trial


def apply_version(version: PrecedenceVersion, *, at: datetime) -> int:
    """Put a version in force; returns how many open orders the next sweep will have judged again.

    Raises ValidationError if it, or a newer one, is in force already.
    """
    newer = PrecedenceVersion.objects.filter(number__gte=version.number, applied_at__isnull=False)
    if newer.exists():
        raise ValidationError(_("This version, or a newer one, is in force. Add a new version instead."))
    version.applied_at = at
    version.save(update_fields=["applied_at"])
    audit.record("apply", version, after={"number": version.number}, reason=version.note)
    return waiting(version.number).count()


def waiting(number: int) -> OrderQuerySet:
    """Open orders last judged by another precedence version, or on calendars that have changed since.

    Closed orders keep the version that judged them. An order that is set aside keeps its old judgement until an
    operator has looked at it.
    """
    calendars = ~Q(clocked_with__in=["", calendar_version()])
    return Order.objects.open().filter(~Q(derived_with=number) | calendars, set_aside="").order_by("pk")


def rejudge_some(*, at: datetime) -> int:
    """Judge one batch of open orders by the rules and calendars in force; returns how many. Safe to interrupt."""
    precedence = precedence_in_force()
    batch = list(waiting(precedence.version).values_list("pk", flat=True)[:BATCH])
    if batch:
        settle_many(batch, at=at, silent=True, precedence=precedence)
    return len(batch)
