"""What a person can do on the order's page: which forms are offered to whom, and what each of them calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils.text import slugify
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders import audit, byhand, disputes, holds, notes, steps, todos
from orders.access import role_label
from orders.journal import in_words
from orders.models import Order, OrderEvent, OrderFact, Todo
from orders.stages import Step, StepState

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action, in words for the person who did it.

    undo: how the page names the way back ("step:date", "hold.set:9f…"); empty if there is none. form: what was typed,
    after a refusal. status: of the answer, after a refusal.
    """

    is_done: bool
    text: str
    code: str = ""
    undo: str = ""
    form: forms.Form | None = None
    status: int = 200


class DateForm(forms.Form):
    date = forms.DateField(label=gettext_lazy("Date"), widget=forms.DateInput(attrs={"type": "date"}))


class LockForm(forms.Form):
    pass


class WaybillForm(forms.Form):
    waybill = forms.CharField(label=gettext_lazy("Waybill number"), max_length=40)
    carrier = forms.CharField(label=gettext_lazy("Carrier"), max_length=40)


class InvoiceForm(forms.Form):
    number = forms.CharField(label=gettext_lazy("Invoice number"), max_length=40)


class StepReasonForm(forms.Form):
    step = forms.ChoiceField(label=gettext_lazy("Step"), choices=Step.choices, widget=forms.HiddenInput)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)


class HoldForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name of the hold"), max_length=60)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)
    until = forms.DateTimeField(
        label=gettext_lazy("Until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


class LiftForm(forms.Form):
    name = forms.CharField(max_length=60, widget=forms.HiddenInput)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)


class TakeBackForm(forms.Form):
    key = forms.CharField(max_length=128, widget=forms.HiddenInput)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)


class TodoForm(forms.Form):
    todo = forms.IntegerField(widget=forms.HiddenInput)
    outcome = forms.CharField(label=gettext_lazy("What came of it"), max_length=200)


class NoteForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("Note"), max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
    )


def _confirm_date(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    steps.confirm_date(order.pk, actor=actor, date=given["date"], at=at)
    return _("The date is confirmed.")


def _lock_stock(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    outcome = steps.lock_stock(order.pk, actor=actor, at=at)
    if outcome.short:
        missing = ", ".join(f"{sku}: {qty.normalize():f}" for sku, qty in outcome.short.items())
        return _("Locked what there is. Still short: %(missing)s.") % {"missing": missing}
    return _("The stock is locked.")


def _make_waybill(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    steps.make_waybill(order.pk, actor=actor, waybill=given["waybill"], carrier=given["carrier"], at=at)
    return _("Waybill %(waybill)s belongs to the order.") % {"waybill": given["waybill"]}


def _issue_invoice(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    steps.issue_invoice(order.pk, actor=actor, number=given["number"], at=at)
    return _("The invoice is recorded.")


def _undo(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    steps.undo_step(order.pk, Step(given["step"]), actor=actor, reason=given["reason"], at=at)
    return _("The step is open again.")


def _counter(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    steps.counter_action(order.pk, Step(given["step"]), actor=actor, reason=given["reason"], at=at)
    return _("Done: %(what)s.") % {"what": steps.counter_label(Step(given["step"]))}


def _hold(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    holds.set_hold(order.pk, given["name"], actor=actor, reason=given["reason"], until=given["until"], at=at)
    return _("The order is on hold.")


def _lift(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    holds.lift_hold(order.pk, given["name"], actor=actor, reason=given["reason"], at=at)
    return _("The hold is lifted.")


def _take_back(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    disputes.take_back(order.pk, given["key"], actor=actor, reason=given["reason"], at=at)
    return _("Taken back: %(what)s.") % {"what": light_label(given["key"])}


def _close_todo(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    if not Todo.objects.filter(pk=given["todo"], order=order).exists():
        raise byhand.Refused("not_found", _("This to-do belongs to another order. Reload the page."))
    todos.close(given["todo"], actor=actor, outcome=given["outcome"], at=at)
    return _("The to-do is closed.")


def _note(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    notes.add_note(order.pk, given["text"], actor=actor, at=at)
    return _("The note is on the timeline.")


@dataclass(frozen=True, slots=True)
class Action:
    """permission: empty if it depends on the step, which the form names. undo: how the way back is named."""

    label: StrOrPromise
    permission: str
    form: type[forms.Form]
    run: Callable[[Order, dict[str, Any], Any, datetime], str]
    undo: str = ""
    # Whether it must not run on an order that has changed since the page was opened.
    is_for_what_was_seen: bool = True


ACTIONS: dict[str, Action] = {
    "date": Action(
        gettext_lazy("Confirm the date"), "orders.confirm_date", DateForm, _confirm_date, "step:date"
    ),
    "stock": Action(gettext_lazy("Lock the stock"), "orders.lock_stock", LockForm, _lock_stock, "step:stock"),
    "waybill": Action(
        gettext_lazy("Record the waybill"), "orders.make_waybill", WaybillForm, _make_waybill, "step:waybill"
    ),
    "invoice": Action(
        gettext_lazy("Record the invoice"),
        "orders.issue_invoice",
        InvoiceForm,
        _issue_invoice,
        "step:invoice",
    ),
    "undo": Action(gettext_lazy("Undo the step"), "", StepReasonForm, _undo),
    "counter": Action(gettext_lazy("Take the step back"), "", StepReasonForm, _counter),
    "hold": Action(gettext_lazy("Put on hold"), "orders.hold_order", HoldForm, _hold, "hold.set"),
    "lift": Action(gettext_lazy("Lift the hold"), "orders.hold_order", LiftForm, _lift, "hold.lifted"),
    "takeback": Action(gettext_lazy("Take back"), "", TakeBackForm, _take_back),
    "note": Action(
        gettext_lazy("Write a note"),
        "orders.add_note",
        NoteForm,
        _note,
        "note.added",
        is_for_what_was_seen=False,
    ),
    "todo": Action(
        gettext_lazy("Close the to-do"),
        "orders.change_todo",
        TodoForm,
        _close_todo,
        is_for_what_was_seen=False,
    ),
}
LIGHT_LABELS: dict[str, StrOrPromise] = {
    disputes.DECISION: gettext_lazy("source chosen"),
    "hold.set": gettext_lazy("put on hold"),
    "hold.lifted": gettext_lazy("hold lifted"),
    "note.added": gettext_lazy("note written"),
}


def light_label(key: str) -> str:
    """What a light action was, in words: the beginning of its key says it."""
    return str(LIGHT_LABELS.get(key.partition(":")[0], ""))


def run(code: str, order: Order, request: HttpRequest) -> Outcome:
    """Do what the form asks for, if this person may. A refusal leaves nothing behind and says why.

    Raises PermissionDenied, which names the permission that is missing.
    """
    action = ACTIONS.get(code)
    if action is None:
        return Outcome(is_done=False, text=_("There is no such action."), status=404)
    form = action.form(request.POST, prefix=code)
    _check_permission(action, form, request)
    refused = partial(Outcome, is_done=False, code=code, form=form)
    if not form.is_valid():
        return refused(text=_words(form), status=422)
    if action.is_for_what_was_seen and (news := news_since([order], request.POST.get("seen", ""))):
        return refused(text=news, status=409)
    actor = cast("User", request.user)
    try:
        with audit.acting(actor=actor, way="admin"):
            text = action.run(order, form.cleaned_data, actor, now())
    except (byhand.Refused, ValidationError) as refusal:
        return refused(text=str(refusal), status=422)
    return Outcome(is_done=True, text=text, code=code, undo=_undo_name(action, order, actor))


def _check_permission(action: Action, form: forms.Form, request: HttpRequest) -> None:
    wanted = [action.permission] if action.permission else []
    if isinstance(form, StepReasonForm):
        step = request.POST.get(form.add_prefix("step"), "")
        wanted = [steps.MAY[Step(step)], steps.MAY_LATE] if step in Step.values else []
    if wanted and not any(request.user.has_perm(permission) for permission in wanted):
        raise PermissionDenied(wanted[0])


def _undo_name(action: Action, order: Order, actor: User) -> str:
    """How the page names the way back from what was just done."""
    if not action.undo or action.undo.startswith("step:"):
        return action.undo
    said = OrderFact.objects.filter(reference__value=order.number, reference__kind="number", actor=actor)
    fact = said.filter(key__startswith=f"{action.undo}:").order_by("-pk").first()
    return disputes.action_key(fact.key) if fact else ""


def news_since(orders: Iterable[Order], seen: str) -> str:
    """What has happened to the orders since the event of that id, in words; empty if nothing has, or nobody says."""
    if not seen.isdecimal() or len(seen) > 18:
        return ""
    event = OrderEvent.objects.filter(order__in=orders, pk__gt=int(seen)).order_by("-pk").first()
    if event is None:
        return ""
    words = in_words(event)
    return _(
        "The order has changed since you opened this page: %(what)s is now “%(new)s”. Nothing was done. "
        "Look at it, then press again."
    ) % {"what": words["name"], "new": words["new"] or _("no")}


def _words(form: forms.Form) -> str:
    said = [
        f"{form.fields[name].label}: {errors[0]}"
        for name, errors in form.errors.items()
        if name in form.fields
    ]
    return " ".join(said) or _("The form is not complete.")


def offered(
    order: Order,
    request: HttpRequest,
    rows: Sequence[Any],
    held: Sequence[Any],
    bar: Sequence[Any],
    failed: Outcome | None = None,
) -> dict[str, Any]:
    """The forms this person may use on this order now, by place on the page. A refused one keeps what was typed.

    rows, held: the order's steps and holds. bar: the steps as the page shows them.
    """
    user = request.user
    open_steps = [row.step for row in rows if row.state == StepState.OPEN.value]
    may = {code for code, action in ACTIONS.items() if action.permission and user.has_perm(action.permission)}
    return {
        "steps": [_form(code, failed) for code in open_steps if code in may],
        "others": [_form(code, failed) for code in ("hold", "note") if code in may],
        "back": {
            cell.step: _form(cell.back.code, failed, "step", cell.step.value) for cell in bar if cell.back
        },
        "lift": {hold.name: _form("lift", failed, "name", hold.name) for hold in held}
        if "lift" in may
        else {},
        "may_close_todos": "todo" in may,
        "waiting_for": [
            {"step": Step(row.step).label, "role": role_label(row.owner)}
            for row in rows
            if row.step in open_steps and row.step not in may
        ],
    }


def named_for(user: Any, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """What this person could do next on an order with these steps: codes and labels, without forms."""
    codes = [row.step for row in rows if row.state == StepState.OPEN.value]
    return [
        {"code": code, "label": ACTIONS[code].label}
        for code in [*codes, "note"]
        if user.has_perm(ACTIONS[code].permission)
    ]


def _form(code: str, failed: Outcome | None = None, name: str = "", value: str = "") -> dict[str, Any]:
    """One form. name, value: what it is about, hidden in it."""
    action = ACTIONS[code]
    mark = slugify(value, allow_unicode=True)
    form = action.form(
        prefix=code, initial={name: value} if name else None, auto_id=f"{mark}-%s" if mark else "%s"
    )
    mine = failed.form if failed and failed.code == code else None
    is_mine = mine is not None and (not name or mine.data.get(mine.add_prefix(name)) == value)
    return {"code": code, "label": action.label, "form": mine if is_mine else form, "has_failed": is_mine}
