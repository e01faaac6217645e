"""What the hub believes of one order, and why: the answer that judging its facts gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from orders.precedence import Precedence
from orders.stages import CLOSED, STAGE_ROWS, Intent, Invoice, Payment, Role, Stage, Step, StepState, Topic
from orders.units import ZERO, Conflict, FactRow, LineView, ParcelView

# Kinds of reference: the number the hub gave, and a number of the shop.
HUB_NUMBER, SHOP_ORDER = "number", "order"


@dataclass(frozen=True, slots=True)
class Why:
    """One answer with what stands behind it. rule: a code that orders/why.py turns into a sentence."""

    value: str
    rule: str
    facts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StepView:
    step: Step
    state: StepState
    opened_at: datetime
    done_at: datetime | None = None
    evidence: int | None = None
    actor: int | None = None


@dataclass(frozen=True, slots=True)
class HoldView:
    name: str
    owner: str
    reason: str
    set_at: datetime
    until: datetime | None


@dataclass(slots=True)
class Derivation:
    """Everything the hub believes of one order, and why. Times are aware; quantities are Decimal."""

    precedence: int
    stage: Stage = Stage.INTAKE
    payment: Payment = Payment.UNPAID
    invoice: Invoice = Invoice.NONE
    intent: Intent = Intent.GO
    lines: dict[str, LineView] = field(default_factory=dict)
    parcels: list[ParcelView] = field(default_factory=list)
    steps: list[StepView] = field(default_factory=list)
    holds: list[HoldView] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    # Outside statuses nobody has mapped yet: (field, value).
    unknown: list[tuple[str, str]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    contact: int | None = None
    placed_at: datetime | None = None
    confirmed_on: date | None = None
    partial_of: str = ""
    partial_done: Decimal = ZERO
    partial_total: Decimal = ZERO
    is_short: bool = False
    merged_from: int = 1
    delivered_at: datetime | None = None
    due_again_at: datetime | None = None
    # When the silence clock started: the last material fact, never later than its receipt.
    clock_from: datetime | None = None
    last_fact_at: datetime | None = None
    settled_through: datetime | None = None
    why: dict[str, Why] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.stage not in CLOSED

    @property
    def next_step(self) -> str:
        return next((view.step.value for view in self.steps if view.state == StepState.OPEN), "")

    @property
    def waybill(self) -> str:
        return next((view.waybill for view in self.parcels if view.waybill and not view.is_void), "")

    @property
    def awaited(self) -> tuple[Role, tuple[str, ...]]:
        """Which kind of source would move the order next, and with which kinds of fact."""
        row = STAGE_ROWS[self.stage]
        return row.next_role, row.next_kinds


@dataclass(slots=True)
class Case:
    """Facts of one order sorted for judging, and the answer under construction. Not for readers of the answer."""

    facts: list[FactRow]
    by_topic: dict[str, list[FactRow]]
    precedence: Precedence
    at: datetime
    answer: Derivation
    is_papered: bool = False
    cancel_from: datetime | None = None
    cancel_whole: bool = False
    # Shop orders of a merged order that were cancelled as a whole: nobody owes money for them.
    cancelled_parts: set[tuple[str, str, str]] = field(default_factory=set)
    ready_at: datetime | None = None
    later: list[datetime] = field(default_factory=list)

    def of(self, topic: Topic) -> list[FactRow]:
        return self.by_topic.get(topic.value, [])
