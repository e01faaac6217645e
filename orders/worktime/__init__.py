"""Working calendars: which days are worked, in which shifts, and arithmetic on working time.

shifts.py reads and checks shifts, hours.py counts (no database), records.py holds the rows, book.py makes a Calendar of
them, holidays.py loads what the state publishes.
"""

from __future__ import annotations

from orders.worktime.book import calendar_of, default_calendar
from orders.worktime.holidays import ensure_holidays, load_chinese_holidays, missing_year
from orders.worktime.hours import (
    Calendar,
    CalendarClosedTooLong,
    CalendarNeverOpens,
    Day,
    add_working,
    add_working_days,
    is_open,
    is_provisional,
    working_between,
)
from orders.worktime.records import CalendarDay, WorkCalendar

__all__ = [
    "Calendar",
    "CalendarClosedTooLong",
    "CalendarDay",
    "CalendarNeverOpens",
    "Day",
    "WorkCalendar",
    "add_working",
    "add_working_days",
    "calendar_of",
    "default_calendar",
    "ensure_holidays",
    "is_open",
    "is_provisional",
    "load_chinese_holidays",
    "missing_year",
    "working_between",
]
