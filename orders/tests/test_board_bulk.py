from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection, transaction

from orders.board import bulk_runs
from orders.board.bulk_actions import ACTIONS, BulkRefused
from orders.board.columns import chips_of
from orders.board.filters import is_at_risk
from orders.board.written import PromiseColumns, write_case, write_promise, write_promises
from orders.byhand import NotAllowed
from orders.desk import BulkRow, BulkRun
from orders.models import AuditEntry, Order, OrderEvent, OrderFact, OrderHold
from orders.stages import Step
from orders.states import STATES
from orders.tests.factories import MONDAY, after, make_order, make_shop
from orders.tests.processes import at_once
from orders.tests.staff import log_in, make_staff
from orders.tests.test_board import put
from orders.todos import observe
from orders.transitions import Cause

BULK = "/admin/board/bulk/"
PERSON = Cause(source="person")


@pytest.fixture
def clock():
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def begun(action, orders, actor, **values):
    """A run over these orders, done to its end."""
    wanted = Order.objects.filter(pk__in=[order.pk for order in orders])
    run = bulk_runs.begin(ACTIONS[action], wanted, values, actor=actor, at=MONDAY)
    bulk_runs.work_off(run)
    return BulkRun.objects.get(pk=run.pk)


def outcomes(run):
    return list(BulkRow.objects.filter(run=run).order_by("order_id").values_list("outcome", flat=True))


def holds():
    return list(OrderHold.objects.order_by("order_id").values_list("order_id", "name"))


@pytest.mark.django_db
def test_a_preview_says_how_many_and_whom_it_skips_and_changes_nothing(clock, client):
    shop = make_shop()
    held = make_order(shop=shop)
    put(held, is_held=True)
    other = [make_order(shop=shop) for _n in range(2)]
    log_in(client, make_staff("ops_manager"))

    ids = [held.pk, *(order.pk for order in other)]
    answer = client.get(BULK, {"action": "lift", "ids": ids, "list": "x=1"})

    preview = answer.context["preview"]
    assert (preview.n_orders, preview.n_done) == (3, 1)
    assert [n for _why, n in preview.skipped] == [2]
    assert not BulkRun.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("action", "is_way_back"), [("rush", True), ("date", True), ("rejudge", False)])
def test_a_preview_says_whether_there_is_a_way_back(clock, client, action, is_way_back):
    order = make_order()
    log_in(client, make_staff("ops_manager", "sales"))
    client.cookies["django_language"] = "en"

    shown = client.get(BULK, {"action": action, "ids": [order.pk]}).content.decode()

    assert ("This can be undone for 10 minutes." in shown) is is_way_back
    assert ("This cannot be undone as a whole." in shown) is not is_way_back


@pytest.mark.django_db
def test_a_note_is_written_on_every_chosen_order_and_can_be_taken_back(clock, client):
    orders = [make_order() for _n in range(3)]
    log_in(client, make_staff("ops_manager"))
    given = {"action": "note", "ids": [order.pk for order in orders], "text": "please hurry", "list": "x=1"}

    answer = client.post(BULK, given)

    run = BulkRun.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"{BULK}{run.pk}/")
    assert (run.state, outcomes(run)) == ("done", ["done"] * 3)
    assert OrderFact.objects.filter(kind="note.added", data__text="please hurry").count() == 3
    assert AuditEntry.objects.filter(action="note.added").count() == 3

    client.post(f"{BULK}{run.pk}/", {"do": "undo"})

    assert outcomes(run) == ["undone"] * 3
    assert OrderFact.objects.filter(kind="fact.retracted").count() == 3


@pytest.mark.django_db
def test_nobody_acts_on_orders_outside_their_scope(clock, client):
    mine, other = make_shop("mine"), make_shop("other")
    seen, unseen = make_order(shop=mine), make_order(shop=other)
    log_in(client, make_staff("sales", shops=(mine,)))

    client.post(BULK, {"action": "hold", "ids": [seen.pk, unseen.pk], "name": "wait", "reason": "asked"})

    assert holds() == [(seen.pk, "wait")]


@pytest.mark.django_db
def test_an_action_without_the_permission_is_refused_and_leaves_nothing(clock, client):
    order = make_order()
    log_in(client, make_staff("viewer"))

    client.post(BULK, {"action": "hold", "ids": [order.pk], "name": "wait", "reason": "asked"})

    assert (holds(), BulkRun.objects.count()) == ([], 0)
    with pytest.raises(NotAllowed):
        begun("hold", [order], make_staff("viewer", everything=True), name="wait", reason="asked")


@pytest.mark.django_db
def test_a_refused_row_is_skipped_with_its_reason_and_the_others_are_done(clock):
    actor = make_staff("ops_manager")
    held, free = make_order(), make_order()
    begun("hold", [held], actor, name="wait", reason="asked", until="")

    run = begun("hold", [held, free], actor, name="wait", reason="asked", until="")

    assert outcomes(run) == ["skipped", "done"]
    assert BulkRow.objects.get(run=run, order=held).reason["code"] == "held"


@pytest.mark.django_db
def test_a_defect_fails_its_own_row_only_and_the_row_can_be_tried_again(clock):
    actor = make_staff("ops_manager")
    broken, whole = make_order(), make_order()
    run = begun("date", [broken], make_staff("sales", everything=True), date=None)

    assert outcomes(run) == ["failed"]
    assert Order.objects.get(pk=broken.pk).next_step == "date"
    BulkRun.objects.filter(pk=run.pk).update(values={"date": "2026-06-05"})
    assert bulk_runs.retry(run, actor=actor, at=MONDAY) == 1
    bulk_runs.work()
    assert outcomes(run) == ["done"]
    assert Order.objects.get(pk=whole.pk).next_step == "date"


@pytest.mark.django_db
def test_orders_are_handed_to_a_person_who_sees_them_with_their_todos_and_back(clock):
    shop = make_shop()
    order, actor = make_order(shop=shop), make_staff("ops_manager")
    observe(list(OrderEvent.objects.filter(order=order)))
    seer, stranger = make_staff("sales", shops=(shop,)), make_staff("sales")

    assert outcomes(begun("assign", [order], actor, person=stranger.pk)) == ["skipped"]
    run = begun("assign", [order], actor, person=seer.pk)

    assert Order.objects.get(pk=order.pk).assignee == seer
    assert set(order.todos.values_list("person", flat=True)) == {seer.pk}
    assert OrderEvent.objects.get(kind="case").new == str(seer.pk)
    bulk_runs.undo(run, actor=actor, at=MONDAY)
    assert Order.objects.get(pk=order.pk).assignee is None
    assert set(order.todos.values_list("person", flat=True)) == {None}


@pytest.mark.django_db
def test_undoing_a_handing_over_leaves_alone_what_was_handed_on_since(clock):
    shop, actor = make_shop(), make_staff("ops_manager")
    kept, handed_on = make_order(shop=shop), make_order(shop=shop)
    observe(list(OrderEvent.objects.all()))
    first, second = (make_staff("sales", shops=(shop,)) for _n in range(2))
    run = begun("assign", [kept, handed_on], actor, person=first.pk)
    begun("assign", [handed_on], make_staff("ops_manager"), person=second.pk)

    bulk_runs.undo(run, actor=actor, at=MONDAY)

    assert outcomes(run) == ["undone", "done"]
    assert BulkRow.objects.get(run=run, order=handed_on).reason["code"].endswith("handed_on")
    assert list(Order.objects.order_by("pk").values_list("assignee", flat=True)) == [None, second.pk]
    assert set(handed_on.todos.values_list("person", flat=True)) == {second.pk}


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [10, 11])
def test_undo_is_offered_for_ten_minutes(clock, minutes):
    actor, order = make_staff("ops_manager"), make_order()
    run = begun("rush", [order], actor)
    assert Order.objects.get(pk=order.pk).is_rush

    at = MONDAY + timedelta(minutes=minutes)
    if minutes > 10:
        with pytest.raises(BulkRefused, match="10"):
            bulk_runs.undo(run, actor=actor, at=at)
    else:
        assert bulk_runs.undo(run, actor=actor, at=at) == 1
    assert Order.objects.get(pk=order.pk).is_rush is (minutes > 10)


@pytest.mark.django_db
def test_a_step_is_taken_for_twenty_orders_at_most_and_for_fifty_in_an_hour(clock):
    actor = make_staff("sales", everything=True)
    shop = make_shop()
    orders = [make_order(shop=shop) for _n in range(21)]
    with pytest.raises(BulkRefused) as refused:
        begun("date", orders, actor, date="2026-06-05")
    assert refused.value.code == "second_person"
    assert not BulkRun.objects.exists()

    run = begun("date", orders[:3], actor, date="2026-06-05")
    BulkRow.objects.bulk_create(
        BulkRow(run=run, order=order, outcome="done")
        for order in [*orders[3:], *(make_order(shop=shop) for _n in range(27))]
    )
    with pytest.raises(BulkRefused) as refused:
        begun("date", orders[4:9], actor, date="2026-06-05")
    assert refused.value.code == "an_hour"


@pytest.mark.django_db
def test_more_than_a_page_waits_for_the_worker_and_the_number_is_typed(clock, client):
    shop = make_shop()
    for _n in range(51):
        make_order(shop=shop)
    log_in(client, make_staff("ops_manager"))
    given = {"action": "rush", "all": "1", "list": "x=1"}

    assert client.post(BULK, {**given, "typed": "50"}).status_code == 409
    assert not BulkRun.objects.exists()
    client.post(BULK, {**given, "typed": "51"})

    run = BulkRun.objects.get()
    assert (run.state, run.n_orders, set(outcomes(run))) == ("waiting", 51, {"waiting"})
    bulk_runs.work()
    run.refresh_from_db()
    assert (run.state, set(outcomes(run))) == ("done", {"done"})
    assert Order.objects.filter(is_rush=True).count() == 51


@pytest.mark.django_db
def test_a_phone_changes_ten_orders_at_once_and_a_desk_more(clock, client):
    shop = make_shop()
    ids = [make_order(shop=shop).pk for _n in range(11)]
    log_in(client, make_staff("ops_manager"))
    phone = {"user-agent": "Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36"}
    given = {"action": "rush", "list": "x=1"}

    looked_at = client.get(BULK, {**given, "ids": ids}, headers=phone)
    refused = client.post(BULK, {**given, "ids": ids}, headers=phone)

    assert "10" in looked_at.context["refusal"]
    assert 'name="action"' not in looked_at.content.decode()
    assert (refused.status_code, BulkRun.objects.count()) == (409, 0)
    client.post(BULK, {**given, "ids": ids[:10]}, headers=phone)
    assert Order.objects.filter(is_rush=True).count() == 10
    client.post(BULK, {"action": "note", "text": "desk", "ids": ids})
    assert OrderFact.objects.filter(kind="note.added").count() == 11


@pytest.mark.django_db
def test_a_step_for_several_orders_waits_until_the_riskiest_are_looked_at_and_the_number_is_typed(
    clock, client
):
    shop = make_shop()
    orders = [put(make_order(shop=shop), promised_at=after(10 + n)) for n in range(7)]
    put(orders[6], case_mark="red")
    put(orders[5], promise_risk="at_risk")
    riskiest = [str(orders[n].pk) for n in (5, 6, 0, 1, 2)]
    log_in(client, make_staff("sales", everything=True))
    given = {"action": "date", "date": "2026-06-05", "ids": [order.pk for order in orders], "list": "x=1"}

    preview = client.get(BULK, given)
    assert [str(one["row"].order.pk) for one in preview.context["riskiest"]] == riskiest
    for more in (
        {},
        {"looked": riskiest},
        {"looked": riskiest, "typed": "6"},
        {"looked": riskiest[:4], "typed": "7"},
        {"looked": [order.pk for order in orders[1:]], "typed": "7"},
    ):
        assert client.post(BULK, {**given, **more}).status_code == 409
    assert not BulkRun.objects.exists()
    assert not OrderFact.objects.filter(kind="date.confirmed").exists()

    assert client.post(BULK, {**given, "looked": riskiest, "typed": "7"}).status_code == 303
    assert outcomes(BulkRun.objects.get()) == ["done"] * 7


@pytest.mark.django_db
def test_an_order_that_was_looked_at_stays_ticked_and_the_others_stand_open(clock, client):
    orders = [make_order() for _n in range(2)]
    log_in(client, make_staff("sales", everything=True))
    given = {"action": "date", "date": "2026-06-05", "ids": [order.pk for order in orders], "typed": "2"}

    answer = client.post(BULK, {**given, "looked": orders[0].pk})

    shown = {one["row"].order.pk: (one["is_done"], one["is_open"]) for one in answer.context["riskiest"]}
    assert shown == {orders[0].pk: (True, False), orders[1].pk: (False, True)}
    assert orders[1].number in answer.context["refusal"]
    assert orders[0].number not in answer.context["refusal"]


@pytest.mark.django_db
def test_a_step_for_one_order_asks_for_no_number(clock, client):
    order = make_order()
    log_in(client, make_staff("sales", everything=True))

    client.post(BULK, {"action": "date", "date": "2026-06-05", "ids": [order.pk]})

    assert Order.objects.get(pk=order.pk).next_step == "stock"


@pytest.mark.django_db
def test_all_closed_orders_are_those_that_the_list_looks_back_over(clock, client):
    shop = make_shop()
    old, new = (put(make_order(shop=shop, id=pk), is_open=False, stage="completed") for pk in (7, 60_001))
    log_in(client, make_staff("ops_manager"))

    client.post(BULK, {"action": "note", "all": "1", "list": "state=closed", "text": "once"})

    assert list(BulkRow.objects.values_list("order", flat=True)) == [new.pk]
    assert old.pk not in OrderFact.objects.filter(kind="note.added").values_list(
        "reference__links__order", flat=True
    )


@pytest.mark.django_db
def test_more_than_a_page_is_undone_by_the_worker_and_shows_how_far_it_is(clock, client):
    shop, actor = make_shop(), make_staff("ops_manager")
    for _n in range(51):
        make_order(shop=shop)
    run = bulk_runs.begin(ACTIONS["rush"], Order.objects.all(), {}, actor=actor, at=MONDAY)
    bulk_runs.work()
    log_in(client, actor)

    client.post(f"{BULK}{run.pk}/", {"do": "undo"})

    assert Order.objects.filter(is_rush=True).count() == 51
    progress = client.get(f"{BULK}{run.pk}/", headers={"accept": "application/json"}).json()
    assert progress == {"n": 0, "total": 51, "state": "running"}
    bulk_runs.work()
    assert set(outcomes(run)) == {"undone"}
    assert not Order.objects.filter(is_rush=True).exists()
    assert BulkRun.objects.get(pk=run.pk).state == "done"


@pytest.mark.django_db
def test_an_undoing_that_is_stopped_leaves_the_rest_done_and_is_not_begun_again(clock):
    actor, orders = make_staff("ops_manager"), [make_order() for _n in range(51)]
    run = bulk_runs.begin(ACTIONS["rush"], Order.objects.all(), {}, actor=actor, at=MONDAY)
    bulk_runs.work()
    run.refresh_from_db()
    bulk_runs.undo(run, actor=actor, at=MONDAY)
    run.refresh_from_db()
    bulk_runs.work_off(run, within=timedelta(seconds=-1))

    assert bulk_runs.cancel(run, actor=actor, at=MONDAY) == 50
    for again in (bulk_runs.undo, bulk_runs.retry):
        with pytest.raises(BulkRefused):
            again(run, actor=actor, at=MONDAY)

    assert outcomes(run) == ["undone"] + ["done"] * 50
    assert Order.objects.filter(is_rush=True).count() == 50 < len(orders)


@pytest.mark.django_db
def test_all_of_a_list_with_a_very_long_address_is_that_list_and_no_more(clock, client):
    wanted, other = put(make_order(), is_short=True), make_order()
    log_in(client, make_staff("ops_manager"))
    listed = f"x=1&pad={'x' * 2_000}&short=1"

    client.post(BULK, {"action": "rush", "all": "1", "list": listed})

    assert list(Order.objects.filter(is_rush=True)) == [wanted]
    assert BulkRun.objects.get().query == ""
    assert not Order.objects.get(pk=other.pk).is_rush


@pytest.mark.django_db
def test_a_stopped_run_leaves_the_rest_undone(clock):
    actor, orders = make_staff("ops_manager"), [make_order() for _n in range(3)]
    run = bulk_runs.begin(ACTIONS["rush"], Order.objects.all(), {}, actor=actor, at=MONDAY)
    bulk_runs.work_off(run, within=timedelta(seconds=-1))

    assert bulk_runs.cancel(run, actor=actor, at=MONDAY) == 2
    bulk_runs.work()

    assert outcomes(run) == ["done", "skipped", "skipped"]
    assert Order.objects.filter(is_rush=True).count() == 1 < len(orders)


@pytest.mark.django_db
def test_a_run_is_shown_to_whoever_made_it_only(clock, client):
    run = begun("rush", [make_order()], make_staff("ops_manager"))
    log_in(client, make_staff("ops_manager"))

    assert client.get(f"{BULK}{run.pk}/").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_runs_list_can_be_looked_at(clock, client, settings, state):
    actor, order = make_staff("ops_manager"), make_order()
    run = begun("rush", [order], actor)
    log_in(client, actor)
    settings.SHOW_STATES = True

    shown = client.get(f"{BULK}{run.pk}/?_state={state}").content.decode()

    assert f'data-state="{state}"' in shown
    assert (order.number in shown) is (state == "stale")


def work_off(run_id):
    bulk_runs.work_off(BulkRun.objects.select_related("made_by").get(pk=run_id))


def die_after(run_id, n):
    """A worker that is killed in the middle: so many orders are done, and the next one is begun."""
    import os

    run = BulkRun.objects.select_related("made_by").get(pk=run_id)
    BulkRun.objects.filter(pk=run_id).update(state="running")
    for _row in range(n):
        bulk_runs._do_next(run)
    connection.execute_wrapper(_killed_at_the_row).__enter__()
    bulk_runs._do_next(run)
    os._exit(0)


def _killed_at_the_row(execute, sql, params, many, context):
    import os
    import signal

    if sql.startswith("UPDATE") and "orders_bulkrow" in sql:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(sql, params, many, context)


def begin_dates(user_id, order_ids):
    """Begin a run over these orders; says whether the hour had room for it."""
    wanted = Order.objects.filter(pk__in=order_ids)
    try:
        actor = User.objects.get(pk=user_id)
        bulk_runs.begin(ACTIONS["date"], wanted, {"date": "2026-06-05"}, actor=actor, at=MONDAY)
    except BulkRefused as refused:
        return refused.code
    return "begun"


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_two_requests_of_one_person_at_once_do_not_both_find_room_in_the_hour():
    with transaction.atomic():
        actor, shop = make_staff("sales", everything=True), make_shop()
        ids = [make_order(shop=shop).pk for _n in range(52)]
    assert begin_dates(actor.pk, ids[:20]) == begin_dates(actor.pk, ids[20:34]) == "begun"

    # Room for one of the four, and for no second.
    outcomes_of_all = at_once(begin_dates, [(actor.pk, ids[n : n + 9]) for n in (34, 43, 34, 43)])

    assert sorted(outcomes_of_all) == ["an_hour", "an_hour", "an_hour", "begun"]
    assert BulkRow.objects.count() == 43


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_no_order_out_and_none_done_twice():
    from concurrent.futures.process import BrokenProcessPool

    with transaction.atomic():
        actor, shop = make_staff("ops_manager"), make_shop()
        orders = [make_order(shop=shop) for _n in range(8)]
    values = {"text": "once"}
    run = bulk_runs.begin(ACTIONS["note"], Order.objects.all(), values, actor=actor, at=MONDAY)

    with pytest.raises(BrokenProcessPool):
        at_once(die_after, [(run.pk, 3)])
    at_once(work_off, [(run.pk,), (run.pk,)])

    run.refresh_from_db()
    assert (run.state, outcomes(run)) == ("done", ["done"] * len(orders))
    noted = OrderFact.objects.filter(kind="note.added").values_list("reference__value", flat=True)
    assert sorted(noted) == sorted(order.number for order in orders)


@pytest.mark.django_db
def test_the_steward_hints_at_a_run_that_nobody_works_on(clock, django_capture_on_commit_callbacks):
    bulk_runs.begin(
        ACTIONS["rush"],
        Order.objects.filter(pk=make_order().pk),
        {},
        actor=make_staff("ops_manager"),
        at=MONDAY,
    )

    with django_capture_on_commit_callbacks() as callbacks:
        bulk_runs.sweep()

    assert [callback.args for callback in callbacks] == [("bulk",)]


@pytest.mark.django_db
def test_a_promise_and_a_case_leave_one_event_for_each_change(clock):
    order, person = make_order(), make_staff("sales")

    assert write_promise(order.pk, promised_at=after(5), cause=PERSON, at=MONDAY)
    assert write_promise(order.pk, promised_at=after(5), cause=PERSON, at=MONDAY) == []
    write_promise(order.pk, risk="at_risk", cause=PERSON, at=MONDAY)
    write_case(order.pk, case_mark="red", assignee=person, cause=PERSON, at=MONDAY)
    write_case(order.pk, assignee=None, cause=PERSON, at=MONDAY)

    told = OrderEvent.objects.filter(kind__in=["promise", "case"]).order_by("id")
    assert [(one.kind, one.name, one.new) for one in told] == [
        ("promise", "promised_at", after(5).isoformat()),
        ("promise", "promise_risk", "at_risk"),
        ("case", "case_mark", "red"),
        ("case", "assignee", str(person.pk)),
        ("case", "assignee", ""),
    ]
    order.refresh_from_db()
    assert (order.promised_at, order.promise_risk, order.case_mark, order.assignee) == (
        after(5),
        "at_risk",
        "red",
        None,
    )
    assert told[0].after["promised_at"] == after(5).isoformat()


@pytest.mark.django_db
def test_many_promises_are_written_like_one_and_only_what_changed_is_told(clock, django_assert_num_queries):
    orders = [make_order() for _ in range(20)]
    write_promise(orders[0].pk, promised_at=after(5), risk="watch", cause=PERSON, at=MONDAY)
    rows = [PromiseColumns(order.pk, after(5), "watch") for order in orders]

    with django_assert_num_queries(5):  # lock, write, journal, and a savepoint around them
        events = write_promises(rows, cause=PERSON, at=MONDAY)

    assert {event.order_id for event in events} == {order.pk for order in orders[1:]}
    assert [(one.name, one.new) for one in events[:2]] == [
        ("promised_at", after(5).isoformat()),
        ("promise_risk", "watch"),
    ]
    assert set(Order.objects.values_list("promised_at", "promise_risk")) == {(after(5), "watch")}
    assert OrderEvent.objects.filter(kind="promise", dispatched_at=None).count() == 40
    assert write_promises(rows, cause=PERSON, at=MONDAY) == []


@pytest.mark.django_db
def test_a_promise_written_into_the_past_asks_nobody_to_react(clock):
    order = make_order()

    write_promises([PromiseColumns(order.pk, after(5), "watch")], cause=PERSON, at=MONDAY, is_history=True)

    told = OrderEvent.objects.filter(kind="promise")
    assert [(one.silent, one.dispatched_at) for one in told] == [(True, MONDAY)] * 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("risk", "is_marked"), [("", False), ("on_track", False), ("watch", False), ("at_risk", True)]
)
def test_only_the_highest_risk_marks_an_order_before_its_date(clock, risk, is_marked):
    order = make_order()
    write_promise(order.pk, promised_at=after(24 * 5), risk=risk, cause=PERSON, at=MONDAY)
    order.refresh_from_db()
    order.step_due_at = None

    assert [chip.meaning for chip in chips_of(order, MONDAY)] == (["warn"] if is_marked else [])
    Order.objects.update(step_due_at=None)
    assert Order.objects.filter(is_at_risk(MONDAY)).exists() is is_marked


@pytest.mark.django_db
def test_a_card_is_moved_by_doing_its_step(clock, client):
    order = make_order()
    log_in(client, make_staff("sales", everything=True))
    address = f"/admin/board/move/{order.pk}/{Step.STOCK.value}/"
    assert client.get(address).context["refusal"] == ""

    answer = client.post(address, {"date": "2026-06-05", "list": "layout=kanban"})

    assert (answer.status_code, answer["Location"]) == (303, "/admin/board/?layout=kanban")
    assert Order.objects.get(pk=order.pk).next_step == Step.STOCK


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "to", "columns"),
    [
        ("sales", "waybill", {}),
        ("sales", "date", {}),
        ("warehouse", "stock", {}),
        ("sales", "stock", {"is_held": True}),
        ("sales", "date", {"next_step": "invoice"}),
        ("sales", "stock", {"next_step": ""}),
    ],
)
def test_a_forbidden_move_says_why_and_does_nothing(clock, client, role, to, columns):
    order = put(make_order(), **columns)
    log_in(client, make_staff(role, everything=True))

    answer = client.post(f"/admin/board/move/{order.pk}/{to}/", {"date": "2026-06-05"})

    assert answer.status_code == 409
    assert answer.context["refusal"]
    assert not OrderFact.objects.filter(kind="date.confirmed").exists()
