"""What the doors say: to callers in the language they ask for, to readers of what is kept in their own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.utils.translation import override

from integrations import ingest, items
from integrations.canonical import Untranslatable
from integrations.models import Connection, InboundMessage
from integrations.tests.factories import arrive, make_connection, order_item
from integrations.tests.senders import Sender, bought, make_webhook, picked, push
from integrations.told import Told, kept, words_of

SENT = datetime.fromtimestamp(1762819200, UTC)
SECONDS = "webhook-timestamp must be whole UNIX seconds."
SECONDS_ZH = "webhook-timestamp必须是整数UNIX秒。"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(SENT, tick=False):
        yield


@pytest.mark.parametrize("address", ["/api/v1/facts/", "/api/v1/nothing/", "/hooks/nobody/", "/hooks/a/b/"])
@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("*", "en"),
        ("de, fr;q=0.5", "en"),
        ("en, zh;q=0.5", "en"),
        ("zh;q=0, de", "en"),
        ("zh; nonsense", "en"),
        ("zh", "zh-hans"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-hans"),
        ("en;q=0.5, zh", "zh-hans"),
    ],
)
def test_a_caller_is_answered_in_the_language_it_asks_for(client, address, accepted, language):
    client.cookies["django_language"] = "en" if language == "zh-hans" else "zh-hans"

    answer = client.post(address, headers={} if accepted is None else {"Accept-Language": accepted})

    assert answer.status_code >= 400
    assert answer["Content-Language"] == language


def test_a_refused_push_reads_its_reason_in_its_language_and_the_same_code():
    make_webhook()
    wrong = {"webhook-timestamp": "yesterday"}

    english = push(b"{}", at=SENT, **wrong)
    chinese = push(b"{}", at=SENT, **wrong, **{"Accept-Language": "zh-CN"})

    assert english.json() == {"error": "timestamp_wrong", "detail": SECONDS}
    assert chinese.json() == {"error": "timestamp_wrong", "detail": SECONDS_ZH}


@pytest.mark.parametrize("callers", ["en", "zh-CN"])
def test_why_a_push_was_refused_is_kept_for_readers_of_any_language(callers):
    make_webhook()

    push(b"{}", at=SENT, **{"webhook-timestamp": "yesterday", "Accept-Language": callers})

    connection = Connection.objects.get(slug="site")
    with override("en"):
        assert connection.why_it_failed.endswith(f"The last one: {SECONDS}")
    with override("zh-hans"):
        assert SECONDS_ZH in connection.why_it_failed


def test_a_broken_body_is_described_in_the_callers_language():
    answer = Sender().send("facts", "[NaN]", **{"Accept-Language": "zh"})

    assert answer.json()["error"] == "bad_json"
    assert answer.json()["detail"].startswith("正文不是 JSON：")


def test_what_is_wrong_with_an_item_is_kept_as_a_sentence_with_its_values():
    Sender().facts(picked(kind="pick.dona"), **{"Accept-Language": "zh"})

    assert (
        InboundMessage.objects.get().errors[0]["id"]
        == "“%(value)s” is not a kind of fact; did you mean %(near)s?"
    )
    with override("en"):
        said = words_of(InboundMessage.objects.get().errors[0])
    assert said == "“pick.dona” is not a kind of fact; did you mean pick.done?"


def test_a_key_used_again_is_kept_as_a_sentence():
    connection = make_connection("erp")
    arrive(connection, "order", order_item("tmall", "1"), key="k")
    arrive(connection, "order", order_item("tmall", "2"), key="k")

    errors = [row.errors for row in InboundMessage.objects.order_by("pk")]

    assert errors[0] == []
    assert errors[1][0]["id"].startswith("this key was used before for other content")


def test_what_the_worker_finds_is_kept_as_a_sentence_with_its_values():
    arrive(make_connection("erp"), "order", order_item("nowhere", "1"))

    with override("zh-hans"):
        ingest.process()

    [row] = InboundMessage.objects.get().errors
    assert row["params"] == {"code": "nowhere"}
    with override("en"):
        assert words_of(row) == "there is no shop “nowhere”; create it, or correct the name"


BAD_FACTS = [
    {},
    "text",
    picked(colour=1, kinds="x", source="me", key=" "),
    picked(key="k" * 200, occurred_at="now", order={"shop": "a", "number": "b", "waybill": "c", "x": 1}),
    picked(occurred_at="2026-06-01T10:00:00", order={"external_id": "1"}, lines="all"),
    picked(
        occurred_at="1026-06-01T10:00:00Z",
        order={"shop": "a", "number": "b"},
        lines=[{"sku": "A", "qty": "x"}],
    ),
    picked(
        lines=[{"sku": "A", "qty": 1}, {"sku": "A", "qty": -1}, {"sku": "\x00", "qty": "1.2345"}], parcel="1"
    ),
    picked(kind="date.confirmed", lines=[{"sku": "1e+17", "qty": "1e30"}], data={"contact": 1, "lines": 2}),
    picked(kind="fact.retracted", data={"date": "soon", "amount": "NaN", "name": "x" * 99, "until": 3}),
    picked(kind="unheard of", data={"a": [0] * 600, "b": 10**70, "c": "\x00"}, parcel=1.5),
    picked(data=[[]], lines=[0] * 501, key=True),
]
BAD_ORDERS = [
    {},
    bought(lines=[], total="1.234", rush="yes", country="CHN", payment_terms="barter", placed_at=1),
    bought(10**80, remark=3.5, stars=-1, currency=1, contact="me", lines=[{"qty": True}]),
]


def problems_of(read, item):
    with pytest.raises(Untranslatable) as refused:
        read(item)
    return refused.value.problems


def test_every_reason_to_refuse_an_item_is_a_sentence_that_can_be_said_again():
    problems = [problem for item in BAD_FACTS for problem in problems_of(items.read_fact, item)]
    problems += [problem for item in BAD_ORDERS for problem in problems_of(items.read_order, item)]

    assert [problem for problem in problems if not isinstance(problem.error, Told)] == []
    assert len({kept(problem.error)["id"] for problem in problems}) > 30
