"""What people are asked to do: opened and closed by what happens to orders, at most one open question of a kind."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from orders import audit
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


def observe(event: OrderEvent) -> None:
    """Reaction: open and close what the event asks of people."""
    match event.kind, event.name:
        case OrderEvent.Kind.STEP, name:
            _on_step(event, name)
        case OrderEvent.Kind.STALLED, _name:
            owner = STAGE_ROWS[Stage(event.new)].owner or ANYBODY
            ask(event, Todo.Kind.STALLED, subject=event.new, owner=owner)
        case OrderEvent.Kind.MOVED, _name:
            settle(event, Todo.Kind.STALLED, outcome=event.new)
        case OrderEvent.Kind.FLAG, "n_unknown":
            _on_unknown(event)
        case OrderEvent.Kind.FLAG, "has_conflict":
            _on_conflict(event)
        case OrderEvent.Kind.FLAG, "is_short":
            if event.new:
                ask(event, Todo.Kind.SHORTAGE, owner=STEP_ROWS[Step.STOCK].owner)
            else:
                settle(event, Todo.Kind.SHORTAGE)


def ask(
    event: OrderEvent,
    kind: Todo.Kind,
    *,
    owner: str,
    subject: str = "",
    text: str = "",
    due_at: datetime | None = None,
) -> Todo:
    """Ask for something. If the same is asked already, it is asked once more, not twice."""
    todo, made = Todo.objects.get_or_create(
        order_id=event.order_id,
        kind=kind,
        subject=subject[:120],
        done_at=None,
        defaults={
            "text": text[:300],
            "owner": owner,
            "opened_at": event.recorded_at,
            "due_at": due_at,
            "is_demo": event.is_demo,
        },
    )
    if not made:
        Todo.objects.filter(pk=todo.pk).update(
            n_times=F("n_times") + 1, text=text[:300], due_at=due_at, owner=owner
        )
    return todo


def settle(
    event: OrderEvent,
    kind: Todo.Kind,
    *,
    subject: str | None = None,
    outcome: str = "",
    done_by: int | None = None,
) -> None:
    """What was asked is answered by what happened. Without a subject, every open question of the kind."""
    open_ones = Todo.objects.filter(order_id=event.order_id, kind=kind, done_at=None)
    if subject is not None:
        open_ones = open_ones.filter(subject=subject)
    open_ones.update(done_at=event.recorded_at, done_by=done_by, outcome=outcome)


def _on_step(event: OrderEvent, name: str) -> None:
    row = OrderStep.objects.filter(order_id=event.order_id, step=name).first()
    if event.new == StepState.OPEN:
        # What the row says now, not what the event said: the step may have been closed since.
        if row is not None and row.state == StepState.OPEN:
            ask(event, Todo.Kind.STEP, subject=name, owner=STEP_ROWS[Step(name)].owner, due_at=row.due_at)
        return
    settle(
        event,
        Todo.Kind.STEP,
        subject=name,
        outcome=event.new or StepState.VOID.value,
        done_by=row.done_by_id if row and row.state == event.new else None,
    )


def _on_unknown(event: OrderEvent) -> None:
    """One question for each value that nobody has mapped; answered when the value is gone."""
    values = {
        f"{fact.data.get('field', '')} = {fact.data.get('value', '')}": fact.source
        for fact in standing(Order(pk=event.order_id), ["status.unknown"])
    }
    known = set(
        Todo.objects.filter(order_id=event.order_id, kind=Todo.Kind.UNKNOWN_STATUS, done_at=None).values_list(
            "subject", flat=True
        )
    )
    subjects = {value[:120]: source for value, source in values.items()}
    for subject, source in subjects.items():
        ask(event, Todo.Kind.UNKNOWN_STATUS, subject=subject, text=f"{source}: {subject}", owner="integrator")
    for subject in known - set(subjects):
        settle(event, Todo.Kind.UNKNOWN_STATUS, subject=subject)


def _on_conflict(event: OrderEvent) -> None:
    if not event.new:
        settle(event, Todo.Kind.CONFLICT)
        return
    conflicts = Order.objects.values_list("conflicts", flat=True).get(pk=event.order_id)
    topics = sorted({conflict["topic"] for conflict in conflicts})
    ask(event, Todo.Kind.CONFLICT, text=", ".join(topics), owner=ANYBODY)


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
