"""Issuers that are killed, and issuers that meet: real processes on the test database."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.conf import settings as house

from orders.models import Order
from orders.tests.factories import after
from orders.tests.processes import at_once
from promises.commitments import asking, issuing, papers
from promises.commitments.models import IssueRequest, Promise, PromiseFile
from promises.commitments.refusals import NotIssued
from promises.ledger import writing
from promises.ledger.models import LogPending
from promises.tests.factories_commitments import issued, make_promised_order

pytestmark = pytest.mark.django_db(transaction=True)
AT = after(1)
# Every marked point between the draw and the answer, as the calls and returns of the functions that stand there.
POINTS = (
    "return drawn",
    "return rendered",
    "call keep",
    "return keep",
    "call _row",
    "return _tell_house",
    "call BaseDatabaseWrapper._commit",
    "return BaseDatabaseWrapper._commit",
    "call is_named",
    "return store",
)
# A function that a frame below it also has a name for is told apart by its file.
FILES = ("promises/commitments/", "django/db/backends/base/base.py")
# How often a process dies at each point; 25 take a quarter of an hour.
DEATHS = int(os.environ.get("ORDERHUB_DEATHS", "1"))


def dirs() -> dict[str, str]:
    return {name: str(getattr(house, name)) for name in ("DOCUMENT_DIR", "LEDGER_DIR", "LEDGER_KEY_DIR")}


def _move_in(places: dict[str, str]) -> None:
    for name, value in places.items():
        setattr(house, name, Path(value))


def _die_at(point: str) -> None:
    """From now on this process kills itself at that point."""
    event, name = point.split(" ", 1)

    def look(frame: FrameType, happened: str, _found: Any) -> None:
        code = frame.f_code
        if happened == event and code.co_qualname == name and any(part in code.co_filename for part in FILES):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)


def answer_and_die(request_id: int, point: str, places: dict[str, str]) -> None:
    _move_in(places)
    request = IssueRequest.objects.get(pk=request_id)
    if point.endswith("_commit"):
        # The log was begun in an earlier transaction: only the commit of the issue itself is meant.
        writing.log_of(is_demo=False, at=AT)
    _die_at(point)
    asking.answer(request, at=AT)


@pytest.mark.parametrize("point", POINTS * DEATHS)
def test_an_issuer_that_is_killed_leaves_all_or_nothing_and_the_next_one_finishes(point):
    order = make_promised_order()
    writing.log_of(is_demo=False, at=AT)
    request = asking.ask(order, by=None, at=AT)

    with pytest.raises(BrokenProcessPool):
        at_once(answer_and_die, [(request.pk, point, dirs())])

    n_left = Promise.objects.count()
    # Whatever may leave the house has its row, and with it its entry in the queue and its bytes on the disk.
    assert PromiseFile.objects.count() == LogPending.objects.filter(kind="issue").count() == n_left
    for file in PromiseFile.objects.all():
        assert papers.is_whole(file)
    request.refresh_from_db()
    assert (request.state == IssueRequest.State.ISSUED) == bool(n_left)

    if request.state == IssueRequest.State.ASKED:
        asking.answer(request, at=AT)
    promise = Promise.objects.get()
    papers.forget_strays(datetime(2100, 1, 1, tzinfo=UTC))
    found = [path.stem for path in Path(house.DOCUMENT_DIR).glob("*/*.pdf")]
    assert found == [promise.file.sha256] == [promise.pending.body["pdf"]]
    assert hashlib.sha256(promise.file.full_path.read_bytes()).hexdigest() == found[0]


def issue_here(order_id: int, wish: dict[str, Any], places: dict[str, str]) -> str:
    """In a process of its own: the version that was issued, or why not."""
    _move_in(places)
    try:
        promise = issuing.issue(Order.objects.get(pk=order_id), by=None, at=AT, **wish)
    except NotIssued as refused:
        return refused.code
    return f"v{promise.version}"


def test_issuers_at_once_give_one_commitment():
    order = make_promised_order()
    writing.log_of(is_demo=False, at=AT)

    answers = at_once(issue_here, [(order.pk, {}, dirs())] * 4)

    assert sorted(answers) == ["has_one"] * 3 + ["v1"]
    assert Promise.objects.count() == PromiseFile.objects.count() == 1
    assert LogPending.objects.filter(kind="issue").count() == 1


def test_two_who_move_one_date_give_one_next_version():
    promise = issued()
    moves = [
        (
            promise.order_id,
            {"due": datetime(2026, 6, day, 3, tzinfo=UTC), "rc": "STOCK", "asked_by": "seller"},
            dirs(),
        )
        for day in (8, 9, 10)
    ]

    answers = at_once(issue_here, moves)

    # Whoever comes after the first has been committed may move the date again, from what is promised then.
    n_versions = Promise.objects.count()
    assert sorted(answers) == ["changed"] * (4 - n_versions) + [f"v{n}" for n in range(2, n_versions + 1)]
    chain = list(Promise.objects.order_by("version").values_list("version", "supersedes__version", "state"))
    assert chain[0] == (1, None, Promise.State.SUPERSEDED)
    assert [one[1] for one in chain] == [None, *range(1, n_versions)]
    assert [one[2] for one in chain] == [Promise.State.SUPERSEDED] * (n_versions - 1) + [Promise.State.ACTIVE]
    assert date(2026, 6, 8) <= Promise.objects.get(state="active").due.date()
