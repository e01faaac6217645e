"""A line of the journal in the reader's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from orders.models import Order, OrderEvent
from orders.stages import Intent, Invoice, ParcelState, Payment, Stage, Step, StepState

AXES: dict[str, Mapping[str, StrOrPromise]] = {
    "stage": dict(Stage.choices),
    "payment": dict(Payment.choices),
    "invoice": dict(Invoice.choices),
    "intent": dict(Intent.choices),
    "partial_of": dict(Stage.choices),
    "stalled": dict(Stage.choices),
}


def name_of(event: OrderEvent) -> str:
    """What the event is about: a step, a parcel, a hold, or a column of the order."""
    if event.kind == OrderEvent.Kind.STEP and event.name in Step.values:
        return str(Step(event.name).label)
    if event.kind == OrderEvent.Kind.STALLED:
        return str(event.get_kind_display())
    before, colon, after = event.name.partition(":")
    if colon and before == "parcel":
        return _("state of parcel %(waybill)s") % {"waybill": after}
    if colon and before == "hold":
        return _("hold “%(name)s”") % {"name": after}
    try:
        return str(getattr(Order._meta.get_field(event.name), "verbose_name", event.name))
    except FieldDoesNotExist:
        return event.name


def value_of(event: OrderEvent, value: str) -> str:
    """What it was, or became. Numbers and dates stand as they are."""
    if value == "yes":
        return _("yes")
    if event.kind == OrderEvent.Kind.STEP:
        labels: Mapping[str, StrOrPromise] = dict(StepState.choices)
    elif event.name.startswith("parcel:"):
        labels = dict(ParcelState.choices)
    else:
        labels = AXES.get(event.name, {})
    return str(labels.get(value, value))


def in_words(event: OrderEvent) -> dict[str, Any]:
    """The event with its name, what was, what became, and the stages passed over, for a page."""
    return {
        "event": event,
        "name": name_of(event),
        "old": value_of(event, event.old),
        "new": value_of(event, event.new),
        "passed": [str(AXES["stage"].get(stage, stage)) for stage in event.passed],
    }
