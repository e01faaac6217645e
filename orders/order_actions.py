"""What a person can do on the order's page: which forms are offered to whom, and what each of them calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders import audit, byhand, holds, notes, steps
from orders.models import Order
from orders.stages import Step, StepState

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action, in words for the person who did it."""

    is_done: bool
    text: str


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


def _note(order: Order, given: dict[str, Any], actor: User, at: datetime) -> str:
    notes.add_note(order.pk, given["text"], actor=actor, at=at)
    return _("The note is on the timeline.")


@dataclass(frozen=True, slots=True)
class Action:
    label: StrOrPromise
    permission: str
    form: type[forms.Form]
    run: Callable[[Order, dict[str, Any], Any, datetime], str]


ACTIONS: dict[str, Action] = {
    "date": Action(gettext_lazy("Confirm the date"), "orders.confirm_date", DateForm, _confirm_date),
    "stock": Action(gettext_lazy("Lock the stock"), "orders.lock_stock", LockForm, _lock_stock),
    "waybill": Action(gettext_lazy("Record the waybill"), "orders.make_waybill", WaybillForm, _make_waybill),
    "invoice": Action(
        gettext_lazy("Record the invoice"), "orders.issue_invoice", InvoiceForm, _issue_invoice
    ),
    "undo": Action(gettext_lazy("Undo the step"), "", StepReasonForm, _undo),
    "counter": Action(gettext_lazy("Take the step back"), "", StepReasonForm, _counter),
    "hold": Action(gettext_lazy("Put on hold"), "orders.hold_order", HoldForm, _hold),
    "lift": Action(gettext_lazy("Lift the hold"), "orders.hold_order", LiftForm, _lift),
    "note": Action(gettext_lazy("Write a note"), "orders.add_note", NoteForm, _note),
}


def run(code: str, order: Order, request: HttpRequest) -> Outcome:
    """Do what the form asks for, if this person may. A refusal leaves nothing behind and says why."""
    action = ACTIONS.get(code)
    if action is None:
        return Outcome(is_done=False, text=_("There is no such action."))
    form = action.form(request.POST, prefix=code)
    if not form.is_valid():
        return Outcome(is_done=False, text=_words(form))
    actor = cast("User", request.user)
    try:
        with audit.acting(actor=actor, way="admin"):
            return Outcome(is_done=True, text=action.run(order, form.cleaned_data, actor, now()))
    except (byhand.Refused, ValidationError) as refusal:
        return Outcome(is_done=False, text=str(refusal))


def _words(form: forms.Form) -> str:
    said = [
        f"{form.fields[name].label}: {errors[0]}"
        for name, errors in form.errors.items()
        if name in form.fields
    ]
    return " ".join(said) or _("The form is not complete.")


def offered(order: Order, request: HttpRequest) -> dict[str, Any]:
    """The forms this person may use on this order now, by place on the page."""
    user = request.user
    open_steps = [row.step for row in order.steps.all() if row.state == StepState.OPEN.value]
    codes = [code for code in open_steps if user.has_perm(ACTIONS[code].permission)]
    codes += [code for code in ("hold", "note") if user.has_perm(ACTIONS[code].permission)]
    may_lift = user.has_perm(ACTIONS["lift"].permission)
    return {
        "forms": [_form(code) for code in codes],
        "undo": {row.step: _form("undo", step=row.step) for row in order.steps.all() if _may_undo(row, user)},
        "lift": {hold.name: _form("lift", name=hold.name) for hold in order.holds.all()} if may_lift else {},
        "waiting_for": [
            Step(step).label for step in open_steps if not user.has_perm(ACTIONS[step].permission)
        ],
    }


def _form(code: str, **initial: str) -> dict[str, Any]:
    action = ACTIONS[code]
    form = action.form(prefix=code, initial=initial)
    return {"code": code, "label": action.label, "form": form, "is_step": code in Step.values}


def _may_undo(row: Any, user: Any) -> bool:
    may = user.has_perm(steps.MAY[Step(row.step)]) or user.has_perm(steps.MAY_LATE)
    return bool(may and row.state == StepState.DONE.value)
