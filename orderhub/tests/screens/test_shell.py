"""The frame as people see it: it fits, everybody can use it, and it stands still without a script."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from orderhub.bench.browser import overflow, violations
from orders.models import Shop
from orders.tests.factories import make_shop
from orders.tests.staff import make_staff


@pytest.mark.parametrize(
    "address", ["/admin/style/", "/admin/me/", "/admin/orders/shop/", "/admin/orders/shop/add/"]
)
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_pages_fit_and_can_be_used_by_everybody(open_page, address, width, dark):
    make_shop()
    page = open_page(make_staff("ops_manager", everything=True), address, width=width, dark=dark)

    assert overflow(page) == 0
    assert violations(page) == []


def test_the_first_row_of_a_list_is_two_presses_away(open_page):
    shop = make_shop()
    page = open_page(make_staff("ops_manager", everything=True), "/admin/orders/shop/")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the list"
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.textContent.trim()") == shop.name


def test_the_side_bar_is_a_sheet_on_a_phone_and_gives_the_focus_back(open_page):
    page = open_page(make_staff("ops_manager", everything=True), "/admin/help/", width=390)
    assert not page.locator("#hub-side").is_visible()

    page.locator(".hub-menu").click()
    assert page.locator("#hub-side").get_by_text("Shops").is_visible()
    page.keyboard.press("Escape")

    expect(page.locator("#hub-side")).to_be_hidden()
    assert "hub-menu" in page.evaluate("document.activeElement.className")


def test_the_sheet_opens_without_a_script_too(open_page):
    page = open_page(make_staff("ops_manager", everything=True), "/admin/help/", width=390, javascript=False)

    page.locator(".hub-menu").click()
    page.locator("#hub-side").get_by_text("Shops").click()

    page.wait_for_url("**/admin/orders/shop/")


def test_the_theme_follows_the_system_until_somebody_chooses(open_page):
    page = open_page(make_staff("sales", everything=True), "/admin/help/", dark=True)
    is_dark = "document.documentElement.classList.contains('dark')"
    assert page.evaluate(is_dark)

    page.locator(".hub-header [data-theme-switch]").click()
    assert not page.evaluate(is_dark)

    page.reload()
    assert not page.evaluate(is_dark)


def test_a_folded_side_bar_stays_folded(open_page):
    page = open_page(make_staff("ops_manager", everything=True), "/admin/help/")
    assert page.locator("#hub-side").is_visible()

    page.locator(".hub-menu").click()
    assert not page.locator("#hub-side").is_visible()

    page.reload()
    assert not page.locator("#hub-side").is_visible()


def test_a_countdown_follows_the_servers_clock_and_not_the_devices(open_page):
    page = open_page(make_staff("sales", everything=True), "/admin/help/")

    words = page.evaluate(
        """() => {
            const at = new Date(hub.now().getTime() + 3 * 3600e3 + 30e3).toISOString();
            const time = hub.make("time", {class: "countdown", "data-at": at});
            document.getElementById("content").append(time);
            hub.tick();
            return time.textContent;
        }"""
    )

    assert words == "3 h 00 min left"


def test_paper_has_no_navigation_and_repeats_the_heads_of_tables(open_page):
    Shop.objects.all().delete()
    make_shop()
    page = open_page(make_staff("ops_manager", everything=True), "/admin/orders/shop/")

    page.emulate_media(media="print")

    assert not page.locator(".hub-header").is_visible()
    assert not page.locator("#hub-side").is_visible()
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#result_list thead')).display")
        == "table-header-group"
    )


def test_nothing_moves_for_whoever_asked_for_stillness(open_page):
    page = open_page(make_staff("sales", everything=True), "/admin/style/", reduced_motion="reduce")

    assert page.evaluate("getComputedStyle(document.querySelector('.state-loading')).animationDelay") == "0s"


def test_signs_keep_an_outline_when_the_system_chooses_the_colours(open_page):
    page = open_page(make_staff("sales", everything=True), "/admin/style/", forced_colors="active")

    assert page.evaluate("getComputedStyle(document.querySelector('.chip')).borderTopWidth") == "1px"
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.chip')).borderTopColor")
        != "rgba(0, 0, 0, 0)"
    )
