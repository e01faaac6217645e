"""How promises end, by the facts of their orders."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta

import pytest

from orders.models import Order
from orders.tests.factories import add_fact, after, settled, told
from orders.tests.staff import make_staff
from promises.commitments import life
from promises.commitments.models import Outcome, Promise
from promises.commitments.payload import end_of
from promises.commitments.refusals import NotIssued
from promises.ledger.models import LogPending
from promises.tests.factories_commitments import FRIDAY, make_promise, make_promised_order

pytestmark = pytest.mark.django_db
DUE = end_of(FRIDAY, "Asia/Shanghai")
State = Promise.State
LINE = [("BRK-001", 2)]


def delivered(order: Order, at, *, waybill: str = "SF1", role: str = "carrier", lines=LINE) -> Order:
    add_fact(order, "parcel.handed_over", occurred_at=after(2), parcel=waybill, role="wms", lines=lines)
    add_fact(order, "parcel.delivered", occurred_at=at, parcel=waybill, role=role, lines=lines)
    return settled(order, at=at)


def judged(promise: Promise, at) -> Promise:
    life.judge(promise.pk, at=at)
    return Promise.objects.get(pk=promise.pk)


def entries(kind: str = "outcome") -> list[dict]:
    return list(LogPending.objects.filter(kind=kind).order_by("pk").values_list("body", flat=True))


def test_delivered_in_the_last_second_of_the_day_is_kept_and_a_second_later_missed():
    in_time, late = make_promise(), make_promise()
    delivered(in_time.order, DUE, waybill="SF1")
    delivered(late.order, DUE + timedelta(seconds=1), waybill="SF2")

    states = [judged(promise, DUE + timedelta(hours=1)).state for promise in (in_time, late)]

    assert states == [State.KEPT, State.MISSED]
    assert [(entry["k"], entry["src"]) for entry in entries()] == [("delivered", "carrier")] * 2
    assert list(Outcome.objects.order_by("pk").values_list("kept_first", "kept_latest")) == [
        (True, True),
        (False, False),
    ]


def test_the_last_parcel_decides_and_the_weakest_of_its_reports_is_the_evidence():
    order = make_promised_order(lines={"BRK-001": 2})
    promise = make_promise(order)
    delivered(order, after(20), waybill="SF1", lines=[("BRK-001", 1)])

    assert judged(promise, after(21)).state == State.ACTIVE
    assert not Outcome.objects.exists()

    delivered(order, after(30), waybill="SF2", role="person", lines=[("BRK-001", 1)])
    assert judged(promise, after(31)).state == State.KEPT
    outcome = Outcome.objects.get()
    assert (outcome.at, outcome.src) == (after(30), Outcome.Source.SELLER)


def test_the_evidence_is_salted_and_its_hash_stands_in_the_log():
    promise = make_promise()
    delivered(promise.order, after(20))

    judged(promise, after(21))

    outcome = Outcome.objects.get()
    evidence = json.loads(bytes(outcome.evidence))
    assert hashlib.sha256(bytes(outcome.evidence)).hexdigest() == outcome.ev == entries()[0]["ev"]
    assert [fact["kind"] for fact in evidence["facts"]] == ["parcel.delivered"]
    assert len(evidence["salt"]) == 32


def test_the_first_outcome_stands_whatever_is_reported_later():
    promise = make_promise()
    delivered(promise.order, after(20))
    judged(promise, after(21))
    told(promise.order, "parcel.returning", 30, parcel="SF1", role="carrier")

    assert judged(promise, after(31)).state == State.KEPT
    assert len(entries()) == 1


def test_the_first_date_counts_however_the_date_was_moved():
    first = make_promise()
    moved = make_promise(
        replaces=first, due=end_of(date(2026, 6, 9), "Asia/Shanghai"), rc="CUSTOMER", asked_by="customer"
    )
    delivered(moved.order, DUE + timedelta(hours=20))

    assert judged(moved, DUE + timedelta(hours=21)).state == State.MISSED
    outcome = Outcome.objects.get()
    assert (outcome.kept_first, outcome.kept_latest) == (False, True)
    assert outcome.pending.about == first.pending
    assert Promise.objects.get(pk=first.pk).state == State.SUPERSEDED


def test_what_the_customer_cancelled_is_waived_and_what_the_seller_cancelled_is_missed():
    by_customer, by_seller = make_promise(), make_promise()
    told(by_customer.order, "cancel.requested", 2)
    told(by_customer.order, "cancel.accepted", 3)
    told(by_seller.order, "cancel.accepted", 3, role="person")

    states = [judged(promise, after(4)).state for promise in (by_customer, by_seller)]

    assert states == [State.WAIVED, State.MISSED]
    assert [(entry["k"], entry["src"]) for entry in entries()] == [
        ("cancel_customer", "customer"),
        ("cancel_seller", "seller"),
    ]


def test_a_wish_that_was_refused_does_not_make_the_sellers_later_cancellation_the_customers():
    promise = make_promise()
    told(promise.order, "cancel.requested", 2)
    told(promise.order, "cancel.refused", 3, role="person")
    told(promise.order, "cancel.accepted", 5, role="shop")
    add_fact(promise.order, "cancel.accepted", occurred_at=after(6), role="person")

    judged(promise, after(7))

    assert [entry["k"] for entry in entries()] == ["cancel_seller"]


def test_silence_counts_as_missed_once_the_grace_is_over_and_a_late_report_still_names_the_day():
    promise = make_promise()
    grace_ends = DUE + timedelta(hours=72)

    assert judged(promise, grace_ends).state == State.ACTIVE
    assert judged(promise, grace_ends + timedelta(seconds=1)).state == State.UNKNOWN
    assert entries() == []

    delivered(promise.order, grace_ends + timedelta(hours=5))
    assert judged(promise, grace_ends + timedelta(hours=6)).state == State.MISSED
    assert [entry["k"] for entry in entries()] == ["delivered"]


def test_goods_that_went_back_without_arriving_are_failed_after_the_grace():
    promise = make_promise()
    told(promise.order, "parcel.handed_over", 2, parcel="SF1", role="wms")
    told(promise.order, "parcel.returned", 20, parcel="SF1", role="carrier")

    assert judged(promise, after(21)).state == State.ACTIVE
    assert judged(promise, DUE + timedelta(hours=73)).state == State.MISSED
    assert [(entry["k"], entry["src"]) for entry in entries()] == [("failed", "carrier")]


def test_due_promises_are_judged_in_turn_and_left_alone_afterwards():
    kept, silent = make_promise(), make_promise()
    delivered(kept.order, after(20))

    assert life.judge_due(DUE + timedelta(hours=73), limit=10) == 2
    assert life.judge_due(DUE + timedelta(hours=74), limit=10) == 0
    assert {Promise.objects.get(pk=one.pk).state for one in (kept, silent)} == {State.KEPT, State.UNKNOWN}


def test_revoking_is_refused_with_its_reason_while_no_gate_is_installed():
    promise = make_promise()
    supervisor = make_staff("supervisor", everything=True)

    with pytest.raises(NotIssued, match="second person"):
        life.revoke(promise, by=supervisor, reason="wrong article", at=after(2))

    assert (Promise.objects.get().state, Outcome.objects.count()) == (State.ACTIVE, 0)


asked: list[tuple] = []


def gate(action, promise, *, by, reason, at):
    asked.append((action, promise.pk, by.pk, reason))


def test_a_gate_is_asked_and_carries_out_what_a_second_person_agreed_to(settings):
    settings.GATED_ACTIONS = {"promises.revoke": f"{__name__}.gate"}
    promise = make_promise()
    supervisor, second = make_staff("supervisor", everything=True), make_staff("ops_manager")

    life.revoke(promise, by=supervisor, reason="wrong article", at=after(2))
    assert asked == [("promises.revoke", promise.pk, supervisor.pk, "wrong article")]
    assert Promise.objects.get().state == State.ACTIVE

    life.carry_out(promise.pk, by=second, reason="wrong article", at=after(3))
    promise = Promise.objects.get()
    assert (promise.state, promise.state_reason) == (State.REVOKED, "wrong article")
    assert [(entry["k"], entry["src"]) for entry in entries()] == [("cancel_seller", "seller")]


def test_nobody_waives_a_promise_on_the_sellers_word():
    promise = make_promise()
    sales = make_staff("sales", everything=True)

    with pytest.raises(NotIssued, match="Nothing says"):
        life.waive(promise, by=sales, reason="they phoned", at=after(2))
    assert Promise.objects.get().state == State.ACTIVE

    told(promise.order, "cancel.requested", 2)
    life.waive(promise, by=sales, reason="they phoned", at=after(3))
    assert Promise.objects.get().state == State.WAIVED
