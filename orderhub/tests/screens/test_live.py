"""A page in a real browser says how fresh it is, keeps what it shows when nothing answers, and comes back by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from orderhub.bench.browser import overflow, violations
from orders.models import Order, OrderEvent
from orders.tests.factories import make_order, make_shop
from orders.tests.staff import make_staff

TODAY = "/admin/"
CHIP = "[data-freshness]"
FEED = "**/admin/live/**"


def manager() -> User:
    return make_staff("ops_manager")


def chip(page: Any) -> str:
    return str(page.locator(CHIP).first.inner_text())


def test_a_page_without_answers_says_late_then_cut_and_keeps_its_values(open_page):
    make_order()
    page = open_page(manager(), "/admin/style/", strict=False)
    page.clock.install()
    page.goto(page.url.replace("/admin/style/", TODAY))
    page.wait_for_selector(f"{CHIP}[data-freshness=live]")
    number = page.locator("[data-key=funnel_date] .num").inner_text()
    page.route(FEED, lambda route: route.abort())
    page.route("**/admin/", lambda route: route.abort())

    page.clock.run_for(25_000)
    assert page.locator(CHIP).get_attribute("data-freshness") == "live"
    page.clock.run_for(10_000)
    assert page.locator(CHIP).get_attribute("data-freshness") == "late"
    assert chip(page).startswith("Late · 3")
    assert page.locator(".live-banner").count() == 0
    page.clock.run_for(90_000)

    assert page.locator(CHIP).get_attribute("data-freshness") == "cut"
    assert chip(page).startswith("Cut off · data of ")
    assert page.locator(".live-banner").is_visible()
    assert page.locator("[data-key=funnel_date] .num").inner_text() == number == "1"

    page.unroute(FEED)
    # In steps: the page gives an answer ten seconds of its clock, and the server answers in real time.
    for _second in range(0, 65, 5):
        page.clock.run_for(5_000)
        page.wait_for_timeout(400)
    assert page.locator(CHIP).get_attribute("data-freshness") == "live"
    assert page.locator(".live-banner").count() == 0


def test_a_change_reaches_the_scripts_of_a_page_once_with_its_kinds(open_page):
    shop = make_shop()
    page = open_page(manager(), TODAY)
    page.evaluate("() => { window.heard = []; hub.live.on((change) => window.heard.push(change)); }")

    order = make_order(shop=shop)

    # Long enough for a second, mistaken telling.
    page.wait_for_timeout(4_000)
    heard = page.evaluate("window.heard")
    told = [kind for one in heard for kind, ids in one["kinds"].items() if order.pk in ids]
    assert told.count("moved") == OrderEvent.objects.filter(kind="moved").count() == 1
    assert {pk for one in heard for pk in one["orders"]} == {order.pk}
    assert page.evaluate("hub.live.state") == "live"
    assert "1 order changed" in page.locator("#hub-announcer").inner_text()


def test_a_login_that_ended_is_said_with_a_way_back_in(open_page):
    user = manager()
    page = open_page(user, TODAY, strict=False)
    page.wait_for_selector(f"{CHIP}[data-freshness=live]")

    User.objects.filter(pk=user.pk).update(is_active=False)

    page.wait_for_selector(".live-banner[data-status='401']")
    assert "You are logged out" in page.locator(".live-banner").inner_text()
    assert page.locator(".live-banner a").get_attribute("href") == "/admin/login/?next=%2Fadmin%2F"
    assert page.locator(CHIP).get_attribute("data-freshness") == "cut"


def test_keys_open_the_lists_of_the_tiles(open_page):
    order = make_order()
    Order.objects.filter(pk=order.pk).update(stalled_at=order.created_at)
    page = open_page(manager(), TODAY)
    wanted = page.locator("[data-key=stuck]").get_attribute("aria-keyshortcuts")

    page.keyboard.press(wanted)

    page.wait_for_url("**/admin/board/?stuck=1")
    assert page.locator("tr[data-id]").count() == 1


def test_today_fits_a_phone_with_what_needs_the_reader_first(open_page):
    make_order()
    page = open_page(manager(), TODAY, width=390)

    assert overflow(page) == 0
    assert violations(page) == []
    tops = page.evaluate(
        "[...document.querySelectorAll('#today .panel')].map((one) => one.getBoundingClientRect().top)"
    )
    assert tops == sorted(tops)
    assert page.locator("#today .panel").first.locator(".tiles").count() == 1


def test_today_is_read_by_everybody_in_the_dark_too(open_page):
    make_order()
    page = open_page(manager(), TODAY, dark=True, language="zh-hans")

    assert violations(page) == []


def test_a_page_asks_a_little_sooner_while_news_are_held_back_but_not_for_ever(open_page):
    asked: list[str] = []

    def hold_back(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=304, headers={"Hub-Held": "1"})

    page = open_page(manager(), "/admin/style/", strict=False)
    begin = datetime.now(UTC)
    page.clock.install(time=begin)
    page.clock.pause_at(begin + timedelta(minutes=1))
    page.route(FEED, hold_back)
    page.goto(page.url.replace("/admin/style/", TODAY))
    page.wait_for_load_state("networkidle")
    n_asked = []

    # Of the page's own clock: the three pauses of 150 ms, then one of 0.81 to 0.99 s.
    for pause in (160, 160, 160, 790, 210):
        page.clock.run_for(pause)
        # For the answer, which comes in real time.
        page.wait_for_timeout(500)
        n_asked.append(len(asked))

    assert [n - n_asked[0] for n in n_asked] == [0, 1, 2, 2, 3]
