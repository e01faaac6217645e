"""Setting up, the template and the API page in a real browser: how they fit, who can use them, and without JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from integrations import developer
from integrations.models import Connection
from orderhub import template, wizard
from orderhub.bench.browser import overflow, small_targets, violations
from orderhub.models import SetupStep
from orders.models import Order, ReasonCode
from orders.precedence import forget_versions
from orders.tests.staff import make_staff

AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
START = "/admin/start/"
LOOKS = [("en", 1440, False), ("zh-hans", 1440, True), ("en", 390, True), ("zh-hans", 390, False)]
# How far the content itself reaches to the right; what scrolls in a box of its own does not count.
REACH = """Math.max(...[...document.querySelectorAll('.hub-page *')]
  .filter(one => !one.closest('pre, .table-scroll')).map(one => one.getBoundingClientRect().right))"""
# Two hundred orders take seconds, on a busy machine many.
PATIENCE = 120_000


@pytest.fixture(autouse=True)
def _fresh_versions():
    forget_versions()
    yield
    forget_versions()


@pytest.fixture
def founder():
    user = make_staff(everything=True)
    user.is_superuser = True
    user.save()
    return user


@pytest.mark.parametrize(("language", "width", "dark"), LOOKS)
def test_every_page_of_setting_up_fits_and_can_be_used_by_everybody(
    open_page, founder, language, width, dark
):
    wizard.show_demo(by=founder, at=AT, n_orders=20)
    template.install(by=founder, at=AT)
    ReasonCode.objects.filter(code="SHORTAGE").update(owner="sales")
    developer.make_keys(founder, AT)
    steps = [f"{START}{step.key}/" for step in wizard.steps()]
    page = open_page(founder, START, language=language, width=width, dark=dark)

    found = {}
    for path in [START, *steps, "/admin/template/", "/admin/api/"]:
        page.goto(page.url.split("/admin/")[0] + path)
        found[path] = (overflow(page), violations(page), small_targets(page, 24 if width > 400 else 44))

    assert found == dict.fromkeys(found, (0, [], []))


@pytest.mark.parametrize("path", [START, f"{START}source/", "/admin/template/", "/admin/api/"])
def test_on_the_smallest_phone_nothing_sticks_out(open_page, founder, path):
    developer.make_keys(founder, AT)

    page = open_page(founder, path, width=320)

    assert page.evaluate(REACH) <= 320


def test_setting_up_works_without_javascript(open_page, founder):
    page = open_page(founder, START, javascript=False)

    page.get_by_role("link", name="Connect my shop").click()
    page.get_by_role("button", name="Skip this step").click()
    page.get_by_role("button", name="Install the template").click()
    page.get_by_label("My system reports them").check()
    page.get_by_label("Name of the shop").fill("Nanshan online")
    page.get_by_role("button", name="Connect and go on").click()

    assert page.url.endswith("/admin/start/mapping/")
    assert Connection.objects.get().shop.name == "Nanshan online"
    assert dict(SetupStep.objects.values_list("key", "state")) == {
        "place": "skipped",
        "template": "done",
        "source": "done",
    }


def test_one_press_shows_a_board_with_red_orders_and_another_takes_it_all_away(open_page, founder):
    page = open_page(founder, START)

    page.get_by_role("button", name="Look at it with demo data").click(timeout=PATIENCE)
    page.wait_for_load_state()
    assert page.locator(".chip-danger").count() > 0
    page.get_by_role("button", name="Finish and open the board").click()
    page.wait_for_load_state()
    assert page.url.split("?")[0].endswith("/admin/board/")
    assert page.locator("tr .chip-danger").count() > 0

    page.goto(page.url.split("/admin/")[0] + START)
    page.get_by_role("button", name="Remove the demo data (200 orders)").click(timeout=PATIENCE)
    assert not Order.objects.exists()


def test_the_commands_of_the_api_page_are_copied_by_a_button(open_page, founder):
    page = open_page(founder, "/admin/api/", permissions=["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Make a test token").click()
    page.get_by_role("button", name="Copy").first.click()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("[data-call]").first.inner_text()
    assert page.locator("#new-token").inner_text() in copied
