"""The database backend for SQLite: Django's, with a fairer way to wait for the one writer's place."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from typing import Any

from django.db.backends.sqlite3 import base

# SQLite itself looks every 100 ms once it has waited a little, and so misses the gaps between a busy worker's
# transactions for seconds on end.
LOOKS_EVERY = 0.002
# Whoever held the place for longer than this lets those who wait go first, for up to this share of the time it was held.
LONG = 0.02
SHARE = 0.2
# What takes the writer's place when it is not part of a transaction. Tried again as a whole, so one statement each.
TAKES_PLACE = ("BEGIN", "INSERT", "UPDATE", "DELETE")


class Line:
    """Who waits for the writer's place, in all processes: each of them shares a lock on a file beside the database.

    Not on the database's own file: closing that would drop SQLite's locks. The system lets go of the lock when a
    process dies.
    """

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def join(self) -> None:
        # Refused in the instant in which somebody looks whether anybody is here.
        with suppress(BlockingIOError):
            fcntl.flock(self.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def leave(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def is_empty(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.leave()
        return True

    def close(self) -> None:
        os.close(self.descriptor)


class Cursor(base.SQLiteCursorWrapper):
    """Waits for the writer's place as long as settings allow, in the line and looking often."""

    patience = 5.0
    line: Line | None = None

    def execute(self, query: str, params: Any = None) -> Any:
        if self.connection.in_transaction or not query.startswith(TAKES_PLACE):
            return super().execute(query, params)
        until = time.monotonic() + self.patience
        is_waiting = False
        wait_at_most(self.connection, 0)
        try:
            while True:
                try:
                    return super().execute(query, params)
                except sqlite3.OperationalError as error:
                    if "database is locked" not in str(error) or time.monotonic() > until:
                        raise
                    is_waiting = True
                    self._wait()
        finally:
            if is_waiting and self.line is not None:
                self.line.leave()
            wait_at_most(self.connection, self.patience)

    def _wait(self) -> None:
        if self.line is not None:
            self.line.join()
        time.sleep(LOOKS_EVERY)


def wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    """How long SQLite itself waits, in its own way."""
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


class DatabaseWrapper(base.DatabaseWrapper):
    """Hands out cursors that wait well, and after a long transaction lets those who wait go first."""

    began = 0.0
    line: Line | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        if not self.is_in_memory_db():
            self.line = Line(f"{self.settings_dict['NAME']}-line")
        return connection

    def _close(self) -> None:
        super()._close()  # type: ignore[misc]
        if self.line is not None:
            self.line.close()
            self.line = None

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.patience = float(self.settings_dict["OPTIONS"].get("timeout", Cursor.patience))
        cursor.line = self.line
        return cursor

    def _start_transaction_under_autocommit(self) -> None:
        super()._start_transaction_under_autocommit()  # type: ignore[misc]
        self.began = time.monotonic()

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        held = time.monotonic() - self.began if self.began else 0.0
        self.began = 0.0
        if held > LONG:
            self._let_others_go_first(held * SHARE)

    def _let_others_go_first(self, at_most: float) -> None:
        """Whoever looks only every few milliseconds would come too late, again and again, beside one who need not wait."""
        until = time.monotonic() + at_most
        while self.line is not None and not self.line.is_empty() and time.monotonic() < until:
            time.sleep(LOOKS_EVERY / 2)
