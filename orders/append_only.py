"""Tables that only grow: triggers with which the database itself refuses to change or delete a row.

A migration that alters one of these tables on SQLite rebuilds it and loses its triggers: end it with `install`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import connections, transaction

if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# Table -> the columns that may change all the same. Only the journal doubles as a work queue. Rooms above add theirs (guard).
TABLES: dict[str, frozenset[str]] = {
    "orders_orderfact": frozenset(),
    "orders_orderevent": frozenset(
        {"dispatched_at", "attempts", "not_before", "error", "set_aside", "reacted"}
    ),
    "orders_auditentry": frozenset(),
    "orders_stockentry": frozenset(),
}


def guard(table: str, may_change: frozenset[str] = frozenset()) -> None:
    """Count another room's table among those that only grow. It must have a column is_demo.

    Call it where the table's model is defined, and end the migration that makes the table with `install`.
    """
    TABLES[table] = may_change


_FUNCTION = """
CREATE OR REPLACE FUNCTION orders_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""


def _columns(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    with connection.cursor() as cursor:
        return [column.name for column in connection.introspection.get_table_description(cursor, table)]


def _differs(names: Sequence[str], operator: str) -> str:
    return " OR ".join(f'OLD."{name}" {operator} NEW."{name}"' for name in names)


def _on_sqlite(connection: BaseDatabaseWrapper, table: str, queue: frozenset[str]) -> list[str]:
    fixed = [name for name in _columns(connection, table) if name not in queue]
    changed = f"WHEN {_differs(fixed, 'IS NOT')} " if queue else ""
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {changed}"
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: UPDATE refused'); END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT OLD.is_demo "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: DELETE refused'); END",
    ]


def _on_postgresql(connection: BaseDatabaseWrapper, table: str, queue: frozenset[str]) -> list[str]:
    fixed = [name for name in _columns(connection, table) if name not in queue]
    changed = f"WHEN ({_differs(fixed, 'IS DISTINCT FROM')}) " if queue else ""
    refuse = "EXECUTE FUNCTION orders_append_only()"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW {changed}{refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW WHEN (NOT OLD.is_demo) {refuse}",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}",
    ]


def _is_postgresql(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql"


def _present(connection: BaseDatabaseWrapper) -> list[str]:
    """Those that the migrations run so far have made: a room below is migrated before the rooms above."""
    names = set(connection.introspection.table_names())
    return [table for table in TABLES if table in names]


def _make(connection: BaseDatabaseWrapper) -> None:
    statements = _on_postgresql if _is_postgresql(connection) else _on_sqlite
    with connection.cursor() as cursor:
        if _is_postgresql(connection):
            cursor.execute(_FUNCTION)
        for table in _present(connection):
            for statement in statements(connection, table, TABLES[table]):
                cursor.execute(statement)


def _drop(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for table in _present(connection):
            for what in ("update", "delete", "truncate"):
                on = f" ON {table}" if _is_postgresql(connection) else ""
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{what}{on}")


def install(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Guard every table of TABLES; also after a migration that altered one of them."""
    _drop(schema_editor.connection)
    _make(schema_editor.connection)


def remove(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The way back of the migration."""
    _drop(schema_editor.connection)
    if _is_postgresql(schema_editor.connection):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION IF EXISTS orders_append_only()")


def guarded(using: str = "default") -> set[str]:
    """The tables whose UPDATE and DELETE triggers are in place."""
    connection = connections[using]
    catalogue = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        if _is_postgresql(connection)
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue)
        names = {name for (name,) in cursor.fetchall()}
    return {table for table in TABLES if {f"{table}_no_update", f"{table}_no_delete"} <= names}


@contextmanager
def lifted(using: str = "default") -> Iterator[None]:
    """Inside, rows may go: for the wiping of a test or demo database, and nothing else.

    One transaction: whatever happens inside, nobody else ever sees the tables unguarded.
    """
    connection = connections[using]
    with transaction.atomic(using=using):
        _settle_constraints(connection)
        _drop(connection)
        yield
        _settle_constraints(connection)
        _make(connection)


def _settle_constraints(connection: BaseDatabaseWrapper) -> None:
    # PostgreSQL refuses to touch the triggers of a table whose deferred foreign keys are still to be checked.
    if _is_postgresql(connection):
        connection.check_constraints()
