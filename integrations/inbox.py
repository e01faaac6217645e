"""Where everything from outside is put down first: once per connection and key, before anybody looks at it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection as database
from django.db import models, transaction

from integrations.canonical import Problem
from integrations.models import Connection, InboundMessage
from integrations.told import row_of
from integrations.told import told as _
from orders import tasks

MAX_KEY = 160
ACCEPTED, DUPLICATE, REFUSED = "accepted", "duplicate", "refused"

# Rows per statement: SQLite takes 32,766 values in one, and a row has 15.
ROWS_AT_ONCE = 500
# One hint wakes the worker for everything that waits, so a stream of requests need not knock each time.
HINT_EVERY = 0.2

NO_ERRORS: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came in.

    remote_key: the sender's own name for it, at most MAX_KEY signs. digest: the same for the same content, whatever
    the key. errors: what was found wrong at the door; such a message is kept for the operator, not processed.
    run_id, run_row: where in a file it stood.
    """

    remote_key: str
    form: str
    body: str
    digest: str
    errors: tuple[Problem, ...] = ()
    run_id: int | None = None
    run_row: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one arrival: ACCEPTED, DUPLICATE of the message named, or REFUSED for the errors named."""

    remote_key: str
    result: str
    message_id: int | None = None
    errors: tuple[Problem, ...] = ()


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def receive(connection: Connection, arrivals: Sequence[Arrival], received_at: datetime) -> list[Receipt]:
    """Put down every arrival, exactly once however often and by however many senders at once it comes.

    Returns one receipt per arrival, in their order. The same key with other content is refused; both are kept.
    A key that cannot be stored is refused and the message is kept under its digest.
    """
    arrivals = [_checked(arrival) for arrival in arrivals]
    first: dict[str, Arrival] = {}
    for arrival in arrivals:
        first.setdefault(_stored_key(arrival), arrival)
    with transaction.atomic():
        new = _put_down(connection, first, received_at)
        receipts = _receipts(connection, arrivals, first, new)
        reused = {
            _set_aside_key(arrival): arrival
            for arrival, receipt in zip(arrivals, receipts, strict=True)
            if receipt.result == REFUSED and not arrival.errors
        }
        if reused:
            _put_down(connection, reused, received_at, errors=(_key_reused(),))
        if any(receipt.result == ACCEPTED for receipt in receipts):
            transaction.on_commit(_hint)
    return receipts


def key_problem(key: str) -> str:
    """Why this cannot be a key, in words for the sender; "" if it can."""
    if not key:
        return _("must not be empty")
    if len(key) > MAX_KEY:
        return _("is %(length)d signs long; at most %(most)d are kept") % {
            "length": len(key),
            "most": MAX_KEY,
        }
    if not key.isprintable():
        return _("contains a control character")
    return ""


def _key_reused() -> Problem:
    return Problem("key", _("this key was used before for other content; give each report a key of its own"))


def _checked(arrival: Arrival) -> Arrival:
    error = key_problem(arrival.remote_key)
    if not error:
        return arrival
    return Arrival(
        remote_key="",
        form=arrival.form,
        body=arrival.body,
        digest=arrival.digest,
        errors=(*arrival.errors, Problem("key", error)),
        run_id=arrival.run_id,
        run_row=arrival.run_row,
    )


def _stored_key(arrival: Arrival) -> str:
    return _set_aside_key(arrival) if arrival.errors else arrival.remote_key


def _set_aside_key(arrival: Arrival) -> str:
    """Refused messages leave their key free for the mended one, and are kept once however often they come."""
    return f"{arrival.remote_key[: MAX_KEY - 17]}#{arrival.digest[:16]}"


def _put_down(
    connection: Connection,
    arrivals: dict[str, Arrival],
    received_at: datetime,
    *,
    errors: tuple[Problem, ...] = (),
) -> dict[str, int]:
    """Ids of the messages that were not there before, by stored key."""
    rows = [
        _message(connection, key, arrival, received_at, errors or arrival.errors)
        # Always in the same sequence: two senders of the same keys must not wait for each other in a ring.
        for key, arrival in sorted(arrivals.items())
    ]
    return {key: pk for pk, key in insert_new(rows, returning=("id", "remote_key"))}


def _message(
    connection: Connection,
    key: str,
    arrival: Arrival,
    received_at: datetime,
    errors: tuple[Problem, ...],
) -> InboundMessage:
    return InboundMessage(
        connection=connection,
        remote_key=key,
        form=arrival.form,
        body=arrival.body,
        digest=arrival.digest,
        received_at=received_at,
        state=InboundMessage.State.FAILED if errors else InboundMessage.State.WAITING,
        processed_at=received_at if errors else None,
        errors=[row_of(problem) for problem in errors] or NO_ERRORS,
        run_id=arrival.run_id,
        run_row=arrival.run_row,
        is_demo=connection.is_demo,
    )


def _receipts(
    connection: Connection, arrivals: Sequence[Arrival], first: dict[str, Arrival], new: dict[str, int]
) -> list[Receipt]:
    known = _known(connection, [key for key in first if key not in new])
    receipts = []
    for arrival in arrivals:
        key = _stored_key(arrival)
        if arrival.errors:
            receipts.append(Receipt(arrival.remote_key, REFUSED, new.get(key), arrival.errors))
        elif key in new and first[key] is arrival:
            receipts.append(Receipt(key, ACCEPTED, new[key]))
        else:
            pk, digest = (new[key], first[key].digest) if key in new else known[key]
            is_same = digest == arrival.digest
            errors = () if is_same else (_key_reused(),)
            receipts.append(Receipt(key, DUPLICATE if is_same else REFUSED, pk, errors))
    return receipts


def _known(connection: Connection, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
    wanted = list(keys)
    found: dict[str, tuple[int, str]] = {}
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        rows = InboundMessage.objects.filter(
            connection=connection, remote_key__in=wanted[start : start + ROWS_AT_ONCE]
        )
        for key, pk, digest in rows.values_list("remote_key", "pk", "digest"):
            found[key] = (pk, digest)
    return found


def insert_new(rows: Sequence[models.Model], *, returning: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Insert the rows that break no unique constraint; the columns named of those that went in.

    bulk_create can ignore conflicts or return rows, not both, and only the database can say which of two senders
    at the same moment was first. PostgreSQL and SQLite share this statement.
    """
    found: list[tuple[Any, ...]] = []
    with database.cursor() as cursor:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            sql, values = _insert(rows[start : start + ROWS_AT_ONCE], returning)
            cursor.execute(sql, values)
            found += cursor.fetchall()
    return found


def _insert(rows: Sequence[models.Model], returning: tuple[str, ...]) -> tuple[str, list[Any]]:
    meta = rows[0]._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    quote = database.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    # Names of our own tables and columns, never anything from outside.
    sql = (
        f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES {', '.join([one] * len(rows))} "  # noqa: S608
        f"ON CONFLICT DO NOTHING RETURNING {', '.join(quote(name) for name in returning)}"
    )
    values = zip(*(_column(field, rows) for field in fields), strict=True)
    return sql, [value for row in values for value in row]


def _column(field: models.Field[Any, Any], rows: Sequence[models.Model]) -> list[Any]:
    """The column as the database takes it. Most columns of a batch hold one value, made ready once."""
    ready: list[Any] = []
    last, made = object(), None
    for row in rows:
        value = getattr(row, field.attname)
        if value is not last:
            last, made = value, field.get_db_prep_save(value, connection=database)
        ready.append(made)
    return ready


_hinted = 0.0


def _hint() -> None:
    # One number per process; losing a race costs one hint.
    global _hinted
    moment = time.monotonic()
    if moment - _hinted >= HINT_EVERY:
        _hinted = moment
        tasks.hint("inbox")
