"""The estimate on the order's page, and its settings and records in the admin."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine

from orders.audit import AuditEntry
from orders.models import Order
from orders.tests.factories import MONDAY, after, make_order, make_shop, make_warehouse
from orders.tests.staff import staff_client
from promises.estimates.models import Estimate, PlannedSurge, PromiseRule, WarehousePickup
from promises.eta.orders import end_of
from promises.tests.factories_estimates import DUE_ON, make_estimate, make_history

pytestmark = pytest.mark.django_db
RULES = "/admin/promises/promiserule/"
SURGES = "/admin/promises/plannedsurge/"
PICKUPS = "/admin/promises/warehousepickup/"
GUANGZHOU = {"city": "广州市", "province": "广东省", "queue": 38}


@pytest.fixture(autouse=True)
def _tuesday():
    with time_machine.travel(after(24), tick=False):
        yield


@pytest.fixture
def reader():
    client = staff_client("viewer", everything=True)
    client.cookies["django_language"] = "en"
    return client


def shown(client, order) -> str:
    """The panel alone, its blanks made single."""
    whole = client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    _before, found, after_it = whole.partition('data-panel="countdown"')
    return " ".join(after_it.partition("</details>\n")[0].split()) if found else ""


def test_the_panel_says_until_when_how_likely_and_from_how_many_orders(reader):
    order = make_order()
    reasons = [{"code": "queue", "days": 2.13}, {"code": "carrier", "days": -0.5}]
    make_estimate(order, odds=941, n=412, p_late=42, inputs=GUANGZHOU, reasons=reasons)

    panel = shown(reader, order)

    assert "3 d 13 h left" in panel
    assert "June 3, 2026 – June 4, 2026" in panel
    assert "odds 94.1 %" in panel
    assert 'from 412 orders delivered at this level</a>: City <span translate="no">广州市</span>' in panel
    assert "odds to be in time 95.8 %" in panel
    assert 'Orders ahead in the warehouse <span class="muted" translate="no">(38)</span>' in panel
    assert panel.index("2.1 days later") < panel.index("0.5 days earlier")


def test_a_promise_of_another_zone_names_its_own_day_there_not_the_estimates(reader):
    order = make_order()
    promised_at = end_of(DUE_ON, ZoneInfo("America/Santiago"))
    make_estimate(order, due_on=DUE_ON + timedelta(days=14), zone="America/Santiago", promised_at=promised_at)

    panel = shown(reader, order)

    assert "Promised by</span> <strong><time" in panel
    assert "To the end of June 5, 2026 at the destination (America/Santiago)." in panel
    assert "June 19, 2026</strong> · odds" in panel


def test_without_enough_history_there_is_a_reason_and_no_date(reader):
    order = make_order()
    make_estimate(order, due_on=None)

    panel = shown(reader, order)

    assert "Not enough history: 3 orders." in panel
    assert "30 delivered orders" in panel
    assert "Promised by" not in panel
    assert "odds" not in panel


def test_an_order_nothing_was_said_of_shows_no_invented_date(reader):
    order = make_order()
    silent = shown(reader, order)
    PromiseRule.objects.create(shop=order.shop, is_on=False)

    assert "Nothing has been estimated for this order yet" in silent
    assert "Estimates are switched off for this shop" in shown(reader, order)


def test_the_risk_stands_with_the_moment_since_when_it_has_been_there(reader):
    order = make_order()
    for hours, risk in ((0, "on_track"), (2, "at_risk"), (3, "watch"), (5, "at_risk"), (7, "at_risk")):
        make_estimate(
            order,
            made_at=after(hours),
            risk=risk,
            is_current=hours == 7,
            due_on=DUE_ON + timedelta(days=hours),
            promised_at=after(100),
            p_late=400,
        )

    panel = shown(reader, order)

    assert "At risk</span>" in panel
    assert 'title="2026-06-01 15:00:00 Asia/Shanghai"' in panel.partition("since")[2][:120]
    assert "4 earlier estimates" in panel
    assert "The promise stands as it was given; the estimate has moved since." in panel
    assert "latest June 10, 2026" in panel


def test_the_planned_surge_that_moved_the_date_is_named(reader):
    order = make_order()
    PlannedSurge.objects.create(name="双11", first=date(2026, 6, 1), last=date(2026, 6, 2), factor=4)
    PlannedSurge.objects.create(name="Long past", first=date(2025, 1, 1), last=date(2025, 1, 2), factor=4)
    make_estimate(order, reasons=[{"code": "planned_surge", "days": 3}])

    panel = shown(reader, order)

    assert "双11" in panel
    assert "Long past" not in panel


def test_a_missed_promise_is_said_plainly_and_counts_down_no_more(reader):
    order = make_order()
    make_estimate(order, outcome="missed", outcome_at=after(20), delivered_at=after(20), risk="at_risk")

    panel = shown(reader, order)

    assert "Missed</span>" in panel
    assert "countdown-left" not in panel
    assert "At risk</span>" not in panel


def test_a_promise_that_has_passed_is_late_and_no_longer_at_risk(reader):
    order = make_order()
    make_estimate(order, promised_at=after(20), p_late=1000, risk="at_risk")

    panel = shown(reader, order)

    assert "Late</span>" in panel
    assert 'class="countdown num over"' in panel
    assert "odds to be in time" not in panel
    assert "At risk</span>" not in panel


def test_the_board_is_narrowed_to_the_levels_of_risk(reader):
    found = {level: make_order() for level in ("on_track", "watch", "at_risk", "")}
    for level, order in found.items():
        Order.objects.filter(pk=order.pk).update(promise_risk=level, promised_at=after(200))

    board = reader.get("/admin/board/?risk=watch&risk=at_risk").content.decode()

    assert {level for level, order in found.items() if order.number in board} == {"watch", "at_risk"}


def test_who_may_not_see_estimates_does_not_see_the_panel():
    order = make_order()
    make_estimate(order)
    client = staff_client(may=("orders.view_order",), everything=True)

    assert shown(client, order) == ""


def test_the_panel_asks_the_same_for_many_earlier_estimates(reader, django_assert_max_num_queries):
    order = make_order()
    for number in range(40):
        make_estimate(
            order, is_current=number == 39, made_at=after(number / 10), due_on=DUE_ON + timedelta(days=number)
        )

    with django_assert_max_num_queries(60) as few:
        panel = shown(reader, order)

    assert "12 earlier estimates" in panel
    assert "Older ones are in the list of estimates." in panel
    assert sum("promises_estimate" in query["sql"] for query in few.captured_queries) <= 2


# Settings.


def test_a_manager_sets_a_shops_service_level_in_per_cent_and_it_is_in_the_audit():
    manager = staff_client("ops_manager", everything=True)
    shop = make_shop()

    manager.post(f"{RULES}add/", {"shop": shop.pk, "is_on": "on", "level": "92.5", "cap_days": "30"})

    rule = PromiseRule.objects.get()
    assert (rule.shop, rule.service_level, rule.cap_days) == (shop, 925, 30)
    assert AuditEntry.objects.get(model="promises.promiserule", action="create").after["service_level"] == 925
    page = manager.get(f"{RULES}{rule.pk}/change/").content.decode()
    assert 'value="92.5"' in page


def test_a_changed_setting_has_the_open_orders_it_concerns_looked_at_again():
    order, other = make_order(), make_order(shop=make_shop("other"))
    for one in (order, other):
        make_estimate(one, check_at=after(40))
    manager = staff_client("ops_manager", everything=True)
    manager.cookies["django_language"] = "en"
    looks = Estimate.objects.order_by("order_id").values_list("check_at", flat=True)

    given = {"shop": order.shop.pk, "is_on": "on", "level": "92.5", "cap_days": "30"}
    page = manager.post(f"{RULES}add/", given, follow=True).content.decode()

    assert list(looks.all()) == [after(24), after(40)]
    assert "1 open order is estimated anew in the next minutes" in page
    manager.post(f"{SURGES}add/", {"name": "S", "first": "2026-06-18", "last": "2026-06-18", "factor": "2"})
    assert list(looks.all()) == [after(24), after(24)]


def test_the_number_behind_the_odds_opens_the_orders_it_counted(reader):
    (inside,), (elsewhere,) = (make_history(1, city=city, per_day=0.1) for city in ("广州市", "深圳市"))
    order = make_order()
    night = {"learned_at": MONDAY.isoformat(), "basis": "way"}
    make_estimate(order, n=1, level="city", inputs={"province": "广东省", "city": "广州市", **night})

    link = shown(reader, order).split("/admin/promises/journey/?")[1].split('"')[0].replace("&amp;", "&")
    listed = reader.get(f"/admin/promises/journey/?{link}").content.decode()

    assert inside.order.number in listed
    assert elsewhere.order.number not in listed
    assert order.number not in listed


def test_a_level_nobody_can_keep_and_a_second_rule_for_all_are_refused_with_the_reason():
    manager = staff_client("ops_manager", everything=True)
    manager.cookies["django_language"] = "en"
    PromiseRule.objects.create()
    given = {"shop": "", "is_on": "on", "cap_days": "30"}

    high = manager.post(f"{RULES}add/", {**given, "level": "99.9"}).content.decode()
    second = manager.post(f"{RULES}add/", {**given, "level": "95"}).content.decode()

    assert "less than or equal to 99" in high
    assert "There is a rule for all other shops already." in second
    assert PromiseRule.objects.count() == 1


def test_a_surge_says_what_it_adds_and_may_not_end_before_it_begins():
    manager = staff_client("ops_manager", everything=True)
    manager.cookies["django_language"] = "en"
    given = {"name": "双11", "first": "2026-11-09", "last": "2026-11-12", "factor": "3"}

    refused = manager.post(f"{SURGES}add/", {**given, "last": "2026-11-01"}).content.decode()
    assert "The surge ends before it begins." in refused
    assert not PlannedSurge.objects.exists()
    manager.post(f"{SURGES}add/", given)

    # 3.5 days piled up at 3 - 1.15 days of work a day, worked off at 1.15 a day.
    assert "5.6 days, to orders of Nov. 12, 2026" in manager.get(SURGES).content.decode()


def test_pick_ups_of_a_warehouse_are_set_by_a_manager_and_only_read_by_others():
    house = make_warehouse()
    given = {"warehouse": house.pk, "at": "16:00"}

    assert staff_client("viewer", everything=True).post(f"{PICKUPS}add/", given).status_code == 403
    assert not WarehousePickup.objects.exists()
    staff_client("ops_manager", everything=True).post(f"{PICKUPS}add/", given)

    assert str(WarehousePickup.objects.get()).endswith("16:00")
    assert staff_client("viewer", everything=True).get(PICKUPS).status_code == 200


def test_estimates_are_listed_in_scope_and_can_be_changed_by_nobody(django_assert_max_num_queries):
    shop = make_shop()
    mine, other = make_estimate(make_order(shop=shop)), make_estimate(make_order())
    client = staff_client("sales", shops=(shop,))

    found = client.get("/admin/promises/estimate/").content.decode()

    assert (mine.order.number in found, other.order.number in found) == (True, False)
    assert client.get(f"/admin/promises/estimate/{other.pk}/change/").status_code == 404
    assert client.get(f"/admin/promises/estimate/{mine.pk}/change/").status_code == 200
    assert client.post(f"/admin/promises/estimate/{mine.pk}/change/", {"odds": 1}).status_code == 403
    assert Estimate.objects.get(pk=mine.pk).odds == 952
    for _number in range(20):
        make_estimate(make_order(shop=shop))
    with django_assert_max_num_queries(14):
        client.get("/admin/promises/estimate/")


def test_the_nights_are_listed_without_reading_what_they_learned(django_assert_max_num_queries):
    from promises.estimates.models import EstimateModel

    night = EstimateModel.objects.create(
        made_at=MONDAY, method="1", n_learned=400, n_delivered=380, state=b"x"
    )
    client = staff_client("viewer", everything=True)

    with django_assert_max_num_queries(14) as asked:
        assert f">{night.version}<" in client.get("/admin/promises/estimatemodel/").content.decode()
    assert not any('"state"' in query["sql"] for query in asked.captured_queries)
    assert client.get(f"/admin/promises/estimatemodel/{night.pk}/change/").status_code == 200
