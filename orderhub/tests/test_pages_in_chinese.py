from __future__ import annotations

import io
import re
from collections.abc import Callable
from html.parser import HTMLParser

import polib
import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import override

from integrations import files, ingest, tokens
from integrations.files.runs import advance
from integrations.mapping import versions
from integrations.mapping.starters import TABLE_EN
from integrations.models import FieldMapping, ImportRowError, UnmappedValue
from integrations.tests.factories import make_connection
from orderhub import catalogue
from orders import audit
from orders.models import Order, PrecedenceVersion, StaffScope
from orders.precedence import DEFAULT_RULES
from orders.tests.factories import make_customer, make_order, make_shop, make_warehouse
from orders.tests.staff import log_in, make_staff
from promises.models import SellerProfile

pytestmark = pytest.mark.django_db

FILE = b"""order_id,placed_at,sku,quantity,phone,paid_at
E-1,2026-06-01 10:00,BRK-001,2,13800001234,2026-06-01 11:00
E-2,2026-06-01 10:00,BRK-001,x,,
"""
SHOWN = ("title", "placeholder", "aria-label", "alt")
# Names, codes and the like that stand as they are in every language.
AS_THEY_ARE = re.compile(
    r"orderhub|OpenTimestamps|English|CSV|JSON|XLSX|API|row|true|false|[A-Z]{2,}-?\d*", re.ASCII
)


class Words(HTMLParser):
    """Collects what a page shows: its texts, and the words of labels, hints and buttons."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in {"script", "style", "textarea", "code", "pre"}
        given = dict(attrs)
        names = [*SHOWN, "value"] if given.get("type") in {"submit", "button"} else SHOWN
        self.found += [given[name] or "" for name in names if name in given]
        # An icon is a picture whose name is a word.
        self.silent += "material-symbols-outlined" in (given.get("class") or "") and tag == "span"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"script", "style", "textarea", "code", "pre", "span"}:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.silent and tag in {"script", "style", "textarea", "code", "pre", "span"}:
            self.silent -= 1

    def handle_data(self, data: str) -> None:
        if not self.silent and data.strip():
            self.found.append(data)


def shown(html: str) -> set[str]:
    return {" ".join(text.split()).rstrip(":：") for text in Words(html).found} - {""}


@pytest.fixture
def house(tmp_path, settings) -> None:
    """One row of every kind that a page can show."""
    settings.UPLOAD_DIR = tmp_path / "uploads"
    shop, warehouse = make_shop("s1", name="S1"), make_warehouse("w1", name="W1")
    mapping = FieldMapping(name="M1", definition=TABLE_EN)
    versions.save(mapping, by=None, at=now())
    connection = make_connection("c1", connector="rows", shop=shop, mapping=mapping)
    # As a worker does; the client leaves the language of its last request behind.
    with override(settings.LANGUAGE_CODE):
        run = files.start_import(connection, mapping, io.BytesIO(FILE), "o.csv", None)
        while advance(run.pk):
            pass
        while ingest.process().n_messages:
            pass
    make_order(shop=shop, warehouse=warehouse, customer=make_customer("k1"))
    with audit.acting(way="command", reason=""):
        tokens.make(connection, "t1")
    UnmappedValue.objects.create(
        connection=connection, field="trade_status", value="v1", first_seen_at=now(), last_seen_at=now()
    )
    PrecedenceVersion.objects.create(number=1, rules=DEFAULT_RULES, note="", made_at=now())
    StaffScope.objects.create(user=make_staff("sales"), everything=True)
    assert Order.objects.count() == 2


def pages(user: User) -> list[str]:
    """The address of every list, form, record and extra page of the admin that this person may open."""
    request = RequestFactory().get("/")
    request.user = user
    found = [reverse("admin:index"), reverse("admin:password_change")]
    for model, shown_by in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        # The one seller's list leads to its row, or to the form for it.
        if model is not SellerProfile:
            found.append(reverse(f"{name}_changelist"))
        if shown_by.has_add_permission(request):
            found.append(reverse(f"{name}_add"))
        row = model._default_manager.order_by("pk").last()
        if row is not None:
            found += [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "history")]
    return [
        *found,
        reverse("admin:integrations_fieldmapping_trial", args=[FieldMapping.objects.get().pk]),
        reverse("admin:integrations_unmappedvalue_map", args=[UnmappedValue.objects.get().pk]),
        reverse("admin:orders_precedence_try", args=[PrecedenceVersion.objects.get().pk]),
    ]


def texts_of(client: Client, language: str) -> dict[str, set[str]]:
    """What each page shows in this language, by its address."""
    user = superuser()
    log_in(client, user).cookies["django_language"] = language
    answers = {page: client.get(page) for page in pages(user)}
    assert {page: answer.status_code for page, answer in answers.items() if answer.status_code != 200} == {}
    assert len(answers) > 60
    return {page: shown(answer.content.decode()) for page, answer in answers.items()}


def superuser() -> User:
    user = make_staff()
    user.is_superuser = True
    user.save()
    return user


def english_words() -> Callable[[str], bool]:
    """Tells whether a text is one of the catalogue's English strings, filled in or not."""
    patterns = [
        "".join(
            ".+" if catalogue.PLACEHOLDER.fullmatch(part) else re.escape(part.replace("%%", "%"))
            for part in re.split(f"({catalogue.PLACEHOLDER.pattern})", " ".join(text.split()))
        )
        for entry in polib.pofile(str(catalogue.PO_FILE))
        for text in (entry.msgid, entry.msgid_plural)
        # A string of little but placeholders would match anything.
        if len(re.sub(r"[^A-Za-z]", "", catalogue.PLACEHOLDER.sub("", text))) > 1
    ]
    known = re.compile("|".join(patterns), re.IGNORECASE)
    sentence = re.compile(r"(?:\b[A-Za-z][a-z’']+\b[ ,]*){3}")

    def is_english(text: str) -> bool:
        return bool(known.fullmatch(text) or sentence.search(text)) and not AS_THEY_ARE.fullmatch(text)

    return is_english


def test_every_page_of_the_admin_is_chinese_throughout(client, house):
    left = {
        f"{page}: {text}"
        for page, texts in texts_of(client, "zh-hans").items()
        for text in filter(english_words(), texts)
    }

    assert not left, "\n".join(sorted(left))


def test_every_page_of_the_admin_is_english_throughout(client, house):
    # Why a row failed is stored as the installation's language said it when it failed.
    stored = set(ImportRowError.objects.values_list("error", flat=True))

    left = {
        f"{page}: {text}"
        for page, texts in texts_of(client, "en").items()
        for text in texts
        if re.search("[\u4e00-\u9fff]", text)
        and text not in {"简体中文", "中文"}
        and not any(text.endswith(error) for error in stored)
    }

    assert not left, "\n".join(sorted(left))


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_login_page_speaks_the_chosen_language_and_offers_the_other(client, language):
    asked = client.post("/i18n/setlang/", {"language": language, "next": "/admin/login/"}, follow=True)

    words = shown(asked.content.decode())
    assert {"简体中文", "English"} <= words
    assert ({"登录", "密码"} <= words) == (language == "zh-hans")
    assert ({"Log in", "Password"} <= words) == (language == "en")


def test_a_refusal_names_the_permission_in_chinese(client):
    answer = log_in(client, make_staff("warehouse")).get("/admin/integrations/connection/")

    assert answer.status_code == 403
    assert "此操作需要“查看：连接”权限。" in answer.content.decode()
    assert not list(filter(english_words(), shown(answer.content.decode())))


def test_a_role_is_shown_with_names_not_codes(client):
    role = Group.objects.get(name="auditor")

    words = shown(log_in(client, superuser()).get(f"/admin/auth/group/{role.pk}/change/").content.decode())

    assert {"审计", "查看：审计记录", "可导出审计日志"} <= words
