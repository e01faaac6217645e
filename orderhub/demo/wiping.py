"""Taking the demo seller out again: only rows that were marked as demo when they were made."""

from __future__ import annotations

from django.db import models, transaction

from integrations.models import Connection, FieldMapping, IdempotencyKey, ImportRun, InboundMessage
from orders import audit
from orders.models import (
    AuditEntry,
    Contact,
    Customer,
    ExternalReference,
    Order,
    OrderEvent,
    OrderFact,
    Shop,
    SourceHeard,
    StockEntry,
    StockItem,
    StockLock,
    Todo,
    Warehouse,
    WorkCalendar,
)
from promises.commitments import demo as commitments
from promises.models import EstimateModel


def wipe() -> dict[str, int]:
    """Delete every demo row; how many of each kind went. Shops or warehouses that something real uses stay."""
    gone: dict[str, int] = {}
    with audit.acting(way="demo", reason="demo data wiped"), transaction.atomic():
        slugs = list(Connection.objects.filter(is_demo=True).values_list("slug", flat=True))
        _delete(gone, Todo.objects.filter(is_demo=True))
        _delete(gone, OrderEvent.objects.filter(is_demo=True))
        _delete(gone, OrderFact.objects.filter(is_demo=True))
        _delete(gone, StockLock.objects.filter(order__is_demo=True))
        gone |= commitments.clear()
        _delete(gone, Order.objects.filter(is_demo=True))
        _delete(gone, EstimateModel.objects.filter(is_demo=True))
        _delete(gone, ExternalReference.objects.filter(is_demo=True, facts__isnull=True))
        _delete(gone, StockEntry.objects.filter(is_demo=True))
        _delete(gone, StockItem.objects.filter(is_demo=True, entries__isnull=True, locks__isnull=True))
        _delete(gone, InboundMessage.objects.filter(is_demo=True))
        _delete(gone, IdempotencyKey.objects.filter(connection__is_demo=True))
        _delete(gone, ImportRun.objects.filter(connection__is_demo=True))
        _delete(gone, SourceHeard.objects.filter(source__in=slugs))
        _delete(gone, Connection.objects.filter(is_demo=True))
        _delete(gone, FieldMapping.objects.filter(is_demo=True, connection=None, importrun=None))
        _delete(gone, Customer.objects.filter(is_demo=True, orders__isnull=True))
        _delete(gone, Contact.objects.filter(is_demo=True, order__isnull=True))
        _delete(gone, Shop.objects.filter(is_demo=True, orders__isnull=True, connection=None))
        houses = Warehouse.objects.filter(is_demo=True, orders__isnull=True, shop__isnull=True)
        _delete(gone, houses.filter(connection=None, stockitem=None))
        _delete(gone, WorkCalendar.objects.filter(is_demo=True, warehouse__isnull=True))
        # Last: the deletions above left audit rows of their own.
        _delete(gone, AuditEntry.objects.filter(is_demo=True))
    return {name: count for name, count in gone.items() if count}


def _delete(gone: dict[str, int], rows: models.QuerySet[models.Model]) -> None:
    name = rows.model._meta.model_name or ""
    # By key: a delete over a join is not to be had everywhere.
    keys = list(rows.order_by().values_list("pk", flat=True).distinct())
    for start in range(0, len(keys), 500):
        rows.model._default_manager.filter(pk__in=keys[start : start + 500]).delete()
    gone[name] = len(keys)
