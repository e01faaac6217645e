"""What people do on the order's page: conflicts, undo, refusals, panels, merging, splitting, and looking back."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory
from django.urls import reverse

from orders import steps
from orders.models import AuditEntry, Order, OrderEvent, OrderFact, OrderHold, OrderStep, Todo
from orders.order_page.peek import render_peek
from orders.order_page.turns import usual_of, usual_stay
from orders.stages import Stage, Step
from orders.tests.factories import (
    MONDAY,
    add_fact,
    after,
    make_customer,
    make_order,
    make_shop,
    make_warehouse,
    settled,
    told,
)
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _monday_afternoon():
    with time_machine.travel(after(5), tick=False):
        yield


def english(*roles: str, **given) -> Client:
    return in_english(staff_client(*roles, **given))


def in_english(client: Client) -> Client:
    client.cookies["django_language"] = "en"
    return client


def address(order: Order, query: str = "") -> str:
    return reverse("admin:orders_order_change", args=[order.pk]) + query


def page(client: Client, order: Order, query: str = "") -> str:
    answer = client.get(address(order, query))
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, order: Order, action: str, **given):
    values = {f"{action}-{name}": value for name, value in given.items() if name != "seen"}
    seen = {"seen": given["seen"]} if "seen" in given else {}
    return client.post(reverse("admin:orders_order_act", args=[order.pk, action]), values | seen)


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def undo_named(answer) -> str:
    return parse_qs(urlsplit(answer["Location"]).query)["undo"][0]


@pytest.fixture
def disputed() -> Order:
    """Cancelled says the shop, handed over says the warehouse."""
    order = make_order()
    told(order, "cancel.accepted", 2, source="shop-system")
    return told(order, "parcel.handed_over", 3, role="wms", source="wms-system", parcel="SF1")


def decision(order: Order, *, other: bool = True) -> str:
    one = order.conflicts[0]
    sides = (one["loser"], one["winner"]) if other else (one["winner"], one["loser"])
    return reverse("admin:orders_order_decide", args=[order.pk, *sides])


# A conflict


def test_both_sources_of_a_conflict_are_shown_with_the_rule_and_the_way_to_use_the_other(disputed):
    html = page(english("ops_manager"), disputed)

    assert "shop-system" in html
    assert "wms-system" in html
    assert "The goods had left when the cancellation was accepted." in html
    assert decision(disputed) in html
    assert re.search(r'class="order-now">.*?chip-warn.*?Sources disagree.*?order-clock', html, re.DOTALL)


def test_the_preview_says_what_would_change_and_changes_nothing(disputed):
    n_facts = OrderFact.objects.count()

    html = english("ops_manager").get(decision(disputed)).content.decode()

    assert re.search(r"stage</th><td>Shipped</td><td><strong>Cancelled</strong>", html)
    assert (OrderFact.objects.count(), fresh(disputed).stage) == (n_facts, Stage.SHIPPED)


def test_a_conflict_is_resolved_with_the_other_report_and_taken_back_from_the_page(disputed):
    client = english("ops_manager")

    answer = client.post(decision(disputed), {"reason": "the driver brought it back"})

    assert answer.status_code == 303
    assert (fresh(disputed).stage, fresh(disputed).has_conflict) == (Stage.CANCELLED, False)
    html = client.get(answer["Location"]).content.decode()
    assert "data-undo-toast" in html
    assert "the driver brought it back" in html
    back = act(client, disputed, "takeback", key=undo_named(answer), reason="wrong parcel")
    assert back.status_code == 303
    assert (fresh(disputed).stage, fresh(disputed).has_conflict) == (Stage.SHIPPED, True)
    assert list(
        AuditEntry.objects.filter(model="orders.order").order_by("pk").values_list("action", "reason")
    ) == [
        ("conflict.decided", "the driver brought it back"),
        ("undo", "wrong parcel"),
    ]


def test_a_decision_without_a_reason_is_refused_and_the_preview_stays(disputed):
    answer = english("ops_manager").post(decision(disputed), {"reason": " "})

    assert answer.status_code == 422
    assert "Say why" in answer.content.decode()
    assert fresh(disputed).has_conflict


def test_who_may_not_report_facts_is_neither_offered_nor_allowed_to_decide(disputed):
    client = english("supervisor", everything=True)

    assert decision(disputed) not in page(client, disputed)
    for answer in (client.get(decision(disputed)), client.post(decision(disputed), {"reason": "x"})):
        assert answer.status_code == 403
        assert "Can report a fact by hand" in answer.content.decode()
    assert fresh(disputed).has_conflict


def test_a_decision_on_a_page_that_is_out_of_date_is_refused_with_what_is_new(disputed):
    client = english("ops_manager")
    seen = OrderEvent.objects.filter(order=disputed).latest("pk").pk
    told(disputed, "parcel.in_transit", 4, role="carrier", parcel="SF1")
    disputed = fresh(disputed)

    answer = client.post(decision(disputed), {"reason": "x", "seen": seen})

    assert answer.status_code == 409
    assert "The order has changed since you opened this page" in answer.content.decode()
    assert fresh(disputed).has_conflict


def test_a_conflict_that_is_over_leads_back_to_the_page(disputed):
    client = english("ops_manager")
    url = decision(disputed)
    client.post(url, {"reason": "x"})

    answer = client.get(url, follow=True)

    assert "do not disagree any more" in answer.content.decode()


# Doing and undoing


def test_a_step_is_offered_with_its_undo_and_undone_with_one_press():
    order = make_order()
    client = english("sales", everything=True)

    done = act(client, order, "date", date="2026-06-05")

    html = client.get(done["Location"]).content.decode()
    assert (fresh(order).stage, undo_named(done)) == (Stage.AWAITING_STOCK, "step:date")
    hidden = dict(re.findall(r'name="(undo-\w+)" value="([^"]+)"', html))
    back = client.post(reverse("admin:orders_order_act", args=[order.pk, "undo"]), hidden)
    assert back.status_code == 303
    assert fresh(order).stage == Stage.AWAITING_DATE
    assert AuditEntry.objects.get(action="step.undo").reason == "Taken back at once"


def test_after_ten_minutes_the_page_offers_the_counter_action_instead_of_the_undo():
    order = make_order()
    seller = make_staff("sales", everything=True)
    steps.confirm_date(order.pk, actor=seller, date=after(90).date(), at=after(5))
    client = in_english(log_in(Client(), seller))
    assert "act/undo/" in page(client, order)

    with time_machine.travel(after(5) + timedelta(minutes=11), tick=False):
        html = page(client, order)

    assert ("act/undo/" in html, "act/counter/" in html, "revoke the date" in html) == (False, True, True)


def test_a_supervisor_may_still_undo_later():
    order = make_order()
    seller = make_staff("sales", everything=True)
    steps.confirm_date(order.pk, actor=seller, date=after(90).date(), at=after(5))
    client = english("supervisor", everything=True)

    with time_machine.travel(after(6), tick=False):
        assert "act/undo/" in page(client, order)
        assert act(client, order, "undo", step="date", reason="asked by sales").status_code == 303

    assert fresh(order).stage == Stage.AWAITING_DATE


def test_a_hold_is_set_and_taken_back_at_once():
    order = make_order()
    client = english("sales", everything=True)

    done = act(client, order, "hold", name="address", reason="street missing")
    is_held = OrderHold.objects.filter(order=order).exists()
    act(client, order, "takeback", key=undo_named(done), reason="found it")

    assert (is_held, OrderHold.objects.filter(order=order).exists()) == (True, False)


def test_an_undo_that_is_not_mine_to_have_is_not_offered():
    order = make_order()
    done = act(english("sales", everything=True), order, "note", text="call back")

    html = page(english("service", everything=True), order, f"?undo={undo_named(done)}")

    assert "call back" in html
    assert "data-undo-toast" not in html


def test_a_step_on_a_page_that_is_out_of_date_is_refused_and_what_was_typed_is_kept():
    order = make_order()
    seen = OrderEvent.objects.filter(order=order).latest("pk").pk
    told(order, "cancel.requested", 1)
    client = english("sales", everything=True)

    answer = act(client, order, "date", date="2026-06-05", seen=seen)

    html = answer.content.decode()
    assert answer.status_code == 409
    assert "The order has changed since you opened this page" in html
    assert not OrderFact.objects.filter(kind="date.confirmed").exists()


def test_a_refused_form_comes_back_with_what_was_typed_and_why():
    order = make_order()
    client = english("sales", everything=True)

    answer = act(client, order, "date", date="2026-05-01")

    html = answer.content.decode()
    assert answer.status_code == 422
    assert "2026-05-01 is over. Choose today or a later day." in html
    assert 'value="2026-05-01"' in html
    assert fresh(order).stage == Stage.AWAITING_DATE


def test_a_script_that_wants_json_is_answered_in_json():
    order = make_order()
    client = english("sales", everything=True)
    url = reverse("admin:orders_order_act", args=[order.pk, "note"])

    good = client.post(url, {"note-text": "hello"}, headers={"Accept": "application/json"})
    bad = client.post(url, {"note-text": ""}, headers={"Accept": "application/json"})

    assert (good.status_code, good.json()["done"]) == (200, True)
    assert (bad.status_code, bad.json()["done"]) == (422, False)
    assert OrderFact.objects.filter(kind="note.added").count() == 1


def test_a_todo_is_closed_on_the_page_of_its_own_order_only():
    order, other = make_order(), make_order()
    todo = Todo.objects.create(order=order, kind="request", text="call", owner="sales", opened_at=MONDAY)
    client = english("sales", everything=True)

    wrong = act(client, other, "todo", todo=todo.pk, outcome="called")
    still_open = Todo.objects.filter(done_at=None, pk=todo.pk).exists()
    right = act(client, order, "todo", todo=todo.pk, outcome="called")

    assert (wrong.status_code, still_open, right.status_code) == (422, True, 303)
    assert Todo.objects.get(pk=todo.pk).outcome == "called"


def test_an_action_that_does_not_exist_does_nothing():
    order = make_order()

    answer = act(english("ops_manager"), order, "explode")

    assert answer.status_code == 404
    assert not AuditEntry.objects.filter(model="orders.order").exists()


@pytest.mark.parametrize("name", ["act", "live", "merge", "split", "history", "change", "decide"])
def test_none_of_the_pages_shows_an_order_outside_the_scope(name):
    order = make_order()
    client = english("ops_manager", "sales", "supervisor")
    stranger = english("sales")
    more = {"act": ["note"], "decide": [1, 2]}.get(name, [])
    url = reverse(f"admin:orders_order_{name}", args=[order.pk, *more])

    answer = stranger.post(url) if name == "act" else stranger.get(url)

    assert answer.status_code == 404
    assert order.number not in answer.content.decode()
    assert client.get(address(order)).status_code == 200


def test_steps_of_other_roles_are_named_with_the_role_and_not_offered():
    html = page(english("warehouse", everything=True), make_order())

    assert "“Confirm the date” waits for: Sales." in html
    assert "act/date/" not in html


# What the page says


def test_the_status_says_whose_turn_it_is_since_when_and_that_there_is_no_promise():
    html = page(english("sales", everything=True), make_order())

    assert "Waiting on: Sales" in re.sub(r"\s+", " ", html)
    assert "for 5 h 00 min" in html
    assert "No promise yet" in html
    assert "median of orders like it: not enough (n = 0)" in html


def test_a_promise_is_counted_down():
    order = make_order()
    Order.objects.filter(pk=order.pk).update(promised_at=after(11.5))

    html = page(english("sales", everything=True), order)

    assert "6 h 30 min left" in html
    assert "No promise yet" not in html


def test_the_usual_stay_is_that_of_orders_of_the_same_warehouse():
    shop = make_shop(warehouse=make_warehouse("north"))
    for hours in range(1, 12):
        told(make_order(shop=shop), "date.confirmed", hours, role="person", data={"date": "2026-06-09"})
    told(make_order(shop=make_shop()), "date.confirmed", 4, role="person", data={"date": "2026-06-09"})

    usual = usual_stay(make_order(shop=shop))

    assert (usual.n, usual.lasting) == (11, timedelta(hours=6))
    assert usual_of([timedelta(hours=1)] * 9).lasting is None


def test_every_field_with_several_sources_shows_who_said_what_and_what_is_believed():
    order = make_order(fields={"total": "100.00", "currency": "CNY"})
    add_fact(order, "order.changed", occurred_at=after(1), role="erp", data={"fields": {"total": "90.00"}})
    order = settled(order, at=after(1))

    html = page(english("ops_manager"), order)

    total = html[html.index("<dt>Total</dt>") :].split("</dd>")[0]
    assert "90.00 CNY" in total
    assert re.findall(r"<td>(\d+\.00) ?<?", total) == ["90.00", "100.00"]
    assert total.count("believed") == 1


def test_the_timeline_is_filtered_by_links_and_counts_what_each_shows():
    order = make_order()
    act(english("sales", everything=True), order, "note", text="spoke to them")
    told(order, "cancel.requested", 1)
    client = english("ops_manager")

    people, customer = page(client, order, "?who=person"), page(client, order, "?who=customer")

    assert (people.count("data-fact="), customer.count("data-fact=")) == (1, 1)
    assert "spoke to them" in people
    assert 'who=rule#timeline">Rules <span class="num">0</span>' in people
    assert "Nothing of this kind was said." in page(client, order, "?who=rule")


def test_older_entries_are_reached_by_a_link_and_by_the_number_of_a_fact():
    order = make_order()
    for hour in range(40):
        add_fact(order, "note.added", occurred_at=after(hour / 100), data={"text": f"note {hour}."})
    order = settled(order)
    client = english("ops_manager")
    oldest = OrderFact.objects.get(kind="order.placed")

    first = page(client, order)
    earlier = client.get(re.search(r'href="([^"]+at=\d+#timeline)"', first)[1].replace("&amp;", "&"))
    pointed = page(client, order, f"?at={oldest.pk}")

    assert ("note 39." in first, "note 5." in first, first.count("data-fact=")) == (True, False, 30)
    assert "note 5." in earlier.content.decode()
    assert f'id="fact-{oldest.pk}"' in pointed


def test_the_original_message_is_linked_for_those_who_may_see_messages():
    order = make_order()
    fact = OrderFact.objects.get(kind="order.placed")
    OrderFact.objects.bulk_create(
        [
            OrderFact(
                reference=fact.reference, source="shop-1", role="shop", key="m", kind="note.added",
                occurred_at=after(1), received_at=after(1), message=77,
            )
        ]
    )  # fmt: skip
    link = reverse("admin:integrations_inboundmessage_change", args=[77])

    shown = [link in page(english(role, everything=True), order) for role in ("ops_manager", "sales")]

    assert shown == [True, False]


def test_the_page_is_chinese_by_default_and_english_when_asked():
    order = make_order()
    client = staff_client("sales", everything=True)

    chinese = page(client, order)
    english_page = page(in_english(client), order)

    assert 'lang="zh-hans"' in chinese
    assert "Timeline" in english_page


# Panels


def good_panel(order, request):
    return {"key": "good", "title": "Promise", "template": "orders/calendar_next_days.html", "column": "main"}


def no_panel(order, request):
    return None


def failing_panel(order, request):
    raise ImproperlyConfigured("no log origin")


def test_panels_of_other_rooms_are_shown_and_one_that_fails_takes_nothing_down(settings, caplog):
    settings.ORDER_PANELS = [f"{__name__}.{name}" for name in ("good_panel", "failing_panel", "no_panel")]
    order = make_order()

    html = page(english("ops_manager"), order)

    assert re.findall(r'data-panel="([^"]+)"', html) == ["good", f"{__name__}.failing_panel"]
    assert "This panel could not be made." in html
    assert "no log origin" not in html
    assert "no log origin" in caplog.text


# The list it came from


def test_next_and_previous_follow_the_board_that_the_person_came_from():
    first, second, third = (make_order(placed_at=after(hour / 10)) for hour in range(3))
    client = english("sales", everything=True)

    html = page(client, second, "?list=stage%3Dawaiting_date")

    around = {
        name: re.search(rf'data-around="{name}" href="([^"]+)"', html)[1] for name in ("previous", "next")
    }
    assert around["previous"].startswith(address(first) + "?list=")
    assert around["next"].startswith(address(third) + "?list=")
    assert "data-around" not in page(client, second)
    assert 'data-around="next"' not in page(client, third, "?list=stage%3Dawaiting_date")


def test_an_action_leads_back_to_the_same_list():
    order = make_order()
    url = reverse("admin:orders_order_act", args=[order.pk, "note"])

    answer = english("sales", everything=True).post(url, {"note-text": "x", "list": "stage=awaiting_date"})

    assert parse_qs(urlsplit(answer["Location"]).query)["list"] == ["stage=awaiting_date"]


# Live


def test_what_is_new_comes_as_fragments():
    order = make_order()
    client = english("sales", everything=True)
    url = reverse("admin:orders_order_live", args=[order.pk])
    before = client.get(url).json()
    told(order, "cancel.requested", 1)

    news = client.get(url).json()

    assert news["seen"] > before["seen"]
    assert news["newest"] == OrderFact.objects.get(kind="cancel.requested").pk
    assert set(news["fragments"]) == {"status", "steps", "conflicts", "next", "fields", "timeline"}
    assert str(Stage.CANCELLING.label) in news["fragments"]["status"]


# Peek


def test_the_peek_says_where_why_and_what_came_last(disputed, django_assert_max_num_queries):
    request = RequestFactory().get("/admin/board/peek/1/")
    request.user = make_staff("ops_manager")
    request.session = {}
    render_peek(disputed, request)

    with django_assert_max_num_queries(9):
        html = render_peek(disputed, request)

    assert disputed.number in html
    assert f'href="{address(disputed)}#conflicts"' in html
    assert html.count("data-fact=") == 4
    assert len(html.encode()) < 12_000


def test_the_board_shows_the_peek_with_and_without_scripts(disputed):
    client = english("ops_manager")
    url = reverse("admin:board_peek", args=[disputed.pk])

    whole = client.get(url).content.decode()
    fragment = client.get(url, headers={"X-Fragment": "1"}).content.decode()

    assert ("<html" in whole, "<html" in fragment) == (True, False)
    assert ("data-close" in whole, "data-close" in fragment) == (False, True)
    assert f'data-peek-of="{disputed.pk}"' in whole


def test_a_page_with_everything_on_it_stays_within_its_queries(disputed, django_assert_max_num_queries):
    add_fact(disputed, "order.changed", occurred_at=after(3), role="erp", data={"fields": {"total": "9"}})
    settled(disputed, at=after(3))
    client = english("ops_manager", "sales", "supervisor", may=("orders.reveal_contact",))
    act(client, disputed, "hold", name="address", reason="street missing")
    Todo.objects.create(order=disputed, kind="request", text="call", owner="sales", opened_at=MONDAY)
    page(client, disputed)

    with django_assert_max_num_queries(25):
        page(client, disputed, "?list=stage%3Dshipped")


@pytest.mark.parametrize(
    "state", ["loading", "empty_first", "empty_filtered", "error", "stale", "no_permission"]
)
def test_each_state_of_the_timeline_can_be_looked_at_in_tests(settings, state):
    settings.SHOW_STATES = True
    order = make_order()

    html = page(english("ops_manager"), order, f"?_state={state}")

    assert f'data-state="{state}"' in html
    settings.SHOW_STATES = False
    assert f'data-state="{state}"' not in page(english("ops_manager"), order, f"?_state={state}")


# Merging


@pytest.fixture
def pair() -> tuple[Order, Order]:
    shop = make_shop("parts", warehouse=make_warehouse("north"))
    make_customer("key-7")
    given = {"customer": "key-7", "currency": "CNY"}
    first = make_order(shop=shop, lines={"PAD": 2}, fields=given)
    return first, make_order(shop=shop, lines={"OIL": 3}, placed_at=after(0.1), fields=given)


def test_orders_are_merged_after_a_look_at_what_becomes_of_them(pair):
    first, second = pair
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_merge", args=[second.pk])

    offered = client.get(url).content.decode()
    preview = client.get(url, {"order": first.pk}).content.decode()
    n_open = Order.objects.filter(is_open=True).count()
    answer = client.post(url, {"order": first.pk, "reason": "one parcel"})

    assert f'value="{first.pk}"' in offered
    assert f"{first.number} stays, with these articles:" in preview
    assert (n_open, Order.objects.filter(is_open=True).count()) == (2, 1)
    assert answer["Location"] == address(first)
    assert AuditEntry.objects.get(action="merge").reason == "one parcel"
    assert f"Merged into {first.number}." in page(client, second)


def test_a_merge_is_found_by_typed_numbers_and_refused_in_words(pair):
    first, second = pair
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_merge", args=[second.pk])
    told(first, "waybill.made", 1, role="carrier", parcel="SF9")

    unknown = client.get(url, {"with": "OH000000-NOPES"}).content.decode()
    refused = client.post(url, {"with": first.number, "reason": "one parcel"})

    assert "No order you may see has this number: OH000000-NOPES." in unknown
    assert "has a waybill, or its goods are being picked" in refused.content.decode()
    assert Order.objects.filter(is_open=True).count() == 2


def test_a_merge_of_orders_that_changed_meanwhile_is_refused(pair):
    first, second = pair
    seen = OrderEvent.objects.latest("pk").pk
    told(first, "cancel.requested", 1)
    url = reverse("admin:orders_order_merge", args=[second.pk])

    answer = english("supervisor", everything=True).post(
        url, {"order": first.pk, "reason": "one parcel", "seen": seen}
    )

    assert answer.status_code == 409
    assert Order.objects.filter(is_open=True).count() == 2


def test_only_those_who_may_join_orders_are_offered_it_and_let_in(pair):
    first, second = pair
    client = english("sales", everything=True)

    html = page(client, second)

    for name in ("merge", "split"):
        url = reverse(f"admin:orders_order_{name}", args=[second.pk])
        assert url not in html
        answer = client.post(url, {"order": first.pk, "reason": "x"})
        assert answer.status_code == 403
        assert "Can merge and split orders" in answer.content.decode()
    assert Order.objects.filter(is_open=True).count() == 2


# Splitting


def test_an_order_is_split_after_a_look_and_its_total_counts_once():
    order = make_order(lines={"PAD": 5, "OIL": 3}, fields={"total": "80.00", "currency": "CNY"})
    client = english("supervisor", everything=True)
    url = reverse("admin:orders_order_split", args=[order.pk])
    pad = order.lines.get(sku="PAD").pk

    preview = client.get(url, {f"qty-{pad}": "2"}).content.decode()
    n_before = Order.objects.count()
    answer = client.post(url, {f"qty-{pad}": "2", "reason": "half is here"})

    assert re.findall(r"<li>(\w+ × [\d.]+)</li>", preview) == ["PAD × 3.000", "OIL × 3.000", "PAD × 2"]
    assert (n_before, Order.objects.count(), answer.status_code) == (1, 2, 303)
    new = Order.objects.exclude(pk=order.pk).get()
    assert f"count it here only, not with {new.number}" in page(client, order)
    assert f"counted with {order.number}" in page(client, new)


@pytest.mark.parametrize(
    ("typed", "words"),
    [("x", "“x” is not a quantity of PAD"), ("9", "cannot be taken out"), ("-1", "is not a quantity")],
)
def test_a_split_that_makes_no_sense_is_refused_with_what_was_typed(typed, words):
    order = make_order(lines={"PAD": 5})
    pad = order.lines.get().pk
    url = reverse("admin:orders_order_split", args=[order.pk])

    html = english("supervisor", everything=True).get(url, {f"qty-{pad}": typed}).content.decode()

    assert words in html
    assert f'value="{typed}"' in html
    assert Order.objects.count() == 1


# Looking back


def test_the_history_is_our_own_journal_and_audit():
    order = make_order()
    act(english("sales", everything=True), order, "date", date="2026-06-05")
    url = reverse("admin:orders_order_history", args=[order.pk])

    manager = english("ops_manager").get(url).content.decode()
    seller = english("sales", everything=True).get(url).content.decode()

    assert str(Stage.AWAITING_STOCK.label) in manager
    assert "step.date" in manager
    assert "step.date" not in seller
    assert 'data-state="no_permission"' in seller
    assert OrderStep.objects.get(order=order, step=Step.DATE).state == "done"
