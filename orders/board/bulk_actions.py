"""What can be done to many orders at once: for each action who may, what it needs, whom it skips and why, and its way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders import audit, holds, notes, steps, todos
from orders.access import ROLES
from orders.board.written import write_case
from orders.byhand import Refused, Saying, check_allowed, opened_for, retractions, say
from orders.models import Order, OrderFact, OrderHold, Todo
from orders.order_actions import DateForm, HoldForm, NoteForm
from orders.stages import Step
from orders.transitions import Cause, settle

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MAY_RUSH = "orders.report_fact"
# A step is a promise to the outside: not more of one kind in an hour, and above the lower number two people decide.
MOST_STEPS_AN_HOUR = 50
MOST_STEPS_ALONE = 20
# A step for several orders is confirmed after a look at those of them that are most likely to be the wrong ones.
RISKIEST = 5
# On a small screen nobody has an overview of more.
MOST_ON_A_PHONE = 10


class BulkRefused(Refused):
    """Work over many orders that is not to be begun."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Orders that an action leaves alone, found before anything is done."""

    code: str
    words: StrOrPromise
    which: Q


Run = Callable[[int, dict[str, Any], User, datetime], dict[str, Any]]
Undo = Callable[[int, dict[str, Any], User, datetime], None]


@dataclass(frozen=True, slots=True)
class Action:
    """One action. run gives what undo needs; values are what the form gave, as JSON keeps it."""

    code: str
    label: StrOrPromise
    permission: str
    form: type[forms.Form]
    run: Run
    undo: Undo | None = None
    skips: tuple[Skip, ...] = ()
    step: str = ""


class PeopleSelect(forms.Select):
    """Names of people stay as they are in every language; the word for nobody does not."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if value:
            option["attrs"]["translate"] = "no"
        return option


class PersonChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    widget = PeopleSelect

    def label_from_instance(self, user: Any) -> str:
        return str(user.get_full_name() or user.get_username())


class AssignForm(forms.Form):
    person = PersonChoice(
        label=gettext_lazy("Person"),
        required=False,
        queryset=User.objects.none(),
        empty_label=gettext_lazy("nobody"),
    )
    role = forms.ChoiceField(label=gettext_lazy("Role"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people: Any = self.fields["person"]
        people.queryset = User.objects.filter(is_active=True, is_staff=True).order_by("username")
        role: Any = self.fields["role"]
        role.choices = [("", _("as it is")), *((row.code, row.label) for row in ROLES.values())]


class ReasonForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)


class NothingForm(forms.Form):
    """The action needs nothing besides the orders."""


def _assign(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    check_allowed(actor, todos.MAY)
    order = opened_for(actor, order_id)
    person = _person(values.get("person"), order)
    role = values.get("role") or ""
    mine = list(Todo.objects.select_for_update().filter(order=order, done_at=None).order_by("pk"))
    before = {
        "assignee": order.assignee_id,
        "given_to": person.pk if person else None,
        "todos": [[todo.pk, todo.person_id, todo.owner] for todo in mine],
    }
    for todo in mine:
        todo.person = person
        todo.owner = role or todo.owner
        todo.save(update_fields=["person", "owner"])
    _hand_over(order, person, actor, at, role=role)
    return before


def _hand_over(order: Order, person: User | None, actor: User, at: datetime, *, role: str = "") -> None:
    write_case(order.pk, assignee=person, cause=Cause(source="person", actor_id=actor.pk), at=at)
    before = {"assignee": order.assignee_id}
    after = {"assignee": person.pk if person else None} | ({"role": role} if role else {})
    audit.record("order.assigned", order, before=before, after=after)


def _person(pk: Any, order: Order) -> User | None:
    """Raises BulkRefused for somebody who does not see the order: it would be theirs and invisible."""
    if not pk:
        return None
    person = User.objects.filter(pk=pk, is_active=True, is_staff=True).first()
    if person is None or not Order.objects.visible_to(person).filter(pk=order.pk).exists():
        raise BulkRefused(
            "outside_scope", _("The order is outside this person's area. Choose somebody who sees it.")
        )
    return person


def _unassign(order_id: int, before: dict[str, Any], actor: User, at: datetime) -> None:
    """Raises BulkRefused if somebody has handed the order on since: undoing is no way to overrule them."""
    order = opened_for(actor, order_id)
    if order.assignee_id != before["given_to"]:
        raise BulkRefused(
            "handed_on", _("The order has been given to somebody else since. It stays as it is now.")
        )
    person = User.objects.filter(pk=before["assignee"] or 0).first()
    mine = Todo.objects.select_for_update().filter(order=order, done_at=None, person=before["given_to"])
    known = {todo.pk: todo for todo in mine}
    for pk, person_id, owner in before["todos"]:
        if pk in known:
            known[pk].person_id, known[pk].owner = person_id, owner
            known[pk].save(update_fields=["person", "owner"])
    _hand_over(order, person, actor, at)


def _note(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    return {"facts": [notes.add_note(order_id, values["text"], actor=actor, at=at).pk]}


def _retract(order_id: int, before: dict[str, Any], actor: User, at: datetime) -> None:
    order = opened_for(actor, order_id)
    facts = list(OrderFact.objects.filter(pk__in=before["facts"]))
    say(order, "bulk.undo", retractions(facts, _("undone")), actor=actor, at=at)


def _hold(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    until = parse_datetime(values["until"]) if values.get("until") else None
    holds.set_hold(order_id, values["name"], actor=actor, reason=values["reason"], until=until, at=at)
    return {"name": values["name"]}


def _unhold(order_id: int, before: dict[str, Any], actor: User, at: datetime) -> None:
    holds.lift_hold(order_id, before["name"], actor=actor, reason=_("undone"), at=at)


def _lift(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    standing = list(OrderHold.objects.filter(order=order_id).order_by("name"))
    if not standing:
        raise BulkRefused("not_held", _("The order is not on hold."))
    kept = [[one.name, one.reason, one.owner, one.until and one.until.isoformat()] for one in standing]
    for one in standing:
        holds.lift_hold(order_id, one.name, actor=actor, reason=values["reason"], at=at)
    return {"holds": kept}


def _hold_again(order_id: int, before: dict[str, Any], actor: User, at: datetime) -> None:
    for name, reason, owner, until in before["holds"]:
        end = parse_datetime(until) if until else None
        if end is None or end > at:
            holds.set_hold(
                order_id, name, actor=actor, reason=reason or _("undone"), owner=owner, until=end, at=at
            )


def _rush(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    check_allowed(actor, MAY_RUSH)
    order = opened_for(actor, order_id)
    if order.is_rush:
        raise BulkRefused("is_rush", _("The order is marked as a rush already."))
    data = {"fields": {"rush": True}}
    facts = say(order, "order.rush", [Saying(kind="order.changed", data=data)], actor=actor, at=at)
    return {"facts": [fact.pk for fact in facts]}


def _rejudge(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    check_allowed(actor, MAY_RUSH)
    order = opened_for(actor, order_id)
    events = settle(order.pk, at=at, cause=Cause(source="person", actor_id=actor.pk))
    audit.record("order.rejudged", order, after={"events": len(events)})
    return {}


def _date(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    day = parse_date(values["date"]) or date.min
    steps.confirm_date(order_id, actor=actor, date=day, at=at)
    return {"step": Step.DATE.value}


def _stock(order_id: int, values: dict[str, Any], actor: User, at: datetime) -> dict[str, Any]:
    with transaction.atomic():
        outcome = steps.lock_stock(order_id, actor=actor, at=at)
        if not outcome.locked:
            missing = ", ".join(f"{sku}: {n.normalize():f}" for sku, n in outcome.short.items())
            raise BulkRefused(
                "short", _("Nothing could be locked. Missing: %(missing)s.") % {"missing": missing}
            )
    return {"step": Step.STOCK.value}


def _unstep(order_id: int, before: dict[str, Any], actor: User, at: datetime) -> None:
    steps.undo_step(order_id, Step(before["step"]), actor=actor, reason=_("undone"), at=at)


_CLOSED = Skip("closed", gettext_lazy("closed already"), Q(is_open=False))


def _other_step(step: Step) -> Skip:
    return Skip("other_step", gettext_lazy("waiting for another step"), ~Q(next_step=step.value))


ACTIONS: dict[str, Action] = {
    one.code: one
    for one in (
        Action("assign", gettext_lazy("Reassign"), todos.MAY, AssignForm, _assign, _unassign, (_CLOSED,)),
        Action("note", gettext_lazy("Write a note"), notes.MAY, NoteForm, _note, _retract),
        Action(
            "hold", gettext_lazy("Put on hold"), holds.MAY, HoldForm, _hold, _unhold, (_CLOSED,)
        ),
        Action(
            "lift", gettext_lazy("Lift holds"), holds.MAY, ReasonForm, _lift, _hold_again,
            (Skip("not_held", gettext_lazy("not on hold"), Q(is_held=False)),),
        ),
        Action(
            "rush", gettext_lazy("Mark as rush"), MAY_RUSH, NothingForm, _rush, _retract,
            (_CLOSED, Skip("is_rush", gettext_lazy("marked already"), Q(is_rush=True))),
        ),
        Action("rejudge", gettext_lazy("Judge again"), MAY_RUSH, NothingForm, _rejudge),
        Action(
            "date", gettext_lazy("Confirm the date"), steps.MAY[Step.DATE], DateForm, _date, _unstep,
            (_CLOSED, _other_step(Step.DATE)), step=Step.DATE.value,
        ),
        Action(
            "stock", gettext_lazy("Lock stock"), steps.MAY[Step.STOCK], NothingForm, _stock, _unstep,
            (_CLOSED, _other_step(Step.STOCK)), step=Step.STOCK.value,
        ),
    )
}  # fmt: skip


def offered(user: Any) -> list[Action]:
    return [one for one in ACTIONS.values() if user.has_perm(one.permission)]


def plain(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """What a form gave, as JSON keeps it."""
    found: dict[str, Any] = {}
    for name, value in cleaned.items():
        if isinstance(value, User):
            found[name] = value.pk
        elif isinstance(value, date | datetime):
            found[name] = value.isoformat()
        else:
            found[name] = value
    return found


def undo_until(run: Any) -> datetime | None:
    """Until when the whole of a run can be taken back; None if its action has no way back."""
    action = ACTIONS.get(run.action)
    if action is None or action.undo is None or run.finished_at is None or run.undone_at is not None:
        return None
    window: timedelta = settings.UNDO_WINDOW
    return run.finished_at + window  # type: ignore[no-any-return]
