"""The keyboard contract, pressed by a person's fingers in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from orders.desk import StaffPreference
from orders.tests.factories import make_order
from orders.tests.staff import make_staff

HELP = "#hub-keys"
PALETTE = "#hub-palette"


@pytest.fixture
def seller():
    return make_staff("sales", everything=True)


def focused(page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


def test_the_question_mark_lists_the_keys_of_the_page_and_esc_gives_the_focus_back(open_page, seller):
    page = open_page(seller, "/admin/help/")
    page.locator(".hub-who").focus()

    page.keyboard.press("?")
    expect(page.locator(HELP).get_by_text("Go to the order board")).to_be_visible()
    assert page.locator(HELP).get_by_text("Search", exact=True).is_visible()

    page.keyboard.press("Escape")
    expect(page.locator(HELP)).to_have_count(0)
    assert "hub-who" in focused(page)


def test_a_key_that_leads_nowhere_is_not_listed(open_page, seller):
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("?")

    assert page.locator(HELP).get_by_text("Go to the rules").count() == 0


def test_slash_goes_to_the_search_box_and_esc_back(open_page, seller):
    page = open_page(seller, "/admin/help/")
    page.locator(".hub-who").focus()

    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.evaluate("document.activeElement.value") == ""

    page.keyboard.press("Escape")
    assert "hub-who" in focused(page)


def test_g_then_b_goes_to_the_board_and_g_then_h_home(open_page, seller):
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("g")
    page.keyboard.press("b")
    page.wait_for_url("**/admin/board/**")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url(re.compile(r"/admin/$"))


def test_keys_are_letters_inside_a_field(open_page, seller):
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("/")
    page.keyboard.type("g b?/")

    assert page.evaluate("document.activeElement.value") == "g b?/"
    assert page.locator(HELP).count() == 0
    assert page.url.endswith("/admin/help/")


def test_keys_rest_while_an_input_method_composes(open_page, seller):
    page = open_page(seller, "/admin/help/")
    press = """(composing) => document.body.dispatchEvent(
        new KeyboardEvent("keydown", {key: "?", bubbles: true, cancelable: true, isComposing: composing})
    )"""

    page.evaluate(press, True)
    assert page.locator(HELP).count() == 0

    page.evaluate(press, False)
    assert page.locator(HELP).count() == 1


def test_whoever_switched_them_off_keeps_only_the_palette_and_esc(open_page, seller):
    StaffPreference.objects.create(user=seller, shortcuts=False)
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("?")
    page.keyboard.press("/")
    assert page.locator(HELP).count() == 0
    assert page.evaluate("document.activeElement === document.body")

    page.keyboard.press("Control+k")
    expect(page.locator(PALETTE)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(PALETTE)).to_have_count(0)


def test_the_palette_opens_an_order_by_its_shop_number(open_page, seller):
    order = make_order(external_id="TB-445566")
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("Control+k")
    page.keyboard.type("TB-445566")
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/admin/orders/order/{order.pk}/change/")


def test_arrows_choose_in_the_palette(open_page, seller):
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("Control+k")
    page.locator("[role=option]").first.wait_for()
    page.keyboard.press("ArrowDown")

    assert page.locator("[role=option]").nth(1).get_attribute("aria-selected") == "true"
    assert page.locator("#hub-palette-input").get_attribute("aria-activedescendant") == "hub-palette-1"


def test_a_palette_that_finds_nothing_says_what_to_try(open_page, seller):
    page = open_page(seller, "/admin/help/")

    page.keyboard.press("Control+k")
    page.keyboard.type("zzzz-nothing")

    page.get_by_text("Nothing found for “zzzz-nothing”.").wait_for()


def test_what_was_done_last_is_taken_back_by_u_once(open_page, seller):
    page = open_page(seller, "/admin/help/")
    page.evaluate("window.undone = 0; hub.toast('Moved', {undo: () => { window.undone += 1; }}); 0")

    page.keyboard.press("u")
    page.keyboard.press("u")

    assert page.evaluate("window.undone") == 1
    assert page.locator(".toast").count() == 0


def test_a_dialog_keeps_single_keys_from_the_page_behind(open_page, seller):
    page = open_page(seller, "/admin/style/")
    page.get_by_text("Open a dialog").click()

    page.keyboard.press("?")

    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
