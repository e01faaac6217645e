"""Calendars in the admin, as an operations manager sees them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import time_machine
from django.contrib.admin import site
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.admin_calendar import CalendarDayForm, WorkCalendarForm, next_days
from orders.models import AuditEntry
from orders.worktime import CalendarDay, WorkCalendar, calendar_of, ensure_holidays

pytestmark = pytest.mark.django_db

WEEK = {
    "monday": "08:00-12:00, 13:00-17:00",
    "tuesday": "8：00－12：00，13：00－17：00",
    "wednesday": "22:00-06:00",
    "thursday": "",
    "friday": "09:00-12:00",
    "saturday": "",
    "sunday": "",
}
FIELDS = {"name": "Warehouse", "timezone": "Asia/Shanghai", "follows_chinese_holidays": "on"}
# What the page of a calendar sends beside its fields: its own days, none here.
NO_DAYS = {"days-TOTAL_FORMS": "0", "days-INITIAL_FORMS": "0"}


@pytest.fixture(autouse=True)
def _english_demo(settings):
    # A demo asks no second factor, so that a plain login gets to the pages.
    settings.DEMO = True
    settings.LANGUAGE_CODE = "en"


def test_a_week_is_entered_as_seven_lines():
    form = WorkCalendarForm({**FIELDS, **WEEK})

    row = form.save()

    half = [["08:00", "12:00"], ["13:00", "17:00"]]
    row.refresh_from_db()
    assert row.week == [half, half, [["22:00", "06:00"]], [], [["09:00", "12:00"]], [], []]


def test_a_new_calendar_offers_the_standard_week_and_an_old_one_its_own():
    row = WorkCalendar.objects.create(name="Night", week=[[["22:00", "06:00"]]] * 5 + [[], []])

    assert [WorkCalendarForm()[day].value() for day in WEEK] == ["09:00-18:00"] * 5 + ["", ""]
    assert [WorkCalendarForm(instance=row)[day].value() for day in WEEK] == ["22:00-06:00"] * 5 + ["", ""]


def test_a_line_that_cannot_be_read_is_named_and_nothing_is_saved():
    form = WorkCalendarForm({**FIELDS, **WEEK, "friday": "nine to five"})

    assert not form.is_valid()
    assert list(form.errors) == ["friday"]
    assert "“nine to five” is not a shift" in form.errors["friday"][0]
    assert not WorkCalendar.objects.exists()


def test_a_week_without_any_work_is_refused():
    form = WorkCalendarForm({**FIELDS, **dict.fromkeys(WEEK, "")})

    assert not form.is_valid()
    assert "No day of this week has a shift" in form.non_field_errors()[0]


def test_a_day_that_a_person_changes_becomes_theirs():
    row = CalendarDay.objects.create(
        day=date(2026, 10, 7), is_worked=False, is_loaded=True, name="National Day"
    )
    form = CalendarDayForm(
        {"day": "2026-10-07", "is_worked": "on", "shifts": "09:00-12:00", "name": "x"}, instance=row
    )

    form.save()

    row.refresh_from_db()
    assert (row.is_loaded, row.is_worked, row.shifts) == (False, True, [["09:00", "12:00"]])


def test_a_day_that_is_saved_unchanged_stays_the_loaders():
    row = CalendarDay.objects.create(
        day=date(2026, 10, 7), is_worked=False, is_loaded=True, name="National Day"
    )

    CalendarDayForm({"day": "2026-10-07", "shifts": "", "name": "National Day"}, instance=row).save()

    row.refresh_from_db()
    assert row.is_loaded


def test_the_next_days_show_shifts_holidays_and_what_is_provisional():
    ensure_holidays(datetime(2026, 12, 30, tzinfo=UTC))
    row = WorkCalendar.objects.create(name="Night", week=[[["22:00", "06:00"]]] * 5 + [[], []])

    shown = next_days(calendar_of(row), datetime(2026, 12, 30, 16, tzinfo=UTC), 3)

    assert [(f"{day['day']:%m-%d}", day["shifts"], day["is_provisional"], day["name"]) for day in shown] == [
        ("12-31", "22:00-06:00 next day", False, ""),
        ("01-01", "", True, "New Year's Day"),
        ("01-02", "", True, ""),
    ]


@time_machine.travel(datetime(2026, 10, 9, 2, tzinfo=UTC), tick=False)
def test_the_page_of_a_calendar_shows_the_week_as_text_and_the_next_14_days(admin_client):
    ensure_holidays(datetime(2026, 10, 9, 2, tzinfo=UTC))
    row = WorkCalendar.objects.create(name="Warehouse")

    page = admin_client.get(reverse("admin:orders_workcalendar_change", args=[row.pk])).content.decode()

    assert page.count('value="09:00-18:00"') == 5
    assert "2026-10-10" in page
    assert "2026-10-22" in page
    assert "2026-10-23" not in page


def test_saving_the_page_stores_the_week_and_leaves_one_audit_row(admin_client):
    row = WorkCalendar.objects.create(name="Warehouse")

    answer = admin_client.post(
        reverse("admin:orders_workcalendar_change", args=[row.pk]), {**FIELDS, **WEEK, **NO_DAYS}
    )

    assert answer.status_code == 302
    row.refresh_from_db()
    assert row.week[2] == [["22:00", "06:00"]]
    changes = AuditEntry.objects.filter(model="orders.workcalendar", action="change")
    assert [sorted(change.after) for change in changes] == [["week"]]


def test_saving_a_refused_page_shows_the_reason_and_keeps_the_week(admin_client):
    row = WorkCalendar.objects.create(name="Warehouse")

    answer = admin_client.post(
        reverse("admin:orders_workcalendar_change", args=[row.pk]),
        {**FIELDS, **WEEK, **NO_DAYS, "friday": "25:00-26:00"},
    )

    assert answer.status_code == 200
    assert "is not a time of day" in answer.content.decode()
    row.refresh_from_db()
    assert row.week[2] == [["09:00", "18:00"]]


def test_days_of_one_calendar_are_added_on_its_page(admin_client):
    row = WorkCalendar.objects.create(name="Warehouse")
    day = {
        "days-0-day": "2026-03-04",
        "days-0-is_worked": "on",
        "days-0-shifts": "09:00-12:00",
        "days-0-name": "half",
    }

    admin_client.post(
        reverse("admin:orders_workcalendar_change", args=[row.pk]),
        {**FIELDS, **WEEK, **NO_DAYS, **day, "days-TOTAL_FORMS": "1", "days-0-calendar": str(row.pk)},
    )

    saved = CalendarDay.objects.get()
    assert (saved.calendar, saved.day, saved.shifts) == (row, date(2026, 3, 4), [["09:00", "12:00"]])


def test_confirming_days_makes_them_certain_and_a_persons(admin_client):
    ensure_holidays(datetime(2026, 11, 22, tzinfo=UTC))
    chosen = CalendarDay.objects.get(day=date(2027, 1, 1))

    admin_client.post(
        reverse("admin:orders_calendarday_changelist"),
        {"action": "confirm_days", "_selected_action": [chosen.pk]},
    )

    chosen.refresh_from_db()
    assert (chosen.is_provisional, chosen.is_loaded) == (False, False)
    assert CalendarDay.objects.filter(is_provisional=True).count() == 12


def test_the_list_of_days_asks_the_same_queries_for_many_days(admin_client, django_assert_num_queries):
    row = WorkCalendar.objects.create(name="Warehouse")
    CalendarDay.objects.create(calendar=row, day=date(2026, 3, 4), is_worked=False)
    address = reverse("admin:orders_calendarday_changelist")
    admin_client.get(address)
    with CaptureQueriesContext(connection) as for_one:
        admin_client.get(address)
    for day in range(5, 25):
        CalendarDay.objects.create(calendar=row, day=date(2026, 3, day), is_worked=False)

    with django_assert_num_queries(len(for_one)):
        page = admin_client.get(address).content.decode()

    assert page.count("Warehouse") >= 21


def test_both_kinds_of_record_are_registered():
    assert site.is_registered(WorkCalendar)
    assert site.is_registered(CalendarDay)
