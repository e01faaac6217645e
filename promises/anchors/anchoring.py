"""Has the newest head of each log stamped once an hour. What fails is asked for again, later and later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import requests
from django.conf import settings
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext

from orders import tasks
from orders.models import Todo
from promises.anchors import rfc3161
from promises.anchors.models import Anchor
from promises.ledger import reading
from promises.ledger.models import Checkpoint, TransparencyLog

logger = logging.getLogger(__name__)

WORK = "anchors"
EVERY = timedelta(hours=1)
# Waits before the second, third ... attempt; after the last one a later head takes its place.
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
# Between our clock and the authority's: commitments.md A12.
SKEW = timedelta(seconds=60)
OWNER = "ops_manager"
SKEWED = "ledger:skew"
# Between the sweep's look and the worker's, nothing is asked twice: rows are made by the worker alone.
Kind, State = Anchor.Kind, Anchor.State


def sweep() -> None:
    """The steward's part: have the worker ask when a stamp is due."""
    if settings.TSA_URL and any(_due(now())):
        tasks.hint(WORK)


def work() -> None:
    """The worker's part."""
    tasks.take(WORK)
    at = now()
    for head in list(_due(at)):
        anchor_head(head, at)
    tasks.finish(WORK)


def _due(at: datetime) -> Iterator[Checkpoint]:
    """Heads to be stamped now: those whose last attempt failed a while ago, else the newest one an hour after the last."""
    for log in TransparencyLog.objects.filter(is_demo=False).order_by("pk"):
        anchors = Anchor.objects.filter(checkpoint__log=log, kind=Kind.RFC3161)
        waiting = anchors.filter(state=State.PENDING).select_related("checkpoint").first()
        if waiting is not None:
            if waiting.not_before is None or waiting.not_before <= at:
                yield waiting.checkpoint
            continue
        if anchors.filter(made_at__gt=at - EVERY).exists():
            continue
        head = reading.newest(log)
        if head is not None and not anchors.filter(checkpoint=head).exists():
            yield head


def anchor_head(head: Checkpoint, at: datetime) -> Anchor:
    """One attempt for one head."""
    row, _made = Anchor.objects.get_or_create(
        checkpoint=head, kind=Kind.RFC3161, defaults={"made_at": at, "is_demo": head.is_demo}
    )
    if row.state != State.PENDING:
        return row
    row.attempts += 1
    try:
        receipt, stamp = rfc3161.ask(settings.TSA_URL, head.note, settings.TSA_ROOTS)
    except (requests.RequestException, rfc3161.NoStamp) as error:
        _put_off(row, str(error), at)
    else:
        row.receipt, row.state, row.at, row.error, row.not_before = (
            receipt,
            State.ANCHORED,
            stamp.at,
            "",
            None,
        )
        row.facts = {"serial": stamp.serial, "policy": stamp.policy}
        _mind_clock(stamp.at, now())
    row.save()
    return row


def _put_off(row: Anchor, error: str, at: datetime) -> None:
    logger.warning("No time stamp over %s: %s", row.checkpoint, error)
    row.error = error[:200]
    if row.attempts > len(WAITS):
        row.state, row.not_before = State.FAILED, None
    else:
        row.not_before = at + WAITS[row.attempts - 1]


def _mind_clock(stated: datetime, at: datetime) -> None:
    """One open to-do as long as our clock and the authority's differ."""
    open_ones = Todo.objects.filter(Q(order=None), kind=Todo.Kind.REQUEST, done_at=None, subject=SKEWED)
    if abs(at - stated) <= SKEW:
        open_ones.update(done_at=at, outcome="over")
        return
    logger.error("The clock of this machine is %s ahead of the time-stamp authority's", at - stated)
    if not open_ones.exists():
        seconds = round(abs((at - stated).total_seconds()))
        text = gettext(
            "The clock of this machine and the time-stamp authority's are %(seconds)s seconds apart. Check the time "
            "service of the machine: promises carry its time."
        )
        Todo.objects.create(
            kind=Todo.Kind.REQUEST,
            subject=SKEWED,
            text=(text % {"seconds": seconds})[:300],
            owner=OWNER,
            opened_at=at,
        )
