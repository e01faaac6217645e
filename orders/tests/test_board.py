from __future__ import annotations

import random
import re
from html import unescape

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.http import QueryDict
from django.utils.html import escape

from orders.access import ROLES
from orders.board.counting import numbers, page
from orders.board.filters import Looking
from orders.board.ordering import SORTS
from orders.board.query import read
from orders.board.views import house_views
from orders.models import Contact, Order, OrderFact, Shop
from orders.people import granted, scopes_kept
from orders.precedence import DEFAULT_RULES, add_version, forget_versions
from orders.stages import Step
from orders.states import STATES
from orders.tests.factories import MONDAY, after, make_customer, make_order, make_shop, make_warehouse
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


def test_the_peek_shows_what_sources_said_to_those_who_may_read_it_only():
    order = make_order()
    client = staff_client("viewer", everything=True)
    with_facts = client.get(f"{BOARD}peek/{order.pk}/").content.decode()
    Permission.objects.get(codename="view_orderfact").group_set.clear()

    without = client.get(f"{BOARD}peek/{order.pk}/").content.decode()

    fact = OrderFact.objects.latest("pk")
    assert f'id="fact-{fact.pk}"' in with_facts
    assert f'id="fact-{fact.pk}"' not in without
    assert order.number in without


def test_a_filter_by_a_place_outside_the_scope_does_not_tell_its_name():
    mine, other = make_shop("mine", name="Own shop"), make_shop("other", name="Hidden shop")
    client = staff_client("sales", shops=(mine,))

    answer = client.get(f"{BOARD}?shop={mine.pk}&shop={other.pk}")

    assert "Own shop" in answer.content.decode()
    assert "Hidden shop" not in answer.content.decode()
    assert f"#{other.pk}" in answer.content.decode()


def test_a_person_without_the_permission_is_told_which_one_and_who_has_it():
    answer = staff_client(everything=True).get(BOARD)

    assert answer.status_code == 403


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("address", ["?x=1", "?x=1&layout=kanban", "?q=7788&how=substring"])
def test_every_state_of_the_list_can_be_looked_at_where_that_is_allowed(settings, state, address):
    order = make_order(external_id="TB-778899")
    client = staff_client("ops_manager")
    settings.SHOW_STATES = True

    shown = client.get(f"{BOARD}{address}&_state={state}").content.decode()

    assert f'data-state="{state}"' in shown
    # What is stale stays readable; in every other state there is nothing to read.
    assert (order.number in shown) is (state == "stale")
    settings.SHOW_STATES = False
    assert f'data-state="{state}"' not in client.get(f"{BOARD}{address}&_state={state}").content.decode()


def test_a_board_that_may_not_be_seen_names_the_permission_and_who_has_it(settings):
    settings.SHOW_STATES = True

    answer = staff_client("ops_manager").get(f"{BOARD}?x=1&_state=no_permission")

    roles = [str(role) for role in answer.context["see_roles"]]
    assert str(ROLES["ops_manager"].label) in roles
    assert all(escape(role) in answer.content.decode() for role in roles)


FILTERED = {
    "need=todo": {"next_step": "date"},
    "need=risk": {"promised_at": after(1)},
    "need=late": {"step_due_at": after(-1)},
    "need=exception": {"has_conflict": True},
    "need=nobody": {"assignee": None},
    "stage=picking": {"stage": "picking"},
    "stage=picking&stage=customs": {"stage": "customs"},
    "step=waybill": {"next_step": "waybill"},
    "turn=customs": {"stage": "customs"},
    "updated=w1": {"last_fact_at": after(-0.5)},
    "updated=o24": {"last_fact_at": None},
    "conflict=1": {"has_conflict": True},
    "held=1": {"is_held": True},
    "short=1": {"is_short": True},
    "unknown=1": {"n_unknown": 2},
    "stuck=1": {"stalled_at": after(-1)},
    "rush=1": {"is_rush": True},
    "aside=1": {"set_aside": "a -> b"},
    "state=closed": {"is_open": False, "stage": "completed"},
}
# What an order is that none of the filters wants.
PLAIN = {
    "stage": "in_transit", "next_step": "", "promised_at": None, "step_due_at": None, "stalls_at": None,
    "last_fact_at": after(-3),
}  # fmt: skip


@pytest.mark.parametrize(("query", "columns"), FILTERED.items())
def test_a_filter_lists_what_it_says_and_counts_what_it_lists(query, columns):
    shop, looking = make_shop(), Looking(make_staff("ops_manager"), MONDAY)
    other = make_staff("sales")
    for _n in range(4):
        put(make_order(shop=shop), **{**PLAIN, "assignee": other, **columns})
    for _n in range(3):
        put(make_order(shop=shop), **PLAIN, assignee=other)

    there, _back = walk(read(QueryDict(query)), looking)

    seen = [pk for rows in there for pk in rows]
    assert len(seen) == len(set(seen)) == 4
    assert numbers(read(QueryDict(query)), looking, {}).total.n == 4


def test_filters_by_shop_warehouse_and_stars_read_the_rows_that_staff_made():
    shop, house, customer = make_shop(), make_warehouse(), make_customer(stars=4)
    wanted = put(make_order(shop=shop), warehouse=house, customer=customer)
    make_order(shop=make_shop())
    looking = Looking(make_staff("ops_manager"), MONDAY)

    for query in (f"shop={shop.pk}", f"warehouse={house.pk}", "stars=4", f"shop={shop.pk}&stars=3"):
        assert [order.pk for order in read(QueryDict(query)).orders(looking)] == [wanted.pk]
    assert not read(QueryDict("stars=5")).orders(looking)


def test_what_means_nothing_in_an_address_is_left_out_and_named():
    query = read(QueryDict("stage=nowhere&stage=picking&sort=price&shop=x'--&state=open"))

    assert query.filters == {"stage": ["picking"], "state": ["open"]}
    assert query.refused == (("shop", "x'--"), ("stage", "nowhere"))
    assert query.sort.code == "due"


def test_a_page_mark_that_nobody_wrote_leads_to_the_first_page():
    make_order()

    answer = staff_client("ops_manager").get(BOARD + "?x=1&after=bm9uc2Vuc2U")

    assert answer.status_code == 302
    assert answer["Location"] == BOARD + "?x=1"


def test_the_default_view_never_hides_an_order_that_is_late():
    late = put(make_order(), **{**PLAIN, "promised_at": after(-1)})
    put(make_order(), **PLAIN)

    answer = staff_client("ops_manager").get(BOARD)

    assert [row.order.pk for row in answer.context["rows"]] == [late.pk]
    assert "已超时" in answer.content.decode() or "Late" in answer.content.decode()


def test_the_numbers_beside_the_views_are_the_lengths_of_their_lists():
    shop = make_shop()
    for columns in ({"promised_at": after(1)}, {"has_conflict": True}, {"promised_at": after(-3)}, {}):
        put(make_order(shop=shop), **{**PLAIN, **columns})
    client = staff_client("ops_manager")

    tabs = client.get(BOARD).context["tabs"]

    assert [tab["n"] for tab in tabs] == [3, 2, 1, 0, 4]
    assert [client.get(tab["url"]).context["total"].n for tab in tabs] == [3, 2, 1, 0, 4]


def test_a_list_of_closed_orders_looks_back_so_far_and_says_so():
    shop = make_shop()
    ids = [7, 8, 30_000, 60_000, *range(60_001, 60_006)]
    for pk in ids:
        put(make_order(shop=shop, id=pk), is_open=False, stage="completed")
    query, looking = read(QueryDict("state=closed")), Looking(make_staff("ops_manager"), MONDAY)

    there, back = walk(query, looking)

    assert [pk for rows in there for pk in rows] == ids[::-1]
    assert [pk for rows in reversed(back) for pk in rows] == ids[::-1][: len(ids) - len(there[-1])]
    total = numbers(query, looking, {}).total
    assert (total.n, total.is_exact) == (6, False)


SEARCHED = {"hub": "number", "shop": "external_id", "waybill": "waybill"}


@pytest.mark.parametrize("column", SEARCHED.values())
def test_a_number_of_any_kind_leads_straight_to_the_order(column):
    order = put(make_order(external_id="TB-778899"), waybill="SF1234567890")
    make_order()

    answer = staff_client("ops_manager").get(BOARD, {"q": f" {getattr(order, column)} "})

    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/orders/order/{order.pk}/change/"


def test_a_hub_number_may_be_typed_as_it_is_heard():
    order = put(make_order(), number="OH260601-0A1B1")

    answer = staff_client("ops_manager").get(BOARD, {"q": "oh260601oaibl"})

    assert answer["Location"] == f"/admin/orders/order/{order.pk}/change/"


def test_the_last_four_digits_of_a_phone_list_every_order_of_that_phone():
    contact = Contact.objects.keep({"name": "王小明", "phone": "13812345678"})
    orders = [put(make_order(), contact=contact) for _n in range(2)]

    answer = staff_client("ops_manager").get(BOARD, {"q": "5678"})

    assert [row.order for row in answer.context["rows"]] == orders[::-1]
    assert "王**" in answer.content.decode()
    assert "13812345678" not in answer.content.decode()


def test_a_part_of_a_number_is_looked_for_only_when_asked_for():
    order = make_order(external_id="TB-778899")
    client = staff_client("ops_manager")

    assert client.get(BOARD, {"q": "7788"}).context["rows"] == []
    answer = client.get(BOARD, {"q": "7788", "how": "substring"})

    assert [row.order for row in answer.context["rows"]] == [order]


def test_a_number_outside_the_scope_is_not_found():
    make_order(shop=make_shop("mine"))
    other = make_order(shop=make_shop("other"), external_id="SECRET-1")
    client = staff_client("sales", shops=(Shop.objects.get(code="mine"),))

    for term in (other.number, "SECRET-1"):
        assert client.get(BOARD, {"q": term}).context["rows"] == []
        assert client.get(BOARD, {"q": term, "how": "substring"}).context["rows"] == []


@pytest.mark.parametrize(
    "address", ["", "?x=1", "?layout=kanban&x=1", "?state=closed", "?need=late", "?q=5678", "?sort=-updated"]
)
def test_a_page_asks_the_same_few_statements_for_one_order_and_for_many(
    address, django_assert_max_num_queries
):
    house = make_warehouse()
    shop = make_shop(warehouse=house)
    clients = [staff_client("ops_manager"), staff_client("warehouse", warehouses=(house,))]
    asked = []
    for client in clients:
        client.get(BOARD)

    for n_orders in (1, 9):
        for _n in range(n_orders):
            make_order(shop=shop)
        for client in clients:
            with django_assert_max_num_queries(12) as caught:
                client.get(BOARD + address)
            asked.append(len(caught))

    assert asked[:2] == asked[2:]


@pytest.fixture
def side_by_side():
    """A house where the invoice may be issued while the date is still open."""
    rules = {**DEFAULT_RULES, "steps": [["date", "invoice"], ["stock"], ["waybill"]]}
    version = add_version(rules, note="", made_by=None, at=MONDAY)
    type(version).objects.update(applied_at=MONDAY)
    forget_versions()
    yield
    forget_versions()


def test_a_card_stands_in_one_lane_and_names_the_step_that_is_open_beside_it(side_by_side):
    both, one = make_order(), make_order()
    one.steps.filter(step="invoice").update(state="done")
    client = staff_client("ops_manager")

    answer = client.get(f"{BOARD}?x=1&layout=kanban")

    assert set(both.steps.filter(state="open").values_list("step", flat=True)) == {"date", "invoice"}
    lanes = {
        lane.step: {row.order.pk: row.also_open for row in lane.rows} for lane in answer.context["lanes"]
    }
    assert {step: set(cards) for step, cards in lanes.items() if cards} == {"date": {both.pk, one.pk}}
    assert lanes["date"] == {both.pk: (str(Step.INVOICE.label),), one.pk: ()}


SCOPED = {"sales": "shops", "warehouse": "warehouses", "ops_manager": ""}
# By somebody who sees every order: the login, the person's permissions, preference and views, the shell, the numbers,
# and the rows, which the kanban reads in two statements. Reading a scope is one statement more.
ASKED = {"?x=1": 10, "?x=1&layout=kanban": 11}


@pytest.mark.parametrize("role", SCOPED)
@pytest.mark.parametrize("address", ASKED)
def test_a_scoped_person_pays_a_fixed_number_of_statements(role, address, django_assert_num_queries):
    house = make_warehouse()
    shop = make_shop(warehouse=house)
    places = {"shops": (shop,), "warehouses": (house,)}
    scope = {SCOPED[role]: places[SCOPED[role]]} if SCOPED[role] else {}
    client = staff_client(role, **scope)
    for _n in range(7):
        make_order(shop=shop)
    make_order(shop=make_shop())
    client.get(BOARD)

    with django_assert_num_queries(ASKED[address] + bool(scope)):
        answer = client.get(BOARD + address)

    assert len(answer.context["rows"]) == (8 if role == "ops_manager" else 7)


@pytest.mark.parametrize("role", SCOPED)
def test_all_the_numbers_of_a_page_are_one_statement(role, django_assert_num_queries):
    house = make_warehouse()
    shop = make_shop(warehouse=house)
    places = {"shops": (shop,), "warehouses": (house,)}
    scope = {SCOPED[role]: places[SCOPED[role]]} if SCOPED[role] else {}
    looking = Looking(make_staff(role, **scope), MONDAY)
    for _n in range(3):
        make_order(shop=shop)
    make_order(shop=make_shop())
    views = {code: view.query for code, view in house_views().items()}

    with scopes_kept():
        granted(looking.user)
        with django_assert_num_queries(1):
            found = numbers(read(QueryDict("x=1")), looking, views, with_steps=True)

    expected = 4 if role == "ops_manager" else 3
    assert (found.total.n, found.views["all"], found.steps["date"].n) == (expected, expected, expected)


def test_rows_come_as_they_are_now_and_the_gone_ones_by_name():
    stays, leaves = make_order(), make_order()
    client = staff_client("ops_manager")
    put(leaves, is_open=False, stage="completed")

    answer = client.get(f"{BOARD}rows/?x=1&ids={stays.pk},{leaves.pk},abc,999999999999").json()

    assert answer["gone"] == [leaves.pk, 999999999999]
    assert stays.number in answer["rows"][str(stays.pk)]


def test_an_order_that_was_found_by_its_number_stays_found_when_it_is_closed():
    order = put(make_order(external_id="TB-778899"), is_open=False, stage="completed")
    unseen = make_order(shop=make_shop("other"))
    client = staff_client("sales", shops=(order.shop,))

    page = client.get(BOARD, {"q": "7788", "how": "substring"}).content.decode()
    address = unescape(re.search(r'data-rows-url="([^"]+)"', page)[1])
    answer = client.get(f"{address}&ids={order.pk},{unseen.pk}").json()

    assert list(answer["rows"]) == [str(order.pk)]
    assert answer["gone"] == [unseen.pk]
