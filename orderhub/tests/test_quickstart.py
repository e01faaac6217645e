"""From an empty database to logins, a seller and partners that know the hub."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.utils.timezone import now

from integrations.models import ApiToken, Connection
from integrations.tokens import digest
from orderhub import wizard
from orderhub.management.commands.quickstart import n_late
from orderhub.models import SetupStep, TemplateInstall
from orders.access import ROLES
from orders.models import Order, ReasonCode, Shop, WorkCalendar
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


def said(**options: Any) -> str:
    out = io.StringIO()
    call_command("quickstart", stdout=out, **options)
    return out.getvalue()


def said_on_a_terminal(**options: Any) -> str:
    leader, follower = pty.openpty()
    heard: list[bytes] = []

    def listen() -> None:
        # A terminal holds some 4 KB: whoever does not listen stops the one who speaks. Its end is an error.
        with suppress(OSError):
            while part := os.read(leader, 1000):
                heard.append(part)

    listener = threading.Thread(target=listen)
    listener.start()
    with os.fdopen(follower, "w") as terminal:
        call_command("quickstart", stdout=terminal, **options)
    listener.join(10)
    os.close(leader)
    return b"".join(heard).decode()


def test_on_a_terminal_a_bar_grows_in_place(var: Path) -> None:
    text = said_on_a_terminal(demo=True, orders=8)

    assert re.search(r"\r\[#{30}\] 100%  ", text)
    assert re.search(r"\r\[\.{30}\]   0%  ", text)
    # Each of the four steps ends its own line.
    assert len(re.findall(r"100%[^\r]*\r\n", text)) == 4


def test_in_a_pipe_each_step_is_a_plain_line(var: Path) -> None:
    text = said(demo=True, orders=8)

    assert "\r" not in text
    assert "[#" not in text
    assert len(text.splitlines()) == 4 + 1 + len(noted(var)) + 2


def test_it_ends_with_where_to_go_and_who_can_log_in(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERHUB_URL", "http://127.0.0.1:8123")

    lines = said(demo=True, orders=8).splitlines()

    assert "http://127.0.0.1:8123/admin/" in lines[-1]
    assert str(var / "logins.txt") in lines[-2]
    assert any(line.startswith("ops_manager") and noted(var)["ops_manager"] in line for line in lines)


def test_quiet_says_nothing_and_does_the_same(var: Path) -> None:
    assert said(demo=True, orders=8, quiet=True) == ""

    assert Order.objects.count() == 8


def test_json_is_one_object_without_passwords(var: Path) -> None:
    text = said(demo=True, orders=40, json=True)

    answer = json.loads(text)
    assert (answer["demo"], answer["orders"], answer["already_loaded"]) == (True, 40, False)
    assert answer["late"] == n_late() > 0
    assert answer["logins_file"] == str(var / "logins.txt")
    assert not any(password in text for password in noted(var).values())


def test_the_demo_board_has_a_red_order(var: Path) -> None:
    set_up(n_orders=wizard.DEMO_ORDERS)

    assert n_late() > 0


def test_the_demo_has_the_template_but_no_sample_shops(var: Path) -> None:
    set_up()

    assert ReasonCode.objects.count() == 13
    assert not Shop.objects.filter(is_demo=False).exists()
    assert dict(SetupStep.objects.values_list("key", "state")) == {
        "template": "done",
        "source": "done",
        "mapping": "skipped",
    }


def test_a_template_that_somebody_has_undone_does_not_come_back_by_itself(var: Path) -> None:
    set_up()
    ReasonCode.objects.all().delete()

    set_up()

    assert TemplateInstall.objects.count() == 1
    assert not ReasonCode.objects.exists()


@pytest.mark.parametrize("n_orders", [0, -1])
def test_a_wrong_number_is_refused_before_anything_is_written(var: Path, n_orders: int) -> None:
    with pytest.raises(CommandError) as refused:
        said(demo=True, orders=n_orders)

    assert refused.value.returncode == 1
    assert not User.objects.exists()
    assert not WorkCalendar.objects.exists()


def test_removed_demo_data_stay_away_when_the_demo_is_started_again(var: Path, settings: Any) -> None:
    settings.DEMO = True
    set_up()
    wizard.remove_demo(at=now())

    out = io.StringIO()
    call_command("bring_up", stdout=out)

    assert not Order.objects.exists()
    assert "quickstart --demo" in out.getvalue()
    set_up()
    assert Order.objects.count() == 8
    call_command("bring_up", stdout=out)
    assert Order.objects.count() == 8


def test_what_somebody_connects_in_the_demo_is_no_partner(var: Path) -> None:
    set_up()
    told = (var / "sandbox.json").read_bytes()
    Connection.objects.create(slug="mine", label="m", connector="rows", role="shop", is_demo=True)

    set_up()

    assert (var / "sandbox.json").read_bytes() == told
