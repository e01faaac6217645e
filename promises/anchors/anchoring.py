"""Has the newest head of each log anchored by each service that is set up. What fails is asked for again, later and later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

import requests
from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext

from orders import tasks
from orders.models import Todo
from promises.anchors.models import Anchor
from promises.anchors.services import NoReceipt, Receipt, Service, services
from promises.ledger import reading
from promises.ledger.models import Checkpoint, TransparencyLog

logger = logging.getLogger(__name__)

WORK = "anchors"
# Waits before the second, third ... attempt; after the last one a later head takes its place.
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
# Between our clock and the authority's: commitments.md A12.
SKEW = timedelta(seconds=60)
# A receipt that is not complete by then will not be.
GIVEN_UP_AFTER = timedelta(days=14)
OWNER = "ops_manager"
SKEWED, SILENT = "ledger:skew", "ledger:silent"
# Between the sweep's look and the worker's, nothing is asked twice: rows are made by the worker alone.
Kind, State = Anchor.Kind, Anchor.State


def sweep() -> None:
    """The steward's part: have the worker ask when a receipt is due."""
    if any(_due(now())):
        tasks.hint(WORK)


def work() -> None:
    """The worker's part."""
    tasks.take(WORK)
    at = now()
    for service, head in list(_due(at)):
        anchor_head(service, head, at)
    tasks.finish(WORK)


def _due(at: datetime) -> Iterator[tuple[Service, Checkpoint]]:
    """Heads to be anchored now: those that wait for another attempt, else the newest one a while after the last."""
    used = [one for one in services().values() if one.is_set_up()]
    logs = list(TransparencyLog.objects.filter(is_demo=False).order_by("pk")) if used else []
    for service, log in product(used, logs):
        anchors = Anchor.objects.filter(checkpoint__log=log, kind=service.kind)
        waiting = list(anchors.filter(state=State.PENDING).select_related("checkpoint").order_by("pk"))
        for row in waiting:
            if row.not_before is None or row.not_before <= at:
                yield service, row.checkpoint
        # One without any answer is asked for before a newer one is; one that has only to be completed holds up nobody.
        if any(not row.receipt for row in waiting) or anchors.filter(made_at__gt=at - service.every).exists():
            continue
        head = reading.newest(log)
        if head is not None and not anchors.filter(checkpoint=head).exists():
            yield service, head


def anchor_head(service: Service, head: Checkpoint, at: datetime) -> Anchor:
    """One attempt for one head: a first question, or one for what the first answer left open."""
    row, _made = Anchor.objects.get_or_create(
        checkpoint=head, kind=service.kind, defaults={"made_at": at, "is_demo": head.is_demo}
    )
    if row.state != State.PENDING:
        return row
    try:
        if row.receipt:
            _take(row, service, service.upgrade(bytes(row.receipt), head.note), at)
        else:
            row.attempts += 1
            _take(row, service, service.submit(head.note), at)
    except (requests.RequestException, NoReceipt) as error:
        _put_off(row, service, str(error), at)
    row.save()
    _mind_silence(row, at)
    return row


def _take(row: Anchor, service: Service, receipt: Receipt, at: datetime) -> None:
    row.receipt, row.error = receipt.data, ""
    if receipt.said is None:
        row.not_before = at + service.patience
        if at - row.made_at > GIVEN_UP_AFTER:
            row.state, row.not_before = State.FAILED, None
        return
    row.state, row.not_before = State.ANCHORED, None
    row.at, row.facts = receipt.said.at, receipt.said.facts
    if service.kind == Kind.RFC3161 and receipt.said.at is not None:
        # The others state when a block was made, hours after they were asked.
        _mind_clock(receipt.said.at, now())


def _put_off(row: Anchor, service: Service, error: str, at: datetime) -> None:
    logger.warning("No %s receipt over %s: %s", service.kind, row.checkpoint, error)
    row.error = error[:200]
    if row.receipt and at - row.made_at <= GIVEN_UP_AFTER:
        row.not_before = at + service.patience
    elif row.receipt or row.attempts > len(WAITS):
        row.state, row.not_before = State.FAILED, None
    else:
        row.not_before = at + WAITS[row.attempts - 1]


def _mind_clock(stated: datetime, at: datetime) -> None:
    """One open to-do as long as our clock and the authority's differ."""
    if abs(at - stated) <= SKEW:
        _over(SKEWED, at)
        return
    logger.error("The clock of this machine is %s ahead of the time-stamp authority's", at - stated)
    text = gettext(
        "The clock of this machine and the time-stamp authority's are %(seconds)s seconds apart. Check the time "
        "service of the machine: promises carry its time."
    )
    _ask(SKEWED, text % {"seconds": round(abs((at - stated).total_seconds()))}, at)


def _mind_silence(row: Anchor, at: datetime) -> None:
    """One open to-do for each service that has left a head without a receipt, until it gives the next one."""
    subject = f"{SILENT}:{row.kind}"
    if row.state == State.ANCHORED:
        _over(subject, at)
    elif row.state == State.FAILED:
        text = gettext(
            "%(service)s has given no receipt over the log, in %(n)s attempts: %(error)s. Check its address and "
            "whether this machine reaches it; commitments are issued meanwhile, only without its word."
        )
        words = {"service": row.get_kind_display(), "n": row.attempts, "error": row.error[:100]}
        _ask(subject, text % words, at)


def _ask(subject: str, text: str, at: datetime) -> None:
    if not _asked(subject).exists():
        Todo.objects.create(
            kind=Todo.Kind.REQUEST, subject=subject, text=text[:300], owner=OWNER, opened_at=at
        )


def _over(subject: str, at: datetime) -> None:
    _asked(subject).update(done_at=at, outcome="over")


def _asked(subject: str) -> QuerySet[Todo]:
    return Todo.objects.filter(order=None, kind=Todo.Kind.REQUEST, done_at=None, subject=subject)
