"""The four steps as the page shows them: state, owner, due, who did it on what evidence, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings

from orders import steps
from orders.access import role_label
from orders.models import OrderStep
from orders.order_page.reading import Reading
from orders.stages import STEP_ROWS, Step, StepState

ICONS = {"done": "check", "open": "clock", "overtaken": "check", "void": "close", "later": "more"}


@dataclass(frozen=True)
class Back:
    """The way back from a step that is done. code: the action; left: how long it is everybody's who took the step."""

    code: str
    label: str
    left: timedelta | None = None
    effect: str = ""


@dataclass(frozen=True)
class Cell:
    """One step. row: None if it has not begun."""

    step: Step
    state: str
    owner: str
    row: OrderStep | None
    back: Back | None = None

    @classmethod
    def of(cls, step: Step, row: OrderStep | None, back: Back | None = None) -> Cell:
        owner = str(role_label(row.owner if row else STEP_ROWS[step].owner))
        return cls(step, row.state if row else "later", owner, row, back)

    @property
    def icon(self) -> str:
        return ICONS[self.state]

    @property
    def due_at(self) -> datetime | None:
        return self.row.due_at if self.row and self.state == "open" else None


def cells(reading: Reading, rows: Mapping[str, OrderStep]) -> list[Cell]:
    """In the sequence in which they open. Two queries more at most, for steps that can be taken back."""
    sequence = [step for group in reading.precedence.steps for step in group]
    return [_cell(reading, Step(step), rows.get(step)) for step in sequence]


def _cell(reading: Reading, step: Step, row: OrderStep | None) -> Cell:
    is_done = row is not None and row.state == StepState.DONE
    return Cell.of(step, row, _back(reading, step, row) if row is not None and is_done else None)


def _back(reading: Reading, step: Step, row: OrderStep) -> Back | None:
    """Undo while nothing outside has followed, by whoever took it for ten minutes, later by a supervisor; then the
    counter-action."""
    evidence = reading.by_id.get(row.evidence or 0)
    user = reading.user
    is_own = user.has_perm(steps.MAY[step])
    is_late_allowed = user.has_perm(steps.MAY_LATE)
    if evidence is None or evidence.source not in steps.OURS or not (is_own or is_late_allowed):
        return None
    # What effect_outside asks of a fact stands in its row as well.
    effect = steps.effect_outside(reading.order, step, [cast("Any", evidence)])
    left = evidence.received_at + settings.UNDO_WINDOW - reading.at
    if not effect and (left >= timedelta(0) or is_late_allowed):
        return Back("undo", "", left if left >= timedelta(0) else None)
    return Back("counter", steps.counter_label(step), effect=effect)
