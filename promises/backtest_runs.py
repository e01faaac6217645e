"""Back-tests from the page: an uploaded history, the job that replays it, and what came of it. The row says how far it is."""

from __future__ import annotations

import csv
import gzip
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders import audit, tasks
from promises import calibration_rows
from promises.history_file import OPTIONAL, REQUIRED, BadHistory, read_history, read_rows, readable, unpacked

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from promises.eta.orders import Past
    from promises.replay import Result

logger = logging.getLogger(__name__)

COLUMNS = (*REQUIRED, *OPTIONAL)
MIB = 1024 * 1024
MAX_BYTES = 20 * MIB
MAX_UNPACKED = 200 * MIB
MAX_ORDERS = 200_000
MAX_LINE = 100_000
TARGETS = (0.8, 0.85, 0.88, 0.9, 0.927, 0.95)
# Aimed at where the file holds no promises to be compared with.
USUAL_TARGET = 0.9
# A run whose process has said nothing for so long has lost it.
LEASE = timedelta(seconds=60)
SAID_EVERY = 1.0
MAX_ATTEMPTS = 3
# Longer than any upload takes.
STRAYS_KEPT_FOR = timedelta(days=1)


class Failure(StrEnum):
    NOTHING_SCORED = "nothing_scored"
    FILE_GONE = "file_gone"
    BROKE_OFF = "broke_off"
    PROGRAM = "program"


FAILURES: dict[str, StrOrPromise] = {
    Failure.NOTHING_SCORED: _(
        "No delivered order of the file was placed in that time. Choose other dates, or none."
    ),
    Failure.FILE_GONE: _("The uploaded file is no longer there. Upload it again."),
    Failure.BROKE_OFF: _(
        "The replay broke off three times. Upload fewer orders, or free memory on the machine."
    ),
    Failure.PROGRAM: _("The program failed on this file. The reason is in the log of the worker."),
}


class BacktestRun(models.Model):
    """One uploaded history: how far its replay is, and its figures. The file holds documented columns only."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    file_name = models.CharField(_("file"), max_length=200)
    # Where the bytes lie under var/backtests/; never the sender's name.
    stored = models.CharField(max_length=40, unique=True, editable=False)
    n_orders = models.PositiveIntegerField(_("orders"))
    scored_from = models.DateField(_("scored from"), null=True, blank=True)
    scored_to = models.DateField(_("scored to"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    n_done = models.PositiveIntegerField(_("orders replayed"), default=0)
    n_total = models.PositiveIntegerField(_("orders to replay"), default=0)
    # The process of an attempt writes only while the attempt is the present one.
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    beat_at = models.DateTimeField(null=True, editable=False)
    result = models.JSONField(default=dict, editable=False)
    # A code of Failure: its words may change without a migration.
    failure = models.CharField(_("why it stopped"), max_length=20, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("started by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        app_label = "promises"
        verbose_name = _("back-test")
        verbose_name_plural = _("back-tests")
        ordering = ["-id"]
        default_permissions = ("view", "add", "delete")

    def __str__(self) -> str:
        return self.file_name

    @property
    def path(self) -> Path:
        return _folder() / self.stored

    @property
    def judged_path(self) -> Path:
        """Where its judged promises lie (calibration_rows.py)."""
        return _folder() / self.stored.replace(".csv.gz", ".judged.csv.gz")

    @property
    def why_it_stopped(self) -> StrOrPromise:
        return FAILURES.get(self.failure, self.failure)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


State = BacktestRun.State
OPEN = (State.WAITING, State.RUNNING)


# Putting the file down.


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "backtests"


def start(
    file: IO[bytes], name: str, *, by: User, at: datetime, scored_from: date | None, scored_to: date | None
) -> BacktestRun:
    """Read the whole file once, keep its documented columns, and leave the replay to the worker.

    Raises BadHistory; then nothing is kept.
    """
    stored = f"{secrets.token_hex(16)}.csv.gz"
    path = _folder() / stored
    try:
        n_orders = _keep(file, name, path)
        with transaction.atomic():
            run = BacktestRun.objects.create(
                file_name=name,
                stored=stored,
                n_orders=n_orders,
                scored_from=scored_from,
                scored_to=scored_to,
                started_by=by,
                started_at=at,
            )
            audit.record("backtest.start", run, after={"file": name, "orders": n_orders})
            tasks.hint("backtests")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return run


def _keep(file: IO[bytes], name: str, path: Path) -> int:
    """Write the documented columns of every line, readable by this account only; how many orders there are."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    n_orders = 0
    with (
        readable(name),
        unpacked(file) as text,
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw,
        gzip.open(raw, "wt", encoding="utf-8", newline="") as kept,
    ):
        writer = csv.DictWriter(kept, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for cells, _past in read_rows(_lines(text)):
            n_orders += 1
            if n_orders > MAX_ORDERS:
                raise BadHistory(
                    gettext("The file has more than %(most)d orders. Leave out the oldest ones.")
                    % {"most": MAX_ORDERS}
                )
            writer.writerow(cells)
    if not n_orders:
        raise BadHistory(
            gettext("%(file)s has no orders, only a head line. Export it again with its orders.")
            % {"file": name}
        )
    return n_orders


def _lines(text: IO[str]) -> Iterator[str]:
    """The lines of a file that may have been packed to fill the memory. Raises BadHistory."""
    size = 0
    while line := text.readline(MAX_LINE):
        size += len(line)
        if len(line) == MAX_LINE or size > MAX_UNPACKED:
            raise BadHistory(
                gettext(
                    "The file has a line of more than %(line)d characters, or is larger than %(size)d MB unpacked. "
                    "Upload only the columns listed here, one order a line."
                )
                % {"line": MAX_LINE, "size": MAX_UNPACKED // MIB}
            )
        yield line


def remove(run: BacktestRun) -> None:
    """Take away the row, its figures and its file. A replay that is under way finds out and stops."""
    paths = (run.path, run.judged_path)
    with transaction.atomic():
        audit.record("backtest.remove", run, before={"file": run.file_name, "orders": run.n_orders})
        run.delete()
        transaction.on_commit(lambda: _delete(paths))


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


# Having it replayed. numpy and the history take memory that no worker is to keep, so each replay has a process of its own.


def work() -> None:
    """The worker's part: see to it that the next run has a process."""
    tasks.take("backtests")
    at = now()
    forget_strays(at - STRAYS_KEPT_FOR)
    begin_next(at, _start_process)
    tasks.finish("backtests")


def sweep() -> None:
    """The steward's part: a run that nobody works on, or whose process was lost, is hinted at again."""
    if _next_run(now()) is not None:
        tasks.hint("backtests")


def begin_next(at: datetime, begin: Callable[[int, int], None]) -> bool:
    """Claim the oldest run that has no process and begin it, unless another one runs. True if one was begun."""
    run = _next_run(at)
    if run is None:
        return False
    if run.attempt >= MAX_ATTEMPTS:
        _fail(run.pk, run.attempt, Failure.BROKE_OFF)
        return False
    # Two workers may look at once; the attempt's number lets one of them through.
    claimed = BacktestRun.objects.filter(pk=run.pk, attempt=run.attempt, state__in=OPEN).update(
        state=State.RUNNING, attempt=F("attempt") + 1, beat_at=at, n_done=0
    )
    if claimed:
        begin(run.pk, run.attempt + 1)
    return bool(claimed)


def _next_run(at: datetime) -> BacktestRun | None:
    """The oldest run that waits or whose process fell silent; None while the process of another one is alive."""
    is_silent = Q(state=State.WAITING) | Q(beat_at__lt=at - LEASE) | Q(beat_at__gt=at + LEASE)
    found = BacktestRun.objects.filter(state__in=OPEN).order_by("pk")
    if found.exclude(is_silent).exists():
        return None
    return found.filter(is_silent).first()


# Kept so that ended ones are asked for their end, and leave no zombie.
_processes: list[subprocess.Popen[bytes]] = []


def _start_process(pk: int, attempt: int) -> None:
    """In the worker's process group: whoever ends the house ends it too."""
    _processes[:] = [one for one in _processes if one.poll() is None]
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_backtest", str(pk), str(attempt)]
    _processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))  # noqa: S603 - our own command


class _Lost(Exception):
    """The run was removed, or given to another process."""


def replay(pk: int, attempt: int) -> None:
    """Replay one claimed run to its end and write down what came of it."""
    run = BacktestRun.objects.filter(pk=pk, attempt=attempt, state=State.RUNNING).first()
    if run is None:
        return
    try:
        result = _played(run)
    except _Lost:
        logger.info("Back-test %s was removed, or is played by another process.", pk)
    except BadHistory:
        # It was read from end to end when it was put down.
        _fail(pk, attempt, Failure.PROGRAM if run.path.exists() else Failure.FILE_GONE)
    except Exception:
        logger.exception("back-test %s failed", pk)
        _fail(pk, attempt, Failure.PROGRAM)
    else:
        _finish(run, result)


def _played(run: BacktestRun) -> dict[str, Any]:
    history = read_history(run.path)
    # Only here: no other process of the hub is to hold numpy.
    from promises.replay import back_test

    aim = _aim(history, run)
    listening = calibration_rows.Listening(aim)
    result = back_test(
        history,
        sorted({*TARGETS, aim}),
        scored_from=run.scored_from,
        scored_to=run.scored_to,
        progress=_Beat(run),
        heard=listening,
    )
    if not _is_own(run).exists():
        raise _Lost
    calibration_rows.write(run.judged_path, listening.rows)
    return as_kept(result, aim)


def _aim(history: Iterable[Past], run: BacktestRun) -> float:
    """The on-time rate of the file's own promises, so that the hub is shown at the same one."""
    first, last = run.scored_from or date.min, run.scored_to or date.max
    kept = [
        past.days <= past.promised_days
        for past in history
        if past.days is not None
        and past.promised_days is not None
        and first <= past.order.placed_at.date() <= last
    ]
    return min(0.99, max(0.5, round(sum(kept) / len(kept), 3))) if kept else USUAL_TARGET


def as_kept(result: Result, aim: float) -> dict[str, Any]:
    """The result as the row keeps it: all rows, and the weeks of the three methods that are drawn."""
    from promises.replay import days_at_rate

    platform = next((row for row in result.rows if row.method == "platform"), None)
    drawn = {name: weeks for (name, target), weeks in result.weeks.items() if name != "hub" or target == aim}
    return {
        "aim": aim,
        "rows": [asdict(row) for row in result.rows],
        "days_at_platform_rate": days_at_rate(result.rows, platform.on_time) if platform else None,
        "n_scored": result.n_scored,
        "n_without_date": result.n_without_date,
        "weeks": {
            name: [[week.monday.isoformat(), week.n, week.kept] for week in weeks]
            for name, weeks in drawn.items()
        },
    }


def _is_own(run: BacktestRun) -> models.QuerySet[BacktestRun]:
    """The run, as long as this attempt works on it."""
    return BacktestRun.objects.filter(pk=run.pk, attempt=run.attempt, state=State.RUNNING)


class _Beat:
    """Says about once a second how far the replay is. Raises _Lost when the run is no longer this attempt's."""

    def __init__(self, run: BacktestRun) -> None:
        self._own = _is_own(run)
        self._said_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        if monotonic() - self._said_at < SAID_EVERY:
            return
        self._said_at = monotonic()
        if not self._own.update(n_done=done, n_total=total, beat_at=now()):
            raise _Lost


def _finish(run: BacktestRun, result: dict[str, Any]) -> None:
    if not result["rows"]:
        _fail(run.pk, run.attempt, Failure.NOTHING_SCORED)
        return
    _is_own(run).update(
        state=State.DONE, result=result, n_done=run.n_orders, n_total=run.n_orders, ended_at=now()
    )
    _hint_next()


def _fail(pk: int, attempt: int, why: str) -> None:
    BacktestRun.objects.filter(pk=pk, attempt=attempt, state__in=OPEN).update(
        state=State.FAILED, failure=why, ended_at=now()
    )
    _hint_next()


def _hint_next() -> None:
    """The next run need not wait for the steward."""
    if BacktestRun.objects.filter(state=State.WAITING).exists():
        tasks.hint("backtests")


def forget_strays(before: datetime) -> int:
    """Delete files that no run knows, left by a process that died while putting one down; how many."""
    known = {
        path.name
        for run in BacktestRun.objects.only("stored").iterator()
        for path in (run.path, run.judged_path)
    }
    n_gone = 0
    for path in _folder().iterdir() if _folder().is_dir() else ():
        with suppress(FileNotFoundError):
            if path.name not in known and path.stat().st_mtime < before.timestamp():
                path.unlink()
                n_gone += 1
    return n_gone
