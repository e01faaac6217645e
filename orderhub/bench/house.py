"""One installation for the length of a measurement: its database, its keys, and the processes that script/server would start."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from orderhub import serve
from orderhub.bench.databases import Postgres
from orderhub.preparation import make_keys

READY_WITHIN = 120.0


class Interrupted(Exception):
    """Somebody asked the measurement to stop."""


@dataclass
class House:
    """A prepared installation. start() and stop() run its web server and its steward with the workers."""

    db: str
    directory: Path
    port: int
    postgres: Postgres | None = None
    parts: list[serve.Part] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.directory / "house.log"

    def start(self, *, web: bool = True, steward: bool = True) -> None:
        if web:
            self._start("web", serve.web_command("127.0.0.1", self.port, threads=4))
            self._wait_for_web()
        if steward:
            self._start("steward", [*serve.MANAGE, "steward"])
            self._wait_for_worker()

    def _start(self, name: str, command: list[str]) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=serve.die_with_parent,
            )
        self.parts.append(serve.Part(name, process))

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self.parts[-1].process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"the web server did not start; see {self.log}")

    def _wait_for_worker(self) -> None:
        """Until the first heartbeat has gone through the queue: no measurement should contain a start."""
        from django.utils.timezone import now

        from orders.models import WorkSignal

        began, deadline = now(), time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if WorkSignal.objects.filter(name="worker", done_at__gt=began).exists():
                return
            time.sleep(0.1)
        raise TimeoutError(f"no worker answered; see {self.log}")

    def processes(self, name: str) -> list[psutil.Process]:
        """A part's process and everything below it."""
        found = next((part for part in self.parts if part.name == name), None)
        if found is None:
            return []
        try:
            top = psutil.Process(found.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        for part in self.parts:
            part.ask_to_stop()
        deadline = time.monotonic() + serve.GRACE
        for part in self.parts:
            part.make_sure(deadline)
        self.parts.clear()

    def load_demo(self) -> int:
        """Load the demo data as script/server does; returns how many orders there are then. 0: there is no demo."""
        from django.core.management import get_commands

        if "quickstart" not in get_commands():
            return 0
        os.environ["ORDERHUB_DEMO"] = "1"
        subprocess.run([*serve.MANAGE, "quickstart", "--demo"], check=True, stdout=subprocess.DEVNULL)
        from orders.models import Order

        return Order.objects.count()

    def start_sandbox(self) -> bool:
        from django.core.management import get_commands

        if "sandbox" not in get_commands():
            return False
        os.environ["ORDERHUB_URL"] = f"http://127.0.0.1:{self.port}"
        self._start("sandbox", [*serve.MANAGE, "sandbox"])
        return True

    def complaints(self, text: str) -> int:
        """How often the processes have written this into their log."""
        return self.log.read_text(encoding="utf-8", errors="replace").count(text) if self.log.exists() else 0


@contextmanager
def house(db: str) -> Iterator[House]:
    """An empty, migrated installation on this database; Django is set up for it in this process.

    Everything ends with the block: on an error, on Ctrl-C, on SIGTERM. One house per process: Django reads its
    settings once.
    """
    directory = Path(tempfile.mkdtemp(prefix="orderhub-bench-"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    # PostgreSQL runs as a user of its own and must be able to reach its directory.
    directory.chmod(0o711)
    found = House(db, directory, _free_port())
    try:
        found.postgres = Postgres(directory / "pg") if db == "postgres" else None
        _set_environment(found)
        _migrate()
        yield found
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        found.stop()
        _close_connections()
        if found.postgres is not None:
            found.postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _set_environment(found: House) -> None:
    keys = found.directory / "keys"
    make_keys(keys)
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "orderhub.settings",
            "ORDERHUB_VAR": str(found.directory),
            "ORDERHUB_KEYS": str(keys),
            "ORDERHUB_DEMO": "0",
            "PYTHONUNBUFFERED": "1",
            # The throttle is there to slow senders down; here they are to be as fast as they can.
            "ORDERHUB_API_PER_MINUTE": "100000000",
        }
    )
    os.environ.pop("ORDERHUB_DEBUG", None)
    if found.postgres is not None:
        os.environ["DATABASE_URL"] = found.postgres.url
    else:
        os.environ.pop("DATABASE_URL", None)


def _migrate() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils.timezone import now

    from orders.worktime import ensure_holidays

    call_command("migrate", interactive=False, verbosity=0)
    ensure_holidays(now())


def _close_connections() -> None:
    if "django.db" in sys.modules:
        from django.db import connections

        connections.close_all()


def pss(processes: Iterable[psutil.Process]) -> float:
    """Megabytes that these processes hold: what several share is counted once."""
    total = 0
    for process in processes:
        with suppress(OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024
