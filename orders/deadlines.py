"""Until when: the silence clock of a stage and the due times of steps, on the calendar of the order's warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from time import monotonic

from orders.derivation import Derivation
from orders.masters import Warehouse
from orders.models import Order
from orders.stages import STAGE_ROWS, STALLS_AFTER_ABROAD, STEP_ROWS, Step, StepState
from orders.worktime import (
    Calendar,
    CalendarNeverOpens,
    add_working,
    add_working_days,
    calendar_of,
    default_calendar,
)

HOME = {"", "CN"}

# Which calendar each warehouse keeps. Re-read after a few seconds: a manager's change need not be instant.
_CACHE_FOR = 5.0
_calendars: dict[int, Calendar] = {}
_read_at = 0.0


def calendar_for(warehouse_id: int | None) -> Calendar:
    """The warehouse's calendar, or the default one."""
    global _read_at  # noqa: PLW0603
    if monotonic() - _read_at > _CACHE_FOR:
        _calendars.clear()
        _read_at = monotonic()
    if warehouse_id is None:
        return default_calendar()
    if warehouse_id not in _calendars:
        warehouse = Warehouse.objects.select_related("calendar").filter(pk=warehouse_id).first()
        row = warehouse.calendar if warehouse else None
        _calendars[warehouse_id] = calendar_of(row) if row else default_calendar()
    return _calendars[warehouse_id]


def stall_deadline(order: Order, answer: Derivation) -> datetime | None:
    """When silence becomes a stall; None for closed orders and for orders on a hold without an end.

    The clock starts at the last material fact, and, for an order that is on hold, not before the hold ends.
    """
    if not answer.is_open or answer.clock_from is None:
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
        return add_working(start, row.stalls_after, calendar_for(order.warehouse_id))
    except CalendarNeverOpens:
        # A calendar that a manager emptied must not stop facts from settling; the system check names it.
        return start + row.stalls_after


def step_deadlines(
    order: Order, answer: Derivation, known: Mapping[str, datetime | None]
) -> dict[Step, datetime | None]:
    """Due times of the open steps. A step that was open before keeps the due time it had (known, by step)."""
    return {
        view.step: known[view.step.value]
        if view.step.value in known
        else step_due(view.step, view.opened_at, order)
        for view in answer.steps
        if view.state == StepState.OPEN
    }


def step_due(step: Step, opened_at: datetime, order: Order) -> datetime | None:
    row = STEP_ROWS[step]
    calendar = calendar_for(order.warehouse_id)
    try:
        if row.due_in_days:
            return add_working_days(opened_at, row.due_after.days, calendar)
        return add_working(opened_at, row.due_after, calendar)
    except CalendarNeverOpens:
        return opened_at + row.due_after
