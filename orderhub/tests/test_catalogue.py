from __future__ import annotations

import re
import shutil
import subprocess
import sys

import polib
import pytest
from django.utils.translation import override

from orderhub import catalogue, env
from orderhub.catalogue import Message
from orders.access import ROLES
from orders.stages import Stage

# The words of the trade, exactly.
STAGES = {
    "intake": "待建单",
    "awaiting_payment": "待付款",
    "platform_review": "平台风控中",
    "awaiting_date": "待确认交期",
    "awaiting_stock": "待锁库存",
    "awaiting_waybill": "待出运单",
    "awaiting_pick": "待拣货",
    "picking": "拣货中",
    "awaiting_pack": "待打包",
    "awaiting_handover": "待揽收",
    "shipped": "已发货",
    "in_transit": "运输中",
    "customs": "清关中",
    "out_for_delivery": "派送中",
    "delivered": "已签收",
    "completed": "已完成",
    "cancelling": "取消中",
    "cancelled": "已取消",
    "returning": "退回中",
    "returned": "已退回",
}
ROLE_NAMES = [
    "运营经理",
    "销售",
    "仓库",
    "物流",
    "单证",
    "财务",
    "客服",
    "主管",
    "集成负责人",
    "只读/老板",
    "审计",
]
HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Plural-Forms: nplurals=1; plural=0;\\n"\n\n'


@pytest.fixture(scope="module")
def po() -> polib.POFile:
    return polib.pofile(str(catalogue.PO_FILE))


def faults_of(text: str, *wanted: Message) -> list[str]:
    return catalogue.faults(polib.pofile(HEAD + text), set(wanted))


def test_the_chinese_catalogue_is_complete():
    assert catalogue.faults_on_disk() == []


def test_stages_and_roles_are_called_as_the_trade_calls_them():
    with override("zh-hans"):
        assert {stage.value: str(stage.label) for stage in Stage} == STAGES
        assert sorted(str(row.label) for row in ROLES.values()) == sorted(ROLE_NAMES)


def test_every_translation_is_chinese(po):
    plain = [entry.msgid for entry in po if not re.search("[\u4e00-\u9fff]", "".join(catalogue.texts(entry)))]

    # The ways in of the audit log are codes, carriers and services have names, and the comma between words is a Chinese one.
    names = ["API", "DHL", "FedEx", "OpenTimestamps", "UPS"]
    assert sorted(plain) == [
        "%(n)s kB",
        "%(who)s, %(at)s",
        ", ",
        *names,
        "admin, api, worker, command, import",
    ]


def test_the_glossary_and_the_catalogue_use_the_same_words(po):
    glossary = (env.ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^- (.+?) · (.+?)(?: — .*)?$", glossary, re.MULTILINE)
    chinese: dict[str, set[str]] = {}
    for entry in po:
        chinese.setdefault(entry.msgid.lower(), set()).update(catalogue.texts(entry))

    assert len(rows) > 100
    assert [row for row in rows if row[0] not in chinese.get(row[1].lower(), {row[0]})] == []


def test_our_words_leave_those_of_packages_alone(po):
    theirs = catalogue.spoken_by_packages()

    ours = {entry.msgid: catalogue.texts(entry)[0] for entry in po if not entry.msgctxt}
    changed = {msgid for msgid, said in ours.items() if theirs.get(("", msgid), said) != said}

    # Each of these means the same here, or the package says it only where no page of ours shows it.
    assert changed == {"active", "Today", "Go", "Order", "day", "Search", "Skipped", "Log out"}


@pytest.mark.skipif(
    shutil.which("xgettext") is None, reason="gettext is not installed; the next tests stand in"
)
def test_gettext_finds_what_we_find(tmp_path):
    for file in [*catalogue.our_files(), catalogue.BORROWED_FILE]:
        copy = tmp_path / file.relative_to(env.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    (tmp_path / "locale").mkdir()

    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "-l", "zh_Hans", "-v0"],
        cwd=tmp_path,
        check=True,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin"},
    )

    found = polib.pofile(str(tmp_path / "locale/zh_Hans/LC_MESSAGES/django.po"))
    assert {Message(e.msgid, e.msgid_plural or "", e.msgctxt or "") for e in found} == (
        catalogue.ours() | catalogue.borrowed()
    )


def test_python_says_what_it_hands_to_gettext_under_any_name():
    source = """
from django.utils.translation import gettext as said, gettext_lazy as _, ngettext, pgettext
from django.utils import translation
said("One"), _("Two" " parts"), ngettext("%(n)s day", "%(n)s days", n), pgettext("month", "May")
translation.gettext("Three"), said(variable), other("Four")
"""

    assert catalogue.in_python(source) == {
        Message("One"),
        Message("Two parts"),
        Message("%(n)s day", "%(n)s days"),
        Message("May", "", "month"),
        Message("Three"),
    }


def test_templates_say_what_their_tags_hold():
    source = """{% load i18n %}{% trans "One" %}{% translate 'Two "quoted"' %}{% include "x" with a=_("Three") %}
{% blocktranslate count n=n trimmed %}
  {{ n }} day
{% plural %}
  {{ n }} days
{% endblocktranslate %}{% comment %}{% trans "Never" %}{% endcomment %}{% trans "100%" %}"""

    assert catalogue.in_template(source) == {
        Message("One"),
        Message('Two "quoted"'),
        Message("Three"),
        Message("%(n)s day", "%(n)s days"),
        Message("100%%"),
    }


@pytest.mark.parametrize("argument", ['f"{n} days"', '"One " + name', '"%s days" % n'])
def test_a_string_built_inside_gettext_is_found(argument):
    source = f"from django.utils.translation import gettext as _\n_({argument})\n_('%s days') % n\n"

    assert catalogue.built_in_python(source) == [2]


def test_borrowed_words_are_what_packages_leave_in_english():
    borrowed = catalogue.borrowed()

    assert Message("Search apps and models...") in borrowed
    # Django says this one in Chinese itself, we say that one ourselves.
    assert not {Message("Log in"), Message("Orders")} & borrowed
    assert catalogue.in_python(catalogue.borrowed_source(borrowed)) == borrowed


def test_a_borrowed_word_survives_its_own_file():
    odd = {
        Message('\n "a"\t\\'),
        Message("one", "many"),
        Message("May", context="month"),
        Message("1", "n", context="c"),
    }

    assert catalogue.in_python(catalogue.borrowed_source(odd)) == odd


def test_a_whole_catalogue_has_no_faults():
    text = (
        'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s 天"\n\nmsgid "Today"\nmsgstr "今日"\n'
    )

    assert faults_of(text, Message("%(n)s day", "%(n)s days"), Message("Today")) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('msgid "Today"\nmsgstr ""\n', "'Today': not translated"),
        ('#, fuzzy\nmsgid "Today"\nmsgstr "今日"\n', "'Today': fuzzy"),
        ('msgid "Today"\nmsgstr "今日"\n\n#~ msgid "Old"\n#~ msgstr "旧"\n', "'Old': obsolete"),
        (
            'msgid "Today"\nmsgstr "今日"\n\nmsgid "Old"\nmsgstr "旧"\n',
            "'Old': nothing says it any more",
        ),
        ("", "'Today': missing"),
        ('msgid "Today"\nmsgstr "%(n)s 日"\n', "'Today': placeholders ['%(n)s'], not []"),
        ('msgid "Today"\nmsgstr "今日\\n"\n', "'Today': line breaks at the ends differ"),
    ],
)
def test_each_fault_of_a_catalogue_is_named(text, fault):
    assert faults_of(text, Message("Today")) == [fault]


def test_a_plural_needs_the_one_chinese_form():
    text = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s 天"\nmsgstr[1] "%(n)s 天"\n'

    assert faults_of(text, Message("%(n)s day", "%(n)s days")) == ["'%(n)s day': not translated"]


def test_a_catalogue_with_other_plural_forms_is_faulty():
    po = polib.pofile(HEAD.replace("nplurals=1; plural=0;", "nplurals=2; plural=(n != 1);"))

    assert catalogue.faults(po, set()) == ["Plural-Forms must be nplurals=1; plural=0;"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("%(count)d of %(total)s, %s and {0}", ["%(count)d", "%(total)s", "%s", "{0}"]),
        ("%(seconds).1f seconds, 60 %%", ["%(seconds).1f"]),
        ("a full example: {…}", []),
    ],
)
def test_placeholders_are_told_from_text(text, places):
    assert catalogue.placeholders(text) == places
