"""Until when: the silence clock of a stage and the due times of steps, on the calendar of the order's warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orders.answer import Derivation, StepView
from orders.masters import Warehouse
from orders.models import Order
from orders.stages import STAGE_ROWS, STALLS_AFTER_ABROAD, STEP_ROWS, Intent, Stage, Step, StepState
from orders.worktime import (
    Calendar,
    CalendarNeverOpens,
    WorkCalendar,
    add_working,
    add_working_days,
    calendar_of,
    default_calendar,
)

HOME = {"", "CN"}


def calendar_version() -> str:
    """The state of all calendars: another one whenever any calendar or day was changed. One query."""
    return WorkCalendar.objects.order_by("pk").values_list("version", flat=True).first() or "none"


@dataclass(frozen=True, slots=True)
class GivenDue:
    """Until when a stored step was to be done, and what it was given for."""

    is_open: bool
    opened_at: datetime
    due_at: datetime | None


class Calendars:
    """The calendars that one batch of orders needs, each read once and as it is now."""

    def __init__(self) -> None:
        self._known: dict[int | None, Calendar] = {}
        self.version = calendar_version()

    def of(self, warehouse_id: int | None) -> Calendar:
        """The warehouse's calendar, or the default one."""
        if warehouse_id not in self._known:
            self._known[warehouse_id] = self._read(warehouse_id)
        return self._known[warehouse_id]

    def _read(self, warehouse_id: int | None) -> Calendar:
        if warehouse_id is None:
            return default_calendar()
        warehouse = Warehouse.objects.select_related("calendar").filter(pk=warehouse_id).first()
        row = warehouse.calendar if warehouse else None
        return calendar_of(row) if row else self.of(None)


def stall_deadline(order: Order, answer: Derivation, calendars: Calendars) -> datetime | None:
    """When silence becomes a stall; None for closed orders, for a hold without an end, and where only time is awaited.

    The clock starts at the last material fact, and, for an order that is on hold, not before the hold ends.
    """
    if not answer.is_open or answer.clock_from is None:
        return None
    if answer.stage == Stage.DELIVERED and answer.due_again_at is not None and answer.intent == Intent.GO:
        # Nobody owes anything: the after-sale window closes by itself.
        return None
    start = answer.clock_from
    for hold in answer.holds:
        if hold.until is None:
            return None
        start = max(start, hold.until)
    row = STAGE_ROWS[answer.stage]
    if not row.working:
        abroad = answer.stage in STALLS_AFTER_ABROAD and order.country not in HOME
        return start + (STALLS_AFTER_ABROAD[answer.stage] if abroad else row.stalls_after)
    try:
        return add_working(start, row.stalls_after, calendars.of(order.warehouse_id))
    except CalendarNeverOpens:
        # A calendar that a manager emptied must not stop facts from settling; the system check names it.
        return start + row.stalls_after


def step_deadlines(
    order: Order,
    answer: Derivation,
    known: Mapping[str, GivenDue],
    calendars: Calendars,
    *,
    is_moved_calendar: bool = False,
) -> dict[Step, datetime]:
    """Due times of all steps that are or were to be done. known: what is stored, by step.

    An open step keeps the due time it was given unless the calendar has changed since. A step that is done keeps it
    always; if its whole life was reported at once, it gets the one it would have been given.
    """
    return {
        view.step: _given(view, known.get(view.step.value), is_moved_calendar=is_moved_calendar)
        or step_due(view.step, view.opened_at, calendars.of(order.warehouse_id))
        for view in answer.steps
        if view.state != StepState.VOID
    }


def _given(view: StepView, stored: GivenDue | None, *, is_moved_calendar: bool) -> datetime | None:
    """The due time that stands, None if there is to be a new one."""
    if stored is None:
        return None
    if view.state == StepState.OPEN:
        return stored.due_at if stored.is_open and not is_moved_calendar else None
    return stored.due_at if stored.is_open or stored.opened_at == view.opened_at else None


def step_due(step: Step, opened_at: datetime, calendar: Calendar) -> datetime:
    """When a step that opened then is due."""
    row = STEP_ROWS[step]
    try:
        if row.due_in_days:
            return add_working_days(opened_at, row.due_after.days, calendar)
        return add_working(opened_at, row.due_after, calendar)
    except CalendarNeverOpens:
        return opened_at + row.due_after
