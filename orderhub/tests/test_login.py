from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from orderhub import second_factor
from orders.audit import AuditEntry
from orders.models import Shop
from orders.tests.staff import log_in, make_staff, staff_client

pytestmark = pytest.mark.django_db

START = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(START, tick=False) as moved:
        yield moved


def person(*roles: str, **given: object) -> User:
    user = make_staff(*roles, **given)  # type: ignore[arg-type]
    user.set_password(PASSWORD)
    user.save()
    return user


def give_password(client: Client, user: User | str, password: str = PASSWORD, **headers: str):
    name = user if isinstance(user, str) else user.username
    return client.post(
        "/admin/login/", {"username": name, "password": password, "next": "/admin/"}, **headers
    )


def code(device: TOTPDevice) -> str:
    return f"{totp(device.bin_key):06d}"


def enrolled(user: User) -> TOTPDevice:
    return TOTPDevice.objects.create(user=user, confirmed=True)


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_a_password_alone_opens_no_admin_page(clock):
    Shop.objects.create(code="secret-shop", name="Secret shop")
    user = person("ops_manager")
    enrolled(user)
    client = Client()

    give_password(client, user)

    for address in (
        "/admin/",
        "/admin/orders/contact/",
        "/admin/auth/user/",
        "/admin/search/?s=order",
        "/admin/jsi18n/",
    ):
        answer = client.get(address)
        assert answer.status_code == 302, address
        assert answer["Location"].startswith("/admin/login/"), address


def test_the_login_page_sends_half_a_login_on_to_the_second_factor(clock):
    user = person("ops_manager")
    enrolled(user)
    client = Client()
    give_password(client, user)

    answer = client.get("/admin/login/?next=/admin/orders/contact/")

    assert answer.status_code == 302
    assert answer["Location"] == "/admin/second-factor/?next=%2Fadmin%2Forders%2Fcontact%2F"


def test_password_and_code_open_the_admin(clock):
    user = person("ops_manager")
    device = enrolled(user)
    client = Client()
    give_password(client, user)

    answer = client.post("/admin/second-factor/", {"code": code(device), "next": "/admin/"})

    assert answer["Location"] == "/admin/"
    assert is_in(client)


def test_a_code_works_once_even_in_another_browser(clock):
    user = person("ops_manager")
    device = enrolled(user)
    first, second = Client(), Client()
    for client in (first, second):
        give_password(client, user)
    used = code(device)
    first.post("/admin/second-factor/", {"code": used})

    answer = second.post("/admin/second-factor/", {"code": used})

    assert is_in(first)
    assert answer.status_code == 200
    assert not is_in(second)


def test_a_wrong_code_opens_nothing_and_slows_down(clock):
    user = person("ops_manager")
    device = enrolled(user)
    client = Client()
    give_password(client, user)
    wrong = f"{(totp(device.bin_key) + 1) % 1_000_000:06d}"
    for _try in range(3):
        client.post("/admin/second-factor/", {"code": wrong})

    answer = client.post("/admin/second-factor/", {"code": code(device)})

    assert answer.status_code == 200
    assert not is_in(client)
    clock.shift(timedelta(minutes=1))
    client.post("/admin/second-factor/", {"code": code(device)})
    assert is_in(client)


def test_the_first_login_sets_up_a_device_and_shows_recovery_codes_once(clock):
    user = person("ops_manager")
    client = Client()
    give_password(client, user)

    page = client.get("/admin/second-factor/", follow=True)
    assert page.redirect_chain[-1][0].startswith("/admin/second-factor/set-up/")
    assert "<svg" in page.text
    assert not TOTPDevice.objects.exists()
    assert not is_in(client)

    key = page.context["key"]
    proposed = second_factor.proposed_device(user, key)
    assert "".join(page.context["secret"].split()) == base64.b32encode(proposed.bin_key).decode()
    page = client.post("/admin/second-factor/set-up/", {"code": code(proposed), "key": key})
    codes = [token.token for token in StaticDevice.objects.get(user=user).token_set.all()]
    assert len(codes) == 10
    assert all(one in page.text for one in codes)
    assert is_in(client)
    assert AuditEntry.objects.get(action="enrol_second_factor").actor == user


def test_a_device_is_not_stored_without_its_recovery_codes(clock):
    user = person("ops_manager")
    # Two sets of codes: which of them to renew cannot be said.
    for name in ("one", "two"):
        StaticDevice.objects.create(user=user, name=name)
    client = Client(raise_request_exception=False)
    give_password(client, user)
    key = client.get("/admin/second-factor/set-up/").context["key"]
    proposed = second_factor.proposed_device(user, key)

    answer = client.post("/admin/second-factor/set-up/", {"code": code(proposed), "key": key})

    assert answer.status_code == 500
    assert not TOTPDevice.objects.exists()
    assert not is_in(client)


def test_a_secret_proposed_to_somebody_else_is_not_taken(clock):
    user, other = person("ops_manager"), person("ops_manager")
    known = second_factor.new_device(other)
    client = Client()
    give_password(client, user)

    client.post("/admin/second-factor/set-up/", {"code": code(known), "key": second_factor.signed_key(known)})

    assert not TOTPDevice.objects.exists()
    assert not is_in(client)


def test_whoever_has_a_device_cannot_set_up_another_with_a_password_alone(clock):
    user = person("ops_manager")
    enrolled(user)
    client = Client()
    give_password(client, user)

    answer = client.get("/admin/second-factor/set-up/")

    assert answer["Location"] == "/admin/second-factor/"
    assert TOTPDevice.objects.filter(user=user).count() == 1


def test_a_recovery_code_works_once(clock):
    user = person("ops_manager")
    enrolled(user)
    StaticDevice.objects.create(user=user).token_set.create(token="abcde12345")
    first, second = Client(), Client()
    for client in (first, second):
        give_password(client, user)

    first.post("/admin/second-factor/", {"code": "ABCDE-12345"})
    second.post("/admin/second-factor/", {"code": "abcde12345"})

    assert is_in(first)
    assert not is_in(second)


def test_another_persons_device_does_not_count(clock):
    user, other = person("ops_manager"), person("ops_manager")
    enrolled(user)
    device = enrolled(other)
    client = Client()
    give_password(client, user)
    session = client.session
    session["otp_device_id"] = device.persistent_id
    session.save()

    assert not is_in(client)


def test_the_session_gets_a_new_name_at_the_password_and_at_the_code(clock):
    user = person("ops_manager")
    device = enrolled(user)
    client = Client()
    client.get("/admin/login/")
    session = client.session
    session["planted"] = True
    session.save()
    planted = session.session_key
    client.cookies[settings.SESSION_COOKIE_NAME] = planted

    give_password(client, user)
    after_password = client.session.session_key
    client.post("/admin/second-factor/", {"code": code(device)})
    after_code = client.session.session_key

    assert len({planted, after_password, after_code}) == 3
    attacker = Client()
    attacker.cookies[settings.SESSION_COOKIE_NAME] = after_password
    assert not is_in(attacker)


def test_a_new_password_ends_the_other_sessions(clock):
    user = person("ops_manager")
    here, elsewhere = log_in(Client(), user), log_in(Client(), user)

    here.post(
        "/admin/password_change/",
        {
            "old_password": PASSWORD,
            "new_password1": "another long word 7",
            "new_password2": "another long word 7",
        },
    )

    assert is_in(here)
    assert not is_in(elsewhere)


def test_leaving_half_a_login_needs_a_post(clock):
    user = person("ops_manager")
    enrolled(user)
    client = Client()
    give_password(client, user)

    assert client.get("/admin/second-factor/leave/").status_code == 405
    assert client.get("/admin/second-factor/").status_code == 200
    client.post("/admin/second-factor/leave/")
    assert client.get("/admin/second-factor/")["Location"] == "/admin/login/"


def test_twenty_wrong_passwords_lock_the_name_before_the_tenth(clock):
    user = person("ops_manager")
    enrolled(user)
    client = Client()
    answers = [give_password(client, user, f"wrong {n}").status_code for n in range(20)]

    assert answers.index(429) < 10
    assert give_password(client, user).status_code == 429
    clock.shift(timedelta(minutes=16))
    assert give_password(client, user).status_code == 302


def test_spraying_a_thousand_names_from_one_address_is_stopped(clock):
    user = person("ops_manager")
    client = Client()
    for n in range(settings.LOGIN_SPRAY_LIMIT):
        give_password(client, f"guess-{n}", "Spring2026!")

    answer = give_password(client, user)

    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
    clock.shift(timedelta(minutes=16))
    assert give_password(client, user).status_code == 302


def test_guessing_one_name_from_many_addresses_is_stopped(clock):
    user = person("ops_manager")
    for n in range(settings.LOGIN_SPRAY_LIMIT):
        give_password(Client(), user, "wrong", REMOTE_ADDR=f"10.0.0.{n}")

    answer = give_password(Client(), user, REMOTE_ADDR="10.0.1.1")

    assert answer.status_code == 200
    assert "/admin/login/" in answer.text


def test_a_role_taken_away_is_gone_at_the_next_request(clock):
    user = make_staff("ops_manager")
    client = log_in(Client(), user)
    assert client.get("/admin/orders/contact/").status_code == 200

    user.groups.clear()

    assert client.get("/admin/orders/contact/").status_code == 403


def test_a_deactivated_person_is_out_at_the_next_request(clock):
    user = make_staff("ops_manager")
    client = log_in(Client(), user)

    User.objects.filter(pk=user.pk).update(is_active=False)

    assert not is_in(client)


def test_a_demo_asks_for_no_second_factor_and_says_so_on_every_page(clock, settings):
    settings.DEMO = True
    user = person("ops_manager")
    client = Client()

    assert "demo-banner" in client.get("/admin/login/").text
    give_password(client, user)

    for address in ("/admin/", "/admin/orders/contact/"):
        page = client.get(address)
        assert page.status_code == 200
        assert "demo-banner" in page.text


def test_no_banner_outside_a_demo(clock):
    assert "demo-banner" not in staff_client("ops_manager").get("/admin/").text


def test_an_administrator_resets_a_lost_device_and_it_is_recorded(clock):
    user = person("sales")
    enrolled(user)
    admin = log_in(Client(), User.objects.create_superuser("root-1"))

    assert admin.get(f"/admin/auth/user/{user.pk}/reset-second-factor/").status_code == 405
    admin.post(f"/admin/auth/user/{user.pk}/reset-second-factor/", {"reason": "lost phone"})

    assert not TOTPDevice.objects.filter(user=user).exists()
    entry = AuditEntry.objects.get(action="reset_second_factor")
    assert (entry.object_id, entry.actor_name, entry.reason) == (str(user.pk), "root-1", "lost phone")
