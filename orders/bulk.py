"""Many rows written at once, for the paths where the ORM's row-by-row cost shows: it is most of a settled order's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC
from functools import lru_cache
from typing import Any

from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper

Writer = Callable[[Any], Any]


def add_rows(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """INSERT. rows: (value of names[0], value of names[1], ...), Python values as the model has them.

    Every column without a default of the database must be named. Nobody learns the new ids: COPY returns none.
    """
    connection = connections[router.db_for_write(model)]
    fields = [model._meta.get_field(name) for name in names]
    prepared = list(_prepared([_writer(field, connection) for field in fields], rows))
    if not prepared:
        return
    table, columns = _quoted(connection, model, fields)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in prepared:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names from the model
            cursor.executemany(statement, prepared)


def add_models(records: Sequence[models.Model]) -> None:
    """add_rows for records of one model. The records do not learn their ids."""
    if records:
        model = type(records[0])
        names = column_names(model)
        add_rows(model, names, ([record.__dict__[name] for name in names] for record in records))


def add_models_with_ids(records: Sequence[models.Model]) -> None:
    """add_models, for records that must know their ids afterwards."""
    if not records:
        return
    model = type(records[0])
    connection = connections[router.db_for_write(model)]
    if connection.vendor != "postgresql":
        model._default_manager.bulk_create(records, batch_size=500)
        return
    # COPY returns nothing, so the ids are drawn first.
    drawn = "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)"
    with connection.cursor() as cursor:
        cursor.execute(drawn, [model._meta.db_table, model._meta.pk.column, len(records)])
        for record, (pk,) in zip(records, cursor.fetchall(), strict=True):
            record.pk = pk
            record._state.adding = False
    names = (model._meta.pk.attname, *column_names(model))
    add_rows(model, names, ([record.__dict__[name] for name in names] for record in records))


@lru_cache(maxsize=64)
def column_names(model: type[models.Model]) -> tuple[str, ...]:
    """Every column but those that the database fills in."""
    fields = model._meta.concrete_fields
    return tuple(
        field.attname for field in fields if not field.primary_key and field.db_default is models.NOT_PROVIDED
    )


def update_rows(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """UPDATE by primary key. rows: (pk, value of names[0], value of names[1], ...), Python values as the model has them.

    bulk_update builds one CASE per column and row, which costs more than all the rest of a settled order.
    """
    connection = connections[router.db_for_write(model)]
    fields: list[Any] = [model._meta.pk, *(model._meta.get_field(name) for name in names)]
    if connection.vendor == "postgresql":
        _update_from_json(connection, model, fields, rows)
        return
    prepared = list(_prepared([_writer(field, connection) for field in fields], rows))
    table, (primary, *columns) = _quoted(connection, model, fields)
    sets = ", ".join(f"{column} = %s" for column in columns)
    statement = f"UPDATE {table} SET {sets} WHERE {primary} = %s"  # noqa: S608 - names from the model
    if prepared:
        with connection.cursor() as cursor:
            cursor.executemany(statement, [(*row[1:], row[0]) for row in prepared])


def _update_from_json(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    fields: Sequence[Any],
    rows: Iterable[Sequence[Any]],
) -> None:
    """One statement with all rows as one JSON value: the table itself says what type each column has."""
    keys = [field.column for field in fields]
    records = [dict(zip(keys, row, strict=True)) for row in rows]
    if not records:
        return
    table, (primary, *columns) = _quoted(connection, model, fields)
    sets = ", ".join(f"{column} = new.{column}" for column in columns)
    statement = (
        f"UPDATE {table} SET {sets} FROM json_populate_recordset(NULL::{table}, %s) AS new "  # noqa: S608 - names from the model
        f"WHERE {table}.{primary} = new.{primary}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(records, default=str, ensure_ascii=False)])


def _quoted(
    connection: BaseDatabaseWrapper, model: type[models.Model], fields: Sequence[Any]
) -> tuple[str, list[str]]:
    quote = connection.ops.quote_name
    return quote(model._meta.db_table), [quote(field.column) for field in fields]


def _prepared(writers: Sequence[Writer | None], rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """The rows as the database takes them."""
    for row in rows:
        yield [
            value if value is None or write is None else write(value)
            for write, value in zip(writers, row, strict=True)
        ]


def _writer(field: Any, connection: BaseDatabaseWrapper) -> Writer | None:
    """How values of this field are written; None = as they are."""
    while field.is_relation:
        field = field.target_field
    kind = field.get_internal_type()
    if kind in {"CharField", "TextField", "SlugField", "FSMField"}:
        return _text
    if kind == "JSONField":
        return _json_writer()
    if kind in _AS_THEY_ARE or (connection.vendor == "postgresql" and kind in _TIMES):
        return None
    if kind == "DateTimeField":
        return _sqlite_time
    return lambda value: field.get_db_prep_save(value, connection)


_AS_THEY_ARE = {
    "BooleanField",
    "AutoField",
    "BigAutoField",
    "IntegerField",
    "BigIntegerField",
    "PositiveIntegerField",
    "PositiveSmallIntegerField",
}
_TIMES = {"DateTimeField", "DateField"}


def _text(value: Any) -> str:
    # A choice is written as its value, not as its name.
    return value if type(value) is str else str(value)


def _sqlite_time(value: Any) -> str:
    return str(value.astimezone(UTC).replace(tzinfo=None))


def _json_writer() -> Writer:
    """Events of one order share one dict of columns; it is written out once."""
    known: dict[int, tuple[Any, str]] = {}

    def write(value: Any) -> str:
        found = known.get(id(value))
        if found is None:
            # The value is kept beside its text, so that no other one can get its id.
            known[id(value)] = found = (value, json.dumps(value))
        return found[1]

    return write
