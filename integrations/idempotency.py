"""The same request twice gets the same answer: Idempotency-Key, kept for a week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from integrations.inbox import insert_new
from integrations.models import Connection, IdempotencyKey

MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, to the byte."""

    status: int
    text: str
    is_replayed: bool = False


class KeyReused(Exception):
    """The key came with another request before."""


def once(connection: Connection, key: str, digest: str, at: datetime, act: Callable[[], Answer]) -> Answer:
    """Act and keep the answer, or give the answer that was kept. digest: the same for the same request.

    The row goes in first, in the transaction of the act itself: of any number of senders at one moment one acts,
    the others wait for its commit and read its answer; if it fails, nothing of it is left and the next one acts.

    Raises KeyReused if the key was kept for another digest.
    """
    with transaction.atomic():
        row = IdempotencyKey(connection=connection, key=key, digest=digest, made_at=at)
        new = insert_new([row], returning=("id",))
        if not new and not _take_over(connection, key, digest, at):
            return _kept(connection, key, digest)
        answer = act()
        rows = IdempotencyKey.objects.filter(connection=connection, key=key)
        rows.update(status=answer.status, answer={"text": answer.text})
    return answer


def _take_over(connection: Connection, key: str, digest: str, at: datetime) -> bool:
    """True if the row's week was over and it is ours now."""
    rows = IdempotencyKey.objects.filter(
        connection=connection, key=key, made_at__lt=at - settings.IDEMPOTENCY_KEPT_FOR
    )
    return bool(rows.update(digest=digest, made_at=at))


def _kept(connection: Connection, key: str, digest: str) -> Answer:
    row = IdempotencyKey.objects.get(connection=connection, key=key)
    if row.digest != digest:
        raise KeyReused(key)
    return Answer(row.status, row.answer["text"], is_replayed=True)


def forget(at: datetime) -> int:
    """Delete the answers whose week is over. Returns how many."""
    n_rows, _per_model = IdempotencyKey.objects.filter(
        made_at__lt=at - settings.IDEMPOTENCY_KEPT_FOR
    ).delete()
    return n_rows
