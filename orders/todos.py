"""What people are asked to do: opened and closed by what happens to orders, at most one open question of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from orders import audit
from orders.bulk import update_rows
from orders.byhand import Refused, standing
from orders.models import Order, OrderEvent, OrderStep, Todo
from orders.stages import STAGE_ROWS, STEP_ROWS, Stage, Step, StepState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Who is asked when a stage has no owner.
ANYBODY = "ops_manager"
MAY = "orders.change_todo"


class TodoRefused(Refused):
    """A to-do that is not open, or not this person's to close."""


def observe(events: Sequence[OrderEvent]) -> None:
    """Reaction: open and close what the events ask of people. Same queries for one event and for hundreds."""
    relevant = [
        event for event in events if event.kind in _KINDS and (event.kind != "flag" or event.name in _FLAGS)
    ]
    if not relevant:
        return
    desk = _Desk(relevant)
    for event in relevant:
        match event.kind, event.name:
            case OrderEvent.Kind.STEP, name:
                desk.on_step(event, name)
            case OrderEvent.Kind.STALLED, _name:
                owner = STAGE_ROWS[Stage(event.new)].owner or ANYBODY
                desk.ask(event, Todo.Kind.STALLED, subject=event.new, owner=owner)
            case OrderEvent.Kind.MOVED, _name:
                desk.settle(event, Todo.Kind.STALLED, outcome=event.new)
            case OrderEvent.Kind.FLAG, "n_unknown":
                desk.on_unknown(event)
            case OrderEvent.Kind.FLAG, "has_conflict":
                desk.on_conflict(event)
            case OrderEvent.Kind.FLAG, "is_short":
                if event.new:
                    desk.ask(event, Todo.Kind.SHORTAGE, owner=STEP_ROWS[Step.STOCK].owner)
                else:
                    desk.settle(event, Todo.Kind.SHORTAGE)
    desk.write()


_KINDS = {
    OrderEvent.Kind.STEP.value,
    OrderEvent.Kind.STALLED.value,
    OrderEvent.Kind.MOVED.value,
    OrderEvent.Kind.FLAG.value,
}
_FLAGS = {"n_unknown", "has_conflict", "is_short"}
_CHANGED = ("text", "owner", "due_at", "n_times", "done_at", "done_by_id", "outcome")


class _Desk:
    """The open to-dos of the orders in one batch of events: read once, changed in memory, written once."""

    def __init__(self, events: Sequence[OrderEvent]) -> None:
        ids = {event.order_id for event in events}
        open_ones = Todo.objects.select_for_update().filter(order_id__in=ids, done_at=None).order_by("pk")
        self.open: dict[tuple[int, str], dict[str, Todo]] = {}
        for todo in open_ones:
            self.open.setdefault((todo.order_id or 0, todo.kind), {})[todo.subject] = todo
        stepped = {event.order_id for event in events if event.kind == OrderEvent.Kind.STEP}
        rows = OrderStep.objects.filter(order_id__in=stepped) if stepped else ()
        self.steps = {(row.order_id, row.step): row for row in rows}
        self.new: list[Todo] = []
        self.changed: dict[int, Todo] = {}

    def ask(
        self,
        event: OrderEvent,
        kind: Todo.Kind,
        *,
        owner: str,
        subject: str = "",
        text: str = "",
        due_at: datetime | None = None,
    ) -> None:
        """Ask for something. If the same is asked already, it is asked once more, not twice."""
        subject = subject[:120]
        known = self.open.setdefault((event.order_id, kind.value), {})
        if subject in known:
            todo = known[subject]
            todo.n_times += 1
            todo.text, todo.due_at, todo.owner = text[:300], due_at, owner
            self._note(todo)
            return
        known[subject] = Todo(
            order_id=event.order_id,
            kind=kind.value,
            subject=subject,
            text=text[:300],
            owner=owner,
            opened_at=event.recorded_at,
            due_at=due_at,
            is_demo=event.is_demo,
        )
        self.new.append(known[subject])

    def settle(
        self,
        event: OrderEvent,
        kind: Todo.Kind,
        *,
        subject: str | None = None,
        outcome: str = "",
        done_by: int | None = None,
    ) -> None:
        """What was asked is answered by what happened. Without a subject, every open question of the kind."""
        known = self.open.get((event.order_id, kind.value), {})
        for name in [name for name in known if subject in {None, name}]:
            todo = known.pop(name)
            todo.done_at, todo.done_by_id, todo.outcome = event.recorded_at, done_by, outcome
            self._note(todo)

    def _note(self, todo: Todo) -> None:
        if todo.pk is not None:
            self.changed[todo.pk] = todo

    def on_step(self, event: OrderEvent, name: str) -> None:
        row = self.steps.get((event.order_id, name))
        if event.new == StepState.OPEN:
            # What the row says now, not what the event said: the step may have been closed since.
            if row is not None and row.state == StepState.OPEN:
                self.ask(
                    event, Todo.Kind.STEP, subject=name, owner=STEP_ROWS[Step(name)].owner, due_at=row.due_at
                )
            return
        self.settle(
            event,
            Todo.Kind.STEP,
            subject=name,
            outcome=event.new or StepState.VOID.value,
            done_by=row.done_by_id if row and row.state == event.new else None,
        )

    def on_unknown(self, event: OrderEvent) -> None:
        """One question for each value that nobody has mapped; answered when the value is gone."""
        values = {
            f"{fact.data.get('field', '')} = {fact.data.get('value', '')}"[:120]: fact.source
            for fact in standing(Order(pk=event.order_id), ["status.unknown"])
        }
        known = set(self.open.get((event.order_id, Todo.Kind.UNKNOWN_STATUS.value), {}))
        for subject, source in values.items():
            text = f"{source}: {subject}"
            self.ask(event, Todo.Kind.UNKNOWN_STATUS, subject=subject, text=text, owner="integrator")
        for subject in known - set(values):
            self.settle(event, Todo.Kind.UNKNOWN_STATUS, subject=subject)

    def on_conflict(self, event: OrderEvent) -> None:
        if not event.new:
            self.settle(event, Todo.Kind.CONFLICT)
            return
        conflicts = Order.objects.values_list("conflicts", flat=True).get(pk=event.order_id)
        topics = sorted({conflict["topic"] for conflict in conflicts})
        self.ask(event, Todo.Kind.CONFLICT, text=", ".join(topics), owner=ANYBODY)

    def write(self) -> None:
        Todo.objects.bulk_create(self.new)
        update_rows(
            Todo,
            _CHANGED,
            [[todo.pk, *(getattr(todo, name) for name in _CHANGED)] for todo in self.changed.values()],
        )


def close(todo_id: int, *, actor: User, outcome: str, at: datetime) -> Todo:
    """A person has done what was asked, and says what came of it. Raises TodoRefused."""
    with transaction.atomic():
        todo = Todo.objects.select_for_update().filter(pk=todo_id).first()
        if todo is None or (
            todo.order_id and not Order.objects.visible_to(actor).filter(pk=todo.order_id).exists()
        ):
            raise TodoRefused("not_found", _("There is no such to-do among those you may see."))
        if not actor.has_perm(MAY):
            raise TodoRefused(
                "not_allowed", _("You may read to-dos, not close them. Ask the role that owns it.")
            )
        if todo.done_at is not None:
            raise TodoRefused("not_open", _("This to-do is closed already. Reload the page."))
        if todo.kind == Todo.Kind.STEP:
            raise TodoRefused("by_step", _("This closes by itself when the step is done. Do the step."))
        todo.done_at, todo.done_by, todo.outcome = at, actor, outcome.strip()[:200]
        todo.save(update_fields=["done_at", "done_by", "outcome"])
        with audit.acting(actor=actor, way=audit.current().way):
            audit.record("todo.closed", todo, after={"outcome": todo.outcome}, reason=todo.outcome)
    return todo
