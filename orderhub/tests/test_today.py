"""Today: every number opens exactly the list it counts, for whoever looks."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from integrations.models import InboundMessage
from integrations.tests.factories import arrive, fact_item, make_connection
from orderhub import health_of_sources
from orderhub.health_of_sources import SILENT_AFTER
from orders.masters import SourceHeard
from orders.models import Order, OrderStep, Todo
from orders.tests.factories import MONDAY, after, make_order, make_shop, told
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db
TODAY = "/admin/"


@pytest.fixture(autouse=True)
def _a_fixed_time():
    """Monday, 24 hours after the orders of the tests were placed: their steps are late."""
    with time_machine.travel(after(24), tick=False):
        yield


class Numbers(HTMLParser):
    """The links of a page that carry a number: key -> (address, number as shown)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, str]] = {}
        self._link: tuple[str, str] | None = None
        self._words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("data-key"):
            self._link, self._words = (given["data-key"] or "", given["href"] or ""), ""

    def handle_data(self, data: str) -> None:
        self._words += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._link:
            key, address = self._link
            number = re.search(
                r"\d[\d,]*\+?", re.sub(r"(?<=\d)\s*\n.*", "", self._words.strip(), flags=re.DOTALL)
            )
            self.found[key], self._link = (address, number[0] if number else self._words), None


def numbers(client: Client) -> dict[str, tuple[str, str]]:
    answer = client.get(TODAY)
    assert answer.status_code == 200
    return Numbers(answer.content.decode()).found


def length(client: Client, address: str) -> int:
    """How many rows the list at this address has."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    if "cl" in answer.context:
        return int(answer.context["cl"].result_count)
    if "page" in answer.context and hasattr(answer.context["page"], "paginator"):
        return int(answer.context["page"].paginator.count)
    return int(answer.context["total"].n)


def busy_house() -> dict[str, Any]:
    """Two shops with a bit of everything; the connection of the north one has a failed message."""
    north, south = make_shop("north"), make_shop("south")
    for shop in (north, south):
        make_order(shop=shop)
        told(make_order(shop=shop), "date.confirmed", 1, role="person", data={"date": "2026-06-05"})
        told(make_order(shop=shop), "parcel.handed_over", 2, parcel=f"SF{Order.objects.count()}")
    stuck = make_order(shop=north)
    Order.objects.filter(pk=stuck.pk).update(
        stalled_at=after(20), has_conflict=True, n_unknown=2, is_short=True
    )
    Order.objects.filter(pk=make_order(shop=south).pk).update(set_aside="the door refused")
    for order in Order.objects.all():
        Todo.objects.create(order=order, kind="step", subject="date", owner="sales", opened_at=after(1))
    Todo.objects.create(order=stuck, kind="step", subject="invoice", owner="finance", opened_at=after(1))
    Todo.objects.create(order=stuck, kind="conflict", owner="ops_manager", opened_at=after(1))
    source = make_connection("north-api", shop=north)
    for key in ("a", "b", "c"):
        arrive(source, "fact", fact_item("payment.received", key=key), at=after(23))
    InboundMessage.objects.filter(remote_key="fact:a").update(state="failed")
    return {"north": north, "south": south, "stuck": stuck, "source": source}


@pytest.mark.parametrize(
    "role", ["ops_manager", "sales", "warehouse", "logistics", "finance", "service", "customs", "supervisor",
             "integrator", "viewer", "auditor"],
)  # fmt: skip
def test_every_number_opens_a_list_of_that_length(role):
    house = busy_house()
    client = log_in(Client(), make_staff(role, shops=(house["north"],)))

    found = numbers(client)

    assert len(found) >= 6
    assert {key: shown for key, (_url, shown) in found.items()} == {
        key: f"{length(client, url):,}" for key, (url, _shown) in found.items()
    }
    assert any(shown != "0" for _url, shown in found.values())


def test_the_numbers_count_what_is_there():
    busy_house()

    found = {key: shown for key, (_url, shown) in numbers(staff_client("ops_manager")).items()}

    assert found["stuck"] == "1"
    assert found["conflict"] == "1"
    assert found["unknown"] == "1"
    assert found["short"] == "1"
    assert found["aside"] == "1"
    assert found["todos"] == "1"
    assert found["failed"] == "1"
    assert found["late"] == str(Order.objects.filter(is_open=True, step_due_at__lt=after(24)).count()) != "0"
    assert found["funnel_date"] == str(Order.objects.filter(is_open=True, next_step="date").count()) != "0"
    assert (found["today_north-api"], found["failed_north-api"]) == ("3", "1")
    assert found["day_orders"] == "0"


def test_a_person_sees_numbers_of_their_own_scope_only():
    house = busy_house()
    mine = numbers(log_in(Client(), make_staff("warehouse", shops=(house["south"],))))
    none = numbers(log_in(Client(), make_staff("warehouse")))

    assert mine["stuck"][1] == "0"
    assert mine["funnel_date"][1] == str(Order.objects.filter(shop=house["south"], next_step="date").count())
    assert {key: shown for key, (_url, shown) in none.items() if shown != "0"} == {}


def test_finance_sees_the_work_of_finance():
    busy_house()
    client = log_in(Client(), make_staff("finance", everything=True))

    found = numbers(client)

    assert list(found)[:2] == ["todos", "step_invoice"]
    assert found["todos"][1] == "1"
    assert "step=invoice" in found["late"][0]
    assert "step_date" not in found
    assert "failed" not in found


def test_a_warehouse_sees_no_messages_and_only_when_sources_were_heard():
    house = busy_house()
    client = log_in(Client(), make_staff("warehouse", shops=(house["north"],)))

    page = client.get(TODAY).content.decode()

    assert "inboundmessage" not in page
    assert "connection/" not in page


def test_a_source_of_a_place_out_of_scope_is_not_listed():
    house = busy_house()
    make_connection("south-api", shop=house["south"])
    for source in ("north-api", "south-api", "house-wide"):
        SourceHeard.objects.update_or_create(source=source, defaults={"role": "shop", "heard_at": after(23)})
    user = make_staff("warehouse", shops=(house["north"],))

    listed = {one.label for one in health_of_sources.read(user, after(24), {})}

    assert {"north-api", "house-wide"} <= listed
    assert "south-api" not in listed


def done_step(order: Order, *, due: float, done: float) -> None:
    OrderStep.objects.update_or_create(
        order=order,
        step="date",
        defaults={
            "state": "done", "owner": "sales", "opened_at": MONDAY, "due_at": after(due), "done_at": after(done),
        },
    )  # fmt: skip


def test_a_percentage_has_its_n_and_its_window():
    for done in (1, 2, 3, 9):
        done_step(make_order(), due=4, done=done)
    client = staff_client("ops_manager")

    page = client.get(TODAY, headers={"Accept-Language": "en"}).content.decode()

    assert "75.0%" in page
    assert "3 of n = 4 · last 30 days" in page


def test_steps_of_long_ago_are_not_counted():
    done_step(make_order(), due=4, done=-31 * 24)
    done_step(make_order(), due=4, done=1)

    share = staff_client("ops_manager").get(TODAY).context["today"].shares[0]

    assert (share.n, share.n_kept) == (1, 1)


def test_nothing_measurable_has_no_percentage():
    order = make_order()
    Order.objects.filter(pk=order.pk).update(is_open=False)

    page = staff_client("ops_manager").get(TODAY, headers={"Accept-Language": "en"}).content.decode()

    assert "%</p>" not in page
    assert page.count("Not measurable yet") == 3


def test_almost_all_is_not_a_hundred_per_cent():
    from orderhub.today import Share

    assert Share("k", "l", "m", n_kept=9_999, n=10_000, window="w").percent == "99.9%"
    assert Share("k", "l", "m", n_kept=10_000, n=10_000, window="w").percent == "100.0%"
    assert Share("k", "l", "m", n_kept=0, n=0, window="w").percent == ""


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ({"heard_at": after(24)}, "ok"),
        ({"heard_at": after(24) - SILENT_AFTER}, "ok"),
        ({"heard_at": after(24) - SILENT_AFTER - timedelta(seconds=1)}, "stale"),
        ({"heard_at": None}, "stale"),
        ({"heard_at": after(23.9), "failed_at": after(24)}, "danger"),
        ({"heard_at": after(24), "failed_at": after(23)}, "ok"),
        ({"heard_at": after(24), "is_active": False}, "neutral"),
        ({"heard_at": None, "connector": "rows"}, "neutral"),
    ],
)
def test_a_silent_source_is_never_green(values, meaning):
    make_order()
    make_connection("one", **values)

    today = staff_client("ops_manager").get(TODAY).context["today"]

    assert [source.meaning for source in today.sources] == [meaning]
    assert {bool(share.doubts) for share in today.shares} == {meaning in {"stale", "danger"}}


def test_the_day_counts_hours_in_order():
    make_order(placed_at=after(24))
    Todo.objects.create(kind="request", owner="sales", opened_at=after(22), done_at=after(23))

    day = staff_client("ops_manager").get(TODAY).context["today"].day

    assert [(line.key, line.n) for line in day.lines] == [("orders", 1), ("opened", 1), ("solved", 1)]
    assert [bar.n for bar in day.lines[0].bars] == [0] * 23 + [1]
    assert [bar.n for bar in day.lines[1].bars][-3:] == [1, 0, 0]
    assert day.hours[0][0] == after(24)


def test_an_empty_house_shows_what_is_left_to_set_up():
    client = staff_client("ops_manager", may=("orderhub.run_setup",))

    answer = client.get(TODAY)

    assert answer.context["today"].is_first_use
    assert answer.context["today"].checklist
    assert f'action="{reverse("admin:wizard")}"' in answer.content.decode()
    assert answer.context["today"].checklist[0]["url"] in answer.content.decode()


def test_whoever_may_not_see_orders_reads_which_permission_is_missing():
    make_order()
    answer = staff_client().get(TODAY)

    assert answer.status_code == 200
    assert 'data-state="no_permission"' in answer.content.decode()
    assert Numbers(answer.content.decode()).found == {}


def test_my_last_actions_are_mine():
    shop = make_shop("north")
    me, other = make_staff("ops_manager"), make_staff("ops_manager")
    for user, name in ((me, "Mine"), (other, "Theirs")):
        client = log_in(Client(), user)
        client.post(
            reverse("admin:orders_shop_change", args=[shop.pk]),
            {
                "code": "north",
                "name": name,
                "timezone": "Asia/Shanghai",
                "currency": "CNY",
                "is_active": "on",
            },
        )

    actions = log_in(Client(), me).get(TODAY).context["today"].actions

    with override("en"):
        assert [(str(one.doing), one.name) for one in actions] == [("Changed", "Mine")]


def test_the_numbers_alone_come_without_the_page_around_them():
    make_order()
    client = staff_client("ops_manager")

    answer = client.get(TODAY, headers={"X-Fragment": "1"})

    page = answer.content.decode()
    assert "<html" not in page
    assert 'data-live="tiles"' in page
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "role", ["ops_manager", "sales", "warehouse", "logistics", "finance", "service", "customs", "supervisor",
             "integrator", "viewer", "auditor"],
)  # fmt: skip
@pytest.mark.parametrize("n_copies", [1, 3])
def test_the_page_asks_twelve_questions_at_most(role, n_copies, django_assert_max_num_queries):
    shops = [make_shop() for _ in range(n_copies)]
    for shop in shops:
        make_order(shop=shop)
        make_connection(shop=shop)
    client = log_in(Client(), make_staff(role, shops=shops))
    client.get(TODAY)

    with django_assert_max_num_queries(12):
        client.get(TODAY)


def test_the_evidence_lists_the_late_ones():
    on_time, late = make_order(), make_order()
    done_step(on_time, due=4, done=1)
    done_step(late, due=4, done=9)

    answer = staff_client("ops_manager").get(reverse("admin:today_steps"))

    assert [step.order_id for step, _by in answer.context["rows"]] == [late.pk]
    assert [by for _step, by in answer.context["rows"]] == [timedelta(hours=5)]


def test_the_evidence_is_for_those_who_see_orders():
    assert staff_client().get(reverse("admin:today_steps")).status_code == 403
