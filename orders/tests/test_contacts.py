from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.audit import AuditEntry
from orders.contacts import Contact, masked_name, masked_phone
from orders.models import Order
from orders.tests.factories import MONDAY, make_order, make_shop
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

PHONE = "13812345678"
PERSON = {
    "name": "王小明",
    "phone": PHONE,
    "street": "中山路 88 号",
    "city": "上海市",
    "province": "上海市",
    "country": "CN",
}


def make_contact_of(order: Order) -> Contact:
    contact = Contact.objects.keep(PERSON)
    Order.objects.filter(pk=order.pk).update(contact=contact)
    assert contact is not None
    return contact


@pytest.fixture
def contact() -> Contact:
    return make_contact_of(make_order(shop=make_shop("north")))


def colleague(*roles: str, shop: str = "north", **given: object) -> tuple[User, Client]:
    from orders.models import Shop

    user = make_staff(*roles, shops=tuple(Shop.objects.filter(code=shop)), **given)  # type: ignore[arg-type]
    return user, log_in(Client(), user)


def looks() -> list[tuple[str, str, str]]:
    return [
        (entry.actor_name, entry.object_id, entry.reason)
        for entry in AuditEntry.objects.filter(action="reveal")
    ]


@pytest.mark.parametrize(
    ("name", "shown"), [("王小明", "王**"), ("欧阳", "欧**"), ("Wang", "W**"), ("李", "李**"), ("", "")]
)
def test_a_name_keeps_its_first_sign(name, shown):
    assert masked_name(name) == shown


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        (PHONE, "138****5678"),
        ("+86 138-1234-5678", "861****5678"),
        ("021-55512345", "021****2345"),
        ("1234567", "****67"),
        ("", ""),
        ("n/a", ""),
    ],
)
def test_a_phone_number_never_shows_its_middle(phone, shown):
    assert masked_phone(phone) == shown


def test_the_table_holds_nothing_in_clear(contact):
    row = str(Contact.objects.filter(pk=contact.pk).values().get())

    assert PHONE not in row
    assert "小明" not in row
    assert "中山路" not in row
    assert contact.opened()["phone"] == PHONE


def test_the_same_details_are_one_row():
    first = Contact.objects.keep(PERSON)
    second = Contact.objects.keep(dict(reversed(PERSON.items())))
    third = Contact.objects.keep({**PERSON, "phone": "13900000000"})

    assert first == second
    assert first != third


def test_the_admin_shows_contacts_masked(contact):
    _user, client = colleague("sales")

    for address in ("/admin/orders/contact/", f"/admin/orders/contact/{contact.pk}/change/"):
        page = client.get(address).text
        assert "138****5678" in page
        assert PHONE not in page
        assert "小明" not in page
        assert "中山路" not in page
    assert looks() == []


@pytest.mark.parametrize("role", ["sales", "service", "logistics"])
def test_a_look_shows_everything_once_and_is_recorded_once(contact, role):
    user, client = colleague(role)

    page = client.post(f"/admin/orders/contact/{contact.pk}/reveal/", {"reason": "call back"})

    assert PHONE in page.text
    assert "中山路 88 号" in page.text
    assert "no-store" in page["Cache-Control"]
    assert looks() == [(user.username, str(contact.pk), "call back")]
    assert PHONE not in client.get(f"/admin/orders/contact/{contact.pk}/change/").text


def test_each_look_is_recorded(contact):
    user, client = colleague("service")

    for _look in range(3):
        client.post(f"/admin/orders/contact/{contact.pk}/reveal/")

    assert looks() == [(user.username, str(contact.pk), "")] * 3


def test_looking_needs_a_post(contact):
    _user, client = colleague("service")

    answer = client.get(f"/admin/orders/contact/{contact.pk}/reveal/")

    assert answer.status_code == 405
    assert PHONE not in answer.text
    assert looks() == []


@pytest.mark.parametrize(
    "role", ["warehouse", "customs", "finance", "ops_manager", "supervisor", "viewer", "auditor"]
)
def test_seeing_orders_does_not_imply_seeing_phones(contact, role):
    _user, client = colleague(role, everything=True)

    assert client.get(f"/admin/orders/contact/{contact.pk}/change/").status_code == 200
    answer = client.post(f"/admin/orders/contact/{contact.pk}/reveal/")

    assert answer.status_code == 403
    assert PHONE not in answer.text
    assert looks() == []


def test_a_contact_of_another_shops_order_does_not_exist(contact):
    make_shop("south")
    _user, client = colleague("service", shop="south")

    assert client.get(f"/admin/orders/contact/{contact.pk}/change/").status_code == 404
    assert client.post(f"/admin/orders/contact/{contact.pk}/reveal/").status_code == 404
    assert "138****5678" not in client.get("/admin/orders/contact/").text
    assert looks() == []


def test_filters_answer_no_questions_about_hidden_columns(contact):
    _user, client = colleague("warehouse")

    for question in (
        "sealed__startswith=g",
        f"fingerprint={contact.fingerprint}",
        "phone_tail__startswith=5",
    ):
        answer = client.get(f"/admin/orders/contact/?{question}")
        assert answer.status_code == 400, question


def test_emptying_removes_the_person_for_good_and_keeps_order_and_pseudonym(contact):
    user, client = colleague("supervisor", everything=True)
    pseudonym = contact.pseudonym

    client.post(f"/admin/orders/contact/{contact.pk}/empty/", {"reason": "asked by the customer"})

    row = Contact.objects.get(pk=contact.pk)
    assert row.opened() == {}
    assert (row.masked_name, row.masked_phone, row.phone_tail, row.city, row.sealed) == ("", "", "", "", "")
    assert row.emptied_at is not None
    assert Order.objects.get().contact == row
    entry = AuditEntry.objects.get(action="empty")
    assert (entry.actor_name, entry.before, entry.reason) == (
        user.username,
        {"pseudonym": pseudonym},
        "asked by the customer",
    )
    assert "138" not in str(AuditEntry.objects.filter(model="orders.contact").values())


def test_emptying_twice_is_one_erasure(contact):
    contact.empty(MONDAY)
    contact.empty(MONDAY)

    assert AuditEntry.objects.filter(action="empty").count() == 1


def test_emptying_needs_its_own_permission_and_a_post(contact):
    _user, client = colleague("service")
    _supervisor, supervisor = colleague("supervisor", everything=True)

    assert client.post(f"/admin/orders/contact/{contact.pk}/empty/").status_code == 403
    assert supervisor.get(f"/admin/orders/contact/{contact.pk}/empty/").status_code == 405

    assert Contact.objects.get(pk=contact.pk).opened()["phone"] == PHONE


def test_the_same_person_ordering_again_after_an_erasure_gets_a_new_row(contact):
    contact.empty(MONDAY)

    again = Contact.objects.keep(PERSON)

    assert again != contact
    assert again.opened()["phone"] == PHONE


def test_a_look_that_cannot_be_decrypted_says_so_and_shows_nothing(contact, settings):
    from cryptography.fernet import Fernet

    _user, client = colleague("service")
    settings.ORDERHUB_SECRETS = [Fernet.generate_key().decode()]

    page = client.post(f"/admin/orders/contact/{contact.pk}/reveal/", follow=True)

    assert page.status_code == 200
    assert PHONE not in page.text
    assert looks() == []
