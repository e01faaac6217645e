"""The database backend for SQLite: Django's, with a fairer way to wait for the one writer's place."""

from __future__ import annotations

import time

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

# SQLite itself looks every 100 ms once it has waited a little, and so misses the gaps between a busy worker's
# transactions for seconds on end.
LOOKS_EVERY = 0.002
# Whoever held the place for longer than this leaves it free for a moment, so that one who looks finds it.
LONG = 0.02
LEAVES_FREE_FOR = 0.006


class DatabaseWrapper(base.DatabaseWrapper):
    """Waits for its turn as long as settings allow, looking often."""

    began = 0.0

    def _start_transaction_under_autocommit(self) -> None:
        patience = float(self.settings_dict["OPTIONS"].get("timeout", 5))
        until = time.monotonic() + patience
        self._wait_at_most(0)
        try:
            while True:
                try:
                    super()._start_transaction_under_autocommit()  # type: ignore[misc]
                except OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() > until:
                        raise
                    time.sleep(LOOKS_EVERY)
                else:
                    break
        finally:
            self._wait_at_most(patience)
        self.began = time.monotonic()

    def _wait_at_most(self, seconds: float) -> None:
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        if self.began and time.monotonic() - self.began > LONG:
            self.began = 0.0
            time.sleep(LEAVES_FREE_FOR)
