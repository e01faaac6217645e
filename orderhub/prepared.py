"""Statements that are asked hundreds of times a second: PostgreSQL plans them once a connection, not each time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db import connection


def first_row(statement: str, values: Sequence[object]) -> tuple[Any, ...] | None:
    """The first row that the statement finds, None if it finds none.

    For few, fixed statements: each stays in the memory of its connection.
    """
    with _cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _cursor() -> AbstractContextManager[Any]:
    if connection.vendor != "postgresql":
        return connection.cursor()
    # Django's own cursors put the values into the text, which cannot be prepared; psycopg's send them beside it.
    from psycopg import Cursor

    connection.close_if_health_check_failed()
    connection.ensure_connection()
    bare = Cursor(connection.connection)
    wrapped = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    cursor: AbstractContextManager[Any] = wrapped(bare)  # type: ignore[arg-type]
    return cursor
