"""Alarms of a log: one to-do for the operations manager, a line in the log of the house, and a mark on the log's row."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext

from orders.models import Todo
from promises.ledger.models import LogPending, TransparencyLog

logger = logging.getLogger(__name__)

OWNER = "ops_manager"


def set_off(log: TransparencyLog, alarm: TransparencyLog.Alarm, what: str, at: datetime) -> None:
    """Raise this alarm, once as long as it lasts. what: the facts, in English, for the log of the house."""
    if not TransparencyLog.objects.filter(pk=log.pk).exclude(alarm=alarm).update(alarm=alarm, alarm_at=at):
        return
    logger.error("The log %s: %s (%s)", log.origin, alarm.value, what)
    if _open(log).filter(subject=_subject(log, alarm)).exists():
        return
    Todo.objects.create(
        kind=Todo.Kind.REQUEST,
        subject=_subject(log, alarm),
        text=_words(log, alarm)[:300],
        owner=OWNER,
        opened_at=at,
        is_demo=log.is_demo,
    )


def look(log: TransparencyLog, at: datetime) -> None:
    """All could be written: any alarm is over, except where entries have waited for too long."""
    late = at - timedelta(seconds=log.mmd)
    if LogPending.objects.filter(log=log, index=None, queued_at__lt=late).exists():
        set_off(log, TransparencyLog.Alarm.LATE, "entries wait longer than promised", at)
        return
    if TransparencyLog.objects.filter(pk=log.pk).exclude(alarm="").update(alarm="", alarm_at=None):
        _open(log).update(done_at=at, outcome="over")


def _open(log: TransparencyLog) -> models.QuerySet[Todo]:
    return Todo.objects.filter(
        order=None, kind=Todo.Kind.REQUEST, done_at=None, subject__startswith=_subject(log, "")
    )


def _subject(log: TransparencyLog, alarm: str) -> str:
    return f"ledger:{log.purpose}:{alarm}"


def _words(log: TransparencyLog, alarm: TransparencyLog.Alarm) -> str:
    match alarm:
        case TransparencyLog.Alarm.ROLLED_BACK:
            text = gettext(
                "The database is older than what was signed in the log %(log)s. Nothing is signed any more. Restore "
                "the newest backup; docs/commitments.md says what remains if there is none."
            )
        case TransparencyLog.Alarm.DAMAGED:
            text = gettext(
                "What is stored is not what was signed in the log %(log)s. Nothing is signed any more. Run "
                "manage.py log_monitor: it names the entry. Then restore that row from a backup."
            )
        case TransparencyLog.Alarm.CLOCK:
            text = gettext(
                "The machine's clock is earlier than the last entry of the log %(log)s. Nothing is signed until it "
                "is right again. Check the time service of the machine."
            )
        case TransparencyLog.Alarm.KEY:
            text = gettext(
                "The key of the log %(log)s is missing. Nothing is signed. Put the key files back from their backup."
            )
        case _:
            text = gettext(
                "Entries of the log %(log)s wait longer than promised. Check that the steward runs, and its log."
            )
    return text % {"log": log.origin}
