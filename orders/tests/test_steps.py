from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from orders import holds, notes, steps, stock
from orders.access import ROLES
from orders.byhand import NotAllowed, Refused
from orders.models import AuditEntry, Order, OrderFact, OrderStep, StockEntry, StockItem, StockLock, Warehouse
from orders.stages import Invoice, Stage, Step, StepState
from orders.tests.factories import (
    MONDAY,
    add_fact,
    after,
    make_order,
    make_shop,
    make_warehouse,
    settled,
    told,
)
from orders.tests.staff import make_staff

pytestmark = pytest.mark.django_db
FRIDAY = date(2026, 6, 5)


@pytest.fixture
def warehouse() -> Warehouse:
    return make_warehouse("north")


@pytest.fixture
def order(warehouse: Warehouse) -> Order:
    return make_order(lines={"PAD": 4, "OIL": 2}, shop=make_shop("parts", warehouse=warehouse))


def person(*may: str, everything: bool = True) -> User:
    return make_staff(may=tuple(f"orders.{name}" for name in may), everything=everything)


def fill(warehouse: Warehouse, **units: int) -> None:
    for sku, quantity in units.items():
        stock.count(warehouse, sku, quantity, at=MONDAY, key=f"count:{sku}:{quantity}")


def dated(order: Order, at: datetime = MONDAY) -> Order:
    return steps.confirm_date(order.pk, actor=person("confirm_date"), date=FRIDAY, at=at)


def locked(order: Order, at: datetime = MONDAY) -> Order:
    steps.lock_stock(dated(order, at).pk, actor=person("lock_stock"), at=at)
    return Order.objects.get(pk=order.pk)


def papered(order: Order, at: datetime = MONDAY) -> Order:
    actor = person("make_waybill")
    return steps.make_waybill(locked(order, at).pk, actor=actor, waybill="SF100", carrier="sf", at=at)


def state(order: Order, step: Step) -> str:
    row = OrderStep.objects.filter(order=order, step=step).first()
    return row.state if row else ""


def columns(sku: str) -> tuple[Decimal, Decimal]:
    item = StockItem.objects.get(sku=sku)
    return item.on_hand, item.locked


def n_said(order: Order) -> tuple[int, int]:
    """Facts and audit rows of the order: what a refusal must leave as they were."""
    return OrderFact.objects.of_order(order).count(), AuditEntry.objects.filter(model="orders.order").count()


def test_the_four_steps_take_an_order_from_sales_to_finance(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    stages = [order.stage]

    stages.append(dated(order).stage)
    steps.lock_stock(order.pk, actor=person("lock_stock"), at=after(1))
    stages.append(Order.objects.get(pk=order.pk).stage)
    actor = person("make_waybill")
    stages.append(
        steps.make_waybill(order.pk, actor=actor, waybill=" SF100 ", carrier="sf", at=after(2)).stage
    )
    done = steps.issue_invoice(order.pk, actor=person("issue_invoice"), number="F-1", at=after(3))

    assert stages == [Stage.AWAITING_DATE, Stage.AWAITING_STOCK, Stage.AWAITING_WAYBILL, Stage.AWAITING_PICK]
    assert (done.stage, done.invoice, done.waybill) == (Stage.AWAITING_PICK, Invoice.ISSUED, "SF100")
    assert done.confirmed_on == FRIDAY
    assert {row.step: row.state for row in done.steps.all()} == dict.fromkeys(Step.values, StepState.DONE)


def test_a_step_records_who_did_it_when_and_with_what_evidence(order: Order) -> None:
    actor = person("confirm_date")

    steps.confirm_date(order.pk, actor=actor, date=FRIDAY, at=after(1))

    row = OrderStep.objects.get(order=order, step=Step.DATE)
    fact = OrderFact.objects.get(kind="date.confirmed")
    assert (row.state, row.done_by, row.done_at, row.evidence) == (StepState.DONE, actor, after(1), fact.pk)
    assert (fact.source, fact.actor, fact.data) == ("person", actor, {"date": "2026-06-05"})
    entry = AuditEntry.objects.get(model="orders.order", action="step.date")
    assert (entry.actor, entry.object_id, entry.after["facts"]) == (actor, str(order.pk), [fact.pk])


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"sales"}))
def test_the_wrong_role_cannot_confirm_the_date_and_is_told_who_may(order: Order, role: str) -> None:
    before = n_said(order)
    actor = make_staff(role, everything=True)

    with pytest.raises(NotAllowed) as refusal:
        steps.confirm_date(order.pk, actor=actor, date=FRIDAY, at=MONDAY)

    assert str(ROLES["sales"].label) in str(refusal.value)

    assert n_said(order) == before
    assert state(order, Step.DATE) == StepState.OPEN


@pytest.mark.parametrize(
    ("role", "step"), [("sales", "date"), ("warehouse", "stock"), ("logistics", "waybill")]
)
def test_the_role_that_owns_a_step_may_take_it(
    order: Order, warehouse: Warehouse, role: str, step: str
) -> None:
    fill(warehouse, PAD=10, OIL=10)
    actor = make_staff(role, everything=True)

    if step == "date":
        steps.confirm_date(order.pk, actor=actor, date=FRIDAY, at=MONDAY)
    elif step == "stock":
        steps.lock_stock(dated(order).pk, actor=actor, at=MONDAY)
    else:
        steps.make_waybill(locked(order).pk, actor=actor, waybill="SF1", carrier="sf", at=MONDAY)

    assert state(order, Step(step)) == StepState.DONE


def test_each_later_step_refuses_the_role_of_the_step_before(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    dated(order)

    with pytest.raises(NotAllowed):
        steps.lock_stock(order.pk, actor=person("confirm_date"), at=MONDAY)
    with pytest.raises(NotAllowed):
        steps.make_waybill(order.pk, actor=person("lock_stock"), waybill="SF1", carrier="sf", at=MONDAY)
    with pytest.raises(NotAllowed):
        steps.issue_invoice(order.pk, actor=person("make_waybill"), number="F-1", at=MONDAY)

    assert not StockLock.objects.exists()
    assert not OrderFact.objects.filter(kind__in=["stock.locked", "waybill.made", "invoice.issued"]).exists()


def test_an_order_outside_the_row_scope_does_not_exist_for_the_person(order: Order) -> None:
    before = n_said(order)

    with pytest.raises(NotAllowed) as refusal:
        steps.confirm_date(order.pk, actor=person("confirm_date", everything=False), date=FRIDAY, at=MONDAY)

    assert refusal.value.code == "not_found"
    assert n_said(order) == before


def test_a_step_that_is_not_open_yet_is_refused(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    before = n_said(order)

    with pytest.raises(steps.StepRefused) as refusal:
        steps.lock_stock(order.pk, actor=person("lock_stock"), at=MONDAY)

    assert refusal.value.code == "not_yet"
    assert (n_said(order), StockLock.objects.count()) == (before, 0)


def test_a_second_click_is_refused_and_says_nothing_twice(order: Order) -> None:
    dated(order)
    before = n_said(order)

    with pytest.raises(steps.StepRefused) as refusal:
        dated(order)

    assert refusal.value.code == "not_open"
    assert n_said(order) == before


def test_a_date_that_is_over_is_refused(order: Order) -> None:
    with pytest.raises(steps.StepRefused) as refusal:
        steps.confirm_date(order.pk, actor=person("confirm_date"), date=date(2026, 5, 31), at=MONDAY)

    assert refusal.value.code == "past"
    assert state(order, Step.DATE) == StepState.OPEN


def test_what_stock_there_is_gets_locked_and_the_rest_is_a_shortage(
    order: Order, warehouse: Warehouse
) -> None:
    fill(warehouse, PAD=3, OIL=10)
    dated(order)

    outcome = steps.lock_stock(order.pk, actor=person("lock_stock"), at=after(1))

    order.refresh_from_db(fields=["is_short", "next_step"])
    assert outcome == stock.LockOutcome(
        locked={"PAD": Decimal(3), "OIL": Decimal(2)}, short={"PAD": Decimal(1)}
    )
    assert (order.is_short, order.next_step) == (True, Step.STOCK)
    assert dict(order.lines.values_list("sku", "locked")) == {"PAD": 3, "OIL": 2}


def test_a_shortage_is_filled_when_the_goods_have_come(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=3, OIL=10)
    dated(order)
    actor = person("lock_stock")
    steps.lock_stock(order.pk, actor=actor, at=after(1))
    stock.count(warehouse, "PAD", 9, at=after(2), key="delivery")

    steps.lock_stock(order.pk, actor=actor, at=after(3))

    order.refresh_from_db(fields=["is_short", "next_step"])
    assert (order.is_short, order.next_step, state(order, Step.STOCK)) == (
        False,
        Step.WAYBILL,
        StepState.DONE,
    )
    said = OrderFact.objects.filter(kind="stock.locked", level_id="PAD").order_by("occurred_at")
    assert list(said.values_list("quantity", "role")) == [(3, "hub"), (1, "hub")]
    assert columns("PAD") == (9, 4)


def test_a_waybill_that_belongs_to_another_order_is_refused(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    papered(order)
    other = make_order(lines={"PAD": 1}, shop=order.shop)
    locked(other)
    before = n_said(other)

    with pytest.raises(steps.StepRefused) as refusal:
        steps.make_waybill(other.pk, actor=person("make_waybill"), waybill="SF100", carrier="sf", at=after(1))

    assert refusal.value.code == "waybill_taken"
    assert n_said(other) == before


def test_a_waybill_for_more_than_was_ordered_is_refused(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)

    with pytest.raises(steps.StepRefused) as refusal:
        steps.make_waybill(
            order.pk,
            actor=person("make_waybill"),
            waybill="SF1",
            carrier="sf",
            lines={"PAD": Decimal(5)},
            at=after(1),
        )

    assert refusal.value.code == "bad_lines"
    assert state(order, Step.WAYBILL) == StepState.OPEN


def test_a_waybill_for_a_part_leaves_the_step_open_until_every_unit_has_one(
    order: Order, warehouse: Warehouse
) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)
    actor = person("make_waybill")

    steps.make_waybill(
        order.pk, actor=actor, waybill="SF1", carrier="sf", lines={"PAD": Decimal(4)}, at=after(1)
    )
    half = state(order, Step.WAYBILL)
    steps.make_waybill(
        order.pk, actor=actor, waybill="SF2", carrier="sf", lines={"OIL": Decimal(2)}, at=after(2)
    )

    assert (half, state(order, Step.WAYBILL)) == (StepState.OPEN, StepState.DONE)


def test_a_step_is_undone_within_ten_minutes_by_whoever_may_take_it(order: Order) -> None:
    dated(order)

    undone = steps.undo_step(
        order.pk,
        Step.DATE,
        actor=person("confirm_date"),
        reason="wrong day",
        at=MONDAY + timedelta(minutes=10),
    )

    assert (undone.stage, undone.confirmed_on, state(order, Step.DATE)) == (
        Stage.AWAITING_DATE,
        None,
        StepState.OPEN,
    )
    entry = AuditEntry.objects.get(action="step.undo")
    assert (entry.reason, entry.after["step"]) == ("wrong day", "date")
    assert OrderFact.objects.filter(kind="date.confirmed").count() == 1
    assert OrderFact.objects.get(kind="fact.retracted").data["fact"]["kind"] == "date.confirmed"


def test_after_ten_minutes_only_a_supervisor_may_undo(order: Order) -> None:
    dated(order)
    late = MONDAY + timedelta(minutes=10, seconds=1)
    before = n_said(order)

    with pytest.raises(NotAllowed):
        steps.undo_step(order.pk, Step.DATE, actor=person("confirm_date"), reason="wrong day", at=late)
    refused = n_said(order)
    steps.undo_step(order.pk, Step.DATE, actor=person("undo_step_late"), reason="wrong day", at=late)

    assert refused == before
    assert state(order, Step.DATE) == StepState.OPEN


def test_a_step_of_another_role_is_not_undone(order: Order) -> None:
    dated(order)

    with pytest.raises(NotAllowed):
        steps.undo_step(order.pk, Step.DATE, actor=person("lock_stock"), reason="wrong day", at=MONDAY)

    assert state(order, Step.DATE) == StepState.DONE


def test_an_undo_without_a_reason_is_refused(order: Order) -> None:
    dated(order)

    with pytest.raises(Refused) as refusal:
        steps.undo_step(order.pk, Step.DATE, actor=person("confirm_date"), reason="  ", at=MONDAY)

    assert refusal.value.code == "no_reason"
    assert state(order, Step.DATE) == StepState.DONE


def test_undoing_the_lock_gives_the_units_back(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)

    undone = steps.undo_step(
        order.pk, Step.STOCK, actor=person("lock_stock"), reason="other warehouse", at=after(0.1)
    )

    assert (undone.stage, columns("PAD"), columns("OIL")) == (Stage.AWAITING_STOCK, (10, 0), (10, 0))
    assert set(order.lines.values_list("locked", flat=True)) == {0}
    assert AuditEntry.objects.filter(action="step.undo").count() == 1
    steps.lock_stock(order.pk, actor=person("lock_stock"), at=after(0.2))
    assert (columns("PAD"), state(order, Step.STOCK)) == ((10, 4), StepState.DONE)


def test_a_step_that_an_outside_system_closed_is_taken_back_there(order: Order) -> None:
    told(order, "date.confirmed", data={"date": "2026-06-05"})

    with pytest.raises(steps.StepRefused, match="shop-system") as refusal:
        steps.undo_step(order.pk, Step.DATE, actor=person("undo_step_late"), reason="wrong", at=after(0.1))

    assert refusal.value.code == "not_ours"


def test_a_waybill_that_the_carrier_has_scanned_is_not_undone_but_made_void(
    order: Order, warehouse: Warehouse
) -> None:
    fill(warehouse, PAD=10, OIL=10)
    papered(order)
    told(order, "parcel.awaiting_pickup", 0.05, parcel="SF100", role="carrier")
    actor = person("make_waybill")

    with pytest.raises(steps.StepRefused) as refusal:
        steps.undo_step(order.pk, Step.WAYBILL, actor=actor, reason="wrong street", at=after(0.1))
    done_before = state(order, Step.WAYBILL)
    voided = steps.counter_action(order.pk, Step.WAYBILL, actor=actor, reason="wrong street", at=after(0.1))

    assert (refusal.value.code, done_before) == ("has_effect", StepState.DONE)
    assert (voided.stage, voided.waybill) == (Stage.AWAITING_WAYBILL, "")
    assert AuditEntry.objects.get(action="step.counter.waybill").reason == "wrong street"


def test_what_a_settings_list_knows_of_outside_effects_stops_an_undo(order: Order, settings: object) -> None:
    settings.STEP_EFFECTS = [f"{__name__}.customer_was_told"]  # type: ignore[attr-defined]
    dated(order)

    with pytest.raises(steps.StepRefused, match="the customer was told"):
        steps.undo_step(order.pk, Step.DATE, actor=person("confirm_date"), reason="wrong", at=MONDAY)
    revoked = steps.counter_action(
        order.pk, Step.DATE, actor=person("confirm_date"), reason="wrong", at=MONDAY
    )

    assert (revoked.stage, revoked.confirmed_on) == (Stage.AWAITING_DATE, None)


def customer_was_told(order: Order, step: Step, facts: list[OrderFact]) -> str:
    return "the customer was told" if step == Step.DATE else ""


def test_releasing_the_stock_as_a_counter_action_gives_back_once(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)
    actor = person("lock_stock")

    released = steps.counter_action(order.pk, Step.STOCK, actor=actor, reason="quality", at=after(1))
    with pytest.raises(steps.StepRefused) as refusal:
        steps.counter_action(order.pk, Step.STOCK, actor=actor, reason="quality", at=after(1))

    assert (released.stage, columns("PAD"), refusal.value.code) == (Stage.AWAITING_STOCK, (10, 0), "not_done")


def test_reversing_an_invoice_opens_the_step_again(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    papered(order)
    actor = person("issue_invoice")
    steps.issue_invoice(order.pk, actor=actor, number="F-1", at=after(1))

    reversed_ = steps.counter_action(order.pk, Step.INVOICE, actor=actor, reason="wrong title", at=after(2))

    assert (reversed_.invoice, state(order, Step.INVOICE)) == (Invoice.RED_LETTERED, StepState.OPEN)


def test_a_cancelled_order_gives_its_stock_back_exactly_once(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)
    locked(make_order(lines={"PAD": 5}, shop=order.shop))
    told(order, "cancel.accepted", 1)

    for minutes in range(3):
        steps.follow_goods(order.pk, at=after(1) + timedelta(minutes=minutes))

    assert columns("PAD") == (10, 5)
    assert StockEntry.objects.filter(kind="release", order=order, item__sku="PAD").count() == 1
    assert OrderFact.objects.of_order(order).filter(kind="stock.released").count() == 2
    assert stock.differences() == []


def test_goods_that_left_are_booked_out_as_far_as_they_left(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)
    told(order, "parcel.handed_over", 1, parcel="A", role="wms", lines=[("PAD", 3)])

    steps.follow_goods(order.pk, at=after(1))
    steps.follow_goods(order.pk, at=after(1))
    first = (columns("PAD"), columns("OIL"))
    told(order, "parcel.handed_over", 2, parcel="B", role="wms", lines=[("PAD", 1), ("OIL", 2)])
    steps.follow_goods(order.pk, at=after(2))

    assert first == ((7, 1), (10, 2))
    assert (columns("PAD"), columns("OIL")) == ((6, 0), (8, 0))
    assert stock.differences() == []


def test_a_lock_whose_time_is_over_reopens_the_step(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    dated(order)
    steps.lock_stock(order.pk, actor=person("lock_stock"), at=MONDAY, expires_at=after(2))

    looked_early = steps.give_back_stock(after(1.9))
    looked = steps.give_back_stock(after(2))
    looked_again = steps.give_back_stock(after(3))

    order = Order.objects.get(pk=order.pk)
    assert (looked_early, looked, looked_again) == (0, 1, 0)
    assert (order.stage, columns("PAD"), columns("OIL")) == (Stage.AWAITING_STOCK, (10, 0), (10, 0))


def test_the_sweep_gives_back_what_a_lost_reaction_left_locked(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    locked(order)
    told(order, "cancel.accepted", 1)

    assert steps.give_back_stock(after(1.1)) == 1
    assert steps.give_back_stock(after(1.2)) == 0
    assert columns("PAD") == (10, 0)


def test_what_is_locked_for_a_cancelled_article_is_given_back_when_the_rest_has_left(
    order: Order, warehouse: Warehouse
) -> None:
    fill(warehouse, OIL=10)
    locked(order)
    told(order, "cancel.accepted", 1, lines=[("OIL", 2)])
    told(order, "parcel.handed_over", 2, parcel="A", role="wms", lines=[("PAD", 4)])

    assert steps.give_back_stock(after(2.1)) == 1
    assert steps.give_back_stock(after(2.2)) == 0
    assert columns("OIL") == (10, 0)


def test_a_held_order_says_who_holds_it_until_it_is_lifted(order: Order) -> None:
    actor = person("hold_order")

    held = holds.set_hold(
        order.pk, "fraud check", actor=actor, reason="card differs", at=MONDAY, until=after(24)
    )
    row = order.holds.get()
    lifted = holds.lift_hold(order.pk, "fraud check", actor=actor, reason="called back", at=after(1))

    assert (held.is_held, held.due_again_at, lifted.is_held) == (True, after(24), False)
    assert (row.name, row.owner, row.reason) == ("fraud check", actor.get_username(), "card differs")
    assert list(
        AuditEntry.objects.filter(action__startswith="hold.").order_by("pk").values_list("action", "reason")
    ) == [
        ("hold.set", "card differs"),
        ("hold.lifted", "called back"),
    ]


@pytest.mark.parametrize(
    ("name", "reason", "until", "code"),
    [("", "why", None, "bad_name"), ("fraud", " ", None, "no_reason"), ("fraud", "why", MONDAY, "past")],
)
def test_a_hold_that_makes_no_sense_is_refused(
    order: Order, name: str, reason: str, until: datetime | None, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        holds.set_hold(order.pk, name, actor=person("hold_order"), reason=reason, at=MONDAY, until=until)

    assert refusal.value.code == code
    assert not order.holds.exists()


def test_a_hold_is_set_and_lifted_by_those_who_may(order: Order) -> None:
    with pytest.raises(NotAllowed):
        holds.set_hold(order.pk, "fraud", actor=person("confirm_date"), reason="why", at=MONDAY)
    with pytest.raises(holds.HoldRefused) as refusal:
        holds.lift_hold(order.pk, "fraud", actor=person("hold_order"), reason="why", at=MONDAY)

    assert refusal.value.code == "not_held"
    assert not OrderFact.objects.filter(kind__startswith="hold.").exists()


def test_a_note_is_kept_on_the_timeline_and_moves_nothing(order: Order) -> None:
    before = (order.stage, order.stalls_at, order.last_fact_at)
    actor = person("add_note")

    fact = notes.add_note(order.pk, " call before noon ", actor=actor, at=after(3))

    order = settled(order, at=after(3))
    assert (fact.data, fact.actor) == ({"text": "call before noon"}, actor)
    assert (order.stage, order.stalls_at, order.last_fact_at) == before


@pytest.mark.parametrize(("text", "code"), [("  ", "empty"), ("x" * 2001, "too_long")])
def test_a_note_that_is_empty_or_endless_is_refused(order: Order, text: str, code: str) -> None:
    with pytest.raises(notes.NoteRefused) as refusal:
        notes.add_note(order.pk, text, actor=person("add_note"), at=MONDAY)

    assert refusal.value.code == code
    assert not OrderFact.objects.filter(kind="note.added").exists()


def test_facts_from_outside_close_a_step_as_well(order: Order, warehouse: Warehouse) -> None:
    add_fact(order, "stock.locked", role="erp", occurred_at=after(1))

    order = settled(dated(order), at=after(1))

    assert (order.stage, state(order, Step.STOCK)) == (Stage.AWAITING_WAYBILL, StepState.DONE)


def test_who_comes_second_acts_second_whatever_the_clocks_say(order: Order, warehouse: Warehouse) -> None:
    fill(warehouse, PAD=10, OIL=10)
    actor = person("hold_order")
    holds.set_hold(order.pk, "fraud", actor=actor, reason="why", at=after(2))

    lifted = holds.lift_hold(order.pk, "fraud", actor=actor, reason="fine", at=after(1))

    assert not lifted.is_held
