"""The customer's page in a real browser: what it weighs, how it fits, that it renews itself, and that it needs no script."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.utils.timezone import now

from orderhub.bench.browser import RULES, Wire, overflow, small_targets, violations
from orders.models import Order
from orders.tests.factories import add_fact, make_order, make_shop, settled
from orders.tests.staff import make_staff
from promises.tests.factories_estimates import make_estimate
from promises.tests.factories_tracking import make_link, make_next_update
from promises.tests.test_tracking_page import BROWSER, customer
from promises.tracking.models import ContactClick, CustomerRequest

LOOKS = [("zh-hans", 390, True), ("en", 390, False), ("en", 320, True), ("zh-hans", 1440, False)]


def on_its_way() -> Order:
    """Two parcels, an estimate, and a name of goods that is long."""
    at = now()
    lines = {"Brake pads, front axle, ceramic, with wear indicator": 10}
    order = make_order(shop=make_shop("east", name="East Parts"), lines=lines, placed_at=at)
    for waybill, quantity in (("SF1420030040", "6"), ("SF1420030041", "4")):
        carried = {"carrier": "SF", "lines": [{"sku": next(iter(lines)), "qty": quantity}]}
        add_fact(order, "waybill.made", parcel=waybill, role="carrier", occurred_at=at, data=carried)
    add_fact(order, "pack.done", role="wms", occurred_at=at)
    order = settled(order, at=at)
    make_estimate(order, due_on=at.date().replace(year=at.year + 1))
    return order


def late() -> Order:
    at = now()
    order = make_order(placed_at=at)
    add_fact(order, "parcel.in_transit", parcel="W1", role="carrier", occurred_at=at)
    order = settled(order, at=at)
    make_next_update(order, at.replace(year=at.year + 1), made_at=at, cause="carrier")
    Order.objects.filter(pk=order.pk).update(promised_at=order.placed_at, stalled_at=at)
    return order


def test_the_page_renews_itself_and_says_what_is_new(open_page):
    order = on_its_way()
    page = open_page(None, make_link(order), width=390)
    page.locator("details[data-keep=earlier] summary").click()
    assert page.locator("h1").inner_text() == "Packed, waiting for SF Express to collect it"

    for waybill in ("SF1420030040", "SF1420030041"):
        add_fact(order, "parcel.out_for_delivery", parcel=waybill, role="carrier", occurred_at=now())
    settled(order, at=now())
    # Back from another window: asked at once, not after ten seconds.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("heading", name="SF Express is on the way to you").wait_for()

    assert page.locator("#say").inner_text().startswith("SF Express is on the way to you")
    assert page.locator("details[data-keep=earlier]").get_attribute("open") is not None


def test_the_page_fits_every_window_and_is_readable_for_all(open_page):
    paths = {"on its way": make_link(on_its_way()), "late": make_link(late())}
    found = {}

    for name, path in paths.items():
        for language, width, dark in LOOKS:
            page = open_page(None, path, language=language, width=width, dark=dark)
            page.locator("summary").last.click()
            least = 44 if width < 768 else 24
            wrong = violations(page, rules=(*RULES, "best-practice"))
            found[name, language, width] = (overflow(page), wrong, small_targets(page, least))

    user = make_staff("ops_manager", everything=True)
    customer().post(f"{paths['late']}contact/")
    for language, width, dark in LOOKS:
        page = open_page(user, "/admin/promises/customer/", language=language, width=width, dark=dark)
        least = 44 if width < 768 else 24
        found["figures", language, width] = (overflow(page), violations(page), small_targets(page, least))
    assert found == dict.fromkeys(found, (0, [], []))


def test_a_late_order_says_so_first_and_a_stranger_loads_little_from_one_house(open_page, live_server):
    path = make_link(late())
    page = open_page(None, "/healthz", width=390)
    wire = Wire(page)

    page.goto(f"{live_server.url}{path}")

    first = page.locator("main").inner_text().strip().splitlines()[0]
    assert first.startswith("Your order is later than we said.")
    assert "Next update by" in page.locator(".news").inner_text()
    assert {address for address in wire.addresses if not address.startswith(live_server.url)} == set()
    # The server of the tests sends the files uncompressed.
    assert 2000 < wire.n_bytes <= 20 * 1024


def test_without_a_script_customers_ask_and_read_all_the_same(open_page):
    cache.clear()
    order = on_its_way()
    path = make_link(order)
    # A browser that is driven calls itself a robot, and robots are not counted.
    page = open_page(None, path, width=390, javascript=False, user_agent=BROWSER)

    page.get_by_role("button", name="Contact us").click()
    page.get_by_label("Your message").fill("When will it be there?")
    page.get_by_role("button", name="Send the message").click()

    assert page.get_by_role("status").first.inner_text().strip() == "Your message is with us."
    assert CustomerRequest.objects.get().opened() == "When will it be there?"
    click = ContactClick.objects.get()
    assert (click.order_id, click.milestone, click.is_delayed) == (order.pk, "packed", False)
    add_fact(order, "parcel.in_transit", parcel="SF1420030040", role="carrier", occurred_at=now())
    add_fact(order, "parcel.in_transit", parcel="SF1420030041", role="carrier", occurred_at=now())
    settled(order, at=now())
    page.goto(page.url.split("?")[0])
    assert page.locator("h1").inner_text() == "Your order is on its way with SF Express"
    page.get_by_role("link", name="中文").click()
    assert page.locator("html").get_attribute("lang") == "zh-Hans"


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_says_when_it_has_lost_the_house(open_page, dark):
    page = open_page(None, make_link(on_its_way()), width=390, dark=dark, strict=False)
    page.route("**/state/", lambda route: route.abort())

    for _n in range(3):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(100)

    said = page.locator("#cut")
    said.wait_for()
    assert said.inner_text().startswith("No connection. This is as of ")
    assert page.locator("h1").inner_text().startswith("Packed")
