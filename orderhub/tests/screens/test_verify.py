"""Checking a commitment in a real browser: how it fits, who can use it, without scripts, and where a dropped file goes."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from orderhub.bench.browser import overflow, small_targets, violations
from orderhub.bench.browser_cases import verdicts
from promises import token
from promises.commitments.models import Promise
from promises.tests.cases import World
from promises.tests.factories_verification import make_chain, make_filed, paper_of
from promises.verification import rate

LOOKS = [("zh-hans", 1440, True), ("zh-hans", 390, False), ("en", 1440, False), ("en", 390, True)]


@pytest.fixture(autouse=True)
def _house(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    settings.KEY_DIR = tmp_path
    settings.LEDGER_DIR = tmp_path / "ledger"


def address(promise: Promise) -> str:
    return f"/v/{token.to_text(bytes(promise.token))}"


def test_a_stranger_checks_a_paper_by_code_by_number_and_by_its_file(open_page, tmp_path):
    first, second = make_chain(date(2026, 6, 8))
    rate.count(second.pending.log, second.due + timedelta(days=4))
    genuine, changed = tmp_path / "genuine.pdf", tmp_path / "changed.pdf"
    genuine.write_bytes(paper_of(second))
    changed.write_bytes(paper_of(second) + b" ")
    sent = []
    page = open_page(None, "/v/")

    page.get_by_label("Attestation no.").fill(second.shown_number.lower())
    page.get_by_role("button", name="Check the number").click()
    page.get_by_role("status").get_by_text("Genuine, date passed").wait_for()
    page.goto(page.url.partition("/v/")[0] + address(second))
    page.on("request", lambda request: sent.append((request.url, request.post_data_buffer)))
    page.get_by_label("Choose or drop the PDF").set_input_files(str(genuine))
    page.get_by_text("byte for byte").wait_for()
    is_green = page.locator("#file-verdict.verdict-ok").count()
    is_offered = page.get_by_label("File of the commitment").is_visible()
    page.get_by_label("Choose or drop the PDF").set_input_files(str(changed))
    page.get_by_text("is not the one that was issued").wait_for()

    assert (is_green, is_offered) == (1, False)
    assert page.locator("#file-verdict.verdict-danger").count() == 1
    # The proof and the keys are fetched; nothing leaves.
    assert [(url, body) for url, body in sent if body is not None or "genuine" in url] == []
    assert any(url.endswith(".tlog-proof") for url, _body in sent)
    found = {}
    for path in ("/v/", address(first), address(second), f"/v/{first.number}"):
        for language, width, dark in LOOKS:
            other = open_page(None, path, language=language, width=width, dark=dark)
            found[path, language, width] = (overflow(other), violations(other), small_targets(other, 44))
    assert found == dict.fromkeys(found, (0, [], []))


MUTATIONS = [
    ("index ", lambda lines: [line.replace("index 1", "index 2") for line in lines], "does not hold"),
    ("path", lambda lines: [*lines[:3], "A" * 43 + "=", *lines[4:]], "does not hold"),
    ("size", lambda lines: ["3" if line == "2" else line for line in lines], "does not hold"),
    (
        "signature",
        lambda lines: [line[:-9] + "A" * 7 + "==" if line[:1] == "\u2014" else line for line in lines],
        "",
    ),
    ("nothing", lambda lines: lines, "checked signature and log itself"),
]


def test_the_browser_itself_refuses_a_proof_that_does_not_hold(open_page, tmp_path):
    promise = make_filed()
    file = tmp_path / "paper.pdf"
    file.write_bytes(paper_of(promise))
    page = open_page(None, address(promise), strict=False)
    found = {}

    for name, change, _words in MUTATIONS:

        def bent(route, _request, change=change):
            answer = route.fetch()
            route.fulfill(response=answer, body="\n".join(change(answer.text().split("\n"))))

        page.route("**/*.tlog-proof", bent)
        page.get_by_label("Choose or drop the PDF").set_input_files([])
        page.get_by_label("Choose or drop the PDF").set_input_files(str(file))
        page.locator(
            "#file-verdict.verdict-ok, #file-verdict.verdict-danger, #file-verdict.verdict-stale"
        ).wait_for()
        found[name] = page.locator("#file-verdict").inner_text()
        page.unroute("**/*.tlog-proof")
        page.evaluate("document.getElementById('file-verdict').className = ''")

    for name, _change, words in MUTATIONS:
        assert (words or "does not hold") in found[name], name


def own_verdict(page) -> str:
    page.locator("#own-verdict.verdict-ok, #own-verdict.verdict-danger").wait_for()
    return page.locator("#own-verdict").inner_text()


def test_the_browser_checks_the_page_itself_and_remembers_the_log(open_page):
    promise = make_filed()
    page = open_page(None, address(promise))
    first = own_verdict(page)
    remembered = page.evaluate("Object.values(localStorage)")
    for _time in range(3):
        make_filed()

    page.reload()

    assert "Checked by this browser itself" in first
    assert "Checked by this browser itself" in own_verdict(page)
    # Two entries by the first look (the beginning and this one); five by the second, which continue them.
    assert [json.loads(one)["size"] for one in remembered] == [2]
    assert [json.loads(one)["size"] for one in page.evaluate("Object.values(localStorage)")] == [5]


FORGET = "for (const name of Object.keys(localStorage)) localStorage[name] = JSON.stringify({change})"


@pytest.mark.parametrize(
    "change",
    [
        "{size: 2, root: 'ab'.repeat(32)}",
        "{size: 1, root: 'ab'.repeat(32)}",
        "{size: 9, root: JSON.parse(localStorage[name]).root}",
    ],
    ids=["same size", "smaller", "larger"],
)
def test_a_log_that_does_not_continue_what_this_browser_saw_turns_red(open_page, tmp_path, change):
    promise = make_filed()
    file = tmp_path / "paper.pdf"
    file.write_bytes(paper_of(promise))
    page = open_page(None, address(promise))
    own_verdict(page)
    page.evaluate(FORGET.replace("{change}", change))

    page.reload()

    assert "another history" in own_verdict(page)
    page.get_by_label("Choose or drop the PDF").set_input_files(str(file))
    page.locator("#file-verdict.verdict-danger").wait_for()
    assert "another history" in page.locator("#file-verdict").inner_text()


def test_without_scripts_the_page_says_the_same_and_offers_no_local_check(open_page):
    promise = make_filed()

    page = open_page(None, address(promise), width=390, javascript=False)

    assert page.get_by_role("status").first.inner_text().strip().startswith("Genuine, date passed")
    assert page.get_by_text(promise.file.sha256).is_visible()
    assert not page.get_by_label("Choose or drop the PDF").is_visible()

    page.get_by_label("File of the commitment").set_input_files(str(promise.file.full_path))
    page.get_by_role("button", name="Send and check the file").click()
    page.wait_for_load_state()

    assert page.get_by_text("byte for byte, the one that was issued").is_visible()
    assert page.get_by_role("status").first.inner_text().strip().startswith("Genuine, date passed")


def test_where_the_browser_cannot_compute_nothing_turns_green(open_page, tmp_path):
    promise = make_filed()
    page = open_page(None, address(promise))
    # As on a page over plain http, where browsers give scripts no cryptography.
    page.add_init_script("Object.defineProperty(window, 'crypto', {value: {}})")
    page.reload()

    page.get_by_text("This browser cannot check files").wait_for()

    assert page.locator("#file-verdict.verdict-ok").count() == 0
    assert not page.get_by_label("Choose or drop the PDF").is_visible()
    assert page.get_by_label("File of the commitment").is_visible()


def test_the_script_judges_genuine_and_mutated_cases_as_the_command_does(chromium):
    """Thirty of each; script/bench verify puts a thousand of each to it."""
    world = World(seed=11)

    found = list(verdicts(chromium.new_page(), world, 30))

    assert len(found) == 60
    assert [put.case.name for put, is_green in found if is_green != (put.case.exit == 0)] == []
