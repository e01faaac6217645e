from __future__ import annotations

import json
import time

import pytest
import time_machine

from integrations import ingest, tokens
from integrations.connectors.base import REGISTRY
from integrations.models import ApiToken, InboundMessage
from integrations.tests.senders import Sender, bought, make_connection, picked
from orders.models import OrderFact
from orders.tests.factories import make_order, make_shop

NOON = "2026-06-01T12:00:00+08:00"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def shop():
    return make_shop("tmall")


@pytest.fixture
def wms(shop):
    return Sender(make_connection("wms"))


def one(answer):
    assert answer.status_code == 200, answer.content
    (item,) = answer.json()["items"]
    return item


def fields(item):
    return {problem["field"] for problem in item["errors"]}


def read_back(message):
    return list(
        REGISTRY["api"]().read(message.form, message.body, key=message.remote_key, shop="", mapping=None)
    )


# --- facts


def test_a_fact_is_stored_and_answered_at_once(wms):
    answer = wms.facts(picked(lines=[{"sku": "BRK-001", "qty": "2"}]))

    assert answer.json() == {
        "received_at": "2026-06-01T04:00:00+00:00",
        "items": [{"key": "pick-1", "result": "accepted"}],
    }
    message = InboundMessage.objects.get()
    assert (message.connection.slug, message.form, message.state) == ("wms", "fact", "waiting")
    assert message.received_at.isoformat() == "2026-06-01T04:00:00+00:00"
    (fact,) = read_back(message)
    assert (fact.key, fact.kind, fact.order.external_id) == ("pick-1", "pick.done", "1001")
    assert [(sku, str(qty)) for sku, qty in fact.lines] == [("BRK-001", "2")]


def test_a_bare_list_is_taken_too(wms):
    assert one(wms.send("facts", [picked()]))["result"] == "accepted"


def test_each_item_has_its_own_result(wms):
    items = [picked("a"), picked("b", kind="pick.dome"), picked("a"), picked("a", kind="pack.done"), "text"]

    results = [item["result"] for item in wms.facts(*items).json()["items"]]

    assert results == ["accepted", "refused", "duplicate", "refused", "refused"]
    assert InboundMessage.objects.filter(state="waiting").count() == 1
    assert InboundMessage.objects.filter(state="failed").count() == 3


def test_a_mended_item_is_accepted_under_the_same_key(wms):
    assert one(wms.facts(picked(kind="pick.dome")))["result"] == "refused"

    assert one(wms.facts(picked()))["result"] == "accepted"


def test_blanks_and_the_sequence_of_names_do_not_make_other_content(wms):
    item = picked()
    wms.facts(item)

    again = wms.send("facts", json.dumps({"items": [dict(reversed(item.items()))]}, indent=3))

    assert one(again)["result"] == "duplicate"


def test_without_a_key_the_same_content_within_one_second_is_the_same_event(wms):
    at = "2026-06-01T10:00:00.{}+08:00"
    first = one(wms.facts(picked(None, occurred_at=at.format("100"))))
    again = one(wms.facts(picked(None, occurred_at=at.format("900"))))
    later = one(wms.facts(picked(None, occurred_at="2026-06-01T10:00:01+08:00")))
    other = one(wms.facts(picked(None, occurred_at=at.format("100"), lines=[{"sku": "A"}])))

    assert [item["result"] for item in (first, again, later, other)] == [
        "accepted",
        "duplicate",
        "accepted",
        "accepted",
    ]
    assert first["key"] == again["key"]
    (fact,) = read_back(InboundMessage.objects.first())
    assert fact.key == f"fact:{first['key']}"


def test_a_fact_and_an_order_may_have_the_same_key(wms):
    assert one(wms.facts(picked("x")))["result"] == "accepted"
    assert one(wms.orders(bought(key="x")))["result"] == "accepted"


@pytest.mark.parametrize(
    ("values", "field", "error"),
    [
        ({"kind": None}, "kind", "is missing"),
        ({"kind": "pick.dome"}, "kind", "did you mean pick.done?"),
        ({"kind": 7}, "kind", "not a kind of fact"),
        ({"occurred_at": None}, "occurred_at", "is missing"),
        ({"occurred_at": "2026-06-01T10:00:00"}, "occurred_at", "no offset"),
        ({"occurred_at": "yesterday"}, "occurred_at", "not an ISO time"),
        ({"occurred_at": 1780279200}, "occurred_at", "ISO time"),
        ({"occurred_at": "0001-01-01T00:00:00+08:00"}, "occurred_at", "not in this age"),
        ({"occurred_at": "2026-06-01T12:10:01+08:00"}, "occurred_at", "future"),
        ({"order": None}, "order", "is missing"),
        ({"order": "1001"}, "order", "must be an object"),
        ({"order": {}}, "order", "exactly one of"),
        ({"order": {"external_id": "1"}}, "order.shop", "unique only within its shop"),
        ({"order": {"shop": "tmall", "external_id": "1", "waybill": "SF1"}}, "order", "exactly one of"),
        ({"order": {"shop": "tmall", "waybill": "SF1"}}, "order.shop", "goes with external_id"),
        ({"order": {"shop": "jd", "external_id": "1"}}, "order.shop", "jd"),
        ({"order": {"number": "OH260601-ABCDE"}}, "order.number", "OH260601-ABCDE"),
        ({"order": {"shop": "tmall", "external_id": 1.5}}, "order.external_id", "send it as text"),
        ({"order": {"shop": "tmall", "external_id": "2.88E+18"}}, "order.external_id", "lost digits"),
        ({"order": {"shop": "tmall", "external_id": True}}, "order.external_id", "must be text"),
        (
            {"order": {"shop": "tmall", "external_ID": "1"}},
            "order.external_ID",
            "there are shop, external_id",
        ),
        ({"lines": {}}, "lines", "must be a list"),
        ({"lines": [{"qty": 1}]}, "lines[0].sku", "is missing"),
        ({"lines": ["A"]}, "lines[0].sku", "is missing"),
        ({"lines": [{"sku": "A"}, {"sku": "A"}]}, "lines[1].sku", "named twice"),
        ({"lines": [{"sku": "A", "qty": 0}]}, "lines[0].qty", "more than 0"),
        ({"lines": [{"sku": "A", "qty": -1}]}, "lines[0].qty", "more than 0"),
        ({"lines": [{"sku": "A", "qty": "two"}]}, "lines[0].qty", "not a number"),
        ({"lines": [{"sku": "A", "qty": "NaN"}]}, "lines[0].qty", "finite"),
        ({"lines": [{"sku": "A", "qty": "1e30"}]}, "lines[0].qty", "too large"),
        ({"lines": [{"sku": "A", "qty": "0.0001"}]}, "lines[0].qty", "3 decimal places"),
        ({"lines": [{"sku": "A", "qty": True}]}, "lines[0].qty", "decimal number"),
        ({"lines": [{"sku": "A", "qyt": 1}]}, "lines[0].qyt", "there are sku, qty"),
        ({"kind": "payment.received", "lines": [{"sku": "A"}]}, "lines", "whole order"),
        ({"parcel": "SF1"}, "parcel", "not about a parcel"),
        ({"data": []}, "data", "must be an object"),
        ({"data": {"contact": 1}}, "data.contact", "reserved"),
        ({"data": {"fields": {"total": "1"}}}, "data.fields", "reserved"),
        ({"data": {"text": "a\x00b"}}, "data.text", "cannot be stored"),
        ({"data": {"text": "\ud800"}}, "data.text", "cannot be stored"),
        ({"data": {"list": [[[[[[[[[1]]]]]]]]]}}, "data.list", "nested deeper"),
        ({"kind": "payment.received", "data": {"amount": "abc"}}, "data.amount", "not a number"),
        ({"kind": "date.confirmed"}, "data.date", "is missing"),
        ({"kind": "date.confirmed", "data": {"date": "1 June"}}, "data.date", "2026-03-01"),
        ({"kind": "hold.set", "data": {"until": "2026-06-09"}}, "data.until", "offset"),
        ({"kind": "fact.retracted"}, "data.fact", "is missing"),
        (
            {"kind": "fact.retracted", "data": {"fact": {"key": "k", "source": "jd"}}},
            "data.fact.source",
            "there are key, kind",
        ),
        ({"source": "jd"}, "source", "settled by the token"),
        ({"occured_at": "x"}, "occured_at", "did you mean occurred_at?"),
        ({"key": 1.5}, "key", "must be text"),
        ({"key": "x" * 129}, "key", "129 signs long"),
        ({"key": ""}, "key", "empty"),
    ],
)
def test_a_wrong_item_is_refused_with_its_field_named_and_kept(wms, values, field, error):
    item = one(wms.send("facts", json.dumps([picked(**{"key": "k", **values})])))

    assert item["result"] == "refused"
    assert any(found["field"] == field and error in found["error"] for found in item["errors"]), item[
        "errors"
    ]
    message = InboundMessage.objects.get()
    assert message.state == "failed"
    assert {"field": field} in [{"field": found["field"]} for found in message.errors]


def test_every_problem_of_an_item_is_told_at_once(wms):
    item = one(wms.facts(picked(kind="x", occurred_at="y", order={}, lines=[{"qty": 0}])))

    assert fields(item) == {"kind", "occurred_at", "order", "lines[0].sku", "lines[0].qty"}


def test_a_field_that_nobody_reads_is_a_warning(wms):
    item = one(wms.facts(picked(colour="red")))

    assert item["result"] == "accepted"
    assert [warning["field"] for warning in item["warnings"]] == ["colour"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1234567890123456789, "1234567890123456789"),
        ("００１２３", "00123"),
        ("  0042 ", "0042"),
    ],
)
def test_ids_survive_to_the_last_digit(wms, given, kept):
    wms.facts(picked(order={"shop": "tmall", "external_id": given}))

    (fact,) = read_back(InboundMessage.objects.get())
    assert fact.order.external_id == kept


def test_decimals_are_taken_digit_by_digit(wms):
    body = json.dumps([picked(lines=[{"sku": "A", "qty": 0}])]).replace('"qty": 0', '"qty": 0.1')

    assert one(wms.send("facts", body))["result"] == "accepted"

    (fact,) = read_back(InboundMessage.objects.get())
    assert str(fact.lines[0][1]) == "0.1"


def test_a_parcel_fact_on_a_waybill_is_about_that_parcel(wms):
    wms.facts(picked(kind="parcel.delivered", order={"waybill": "SF123"}))

    (fact,) = read_back(InboundMessage.objects.get())
    assert (fact.order.waybill, fact.parcel) == ("SF123", "SF123")


def test_a_duplicate_that_is_settled_names_its_fact(shop):
    sender = Sender(make_connection("wms"))
    make_order(shop=shop, external_id="1001")
    sender.facts(picked("a"), picked(None))
    ingest.process()

    items = sender.facts(picked("a"), picked(None)).json()["items"]

    facts = dict(OrderFact.objects.filter(source="wms").values_list("key", "pk"))
    assert {item["result"] for item in items} == {"duplicate"}
    assert {items[0]["fact"], items[1]["fact"]} == set(facts.values())
    assert items[0]["fact"] == facts["a"]


def test_a_hub_number_is_known_within_the_scope_of_the_token(shop):
    order = make_order(shop=shop)
    inside = Sender(make_connection("a", shop=shop))
    outside = Sender(make_connection("b", shop=make_shop("jd")))

    assert one(inside.facts(picked(order={"number": order.number})))["result"] == "accepted"
    assert fields(one(outside.facts(picked(order={"number": order.number})))) == {"order.number"}


def test_a_token_of_one_shop_reports_for_that_shop_only(shop):
    sender = Sender(make_connection("jd", shop=make_shop("jd")))

    assert fields(one(sender.facts(picked()))) == {"order.shop"}
    assert fields(one(sender.orders(bought()))) == {"shop"}
    assert one(sender.facts(picked(order={"external_id": "1"})))["result"] == "accepted"
    assert one(sender.orders(bought(shop=None)))["result"] == "accepted"


# --- orders


def test_an_order_is_stored_with_everything_it_says(wms):
    item = bought(
        total=358.10,
        currency="cny",
        country="cn",
        stars="4",
        rush=True,
        payment_terms="credit",
        contact={"name": "王先生", "phone": 13812345678},
        lines=[{"sku": "BRK-001", "qty": "2.5", "name": "刹车片", "unit": "套", "price": "179.0500"}],
    )

    assert one(wms.orders(item))["result"] == "accepted"

    (order,) = read_back(InboundMessage.objects.get())
    assert (order.shop, order.external_id) == ("tmall", "1001")
    assert order.fields == {
        "currency": "CNY",
        "total": "358.1",
        "stars": 4,
        "country": "CN",
        "rush": True,
        "payment_terms": "credit",
    }
    assert order.person == {"name": "王先生", "phone": "13812345678"}
    assert str(order.lines[0].qty) == "2.5"
    assert str(order.lines[0].price) == "179.0500"


def test_a_changed_order_is_a_new_version_and_the_same_one_a_duplicate(wms):
    results = [one(wms.orders(bought(remark=remark)))["result"] for remark in ("a", "a", "b")]

    assert results == ["accepted", "duplicate", "accepted"]


def test_an_order_key_is_used_for_one_content(wms):
    results = [one(wms.orders(bought(key="v1", remark=remark)))["result"] for remark in ("a", "a", "b")]

    assert results == ["accepted", "duplicate", "refused"]


@pytest.mark.parametrize(
    ("values", "field", "error"),
    [
        ({"shop": None}, "shop", "is missing"),
        ({"shop": "jd"}, "shop", "jd"),
        ({"external_id": None}, "external_id", "is missing"),
        ({"external_id": 1e18}, "external_id", "send it as text"),
        ({"placed_at": None}, "placed_at", "is missing"),
        ({"placed_at": "2026-06-02T12:00:00+08:00"}, "placed_at", "future"),
        ({"changed_at": "2026-06-02T12:00:00+08:00"}, "changed_at", "future"),
        ({"lines": None}, "lines", "is missing"),
        ({"lines": []}, "lines", "must not be empty"),
        ({"lines": [{"sku": "A"}]}, "lines[0].qty", "is missing"),
        ({"lines": [{"sku": "A", "qty": 1}] * 501}, "lines", "at most 500"),
        ({"total": "-1"}, "total", "negative"),
        ({"total": "1.234"}, "total", "2 decimal places"),
        ({"currency": "yuan"}, "currency", "3 letters"),
        ({"stars": 4.5}, "stars", "0 decimal places"),
        ({"rush": "yes"}, "rush", "true or false"),
        ({"payment_terms": "later"}, "payment_terms", "prepaid, credit"),
        ({"warehouse": "moon"}, "warehouse", "moon"),
        ({"remark": "x" * 2001}, "remark", "2001 signs"),
        ({"contact": "王先生"}, "contact", "must be an object"),
        ({"contact": {"fone": "1"}}, "contact.fone", "there are name, phone"),
        ({"source": "jd"}, "source", "settled by the token"),
    ],
)
def test_a_wrong_order_is_refused_with_its_field_named_and_kept(wms, values, field, error):
    item = one(wms.send("orders", json.dumps([bought(**values)])))

    assert item["result"] == "refused"
    assert any(found["field"] == field and error in found["error"] for found in item["errors"]), item[
        "errors"
    ]
    assert InboundMessage.objects.get().state == "failed"


# --- bodies


@pytest.mark.parametrize(
    ("body", "status", "code", "detail"),
    [
        (b" ", 400, "bad_json", "empty"),
        (b'{"items": [{"key": "a"', 400, "bad_json", "line 1, column 23"),
        (b'{"items": [{"key": "a", "key": "b"}]}', 400, "bad_json", "given twice"),
        (b'{"items": [NaN]}', 400, "bad_json", "NaN"),
        (b'{"items": [Infinity]}', 400, "bad_json", "Infinity"),
        (b'{"items": [1' + b"0" * 5000 + b"]}", 400, "bad_json", "digits"),
        (b"[" * 100_000, 400, "too_deep", "nested"),
        (b'\xff\xfe{"items": []}', 400, "not_utf8", "byte 0"),
        (b'["a\x00"]', 400, "bad_json", "NUL"),
        (b'{"items": []}', 400, "bad_shape", "empty"),
        (b'{"items": {}}', 400, "bad_shape", "1 to 100"),
        (b'"text"', 400, "bad_shape", "1 to 100"),
        (b'{"facts": []}', 400, "bad_shape", "“facts”"),
        (b"[" + b"{}," * 100 + b"{}]", 422, "too_many_items", "101 items"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole(wms, body, status, code, detail):
    answer = wms.send("facts", body)

    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert detail in answer.json()["detail"]
    assert not InboundMessage.objects.exists()


def test_a_body_of_ten_megabytes_is_refused_unread(wms):
    answer = wms.send("facts", b" " * 10_000_000)

    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert not InboundMessage.objects.exists()


def test_a_body_of_unknown_length_is_refused_as_such(client, wms):
    headers = {"Authorization": f"Token {wms.clear}", "Transfer-Encoding": "chunked"}
    headers["Content-Type"] = "application/json"
    answer = client.generic("POST", "/api/v1/facts/", "", headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (411, "length_missing")


def test_an_item_that_is_too_large_is_refused_alone(wms):
    items = wms.facts(picked("a", extra="x" * 300_000), picked("b")).json()["items"]

    assert [item["result"] for item in items] == ["refused", "accepted"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=gbk"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_what_is_not_plain_json_is_refused(wms, headers):
    assert wms.send("facts", [picked()], **headers).status_code == 415
    assert not InboundMessage.objects.exists()


def test_whatever_a_sender_accepts_it_gets_json(wms):
    assert wms.facts(picked(), Accept="text/html").json()["items"][0]["result"] == "accepted"


# --- tokens


@pytest.mark.parametrize("header", ["", "Token", "Token wrong", "Bearer {}", "Basic {}"])
def test_without_a_known_token_nothing_is_taken(client, wms, header):
    headers = {"Authorization": header.format(wms.clear)} if header else {}
    answer = client.post("/api/v1/facts/", "[]", content_type="application/json", headers=headers)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert set(answer.json()) == {"error", "detail"}
    assert not InboundMessage.objects.exists()


def test_only_the_hash_of_a_token_is_kept(wms):
    token = ApiToken.objects.get()

    assert wms.clear not in str(ApiToken.objects.values())
    assert (len(token.digest), token.tail) == (64, wms.clear[-4:])


def test_a_revoked_token_is_dead_within_five_seconds(wms):
    assert wms.facts(picked()).status_code == 200
    ApiToken.objects.update(revoked_at="2026-06-01T04:00:00Z")
    until, _token = tokens._believed[tokens.digest(wms.clear)]

    assert until - time.monotonic() < 5
    time.sleep(max(0, until - time.monotonic()))
    assert wms.facts(picked()).status_code == 401


def test_the_last_use_of_a_token_is_noted(wms):
    wms.facts(picked())

    assert ApiToken.objects.get().used_at.isoformat() == "2026-06-01T04:00:00+00:00"


def test_a_connection_that_is_switched_off_takes_nothing():
    sender = Sender(make_connection(is_active=False))

    assert sender.facts(picked()).status_code == 403
    assert not InboundMessage.objects.exists()


def test_a_token_that_asks_too_often_is_told_to_wait(wms, settings):
    settings.API_REQUESTS_PER_MINUTE = 2

    answers = [wms.facts(picked()) for _time in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2]["Retry-After"]) <= 30
    assert answers[2].json()["error"] == "throttled"


# --- addresses


@pytest.mark.parametrize("address", ["/api/v1/nothing/", "/api/", "/api/v2/orders/"])
def test_an_unknown_address_answers_in_json(client, address):
    answer = client.get(address)

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_post_without_the_slash_at_the_end_is_told_so(client):
    answer = client.post("/api/v1/facts", "[]", content_type="application/json")

    assert answer.status_code == 404
    assert "end in a slash" in answer.json()["detail"]


def test_facts_are_not_read_here(wms):
    answer = wms.get("facts/")

    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
