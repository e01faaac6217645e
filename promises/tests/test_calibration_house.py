"""The house's own stated odds, judged by what came; and a better reading of them, put in force by a person."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
import time_machine

from orders.audit import AuditEntry
from orders.models import Order
from orders.tests.factories import MONDAY, make_order, make_shop
from orders.tests.staff import make_staff, staff_client
from promises import recalibration
from promises.calibration_figures import Judged, Proposal, Reading, isotonic
from promises.calibration_house import read
from promises.estimates import journeys, learned, making
from promises.estimates.models import Estimate
from promises.estimates.rebuilding import rebuild
from promises.recalibration import Changed, Recalibration, in_force, put_in_force, take_out_of_force
from promises.tests.factories_commitments import make_promise
from promises.tests.factories_estimates import make_estimate, make_history

pytestmark = pytest.mark.django_db
PAGE = "/admin/promises/calibration/"
ROWS = f"{PAGE}rows/"
BEGIN, END = f"{PAGE}begin/", f"{PAGE}end/"
DAY = timedelta(days=1)
TO = {"origin": "HZ", "city": "绍兴市", "province": "浙江省", "carrier": "sf"}
FRIDAY = date(2026, 6, 5)
HALF = Reading(((0.0, 0.0), (0.9, 0.5), (1.0, 1.0)))


@pytest.fixture(autouse=True)
def _three_weeks_later():
    learned.forget()
    with time_machine.travel(MONDAY + 21 * DAY, tick=False):
        yield


@pytest.fixture
def manager():
    client = staff_client("ops_manager", everything=True)
    client.cookies["django_language"] = "en"
    return client


def make_judged(order=None, *, kept=True, since=MONDAY, **given):
    """An order promised within four days that came on the third, or on the seventh."""
    came = since + (3 if kept else 7) * DAY
    given = {"due_on": (since + 4 * DAY).date(), "made_at": since, **given}
    values = {"outcome": "kept" if kept else "missed", "outcome_at": came, "delivered_at": came, "inputs": TO}
    return make_estimate(order or make_order(), **{**values, **given})


def make_many(n, *stated, since=MONDAY):
    """n judged orders, their probes stated at these odds per mille in turn; of every ten, so many came by its day."""
    shop = make_shop()
    orders = Order.objects.bulk_create(
        Order(
            number=f"OHC-{number}",
            shop=shop,
            external_id=f"C{number}",
            created_at=since,
            placed_at=since,
            stage_since=since,
            stage="completed",
            is_open=False,
        )
        for number in range(n)
    )
    for number, order in enumerate(orders):
        odds, came = stated[number % len(stated)]
        by = since + (4 if number // len(stated) % 10 < came else 1) * DAY
        probe = {"by": by.date().isoformat(), "odds": odds}
        make_judged(order, since=since, inputs={**TO, "probe": probe})


def test_an_order_counts_once_its_latest_date_has_passed_and_not_before():
    make_judged()
    # Came in time, but other orders promised for that day may still miss it.
    make_judged(due_on=date(2026, 7, 3))
    make_judged(is_first=False)
    make_judged(outcome="void")
    make_judged(due_on=date(2026, 1, 5), made_at=MONDAY - 160 * DAY, outcome_at=MONDAY - 150 * DAY)
    user = make_staff("viewer", everything=True)

    rows = read(user, MONDAY - 90 * DAY, MONDAY + 21 * DAY)

    assert [(row.lane, row.due_on, row.odds, row.is_kept, row.days) for row in rows] == [
        ("HZ → 绍兴市", FRIDAY, 0.952, True, 4)
    ]


def test_every_number_of_the_page_counts_the_orders_it_opens(manager):
    for number in range(12):
        make_judged(
            kept=number % 3 > 0, inputs={**TO, "probe": {"by": "2026-06-04", "odds": 50 + 80 * number}}
        )
    make_judged(inputs={"province": "广东省", "carrier": "zto"})

    page = manager.get(f"{PAGE}?of=house")

    assert (page.context["all"]["raw_of"], page.context["all"]["adjusted_of"]) == ("9/13", "9/13")
    shown = [*page.context["bins"], *(row for group in page.context["groups"] for row in group["rows"])]
    for one in (one for one in shown if one["n"]):
        behind = manager.get(f"{ROWS}?{one['query']}")
        kept = manager.get(f"{ROWS}?{one['query']}&came=kept")
        assert behind.context["page"].paginator.count == one["n"]
        assert f"{kept.context['page'].paginator.count}/{one['n']}" == one["raw_of"]
    # The order without a probe is in no bin.
    assert sum(one["n"] for one in page.context["bins"]) == 12


def test_a_probe_counts_by_its_own_day():
    thursday = make_judged(inputs={**TO, "probe": {"by": "2026-06-04", "odds": 750}})
    before = make_judged(inputs={**TO, "probe": {"by": "2026-06-03", "odds": 350}})
    ahead = make_judged(inputs={**TO, "probe": {"by": "2026-06-30", "odds": 990}})
    lost = make_judged(
        kept=False, delivered_at=None, inputs={**TO, "probe": {"by": "2026-06-06", "odds": 960}}
    )

    rows = {
        row.order_id: row for row in read(make_staff("viewer", everything=True), MONDAY, MONDAY + 21 * DAY)
    }

    assert rows[thursday.order_id].probe == Judged(0.75, is_kept=True)
    assert rows[before.order_id].probe == Judged(0.35, is_kept=False)
    assert rows[ahead.order_id].probe is None
    assert rows[lost.order_id].probe == Judged(0.96, is_kept=False)


def test_what_the_customer_had_moved_is_left_out_of_the_adjusted_rate_only(manager):
    make_judged()
    for rc in ("CUSTOMER", "STOCK"):
        first = make_promise()
        make_promise(replaces=first, rc=rc)
        make_judged(first.order, kept=False)

    page = manager.get(PAGE)

    found = page.context["all"]
    assert (found["raw_of"], found["adjusted_of"], found["n_excused"]) == ("1/3", "1/2", 1)
    assert "1 order was moved by its customer." in page.content.decode()
    behind = manager.get(f"{ROWS}?of=house&days=90").content.decode()
    assert behind.count("moved by the customer") == 1


def test_people_judge_by_the_orders_they_see():
    shop = make_shop()
    mine = make_judged(make_order(shop=shop))
    other = make_judged(make_order())
    client = staff_client("sales", shops=(shop,))
    client.cookies["django_language"] = "en"

    page = client.get(f"{PAGE}?of=house")
    behind = client.get(f"{ROWS}?of=house").content.decode()

    assert page.context["all"]["n"] == 1
    assert (mine.order.number in behind, other.order.number in behind) == (True, False)
    assert page.context["proposal"] is None


def test_demo_orders_are_never_counted_with_real_ones(manager):
    make_judged(make_order(is_demo=True))

    assert manager.get(PAGE).context["source"].name == "demo"
    make_judged(kept=False)
    page = manager.get(PAGE)

    assert (page.context["source"].name, page.context["all"]["raw_of"]) == ("house", "0/1")


@pytest.mark.parametrize(
    "query", ["", "of=house&days=7", "of=shoe", "of=house&by=shoe", "of=house&by=lane&is=nowhere", "of=run-x"]
)
def test_what_there_is_not_is_answered_with_404(manager, query):
    make_judged()

    assert manager.get(f"{ROWS}?{query}").status_code == 404


def test_the_page_asks_the_same_for_many_orders(manager, django_assert_max_num_queries):
    make_judged()
    with django_assert_max_num_queries(25) as few:
        manager.get(PAGE)
    make_many(60, (850, 8))

    with django_assert_max_num_queries(len(few.captured_queries)):
        assert manager.get(PAGE).context["all"]["n"] == 61


# A better reading.


def propose_one(client):
    """Odds stated as 90 % of which half came true, and as 30 % of which a tenth did."""
    make_many(500, (900, 5), (300, 1))
    return client.get(PAGE).context


def test_a_reading_is_proposed_and_put_in_force_by_a_person_only(manager):
    context = propose_one(manager)
    assert context["proposal"].after < context["proposal"].before
    assert in_force() is None

    refused = manager.post(BEGIN, {"of": "house", "seen": "something else"}, follow=True)
    assert "The proposal has changed since you saw it." in refused.content.decode()
    assert in_force() is None
    manager.post(BEGIN, {"of": "house", "seen": context["seen"]})

    force = in_force()
    assert 0.48 < force.reading(0.9) < 0.52
    assert (force.reading(0), force.reading(1)) == (0, 1)
    assert force.made_by.username in manager.get(PAGE).content.decode()
    assert AuditEntry.objects.get(action="recalibration.begin").after["n"] == 500
    # What was judged before says nothing about the new reading.
    assert manager.get(PAGE).context["proposal"] is None
    manager.post(END, {"of": "house", "seen": force.pk})
    assert in_force() is None
    assert AuditEntry.objects.filter(action="recalibration.end").count() == 1


def test_who_may_not_recalibrate_sees_the_proposal_and_no_button(manager):
    seen = propose_one(manager)["seen"]
    viewer = staff_client("viewer", everything=True)
    scoped = staff_client(may=("promises.view_estimate", "promises.recalibrate"), shops=(make_shop(),))

    page = viewer.get(PAGE)
    answers = [client.post(BEGIN, {"of": "house", "seen": seen}).status_code for client in (viewer, scoped)]

    assert page.context["proposal"] is not None
    assert not re.search(r'action="[^"]*begin/"', page.content.decode())
    assert answers == [403, 403]
    assert viewer.post(END, {"seen": "1"}).status_code == 403
    assert not Recalibration.objects.exists()


def test_good_odds_are_left_alone(manager):
    make_many(500, (900, 9), (300, 3))

    assert manager.get(PAGE).context["proposal"] is None


def make_force(reading=HALF, *, is_demo=False):
    proposal = Proposal(reading, 500, 0.2, 0.1)
    user = make_staff("ops_manager")
    seen = recalibration.fingerprint(proposal)
    return put_in_force(proposal, seen=seen, by=user, at=MONDAY, is_demo=is_demo)


def test_estimates_state_what_the_reading_says_and_name_it():
    make_history(400)
    model = rebuild(MONDAY)
    before = estimated()
    force = make_force()

    after_it = estimated()

    assert after_it.model_version == f"{model.version}.r{force.pk}"
    # Half are there by the day by which nine of ten were thought to be.
    assert after_it.window_from == before.window_to > before.window_from
    assert after_it.due_at >= before.due_at
    assert after_it.odds >= 950
    make_force(is_demo=True)
    take_out_of_force(seen=force.pk, by=force.made_by, at=MONDAY)
    assert (estimated().window_from, estimated().model_version) == (before.window_from, model.version)


def estimated():
    order = make_order()
    making.estimate(journeys.orders_of([order.pk]), at=MONDAY)
    return Estimate.objects.get(order=order)


def test_a_first_estimate_keeps_a_day_at_one_of_ten_odds_to_be_judged_by():
    make_history(400)
    rebuild(MONDAY)

    probes = {one.order_id % 10: one.inputs["probe"] for one in (estimated() for _number in range(10))}

    # A day is the first at which the odds are reached.
    assert all(probe["odds"] >= 100 * turn + 50 for turn, probe in probes.items())
    assert probes[0]["by"] < probes[9]["by"]


def test_of_two_who_change_the_reading_at_once_the_second_is_told():
    force = make_force()
    take_out_of_force(seen=force.pk, by=force.made_by, at=MONDAY)

    with pytest.raises(Changed):
        take_out_of_force(seen=force.pk, by=force.made_by, at=MONDAY)
    assert Recalibration.objects.get().ended_by == force.made_by


def test_a_reading_upon_a_reading_reads_both_and_never_falls():
    first = make_force().reading
    second = make_force(isotonic([Judged(0.5, is_kept=number % 4 == 0) for number in range(400)])).reading

    assert second(0.9) == pytest.approx(0.25, abs=0.02)
    steps = [second(number / 100) for number in range(101)]
    assert steps == sorted(steps)
    assert (steps[0], steps[100]) == (0, 1)
    assert first(0.9) == 0.5
    assert Recalibration.objects.filter(ended_at__isnull=True).count() == 1
