"""What the papers name must exist: checks, variables, commands, files. What exists must be named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from integrations.connectors.base import REGISTRY
from orderhub import checks
from orders.stages import FACT_KINDS

ROOT: Path = settings.BASE_DIR
PAPERS = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CHANGELOG.md")),
    *(ROOT / "docs" / name for name in ("data-flow.md", "operations.md", "connectors.md", "live.md")),
    *(ROOT / "docs" / name for name in ("first-15-minutes.md", "first-15-minutes.zh-CN.md")),
    *sorted((ROOT / "docs" / "adr").glob("*.md")),
]
FRAMEWORK = {
    "not_authenticated",
    "authentication_failed",
    "permission_denied",
    "throttled",
    "method_not_allowed",
}
VARIABLE = re.compile(r"\b(?:ORDERHUB_[A-Z_]+[A-Z]|DATABASE_URL)\b")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def first_column(page, head):
    """The first cells of the table that begins so."""
    lines = page.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {head} |"))
    cells = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append(line.strip("|").split("|")[0].strip().strip("`"))
    return cells


def test_every_check_is_explained_and_no_other():
    assert first_column(read("docs/operations.md"), "id") == sorted(
        number for _kind, number, *_ in checks.RULES
    )


def test_every_variable_that_the_program_reads_is_explained_and_no_other():
    programs = [
        path
        for app in ("orderhub", "integrations", "orders")
        for path in (ROOT / app).rglob("*.py")
        if "tests" not in path.parts and "bench" not in path.parts
    ]
    read_ones = {
        name
        for path in programs
        for name in re.findall(r'"(ORDERHUB_[A-Z_]+|DATABASE_URL)"', path.read_text(encoding="utf-8"))
    }

    explained = first_column(read("docs/operations.md"), "variable")

    assert len(explained) == len(set(explained))
    assert set(explained) == read_ones


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_a_paper_names_only_variables_commands_and_files_that_exist(paper):
    text = paper.read_text(encoding="utf-8")
    commands = set(re.findall(r"manage\.py ([a-z_]+)", text))
    scripts = set(re.findall(r"\bscript/([a-z]+)", text))
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]

    assert set(VARIABLE.findall(text)) <= set(first_column(read("docs/operations.md"), "variable"))
    assert commands <= set(get_commands())
    assert all((ROOT / "script" / name).exists() for name in scripts)
    assert all((paper.parent / link).exists() for link in links)


def test_there_is_one_decision_a_number_and_each_says_the_same_four_things():
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))

    assert [path.name[:4] for path in decisions] == [
        f"{number:04}" for number in range(1, len(decisions) + 1)
    ]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        for part in ("**Context.**", "**Decision.**", "**Consequences.**", "**We would revisit this if**"):
            assert part in text, f"{path.name} has no {part}"


def test_every_connector_and_every_kind_of_fact_is_on_the_connectors_page():
    page = read("docs/connectors.md")

    assert first_column(page, "speaks") == sorted(REGISTRY)
    assert all(f"`{kind}`" in page for kind in FACT_KINDS)


def test_the_codes_of_refusals_are_those_of_the_program():
    programs = [
        *(ROOT / "integrations").glob("*.py"),
        ROOT / "orders/api.py",
        ROOT / "orderhub/error_pages.py",
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in programs)
    raised = set(re.findall(r'(?:Refused|BadBody)\(\s*(?:status\.)?\w+,\s*"([a-z_0-9]+)"', text))
    raised |= set(re.findall(r'SignatureRefused\(\s*"([a-z_]+)"', text)) | set(
        re.findall(r'(?:error_body|_for_machines)\("([a-z_]+)"', text)
    )

    listed = set(first_column(read("docs/connectors.md"), "code"))

    assert raised <= listed
    # The framework's own are in no file of ours.
    assert listed - raised <= FRAMEWORK


def test_both_front_pages_show_the_same_commands():
    shown = [
        re.findall(r"^ {4}(\S.*)$", read(name), re.MULTILINE) for name in ("README.md", "README.zh-CN.md")
    ]

    assert shown[0]
    assert shown[0] == shown[1]
