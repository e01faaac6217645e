"""Marked points of a worker's work at which a measurement can have it die. Part of measurements only: see deadly_settings.

A file in the house's directory names the one point that is armed. Whoever reaches it writes its death down, disarms it
and kills itself with SIGKILL, so that each arming is one death.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.utils.module_loading import import_string

# Where a worker does something that could be half done: functions as their callers find them.
PLACES = (
    "integrations.ingest._claim",
    "integrations.ingest._translate",
    "integrations.ingest._check",
    "integrations.ingest.lock_references",
    "integrations.matching.make_orders",
    "integrations.ingest.report",
    "integrations.ingest.settle_many",
    "orders.transitions._write",
    "integrations.ingest._mark",
    "integrations.ingest.note_heard",
    "orders.dispatch._claim",
    "orders.todos.observe",
    "orders.steps.observe",
    "orders.dispatch._mark_done",
    "django.db.backends.base.base.BaseDatabaseWrapper._commit",
)
POINTS = tuple(f"{when} {place}" for place in PLACES for when in ("before", "after"))
# Only inside these does a process count as a worker; web server and steward commit too.
TASKS = ("integrations.tasks.drain_inbox", "orders.tasks.dispatch_events")


def armed_file(directory: Path) -> Path:
    return directory / "armed"


def deaths_file(directory: Path) -> Path:
    return directory / "deaths"


class Fuse:
    """Knows whether this process is at work, and ends it at the armed point."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.is_working = False

    def at(self, point: str) -> None:
        armed = armed_file(self.directory)
        if not self.is_working:
            return
        with suppress(FileNotFoundError):
            if armed.read_text(encoding="ascii") != point:
                return
            # Of several workers at the point, the one that takes the file away dies.
            armed.unlink()
            with deaths_file(self.directory).open("a", encoding="ascii") as deaths:
                deaths.write(f"{time.time()} {os.getpid()} {point}\n")
                deaths.flush()
                os.fsync(deaths.fileno())
            os.kill(os.getpid(), signal.SIGKILL)

    def mark(self, place: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def marked(*args: Any, **kwargs: Any) -> Any:
            self.at(f"before {place}")
            result = function(*args, **kwargs)
            self.at(f"after {place}")
            return result

        return marked

    def work(self, task: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(task)
        def working() -> None:
            self.is_working = True
            try:
                task()
            finally:
                self.is_working = False

        return working


def lay(directory: Path) -> None:
    """Mark every place in this process."""
    fuse = Fuse(directory)
    for place in PLACES:
        _replace(place, functools.partial(fuse.mark, place))
    for task in TASKS:
        _replace(task, fuse.work)


def _replace(path: str, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    owner_path, _dot, name = path.rpartition(".")
    owner = (
        import_string(owner_path)
        if owner_path.endswith("Wrapper")
        else __import__(owner_path, fromlist=[name])
    )
    setattr(owner, name, change(getattr(owner, name)))


class DeadlyConfig(AppConfig):
    """Lays the fuse once everything is loaded."""

    name = "orderhub.bench"
    label = "orderhub_bench"

    def ready(self) -> None:
        lay(Path(os.environ["ORDERHUB_VAR"]))
