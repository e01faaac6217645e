"""Many rows written with one prepared statement each way, for the paths where the ORM's row-by-row cost shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections, models, router


def update_rows(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """UPDATE by primary key. rows: (pk, value of names[0], value of names[1], ...), Python values as the model has them.

    bulk_update builds one CASE per column and row, which costs more than all the rest of a settled order.
    """
    connection = connections[router.db_for_write(model)]
    fields = [model._meta.get_field(name) for name in names]
    prepared = [
        [*(_prepare(field, value, connection) for field, value in zip(fields, row[1:], strict=True)), row[0]]
        for row in rows
    ]
    if not prepared:
        return
    quote = connection.ops.quote_name
    columns = ", ".join(f"{quote(str(field.column))} = %s" for field in fields)  # type: ignore[union-attr]
    primary = quote(str(model._meta.pk.column))
    statement = f"UPDATE {quote(model._meta.db_table)} SET {columns} WHERE {primary} = %s"  # noqa: S608 - names from the model
    with connection.cursor() as cursor:
        cursor.executemany(statement, prepared)


def _prepare(field: Any, value: Any, connection: Any) -> Any:
    if value is None or (
        type(value) in _AS_IS and not field.is_relation and field.get_internal_type() in _PLAIN
    ):
        return value
    return field.get_db_prep_save(value, connection)


_AS_IS = {str, int, bool}
_PLAIN = {
    "CharField",
    "TextField",
    "BooleanField",
    "BigIntegerField",
    "PositiveIntegerField",
    "PositiveSmallIntegerField",
}
