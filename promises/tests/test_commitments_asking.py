"""Who asks for commitments without being asked, and how the worker answers."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine

from orders import steps
from orders.board.written import write_promise
from orders.models import Order, OrderEvent, Todo
from orders.stages import RiskLevel
from orders.tasks import dispatch_events
from orders.tests.factories import MONDAY, after, make_customer, make_order, make_shop, told
from orders.tests.staff import make_staff
from orders.transitions import Cause
from promises.commitments import asking, discipline
from promises.commitments.models import CommitmentRule, IssueRequest, Promise, Reason
from promises.commitments.payload import end_of
from promises.commitments.refusals import NotIssued
from promises.ledger.models import SellerProfile
from promises.tests.factories_commitments import FRIDAY, make_promise, make_promised_order
from promises.tests.factories_estimates import make_estimate
from promises.tests.factories_ledger import make_seller

pytestmark = pytest.mark.django_db
State = IssueRequest.State
MONDAY_AFTER = date(2026, 6, 8)


@pytest.fixture(autouse=True)
def monday():
    with time_machine.travel(after(1), tick=False) as traveller:
        yield traveller


def confirmed(order):
    """The date confirmed by a person, as on the page, and everybody told."""
    steps.confirm_date(order.pk, actor=make_staff("sales", everything=True), date=FRIDAY, at=after(1))
    dispatch_events()
    return order


def asked() -> list[tuple]:
    return list(IssueRequest.objects.order_by("pk").values_list("order", "state", "is_automatic"))


def test_a_confirmed_date_asks_for_a_commitment_once():
    order = confirmed(make_order())
    asking.observe(OrderEvent.objects.order_by("pk"))

    assert asked() == [(order.pk, State.ASKED, False)]


def test_what_is_rejudged_silently_and_test_orders_ask_for_nothing():
    order = make_order(fields={"test": True})
    confirmed(order)
    other = make_order()
    told(other, "date.confirmed", 1, role="person", data={"date": FRIDAY.isoformat()})
    events = list(OrderEvent.objects.filter(order=other))
    for event in events:
        event.silent = True
    asking.observe(events)

    assert asked() == []


def test_a_shop_that_issues_on_request_is_asked_for_nothing_whatever_the_house_does():
    make_seller(issue_on="date_confirmed")
    on_request, usual = make_shop(), make_shop()
    CommitmentRule.objects.create(shop=on_request, issue_on="request")
    confirmed(make_order(shop=on_request))
    order = confirmed(make_order(shop=usual))

    assert asked() == [(order.pk, State.ASKED, False)]


def test_a_house_that_issues_on_request_has_shops_that_do_it_at_once():
    make_seller(issue_on="request")
    at_once = make_shop()
    CommitmentRule.objects.create(shop=at_once, issue_on="date_confirmed")
    confirmed(make_order())
    order = confirmed(make_order(shop=at_once))

    assert asked() == [(order.pk, State.ASKED, False)]


def test_nothing_is_answered_before_somebody_says_who_promises():
    confirmed(make_order())

    asking.work()

    request = IssueRequest.objects.get()
    assert (request.state, request.attempts) == (State.ASKED, 0)


def test_a_refusal_is_kept_in_words_and_stores_no_promise():
    make_seller()
    order = confirmed(make_order())

    asking.work()

    request = IssueRequest.objects.get()
    assert (request.order, request.state, request.code) == (order, State.REFUSED, "no_place")
    assert not Promise.objects.exists()


def test_one_request_of_an_order_is_open_and_what_only_waits_gives_way():
    order = make_promised_order()
    first = asking.ask(order, by=None, at=MONDAY)
    with pytest.raises(NotIssued, match="asked for already"):
        asking.ask(order, by=None, at=MONDAY)

    IssueRequest.objects.update(code="too_soon")
    second = asking.ask(order, by=None, at=after(1), day=FRIDAY)

    assert [(one.pk, one.state) for one in IssueRequest.objects.order_by("pk")] == [
        (first.pk, State.REFUSED),
        (second.pk, State.ASKED),
    ]


def test_a_request_of_an_older_version_is_refused():
    first = make_promise()
    asking.ask(first.order, by=None, at=MONDAY, day=MONDAY_AFTER, rc="STOCK", asked_by="seller")
    make_promise(replaces=first)

    asking.work()

    assert IssueRequest.objects.get().code == "changed"
    assert Promise.objects.count() == 2


def test_an_end_has_the_promise_judged_by_the_worker(monday):
    promise = make_promise()
    told(promise.order, "parcel.delivered", 1, parcel="SF1", role="carrier")
    dispatch_events()
    assert Promise.objects.get().judge_at is not None
    monday.move_to(after(2))

    asking.work()

    assert Promise.objects.get().state == Promise.State.KEPT


# The hub itself moves a date.


def endangered(promise: Promise, *, window_from: date) -> None:
    """The estimate says now that half of such orders come on that day, and the board is told of the danger."""
    make_estimate(
        promise.order, window_from=window_from, window_to=window_from + timedelta(days=1), due_on=window_from
    )
    asking.observe(
        write_promise(promise.order_id, risk=RiskLevel.AT_RISK.value, cause=Cause(source="hub"), at=after(1))
    )


def test_a_date_whose_middle_has_left_the_window_is_asked_to_be_moved():
    promise = make_promise()
    endangered(promise, window_from=MONDAY_AFTER)

    request = IssueRequest.objects.get()
    assert (request.is_automatic, request.rc, request.asked_by) == (True, Reason.SELLER, "seller")
    assert request.of_version == 1


def test_a_date_in_danger_whose_middle_is_still_inside_stays():
    endangered(make_promise(), window_from=FRIDAY)

    assert asked() == []


def checked(promise: Promise, window_from: date, at) -> str:
    estimate = make_estimate(promise.order, window_from=window_from, is_current=False)
    try:
        discipline.check(promise, estimate, at=at)
    except NotIssued as refused:
        return refused.code
    return "may"


def test_the_hub_moves_a_date_once_in_24_hours_and_only_beyond_the_window():
    first = make_promise()
    assert checked(first, FRIDAY, after(1)) == "inside_window"
    assert checked(first, MONDAY_AFTER, after(1)) == "may"

    moved = make_promise(
        replaces=first, is_automatic=True, at=after(1), due=end_of(MONDAY_AFTER, "Asia/Shanghai")
    )
    later = date(2026, 6, 12)
    assert checked(moved, later, after(24.9)) == "too_soon"
    assert checked(moved, later, after(25)) == "may"


def test_the_first_commitment_and_a_persons_version_do_not_count_as_moves_of_the_hub():
    first = make_promise(is_automatic=True, at=after(0.5))
    moved = make_promise(replaces=first, at=after(0.9), due=end_of(MONDAY_AFTER, "Asia/Shanghai"))

    assert checked(moved, date(2026, 6, 12), after(1)) == "may"


def test_above_a_value_or_a_number_of_stars_a_person_moves_the_date():
    promise = make_promise()
    rule = CommitmentRule.objects.create(shop=promise.order.shop, person_from_total=1000, person_from_stars=4)
    order = promise.order
    assert not discipline.wants_person(order)

    order.total = 1000
    assert discipline.wants_person(order)
    order.total, order.customer = 999, make_customer(stars=4)
    assert discipline.wants_person(order)
    rule.person_from_stars = 5
    rule.save()
    assert checked(promise, MONDAY_AFTER, after(1)) == "may"


def test_the_hub_moves_an_endangered_date_to_the_estimates_own_day():
    promise = make_promise()
    endangered(promise, window_from=MONDAY_AFTER)

    asking.work()

    moved = Promise.objects.get(state=Promise.State.ACTIVE)
    assert (moved.version, moved.is_automatic, moved.due) == (2, True, end_of(MONDAY_AFTER, "Asia/Shanghai"))
    assert (moved.pending.body["by"], moved.pending.body["rc"]) == ("seller", "SELLER")
    assert IssueRequest.objects.get().state == State.ISSUED


def test_where_a_person_decides_sales_has_one_todo():
    promise = make_promise()
    CommitmentRule.objects.create(shop=promise.order.shop, person_from_stars=1)
    promise.order.customer = make_customer(stars=5)
    promise.order.save(update_fields=["customer"])
    for _time in range(2):
        endangered(promise, window_from=MONDAY_AFTER)
        asking.work()
        promise.order.estimates.all().delete()
        Order.objects.update(promise_risk="")

    assert IssueRequest.objects.count() == 2
    assert set(IssueRequest.objects.values_list("code", flat=True)) == {"needs_person"}
    todos = Todo.objects.filter(kind="request", subject="move_date")
    assert list(todos.values_list("owner", "done_at")) == [("sales", None)]


def test_without_the_key_a_request_waits_and_says_which_file_is_missing(settings):
    make_promise()
    order = make_promised_order()
    for file in settings.LEDGER_KEY_DIR.glob("*token*.key"):
        file.unlink()
    asking.ask(order, by=None, at=MONDAY)

    asking.work()

    request = IssueRequest.objects.get()
    assert (request.state, request.code) == (State.ASKED, "no_key")
    assert "token" in request.words["what"]


def test_the_worker_takes_up_what_a_dead_one_had_claimed_and_gives_up_after_five_tries(monday):
    make_seller()
    confirmed(make_order())
    IssueRequest.objects.update(attempts=1, not_before=after(1) + asking.LEASE)
    asking.work()
    assert IssueRequest.objects.get().attempts == 1

    monday.move_to(after(1.1))
    asking.work()
    assert IssueRequest.objects.get().attempts == 2


def test_the_sweep_asks_for_the_worker_when_something_waits(monday, django_capture_on_commit_callbacks):
    from orders.models import WorkSignal

    SellerProfile.objects.all().delete()
    make_seller()
    with django_capture_on_commit_callbacks(execute=True):
        asking.sweep()
    assert not WorkSignal.objects.filter(name="commitments", wanted_at__isnull=False).exists()

    confirmed(make_order())
    with django_capture_on_commit_callbacks(execute=True):
        asking.sweep()
    assert WorkSignal.objects.filter(name="commitments", wanted_at__isnull=False).exists()
