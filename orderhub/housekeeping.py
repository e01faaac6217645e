"""What is thrown away, and when: bodies of old messages, old idempotency keys, ended sessions, old failures of the queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django_q.models import Task

from integrations.files import forget_uploads
from integrations.models import IdempotencyKey, InboundMessage

BATCH = 1000
READ = (InboundMessage.State.DONE, InboundMessage.State.DISCARDED)


def tidy(at: datetime) -> dict[str, int]:
    """Throw away what has been kept long enough; returns how many of each."""
    return {
        "bodies": empty_bodies(at),
        "keys": _drop(IdempotencyKey.objects.filter(made_at__lt=at - settings.IDEMPOTENCY_KEPT_FOR)),
        "uploads": forget_uploads(at - settings.BODY_KEPT_FOR),
        "sessions": _drop(Session.objects.filter(expire_date__lt=at)),
        "failures": _drop(Task.objects.filter(stopped__lt=at - settings.BODY_KEPT_FOR)),
        "logins": _drop(AccessLog.objects.filter(attempt_time__lt=at - settings.FAILED_BODY_KEPT_FOR))
        + _drop(AccessFailureLog.objects.filter(attempt_time__lt=at - settings.FAILED_BODY_KEPT_FOR))
        + _drop(AccessAttempt.objects.filter(attempt_time__lt=at - settings.FAILED_BODY_KEPT_FOR)),
    }


def empty_bodies(at: datetime) -> int:
    """Empty the bodies of messages that were read, after a month; of failed ones after three. The rows stay: they are
    what recognises a message that comes a second time. What still waits to be read is never touched."""
    old = Q(state__in=READ, received_at__lt=at - settings.BODY_KEPT_FOR)
    old |= Q(state=InboundMessage.State.FAILED, received_at__lt=at - settings.FAILED_BODY_KEPT_FOR)
    found = InboundMessage.objects.filter(old).exclude(body="")
    total = 0
    while pks := list(found.values_list("pk", flat=True)[:BATCH]):
        total += InboundMessage.objects.filter(pk__in=pks).update(body="")
    return total


def _drop(found: QuerySet[Any]) -> int:
    """Delete in batches, so that no transaction keeps the writers waiting for long."""
    total = 0
    while pks := list(found.values_list("pk", flat=True)[:BATCH]):
        total += found.model._base_manager.filter(pk__in=pks).delete()[0]
    return total
