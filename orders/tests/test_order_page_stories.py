"""What the order's page says: status, fields, timeline, panels, peek, and looking back."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.urls import reverse

from orders.models import Order, OrderFact, OrderStep, Todo
from orders.order_page.peek import render_peek
from orders.order_page.turns import usual_of, usual_stay
from orders.stages import Stage, Step
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
from orders.tests.order_pages import act, address, english, in_english, page
from orders.tests.staff import make_staff, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("monday_afternoon")]


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
    assert re.findall(r'<td><span translate="no">(\d+\.00)<', total) == ["90.00", "100.00"]
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


def test_what_is_new_comes_as_fragments(settings):
    settings.ORDER_PANELS = [f"{__name__}.good_panel"]
    order = make_order()
    client = english("sales", everything=True)
    url = reverse("admin:orders_order_live", args=[order.pk])
    before = client.get(url).json()
    told(order, "cancel.requested", 1)

    news = client.get(url).json()

    assert news["seen"] > before["seen"]
    assert news["newest"] == OrderFact.objects.get(kind="cancel.requested").pk
    main = {"status", "steps", "conflicts", "next", "fields", "timeline"}
    side = {"todos", "holds", "write", "articles", "parcels", "names", "journal"}
    assert set(news["fragments"]) == {*main, *side, "panel:good"}
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


def test_a_page_with_everything_on_it_stays_within_its_queries(
    disputed, django_assert_max_num_queries, settings
):
    # What the panels of other rooms ask is theirs to bound.
    settings.ORDER_PANELS = []
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
