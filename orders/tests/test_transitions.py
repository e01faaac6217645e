"""The one door, on a real database."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django_fsm import TransitionNotAllowed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.answer import Derivation
from orders.facts import FactReport, ReferenceKey, lock_references, report
from orders.models import Order, OrderEvent, OrderFact, OrderStep, ReferenceLink
from orders.stages import CLOSED, Stage, StepState
from orders.tests.factories import MONDAY, add_fact, after, make_order, make_shop, settled, told
from orders.transitions import Cause, mark_stalled, settle, settle_many, take_move

pytestmark = pytest.mark.django_db


def moves_of(order: Order) -> list[tuple[str, str, list[str]]]:
    events = OrderEvent.objects.filter(order=order, kind="moved").order_by("id")
    return [(event.old, event.new, event.passed) for event in events]


def test_a_new_order_is_moved_once_and_says_what_it_passed():
    order = make_order(paid=False)

    assert order.stage == Stage.AWAITING_PAYMENT
    assert moves_of(order) == [("", "awaiting_payment", [])]


def test_an_order_first_heard_of_on_the_road_goes_there_in_one_move():
    order = make_order()

    order = told(order, "parcel.in_transit", 5, parcel="SF1", role="carrier")

    assert order.stage == Stage.IN_TRANSIT
    assert moves_of(order)[-1][:2] == ("awaiting_date", "in_transit")
    assert moves_of(order)[-1][2][0] == "awaiting_stock"
    assert moves_of(order)[-1][2][-1] == "shipped"


def test_the_same_report_twice_is_one_fact_and_one_move():
    order = make_order()

    for _time in range(2):
        add_fact(order, "date.confirmed", key="once", occurred_at=after(1))
        order = settled(order, at=after(1))

    assert OrderFact.objects.filter(key="once").count() == 1
    assert [new for _old, new, _passed in moves_of(order)] == ["awaiting_date", "awaiting_stock"]


def test_settling_again_without_news_writes_nothing():
    order = make_order()
    before = OrderEvent.objects.count()

    assert settle(order.pk, at=MONDAY) == []
    assert OrderEvent.objects.count() == before


def test_a_fact_may_arrive_before_its_order():
    shop = make_shop("early")
    reference = ReferenceKey("early", "order", "E1")
    with transaction.atomic():
        report(
            [
                FactReport(
                    reference=reference,
                    source="wms",
                    role="wms",
                    key="pick-1",
                    kind="pick.done",
                    occurred_at=after(5),
                    received_at=after(5),
                )
            ]
        )

    order = make_order(shop=shop, external_id="E1")

    assert order.stage == Stage.AWAITING_PACK


def test_every_event_carries_the_columns_after_it():
    order = make_order()
    told(order, "date.confirmed", 1)

    event = OrderEvent.objects.filter(order=order, kind="moved").latest("id")

    assert event.after["stage"] == "awaiting_stock"
    assert event.after["payment"] == "paid"


def test_an_event_names_the_fact_and_the_source_behind_it():
    order = make_order()
    add_fact(order, "parcel.in_transit", parcel="SF1", role="carrier", key="scan-9", occurred_at=after(3))

    settle(order.pk, at=after(3), cause=Cause(source="sf", key="scan-9", occurred_at=after(3)))

    event = OrderEvent.objects.get(order=order, kind="moved", new="in_transit")
    assert (event.source, event.source_key, event.fact) == (
        "sf",
        "scan-9",
        OrderFact.objects.get(key="scan-9").pk,
    )


def test_status_cannot_be_assigned_past_the_door():
    order = make_order()

    with pytest.raises(AttributeError):
        order.stage = Stage.DELIVERED


def test_no_move_without_a_derivation():
    order = make_order()

    with pytest.raises(TransitionNotAllowed):
        order.confirm_date()
    with pytest.raises(TransitionNotAllowed):
        order.retract("intake")

    assert Order.objects.get(pk=order.pk).stage == Stage.AWAITING_DATE


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(Stage, 2)))
def test_there_is_a_move_between_every_two_stages_that_derivation_can_give(old, new):
    order = Order(stage=old)
    order.derivation = Derivation(precedence=0, stage=new)

    take_move(order, old, new)

    assert order.stage == new


FORWARD = [
    stage
    for stage in Stage
    if stage not in {Stage.CANCELLING, Stage.CANCELLED, Stage.RETURNING, Stage.RETURNED}
]


@pytest.mark.parametrize("new", FORWARD[:-1])
def test_no_forward_verb_leads_back(new):
    later = FORWARD[FORWARD.index(new) + 1 :]
    for old in [stage for stage in later if stage not in CLOSED]:
        order = Order(stage=old)
        order.derivation = Derivation(precedence=0, stage=new)
        verbs = [
            verb.name
            for verb in order.get_available_stage_transitions()
            if verb.name not in {"retract", "reopen"}
        ]
        assert verbs == []


def test_a_taken_back_fact_moves_the_order_back_by_retract():
    order = make_order()
    order = told(order, "date.confirmed", 1, key="date-1", source="office")

    order = told(
        order,
        "fact.retracted",
        2,
        data={"fact": {"source": "office", "key": "date-1", "kind": "date.confirmed"}},
    )

    assert order.stage == Stage.AWAITING_DATE
    assert moves_of(order)[-1] == ("awaiting_stock", "awaiting_date", [])


def test_a_completed_order_reopens_for_a_return():
    order = make_order(fields={"invoice": "exempt"})
    add_fact(order, "parcel.delivered", parcel="SF1", role="carrier", occurred_at=after(24))
    order = settled(order, at=after(24 * 9))
    assert (order.stage, order.is_open) == (Stage.COMPLETED, False)

    order = told(order, "parcel.returning", 24 * 10, parcel="SF1", role="carrier")

    assert (order.stage, order.is_open) == (Stage.RETURNING, True)


def test_time_alone_completes_an_order_when_its_moment_comes():
    order = make_order(fields={"invoice": "exempt"})
    order = told(order, "parcel.delivered", 24, parcel="SF1", role="carrier")
    assert order.due_again_at == after(24) + timedelta(days=7)

    order = settled(order, at=order.due_again_at)

    assert (order.stage, order.due_again_at, order.stalls_at) == (Stage.COMPLETED, None, None)


def test_an_order_that_the_door_refuses_is_set_aside_and_holds_up_no_other():
    order, fine = make_order(), make_order()
    # A stage that this release does not know: as if an update had gone wrong.
    Order.objects.filter(pk=order.pk).update(stage="nowhere")
    add_fact(order, "date.confirmed", occurred_at=after(1))
    add_fact(fine, "date.confirmed", occurred_at=after(1))

    outcome = settle_many([order.pk, fine.pk], at=after(1))

    assert outcome.set_aside == [order.pk]
    assert Order.objects.get(pk=order.pk).set_aside.startswith("nowhere -> awaiting_stock")
    assert Order.objects.get(pk=fine.pk).stage == Stage.AWAITING_STOCK
    assert OrderFact.objects.filter(kind="date.confirmed").count() == 2


def test_an_order_whose_facts_cannot_be_judged_is_set_aside_and_holds_up_no_other():
    order, fine = make_order(), make_order()
    told(order, "hold.set", 1, data={"name": "quality", "until": after(2).isoformat()})
    reference = OrderFact.objects.filter(reference__links__order=order).first().reference
    # A kind that this release does not know: as if an update had been taken back.
    OrderFact.objects.create(
        reference=reference, source="s", role="shop", key="k", kind="goods.beamed", occurred_at=after(1),
        received_at=after(1),
    )  # fmt: skip
    add_fact(fine, "date.confirmed", occurred_at=after(1))

    outcome = settle_many([order.pk, fine.pk], at=after(1))

    assert outcome.set_aside == [order.pk]
    kept = Order.objects.get(pk=order.pk)
    assert (kept.stage, kept.set_aside) == (Stage.AWAITING_DATE, "not judged: KeyError: 'goods.beamed'")
    assert Order.objects.get(pk=fine.pk).stage == Stage.AWAITING_STOCK
    # The sweep does not come back to it every five seconds, before others that are due.
    assert kept.due_again_at == after(2)
    assert not Order.objects.due_again(after(3)).exists()


def test_lines_parcels_and_steps_follow_the_facts():
    order = make_order(lines={"A": 10})
    told(order, "parcel.in_transit", 5, parcel="SF1", role="carrier", lines=[("A", 6)])
    order = told(order, "parcel.in_transit", 6, parcel="SF2", role="carrier", lines=[("A", 4)])

    line = order.lines.get()
    assert (line.ordered, line.shipped, line.delivered) == (10, 10, 0)
    assert [(row.waybill, row.state, row.contents) for row in order.parcels.order_by("waybill")] == [
        ("SF1", "in_transit", {"A": "6"}),
        ("SF2", "in_transit", {"A": "4"}),
    ]
    assert dict(order.steps.values_list("step", "state"))["stock"] == StepState.OVERTAKEN


def test_a_step_keeps_the_due_time_it_was_given():
    order = make_order()
    first = OrderStep.objects.get(order=order, step="date")

    told(order, "order.changed", 3, data={"fields": {"remark": "please hurry"}})

    assert OrderStep.objects.get(order=order, step="date").due_at == first.due_at
    assert order.step_due_at == first.due_at


def test_a_step_that_is_done_says_until_when_it_was_to_be_done():
    order = make_order()
    first = OrderStep.objects.get(order=order, step="date")

    told(order, "date.confirmed", 3, role="person", data={"date": "2026-06-05"})
    told(order, "order.changed", 4, data={"fields": {"remark": "please hurry"}})

    done = OrderStep.objects.get(order=order, step="date")
    assert (done.state, done.due_at) == ("done", first.due_at)
    assert (
        Order.objects.get(pk=order.pk).step_due_at == OrderStep.objects.get(order=order, step="stock").due_at
    )


def test_a_life_that_is_reported_at_once_is_measured_too():
    order = make_order()
    OrderStep.objects.filter(order=order).delete()

    told(order, "date.confirmed", 3, role="person", data={"date": "2026-06-05"})

    step = OrderStep.objects.get(order=order, step="date")
    assert (step.state, step.due_at) == ("done", MONDAY + timedelta(hours=4))


def test_due_times_run_on_the_working_calendar():
    # Monday 10:00 in Shanghai + 4 working hours = 14:00 the same day.
    order = make_order()

    assert order.step_due_at == MONDAY + timedelta(hours=4)


def test_a_hold_without_end_stops_the_silence_clock_and_its_end_restarts_it():
    order = make_order()
    held = told(order, "hold.set", 1, role="person", data={"name": "presale"})
    assert (held.is_held, held.stalls_at) == (True, None)

    order = told(order, "hold.lifted", 2, role="person", data={"name": "presale"})

    assert (order.is_held, order.stalls_at is not None) == (False, True)


def test_a_stall_is_marked_once_until_a_fact_comes():
    order = make_order(paid=False)
    late = order.stalls_at + timedelta(minutes=1)

    assert len(mark_stalled([order.pk], at=late)) == 1
    assert mark_stalled([order.pk], at=late) == []
    add_fact(order, "payment.received", occurred_at=late)
    order = settled(order, at=late)

    assert order.stalled_at is None


def test_conflicts_are_flagged_and_stored():
    order = make_order()
    told(order, "cancel.accepted", 2)
    order = told(order, "parcel.handed_over", 3, role="wms", parcel="SF1")

    assert (order.stage, order.has_conflict) == (Stage.SHIPPED, True)
    assert order.conflicts[0]["rule"] == "goods_left_before_cancel"
    assert OrderEvent.objects.filter(order=order, kind="flag", name="has_conflict").count() == 1


def test_silent_events_say_so():
    order = make_order()
    add_fact(order, "date.confirmed", occurred_at=after(1))

    events = settle(order.pk, at=after(1), silent=True)

    assert events
    assert all(event.silent for event in events)


def test_settling_many_asks_the_same_queries_as_settling_few(django_assert_max_num_queries):
    orders = [make_order() for _number in range(12)]
    for order in orders:
        add_fact(order, "date.confirmed", occurred_at=after(1))

    with django_assert_max_num_queries(20):
        settle_many([order.pk for order in orders], at=after(1))

    assert {order.stage for order in Order.objects.all()} == {Stage.AWAITING_STOCK}


KINDS = [
    ("date.confirmed", "person", ""), ("stock.locked", "erp", ""), ("waybill.made", "carrier", "SF1"),
    ("pick.done", "wms", ""), ("pack.done", "wms", ""), ("parcel.handed_over", "wms", "SF1"),
    ("parcel.in_transit", "carrier", "SF1"), ("parcel.delivered", "carrier", "SF1"),
    ("parcel.returning", "carrier", "SF1"), ("cancel.requested", "shop", ""), ("cancel.accepted", "shop", ""),
    ("cancel.refused", "person", ""), ("waybill.voided", "carrier", "SF1"),
]  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 60)), max_size=8),
    st.randoms(use_true_random=False),
)
def test_facts_one_by_one_in_any_order_end_like_all_at_once(chosen, random):
    with transaction.atomic():
        one_by_one, at_once = make_order(lines={"A": 2}), make_order(lines={"A": 2})
        shuffled = list(enumerate(chosen))
        random.shuffle(shuffled)
        for position, ((kind, role, parcel), hours) in shuffled:
            given_fact = {
                "role": role,
                "parcel": parcel,
                "occurred_at": after(hours),
                "received_at": after(100),
            }
            add_fact(one_by_one, kind, key=f"k{position}-a{one_by_one.pk}", **given_fact)
            one_by_one = settled(one_by_one, at=after(100))
            add_fact(at_once, kind, key=f"k{position}-a{at_once.pk}", **given_fact)
        at_once = settled(at_once, at=after(100))

        columns = (
            "stage",
            "payment",
            "intent",
            "invoice",
            "has_conflict",
            "partial_of",
            "waybill",
            "is_open",
            "set_aside",
        )
        assert [getattr(one_by_one, name) for name in columns] == [getattr(at_once, name) for name in columns]
        assert one_by_one.set_aside == ""
        assert list(one_by_one.lines.values_list("sku", "ordered", "picked", "shipped")) == list(
            at_once.lines.values_list("sku", "ordered", "picked", "shipped")
        )
        transaction.set_rollback(True)


def test_quantities_of_a_line_are_exact():
    order = make_order(lines={"A": "0.125"})

    assert order.lines.get().ordered == Decimal("0.125")


def test_two_orders_can_share_a_reference():
    first = make_order(lines={"A": 10})
    second = make_order(lines={"B": 1})
    key = ReferenceKey(first.shop.code, "order", first.external_id)
    with transaction.atomic():
        ReferenceLink.objects.create(reference_id=lock_references([key])[key], order=second)

    second = settled(second)

    assert second.merged_from == 2
    assert set(second.lines.values_list("sku", flat=True)) == {"A", "B"}


def test_a_delivered_order_that_only_waits_for_time_is_not_stuck():
    waiting = told(
        make_order(fields={"invoice": "exempt"}), "parcel.delivered", 24, parcel="SF1", role="carrier"
    )
    owing = told(make_order(), "parcel.delivered", 24, parcel="SF2", role="carrier")

    assert waiting.stalls_at is None
    assert owing.stalls_at == after(24 + 48)
