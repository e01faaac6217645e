"""The ways in, in a real browser: the mapping editor, imports, connections."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from integrations import files, ingest
from integrations.files.runs import advance
from integrations.models import Connection, FieldMapping, ImportRun
from integrations.tests.factories import arrive, make_connection, order_item
from integrations.tests.test_mapping_editor import TRADE, make_mapping
from orderhub.bench import browser
from orders.models import Order
from orders.tests.factories import make_shop
from orders.tests.staff import log_in, make_staff

GALLERY = "/admin/connections/"
ADD = "/admin/integrations/importrun/add/"
TABLE = "订单号,下单时间,商品编码,数量\nA1,2026-11-22 09:00,BRK-001,2\nA2,never,BRK-001,1\n"


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "uploads"


def integrator() -> User:
    return make_staff("integrator", everything=True)


def editor(mapping: FieldMapping) -> str:
    return f"/admin/integrations/fieldmapping/{mapping.pk}/editor/"


def way_in(mapping: FieldMapping | None = None) -> Connection:
    return make_connection("files", connector="rows", shop=make_shop(), mapping=mapping, label="Files")


def carry_out(run: ImportRun) -> None:
    while advance(run.pk):
        pass
    while ingest.process().n_messages:
        pass
    files.finish_if_settled(run.pk)


def judge(page: Any, widths=(320, 390, 768, 1440)) -> None:
    """No mistake that axe can find, nothing wider than its window, nothing too small to press."""
    assert browser.violations(page) == []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        assert browser.overflow(page) == 0, f"{width} pixels wide"
        assert browser.small_targets(page, 24) == []


def test_results_follow_the_hand_and_the_keyboard_alone_saves(open_page):
    mapping = make_mapping()
    connection = way_in(mapping)
    lines = "\n".join(json.dumps({**TRADE, "tid": f"T-{number}"}) for number in range(3)).encode()
    carry_out(files.start_import(connection, mapping, io.BytesIO(lines), "o.jsonl", None))
    page = open_page(integrator(), editor(mapping))

    page.get_by_role("button", name="Load the last 20 messages (recorded)").press("Enter")
    page.wait_for_selector("#ed-place")
    first = page.text_content("#ed-r-external-id")
    page.get_by_role("button", name="Next sample").press("Enter")
    expect(page.locator("#ed-place")).to_have_text("2/3")
    expect(page.locator("#ed-r-external-id")).not_to_have_text(first)
    region = page.locator("[name='field:region:source']")
    region.focus()
    region.select_option("path:receiver.city")
    expect(page.locator("#ed-r-region")).to_have_text("绍兴市")
    page.get_by_label("Source of “Region”: path, expression or fixed value").wait_for(state="hidden")
    region.select_option("constant")
    page.get_by_label("Source of “Region”: path, expression or fixed value").fill("华东")
    expect(page.locator("#ed-r-region")).to_have_text("华东")
    assert not Order.objects.filter(region="华东").exists()
    judge(page)
    page.get_by_role("button", name="Save as version 2").press("Enter")
    page.wait_for_url(f"**{editor(mapping)}")
    page.get_by_text("Saved as version 2.").wait_for()

    mapping.refresh_from_db()
    assert mapping.definition["fields"]["region"] == {"constant": "华东"}


def test_the_editor_works_without_javascript_and_in_the_dark(open_page):
    mapping = make_mapping()
    user = integrator()
    page = open_page(user, editor(mapping), javascript=False)

    page.click("summary:has-text('Paste JSON or a table')")
    page.fill("[name=pasted]", json.dumps({**TRADE, "created": "x"}))
    page.click("button[value=paste]")
    assert "“x” is not a time" in page.text_content("#ed-r-placed-at")
    page.click("summary:has-text('more hub fields without a source')")
    page.select_option("[name='field:remark:source']", "path:status")
    page.click("button[value=preview]:visible >> nth=-1")
    assert "WAIT_SELLER" in page.text_content("#ed-r-remark")
    page.click("button[value=save]")

    mapping.refresh_from_db()
    assert (mapping.version, mapping.definition["fields"]["remark"]) == (2, {"path": "status"})
    dark = open_page(user, editor(mapping), dark=True, language="zh-hans")
    judge(dark, widths=(390,))


def test_an_import_is_looked_at_confirmed_and_followed_to_its_orders(open_page):
    way_in()
    make_mapping(name="table", definition={
        "version": 1, "fields": {
            "external_id": {"path": "订单号"}, "placed_at": {"path": "下单时间"},
            "lines[].sku": {"path": "商品编码"}, "lines[].qty": {"path": "数量"},
        },
    })  # fmt: skip
    page = open_page(integrator(), ADD)
    judge(page, widths=(390, 1440))

    page.select_option("[name=connection]", label="Files")
    upload = {"name": "九月.csv", "mimeType": "text/csv", "buffer": TABLE.encode("gbk")}
    page.set_input_files("[name=file]", files=[upload])
    page.click("[name=try]")
    page.wait_for_load_state()
    counted = [text.strip() for text in page.locator(".import-counts strong").all_text_contents()]
    assert counted == ["1", "0", "0", "1"]
    assert "“never” is not a time" in page.text_content(".hub-page")
    assert not ImportRun.objects.exists()
    judge(page)
    page.click("[name=start]")
    page.wait_for_selector("[data-progress] progress")
    carry_out(ImportRun.objects.get())
    page.get_by_text("Orders of this import").wait_for()

    assert Order.objects.get().number in page.text_content(".import-orders")
    assert page.get_by_role("button", name="Try the failed rows again").is_visible()
    judge(page)


def test_a_webhook_is_connected_and_the_page_sees_its_first_event(open_page):
    shop = make_shop()
    page = open_page(integrator(), f"{GALLERY}new/webhook/")
    judge(page, widths=(390, 1440))

    page.fill("[name=label]", "Our site")
    page.select_option("[name=shop]", str(shop.pk))
    page.get_by_role("button", name="Make the address and the secret").press("Enter")
    page.wait_for_selector("#cn-clear")
    page.wait_for_load_state()
    assert re.fullmatch(r"whsec_[\w+/=]{44}", page.text_content("#cn-clear"))
    assert page.locator("[data-copy]:visible").count() == 3
    page.get_by_text("This line changes by itself.").wait_for()
    judge(page)
    connection = Connection.objects.get()
    arrive(connection, "order", order_item(shop, "T-1"))
    ingest.process()

    page.get_by_text("The first event has arrived").wait_for()
    page.goto(page.url.replace("new/webhook/", f"{connection.pk}/"))
    assert page.locator("#cn-clear").count() == 0


def test_a_phone_shows_health_and_pauses(open_page):
    connection = make_connection("site", shop=make_shop(), label="Our site")
    page = open_page(integrator(), GALLERY, width=390, dark=True)

    assert page.get_by_text("Nothing heard yet").is_visible()
    assert not page.get_by_text("Signed webhook").first.is_visible()
    assert browser.small_targets(page, 24) == []
    judge(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Pause Our site").click()
    page.get_by_text("is paused: its messages are refused").wait_for()

    connection.refresh_from_db()
    assert not connection.is_active


@pytest.mark.parametrize(
    "state", ["loading", "empty_first", "empty_filtered", "error", "stale", "no_permission"]
)
def test_the_gallery_has_all_six_states(client, settings, state):
    settings.SHOW_STATES = True
    log_in(client, integrator())

    assert f'data-state="{state}"' in client.get(f"{GALLERY}?_state={state}").content.decode()
