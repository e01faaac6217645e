"""A real steward with real workers on the test database, and how to find and kill its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from django.conf import settings
from django.db import connection

BEAT_SECONDS, LIMIT_SECONDS = 1, 10
PATIENCE = 90.0


def until(is_so: Callable[[], object], what: str, patience: float = PATIENCE) -> float:
    """Wait until it is so; returns the seconds that took, fails with these words if it takes too long."""
    started = time.monotonic()
    while not is_so():
        waited = time.monotonic() - started
        assert waited < patience, f"after {waited:.0f} seconds still not: {what}"
        time.sleep(0.05)
    return time.monotonic() - started


@dataclass
class House:
    """One steward: its cluster's leader, the process that guards it, and that one's children, oldest first."""

    process: subprocess.Popen[bytes]

    def leader(self) -> psutil.Process | None:
        return next(iter(children(psutil.Process(self.process.pid))), None)

    def crew(self) -> list[psutil.Process]:
        """Workers, then the one that acknowledges, then the one that fetches; [] while the cluster is starting."""
        leader = self.leader()
        guards = children(leader) if leader else []
        found = children(guards[0]) if guards else []
        return found if len(found) == settings.Q_CLUSTER["workers"] + 2 else []

    def workers(self) -> list[psutil.Process]:
        return self.crew()[:-2]

    def monitor(self) -> psutil.Process:
        return self.crew()[-2]

    def everybody(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return sorted(process.children(), key=lambda child: (child.create_time(), child.pid))
    except psutil.NoSuchProcess:
        return []


def left_of(processes: Iterable[psutil.Process], patience: float) -> list[psutil.Process]:
    """Those still at work after a while. What only waits to be buried by the system has ended."""
    deadline = time.monotonic() + patience
    left = [process for process in processes if is_at_work(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [process for process in left if is_at_work(process)]
    return left


def is_at_work(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(*processes: psutil.Process) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)


@contextmanager
def steward() -> Iterator[House]:
    """A steward at work on the test database; at the end it must be gone with everybody it started."""
    command = [
        sys.executable,
        "-m",
        "orderhub.tests.house",
        json.dumps(str(connection.settings_dict["NAME"])),
    ]
    environment = {
        **os.environ,
        "ORDERHUB_BEAT_SECONDS": str(BEAT_SECONDS),
        "ORDERHUB_BEAT_LIMIT_SECONDS": str(LIMIT_SECONDS),
        "ORDERHUB_LOG": "ERROR",
    }
    process = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, start_new_session=True)
    house = House(process)
    known: set[psutil.Process] = set()
    try:
        until(house.crew, "the workers have started")
        known.update(house.everybody())
        yield house
    finally:
        if process.poll() is None:
            known.update(house.everybody())
        process.terminate()
        try:
            process.wait(30)
        finally:
            left = left_of(known, patience=15)
            for one in [*left, process]:
                one.kill()
    assert not left, f"outlived the steward: {left}"


def main(database: str) -> None:
    """Runs in the process that `steward` starts."""
    import django

    django.setup()
    from django.core.management import call_command

    connection.settings_dict["NAME"] = database
    call_command("steward", skip_checks=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderhub.settings")
    main(json.loads(sys.argv[1]))
