"""Setting up: every step can be taken, passed over, come back to and undone; nobody does what his role does not allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from integrations.models import Connection, FieldMapping, InboundMessage
from orderhub import demo, wizard
from orderhub.models import SetupStep, the_house
from orders.desk import StaffPreference, preference_of
from orders.models import AuditEntry, Customer, Order, PrecedenceVersion, ReasonCode, Shop
from orders.precedence import forget_versions
from orders.tests.factories import make_order
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db

AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
START = "/admin/start/"
KEYS = ["place", "template", "source", "mapping", "done"]


@pytest.fixture(autouse=True)
def _english(settings):
    settings.LANGUAGE_CODE = "en"
    forget_versions()
    yield
    forget_versions()


@pytest.fixture
def founder():
    """The first account: made by createsuperuser."""
    user = make_staff(everything=True)
    user.is_superuser = True
    user.save()
    return user


@pytest.fixture
def browser(client, founder):
    return log_in(client, founder)


def do(browser, key, **said):
    return browser.post(f"{START}{key}/", {"action": "do", **said})


def states():
    return dict(SetupStep.objects.values_list("key", "state"))


def urls(steps):
    return [step["url"] for step in steps]


def test_a_fresh_house_offers_two_ways_to_begin(browser):
    page = browser.get(START).content.decode()

    assert "Look at it with demo data (10 s)" in page
    assert "Connect my shop" in page
    assert not SetupStep.objects.exists()


def test_the_steps_are_taken_in_order_and_lead_to_the_board(browser):
    place = do(browser, "place", company="Nanshan Parts", language="en", zone="Europe/Berlin")
    template = do(browser, "template")
    source = do(browser, "source", kind="file", shop="Nanshan online")
    mapping = do(browser, "mapping")
    done = do(browser, "done")

    assert [answer["Location"] for answer in (place, template, source, mapping)] == [
        f"{START}{key}/" for key in KEYS[1:]
    ]
    assert done["Location"] == "/admin/board/"
    assert {answer.status_code for answer in (place, template, source, mapping, done)} == {303}
    assert states() == dict.fromkeys(KEYS, "done")


def test_the_first_step_keeps_company_language_and_clock(browser, founder):
    answer = do(browser, "place", company="Nanshan Parts", language="zh-hans", zone="Europe/Berlin")

    assert the_house().company == "Nanshan Parts"
    assert preference_of(founder).timezone == "Europe/Berlin"
    assert answer.cookies["django_language"].value == "zh-hans"


def test_undoing_the_first_step_brings_back_what_was_there(browser, founder):
    house = the_house()
    house.company = "Nanshan Parts"
    house.save()
    do(browser, "place", company="Beishan Parts", language="en", zone="Asia/Tokyo")

    browser.post(f"{START}place/", {"action": "undo"})

    assert the_house().company == "Nanshan Parts"
    assert preference_of(founder).timezone == ""
    assert states() == {}


@pytest.mark.parametrize("action", ["do", "skip"])
def test_a_page_left_open_does_not_write_over_what_undo_needs(browser, action):
    do(browser, "source", kind="file", shop="Nanshan online")
    made = SetupStep.objects.get(key="source").made

    stale = browser.post(
        f"{START}source/", {"action": action, "kind": "file", "shop": "Beishan online"}, follow=True
    )
    page = browser.get(f"{START}source/").content.decode()

    assert "is done already, so nothing was changed" in stale.content.decode()
    assert 'value="do"' not in page
    assert SetupStep.objects.get(key="source").made == made
    assert [shop.name for shop in Shop.objects.all()] == ["Nanshan online"]
    assert states() == {"source": "done"}


def test_the_template_is_installed_and_undone_from_its_step(browser):
    do(browser, "template")
    assert ReasonCode.objects.count() == 13

    browser.post(f"{START}template/", {"action": "undo"})

    assert not ReasonCode.objects.exists()
    assert states() == {}


def test_a_shop_that_sends_files_gets_a_connection_and_mappings_to_fit_its_files(browser):
    do(browser, "source", kind="file", shop="Nanshan online")

    connection = Connection.objects.get()
    assert (connection.shop.name, connection.connector, connection.role) == ("Nanshan online", "rows", "shop")
    # Which mapping fits is seen from the first file.
    assert connection.mapping is None
    assert set(FieldMapping.objects.values_list("name", flat=True)) == {"table-zh", "table-en"}
    assert not connection.is_demo


def test_the_sample_shop_of_the_template_becomes_the_first_shop(browser):
    do(browser, "template")

    do(browser, "source", kind="push", shop="Nanshan online")
    wizard.forget("source")
    do(browser, "source", kind="file", shop="Beishan online")

    assert dict(Shop.objects.values_list("code", "name")) == {
        "shop-1": "Nanshan online",
        "shop-2": "My second shop",
        "shop-3": "Beishan online",
    }
    assert set(Connection.objects.values_list("slug", "connector")) == {
        ("shop-1", "standard_webhooks"),
        ("shop-3-files", "rows"),
    }


def test_undoing_a_connection_takes_it_out_and_gives_the_sample_back_as_it_was(browser, founder, settings):
    do(browser, "template")
    StaffPreference.objects.update_or_create(user=founder, defaults={"timezone": "Europe/Berlin"})
    settings.DEMO = True
    sample = Shop.objects.get(code="shop-1")
    do(browser, "source", kind="file", shop="Nanshan online")

    browser.post(f"{START}source/", {"action": "undo"})

    assert not Connection.objects.exists()
    again = Shop.objects.get(code="shop-1")
    assert (again.name, again.timezone, again.is_demo) == ("My first shop", sample.timezone, sample.is_demo)
    assert (sample.timezone, sample.is_demo) == ("Asia/Shanghai", False)


def test_a_connection_that_something_came_over_is_switched_off_not_deleted(browser):
    do(browser, "source", kind="file", shop="Nanshan online")
    connection = Connection.objects.get()
    InboundMessage.objects.create(
        connection=connection, remote_key="k", form="row", body="{}", digest="0" * 64, received_at=AT
    )

    browser.post(f"{START}source/", {"action": "undo"})

    connection.refresh_from_db()
    assert not connection.is_active
    assert Shop.objects.get().name == "Nanshan online"


def test_a_source_without_a_name_is_refused_and_nothing_is_made(browser):
    answer = do(browser, "source", kind="file", shop=" ")

    assert answer.status_code == 200
    assert "Say what the shop is called" in answer.content.decode()
    assert not Connection.objects.exists()
    assert states() == {}


def test_a_step_that_was_passed_over_can_be_taken_later(browser):
    browser.post(f"{START}place/", {"action": "skip"})
    assert states() == {"place": "skipped"}

    do(browser, "place", company="", language="en", zone="UTC")

    assert states() == {"place": "done"}


def test_whoever_comes_back_goes_on_where_somebody_stopped(browser, founder):
    do(browser, "place", company="", language="en", zone="UTC")
    browser.post(f"{START}template/", {"action": "skip"})

    page = staff_client("ops_manager").get(START).content.decode()
    coming = wizard.remaining(founder)

    assert urls(coming) == [f"{START}{key}/" for key in KEYS[2:]]
    assert "Go on:" in page


def test_the_checklist_names_only_what_the_person_may_do():
    operations = make_staff("ops_manager")
    integrator = make_staff("integrator")
    sales = make_staff("sales")

    assert urls(wizard.remaining(operations)) == [
        f"{START}{key}/" for key in ("place", "template", "mapping", "done")
    ]
    assert urls(wizard.remaining(integrator)) == [
        f"{START}{key}/" for key in ("place", "source", "mapping", "done")
    ]
    assert wizard.remaining(sales) == []


def test_the_checklist_is_gone_once_somebody_has_finished_and_back_when_that_is_undone(browser, founder):
    do(browser, "done")
    assert wizard.remaining(founder) == []

    browser.post(f"{START}done/", {"action": "undo"})

    assert len(wizard.remaining(founder)) == 5
    assert the_house().setup_ended_at is None


def test_the_checklist_costs_one_query(founder, django_assert_num_queries):
    assert founder.has_perm("orders.view_order")

    with django_assert_num_queries(1):
        wizard.remaining(founder)


def test_demo_data_are_a_click_away_and_show_late_orders(browser):
    with time_machine.travel(AT, tick=False):
        answer = browser.post(START, {"action": "demo"})
        page = browser.get(answer["Location"]).content.decode()

    assert answer["Location"] == f"{START}done/"
    assert Order.objects.filter(is_demo=True).count() == wizard.DEMO_ORDERS
    assert page.count("chip-danger") == 3
    assert "Remove the demo data (200 orders)" in page
    assert PrecedenceVersion.objects.count() == 1
    assert states() == {"template": "done", "source": "done", "mapping": "skipped"}


def test_demo_data_go_with_one_click_and_take_nothing_else(browser):
    with time_machine.travel(AT, tick=False):
        wizard.show_demo(by=None, at=AT, n_orders=3)
        mine = make_order()

        answer = browser.post(START, {"action": "remove_demo"}, follow=True)

    assert "3 demo orders were removed." in answer.content.decode()
    assert the_house().demo_removed_at == AT
    assert list(Order.objects.all()) == [mine]
    assert not Customer.objects.filter(is_demo=True).exists()
    # Rules and reasons are the template's, not the demo's.
    assert states() == {"template": "done"}
    assert ReasonCode.objects.count() == 13


def test_a_demo_shop_that_somebody_has_connected_stays(browser):
    wizard.show_demo(by=None, at=AT, n_orders=3)
    shop = Shop.objects.get(code="demo-site")
    Connection.objects.create(slug="mine", label="Mine", connector="rows", role="shop", shop=shop)

    browser.post(START, {"action": "remove_demo"})

    assert list(Shop.objects.all()) == [shop]
    assert list(Connection.objects.values_list("slug", flat=True)) == ["mine"]
    assert not Order.objects.exists()


def test_asking_for_demo_data_twice_loads_them_once(browser):
    wizard.show_demo(by=None, at=AT, n_orders=3)

    answer = browser.post(START, {"action": "demo"}, follow=True)

    assert "3 demo orders are there already" in answer.content.decode()
    assert demo.loaded_orders() == 3


def test_in_a_demo_house_what_is_connected_is_demo_too(browser, settings):
    settings.DEMO = True

    do(browser, "source", kind="file", shop="Nanshan online")

    assert Connection.objects.get().is_demo
    assert Shop.objects.get().is_demo
    assert not Connection.objects.get().is_refused_in_demo


def test_the_minutes_are_counted_from_the_first_step(browser):
    with time_machine.travel(AT, tick=False) as clock:
        browser.post(f"{START}place/", {"action": "skip"})
        clock.move_to(AT + timedelta(minutes=11))
        do(browser, "done")
        clock.move_to(AT + timedelta(days=3))

        assert wizard.minutes() == 11
        assert "Setting up has taken 11 minutes." in browser.get(f"{START}done/").content.decode()


@pytest.mark.parametrize("address", [START, f"{START}place/"])
def test_whoever_may_not_set_up_the_house_is_refused(address):
    client = staff_client("sales", everything=True)

    assert client.get(address).status_code == 403
    assert client.post(address, {"action": "skip"}).status_code == 403
    assert states() == {}


def test_a_step_of_another_role_is_shown_with_who_can_do_it_and_is_neither_taken_nor_passed_over():
    client = staff_client("integrator")

    page = client.get(f"{START}template/").content.decode()
    refused = do(client, "template")
    skipped = client.post(f"{START}template/", {"action": "skip"})

    assert "Can install and undo the template" in page
    assert "Operations manager" in page
    assert (refused.status_code, skipped.status_code) == (403, 403)
    assert 'value="skip"' not in page
    assert not ReasonCode.objects.exists()
    assert states() == {}


def test_a_form_without_an_action_does_nothing_and_says_so(browser):
    for address in (START, f"{START}place/"):
        assert "Nothing was done" in browser.post(address, follow=True).content.decode()
    assert states() == {}


def test_a_step_that_is_not_in_the_list_is_not_found(browser):
    assert browser.get(f"{START}nothing/").status_code == 404


def test_what_was_taken_and_undone_is_in_the_audit(browser, founder):
    do(browser, "place", company="", language="en", zone="UTC")
    browser.post(f"{START}place/", {"action": "undo"})

    done = AuditEntry.objects.filter(action__startswith="setup.").order_by("id")
    assert [(row.action, row.actor) for row in done] == [("setup.done", founder), ("setup.undone", founder)]
