"""Back-test and calibration in a real browser: how they fit, who can use them, and a history from upload to picture."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils.timezone import now

from orderhub.bench.browser import overflow, small_targets, violations
from orders.tests.factories import make_order
from orders.tests.staff import make_staff
from promises.backtest_runs import BacktestRun, begin_next, replay, start
from promises.estimates import learned
from promises.tests.factories_estimates import make_estimate
from promises.tests.histories import make_history
from promises.tests.test_backtest import cells
from promises.tests.test_backtest_page import MAY, as_csv
from promises.tests.test_calibration_house import make_many

BACKTEST = "/admin/promises/backtest/"
CALIBRATION = "/admin/promises/calibration/"
LOOKS = [("zh-hans", 1440, True), ("en", 390, False)]


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path


def test_a_history_goes_from_the_upload_to_its_picture(open_page, tmp_path):
    file = tmp_path / "history.csv"
    file.write_bytes(as_csv([cells(past) for past in make_history(900, per_day=30)]))
    user = make_staff(may=MAY)
    page = open_page(user, BACKTEST)

    page.get_by_label("Order history").set_input_files(str(file))
    page.get_by_role("button", name="Upload and replay it").click()
    page.get_by_role("progressbar").wait_for()
    run = BacktestRun.objects.get()
    assert begin_next(datetime.now(UTC), lambda pk, attempt: replay(pk, attempt))
    # The page asks by itself and shows the end without being reloaded by hand.
    page.get_by_role("table").first.wait_for()

    names = page.locator("#methods tbody th").all_inner_texts()
    assert names == ["This hub", "The file's own promises", "Average of the last 120 days"]
    assert page.locator("#weeks-table tbody tr").count() == len(
        page.locator(".promise-plot circle.dot-platform").all()
    )
    found = {}
    for language, width, dark in LOOKS:
        for path in (BACKTEST, f"{BACKTEST}{run.pk}/"):
            other = open_page(user, path, language=language, width=width, dark=dark)
            small = small_targets(other, 24 if width > 400 else 44)
            found[path, width] = (overflow(other), violations(other), small)
    assert found == dict.fromkeys(found, (0, [], []))


def test_each_number_of_the_calibration_opens_its_orders(open_page, tmp_path):
    content = as_csv([cells(past) for past in make_history(1500, per_day=30)])
    user = make_staff(may=MAY)
    start(io.BytesIO(content), "a.csv", by=user, at=now(), scored_from=None, scored_to=None)
    assert begin_next(now(), lambda pk, attempt: replay(pk, attempt))
    page = open_page(user, CALIBRATION)

    n, kept = page.locator("#table-lane tbody tr").first.get_by_role("link").all_inner_texts()
    assert page.locator(".promise-plot circle").count() == 10
    page.locator("#table-lane tbody tr").first.get_by_role("link", name=n, exact=True).click()
    page.locator("#judged").wait_for()

    assert f"{n} judged" in page.locator(".promise-lead").inner_text()
    assert kept in page.locator(".promise-lead").inner_text()
    behind = page.url.partition("/admin/")[2]
    found = {}
    for language, width, dark in LOOKS:
        for path in (CALIBRATION, f"/admin/{behind}"):
            other = open_page(user, path, language=language, width=width, dark=dark)
            small = small_targets(other, 24 if width > 400 else 44)
            found[path, width] = (overflow(other), violations(other), small)
    assert found == dict.fromkeys(found, (0, [], []))


def test_the_house_counts_down_is_judged_and_takes_a_better_reading(open_page):
    learned.forget()
    today = now()
    order = make_order(placed_at=today)
    for step, risk in enumerate(("on_track", "watch", "at_risk")):
        make_estimate(
            order,
            due_on=(today + timedelta(days=4 + step)).date(),
            promised_at=today + timedelta(days=4),
            made_at=today - timedelta(hours=9 - 3 * step),
            is_current=step == 2,
            risk=risk,
            p_late=410,
            inputs={"city": "绍兴市", "queue": 38},
            reasons=[{"code": "queue", "days": 2.1}, {"code": "carrier", "days": -0.5}],
        )
    make_many(420, (900, 5), (300, 1), since=today - timedelta(days=20))
    user = make_staff("ops_manager", everything=True)
    address = f"/admin/orders/order/{order.pk}/change/"

    page = open_page(user, address)
    panel = page.locator("[data-panel=countdown]")
    assert re.fullmatch(r"3 d 23 h left", panel.get_by_role("timer").inner_text())
    panel.get_by_text("2 earlier estimates").click()
    assert panel.locator("ol li").count() == 2
    page = open_page(user, CALIBRATION)
    n_points = page.locator(".promise-plot circle").count()
    assert n_points == page.locator("#table-bins tbody tr:has(a)").count() == 2
    assert page.locator("#proposal tbody tr").count() == 2
    page.get_by_role("button", name="Put the new reading in force").click()
    page.get_by_text("The new reading is in force.").wait_for()
    assert str(user) in page.locator("section:has(#reading-title)").inner_text()

    found = {}
    for language, width, dark in LOOKS:
        for path in (address, CALIBRATION):
            other = open_page(user, path, language=language, width=width, dark=dark)
            small = small_targets(other, 24 if width > 400 else 44)
            found[path, width] = (overflow(other), violations(other), small)
    assert found == dict.fromkeys(found, (0, [], []))
