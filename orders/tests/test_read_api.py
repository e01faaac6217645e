from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.db.models import QuerySet
from django.urls import get_resolver
from openapi_spec_validator import validate

from integrations.tests.senders import Sender, make_connection
from orders.api import changed_orders
from orders.contacts import Contact
from orders.models import Order
from orders.stages import Role, Stage
from orders.tests.factories import MONDAY, add_fact, after, make_order, make_shop, settled, told

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _monday():
    with time_machine.travel(after(48), tick=False):
        yield


@pytest.fixture
def reader():
    return Sender(make_connection("crm", role=Role.CRM), may_read=True)


def numbers(answer):
    assert answer.status_code == 200, answer.content
    return [item["number"] for item in answer.json()["items"]]


def test_an_order_is_read_with_its_status_why_and_timeline(reader):
    order = make_order(shop=make_shop("tmall"), external_id="1001", lines={"A": 3}, fields={"total": "30.00"})
    order = told(order, "pick.done", 1, lines=[("A", "1.5")], role="wms", key="p1")

    body = reader.get(f"orders/{order.number}/").json()

    assert (body["number"], body["shop"], body["external_id"]) == (order.number, "tmall", "1001")
    assert (body["stage"], body["is_open"]) == ("picking", True)
    assert body["axes"] == {"payment": "paid", "invoice": "none", "intent": "go", "exception": ""}
    assert body["flags"]["conflict"] is False
    assert body["total"] == "30"
    assert body["placed_at"] == "2026-06-01T02:00:00Z"
    (line,) = body["lines"]
    assert (line["sku"], line["ordered"], line["picked"]) == ("A", "3", "1.5")
    assert [fact["kind"] for fact in body["timeline"]] == ["order.placed", "payment.received", "pick.done"]
    assert body["timeline"][2]["key"] == "p1"
    assert body["timeline"][2]["quantity"] == "1.5"
    assert body["why"]["why"]
    assert body["settled_through"] == "2026-06-01T03:00:00Z"


def test_parcels_steps_holds_and_conflicts_are_in_it(reader):
    order = make_order()
    add_fact(order, "waybill.made", parcel="SF1", role="carrier", data={"carrier": "sf"})
    add_fact(order, "hold.set", data={"name": "fraud", "reason": "check", "until": after(72).isoformat()})
    order = settled(order, at=after(1))

    body = reader.get(f"orders/{order.number}/").json()

    assert (body["parcels"][0]["waybill"], body["parcels"][0]["carrier"]) == ("SF1", "sf")
    assert body["holds"][0]["name"] == "fraud"
    assert body["holds"][0]["until"] == "2026-06-04T02:00:00Z"
    assert {step["step"] for step in body["steps"]} >= {"date"}
    assert body["flags"]["held"] is True
    assert body["conflicts"] == []


def test_personal_data_never_leave_by_this_door(reader):
    contact = Contact.objects.keep({"name": "王先生", "phone": "13812345678", "street": "长江路 1 号"})
    order = make_order()
    add_fact(order, "address.changed", data={"contact": contact.pk})
    order = settled(order)

    body = reader.get(f"orders/{order.number}/")

    assert order.contact_id == contact.pk
    assert body.json()["timeline"][-1]["data"] == {"contact": contact.pk}
    for secret in ("王先生", "13812345678", "138****5678", "长江路"):
        assert secret not in body.content.decode()


def test_reading_one_order_costs_the_same_queries_for_many_facts(reader, django_assert_max_num_queries):
    order = make_order(lines={f"A{number}": 1 for number in range(20)})
    for number in range(20):
        add_fact(order, "pick.done", lines=[(f"A{number}", 1)], role="wms")
    order = settled(order)
    reader.get("orders/")

    with django_assert_max_num_queries(12):
        reader.get(f"orders/{order.number}/")


def test_a_number_is_found_in_small_letters(reader):
    order = make_order()

    assert reader.get(f"orders/{order.number.lower()}/").json()["number"] == order.number


@pytest.mark.parametrize("address", ["orders/OH260601-ABCDE/", "orders/nothing/", "orders/%00/"])
def test_an_order_that_is_not_there_answers_404(reader, address):
    answer = reader.get(address)

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_token_sees_the_orders_of_its_own_shop_only():
    ours, theirs = make_shop("ours"), make_shop("theirs")
    mine, other = make_order(shop=ours), make_order(shop=theirs)
    reader = Sender(make_connection("shop", role=Role.SHOP, shop=ours), may_read=True)

    assert numbers(reader.get("orders/")) == [mine.number]
    assert numbers(reader.get("orders/?shop=theirs")) == []
    assert reader.get(f"orders/{other.number}/").status_code == 404
    assert reader.get(f"orders/{other.number}/").content == reader.get("orders/OH260601-ABCDE/").content


def test_a_token_that_may_only_report_reads_nothing():
    order = make_order()
    sender = Sender(make_connection())

    for address in ("orders/", f"orders/{order.number}/"):
        answer = sender.get(address)
        assert (answer.status_code, answer.json()["error"]) == (403, "may_not_read")
        assert order.number not in answer.content.decode()


def test_the_list_goes_on_where_the_page_before_ended(reader):
    orders = [make_order().number for _time in range(5)]

    found, address, sizes = [], "orders/?limit=2", []
    while address:
        page = reader.get(address).json()
        found += [item["number"] for item in page["items"]]
        sizes.append(len(page["items"]))
        address = f"orders/?limit=2&after={page['next']}" if page["next"] else ""

    assert found == orders
    assert sizes == [2, 2, 1]


def test_the_list_asks_the_same_queries_for_many_orders(reader, django_assert_num_queries):
    for _time in range(5):
        make_order()
    reader.get("orders/")

    with django_assert_num_queries(1):
        reader.get("orders/")


def test_the_list_is_narrowed_by_shop_stage_and_time(reader):
    old = make_order(shop=make_shop("a"), paid=False)
    new = make_order(shop=make_shop("b"), placed_at=MONDAY + timedelta(hours=2))
    closed = told(make_order(), "cancel.accepted", 3)

    assert closed.stage == Stage.CANCELLED
    assert numbers(reader.get("orders/?shop=b")) == [new.number]
    assert numbers(reader.get("orders/?stage=awaiting_payment")) == [old.number]
    assert numbers(reader.get("orders/?open=0")) == [closed.number]
    assert numbers(reader.get("orders/?open=1")) == [old.number, new.number]
    assert numbers(reader.get("orders/?updated_after=2026-06-01T10:00:00%2B08:00")) == [
        new.number,
        closed.number,
    ]
    assert numbers(reader.get("orders/?updated_after=2026-06-01T10:00:00+08:00")) == [
        new.number,
        closed.number,
    ]


def test_what_changed_is_read_in_the_sequence_of_its_changes(reader):
    first, second, third = (make_order() for _time in range(3))
    for minutes, order in ((3, first), (1, second), (1, third)):
        at = MONDAY + timedelta(minutes=minutes)
        QuerySet(Order).filter(pk=order.pk).update(settled_through=at)
    since = "updated_after=2026-01-01T00:00:00Z&limit=1"

    found, address = [], f"orders/?{since}"
    while address:
        page = reader.get(address).json()
        found += [item["number"] for item in page["items"]]
        address = f"orders/?{since}&after={page['next']}" if page["next"] else ""

    assert found == [second.number, third.number, first.number]


@pytest.mark.parametrize(
    ("shop", "index"), [(None, "order_changed"), (1, "order_shop_changed")], ids=["all shops", "one shop"]
)
@pytest.mark.parametrize("after", [{}, {"after": "2026-06-01T10:00:00Z,7"}], ids=["first page", "next page"])
def test_what_changed_is_found_by_index_not_by_reading_every_order(db, shop, index, after):
    if connection.vendor != "sqlite":
        pytest.skip("On a small table PostgreSQL rightly reads it through.")
    orders = Order.objects.all() if shop is None else Order.objects.filter(shop_id=shop)

    plan = changed_orders(orders, {"updated_after": "2026-06-01T10:00:00Z", **after})[:51].explain()

    assert f"USING INDEX {index} (" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("shop=%00", "shop"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("after=x", "after"),
        ("after=99999999999999999999", "after"),
        ("updated_after=2026-06-01T10:00:00Z&after=7", "after"),
        ("updated_after=2026-06-01T10:00:00Z&after=2026-06-01T10:00:00Z", "after"),
        ("open=yes", "open"),
        ("stage=lost", "stage"),
        ("updated_after=yesterday", "updated_after"),
        ("updated_after=2026-06-01", "updated_after"),
        ("updated_after=2026-06-01T10:00:00", "updated_after"),
        ("colour=red", "colour"),
    ],
)
def test_a_wrong_parameter_is_named(reader, query, field):
    answer = reader.get(f"orders/?{query}")

    assert answer.status_code == 400
    assert (answer.json()["error"], answer.json()["field"]) == ("bad_parameter", field)


def test_reading_changes_nothing(reader):
    order = make_order()
    before = Order.objects.filter(pk=order.pk).values().get()

    reader.get(f"orders/{order.number}/")
    reader.get("orders/")

    assert Order.objects.filter(pk=order.pk).values().get() == before


# --- the schema


@pytest.fixture
def schema(client):
    answer = client.get("/api/v1/schema/?format=json")
    assert answer.status_code == 200
    return json.loads(answer.content)


def test_the_schema_is_valid_and_made_without_a_warning(schema, capsys):
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    validate(schema)

    GENERATOR_STATS.reset()
    SchemaGenerator().get_schema(public=True)
    assert not GENERATOR_STATS, capsys.readouterr().err


def test_every_operation_and_its_answers_are_in_the_schema(schema):
    operations = {
        (path, method): set(operation["responses"])
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }

    taken = {"200", "400", "401", "403", "411", "413", "415", "422", "429"}
    assert operations[("/api/v1/facts/", "post")] == taken
    assert operations[("/api/v1/orders/", "post")] == taken
    assert operations[("/api/v1/orders/", "get")] == {"200", "400", "401", "403", "429"}
    assert operations[("/api/v1/orders/{number}/", "get")] == {"200", "401", "403", "404", "429"}
    assert {"202", "200", "401", "404", "410", "413"} <= operations[("/hooks/{slug}/", "post")]
    assert schema["components"]["securitySchemes"]


def test_the_documented_examples_are_accepted(schema):
    make_shop("tmall")
    sender = Sender(make_connection())

    for name in ("facts", "orders"):
        content = schema["paths"][f"/api/v1/{name}/"]["post"]["requestBody"]["content"]["application/json"]
        (example,) = content["examples"].values()
        with time_machine.travel(datetime(2026, 6, 1, tzinfo=UTC)):
            results = [item["result"] for item in sender.send(name, example["value"]).json()["items"]]
        assert results == ["accepted"]


def test_the_docs_page_loads_nothing_from_elsewhere(client):
    page = client.get("/api/v1/docs/").content.decode()

    assert "swagger-ui" in page
    for outside in ("https://", "http://", 'src="//', 'href="//'):
        assert outside not in page


def test_every_address_of_the_api_is_in_the_schema(schema):
    known = {
        "/" + str(pattern.pattern).replace("<str:", "{").replace(">", "}")
        for entry in get_resolver().url_patterns
        for pattern in _flat(entry)
        if str(pattern.pattern).startswith("api/v1/")
    }

    assert known - {"/api/v1/schema/", "/api/v1/docs/", "/api/v1/redoc/"} <= set(schema["paths"])


def _flat(entry):
    inner = getattr(entry, "url_patterns", None)
    return [entry] if inner is None else [found for one in inner for found in _flat(one)]
