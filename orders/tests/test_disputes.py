"""Two sources disagree, and a person decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders import disputes, holds, notes
from orders.byhand import NotAllowed, Refused
from orders.derivation import derive
from orders.models import AuditEntry, Order, OrderFact
from orders.stages import Payment, Stage
from orders.tests.factories import DEFAULT, add_fact, after, make_fact, make_order, placed, settled, told
from orders.tests.staff import make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    """The shop says cancelled; the warehouse has handed the goods over: the warehouse is believed."""
    order = make_order()
    told(order, "cancel.accepted", 2, source="shop-system")
    return told(order, "parcel.handed_over", 3, role="wms", source="wms-system", parcel="SF1")


def sides(order: Order) -> tuple[int, int]:
    """(believed now, the other one)."""
    return order.conflicts[0]["winner"], order.conflicts[0]["loser"]


def decide(order: Order, believed: int, against: int, hours: float = 4) -> Order:
    actor = make_staff("ops_manager")
    disputes.believe(order.pk, believed, against, actor=actor, reason="driver says no", at=after(hours))
    return Order.objects.get(pk=order.pk)


def last_key() -> str:
    return disputes.key_of([OrderFact.objects.order_by("-pk")[0]])


def test_using_the_other_report_moves_the_order_and_ends_the_conflict(order):
    winner, loser = sides(order)
    assert (order.stage, order.has_conflict) == (Stage.SHIPPED, True)

    order = decide(order, loser, winner)

    assert (order.stage, order.has_conflict) == (Stage.CANCELLED, False)
    assert OrderFact.objects.filter(pk=winner).exists()
    entry = AuditEntry.objects.get(action="conflict.decided")
    assert (entry.reason, entry.after["believed"], entry.after["set_aside"]) == (
        "driver says no",
        loser,
        [winner],
    )


def test_keeping_what_is_believed_ends_the_conflict_and_moves_nothing(order):
    winner, loser = sides(order)

    order = decide(order, winner, loser)

    assert (order.stage, order.has_conflict, order.intent) == (Stage.SHIPPED, False, "go")


def test_a_decision_that_is_taken_back_leaves_the_order_as_it_was(order):
    winner, loser = sides(order)
    before = (order.stage, order.conflicts, order.intent)
    order = decide(order, loser, winner)

    disputes.take_back(
        order.pk, last_key(), actor=make_staff("ops_manager"), reason="it has left", at=after(5)
    )

    order = Order.objects.get(pk=order.pk)
    assert (order.stage, order.conflicts, order.intent) == before
    assert AuditEntry.objects.get(action="undo").reason == "it has left"


def test_a_decision_can_be_made_again_after_it_was_taken_back(order):
    winner, loser = sides(order)
    order = decide(order, loser, winner)
    disputes.take_back(order.pk, last_key(), actor=make_staff("ops_manager"), reason="wait", at=after(5))

    order = decide(order, loser, winner, hours=6)

    assert order.stage == Stage.CANCELLED


def test_every_report_of_the_same_source_in_the_matter_is_set_aside():
    order = make_order(fields={"total": "100"})
    add_fact(order, "payment.refunded", occurred_at=after(1), role="finance")
    order = told(order, "payment.received", 2, data={"amount": "100"})
    winner, loser = sides(order)
    assert order.payment == Payment.PAID

    order = decide(order, loser, winner)

    assert (order.payment, order.has_conflict) == (Payment.REFUNDED, False)
    assert len(AuditEntry.objects.get(action="conflict.decided").after["set_aside"]) == 2


def test_a_new_report_of_the_source_that_was_not_believed_opens_the_question_again(order):
    winner, loser = sides(order)
    order = decide(order, loser, winner)

    order = told(order, "parcel.in_transit", 6, role="carrier", parcel="SF1")

    assert order.has_conflict
    assert order.stage == Stage.IN_TRANSIT


def test_two_reports_that_do_not_disagree_are_no_question(order):
    winner, loser = sides(order)
    order = decide(order, loser, winner)
    n_facts = OrderFact.objects.count()

    with pytest.raises(Refused) as refusal:
        decide(order, winner, loser, hours=5)

    assert (refusal.value.code, OrderFact.objects.count()) == ("no_conflict", n_facts)


def test_only_those_who_may_report_facts_decide_and_take_back(order):
    winner, loser = sides(order)
    n_facts = OrderFact.objects.count()
    stranger = make_staff("supervisor", everything=True)

    with pytest.raises(NotAllowed):
        disputes.believe(order.pk, loser, winner, actor=stranger, reason="x", at=after(4))
    assert (OrderFact.objects.count(), Order.objects.get(pk=order.pk).stage) == (n_facts, Stage.SHIPPED)

    order = decide(order, loser, winner)
    with pytest.raises(NotAllowed):
        disputes.take_back(order.pk, last_key(), actor=stranger, reason="x", at=after(5))
    assert Order.objects.get(pk=order.pk).stage == Stage.CANCELLED


def test_an_order_outside_the_scope_is_not_there_to_be_decided(order):
    winner, loser = sides(order)

    with pytest.raises(NotAllowed) as refusal:
        disputes.believe(order.pk, loser, winner, actor=make_staff("service"), reason="x", at=after(4))

    assert refusal.value.code == "not_found"
    assert not AuditEntry.objects.filter(action="conflict.decided").exists()


def test_a_hold_is_taken_back_within_ten_minutes_and_not_later():
    order = make_order()
    actor = make_staff("sales", everything=True)
    holds.set_hold(order.pk, "check", actor=actor, reason="address", at=after(1))
    key = last_key()

    with pytest.raises(Refused) as refusal:
        disputes.take_back(
            order.pk, key, actor=actor, reason="x", at=after(1) + timedelta(minutes=10, seconds=1)
        )
    assert (refusal.value.code, Order.objects.get(pk=order.pk).is_held) == ("too_late", True)

    disputes.take_back(order.pk, key, actor=actor, reason="x", at=after(1) + timedelta(minutes=10))
    assert Order.objects.get(pk=order.pk).is_held is False


def test_somebody_elses_note_is_taken_back_by_a_supervisor_only():
    order = make_order()
    notes.add_note(order.pk, "call", actor=make_staff("sales", everything=True), at=after(1))
    key = last_key()

    with pytest.raises(NotAllowed):
        disputes.take_back(
            order.pk, key, actor=make_staff("warehouse", everything=True), reason="x", at=after(1)
        )

    disputes.take_back(
        order.pk, key, actor=make_staff("supervisor", everything=True), reason="x", at=after(1)
    )
    assert OrderFact.objects.filter(kind="fact.retracted").count() == 1


def test_what_no_light_action_said_is_not_taken_back_here():
    order = make_order()
    order = settled(order)
    fact = OrderFact.objects.get(kind="payment.received")

    with pytest.raises(Refused) as refusal:
        disputes.take_back(order.pk, fact.key, actor=make_staff("ops_manager"), reason="x", at=after(1))

    assert refusal.value.code == "not_there"
    assert not OrderFact.objects.filter(kind="fact.retracted").exists()


def test_a_retraction_that_is_itself_taken_back_strikes_nothing_in_whatever_sequence_they_are_read():
    base, paid = placed(), make_fact("payment.received", 1)
    first = make_fact("fact.retracted", 2, data={"fact": {"source": paid.source, "key": paid.key}})
    second = make_fact(
        "fact.retracted",
        3,
        data={"fact": {"source": first.source, "key": first.key, "kind": "fact.retracted"}},
    )
    third = make_fact(
        "fact.retracted",
        4,
        data={"fact": {"source": second.source, "key": second.key, "kind": "fact.retracted"}},
    )

    one = derive([base, paid, first], DEFAULT, after(9)).payment
    two = {
        derive(facts, DEFAULT, after(9)).payment
        for facts in ([base, paid, first, second], [second, first, paid, base])
    }
    three = derive([third, second, first, paid, base], DEFAULT, after(9)).payment

    assert (one, two, three) == (Payment.UNPAID, {Payment.PAID}, Payment.UNPAID)
