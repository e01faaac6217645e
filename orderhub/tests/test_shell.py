"""The frame of every page: what it may run, which number it has, where it leads, what it says when it fails."""

from __future__ import annotations

import json
import logging

import pytest
from django.test import Client
from django.urls import path

from orderhub import error_pages, request_id, urls
from orders.desk import StaffPreference
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db
ENGLISH = {"accept-language": "en"}


def policy_of(answer) -> dict[str, str]:
    rules = (rule.strip().partition(" ") for rule in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _space, value in rules}


def test_our_own_staff_pages_run_nothing_but_our_files():
    rules = policy_of(staff_client("sales", everything=True).get("/admin/help/"))

    assert rules["script-src"] == "'self'"
    assert rules["style-src"] == "'self'"
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"


def test_pages_of_unfold_may_compile_their_attributes_and_no_more():
    rules = policy_of(staff_client("ops_manager").get("/admin/orders/shop/"))

    assert rules["script-src"] == "'self' 'unsafe-eval'"
    assert rules["style-src"] == "'self'"
    assert rules["style-src-attr"] == "'unsafe-inline'"


def test_pages_outside_are_strict_tell_nobody_their_address_and_are_not_searched(client):
    for address, status in (("/", 200), ("/nothing-here", 404)):
        answer = client.get(address, headers=ENGLISH)
        assert answer.status_code == status
        assert policy_of(answer)["script-src"] == "'self'"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert b'<meta name="robots" content="noindex, nofollow">' in answer.content
        assert len(answer.content) < 5_000


def test_no_page_of_unfold_carries_a_script_or_a_style_in_its_text():
    page = staff_client("ops_manager").get("/admin/orders/shop/").content.decode()

    assert "<style" not in page
    assert page.count("<script") == page.count("<script src=") + page.count('type="application/json"')
    assert "chart.js" not in page
    assert "fonts/inter" not in page


def test_outside_the_language_follows_the_link_and_is_kept(client):
    first = client.get("/?lang=en")

    assert b"Log in as staff" in first.content
    assert b"Log in as staff" in client.get("/").content
    assert b'<html lang="zh-Hans">' in client.get("/?lang=zh-hans").content
    assert b'<html lang="zh-Hans">' in client.get("/", headers=ENGLISH).content
    assert b"Log in as staff" in Client().get("/?lang=xx", headers=ENGLISH).content


def test_the_bare_address_takes_staff_to_their_desk():
    answer = staff_client("sales").get("/")

    assert (answer.status_code, answer.url) == (302, "/admin/")


def test_every_answer_has_a_number_of_its_own(client):
    numbers = {client.get("/").headers["X-Request-ID"] for _n in range(3)}

    assert len(numbers) == 3
    assert all(len(number) == 16 for number in numbers)


def test_a_proxys_number_is_kept_if_it_is_one_and_replaced_if_it_could_forge_a_log(client):
    assert (
        client.get("/", headers={"x-request-id": "proxy-12345678"}).headers["X-Request-ID"]
        == "proxy-12345678"
    )
    for forged in ("short", 'x"} {"level": "ERROR', "a" * 65):
        assert client.get("/", headers={"x-request-id": forged}).headers["X-Request-ID"] != forged


def test_a_page_that_is_not_there_shows_the_number_inside_and_outside(client):
    for browser, address in ((client, "/nothing"), (staff_client("sales"), "/admin/nothing/")):
        answer = browser.get(address, headers=ENGLISH)
        assert answer.status_code == 404
        assert answer.headers["X-Request-ID"] in answer.content.decode()
        assert "There is nothing at this address" in answer.content.decode()


def test_a_machine_reads_json_when_nothing_is_there(client):
    answer = client.get("/api/v9/", headers=ENGLISH)

    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"
    assert answer.headers["Content-Type"] == "application/json"
    assert len(answer.headers["X-Request-ID"]) == 16


def fails(_request):
    raise RuntimeError("the disk is full")


# The map of the house and one address more, for the test below.
urlpatterns = [path("fails/", fails), *urls.urlpatterns]
handler500 = urls.handler500


@pytest.mark.urls(__name__)
def test_a_page_that_fails_says_so_and_the_log_has_its_number(client, caplog, django_assert_num_queries):
    client.raise_request_exception = False

    with django_assert_num_queries(0):
        answer = client.get("/fails/", headers=ENGLISH)

    number = answer.headers["X-Request-ID"]
    assert answer.status_code == 500
    assert number in answer.content.decode()
    assert "the disk is full" not in answer.content.decode()
    line = json.loads(request_id.JsonLines().format(caplog.records[-1]))
    assert line["request"] == number
    assert "the disk is full" in line["traceback"]


def test_a_line_of_the_log_is_one_line_of_json():
    record = logging.LogRecord("orders", logging.WARNING, "f.py", 1, "two\nlines of %s", ("订单",), None)

    text = request_id.JsonLines().format(record)

    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "orders", "two\nlines of 订单")
    assert "request" not in line


def test_a_refusal_names_the_permission_its_roles_and_who_can_give_them():
    chief = make_staff(may=("auth.change_user",))

    answer = staff_client("sales").get("/admin/auth/user/", headers=ENGLISH)

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "You need the permission “See: users” for this." in page
    assert chief.get_username() in page
    assert answer.headers["X-Request-ID"] in page
    assert 'data-state="no_permission"' in page


def test_the_header_leads_only_where_the_person_may_go():
    seller = staff_client("sales", everything=True).get("/admin/help/", headers=ENGLISH).content.decode()
    nobody = staff_client(may=("auth.view_group",)).get("/admin/help/", headers=ENGLISH).content.decode()

    assert '<a href="/admin/board/">Board</a>' in seller
    assert 'role="search"' in seller
    assert '<a href="/admin/board/">' not in nobody
    assert 'role="search"' not in nobody


def test_the_skip_link_comes_before_everything_else():
    page = staff_client("ops_manager").get("/admin/orders/shop/", headers=ENGLISH).content.decode()

    body = page[page.index("<body") :]
    assert body.index("skip-link") < body.index("<header")
    assert "Skip to the list" in body


def test_what_a_person_sets_counts_on_every_page():
    user = make_staff("sales", everything=True)
    client = log_in(Client(), user)

    answer = client.post("/admin/me/", {"timezone": "Europe/Berlin", "density": "compact"})

    assert answer.status_code == 303
    kept = StaffPreference.objects.get(user=user)
    assert (kept.shortcuts, kept.timezone, kept.density) == (False, "Europe/Berlin", "compact")
    page = client.get("/admin/help/").content.decode()
    assert '"shortcuts": false' in page
    assert '"zone": "Europe/Berlin"' in page


def test_a_zone_that_does_not_exist_is_refused_and_nothing_is_kept():
    user = make_staff("sales")

    answer = log_in(Client(), user).post("/admin/me/", {"timezone": "Mars/Olympus", "density": "compact"})

    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {"timezone"}
    assert not StaffPreference.objects.filter(user=user).exists()


def test_the_zone_of_one_person_does_not_stay_for_the_next():
    traveller, other = make_staff("sales"), make_staff("sales")
    StaffPreference.objects.create(user=traveller, timezone="America/New_York")

    assert '"zone": "America/New_York"' in log_in(Client(), traveller).get("/admin/help/").content.decode()
    assert '"zone": "Asia/Shanghai"' in log_in(Client(), other).get("/admin/help/").content.decode()


@pytest.mark.parametrize("address", ["/api/v1/orders/", "/hooks/north/"])
def test_a_machine_reads_of_a_failure_in_its_own_form(rf, address):
    answer = error_pages.failed(rf.post(address))

    said = json.loads(answer.content)
    assert answer.status_code == 500
    assert said["error"] == "internal_error"
    assert set(said) == {"error", "detail", "request_id"}


def test_the_freshness_chip_has_a_shape_before_any_script_has_run():
    page = staff_client("ops_manager").get("/admin/orders/shop/").content.decode()

    chip = page.partition("data-freshness>")[2]
    assert chip.startswith('<svg class="icon')
