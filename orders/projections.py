"""The tables that hang on an order and are derived with it: lines, parcels, steps, holds. Read, compared, written in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import models

from orders.answer import Derivation
from orders.bulk import add_rows, update_rows
from orders.deadlines import GivenDue
from orders.models import Order, OrderEvent, OrderHold, OrderLine, OrderStep, Parcel
from orders.stages import STEP_ROWS, Step, StepState
from orders.units import DELIVERED, SHIPPED

Change = tuple[str, str, object, object]

_LINE = (
    "name",
    "unit",
    "price",
    "ordered",
    "cancelled",
    "locked",
    "picked",
    "packed",
    "shipped",
    "delivered",
)
_PARCEL = ("carrier", "state", "state_at", "contents")
_STEP = ("state", "owner", "opened_at", "due_at", "done_at", "done_by_id", "evidence")
_HOLD = ("owner", "reason", "set_at", "until")


class _Table:
    """One derived table: what is stored, and what is to be added, changed and removed."""

    def __init__(
        self, model: type[models.Model], name: str, columns: Sequence[str], order_ids: Sequence[int]
    ) -> None:
        self.model, self.name, self.columns = model, name, columns
        self.stored: dict[int, dict[str, tuple[int, tuple[Any, ...]]]] = {}
        self.added: list[list[Any]] = []
        self.changed: list[list[Any]] = []
        self.removed: list[int] = []
        rows = model._default_manager.filter(order_id__in=order_ids).values_list(
            "order_id", "pk", name, *columns
        )
        for order_id, pk, key, *values in rows:
            self.stored.setdefault(order_id, {})[key] = (pk, tuple(values))

    def of(self, order_id: int) -> dict[str, tuple[int, tuple[Any, ...]]]:
        return self.stored.get(order_id, {})

    def take(self, order_id: int, wanted: Mapping[str, tuple[Any, ...]]) -> None:
        stored = self.of(order_id)
        for key, values in wanted.items():
            if key not in stored:
                self.added.append([order_id, key, *values])
            elif stored[key][1] != values:
                self.changed.append([stored[key][0], *values])
        self.removed += [pk for key, (pk, _values) in stored.items() if key not in wanted]

    def write(self) -> None:
        if self.removed:
            self.model._default_manager.filter(pk__in=self.removed).delete()
        add_rows(self.model, ["order_id", self.name, *self.columns], self.added)
        update_rows(self.model, self.columns, self.changed)


class Projections:
    """The derived tables of one batch of orders: four reads, and writes only for what differs."""

    def __init__(self, order_ids: Sequence[int]) -> None:
        self.lines = _Table(OrderLine, "sku", _LINE, order_ids)
        self.parcels = _Table(Parcel, "waybill", _PARCEL, order_ids)
        self.steps = _Table(OrderStep, "step", _STEP, order_ids)
        self.holds = _Table(OrderHold, "name", _HOLD, order_ids)
        self._next_due: dict[int, datetime | None] = {}

    def due_of(self, order_id: int) -> dict[str, GivenDue]:
        """Due times of the stored steps."""
        return {
            step: GivenDue(state == StepState.OPEN.value, opened_at, due_at)
            for step, (_pk, (state, _owner, opened_at, due_at, *_rest)) in self.steps.of(order_id).items()
        }

    def next_due(self, order_id: int) -> datetime | None:
        return self._next_due.get(order_id)

    def take(
        self, order: Order, answer: Derivation, dues: Mapping[Step, datetime], at: datetime
    ) -> list[Change]:
        """Note what the answer makes of the tables; returns (event kind, what, old, new) for the journal."""
        lines = {sku: _line(line) for sku, line in answer.lines.items()}
        parcels = {
            view.waybill: (
                view.carrier[:40],
                view.state,
                view.state_at,
                {sku: f"{qty.normalize():f}" for sku, qty in view.contents.items()},
            )
            for view in answer.parcels
        }
        steps = {view.step.value: _step(view, dues.get(view.step)) for view in answer.steps}
        holds = {hold.name: (hold.owner, hold.reason, hold.set_at, hold.until) for hold in answer.holds}
        changes = [*self._parcel_changes(order.pk, parcels), *self._step_changes(order.pk, steps)]
        changes += self._state_changes(order.pk, answer)
        self.lines.take(order.pk, lines)
        self.parcels.take(order.pk, parcels)
        self.steps.take(order.pk, steps)
        self.holds.take(order.pk, holds)
        is_open = [view.step for view in answer.steps if view.state == StepState.OPEN]
        self._next_due[order.pk] = min((dues[step] for step in is_open), default=None)
        return changes

    def _parcel_changes(self, order_id: int, parcels: Mapping[str, tuple[Any, ...]]) -> Iterator[Change]:
        stored = self.parcels.of(order_id)
        for waybill, values in parcels.items():
            old = stored[waybill][1][1] if waybill in stored else ""
            if old != values[1]:
                yield (OrderEvent.Kind.AXIS, f"parcel:{waybill}", old, values[1])

    def _step_changes(self, order_id: int, steps: Mapping[str, tuple[Any, ...]]) -> Iterator[Change]:
        stored = self.steps.of(order_id)
        for step in dict.fromkeys([*stored, *steps]):
            old = stored[step][1][0] if step in stored else ""
            new = steps[step][0] if step in steps else ""
            if old != new:
                yield (OrderEvent.Kind.STEP, step, old, new)

    def _state_changes(self, order_id: int, answer: Derivation) -> Iterator[Change]:
        """Holds by name: each has an owner who wants to hear when it starts and ends."""
        stored, wanted = self.holds.of(order_id), {hold.name for hold in answer.holds}
        for name in sorted(wanted ^ set(stored)):
            yield (
                OrderEvent.Kind.FLAG,
                f"hold:{name}",
                "yes" if name in stored else "",
                "yes" if name in wanted else "",
            )

    def write(self) -> None:
        for table in (self.lines, self.parcels, self.steps, self.holds):
            table.write()


def _line(line: Any) -> tuple[Any, ...]:
    return (
        line.name[:200],
        line.unit[:20],
        line.price,
        line.ordered,
        line.cancelled,
        line.locked,
        line.picked,
        line.packed,
        line.at_least(SHIPPED),
        line.at_least(DELIVERED),
    )


def _step(view: Any, due_at: datetime | None) -> tuple[Any, ...]:
    owner = STEP_ROWS[view.step].owner
    return (view.state.value, owner, view.opened_at, due_at, view.done_at, view.actor, view.evidence)
