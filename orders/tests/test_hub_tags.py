"""The words and signs that every screen shares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from django.utils.translation import override

from orders import states
from orders.models import Order
from orders.stages import Stage
from orders.templatetags import hub

AGREED = """
    danger warn ok info stale gate search plus close more left right up down undo filter
    columns density export table kanban clock live cut check lock truck receipt user link copy
    edit trash help keyboard sun moon upload download play pause bell note merge split
    settings
"""
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def rendered(text: str, **context: object) -> str:
    return Template("{% load hub %}" + text).render(Context(context))


@pytest.fixture(autouse=True)
def _at_noon_in_shanghai():
    with time_machine.travel(NOON, tick=False), override("en"):
        yield


def test_an_icon_is_drawn_in_the_page_and_hidden_from_readers():
    assert rendered('{% icon "plus" %}') == (
        '<svg class="icon icon-plus" viewBox="0 0 16 16" aria-hidden="true" focusable="false">'
        '<path d="M8 2.8v10.4M2.8 8h10.4"/></svg>'
    )


def test_an_unknown_icon_is_an_error_and_not_a_hole():
    with pytest.raises(KeyError, match="unicorn"):
        rendered('{% icon "unicorn" %}')


def test_every_icon_that_the_screens_agreed_on_is_drawn():
    for name in AGREED.split():
        assert name in hub.shapes()


def test_a_chip_says_by_shape_and_word_what_its_colour_says():
    html = rendered('{% chip "danger" word %}', word="Late <b>")

    assert html.startswith('<span class="chip chip-danger"><svg class="icon icon-danger"')
    assert html.endswith("<span>Late &lt;b&gt;</span></span>")


def test_a_chip_of_no_known_meaning_is_refused():
    with pytest.raises(ValueError, match="not 'purple'"):
        rendered('{% chip "purple" "x" %}')


@pytest.mark.parametrize(
    ("stage", "meaning"),
    [
        (Stage.AWAITING_STOCK, "info"),
        (Stage.COMPLETED, "ok"),
        (Stage.CANCELLED, "neutral"),
        (Stage.RETURNING, "warn"),
    ],
)
def test_the_chip_of_a_stage_never_turns_red(stage, meaning):
    html = rendered("{% stage_chip order %}", order=Order(stage=stage))

    assert html.startswith(f'<span class="chip chip-{meaning}">')
    assert str(stage.label) in html


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3, minutes=59), "3 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=2, hours=5), "2 days ago"),
        (-timedelta(minutes=7), "in 7 min"),
    ],
)
def test_a_moment_says_how_long_ago_in_one_unit(ago, words):
    assert hub.since(NOON - ago, NOON) == words


def test_a_moment_is_relative_and_absolute_in_the_readers_zone():
    html = rendered("{{ at|moment }}", at=NOON - timedelta(hours=3))

    assert html == (
        '<time class="moment" datetime="2026-11-22T09:00:00+08:00" title="2026-11-22 09:00:00 Asia/Shanghai">'
        "3 h ago · 11-22 09:00</time>"
    )


def test_another_zone_moves_the_clock_but_not_the_distance():
    with timezone.override("Europe/Berlin"):
        html = rendered("{{ at|moment }}", at=NOON - timedelta(hours=3))

    assert "3 h ago · 11-22 02:00" in html
    assert 'title="2026-11-22 02:00:00 Europe/Berlin"' in html


def test_a_year_is_named_when_it_is_another_one():
    assert ">2025-11-22 12:00</time>" in rendered("{{ at|clock }}", at=NOON.replace(year=2025))


def test_no_time_is_a_dash():
    assert rendered("{{ at|moment }}{{ at|clock }}{{ at|lasting }}{% countdown at %}", at=None) == "––––"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(minutes=9, seconds=59), "9 min"),
        (timedelta(hours=6, minutes=3), "6 h 03 min"),
        (timedelta(days=3, hours=7, minutes=40), "3 d 7 h"),
        (-timedelta(hours=1, minutes=2), "1 h 02 min"),
    ],
)
def test_a_length_has_two_units(length, words):
    assert hub.lasting(length) == words


def test_a_countdown_says_what_is_left_and_carries_what_a_script_needs():
    html = rendered("{% countdown at %}", at=NOON + timedelta(hours=6, minutes=23))

    assert html == (
        '<time class="countdown num" role="timer" aria-live="off" data-at="2026-11-22T10:23:00+00:00" '
        'datetime="2026-11-22T10:23:00+00:00" title="2026-11-22 18:23:00 Asia/Shanghai">6 h 23 min left</time>'
    )


def test_a_countdown_that_has_run_out_says_by_how_much():
    html = rendered("{% countdown at %}", at=NOON - timedelta(hours=1, minutes=2))

    assert 'class="countdown num over"' in html
    assert html.endswith(">1 h 02 min over</time>")


def test_a_number_says_where_it_came_from_and_when():
    html = rendered('{% provenance "SF" got was %}', got=NOON, was=NOON - timedelta(days=1))

    assert 'aria-label="Source SF · fetched 12:00:00 · happened 11-21 12:00"' in html
    assert "tabindex" not in html


def test_inside_a_grid_a_source_is_no_tab_stop():
    assert ' tabindex="-1">' in rendered('{% provenance "SF" tab=False %}')


def test_a_state_is_shown_on_request_only_where_the_settings_allow_it(settings):
    request = RequestFactory().get("/", {"_state": "error"})

    settings.SHOW_STATES = False
    assert states.forced(request) == ""
    settings.SHOW_STATES = True
    assert states.forced(request) == "error"


def test_a_state_that_does_not_exist_is_none(settings):
    settings.SHOW_STATES = True

    assert states.forced(RequestFactory().get("/", {"_state": "../../etc"})) == ""
