"""The walk-through of docs/first-15-minutes.md: its commands, its clicks in its order, and what it promises after each."""

from __future__ import annotations

import base64
import html
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as house
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django_otp.oath import TOTP

from integrations import tasks
from integrations.models import ImportRun
from orders.models import Order

pytestmark = pytest.mark.django_db

DOCS = Path(house.BASE_DIR) / "docs"
PAGE = (DOCS / "first-15-minutes.md").read_text(encoding="utf-8")
AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
PASSWORD = "hand-made-4711-filters"


def clicks(page: str) -> list[tuple[str, str]]:
    """(what is pressed, what is seen then) of each click, from the table of twelve."""
    rows = [line.strip("|").split("|") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    table = [row for row in rows if len(row) == 4]
    assert [int(row[0]) for row in table] == list(range(1, len(table) + 1))
    return [(re.search(r"\*\*(.+?)\*\*", row[2])[1], row[3].strip()) for row in table]


def sample_file() -> bytes:
    """What the printf of the page writes."""
    text = re.search(r"printf '(.+)' > orders.csv", PAGE)[1]
    return text.replace("\\n", "\n").encode()


class Reader:
    """Somebody who does what the page says: only presses what is on the screen, and looks for what is promised."""

    def __init__(self) -> None:
        self.browser = Client()
        self.wanted = clicks(PAGE)
        self.n_clicks = 0
        self.screen = ""
        self.path = ""

    def look(self, answer: Any) -> None:
        self.screen = html.unescape(answer.content.decode())
        self.path = answer.request["PATH_INFO"]

    def press(self, label: str, said: dict[str, Any] | None = None, *, to: str = "") -> None:
        """Press what is called so: a link if nothing is said with it, else the button of the form."""
        words = re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>", "", self.screen, flags=re.DOTALL))
        assert label == self.wanted[self.n_clicks][0]
        assert label in words, f"click {self.n_clicks + 1}: there is no “{label}” on {self.path}"
        self.n_clicks += 1
        answer = (
            self.browser.get(self._link(label), follow=True)
            if said is None
            else self.browser.post(to or self.path, said, follow=True)
        )
        assert answer.status_code == 200
        self.look(answer)
        self.see()

    def _link(self, label: str) -> str:
        """Where the link of this name leads."""
        for address, words in re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>(.*?)</a>', self.screen, re.DOTALL):
            if label in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", words)):
                return address
        raise AssertionError(f"no link is called “{label}”")

    def see(self) -> None:
        """What the page of the book promises after the click just made; words in quotation marks are to be there."""
        for words in re.findall("“(.+?)”", self.wanted[self.n_clicks - 1][1]):
            if words != "Orders of this import":
                assert words in self.screen, (
                    f"after click {self.n_clicks} there is no “{words}” on {self.path}"
                )


def digits(screen: str) -> tuple[str, str]:
    """The signed key of the form, and what an app that scanned the picture would show."""
    secret = re.search(r"<code[^>]*>([A-Z2-7 ]+)</code>", screen)[1].replace(" ", "")
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return re.search(r'name="key" value="([^"]+)"', screen)[1], f"{TOTP(key).token():06d}"


@pytest.fixture
def reader(settings: Any, tmp_path: Path) -> Reader:
    settings.LANGUAGE_CODE = "en"
    settings.VAR_DIR = tmp_path
    call_command("bring_up")
    User.objects.create_superuser("founder", password=PASSWORD)
    return Reader()


def test_twelve_clicks_lead_from_the_login_to_a_red_order(reader: Reader) -> None:
    with time_machine.travel(AT, tick=True):
        reader.look(reader.browser.get("/admin/", follow=True))
        reader.press("Log in", {"username": "founder", "password": PASSWORD, "next": "/admin/"})
        key, code = digits(reader.screen)
        reader.press("Turn on the second factor", {"key": key, "code": code, "next": "/admin/"})
        reader.press("I have kept the codes")
        reader.press("Language, time zone, company")
        reader.press(
            "Save and go on", {"action": "do", "company": "", "language": "en", "zone": "Asia/Shanghai"}
        )
        reader.press("Install the template", {"action": "do"})
        reader.press("Connect and go on", {"action": "do", "kind": "file", "shop": "Nanshan online"})
        connection = re.search(r"\?connection=(\d+)", reader.screen)[1]
        reader.press("Choose a file and see the preview")
        # The window in which a file is chosen is the browser's own: nothing is sent.
        assert '<input type="file" name="file"' in reader.screen
        assert reader.wanted[reader.n_clicks][0] == "File"
        reader.n_clicks += 1
        file = SimpleUploadedFile("orders.csv", sample_file(), "text/csv")
        reader.press(
            "Look at it first (writes nothing)",
            {"connection": connection, "mapping": "", "file": file, "try": "1"},
        )
        assert not Order.objects.exists()
        digest = re.search(r'name="digest" value="(\w+)"', reader.screen)[1]
        again = {
            "connection": connection,
            "mapping": "",
            "digest": digest,
            "name": "orders.csv",
            "start": "1",
        }
        reader.press("Import 2 records", again)
        work()
        reader.look(reader.browser.get(reader.path))
        assert "Orders of this import" in reader.screen
        reader.press("Board")

    assert reader.n_clicks == len(reader.wanted) == 12
    assert "three commands and 12 clicks" in PAGE
    assert reader.path == "/admin/board/"
    red = re.search(r"<tr[^>]*>(?:(?!</tr>).)*?1001(?:(?!</tr>).)*?</tr>", reader.screen, re.DOTALL)
    assert red
    assert "chip-danger" in red[0]
    assert not Order.objects.filter(is_demo=True).exists()


def work() -> None:
    """What steward and worker do within a second."""
    tasks.run_imports()
    tasks.drain_inbox()
    # An import is done when it is seen that its last row was settled.
    tasks.run_imports()
    assert ImportRun.objects.get().state == "done"


def test_both_languages_count_the_same_clicks_and_show_the_same_commands() -> None:
    chinese = (DOCS / "first-15-minutes.zh-CN.md").read_text(encoding="utf-8")

    assert len(clicks(chinese)) == len(clicks(PAGE)) == 12
    assert re.findall(r"^ {4}(\S.*)$", chinese, re.M) == re.findall(r"^ {4}(\S.*)$", PAGE, re.M)
    assert len(re.findall(r"^ {4}(\S.*)$", PAGE, re.M)) == 3
    assert "12 次点击" in chinese


def test_every_file_the_walk_through_names_is_there() -> None:
    for name in ("first-15-minutes.md", "first-15-minutes.zh-CN.md"):
        text = (DOCS / name).read_text(encoding="utf-8")
        assert all((DOCS / link).exists() for link in re.findall(r"\]\(([^)#]+)\)", text))
