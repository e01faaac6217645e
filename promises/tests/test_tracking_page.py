"""The customer's page: who may open it, what it says at every stage, what it never says, and what a look costs."""

from __future__ import annotations

import math
import os
from datetime import date
from itertools import product
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from orders.contacts import Contact
from orders.models import Order, SourceHeard
from orders.stages import FACT_KINDS, ParcelState, Stage
from orders.tests.factories import MONDAY, add_fact, after, make_order, make_shop, settled, told
from orders.tests.staff import make_staff
from promises.eta.orders import end_of
from promises.tests.factories_commitments import make_promise
from promises.tests.factories_estimates import make_estimate
from promises.tests.factories_tracking import make_link
from promises.token import to_text
from promises.tracking import links, words
from promises.tracking.causes import CAUSES, Cause, Signs, cause_of
from promises.tracking.models import CustomerLink
from promises.tracking.words import WAY, Milestone

pytestmark = pytest.mark.django_db

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"


def customer(**headers: str) -> Client:
    return Client(headers={"User-Agent": BROWSER, "Accept-Language": "en", **headers})


def read(path: str) -> str:
    answer = customer().get(path)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_a_link_is_the_hmac_of_order_and_version_and_only_its_hash_is_stored(settings):
    settings.LINKS_KEY = "a key of the test"
    order = make_order()

    path = links.address_of(order)

    token = path.split("/")[2]
    row = CustomerLink.objects.get()
    assert (len(token), token) == (22, links.token_of(order.pk, 1))
    assert row.token_hash == links.hash_of(token)
    assert token not in str(CustomerLink.objects.values().get())
    assert links.token_of(order.pk, 2) != token != links.token_of(order.pk + 1, 1)
    assert links.address_of(order) == path
    assert CustomerLink.objects.count() == 1


def test_revoking_closes_the_old_address_and_opens_another():
    order = make_order()
    old = make_link(order)

    new = links.revoke(order, by=make_staff("service"), at=MONDAY)

    assert old != new == links.address_of(order)
    assert customer().get(old).status_code == 404
    assert customer().get(new).status_code == 200
    assert list(CustomerLink.objects.order_by("version").values_list("version", "revoked_at")) == [
        (1, MONDAY),
        (2, None),
    ]


def test_two_that_found_no_link_at_once_hand_out_the_same_address():
    order = make_order()

    first, second = (links.make_once(order, MONDAY) for _caller in range(2))

    assert first == second == links.known_address(order)
    assert CustomerLink.objects.count() == 1


def test_a_new_key_makes_new_addresses_and_keeps_none_that_nobody_can_make(settings):
    order = make_order()
    old = make_link(order)
    settings.LINKS_KEY = "another key"

    assert links.known_address(order) == ""
    new = links.address_of(order)

    assert new != old
    assert (customer().get(new).status_code, customer().get(old).status_code) == (200, 404)


def test_unknown_revoked_and_malformed_links_answer_alike_after_one_look():
    order = make_order()
    revoked = make_link(order)
    links.revoke(order, by=make_staff("service"), at=MONDAY)
    answers = {}

    for path in (revoked, "/o/AAAAAAAAAAAAAAAAAAAAAA/", "/o/x/", f"/o/{'y' * 300}/"):
        with CaptureQueriesContext(connection) as queries:
            answer = customer().get(path)
        text = answer.content.decode().replace(answer.headers["X-Request-ID"], "")
        answers[path] = (answer.status_code, text, len(queries))

    assert set(answers.values()) == {(404, answers[revoked][1], 1)}


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_words_and_a_milestone(stage):
    row = words.STAGES[stage]

    assert row.milestone in Milestone
    assert str(row.sentence)
    assert str(stage.label) != str(row.sentence)


def test_there_are_six_milestones_and_every_one_is_said_by_some_stage():
    said = {row.milestone for row in words.STAGES.values()}

    assert len(WAY) == 6
    assert said == set(Milestone)


def test_every_parcel_state_and_every_cause_has_words():
    assert set(words.PARCELS) == set(ParcelState)
    assert set(CAUSES) == set(Cause)
    assert all(str(row.what) and str(row.doing) and row.owner for row in CAUSES.values())


def test_only_reports_that_customers_may_read_are_steps():
    ours = {kind for kind in words.STEPS if not FACT_KINDS[kind].customer_visible}

    # That goods were set aside is told in the customer's words, without warehouse or quantity.
    assert ours == {"stock.locked"}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("SF", "SF Express"),
        ("sf-express", "SF Express"),
        ("顺丰", "SF Express"),
        ("Baltic Post", "Baltic Post"),
        ("张师傅 13812345678", ""),
        ("courier 5551234", ""),
        ("", ""),
    ],
)
def test_a_carrier_is_named_only_if_it_is_no_more_than_a_name(code, name):
    with override("en"):
        assert words.carrier_name(code) == name


@pytest.mark.parametrize(
    ("signs", "cause"),
    [
        (Signs(Stage.PICKING), None),
        (Signs(Stage.PICKING, is_stalled=True), Cause.WAREHOUSE),
        (Signs(Stage.IN_TRANSIT, is_stalled=True), Cause.CARRIER),
        (Signs(Stage.CUSTOMS, is_late=True), Cause.CUSTOMS),
        (Signs(Stage.AWAITING_PAYMENT, is_stalled=True), Cause.PAYMENT),
        (Signs(Stage.AWAITING_STOCK, is_short=True), Cause.GOODS),
        (Signs(Stage.IN_TRANSIT, is_short=True), None),
        (Signs(Stage.IN_TRANSIT, risk="at_risk"), Cause.CARRIER),
        (Signs(Stage.OUT_FOR_DELIVERY, ["delivery_failed"], is_late=True), Cause.DELIVERY),
        (Signs(Stage.IN_TRANSIT, ["held", "lost"]), Cause.DAMAGE),
        (Signs(Stage.CANCELLED, is_late=True, is_stalled=True), None),
        (Signs(Stage.DELIVERED, is_late=True), None),
        (Signs(Stage.PICKING, is_held=True), Cause.HOLD),
    ],
)
def test_the_cause_is_a_class_that_blames_nobody(signs, cause):
    assert cause_of(signs) == cause


def test_the_page_tells_the_present_step_first_and_three_steps_newest_first():
    order = make_order(shop=make_shop("brakes", name="East Parts"))
    told(order, "date.confirmed", 1, role="person", data={"date": "2026-06-05"})
    told(order, "stock.locked", 2, role="erp")
    told(order, "waybill.made", 3, parcel="SF100200300", role="carrier", data={"carrier": "SF"})
    told(order, "pack.done", 4, role="wms")

    with time_machine.travel(after(5), tick=False):
        text = read(make_link(order))

    assert "<h1>Packed, waiting for SF Express to collect it</h1>" in text
    assert "East Parts" in text
    shown, earlier = text.split('class="steps"')[1:3]
    assert [shown.index(word) for word in ("Packed", "Waybill made", "Goods set aside")] == sorted(
        shown.index(word) for word in ("Packed", "Waybill made", "Goods set aside")
    )
    assert "Delivery date confirmed" in earlier
    assert "3 earlier steps" in text
    assert "SF100200300" in text
    assert "After dispatch we give you a date." in text


def test_an_order_without_estimate_or_commitment_gets_no_green():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")

    with time_machine.travel(after(2), tick=False):
        text = read(make_link(order))

    assert "chip-ok" not in text
    assert "No date can be worked out for this way yet." in text


def test_the_estimate_is_shown_as_days_with_its_basis():
    order = make_order()
    make_estimate(order)
    Order.objects.filter(pk=order.pk).update(promise_risk="on_track")

    with time_machine.travel(after(1), tick=False):
        text = read(make_link(order))

    assert "chip-ok" in text
    assert "such orders are there by then" in text


def test_silence_is_never_green_and_says_since_when():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier", data={"carrier": "SF"})
    make_estimate(order)
    SourceHeard.objects.create(source="carrier-system", role="carrier", heard_at=after(60))
    Order.objects.filter(pk=order.pk).update(promise_risk="on_track", stalled_at=after(49))

    with time_machine.travel(after(61), tick=False):
        text = read(make_link(order))

    assert "chip-ok" not in text
    assert "The parcel moves more slowly than planned." in text
    assert "SF Express has had no news of this order since" in text
    assert "every 10 minutes" not in text


def test_several_parcels_are_told_apart_with_their_quantities():
    order = make_order(lines={"BRK-001": 10})
    add_fact(
        order, "waybill.made", parcel="W1", role="carrier", occurred_at=after(1),
        data={"carrier": "SF", "lines": [{"sku": "BRK-001", "qty": "6"}]},
    )  # fmt: skip
    add_fact(
        order, "waybill.made", parcel="W2", role="carrier", occurred_at=after(1),
        data={"carrier": "SF", "lines": [{"sku": "BRK-001", "qty": "4"}]},
    )  # fmt: skip
    add_fact(order, "parcel.delivered", parcel="W1", role="carrier", occurred_at=after(5))
    add_fact(order, "parcel.in_transit", parcel="W2", role="carrier", occurred_at=after(5))
    settled(order, at=after(5))

    with time_machine.travel(after(6), tick=False):
        text = read(make_link(order))

    assert "1 of 2 parcels delivered" in text
    assert ("6 of 10" in text, "4 of 10" in text) == (True, True)
    assert ("W1" in text, "W2" in text) == (True, True)


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        (["cancel.requested", "cancel.accepted"], "This order has been cancelled; nothing will be sent"),
        (["parcel.in_transit", "parcel.returning"], "Your goods are on their way back to us"),
        (["parcel.in_transit", "parcel.returned"], "Your goods have come back to us"),
        (["parcel.delivered"], "Your order has been delivered"),
    ],
)
def test_orders_that_are_over_say_how(kinds, sentence):
    order = make_order()
    for hours, kind in enumerate(kinds, 1):
        role = "carrier" if kind.startswith("parcel.") else "shop"
        order = told(order, kind, hours, parcel="W1" if role == "carrier" else "", role=role)

    with time_machine.travel(after(10), tick=False):
        text = read(make_link(order))

    assert f"<h1>{sentence}</h1>" in text
    assert "Estimated" not in text
    assert "Ask for another address" not in text


def test_the_page_is_sent_with_every_protection():
    answer = customer().get(make_link(make_order()))

    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in answer.headers["Cache-Control"]
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    text = answer.content.decode()
    assert ("<style" in text, "style=" in text, " onclick=" in text) == (False, False, False)
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_a_look_costs_a_fixed_number_of_statements():
    order = make_order(lines={"A": 1, "B": 2, "C": 3})
    path = make_link(order)
    customer().get(path)
    counts = []

    for n_parcels in (0, 3):
        for number in range(n_parcels):
            told(order, "parcel.in_transit", 1 + number, parcel=f"W{number}", role="carrier")
        with CaptureQueriesContext(connection) as queries:
            customer().get(path)
        counts.append(len(queries))

    assert counts == [12, 12]


def test_asking_again_costs_one_statement_while_nothing_has_changed():
    order = make_order()
    path = make_link(order)
    browser = customer()
    with time_machine.travel(after(1), tick=False):
        tag = browser.get(f"{path}state/").headers["ETag"]

        with CaptureQueriesContext(connection) as queries:
            same = browser.get(f"{path}state/", headers={"If-None-Match": tag})
        n_queries = len(queries)
        told(order, "pack.done", 0.9, role="wms")
        other = browser.get(f"{path}state/", headers={"If-None-Match": tag})

    assert (same.status_code, same.content, n_queries) == (304, b"", 1)
    assert (other.status_code, other.headers["ETag"] != tag) == (200, True)
    assert "Packed" in other.content.decode()


def test_a_fact_is_on_the_page_at_the_next_reload():
    order = make_order()
    path = make_link(order)
    before = read(path)

    told(order, "parcel.out_for_delivery", 1, parcel="W1", role="carrier")

    assert "The courier is on the way to you" not in before
    assert "The courier is on the way to you" in read(path)


def test_old_facts_that_are_judged_anew_are_no_news():
    from orders.transitions import settle

    order = make_order()
    path = make_link(order)
    browser = customer()
    with time_machine.travel(after(1), tick=False):
        tag = browser.get(f"{path}state/").headers["ETag"]
        add_fact(order, "parcel.in_transit", parcel="W1", role="carrier", occurred_at=after(0.5))

        settle(order.pk, at=after(0.9), silent=True)

        answer = browser.get(f"{path}state/", headers={"If-None-Match": tag})
    assert answer.status_code == 304
    assert Order.objects.get(pk=order.pk).stage == Stage.IN_TRANSIT


def test_reading_changes_nothing_but_the_count_of_looks():
    order = make_order()
    path = make_link(order)
    models = [model for model in apps.get_models() if model._meta.managed]

    def n_rows() -> dict[str, int]:
        return {model._meta.label_lower: model._default_manager.count() for model in models}

    before = n_rows()
    for part in ("", "state/", "ask/", "address/", "open/"):
        customer().get(f"{path}{part}")
    after_looks = n_rows()

    changed = {name for name in before if before[name] != after_looks[name]}
    assert changed == {"promises.pagevisit"}


PERSON = {
    "name": "Zhanghaifeng Unique",
    "phone": "13987654321",
    "email": "secret.person@example.org",
    "province": "Zhejiang",
    "city": "Hangzhou",
    "street": "Hidden Lane 77 Room Kranich-1203",
}
SECRETS = [
    "Zhanghaifeng",
    "13987654321",
    "987654321",
    "secret.person",
    "Hidden Lane",
    "Kranich-1203",
    "4711.50",
    "Wangwu",
]


def test_pages_of_orders_full_of_personal_data_show_none():
    """Every story, early and late, in both languages, every form: nothing of the person, no price, no note, no staff.

    Every page is another one; ORDERHUB_PAGES=10000 renders so many.
    """
    contact = Contact.objects.keep(PERSON)
    fields = {
        "total": "4711.50",
        "currency": "CNY",
        "remark": "Call Zhanghaifeng 13987654321, Hidden Lane 77",
    }
    stories = [
        [],
        [("date.confirmed", "person", "", {"date": "2026-06-05", "reason": "Wangwu said 13987654321"})],
        [
            (
                "hold.set",
                "person",
                "",
                {"name": "Wangwu", "owner": "Wangwu", "reason": "13987654321 unreachable"},
            )
        ],
        [("waybill.made", "carrier", "W", {"carrier": "Wangwu 13987654321"})],
        [("parcel.out_for_delivery", "carrier", "W", {"courier": "Wangwu", "phone": "13987654321"})],
        [("parcel.delivery_failed", "carrier", "W", {"text": "Hidden Lane 77: nobody there"})],
        [("parcel.delivered", "carrier", "W", {"signed_by": "Zhanghaifeng Unique"})],
        [("cancel.requested", "shop", "", {"reason": "Zhanghaifeng changed his mind"})],
        [("parcel.returning", "carrier", "W", {"text": "refused by Zhanghaifeng"})],
        [("note.added", "person", "", {"text": "Wangwu called 13987654321"})],
    ]
    moments, parts = (after(2), after(30), after(200)), ("", "state/", "ask/", "address/")
    clients = {language: customer(**{"Accept-Language": language}) for language in ("en", "zh-hans")}
    n_each = len(clients) * len(moments) * len(parts)
    n_orders = max(len(stories), math.ceil(int(os.environ.get("ORDERHUB_PAGES", "0")) / n_each))
    found, n_pages = [], 0
    for number in range(n_orders):
        order = make_order(fields=fields, remark=fields["remark"])
        add_fact(order, "order.changed", occurred_at=MONDAY, data={"contact": contact.pk})
        for kind, role, parcel, data in stories[number % len(stories)]:
            add_fact(order, kind, role=role, parcel=parcel and f"W{number}", data=data, occurred_at=after(1))
        settled(order, at=after(1))
        path = make_link(order)
        for at, (language, client), part in product(moments, clients.items(), parts):
            with time_machine.travel(at, tick=False):
                text = client.get(f"{path}{part}").content.decode()
            n_pages += 1
            found += [(path, at, language, part, secret) for secret in SECRETS if secret in text]

    assert (found, n_pages) == ([], n_orders * n_each)
    assert Contact.objects.get(pk=contact.pk).masked_name == "Z**"


def test_the_commitment_stands_apart_from_the_estimate_and_is_checked_one_tap_away():
    promise = make_promise()
    path = make_link(promise.order)
    make_estimate(promise.order)
    with time_machine.travel(after(2), tick=False):
        text = read(path)

    verify = text.split('href="/v/')[1].split('"')[0]
    assert verify == to_text(bytes(promise.token))
    assert promise.shown_number in text
    assert "Promised by" in text
    assert "Estimated" in text
    assert "d 1" in text.split("Promised by")[1].split("left")[0]


def test_a_commitment_for_another_zone_shows_the_last_moment_on_the_clock_there():
    there = "America/Santiago"
    promise = make_promise(tz=there, due=end_of(date(2026, 6, 5), ZoneInfo(there)))
    path = make_link(promise.order)

    with time_machine.travel(after(2), tick=False):
        promised = read(path).split("Promised by")[1].split("</div>")[0]

    assert "June 5 23:59</time> (<span" in promised
    assert f">{there}</span>)" in promised
