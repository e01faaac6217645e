"""What customers do on their page: they ask, they press "contact us", they get in again; and what is promised to them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client

from orders.contacts import Contact
from orders.dispatch import dispatch_waiting
from orders.models import Order, OrderEvent, Todo
from orders.stages import Stage
from orders.tests.factories import MONDAY, add_fact, after, make_order, told
from orders.tests.staff import make_staff, staff_client
from orders.transitions import mark_stalled, settle
from promises.tests.factories_tracking import make_link, make_next_update
from promises.tests.test_tracking_page import BROWSER, customer
from promises.tracking import links, updates
from promises.tracking.causes import Cause
from promises.tracking.models import (
    ContactClick,
    CustomerLink,
    CustomerRequest,
    DeliveryRating,
    MessageConsent,
    NextUpdate,
    PageVisit,
)

pytestmark = pytest.mark.django_db

ADDRESS = {
    "name": "Li Lei",
    "phone": "13812345678",
    "province": "Guangdong",
    "city": "Shenzhen",
    "street": "2 Harbour Road",
}
ROBOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0)",
    "Slackbot-LinkExpanding 1.0",
    "curl/8.5.0",
    "python-requests/2.32",
    "",
]


def test_a_look_is_counted_by_day_without_a_word_of_who_looked():
    order = make_order()
    path = make_link(order)
    with time_machine.travel(MONDAY, tick=False):
        customer().get(path)
        customer().get(path)
    with time_machine.travel(after(24), tick=False):
        customer().get(path)

    rows = PageVisit.objects.order_by("day").values("day", "n", "n_delayed", "last_at")
    assert [(str(row["day"]), row["n"], row["n_delayed"]) for row in rows] == [
        ("2026-06-01", 2, 0),
        ("2026-06-02", 1, 0),
    ]
    assert {field.name for field in PageVisit._meta.fields} == {
        "id", "order", "day", "n", "n_delayed", "last_at",
    }  # fmt: skip


@pytest.mark.parametrize("browser", ROBOTS)
def test_robots_are_not_counted(browser):
    path = make_link(make_order())
    client = Client(headers={"User-Agent": browser})

    assert client.get(path).status_code == 200
    assert client.post(f"{path}contact/").status_code == 303

    assert (PageVisit.objects.count(), ContactClick.objects.count()) == (0, 0)


def test_staff_and_what_is_loaded_ahead_are_not_counted():
    path = make_link(make_order())
    client = staff_client("service", everything=True)

    client.get(path, headers={"User-Agent": BROWSER})
    client.post(f"{path}contact/", headers={"User-Agent": BROWSER})
    customer(**{"Sec-Purpose": "prefetch"}).get(path)
    customer().head(path)
    customer().get(f"{path}state/")

    assert (PageVisit.objects.count(), ContactClick.objects.count()) == (0, 0)


def test_contact_us_is_counted_with_what_stood_on_the_page():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    path = make_link(order)
    with time_machine.travel(after(2), tick=False):
        customer().post(f"{path}contact/")
    mark_stalled([order.pk], at=after(60))
    with time_machine.travel(after(61), tick=False):
        answer = customer().post(f"{path}contact/")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{path}ask/")
    clicks = ContactClick.objects.order_by("pk").values_list("milestone", "cause", "is_delayed", "at")
    assert list(clicks) == [("on_way", "", False, after(2)), ("on_way", "carrier", True, after(61))]


def test_contact_us_is_nothing_that_a_get_can_do():
    path = make_link(make_order())

    answers = [customer().get(f"{path}{part}").status_code for part in ("contact/", "messages/", "rating/")]

    assert (answers, ContactClick.objects.count()) == ([405, 405, 405], 0)


def test_the_contact_page_carries_the_whole_context():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier", data={"carrier": "SF"})
    mark_stalled([order.pk], at=after(60))
    with time_machine.travel(after(61), tick=False):
        text = customer().get(f"{make_link(order)}ask/").content.decode()

    context = text.split('id="context"')[1].split("</p>")[0]
    assert order.number in context
    assert "Your order is on its way with SF Express" in context
    assert "The parcel moves more slowly than planned." in context


@time_machine.travel(MONDAY, tick=False)
def test_a_message_is_sealed_and_asks_customer_service():
    order = make_order()
    path = make_link(order)

    answer = customer().post(f"{path}ask/", {"message": "Please ring 13812345678 before noon"})

    row = CustomerRequest.objects.get()
    assert answer.headers["Location"] == f"{path}?done=message"
    assert "13812345678" not in row.sealed
    assert row.opened() == "Please ring 13812345678 before noon"
    assert (row.todo.owner, row.todo.subject, row.todo.due_at) == ("service", "customer_message", row.due_at)
    assert str(row.todo) == "Request: the customer has written"


@time_machine.travel(MONDAY, tick=False)
def test_another_address_is_a_request_with_a_deadline_and_changes_nothing():
    order = told(make_order(), "stock.locked", 0, role="erp")
    path = make_link(order)

    answer = customer().post(f"{path}address/", ADDRESS)

    row = CustomerRequest.objects.get()
    page = customer().get(answer.headers["Location"]).content.decode()
    # Monday 10:00 in Shanghai: two working hours.
    assert row.due_at == after(2)
    assert "we answer by" in page
    assert (row.todo.kind, row.todo.owner, row.todo.due_at) == (Todo.Kind.REQUEST, "service", after(2))
    assert row.contact.opened() == ADDRESS
    assert Order.objects.get(pk=order.pk).contact_id is None
    assert [secret for secret in ADDRESS.values() if secret in page] == []
    assert not OrderEvent.objects.filter(order=order, source_key__contains="address").exists()


@time_machine.travel(after(3), tick=False)
def test_on_the_way_an_address_is_answered_within_half_an_hour():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")

    customer().post(f"{make_link(order)}address/", ADDRESS)

    due = CustomerRequest.objects.get().due_at - after(3)
    assert due >= timedelta(minutes=30)
    assert due < timedelta(hours=2)


def test_an_incomplete_address_says_what_is_missing_and_leaves_nothing():
    path = make_link(make_order())

    answer = customer().post(f"{path}address/", {**ADDRESS, "street": "", "phone": "soon"})

    text = answer.content.decode()
    assert answer.status_code == 400
    assert "Give a phone number: digits, spaces and + only." in text
    assert 'value="Li Lei"' in text
    assert (CustomerRequest.objects.count(), Todo.objects.filter(kind="request").count()) == (0, 0)
    assert Contact.objects.count() == 0


def test_a_page_takes_five_requests_a_day_and_one_open_question_of_a_kind():
    path = make_link(make_order())
    with time_machine.travel(MONDAY, tick=False):
        answers = [customer().post(f"{path}ask/", {"message": f"No. {n}"}).status_code for n in range(6)]
    cache.clear()
    with time_machine.travel(after(25), tick=False):
        next_day = customer().post(f"{path}ask/", {"message": "again"}).status_code

    assert (answers, next_day) == ([303] * 5 + [400], 303)
    assert CustomerRequest.objects.count() == 6
    assert Todo.objects.get(subject="customer_message").n_times == 6


def test_forms_that_come_faster_than_a_person_types_are_refused():
    path = make_link(make_order())
    client = customer()

    answers = [client.post(f"{path}contact/").status_code for _n in range(11)]

    assert (answers, ContactClick.objects.count()) == ([303] * 10 + [429], 10)


def test_behind_a_proxy_customers_are_told_apart(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    path = make_link(make_order())
    busy, other = (customer(**{"X-Forwarded-For": address}) for address in ("192.0.2.1", "192.0.2.2"))

    for _n in range(11):
        last = busy.post(f"{path}contact/").status_code

    assert (last, other.post(f"{path}contact/").status_code) == (429, 303)


def test_a_form_without_its_token_is_refused_and_one_with_it_is_taken_though_no_origin_is_named():
    order = make_order()
    path = make_link(order)
    client = Client(enforce_csrf_checks=True, headers={"User-Agent": BROWSER, "Origin": "null"})
    page = client.get(path).content.decode()
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]

    without = client.post(f"{path}contact/")
    foreign = client.post(
        f"{path}contact/", {"csrfmiddlewaretoken": token}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    own = client.post(
        f"{path}contact/", {"csrfmiddlewaretoken": token}, headers={"Sec-Fetch-Site": "same-origin"}
    )

    assert [answer.status_code for answer in (without, foreign, own)] == [403, 403, 303]
    assert ContactClick.objects.count() == 1


@time_machine.travel(MONDAY, tick=False)
def test_a_wish_for_messages_is_sealed_says_the_truth_and_can_be_taken_back():
    order = make_order()
    path = make_link(order)

    customer().post(f"{path}messages/", {"channel": "sms", "target": "13812345678"})
    row = MessageConsent.objects.get()
    page = customer().get(path).content.decode()
    customer().post(f"{path}messages/", {"withdraw": "1"})

    assert (row.opened(), "13812345678" in row.sealed) == ("13812345678", False)
    assert row.lapses_at == MONDAY + timedelta(days=180)
    assert "Messages are not sent yet" in page
    assert "13812345678" not in page
    assert MessageConsent.objects.count() == 0


def test_a_consent_that_has_lapsed_is_deleted():
    order = make_order()
    with time_machine.travel(MONDAY, tick=False):
        customer().post(f"{make_link(order)}messages/", {"channel": "email", "target": "a@example.org"})

    with time_machine.travel(MONDAY + timedelta(days=181), tick=False):
        updates.sweep()

    assert MessageConsent.objects.count() == 0


@pytest.mark.parametrize(
    ("channel", "target"), [("sms", "a@example.org"), ("email", "13812345678"), ("fax", "1")]
)
def test_a_wish_that_cannot_be_sent_to_is_refused(channel, target):
    answer = customer().post(f"{make_link(make_order())}messages/", {"channel": channel, "target": target})

    assert (answer.status_code, MessageConsent.objects.count()) == (400, 0)


def test_only_what_has_arrived_can_be_rated_and_the_newest_answer_counts():
    order = make_order()
    path = make_link(order)
    customer().post(f"{path}rating/", {"stars": "5"})
    too_early = DeliveryRating.objects.count()
    told(order, "parcel.delivered", 5, parcel="W1", role="carrier")

    for stars in ("4", "2", "9", "x"):
        customer().post(f"{path}rating/", {"stars": stars})

    assert (too_early, DeliveryRating.objects.get().stars) == (0, 2)


def over(contact: Contact | None = None) -> Order:
    order = make_order()
    if contact:
        add_fact(order, "order.changed", occurred_at=MONDAY, data={"contact": contact.pk})
    told(order, "cancel.requested", 1)
    return told(order, "cancel.accepted", 2)


def test_an_expired_link_asks_for_the_phone_and_opens_for_a_day():
    order = over(Contact.objects.keep({"name": "Li Lei", "phone": "138 1234 5678"}))
    path = make_link(order)
    client = customer()
    long_after = after(2) + timedelta(days=61)
    with time_machine.travel(after(2) + timedelta(days=59), tick=False):
        early = client.get(path).status_code
    with time_machine.travel(long_after, tick=False):
        asked = client.get(path)
        wrong = client.post(f"{path}open/", {"digits": "0000"})
        right = client.post(f"{path}open/", {"digits": "5678"})
        opened = client.get(path)
        stranger = customer().get(path)
    with time_machine.travel(long_after + timedelta(hours=25), tick=False):
        next_day = client.get(path)

    assert (early, asked.status_code, asked.headers["Location"]) == (200, 302, f"{path}open/")
    assert (wrong.status_code, right.status_code, opened.status_code) == (403, 303, 200)
    assert (stranger.status_code, next_day.status_code) == (302, 302)
    assert CustomerLink.objects.get().n_tries == 0
    assert "5678" not in asked.content.decode()


def test_five_wrong_tries_close_a_link_for_the_right_number_too():
    order = over(Contact.objects.keep({"phone": "13812345678"}))
    path = make_link(order)
    with time_machine.travel(after(2) + timedelta(days=61), tick=False):
        for digits in ("0000", "1111", "2222", "3333", "4444"):
            customer().post(f"{path}open/", {"digits": digits})

        right = customer().post(f"{path}open/", {"digits": "5678"})

    assert right.status_code == 403
    assert "The number of tries is used up." in right.content.decode()
    assert CustomerLink.objects.get().n_tries == 5


def test_without_a_known_phone_nothing_opens_an_expired_link():
    path = make_link(over())
    with time_machine.travel(after(2) + timedelta(days=61), tick=False):
        answers = [customer().post(f"{path}open/", {"digits": digits}).status_code for digits in ("", "0000")]

    assert answers == [403, 403]


def test_an_expired_page_gives_nothing_to_its_script_either():
    path = make_link(over(Contact.objects.keep({"phone": "13812345678"})))
    with time_machine.travel(after(2) + timedelta(days=61), tick=False):
        assert customer().get(f"{path}state/").status_code == 404


def test_a_new_order_gets_its_link_from_the_pipeline():
    order = make_order()

    with time_machine.travel(after(0.1), tick=False):
        dispatch_waiting()

    link = CustomerLink.objects.get(order=order)
    assert links.known_address(order) == links.path_of(links.token_of(order.pk, link.version))


def dispatch(at_hours: float) -> None:
    with time_machine.travel(after(at_hours), tick=False):
        while dispatch_waiting():
            pass


def test_trouble_promises_the_next_news_within_a_working_day():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    dispatch(1)
    assert NextUpdate.objects.count() == 0

    mark_stalled([order.pk], at=after(50))
    dispatch(50)

    row = NextUpdate.objects.get()
    # Wednesday 12:00 in Shanghai, eight working hours on.
    assert (row.cause, row.made_at) == ("carrier", after(50))
    assert after(58) <= row.due_at <= after(75)
    with time_machine.travel(after(51), tick=False):
        assert "Next update by" in customer().get(make_link(order)).content.decode()


def test_what_happens_keeps_the_promise_and_ends_the_waiting():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    mark_stalled([order.pk], at=after(50))
    dispatch(50)

    told(order, "parcel.out_for_delivery", 52, parcel="W1", role="carrier")
    dispatch(52)

    row = NextUpdate.objects.get()
    assert (row.kept_at, row.missed_at) == (after(52), None)


def test_news_that_does_not_come_is_missed_says_so_and_asks_the_owner_once():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    mark_stalled([order.pk], at=after(50))
    dispatch(50)
    first = NextUpdate.objects.get()

    updates.miss_due(first.due_at)
    too_early = NextUpdate.objects.get(pk=first.pk).missed_at
    late = first.due_at + timedelta(minutes=1)
    updates.miss_due(late)
    updates.miss_due(late)

    first.refresh_from_db()
    second = NextUpdate.objects.latest("pk")
    todo = Todo.objects.get(subject="news")
    assert (too_early, first.missed_at, first.kept_at) == (None, first.due_at, None)
    assert (second.missed_at, second.due_at > late) == (None, True)
    assert (todo.owner, todo.opened_at, todo.done_at) == ("logistics", late, None)
    with time_machine.travel(late, tick=False):
        page = customer().get(make_link(order)).content.decode()
    assert "and had none. We are sorry." in page
    assert "Next update by" in page


def test_news_after_its_time_keeps_nothing():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    row = make_next_update(order, after(3))

    told(order, "parcel.out_for_delivery", 4, parcel="W1", role="carrier")
    dispatch(4)

    row.refresh_from_db()
    assert (row.kept_at, row.missed_at) == (None, after(3))


def test_old_facts_judged_anew_keep_no_promise():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    dispatch(1)
    row = make_next_update(order, after(9))
    add_fact(order, "parcel.out_for_delivery", parcel="W1", role="carrier", occurred_at=after(2))

    settle(order.pk, at=after(3), silent=True)
    dispatch(3)

    row.refresh_from_db()
    assert (Order.objects.get(pk=order.pk).stage, row.kept_at) == (Stage.OUT_FOR_DELIVERY, None)


def test_a_person_keeps_the_promise_by_telling_the_customer():
    order = told(make_order(), "parcel.in_transit", 1, parcel="W1", role="carrier")
    row = make_next_update(order, after(9))
    person = make_staff("logistics")

    updates.give(order, Cause.CUSTOMS, after(30), by=person, at=after(5))

    row.refresh_from_db()
    new = NextUpdate.objects.latest("pk")
    assert row.kept_at == after(5)
    assert (new.cause, new.due_at, new.given_by) == ("customs", after(30), person)
    with pytest.raises(ValueError, match="before it is promised"):
        updates.give(order, Cause.CUSTOMS, after(4), by=person, at=after(5))
