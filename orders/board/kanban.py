"""The board as four lanes, one for each step that people answer for; a move of a card does the step, or says why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import FilteredRelation, Q
from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from orders.access import role_label
from orders.board.columns import Row, rows_of, shown
from orders.board.counting import Load, Numbers
from orders.board.filters import Looking
from orders.board.ordering import DEFAULT_SORT
from orders.board.query import BoardQuery
from orders.byhand import who_may
from orders.models import Order
from orders.order_actions import ACTIONS
from orders.stages import STAGE_ROWS, Stage, Step, StepState
from orders.steps import MAY

if TYPE_CHECKING:
    from django.contrib.auth.models import User

CARDS = 20
DONE = "done"


@dataclass(frozen=True, slots=True)
class Lane:
    """One step: its first cards, how many there are, the oldest, and the limit that the view sets (0 = none)."""

    step: str
    label: StrOrPromise
    url: str
    load: Load
    rows: list[Row]
    limit: int
    at: datetime

    @property
    def oldest(self) -> timedelta | None:
        return self.at - self.load.oldest_since if self.load.oldest_since else None

    @property
    def is_over(self) -> bool:
        return bool(self.limit) and self.load.n > self.limit


def lanes(query: BoardQuery, looking: Looking, numbers: Numbers) -> list[Lane]:
    """The four lanes over the list's orders. Two queries.

    A card stands in the lane of its order's next step, and names the others that are open beside it.
    """
    open_steps = _open_steps(query.orders(looking))
    found = DEFAULT_SORT.apply(shown(Order.objects.filter(pk__in=open_steps)))
    rows = [
        replace(row, also_open=_beside(row.order.next_step, open_steps[row.order.pk]))
        for row in rows_of(found, looking.at)
    ]
    limits = [*query.limits, *[0] * len(Step)]
    return [
        Lane(
            step.value,
            step.label,
            query.laid_out("table").with_filter("step", step.value).url(),
            numbers.steps.get(step.value) or Load(0, None),
            [row for row in rows if row.order.next_step == step.value],
            limits[position],
            looking.at,
        )
        for position, step in enumerate(Step)
    ]


def _open_steps(orders: Any) -> dict[int, list[str | None]]:
    """The orders of each lane's first cards, with the steps that are open for each. One query."""
    with_steps = Order.objects.annotate(
        open_step=FilteredRelation("steps", condition=Q(steps__state=StepState.OPEN))
    )
    # Each lane's first cards inside a condition of their own: SQLite takes no limits in the parts of a union.
    parts = [
        with_steps.filter(
            pk__in=DEFAULT_SORT.apply(orders.filter(next_step=step.value)).values("pk")[:CARDS]
        ).values_list("pk", "open_step__step")
        for step in Step
    ]
    found: dict[int, list[str | None]] = {}
    for pk, step in parts[0].union(*parts[1:], all=True):
        found.setdefault(pk, []).append(step)
    return found


def _beside(next_step: str, open_steps: list[str | None]) -> tuple[str, ...]:
    """The words for the steps that are open besides the next one; None stands for no open step."""
    return tuple(str(step.label) for step in Step if step != next_step and step.value in open_steps)


def refusal(order: Order, to: str, user: User) -> str:
    """Why this card cannot be moved there, in words; "" if the step in its lane may be done for it."""
    if not order.next_step:
        return _("The order waits for no step now: it is at “%(stage)s”.") % {
            "stage": order.get_stage_display()
        }
    step = Step(order.next_step)
    sequence = [*Step.values, DONE]
    here, there = sequence.index(step.value), sequence.index(to)
    words: dict[str, Any] = {"step": str(step.label)}
    if there < here:
        return _(
            "A step is not undone by moving a card: its evidence would be lost. Take the step back on the order's page; "
            "the card then moves by itself."
        )
    if there == here:
        return _("The card is in this lane already.")
    if there > here + 1 and to != DONE:
        return _("“%(step)s” comes first. When it is done, the card moves on by itself.") % words
    if not user.has_perm(MAY[step]):
        return _("“%(step)s” is not yours to do. These roles may: %(roles)s.") % {
            **words,
            "roles": who_may(MAY[step]),
        }
    return _waits(order)


def _waits(order: Order) -> str:
    if order.is_held:
        return _("The order is on hold. Lift the hold first, or leave it to its owner.")
    if order.stage == Stage.PLATFORM_REVIEW or order.stage == Stage.AWAITING_PAYMENT:
        owner = role_label(STAGE_ROWS[Stage(order.stage)].owner)
        return _("The order is at “%(stage)s” (%(owner)s). The steps begin after that.") % {
            "stage": order.get_stage_display(),
            "owner": owner or "–",
        }
    return ""


def action_of(order: Order) -> Any:
    """The step in the card's lane, as the order's page offers it."""
    return ACTIONS[order.next_step]
