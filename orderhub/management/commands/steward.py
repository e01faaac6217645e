"""The steward: one process that loops what cannot wait for a scheduler, and keeps the workers alive."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections
from django.db.models import Q
from django.utils.module_loading import import_string
from django.utils.timezone import now

from integrations.models import ImportRun, InboundMessage
from orderhub.housekeeping import tidy
from orderhub.watchdog import Watchdog
from orders.models import OrderEvent
from orders.tasks import hint, pulse
from orders.worktime.holidays import ensure_holidays

logger = logging.getLogger(__name__)

ROUND = timedelta(seconds=1)
SWEEP_EVERY = timedelta(seconds=5)
TIDY_EVERY = timedelta(hours=1)


def hint_at_waiting_work(at: datetime) -> None:
    """Own rows are the truth: whatever waits in them is hinted at, whether or not somebody hinted before."""
    due = Q(not_before__isnull=True) | Q(not_before__lte=at)
    if InboundMessage.objects.filter(due, state=InboundMessage.State.WAITING).exists():
        hint("inbox")
    if OrderEvent.objects.waiting(at).exists():
        hint("dispatch")
    if ImportRun.objects.filter(state__in=[ImportRun.State.WAITING, ImportRun.State.RUNNING]).exists():
        hint("imports")


def sweep(at: datetime) -> None:
    """Call every function of STEWARD_SWEEPS; one that fails is logged and does not keep the others from running."""
    for path in settings.STEWARD_SWEEPS:
        attempt(path, import_string(path))


def attempt(name: str, step: Callable[[], object]) -> None:
    """Nothing may end the steward's loop: it is what repairs everything else."""
    close_old_connections()
    try:
        step()
    except (OperationalError, InterfaceError) as error:
        # One line: while the database is away this comes every second.
        logger.error("The steward could not do %s, the database says: %s", name, str(error).splitlines()[0])
    except Exception:
        logger.exception("The steward could not do %s; it goes on and tries again.", name)


@dataclass
class Rounds:
    """What the steward does, and when each was last done."""

    watchdog: Watchdog
    last: dict[str, datetime] = field(default_factory=dict)

    def go(self, at: datetime) -> None:
        """One round: everything that is due at that moment."""
        # Before the workers, so that /readyz tells "no steward" from "no worker".
        self._every(SWEEP_EVERY, "its heartbeat", lambda: pulse("steward", at), at)
        self._every(ROUND, "the hints", lambda: hint_at_waiting_work(at), at)
        self._every(settings.STEWARD_BEAT_EVERY, "the worker's heartbeat", lambda: hint("beat"), at)
        self._every(ROUND, "the watch over the workers", lambda: self.watchdog.look(at), at)
        self._every(SWEEP_EVERY, "the sweeps", lambda: sweep(at), at)
        self._every(TIDY_EVERY, "the housekeeping", lambda: tidy(at), at)
        self._every(TIDY_EVERY, "the holidays", lambda: ensure_holidays(at), at)

    def _every(self, pause: timedelta, name: str, step: Callable[[], object], at: datetime) -> None:
        last = self.last.get(name)
        # A clock that was set back must not stop anything for as long as it went back.
        if last is None or at < last or at - last >= pause:
            self.last[name] = at
            attempt(name, step)


class Command(BaseCommand):
    help = (
        "Runs the sweeps, starts the worker and starts it anew when it is stuck. Ends on SIGTERM or Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round without workers, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        watchdog = Watchdog(limit=settings.STEWARD_BEAT_LIMIT)
        if options["once"]:
            rounds = Rounds(watchdog)
            rounds.last["the watch over the workers"] = now()
            rounds.go(now())
            return
        enough = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            enough.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        try:
            rounds = Rounds(watchdog)
            watchdog.start(now())
            while not enough.wait(ROUND.total_seconds()):
                rounds.go(now())
        finally:
            watchdog.stop()
