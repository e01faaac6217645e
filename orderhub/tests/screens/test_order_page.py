"""The order's page in a real browser: how it fits, how it is used by keyboard, and what happens while it is open."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.timezone import now

from orderhub.bench.browser import overflow, small_targets, violations
from orders import holds, notes
from orders.models import Order
from orders.tests.factories import add_fact, make_customer, make_order, make_shop, make_warehouse, settled
from orders.tests.staff import make_staff


@pytest.fixture
def manager():
    return make_staff("ops_manager", "sales")


@pytest.fixture
def order(manager) -> Order:
    """An order that two sources disagree about, with notes, a hold, parcels and several words on its total."""
    begun = now() - timedelta(hours=30)
    make_customer("key-7", name="Northern Parts", stars=4)
    order = make_order(
        shop=make_shop("parts", name="Parts shop", warehouse=make_warehouse("north", name="North")),
        external_id="240011223344",
        placed_at=begun,
        lines={"BRK-001": 4, "OIL-5W30": 12},
        fields={"total": "1280.50", "currency": "CNY", "customer": "key-7", "remark": "before noon"},
    )
    at = begun + timedelta(hours=2)
    add_fact(order, "order.changed", occurred_at=at, role="erp", data={"fields": {"total": "1290.00"}})
    add_fact(order, "cancel.accepted", occurred_at=at + timedelta(hours=1))
    add_fact(order, "parcel.handed_over", occurred_at=at + timedelta(hours=3), role="wms", parcel="SF1000222")
    order = settled(order, at=at + timedelta(hours=3))
    holds.set_hold(order.pk, "address", actor=manager, reason="street is missing", at=now())
    for text in ("Customer called.", "Carrier asked."):
        notes.add_note(order.pk, text, actor=manager, at=now())
    return Order.objects.get(pk=order.pk)


def address(order: Order, query: str = "") -> str:
    return reverse("admin:orders_order_change", args=[order.pk]) + query


@pytest.mark.parametrize(
    ("language", "width", "dark"),
    [("zh-hans", 390, False), ("en", 390, True), ("zh-hans", 1440, True), ("en", 1440, False)],
)
def test_the_order_page_fits_and_can_be_used_by_everybody(open_page, manager, order, language, width, dark):
    page = open_page(manager, address(order), language=language, width=width, dark=dark)

    assert overflow(page) == 0
    assert violations(page) == []
    # What stands in the shell around the page is looked at by the shell's own tests.
    small = small_targets(page, 44 if width == 390 else 24)
    assert [one for one in small if 'class="hub-' not in one] == []


@pytest.mark.parametrize("name", ["decide", "merge", "split", "history"])
def test_the_pages_beside_it_fit_a_phone_and_can_be_used_by_everybody(open_page, manager, order, name):
    sides = [order.conflicts[0]["loser"], order.conflicts[0]["winner"]] if name == "decide" else []
    page = open_page(manager, reverse(f"admin:orders_order_{name}", args=[order.pk, *sides]), width=390)

    assert overflow(page) == 0
    assert violations(page) == []


def test_status_countdown_and_next_action_stay_in_sight_on_a_phone(open_page, manager, order):
    page = open_page(manager, address(order), width=390)

    page.locator("#timeline .entry").last.scroll_into_view_if_needed()

    for part in (".order-now .chip", ".order-clock", ".order-act .btn"):
        box = page.locator(part).first.bounding_box()
        assert 0 <= box["y"] < 300
    assert page.locator(".order-side details[data-fold][open]").count() == 0


def test_a_note_is_written_and_taken_back_with_three_keys(open_page, manager, order):
    page = open_page(manager, address(order), width=1440)

    page.keyboard.press("m")
    page.keyboard.type("n: next week")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".toast").wait_for()
    was_written = page.get_by_text("n: next week").first.is_visible()
    with page.expect_navigation():
        page.keyboard.press("u")

    assert was_written
    assert page.locator(".entry.is-gone", has_text="n: next week").count() == 1


def test_news_wait_behind_a_pill_and_leave_alone_what_is_being_typed(open_page, manager, order):
    page = open_page(manager, address(order), width=1440)
    page.keyboard.press("m")
    page.keyboard.type("half a sentence")

    add_fact(order, "parcel.in_transit", occurred_at=now(), role="carrier", parcel="SF1000222")
    settled(order, at=now())
    page.locator("[data-pill] button").wait_for()

    assert page.locator('[data-part="status"] .chip', has_text="In transit").count() == 1
    assert page.locator(".timeline .entry").first.get_attribute("class").count("entry-person") == 1
    page.locator("[data-pill] button").click()
    assert "In transit" in page.locator(".timeline .entry").first.inner_text()
    assert page.locator("#do-note textarea").input_value() == "half a sentence"


def test_the_side_follows_what_happens_and_leaves_focus_and_typing_alone(open_page, manager, order):
    page = open_page(manager, address(order), width=1440)
    summary = page.locator('[data-part="holds"] > details > summary')
    page.locator("#do-note summary").click()
    page.locator("#do-note textarea").fill("half a sentence")
    seen = page.locator("#do-note input[name=seen]").input_value()
    summary.focus()

    holds.set_hold(order.pk, "payment", actor=manager, reason="not paid in full", at=now())
    page.locator('[data-part="holds"] li', has_text="not paid in full").wait_for()

    assert summary.evaluate("one => one === document.activeElement")
    assert page.locator("#do-note textarea").input_value() == "half a sentence"
    # The form was opened before the hold was set, and goes on saying so.
    assert page.locator("#do-note input[name=seen]").input_value() == seen
    assert page.locator('[data-part="holds"] input[name=seen]').first.input_value() > seen


def test_the_order_page_fits_with_letters_of_twice_their_size(open_page, manager, order):
    page = open_page(manager, address(order), width=1440)

    page.evaluate("document.documentElement.style.fontSize = '200%'")

    wide = """[...document.querySelectorAll('.order *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)
      .map(one => one.outerHTML.slice(0, 120))"""
    assert (overflow(page), page.evaluate(wide)[:5] if overflow(page) else []) == (0, [])


def test_without_scripts_the_timeline_is_filtered_and_a_note_is_written(open_page, manager, order):
    page = open_page(manager, address(order), width=1440, javascript=False)

    page.locator(".order-filters a", has_text="People").click()
    page.wait_for_load_state()
    n_entries = page.locator(".timeline .entry").count()
    page.locator("#do-note summary").click()
    page.locator("#do-note textarea").fill("by hand")
    page.locator("#do-note button").click()
    page.wait_for_load_state()

    assert n_entries == 3
    assert page.locator(".timeline .entry", has_text="by hand").count() == 1
    assert page.locator(".order-undo button").is_visible()


def test_the_printed_page_has_the_timeline_and_no_buttons(open_page, manager, order):
    page = open_page(manager, address(order), width=1440)

    page.emulate_media(media="print")

    assert page.locator(".order form:visible, .order .btn-primary:visible").count() == 0
    assert page.locator(".timeline .entry").first.is_visible()
