"""Counting by the hour: the last 24 hours, and the hour of a moment as the database says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

N_HOURS = 24


class Hour(models.Func):
    """ "2026-11-22 19" in UTC. Truncating by the database's own function: on SQLite Django would call Python for each row."""

    output_field = models.CharField()
    template = "SUBSTR(%(expressions)s, 1, 13)"

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        return self.as_sql(
            compiler, connection, template="TO_CHAR(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')"
        )


def hours_of(at: datetime) -> list[datetime]:
    """The beginnings of the last 24 hours; the hour that runs is the last one."""
    first = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=N_HOURS - 1)
    return [first + timedelta(hours=number) for number in range(N_HOURS)]


def key_of(hour: datetime) -> str:
    """The hour as Hour says it."""
    return f"{hour.astimezone(UTC):%Y-%m-%d %H}"
