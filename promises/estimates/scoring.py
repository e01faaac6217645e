"""What came true: an estimate is judged when its order arrives, or when its date passes without it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction

from orders.bulk import update_rows
from promises.estimates.models import Estimate, Journey

Outcome = Estimate.Outcome
BATCH = 500


def settle(ended: Mapping[int, Journey], current: Mapping[int, Estimate], *, at: datetime) -> None:
    """Judge all that was said of orders that have arrived; what was said of orders that were called off counts for nothing.

    A report of an arrival that comes late corrects what the clock had judged. current: of the orders looked at.
    """
    known = [pk for pk in ended if pk in current]
    said = Estimate.objects.filter(order_id__in=known) if known else Estimate.objects.none()
    rows = [
        [one.pk, outcome, at, journey.delivered_at, None]
        for one in said
        if (outcome := outcome_of(one, journey := ended[one.order_id]))
        and (one.outcome, one.delivered_at) != (outcome, journey.delivered_at)
    ]
    update_rows(Estimate, ["outcome", "outcome_at", "delivered_at", "check_at"], rows)
    _judge_again([pk for pk, one in current.items() if pk not in ended and _was_ended(one)])


def _was_ended(said: Estimate) -> bool:
    return said.delivered_at is not None or said.outcome == Outcome.VOID


def outcome_of(said: Estimate, journey: Journey) -> str:
    """What became of these words, of an order that has ended; "" for words without a date."""
    if journey.delivered_at is None:
        return Outcome.VOID
    if said.due_at is None:
        return ""
    return Outcome.KEPT if journey.delivered_at <= said.due_at else Outcome.MISSED


def _judge_again(order_ids: Collection[int]) -> None:
    """The arrival, or the cancelling, was taken back: nothing is known of the outcome any more."""
    if order_ids:
        Estimate.objects.filter(order_id__in=order_ids).update(outcome="", outcome_at=None, delivered_at=None)


def score_passed(at: datetime) -> int:
    """Judge up to BATCH dates that have passed without an arrival; how many."""
    with transaction.atomic():
        passed = list(Estimate.objects.unscored(at).values_list("pk", flat=True)[:BATCH])
        # Only what is still unscored: the arrival may have been reported in between.
        return Estimate.objects.filter(pk__in=passed, outcome="").update(
            outcome=Outcome.MISSED, outcome_at=at
        )
