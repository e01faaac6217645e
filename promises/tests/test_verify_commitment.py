"""The command, the stand-alone file and the verdict agree, and all of them are right."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command

from promises import token
from promises.tests.cases import MUTATED, World, cases
from promises.tests.factories_commitments import issued
from promises.tests.factories_verification import make_chain, make_filed, paper_of, write_log
from promises.tests.smalllog import DAY, Promised, SmallLog, number
from promises.verification import checking, verify
from promises.verification.given import Wish

AS_OF = 1_766_000_000


def run(*subjects: str, **options) -> tuple[int, dict]:
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify_commitment", *subjects, json=True, stdout=out, **options)
    return ended.value.code, json.loads(out.getvalue() or "{}")


def alone(*arguments: str) -> tuple[int, dict]:
    out = io.StringIO()
    with redirect_stdout(out):
        code = verify.main([*arguments, "--json"])
    return code, json.loads(out.getvalue() or "{}")


def answers(report) -> dict:
    return {name: ok for name, (ok, _what) in report.checks.items()}


def test_100_genuine_and_100_mutated_are_judged_alike_and_rightly(tmp_path):
    world = World(seed=5)
    trust = verify.Trust()
    verify.read_policy(world.log.policy(), trust)
    found, wanted = {}, {}

    for n, case in enumerate(cases(100, world)):
        names = list(case.texts)
        for name, content in case.files:
            file = tmp_path / f"{n}-{name}"
            file.write_bytes(content)
            names.append(str(file))
        ours = checking.check(names, Wish(trust, as_of=AS_OF))
        theirs = verify.verify(names, verify.Wish(trust, as_of=AS_OF))
        found[n] = (case.name, ours.exit, theirs.exit)
        wanted[n] = (case.name, case.exit, case.exit)
        assert answers(ours) == answers(theirs), case.name
        assert (ours.promise, ours.log) == (theirs.promise, theirs.log), case.name

    assert found == wanted
    assert len({name for name, _ours, _theirs in found.values()}) > len(MUTATED)


@pytest.mark.parametrize(
    "what", ["same", "fork", "grown", "grown with proof", "grown with entries", "rewritten"]
)
def test_both_remember_and_follow_a_log_alike(tmp_path, what):
    log = SmallLog()
    promise = Promised(log)
    log.issue(promise)
    reports = []
    for name, check, wish in (
        ("ours", checking.check, Wish),
        ("theirs", verify.verify, verify.Wish),
    ):
        trust = verify.Trust()
        verify.read_keys(log.keys(), trust)
        state = verify.State(tmp_path / name)
        first = tmp_path / "first.tlog-proof"
        first.write_text(log.proof(1))
        check([str(first)], wish(trust, state))
        later = SmallLog()
        later.issue(promise, **({"due": promise.said["due"] + DAY} if what in {"fork", "rewritten"} else {}))
        if what not in {"same", "fork"}:
            later.issue(Promised(later, no=number(3)))
        second, entries = tmp_path / "second.tlog-proof", tmp_path / "entries.jsonl"
        since = 2 if what in {"grown with proof", "rewritten"} else None
        second.write_text(later.proof(1, since=since))
        entries.write_bytes(later.jsonl())
        more = {"entries": entries} if what in {"grown with entries"} else {}
        reports.append(check([str(second)], wish(trust, state, as_of=AS_OF, **more)))

    ours, theirs = reports

    assert answers(ours) == answers(theirs)
    assert (ours.exit, ours.misbehaviour, ours.statistics) == (
        theirs.exit,
        theirs.misbehaviour,
        theirs.statistics,
    )
    wanted = {
        "same": 0,
        "fork": 3,
        "grown": 2,
        "grown with proof": 0,
        "grown with entries": 0,
        "rewritten": 1,
    }
    assert ours.exit == wanted[what]
    assert bool(list((tmp_path / "ours").glob("misbehaviour-*.txt"))) == (what == "fork")


def test_both_find_a_code_that_was_never_logged(tmp_path):
    log = SmallLog()
    promise, unlogged = Promised(log), Promised(log, no=number(8))
    log.issue(promise)
    log.add("revoke", ts=unlogged.said["issued_at"] + 601, key="00000000", size=1)
    (tmp_path / "entries").write_bytes(log.jsonl())
    trust = verify.Trust()
    verify.read_keys(log.keys(), trust)
    more = {"entries": tmp_path / "entries", "checkpoint": log.head(), "as_of": AS_OF}

    ours = checking.check([unlogged.text], Wish(trust, **more))
    theirs = verify.verify([unlogged.text], verify.Wish(trust, **more))

    assert ours.misbehaviour == theirs.misbehaviour
    assert (ours.exit, theirs.exit) == (3, 3)


@pytest.fixture
def _house(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    settings.KEY_DIR = tmp_path
    settings.LEDGER_DIR = tmp_path / "ledger"


@pytest.mark.usefixtures("_house")
def test_the_house_itself_completes_what_it_is_given(tmp_path):
    promise = make_filed()
    file = promise.file.full_path
    changed = tmp_path / "changed.pdf"
    changed.write_bytes(paper_of(promise) + b" ")

    assert run(str(file))[0] == 0
    assert run(token.to_text(bytes(promise.token)))[0] == 0
    code, said = run(str(changed))
    assert code == 1
    assert [one["name"] for one in said["checks"] if one["ok"] is False] == ["file"]


@pytest.mark.usefixtures("_house")
def test_a_paper_as_it_is_really_printed_is_opened_and_true(tmp_path):
    promise = issued()
    write_log(1)
    changed = tmp_path / "changed.pdf"
    content = bytearray(paper_of(promise))
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)

    code, said = run(str(promise.file.full_path))

    assert code == 0
    checked = {one["name"]: one["ok"] for one in said["checks"]}
    assert (checked["attachment"], checked["token"]) == (True, True)
    assert run(str(changed))[0] == 1


@pytest.mark.usefixtures("_house")
def test_an_old_version_is_genuine_and_said_to_be_replaced():
    first, _second = make_chain(date(2026, 6, 8))

    code, said = run(str(first.file.full_path))

    assert code == 0
    assert said["promise"]["state"] == "superseded"
    assert said["promise"]["replaced_by"] == 2


@pytest.mark.usefixtures("_house")
def test_what_is_not_logged_yet_is_incomplete_and_what_is_not_ours_false(tmp_path):
    promise = make_filed(logged=False)
    foreign = tmp_path / "foreign.pdf"
    foreign.write_bytes(Promised(SmallLog()).pdf)

    assert run(str(promise.file.full_path))[0] == 2
    assert run(str(foreign))[0] == 1
    assert run(Promised(SmallLog()).text)[0] == 1


@pytest.mark.usefixtures("_house")
def test_with_the_keys_of_somebody_the_command_answers_as_the_file_alone_does(tmp_path):
    promise = make_filed()
    paper = str(promise.file.full_path)
    stranger = tmp_path / "stranger.txt"
    stranger.write_text(SmallLog(log_seed=30, token_seed=31).keys())
    code, said = run(paper, keys=[stranger])
    by_file, also = alone(paper, "--keys", str(stranger))

    assert (code, by_file) == (2, 2)
    assert [one["name"] for one in said["checks"]] == [one["name"] for one in also["checks"]]


def test_without_anything_to_check_the_command_says_what_it_wants(capsys):
    with pytest.raises(SystemExit) as ended:
        call_command("verify_commitment")

    assert ended.value.code == 2
    assert "Name a PDF, a proof file or a code." in capsys.readouterr().err


def test_the_file_alone_is_small_enough_to_be_read():
    """Three hundred lines of it read time stamps, which would otherwise take a program of somebody else."""
    assert len(Path(verify.__file__).read_text().splitlines()) < 1850
