"""Statements that are asked hundreds of times a second: PostgreSQL plans them once a connection, not each time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db import InterfaceError, OperationalError, connection


def first_row(statement: str, values: Sequence[object]) -> tuple[Any, ...] | None:
    """The first row that the statement finds, None if it finds none.

    For few, fixed statements that only read: each stays in the memory of its connection. Whether that still lives is not
    asked beforehand, which would cost as much as the statement: one that was cut is opened anew, once.
    """
    try:
        return _first_row(statement, values)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        return _first_row(statement, values)


def _first_row(statement: str, values: Sequence[object]) -> tuple[Any, ...] | None:
    with _cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _cursor() -> AbstractContextManager[Any]:
    if connection.vendor != "postgresql":
        return connection.cursor()
    # Django's own cursors put the values into the text, which cannot be prepared; psycopg's send them beside it.
    from psycopg import Cursor

    connection.ensure_connection()
    bare = Cursor(connection.connection)
    wrapped = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    cursor: AbstractContextManager[Any] = wrapped(bare)  # type: ignore[arg-type]
    return cursor
