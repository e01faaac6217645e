"""The database backend for SQLite: Django's, with a fairer way to wait for the one writer's place."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from django.db.backends.sqlite3 import base

# SQLite itself looks every 100 ms once it has waited a little, and so misses the gaps between a busy worker's
# transactions for seconds on end.
LOOKS_EVERY = 0.002
# Whoever held the place for longer than this leaves it free for a moment, so that one who looks finds it.
LONG = 0.02
LEAVES_FREE_FOR = 0.006
# What takes the writer's place when it is not part of a transaction. Tried again as a whole, so one statement each.
TAKES_PLACE = ("BEGIN", "INSERT", "UPDATE", "DELETE")


class Cursor(base.SQLiteCursorWrapper):
    """Waits for the writer's place as long as settings allow, looking often."""

    patience = 5.0

    def execute(self, query: str, params: Any = None) -> Any:
        if self.connection.in_transaction or not query.startswith(TAKES_PLACE):
            return super().execute(query, params)
        until = time.monotonic() + self.patience
        wait_at_most(self.connection, 0)
        try:
            while True:
                try:
                    return super().execute(query, params)
                except sqlite3.OperationalError as error:
                    if "database is locked" not in str(error) or time.monotonic() > until:
                        raise
                    time.sleep(LOOKS_EVERY)
        finally:
            wait_at_most(self.connection, self.patience)


def wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    """How long SQLite itself waits, in its own way."""
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


class DatabaseWrapper(base.DatabaseWrapper):
    """Hands out cursors that wait well, and leaves gaps after long transactions."""

    began = 0.0

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.patience = float(self.settings_dict["OPTIONS"].get("timeout", Cursor.patience))
        return cursor

    def _start_transaction_under_autocommit(self) -> None:
        super()._start_transaction_under_autocommit()  # type: ignore[misc]
        self.began = time.monotonic()

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        if self.began and time.monotonic() - self.began > LONG:
            self.began = 0.0
            time.sleep(LEAVES_FREE_FOR)
