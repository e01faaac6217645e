from __future__ import annotations

import random

import pytest
import time_machine
from django.http import QueryDict

from orders.board.counting import numbers, page
from orders.board.filters import Looking
from orders.board.ordering import SORTS
from orders.board.query import read
from orders.models import Order
from orders.tests.factories import MONDAY, after, make_order, make_shop
from orders.tests.staff import make_staff, staff_client

pytestmark = pytest.mark.django_db
BOARD = "/admin/board/"


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def put(order, **columns):
    """The order with these board columns, whoever owns them."""
    Order.objects.filter(pk=order.pk).update(**columns)
    return Order.objects.get(pk=order.pk)


def walk(query, looking, size=3):
    """Every page from the first to the last, and back again."""
    there, back, mark = [], [], {"after": "", "before": ""}
    found_numbers = numbers(query, looking, {})
    found = None
    for _page in range(500):
        found = page(query, looking, found_numbers, size=size, load=None, **mark)
        there.append([order.pk for order in found.rows])
        if not found.after:
            break
        mark = {"after": found.after, "before": ""}
    while found.before:
        found = page(query, looking, found_numbers, size=size, load=None, after="", before=found.before)
        back.append([order.pk for order in found.rows])
    return there, back


def test_the_board_lists_open_orders_by_promise_then_step_then_patience():
    shop = make_shop()
    patient, stepped, promised, late = (make_order(shop=shop) for _n in range(4))
    put(patient, promised_at=None, step_due_at=None, stalls_at=after(1))
    put(stepped, promised_at=None, step_due_at=after(50), stalls_at=after(0.5))
    put(promised, promised_at=after(90))
    put(late, promised_at=after(-5))

    answer = staff_client("ops_manager").get(BOARD)

    shown = [row.order.pk for row in answer.context["rows"]]
    assert shown == [late.pk, promised.pk, stepped.pk, patient.pk]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_paging_meets_every_order_once_whatever_is_missing_or_equal(sort, seed):
    shop, draw = make_shop(), random.Random(seed)
    moments = [None, None, after(1), after(1), after(2)]
    for _n in range(23):
        put(
            make_order(shop=shop),
            promised_at=draw.choice(moments),
            step_due_at=draw.choice(moments),
            stalls_at=draw.choice(moments),
            last_fact_at=draw.choice(moments),
        )
    looking = Looking(make_staff("ops_manager"), MONDAY)

    there, back = walk(read(QueryDict(f"sort={sort}")), looking)

    seen = [pk for rows in there for pk in rows]
    assert len(seen) == 23
    assert set(seen) == set(Order.objects.values_list("pk", flat=True))
    assert [pk for rows in reversed(back) for pk in rows] == seen[: len(seen) - len(there[-1])]


def test_the_page_names_rows_by_their_marks_and_goes_on_where_it_stopped():
    shop = make_shop()
    for n in range(60):
        put(make_order(shop=shop), promised_at=after(n))
    client = staff_client("ops_manager")

    first = client.get(BOARD)
    second = client.get(first.context["after"])

    assert len(first.context["rows"]) == 50
    assert len(second.context["rows"]) == 10
    assert not second.context["after"]
    assert [row.order.pk for row in client.get(second.context["before"]).context["rows"]] == [
        row.order.pk for row in first.context["rows"]
    ]


def test_two_people_see_the_orders_of_their_own_scope_only():
    mine, other = make_shop("mine"), make_shop("other")
    seen, unseen = make_order(shop=mine), make_order(shop=other)
    client = staff_client("sales", shops=(mine,))

    answer = client.get(BOARD + "?x=1")

    assert [row.order for row in answer.context["rows"]] == [seen]
    assert answer.context["total"].n == 1
    assert client.get(f"{BOARD}peek/{unseen.pk}/").status_code == 404
    assert client.get(f"{BOARD}rows/?x=1&ids={seen.pk},{unseen.pk}").json()["gone"] == [unseen.pk]
    assert staff_client("sales").get(BOARD + "?x=1").context["rows"] == []


def test_a_person_without_the_permission_is_told_which_one_and_who_has_it():
    answer = staff_client(everything=True).get(BOARD)

    assert answer.status_code == 403
