"""Import runs: a file is put down, unpacked, and read into the inbox in slices that may stop and go on anywhere."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils.timezone import now

from integrations import inbox
from integrations.canonical import Problem
from integrations.files.opening import MIB, FileRefused, Source, max_upload, recognised
from integrations.files.rows import rows_of
from integrations.files.unpacking import Packed, groups_by, packed, unpack
from integrations.mapping import BadDefinition, check, compiled
from integrations.mapping.readers import Compiled
from integrations.models import Connection, FieldMapping, ImportRowError, ImportRun, InboundMessage
from integrations.told import kept
from integrations.told import told as _
from orders import audit, tasks

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

State = ImportRun.State
OPEN = (State.WAITING, State.RUNNING)
CHUNK = 500
CHUNK_BYTES = 4 * MIB
SLICE_SECONDS = 5.0
# In ImportRun.position: everything is in the inbox; what remains is the worker's.
READ = -1


# Putting the file down.


def keep(file: IO[bytes]) -> str:
    """Store the bytes under their digest, readable by this account only; the digest.

    Raises FileRefused if they are more than IMPORT_MAX_BYTES.
    """
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = folder / f"{os.getpid()}-{time.monotonic_ns()}.part"
    digest = hashlib.sha256()
    size = 0
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stored:
            while block := file.read(MIB):
                size += len(block)
                if size > max_upload():
                    raise FileRefused(
                        _("The file is larger than %(size)d MB. Split it.") % {"size": max_upload() // MIB}
                    )
                digest.update(block)
                stored.write(block)
        part.replace(upload_path(digest.hexdigest()))
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


def upload_path(digest: str) -> Path:
    return Path(settings.UPLOAD_DIR) / digest


def unpacked_path(run: ImportRun) -> Path:
    return Path(settings.UPLOAD_DIR) / f"run-{run.pk}.rows"


def safe_name(name: str) -> str:
    """The last part of the sender's file name: shown to people, never used as a path."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(sign for sign in last if sign.isprintable())[-200:] or "file"


def source_of(digest: str, name: str) -> Source:
    """The stored file, recognised. Raises FileRefused."""
    return recognised(upload_path(digest), name)


def first_records(
    digest: str, name: str, mapping: FieldMapping, limit: int
) -> list[dict[str, Any] | list[dict[str, Any]]]:
    """The first messages of a stored file, as a trial run takes them.

    Raises FileRefused if the file cannot be read, BadDefinition if the mapping cannot be used.
    """
    return records_by(digest, name, compiled(mapping.definition), limit)


def records_by(
    digest: str, name: str, plan: Compiled, limit: int
) -> list[dict[str, Any] | list[dict[str, Any]]]:
    """first_records for a definition that may not be finished yet. Raises FileRefused."""
    found: list[dict[str, Any] | list[dict[str, Any]]] = []
    for group in groups_by(rows_of(source_of(digest, name)), plan):
        found.append(group.records if len(group.records) > 1 else group.records[0])
        if len(found) >= limit:
            break
    return found


# Runs.


def start_import(
    connection: Connection, mapping: FieldMapping, file: IO[bytes] | str, name: str, by: User | None
) -> ImportRun:
    """Put a file down as a run that waits for the worker. file: the open file, or the digest of one kept before.

    Raises FileRefused if the file is none that can be read, or the mapping is not the connection's.
    """
    if connection.mapping_id is None:
        connection.mapping = mapping
        connection.save(update_fields=["mapping"])
    elif connection.mapping_id != mapping.pk:
        raise FileRefused(
            _("“%(connection)s” translates with “%(mapping)s”. Choose that mapping, or another connection.")
            % {"connection": connection, "mapping": connection.mapping}
        )
    problems = check(mapping.definition)
    if problems:
        raise FileRefused(
            _("The field mapping “%(mapping)s” cannot be used: %(why)s")
            % {"mapping": mapping, "why": str(BadDefinition(problems))[:300]}
        )
    digest = file if isinstance(file, str) else keep(file)
    source_of(digest, safe_name(name))
    with transaction.atomic():
        run = ImportRun.objects.create(
            connection=connection,
            mapping=mapping,
            mapping_version=mapping.version,
            file_name=safe_name(name),
            digest=digest,
            started_by=by,
            started_at=now(),
        )
        audit.record("import.start", run, after={"file": run.file_name, "digest": digest})
        tasks.hint("imports")
    return run


def cancel(run: ImportRun) -> bool:
    """Stop reading in before the next chunk; what is in the inbox already stays. False if the run had ended."""
    with transaction.atomic():
        stopped = ImportRun.objects.filter(pk=run.pk, state__in=OPEN).update(
            state=State.CANCELLED, ended_at=now()
        )
        if stopped:
            audit.record("import.cancel", run)
    unpacked_path(run).unlink(missing_ok=True)
    return bool(stopped)


def work(seconds: float = SLICE_SECONDS) -> bool:
    """Carry the open runs forward for about so long. True if there is more to read in."""
    deadline = time.monotonic() + seconds
    for run in ImportRun.objects.filter(state__in=OPEN).order_by("id"):
        try:
            while advance(run.pk):
                if time.monotonic() >= deadline:
                    return True
            finish_if_settled(run.pk)
        except DatabaseError:
            # Busy or away: the run is taken up again from the place it remembers.
            raise
        except Exception as error:
            logger.exception("import %s failed", run.pk)
            _fail(run, _("The program failed on this file (%(what)s).") % {"what": type(error).__name__})
    return False


def advance(run_id: int) -> bool:
    """One step of one run: unpack the file, or read in one chunk. False when nothing is left to read in."""
    run = ImportRun.objects.select_related("connection", "mapping").get(pk=run_id)
    if run.state not in OPEN or run.position == READ:
        return False
    path = unpacked_path(run)
    try:
        if not path.exists():
            total = unpack(source_of(run.digest, run.file_name), run.mapping.definition, path)
            ImportRun.objects.filter(pk=run_id, state__in=OPEN).update(state=State.RUNNING, n_total=total)
            return True
        return _read_chunk(run_id, path)
    except (FileRefused, BadDefinition) as error:
        _fail(run, str(error))
    except FileNotFoundError:
        # Cancelled, or carried to its end, by another worker in this moment.
        if not upload_path(run.digest).exists():
            _fail(run, _("The uploaded file is no longer there. Upload it again."))
    return False


def _fail(run: ImportRun, error: str) -> None:
    ImportRun.objects.filter(pk=run.pk, state__in=OPEN).update(
        state=State.FAILED, error=error[:500], told=kept(error), ended_at=now()
    )
    unpacked_path(run).unlink(missing_ok=True)


def _read_chunk(run_id: int, path: Path) -> bool:
    """Put the next chunk into the inbox and remember the place, in one transaction: a worker that dies leaves both or none."""
    with transaction.atomic():
        # Locked, so that two workers at one run take turns and each goes on where the other stopped.
        run = ImportRun.objects.select_for_update(of=("self",)).select_related("connection").get(pk=run_id)
        if run.state not in OPEN or run.position == READ:
            return False
        with path.open("rb") as file:
            file.seek(run.position)
            rows = [packed(line) for line in _next_lines(file)]
            position = file.tell()
        if rows:
            _receive(run, rows, now())
        run.state = State.RUNNING
        run.position = position if rows else READ
        run.save(update_fields=["state", "position", "n_rows", "n_duplicates", "n_errors"])
    if not rows:
        path.unlink(missing_ok=True)
        tasks.hint("inbox")
    return bool(rows)


def _next_lines(file: IO[bytes]) -> Iterator[bytes]:
    size = 0
    for _number in range(CHUNK):
        line = file.readline()
        if not line:
            return
        yield line
        size += len(line)
        if size > CHUNK_BYTES:
            return


def _receive(run: ImportRun, rows: Sequence[Packed], at: datetime) -> None:
    good = [row for row in rows if not row.problems]
    arrivals = [_arrival(run, row) for row in good]
    receipts = inbox.receive(run.connection, arrivals, at)
    again = {
        receipt.message_id: row.row
        for receipt, row in zip(receipts, good, strict=True)
        if receipt.result == inbox.DUPLICATE and receipt.message_id
    }
    n_tried_again = _try_again(run, again)
    bad = [row for row in rows if row.problems]
    _keep_errors([(run.pk, row.row, row.body, row.problems) for row in bad])
    run.n_rows += sum(row.n_rows for row in rows)
    run.n_duplicates += sum(receipt.result == inbox.DUPLICATE for receipt in receipts) - n_tried_again
    run.n_errors += len(bad)


def _arrival(run: ImportRun, row: Packed) -> inbox.Arrival:
    """A row is known by its content and by the version of the mapping that reads it.

    So the same file again is seen before, and the same file after the mapping was mended is not.
    """
    digest = inbox.digest_of(row.body)
    key = f"row:{run.mapping_id}.{run.mapping_version}:{digest}"
    return inbox.Arrival(key, "row", row.body, digest, run_id=run.pk, run_row=row.row)


def _try_again(run: ImportRun, rows: dict[int, int]) -> int:
    """Rows that came before and failed are tried again under this run; how many."""
    failed = InboundMessage.objects.filter(pk__in=rows, state=InboundMessage.State.FAILED)
    messages = list(failed.select_for_update().only("pk"))
    for message in messages:
        InboundMessage.objects.filter(pk=message.pk).update(
            state=InboundMessage.State.WAITING,
            attempts=0,
            not_before=None,
            errors=[],
            run_id=run.pk,
            run_row=rows[message.pk],
        )
    return len(messages)


# What the worker found.


def note_outcomes(
    done: Sequence[tuple[InboundMessage, int]], failed: Sequence[tuple[InboundMessage, Sequence[Problem]]]
) -> None:
    """Add what became of messages to the runs they came from. Call in the transaction that marks them.

    done: (message, number of new facts); failed: (message, problems). message.errors is as before this attempt, and
    so tells whether its row was in the list of errors. Messages that came in no file are passed over.
    """
    counts: dict[int, list[int]] = {}
    mended = _forget_errors([message for message, _new in done if message.run_id and message.errors])
    for message, n_new in done:
        if message.run_id:
            count = counts.setdefault(message.run_id, [0, 0, 0])
            count[0 if n_new else 1] += 1
            count[2] -= (message.run_id, message.run_row) in mended
    bad = [(message, problems) for message, problems in failed if message.run_id]
    known = _forget_errors([message for message, _problems in bad if message.errors])
    for message, _problems in bad:
        count = counts.setdefault(message.run_id or 0, [0, 0, 0])
        count[2] += (message.run_id, message.run_row) not in known
    _keep_errors(
        [(message.run_id or 0, message.run_row or 0, message.body, problems) for message, problems in bad]
    )
    for run_id, (n_orders, n_duplicates, n_errors) in counts.items():
        ImportRun.objects.filter(pk=run_id).update(
            n_orders=F("n_orders") + n_orders,
            n_duplicates=F("n_duplicates") + n_duplicates,
            n_errors=Greatest(F("n_errors") + n_errors, 0),
        )
        transaction.on_commit(lambda run_id=run_id: finish_if_settled(run_id))  # type: ignore[misc]


def _forget_errors(messages: Sequence[InboundMessage]) -> set[tuple[int | None, int | None]]:
    """Take the rows of these messages off the lists of errors; those that were on one."""
    found = set()
    for message in messages:
        if ImportRowError.objects.filter(run_id=message.run_id, row=message.run_row or 0).delete()[0]:
            found.add((message.run_id, message.run_row))
    return found


def _keep_errors(rows: Iterable[tuple[int, int, str, Sequence[Problem]]]) -> None:
    ImportRowError.objects.bulk_create(
        [
            ImportRowError(
                run_id=run_id,
                row=row,
                field=problem.field[:120],
                error=problem.error[:500],
                told=kept(problem.error),
                # A row may have many problems; its content is kept with the first.
                original=_original(body) if number == 0 else {},
            )
            for run_id, row, body, problems in rows
            for number, problem in enumerate(problems or [Problem("", "")])
        ],
        batch_size=500,
    )


def _original(body: str) -> dict[str, Any]:
    """The row as columns; of several rows of one order, the first."""
    try:
        value = json.loads(body)
    except ValueError:
        return {"": body[:2000]}
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, dict) else {"": str(first)[:2000]}


def finish_if_settled(run_id: int) -> bool:
    """Mark the run as done once all of it was read in and the worker has been through all of its messages."""
    run = ImportRun.objects.filter(pk=run_id, state=State.RUNNING, position=READ).first()
    if run is None or _has_waiting(run_id):
        return False
    return bool(
        ImportRun.objects.filter(pk=run_id, state=State.RUNNING).update(state=State.DONE, ended_at=now())
    )


def _has_waiting(run_id: int) -> bool:
    waiting = InboundMessage.objects.filter(state=InboundMessage.State.WAITING)
    # The sum keeps the database off the index by run, which would walk through all messages that are done.
    return waiting.annotate(of_run=F("run_id") + 0).filter(of_run=run_id).order_by("id").exists()


def forget_uploads(before: datetime) -> int:
    """Delete what lies under UPLOAD_DIR since before this moment, except what open runs still need; how many files."""
    needed: set[str] = set()
    for run in ImportRun.objects.filter(state__in=OPEN):
        needed |= {run.digest, unpacked_path(run).name}
    old = [
        path
        for path in Path(settings.UPLOAD_DIR).glob("*")
        if path.is_file() and path.name not in needed and path.stat().st_mtime < before.timestamp()
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
