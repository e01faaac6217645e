"""The API page: what it prints works on this very server, and what people paste into it goes nowhere."""

from __future__ import annotations

import html
import logging
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from django.conf import settings as house
from django.test import Client

from integrations import developer, signatures, tasks, tokens
from integrations.models import ApiToken, Connection, InboundMessage
from integrations.refusal_codes import REFUSAL_CODES
from integrations.verifying import verify
from orders.access import sync_roles
from orders.models import AuditEntry, Order
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/api/"
AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BODY = '{"type":"pick.done"}'
TOLERANCE = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _english(settings):
    settings.LANGUAGE_CODE = "en"


def pasted(signature, *, name="m-1", at=AT):
    return f"webhook-id: {name}\nWebhook-Timestamp: {int(at.timestamp())}\nwebhook-signature: {signature}"


def signature(secret=SECRET, *, body=BODY, at=AT):
    return signatures.sign(secret, "m-1", int(at.timestamp()), body.encode())


def judge(headers, *, secret=SECRET, body=BODY, at=AT):
    return verify(secret, headers, body, at, TOLERANCE)


def blocks(page, name):
    return [html.unescape(text) for text in re.findall(rf"<pre[^>]* {name}>(.*?)</pre>", page, re.DOTALL)]


def shown(page, name):
    return html.unescape(re.search(rf'id="{name}">([^<]+)<', page)[1])


def open_page(user, server):
    """The page over real HTTP, as this user's browser asks for it."""
    browser = requests.Session()
    browser.cookies.set("sessionid", log_in(Client(), user).cookies["sessionid"].value)
    browser.get(server + ADDRESS)
    return browser


def press(browser, server, **said):
    said["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
    return browser.post(server + ADDRESS, data=said, headers={"Referer": server}, timeout=20)


def curl(command):
    """What the printed curl would do, done: its parts, over HTTP."""
    parts = shlex.split(command.replace("\\\n", " "))
    assert parts[:2] == ["curl", "-X"]
    method, url, rest = parts[2], parts[3], parts[4:]
    given = list(zip(rest[::2], rest[1::2], strict=True))
    headers = dict(value.split(": ", 1) for flag, value in given if flag == "-H")
    body = next((value for flag, value in given if flag == "-d"), None)
    return requests.request(method, url, headers=headers, data=body, timeout=20)


@pytest.mark.django_db(transaction=True)
def test_the_printed_calls_work_on_this_server(live_server):
    sync_roles()
    browser = open_page(make_staff("integrator", everything=True), live_server.url)
    page = press(browser, live_server.url, action="token").text

    report, paid, read = blocks(page, "data-call")
    reported, told = curl(report), curl(paid)
    tasks.drain_inbox()
    found = curl(read)

    assert [answer.status_code for answer in (reported, told, found)] == [200, 200, 200]
    assert [answer.json()["items"][0]["result"] for answer in (reported, told)] == ["accepted", "accepted"]
    item = found.json()["items"][0]
    assert (item["external_id"], item["axes"]["payment"]) == (f"HELLO-{datetime.now(UTC):%m%d}", "paid")
    assert Order.objects.get().is_demo
    assert curl(report).json()["items"][0]["result"] == "duplicate"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_printed_signing_recipe_works_in_a_shell(live_server):
    sync_roles()
    browser = open_page(make_staff("integrator", everything=True), live_server.url)
    page = press(browser, live_server.url, action="token").text
    curl(blocks(page, "data-call")[0])

    done = subprocess.run(
        ["sh", "-c", blocks(page, "data-recipe")[0]], capture_output=True, text=True, timeout=30
    )

    assert done.stdout == '{"result":"accepted"}'
    assert InboundMessage.objects.get(form="webhook").connection.slug.startswith("api-test-")


@pytest.mark.django_db(transaction=True)
def test_the_simulator_sends_a_signed_event_over_http_and_the_log_shows_it(live_server):
    sync_roles()
    browser = open_page(make_staff("integrator", everything=True), live_server.url)

    ordered = press(browser, live_server.url, action="simulate", kind="order.created").text
    tasks.drain_inbox()
    paid = press(browser, live_server.url, action="simulate", kind="payment.received").text
    tasks.drain_inbox()
    page = browser.get(live_server.url + ADDRESS).text

    assert "order.created was sent and taken: 202" in ordered
    assert "payment.received was sent and taken: 202" in paid
    order = Order.objects.get()
    assert (order.payment, order.is_demo) == ("paid", True)
    assert [message.state for message in InboundMessage.objects.order_by("id")] == ["done", "done"]
    for message in InboundMessage.objects.all():
        assert message.remote_key in page


def test_an_event_about_no_order_is_not_sent():
    answer = staff_client("integrator").post(
        ADDRESS, {"action": "simulate", "kind": "parcel.delivered"}, follow=True
    )

    assert "Send a new order first." in answer.content.decode()
    assert not InboundMessage.objects.exists()


def test_the_token_is_shown_once_and_the_one_before_stops_working():
    client = staff_client("integrator")
    first = shown(client.post(ADDRESS, {"action": "token"}).content.decode(), "new-token")
    answer = client.post(ADDRESS, {"action": "token"})
    second = shown(answer.content.decode(), "new-token")
    later = client.get(ADDRESS).content.decode()

    assert "no-store" in answer["Cache-Control"]
    assert second not in later
    assert f"ends in {second[-4:]}" in later
    working = ApiToken.objects.get(revoked_at=None)
    assert working.digest == tokens.digest(second)
    assert ApiToken.objects.get(digest=tokens.digest(first)).revoked_at is not None


def test_the_test_token_speaks_for_the_test_shop_only_and_what_it_sends_is_demo():
    client = staff_client("integrator")
    client.post(ADDRESS, {"action": "token"})

    connection = Connection.objects.get()
    assert (connection.shop.code, connection.is_demo, connection.shop.is_demo) == ("api-test", True, True)


def test_each_person_has_a_connection_and_a_log_of_their_own():
    mine, other = make_staff("integrator"), make_staff("integrator")
    developer.make_keys(other, AT)
    InboundMessage.objects.create(
        connection=developer.make_connection(other), remote_key="not-mine", form="fact", body="{}", digest="0" * 64,
        received_at=AT,
    )  # fmt: skip

    page = log_in(Client(), mine).get(ADDRESS).content.decode()

    assert "not-mine" not in page
    assert "Nothing has come over your test connection yet." in page


@pytest.mark.parametrize("action", ["token", "simulate"])
def test_whoever_only_looks_at_connections_makes_no_token(action):
    client = staff_client("auditor")

    page = client.get(ADDRESS)
    refused = client.post(ADDRESS, {"action": action, "kind": "order.created"})

    assert (page.status_code, refused.status_code) == (200, 403)
    assert "Make a test token" not in page.content.decode()
    assert not ApiToken.objects.exists()
    assert not Connection.objects.exists()


def test_whoever_has_nothing_to_do_with_connections_is_refused():
    assert staff_client("sales").get(ADDRESS).status_code == 403


def test_a_stranger_reads_the_public_reference_without_a_login_and_without_other_servers(client):
    for address in ("/api/v1/docs/", "/api/v1/redoc/"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.content.decode())
    # Outside the demo, nothing is reported by trying it out.
    page = client.get("/api/v1/docs/").content.decode()
    assert re.search(r'"supportedSubmitMethods":\s*\[\s*"get"\s*\]', page)
    assert client.get("/api/v1/schema/").status_code == 200
    assert client.get(ADDRESS).status_code == 302


def test_every_code_of_the_program_is_in_the_catalogue_and_on_the_page():
    paper = (Path(house.BASE_DIR) / "docs" / "connectors.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z_0-9]+)` \| ([0-9, ]+) \|", paper, re.MULTILINE)

    page = staff_client("integrator").get(ADDRESS).content.decode()

    assert {code: ", ".join(map(str, row.status)) for code, row in REFUSAL_CODES.items()} == dict(listed)
    assert all(f"<code>{code}</code>" in page for code in REFUSAL_CODES)


def test_the_limits_are_those_of_this_installation(settings):
    settings.API_REQUESTS_PER_MINUTE = 4711

    assert "4711" in staff_client("integrator").get(ADDRESS).content.decode()


def test_a_right_signature_is_called_right():
    assert judge(pasted(signature())).is_right
    assert judge(pasted(f"v1,bm8= {signature()}")).is_right


def test_headers_are_read_as_people_paste_them():
    lines = [f"  -H '{line}' \\" for line in pasted(signature()).splitlines()]

    assert judge("\n".join(lines)).is_right


def test_the_line_ends_of_a_browser_are_no_mistake_of_the_sender():
    body = '{\n "type": 1\n}'

    assert judge(pasted(signature(body=body)), body=body.replace("\n", "\r\n")).is_right
    assert judge(pasted(signature(body=body.replace("\n", "\r\n"))), body=body.replace("\n", "\r\n")).is_right


@pytest.mark.parametrize(
    ("headers", "given", "part", "words"),
    [
        ("webhook-id: m-1", {}, "headers", "webhook-timestamp, webhook-signature"),
        (pasted("v1,x"), {"secret": "whsec_short"}, "secret", "Copy it whole"),
        (pasted("v1,x").replace(str(int(AT.timestamp())), "today"), {}, "webhook-timestamp", "whole UNIX seconds"),
        (pasted(signature(), at=AT + timedelta(0)), {"at": AT + timedelta(minutes=7)}, "webhook-timestamp", "420"),
        (pasted(signature(body=BODY + "\n")), {}, "webhook-signature", "with a line end that is not"),
        (pasted(signature()), {"body": BODY + "\n"}, "webhook-signature", "without the line end"),
        (pasted("bm8"), {}, "webhook-signature", "must read v1"),
        (pasted(signature(body="other")), {}, "webhook-signature", "Neither secret nor content"),
        (pasted("v1a,bm8="), {"secret": "whpk_" + "A" * 43 + "="}, "webhook-signature", "Neither"),
    ],
)  # fmt: skip
def test_the_part_that_is_wrong_is_named(headers, given, part, words):
    verdict = judge(headers, **given)

    assert verdict.part == part
    assert words in f"{verdict.text} {verdict.hint}"


def test_usual_mistakes_are_recognised():
    import base64
    import hashlib
    import hmac

    content = f"m-1.{int(AT.timestamp())}.{BODY}".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))

    def told(given_key, signed, *, as_hex=False):
        mac = hmac.digest(given_key, signed, hashlib.sha256)
        return judge(pasted("v1," + (mac.hex() if as_hex else base64.b64encode(mac).decode()))).hint

    assert "hexadecimal" in told(key, content, as_hex=True)
    assert "Only the body" in told(key, BODY.encode())
    assert "webhook-id was left out" in told(key, f"{int(AT.timestamp())}.{BODY}".encode())
    assert "used as text" in told(SECRET.encode(), content)
    assert "used as text" in told(SECRET.removeprefix("whsec_").encode(), content)


def test_the_verifier_keeps_logs_and_shows_no_secret(caplog):
    caplog.set_level(logging.DEBUG)
    client = staff_client("integrator")
    with time_machine.travel(AT, tick=False):
        answer = client.post(
            ADDRESS, {"action": "verify", "secret": SECRET, "headers": pasted(signature()), "body": BODY}
        )

    page = answer.content.decode()
    assert "The signature fits" in page
    assert SECRET not in page
    assert SECRET not in caplog.text
    assert not Connection.objects.exists()
    assert not AuditEntry.objects.filter(model__startswith="integrations").exists()


def test_a_form_without_an_action_does_nothing_and_says_so():
    answer = staff_client("integrator").post(ADDRESS, follow=True)

    assert "Nothing was done" in answer.content.decode()
