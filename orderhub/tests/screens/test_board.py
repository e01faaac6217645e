"""The board in a real browser: how it fits, how it is worked by keys, and how news reach it without moving anything."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from orderhub.bench.browser import overflow, small_targets, violations
from orders.desk import BulkRun
from orders.models import Order, OrderFact
from orders.tests.factories import add_fact, make_customer, make_order, make_shop, settled
from orders.tests.staff import make_staff

BOARD = "/admin/board/?x=1"
# The page asks for news about once a second.
SOON = 6_000


@pytest.fixture
def manager():
    return make_staff("ops_manager", "sales", "warehouse")


@pytest.fixture
def orders() -> list[Order]:
    """Eight open orders in the board's sequence, the first of them late."""
    shop, at = make_shop("parts", name="Parts shop"), now() - timedelta(hours=1)
    make_customer("key-7", name="Northern Parts", stars=4)
    made = [
        make_order(shop=shop, external_id=f"24001{n}", placed_at=at, fields={"customer": "key-7"})
        for n in range(8)
    ]
    for n, order in enumerate(made):
        Order.objects.filter(pk=order.pk).update(promised_at=now() + timedelta(hours=5 * n - 1))
    return list(Order.objects.order_by("promised_at"))


# Where each column of the table begins.
COLUMNS = "[...document.querySelectorAll('thead th')].map((one) => one.getBoundingClientRect().left)"


def current(page) -> str:
    return page.evaluate("document.activeElement.dataset.id || ''")


def picked(page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('input[name=ids]:checked')].map((one) => one.value)")


@pytest.mark.parametrize(
    ("query", "language", "width", "dark"),
    [("", "zh-hans", 390, False), ("", "en", 1440, True), ("&layout=kanban", "zh-hans", 1440, False)],
)
def test_the_board_fits_and_can_be_used_by_everybody(
    open_page, manager, orders, query, language, width, dark
):
    page = open_page(manager, BOARD + query, language=language, width=width, dark=dark)

    assert overflow(page) == 0
    assert violations(page) == []
    assert small_targets(page, 24) == []


def test_a_phone_shows_at_least_five_orders(open_page, manager, orders):
    page = open_page(manager, BOARD, width=390)
    page.set_viewport_size({"width": 390, "height": 844})

    foot = page.locator("#bulk").bounding_box()["y"]
    shown = [
        one
        for one in page.locator("tr[data-id]").all()
        if (box := one.bounding_box()) and box["y"] + box["height"] <= foot
    ]

    assert len(shown) >= 5


def test_the_list_is_worked_by_keys_alone(open_page, manager, orders):
    page = open_page(manager, BOARD)
    ids = [str(order.pk) for order in orders]

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    if not current(page):
        page.keyboard.press("Tab")
    assert current(page) == ids[0]
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2

    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    assert current(page) == ids[1]
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    assert picked(page) == ids[1:4]
    page.keyboard.press("Escape")
    assert (picked(page), current(page)) == ([], ids[3])
    page.keyboard.press(" ")
    page.wait_for_selector("dialog[open]")
    assert "list=x%3D1" in page.locator("dialog[open] .order-buttons a.btn-primary").get_attribute("href")
    page.keyboard.press("Escape")
    page.wait_for_function(f"document.activeElement.dataset.id === '{ids[3]}'")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/admin/orders/order/{ids[3]}/change/**")


def test_an_action_is_reached_by_its_key_and_undone_by_u(open_page, manager, orders):
    page = open_page(manager, BOARD)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("n")
    page.wait_for_url("**/admin/board/bulk/**")
    page.fill("textarea", "from the keyboard")
    page.keyboard.press("Tab")
    page.locator(".board-form .btn-primary").press("Enter")
    page.wait_for_selector("[data-run]")
    assert OrderFact.objects.filter(kind="note.added").count() == 1

    page.keyboard.press("u")
    page.wait_for_selector(".chip-info")

    assert BulkRun.objects.get().undone_at is not None


def test_news_change_cells_in_place_and_move_nothing(open_page, manager, orders):
    page = open_page(manager, BOARD)
    page.wait_for_selector("html.scripted")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    order = orders[2]
    row = page.locator(f"#o-{order.pk}")
    top = row.bounding_box()["y"]
    columns = page.evaluate(COLUMNS)
    sequence = page.evaluate("[...document.querySelectorAll('tr[data-id]')].map((one) => one.dataset.id)")

    add_fact(order, "order.changed", occurred_at=now(), data={"fields": {"customer": "key-7", "rush": True}})
    settled(order, at=now())
    row.locator("td[data-col=status] .chip", has_text="Rush").wait_for(timeout=SOON)
    assert page.evaluate(COLUMNS) == columns
    Order.objects.filter(pk=order.pk).update(promised_at=now() + timedelta(days=30))
    add_fact(order, "order.changed", occurred_at=now(), data={"fields": {"rush": False, "customer": "key-7"}})
    settled(order, at=now())
    page.locator("[data-refresh]").wait_for(state="visible", timeout=SOON)

    assert current(page) == str(order.pk)
    assert row.bounding_box()["y"] == top
    assert (
        page.evaluate("[...document.querySelectorAll('tr[data-id]')].map((one) => one.dataset.id)")
        == sequence
    )
    page.keyboard.press("r")
    page.wait_for_function(
        f"[...document.querySelectorAll('tr[data-id]')].at(-1).dataset.id === '{order.pk}'"
    )
    page.wait_for_function(f"document.activeElement.dataset.id === '{order.pk}'")


def test_an_order_that_leaves_the_list_stays_where_it_is_and_says_so(open_page, manager, orders):
    page = open_page(manager, "/admin/board/?step=date")
    page.wait_for_selector("html.scripted")
    order = orders[1]

    add_fact(order, "date.confirmed", occurred_at=now(), role="person", data={"date": "2099-01-01"})
    settled(order, at=now())

    page.locator(f"#o-{order.pk}.is-gone").wait_for(timeout=SOON)
    assert page.locator("tr[data-id]").count() == len(orders)


def test_a_card_is_moved_by_its_menu(open_page, manager, orders):
    page = open_page(manager, BOARD + "&layout=kanban")
    card = page.locator(f"#o-{orders[0].pk}")
    card.locator("summary").click()
    card.locator("[data-move]").nth(2).click()
    page.wait_for_selector("dialog[open] .banner-warn, dialog[open] .banner")
    page.keyboard.press("Escape")
    card.locator("[data-move]").first.click()
    page.fill("dialog[open] input[type=date]", "2099-01-01")
    page.click("dialog[open] .btn-primary")
    page.wait_for_selector(f".lane[data-step=stock] #o-{orders[0].pk}")

    assert Order.objects.get(pk=orders[0].pk).next_step == "stock"


def test_the_board_works_without_a_script(open_page, manager, orders):
    page = open_page(manager, BOARD, javascript=False)

    page.check(f"#o-{orders[0].pk} input")
    page.click("button[value=rush]")
    page.click(".board-form .btn-primary")
    page.wait_for_load_state()

    assert page.locator(".chip-ok").count() >= 1
    assert Order.objects.get(pk=orders[0].pk).is_rush


@pytest.mark.parametrize(("language", "width", "dark"), [("zh-hans", 390, False), ("en", 1440, True)])
def test_a_step_for_many_is_confirmed_after_a_look_at_the_riskiest(
    open_page, manager, orders, language, width, dark
):
    # The browser notes a refused form on its console.
    page = open_page(manager, BOARD, language=language, width=width, dark=dark, strict=False)
    for order in orders[:6]:
        page.locator(f"#o-{order.pk} input").check()
    page.click("button[value=date]")
    page.locator(".riskiest details").first.wait_for()
    assert page.locator(".riskiest summary").count() == 5

    for summary in page.locator(".riskiest summary").all():
        summary.press("Enter")
    assert (overflow(page), violations(page), small_targets(page, 24)) == (0, [], [])
    for box in page.locator(".riskiest input").all()[:4]:
        box.check()
    page.fill("input[type=date]", "2099-01-01")
    page.fill("#typed", "6")
    page.click(".board-form .btn-primary")
    page.locator(".banner-danger").wait_for()
    assert page.locator(".riskiest details[open]").count() == 1
    assert Order.objects.filter(next_step="stock").count() == 0

    page.locator(".riskiest details[open] input").check()
    page.click(".board-form .btn-primary")
    page.wait_for_selector("[data-run]")

    assert Order.objects.filter(next_step="stock").count() == 6
