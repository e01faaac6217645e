"""The hub's own orders: what is said of them, when it is said anew, and what becomes of it."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from orders.contacts import Contact
from orders.dispatch import dispatch_waiting
from orders.models import Order, OrderEvent, Todo
from orders.tests.factories import MONDAY, after, make_order, make_shop, make_warehouse, settled, told
from promises.estimates import current, journeys, learned, making, reaction, scoring, words
from promises.estimates.models import Estimate, Journey, PlannedSurge, PromiseRule, WarehousePickup
from promises.estimates.rebuilding import rebuild
from promises.tests.factories_estimates import make_history

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
GUANGZHOU = {"province": "广东省", "city": "广州市"}


@pytest.fixture(autouse=True)
def _nothing_learned_by_other_tests():
    """Rows of a test that was rolled back give their numbers to the next one's."""
    learned.forget()


def contact():
    return Contact.objects.keep(
        {"name": "A", "phone": "13800000001", "street": "1", "country": "CN", **GUANGZHOU}
    )


def make_open_order(**given):
    """An order to Guangzhou, paid, as the worker has reacted to it."""
    to = contact()
    order = make_order(**given)
    Order.objects.filter(pk=order.pk).update(contact=to)
    return order


def estimated(order, at=MONDAY):
    making.estimate(journeys.orders_of([order.pk]), at=at)
    return current(order)


def test_without_history_there_is_no_date_but_the_number_of_orders():
    make_history(3, per_day=0.2)
    rebuild(MONDAY)

    said = estimated(make_open_order())

    assert (said.no_date, said.n, said.due_at, said.odds) == ("not_enough_history", 3, None, None)
    assert (said.window_from, said.promised_at, said.risk) == (None, None, "")


def test_before_the_first_night_there_is_no_date():
    assert estimated(make_open_order()).no_date == "not_enough_history"


def test_an_order_gets_a_window_a_latest_date_its_odds_and_where_they_come_from():
    make_history(400, warehouse=(house := make_warehouse(region="华南")))
    model = rebuild(MONDAY)

    order = make_open_order(warehouse=house)
    said = estimated(order)

    # A day in the house, then 30 to 80 hours on the way.
    assert date(2026, 6, 3) <= said.window_from <= said.window_to <= said.due_on <= date(2026, 6, 7)
    assert said.due_local.isoformat().endswith("T23:59:59+08:00")
    assert 950 <= said.odds <= 1000
    assert (said.level, said.model_version) == ("city", model.version)
    assert said.n > 300
    assert said.inputs["basis"] == "queue"
    assert said.inputs["city"] == "广州市"
    assert (said.promised_at, said.is_first, said.risk) == (said.due_at, True, "on_track")
    order.refresh_from_db()
    assert (order.promised_at, order.promise_risk) == (said.due_at, "on_track")


def in_queue(house, n):
    """n orders of the house that were paid before MONDAY and wait."""
    rows = make_history(n, until=MONDAY, per_day=10_000, warehouse=house, in_house=10_000)
    Journey.objects.filter(pk__in=[row.pk for row in rows]).update(is_queued=True)


@pytest.mark.parametrize("n_before", [10, 40])
def test_a_queue_four_times_as_long_promises_later_and_never_earlier(n_before):
    house = make_warehouse()
    make_history(400, warehouse=house)
    rebuild(MONDAY)
    in_queue(house, n_before)
    order = make_open_order(warehouse=house, placed_at=MONDAY)
    short = estimated(order)

    in_queue(house, 3 * n_before)
    long = estimated(order)

    assert (short.inputs["queue"], long.inputs["queue"]) == (n_before, 4 * n_before)
    assert long.due_at > short.due_at
    assert long.window_from > short.window_from
    assert next(one for one in long.reasons if one["code"] == "queue")["days"] > 1


def test_a_closed_day_lies_between_the_order_and_its_date():
    house = make_warehouse()
    make_history(400, warehouse=house, until=MONDAY)
    rebuild(MONDAY)
    friday = MONDAY + 4 * DAY + timedelta(hours=9)

    on_monday = estimated(make_open_order(warehouse=house), at=MONDAY)
    on_friday = estimated(make_open_order(warehouse=house, placed_at=friday), at=friday)

    assert not [one for one in on_monday.reasons if one["code"] == "closed_days"]
    assert [one["days"] for one in on_friday.reasons if one["code"] == "closed_days"] == [2]
    assert (on_friday.window_from - friday.date()).days > (on_monday.window_from - MONDAY.date()).days


def test_what_is_ready_before_a_pick_up_of_the_house_leaves_with_it():
    house, other = make_warehouse(), make_warehouse()
    for one in (house, other):
        make_history(200, warehouse=one, per_day=20)
    rebuild(MONDAY)
    WarehousePickup.objects.create(warehouse=house, at=time(11))
    WarehousePickup.objects.create(warehouse=other, at=time(10, 5))

    early, late = (estimated(make_open_order(warehouse=one)) for one in (house, other))

    # 10:00 in Shanghai: the lorry of 11:00 takes it, the one of 10:05 is missed.
    assert early.inputs["leaves_at"] == "2026-06-01T11:00:00+08:00"
    assert late.inputs["leaves_at"] == "2026-06-02T10:05:00+08:00"


def test_before_the_waybill_the_usual_carrier_of_the_route_is_taken():
    house = make_warehouse()
    make_history(100, per_day=5, warehouse=house, carrier="快递甲", city="", province="")
    make_history(40, per_day=5, warehouse=house, carrier="快递乙", city="", province="")
    rebuild(MONDAY)

    said = estimated(make_order(warehouse=house))

    # No place is known of the order, so its carrier has to say it.
    assert said.level == "carrier"
    assert 80 <= said.n <= 100


def test_an_order_that_outlives_all_that_was_seen_keeps_its_words_and_is_at_risk():
    make_history(400, warehouse=None, in_house=1, on_the_way=(20, 30, 40))
    rebuild(MONDAY)
    order = make_open_order()
    first = estimated(order)

    said = estimated(order, at=MONDAY + 12 * DAY)

    assert (said.window_from, said.window_to, said.due_at) == (
        first.window_from,
        first.window_to,
        first.due_at,
    )
    assert (said.no_date, said.p_late, said.risk, said.is_first) == ("", 1000, "at_risk", False)


def test_what_is_stuck_held_or_short_stands_in_nobodys_way():
    house = make_warehouse()
    orders = [make_order(warehouse=house) for _ in range(4)]
    Order.objects.filter(pk=orders[0].pk).update(is_held=True)
    Order.objects.filter(pk=orders[1].pk).update(is_short=True)
    Order.objects.filter(pk=orders[2].pk).update(stalls_at=MONDAY - DAY)

    found = journeys.note(journeys.orders_of([order.pk for order in orders]), MONDAY)

    assert [found[order.pk].is_queued for order in orders] == [False, False, False, True]


def test_a_house_that_finishes_nothing_says_nothing_by_its_queue_but_by_what_orders_took():
    make_history(200, warehouse=None)
    rebuild(MONDAY)

    said = estimated(make_open_order(warehouse=make_warehouse()))

    assert said.inputs["basis"] == "door"
    assert said.due_at is not None


def test_once_handed_over_the_estimate_goes_by_the_way_alone():
    house = make_warehouse()
    make_history(400, warehouse=house)
    rebuild(MONDAY)
    in_queue(house, 30)
    order = make_open_order(warehouse=house)
    in_house = estimated(order)

    order = told(order, "parcel.handed_over", 5, parcel="SF1", role="wms")
    Order.objects.filter(pk=order.pk).update(contact=contact())
    on_the_way = estimated(order, at=after(5))

    assert on_the_way.inputs["basis"] == "way"
    assert on_the_way.due_at < in_house.due_at
    assert list(order.estimates.values_list("is_current", flat=True)) == [True, False]


def test_the_longer_an_order_is_out_the_higher_its_risk_and_at_risk_comes_before_the_miss():
    house = make_warehouse()
    make_history(600, warehouse=house, on_the_way=(20, 40, 60, 80, 100, 120))
    rebuild(MONDAY)
    order = make_open_order(warehouse=house)
    order = told(order, "date.confirmed", 1, data={"date": "2026-06-06"}, role="person")
    order = told(order, "parcel.handed_over", 5, parcel="SF1", role="wms")
    Order.objects.filter(pk=order.pk).update(contact=contact())

    risks, chances = [], []
    for day in range(6):
        said = estimated(order, at=after(6 + 24 * day))
        risks.append(said.risk)
        chances.append(said.p_late)

    assert chances == sorted(chances)
    assert (risks[0], risks[5]) == ("on_track", "at_risk")
    assert after(6 + 24 * 5) < said.promised_at
    assert Order.objects.get(pk=order.pk).promise_risk == "at_risk"


def test_the_confirmed_date_is_the_promise_and_it_ends_at_midnight_of_the_destination():
    order = make_open_order(fields={"country": "BR"})

    order = told(order, "date.confirmed", 1, data={"date": "2026-06-20"}, role="person")
    said = estimated(order, at=after(1))

    assert said.zone == "America/Sao_Paulo"
    assert said.promised_at.isoformat() == "2026-06-21T02:59:59+00:00"
    # Nothing is known of the odds, so nothing is said of them.
    assert (said.due_at, said.p_late, said.risk) == (None, None, "")


def test_a_date_beyond_the_cap_is_left_to_a_person():
    house = make_warehouse()
    make_history(400, warehouse=house)
    rebuild(MONDAY)
    order = make_open_order(warehouse=house)
    PromiseRule.objects.create(shop=order.shop, cap_days=2)

    said = estimated(order)

    assert (said.no_date, said.due_at, said.window_from, said.reasons) == ("beyond_cap", None, None, [])
    estimated(order, at=after(1))
    asked = Todo.objects.filter(order=order, subject="far_date")
    assert list(asked.values_list("owner", "done_at")) == [("sales", None)]

    PromiseRule.objects.update(cap_days=60)
    assert estimated(order, at=after(2)).due_at is not None
    assert list(asked.values_list("done_at", "outcome")) == [(after(2), "dated")]


def test_what_is_left_to_a_person_is_settled_by_the_date_the_person_confirms():
    house = make_warehouse()
    make_history(400, warehouse=house)
    rebuild(MONDAY)
    order = make_open_order(warehouse=house)
    PromiseRule.objects.create(shop=order.shop, cap_days=2)
    estimated(order)

    Order.objects.filter(pk=order.pk).update(confirmed_on=date(2026, 6, 30))
    estimated(order, at=after(1))

    assert not Todo.objects.filter(order=order, subject="far_date", done_at=None).exists()


def test_a_rule_that_is_off_says_nothing():
    order = make_open_order()
    PromiseRule.objects.create(shop=order.shop, is_on=False)

    assert estimated(order) is None


def test_a_planned_surge_widens_the_promise_in_advance():
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    plain = estimated(make_open_order())
    PlannedSurge.objects.create(name="618", first=date(2026, 5, 25), last=date(2026, 6, 1), factor=3)

    widened = estimated(make_open_order())

    assert widened.due_at > plain.due_at
    assert widened.window_to - widened.window_from > plain.window_to - plain.window_from
    assert "planned_surge" in [one["code"] for one in widened.reasons]


def test_what_would_be_said_again_is_not_said_again():
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()
    first = estimated(order)

    again = estimated(order, at=after(1))

    assert again == first
    assert order.estimates.count() == 1
    assert OrderEvent.objects.filter(order=order, kind="promise").count() == 2


def test_demo_orders_teach_nothing_of_real_ones():
    make_history(400, is_demo=True)

    assert rebuild(MONDAY) is None
    assert rebuild(MONDAY, is_demo=True).n_learned == 400
    assert estimated(make_open_order()).no_date == "not_enough_history"


def arrived(order, hours):
    order = told(order, "parcel.handed_over", hours - 1, parcel="SF1", role="wms")
    return told(order, "parcel.delivered", hours, parcel="SF1", role="carrier")


@pytest.mark.parametrize(("hours", "outcome"), [(24, "kept"), (24 * 30, "missed")])
def test_an_estimate_is_scored_when_the_order_arrives(hours, outcome):
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()
    estimated(order)

    said = estimated(arrived(order, hours), at=after(hours))

    assert (said.outcome, said.outcome_at, said.delivered_at) == (outcome, after(hours), after(hours))
    assert said.check_at is None
    order.refresh_from_db()
    assert (order.promised_at, order.promise_risk) == (None, "")


def test_an_estimate_is_scored_when_its_date_passes_and_a_late_report_corrects_it():
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()
    said = estimated(order)
    assert scoring.score_passed(said.due_at) == 0

    assert scoring.score_passed(said.due_at + timedelta(seconds=1)) == 1

    said.refresh_from_db()
    assert (said.outcome, said.delivered_at) == ("missed", None)
    # The carrier says a week later that it had come in time.
    assert estimated(arrived(order, 30), at=after(24 * 14)).outcome == "kept"


def test_an_order_that_arrived_without_ever_having_had_a_date_is_not_looked_at_again():
    order = make_open_order()
    assert estimated(order).check_at is not None

    said = estimated(arrived(order, 24), at=after(24))

    assert (said.no_date, said.outcome, said.check_at) == ("not_enough_history", "", None)


def test_a_cancelled_order_is_neither_kept_nor_missed():
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()
    estimated(order)

    order = told(order, "cancel.accepted", 2)
    said = estimated(order, at=after(2))

    assert said.outcome == "void"
    assert Order.objects.get(pk=order.pk).promised_at is None
    assert Journey.objects.get(pk=order.pk).is_struck


def test_the_reaction_says_it_when_the_order_comes_in_and_not_twice():
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()
    events = list(OrderEvent.objects.filter(order=order))

    reaction.observe(events)
    reaction.observe(events)

    assert Estimate.objects.filter(order=order).count() == 1
    assert current(order).made_at == MONDAY


def test_the_reaction_leaves_alone_what_it_records_itself():
    order = make_open_order()
    event = OrderEvent.objects.filter(order=order).latest("pk")
    event.kind = OrderEvent.Kind.PROMISE

    reaction.observe([event])

    assert current(order) is None


def test_a_batch_costs_as_many_queries_as_one_order(django_assert_max_num_queries):
    house = make_warehouse()
    make_history(400, warehouse=house)
    rebuild(MONDAY)
    orders = [make_open_order(warehouse=house) for _ in range(12)]
    making.estimate(journeys.orders_of([orders[0].pk]), at=MONDAY)
    rows = journeys.orders_of([order.pk for order in orders[1:]])

    with django_assert_max_num_queries(24):
        making.estimate(rows, at=MONDAY)

    assert Estimate.objects.count() == 12


def test_what_is_set_is_asked_for_in_one_statement_and_used_as_soon_as_it_changes(
    django_assert_max_num_queries,
):
    house = make_warehouse()
    make_history(400, warehouse=house)
    rebuild(MONDAY)
    order = make_open_order(warehouse=house)
    rule = PromiseRule.objects.create(shop=order.shop, service_level=900)
    before = estimated(order)
    rows = journeys.orders_of([order.pk])

    with django_assert_max_num_queries(12) as asked:
        making.estimate(rows, at=after(1))
    about_settings = [one["sql"] for one in asked.captured_queries if "promises_promiserule" in one["sql"]]
    assert len(about_settings) == 1
    assert not any("state" in one["sql"] for one in asked.captured_queries if "estimatemodel" in one["sql"])

    # Not by the model's own way: a hand in the database is noticed too.
    PromiseRule.objects.filter(pk=rule.pk).update(service_level=980)
    later = estimated(order, at=after(2))
    assert (before.service_level, later.service_level) == (900, 980)
    assert later.due_at > before.due_at
    WarehousePickup.objects.create(warehouse=house, at=time(23, 55))
    PlannedSurge.objects.create(name="S", first=MONDAY.date(), last=MONDAY.date(), factor=20)
    surged = estimated(order, at=after(3))
    assert surged.inputs["leaves_at"] != later.inputs["leaves_at"]
    assert surged.due_at > later.due_at
    PromiseRule.objects.update(cap_days=1)
    assert estimated(order, at=after(4)).no_date == "beyond_cap"


def test_a_journey_counts_from_the_last_parcel_that_left_to_the_last_that_arrived():
    order = make_order(lines={"A": 2, "B": 1})
    for hours, parcel, lines in ((2, "SF1", [("A", 2)]), (9, "SF2", [("B", 1)])):
        order = told(order, "parcel.handed_over", hours, parcel=parcel, role="wms", lines=lines)
    for hours, parcel in ((30, "SF2"), (50, "SF1")):
        order = told(order, "parcel.delivered", hours, parcel=parcel, role="carrier")

    found = journeys.note(journeys.orders_of([order.pk]), MONDAY)[order.pk]

    assert (found.handed_at, found.delivered_at) == (after(9), after(50))
    assert found.n_items == 3


def test_orders_from_before_there_were_journeys_are_written_down_at_night():
    orders = [make_order() for _ in range(3)]

    assert journeys.fill_missing(MONDAY, is_demo=False) == 3
    assert journeys.fill_missing(MONDAY, is_demo=False) == 0
    assert set(Journey.objects.values_list("order_id", flat=True)) == {order.pk for order in orders}


def test_an_address_is_kept_by_its_places_only():
    order = make_order(shop=make_shop())
    person = Contact.objects.keep(
        {"name": "王小明", "phone": "13812345678", "street": "示例路 9 号", "district": "天河区", **GUANGZHOU}
    )
    Order.objects.filter(pk=order.pk).update(contact=person)

    found = journeys.note(journeys.orders_of([order.pk]), MONDAY)[order.pk]

    kept = " ".join(str(value) for value in Journey.objects.values_list().get(pk=order.pk))
    assert (found.county, found.city, found.province) == ("天河区", "广州市", "广东省")
    assert not any(word in kept for word in ("王小明", "13812345678", "示例路"))


def test_settling_again_does_not_touch_what_was_promised():
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()
    promised = estimated(order).promised_at

    settled(order, at=after(3))

    assert Order.objects.get(pk=order.pk).promised_at == promised


def test_the_worker_says_it_while_it_dispatches_and_the_board_shows_it(django_capture_on_commit_callbacks):
    make_history(400, warehouse=None)
    rebuild(MONDAY)
    order = make_open_order()

    with django_capture_on_commit_callbacks():
        while dispatch_waiting():
            continue

    said = current(order)
    order.refresh_from_db()
    assert (order.promised_at, order.promise_risk) == (said.promised_at, "on_track")
    assert order.estimates.count() == 1
    assert not OrderEvent.objects.filter(order=order, dispatched_at=None).exists()


def test_an_order_that_has_outlived_all_that_was_seen_has_no_odds():
    outlook = making.Outlook(
        date(2026, 6, 1), lambda days: 1.0 if days >= 5 else 0.5, 9.0, "city", 40, [], {}
    )

    assert outlook.chance(date(2026, 6, 20)) == 0.0
    assert outlook.is_outlived


@pytest.mark.parametrize("has_house", [True, False])
def test_the_orders_behind_the_odds_are_as_many_as_were_counted(has_house):
    """Also when more have come since, and some too long ago to teach anything."""
    house = make_warehouse() if has_house else None
    make_history(300, warehouse=house)
    make_history(20, warehouse=house, until=MONDAY - 730 * DAY)
    rebuild(MONDAY)
    said = estimated(make_open_order(warehouse=house))
    make_history(40, warehouse=house, until=MONDAY + DAY, per_day=1000, in_house=1, on_the_way=(2,))

    behind = {
        name: value == "True" if name.endswith("isnull") else value
        for name, value in words.behind(said).items()
    }

    assert said.inputs["basis"] == ("queue" if has_house else "door")
    assert 250 < said.n < 300
    assert Journey.objects.filter(**behind).count() == said.n
