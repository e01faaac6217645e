# ruff: noqa: S608 - the names in the statements are our own tables
from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models, transaction
from django.utils.timezone import now

from orders.append_only import TABLES, guarded, lifted
from orders.models import (
    AuditEntry,
    ExternalReference,
    Order,
    OrderEvent,
    OrderFact,
    Shop,
    StockEntry,
    StockItem,
    Warehouse,
)

pytestmark = pytest.mark.django_db

MODELS: list[type[models.Model]] = [OrderFact, OrderEvent, AuditEntry, StockEntry]
QUEUE_COLUMNS = ["dispatched_at", "attempts", "not_before", "error", "set_aside", "reacted"]


def make_row(model: type[models.Model], *, is_demo: bool = False) -> Any:
    """One row of the table, with just enough around it."""
    at = now()
    if model is AuditEntry:
        return AuditEntry.objects.create(
            at=at, way="command", action="change", model="x", object_id="1", is_demo=is_demo
        )
    if model is OrderFact:
        reference = ExternalReference.objects.create(kind="order", value="A1")
        return OrderFact.objects.create(
            reference=reference, source="s", role="shop", key="k", kind="order.placed", occurred_at=at, received_at=at,
            is_demo=is_demo,
        )  # fmt: skip
    if model is StockEntry:
        item = StockItem.objects.create(
            warehouse=Warehouse.objects.create(code="w", name="w"), sku="a", counted_at=at
        )
        return StockEntry.objects.create(item=item, kind="count", key="k", at=at, is_demo=is_demo)
    shop = Shop.objects.create(code="s", name="s")
    order = Order.objects.create(number="OH1", shop=shop, external_id="1", created_at=at, stage_since=at)
    return OrderEvent.objects.create(
        order=order, kind="moved", name="stage", new="intake", occurred_at=at, recorded_at=at, is_demo=is_demo
    )


def stored(row: models.Model) -> dict[str, Any]:
    return type(row)._base_manager.filter(pk=row.pk).values().get()


def refused(statement: str) -> str:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    return str(refusal.value)


def fixed_columns(model: type[models.Model]) -> list[str]:
    return [
        field.column
        for field in model._meta.concrete_fields
        if field.column not in TABLES[model._meta.db_table]
    ]


def test_every_append_only_table_is_guarded_after_all_migrations():
    assert guarded() == set(TABLES)
    assert {table for table in TABLES if table.startswith("orders_")} == {
        model._meta.db_table for model in MODELS
    }


@pytest.mark.parametrize("model", MODELS)
def test_update_and_delete_are_refused_by_raw_sql(model):
    row = make_row(model)
    table = model._meta.db_table
    before = stored(row)

    assert f"{table} is append-only: DELETE refused" in refused(f"DELETE FROM {table}")
    kind = "way" if model is AuditEntry else "kind"
    assert f"{table} is append-only: UPDATE refused" in refused(f"UPDATE {table} SET {kind} = 'x'")

    assert stored(row) == before


@pytest.mark.parametrize("model", MODELS)
def test_update_and_delete_are_refused_by_the_orm(model):
    row = make_row(model)
    before = stored(row)

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        model._base_manager.filter(pk=row.pk).update(is_demo=True)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        model._base_manager.filter(pk=row.pk).delete()
    row.is_demo = True
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        row.save()

    assert stored(row) == before


@pytest.mark.parametrize("model", MODELS)
def test_with_the_triggers_lifted_the_same_statements_work(model):
    row = make_row(model)
    table = model._meta.db_table

    with lifted(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET is_demo = %s", [True])
        assert stored(row)["is_demo"] is True
        cursor.execute(f"DELETE FROM {table}")

    assert not model._base_manager.exists()
    assert table in guarded()


def test_a_failure_while_lifted_leaves_the_tables_guarded():
    with pytest.raises(ZeroDivisionError), lifted():
        _ = 1 / 0

    assert guarded() == set(TABLES)


@pytest.mark.parametrize("model", MODELS)
def test_demo_rows_may_go_but_not_change(model):
    row = make_row(model, is_demo=True)
    table = model._meta.db_table

    with pytest.raises(IntegrityError, match="UPDATE refused"), transaction.atomic():
        model._base_manager.filter(pk=row.pk).update(is_demo=False)
    model._base_manager.filter(pk=row.pk).delete()

    assert not model._base_manager.exists()
    assert table in guarded()


def test_the_queue_columns_of_an_event_may_change():
    event = make_row(OrderEvent)

    OrderEvent.objects.filter(pk=event.pk).update(
        dispatched_at=now(), attempts=1, not_before=now(), error="no route", set_aside=True, reacted=["one"]
    )

    assert OrderEvent.objects.get().error == "no route"


@pytest.mark.parametrize("column", fixed_columns(OrderEvent))
def test_no_other_column_of_an_event_may_change_even_beside_queue_columns(column):
    event = make_row(OrderEvent)
    before = stored(event)
    field = next(field for field in OrderEvent._meta.concrete_fields if field.column == column)
    kind = field.get_internal_type()
    value = {
        "JSONField": "'[9]'",
        "BooleanField": f"NOT {column}",
        "DateTimeField": "'2020-01-01 00:00:00+00'",
        "CharField": "'other'",
    }.get(kind, "987654")

    message = refused(f"UPDATE orders_orderevent SET attempts = 1, {column} = {value}")

    assert "append-only: UPDATE refused" in message
    assert stored(event) == before


def test_replacing_a_row_is_refused_too():
    if connection.vendor != "sqlite":
        pytest.skip("REPLACE exists on SQLite only")
    fact = make_row(OrderFact)
    before = stored(fact)

    message = refused(
        "INSERT OR REPLACE INTO orders_orderfact (reference_id, source, role, key, kind, level_id, occurred_at,"
        " received_at, data, is_demo) SELECT reference_id, source, role, key, kind, level_id, occurred_at,"
        " received_at, data, is_demo FROM orders_orderfact"
    )

    assert "DELETE refused" in message
    assert stored(fact) == before


def test_truncate_is_refused():
    if connection.vendor != "postgresql":
        pytest.skip("TRUNCATE exists on PostgreSQL only")
    for model in MODELS:
        assert "TRUNCATE refused" in refused(f"TRUNCATE {model._meta.db_table} CASCADE")


@pytest.mark.django_db(transaction=True)
def test_the_migrations_can_be_taken_back_and_made_again():
    call_command("migrate", "orders", "0001", verbosity=0)
    assert guarded() == set()
    assert not Group.objects.filter(name="sales").exists()

    # All of it: tables of the rooms above went with those of orders.
    call_command("migrate", verbosity=0)
    assert guarded() == set(TABLES)
    assert Group.objects.filter(name="sales").exists()


def test_flushing_a_real_database_is_refused():
    make_row(AuditEntry)

    with pytest.raises(CommandError), transaction.atomic():
        call_command("flush", interactive=False, verbosity=0)

    assert AuditEntry.objects.count() == 1
