"""From an empty database to logins, a seller and partners that know the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import RequestFactory

from integrations.models import ApiToken, Connection
from integrations.tokens import digest
from orders.access import ROLES
from orders.models import Order, WorkCalendar
from orders.people import StaffScope

pytestmark = pytest.mark.django_db


@pytest.fixture
def var(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    # Thirteen slow hashes would be most of the time of these tests.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


def set_up(*, n_orders: int = 8) -> None:
    call_command("quickstart", demo=True, orders=n_orders)


def noted(var: Path) -> dict[str, str]:
    lines = (var / "logins.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_the_demo_has_a_working_login_for_every_role(var: Path) -> None:
    set_up()

    logins = noted(var)
    assert set(logins) == {*ROLES, "warehouse_ks", "newcomer"}
    assert mode(var / "logins.txt") == 0o600
    for name, password in logins.items():
        user = authenticate(RequestFactory().get("/"), username=name, password=password)
        assert user is not None
        assert user.is_staff
        assert not user.is_superuser


def test_each_login_sees_its_part_of_the_business(var: Path) -> None:
    set_up(n_orders=40)

    def seen(name: str) -> set[Any]:
        visible = Order.objects.visible_to(User.objects.get(username=name))
        return set(visible.values_list("pk", "warehouse__code", "country"))

    everything = seen("ops_manager")
    assert len(everything) == 40
    assert seen("warehouse") == {row for row in everything if row[1] == "demo-gz"} != set()
    assert seen("warehouse_ks") == {row for row in everything if row[1] == "demo-ks"} != set()
    assert seen("customs") == {row for row in everything if row[2] != "CN"} != set()
    assert set() < seen("sales") < everything
    assert seen("newcomer") == set()


def test_running_it_again_changes_nothing(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    files = {file.name: file.read_bytes() for file in var.iterdir()}
    passwords = set(User.objects.values_list("username", "password"))

    set_up()

    assert {file.name: file.read_bytes() for file in var.iterdir()} == files
    assert set(User.objects.values_list("username", "password")) == passwords
    assert WorkCalendar.objects.filter(is_default=True).count() == 1
    assert Order.objects.count() == 8
    assert noted(var)["sales"] in capsys.readouterr().out


def test_a_real_persons_account_of_the_same_name_is_left_alone(var: Path) -> None:
    person = User.objects.create_user("sales", password="theirs-alone-4711")

    set_up()

    person.refresh_from_db()
    assert person.check_password("theirs-alone-4711")
    assert not person.is_staff
    assert not StaffScope.objects.filter(user=person).exists()
    assert "sales" not in noted(var)


def test_the_partners_are_told_secrets_and_a_token_that_work(var: Path) -> None:
    set_up()

    told = json.loads((var / "sandbox.json").read_text(encoding="utf-8"))

    assert mode(var / "sandbox.json") == 0o600
    assert ApiToken.objects.get(digest=digest(told["token"])).may_read
    assert {row["role"] for row in told["partners"].values()} == {"shop", "erp", "wms", "carrier", "finance"}
    for slug, partner in told["partners"].items():
        assert Connection.objects.get(slug=slug).secrets()["webhook"] == [partner["secret"]]


def test_a_lost_partners_file_is_written_again_with_the_same_secrets(var: Path) -> None:
    set_up()
    before = json.loads((var / "sandbox.json").read_text(encoding="utf-8"))
    (var / "sandbox.json").unlink()

    set_up()

    after = json.loads((var / "sandbox.json").read_text(encoding="utf-8"))
    assert after["partners"] == before["partners"]
    assert after["token"] != before["token"]
    assert not ApiToken.objects.filter(digest=digest(before["token"])).exists()


def test_without_demo_it_sets_up_the_basics_and_says_what_is_next(
    var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("quickstart")

    assert "createsuperuser" in capsys.readouterr().out
    assert WorkCalendar.objects.filter(is_default=True).count() == 1
    assert not User.objects.exists()
    assert not Order.objects.exists()
    assert list(var.iterdir()) == []
