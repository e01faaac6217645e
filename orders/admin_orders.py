"""Orders in the admin: the list, and one page that says where an order stands, whose turn it is, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.timezone import now
from django.utils.translation import gettext_lazy

from orders import access
from orders.board.columns import chips_of
from orders.board.search import find
from orders.journal import name_of, value_of
from orders.mine import ForMe
from orders.models import (
    ExternalReference,
    Order,
    OrderEvent,
    OrderFact,
    Parcel,
    Todo,
)
from orders.order_page import views as order_page
from orders.paging import BoundedPaginator
from orders.scoped_admin import ScopedAdmin
from orders.stages import STAGE_ROWS, Stage


@admin.register(Order)
class OrderAdmin(ScopedAdmin):
    """The list of orders; each opens its own page instead of a form: nothing about an order is typed in."""

    list_display = ("number", "shop", "external_id", "stage", "turn", "next_due", "marks", "last_fact_at")
    list_filter = (
        "is_open",
        "stage",
        "payment",
        "intent",
        "has_conflict",
        "is_held",
        "is_short",
        "shop",
        "warehouse",
        ("set_aside", admin.EmptyFieldListFilter),
    )
    list_select_related = ("shop",)
    search_fields = ("number", "external_id", "waybill")
    lookups = ("created_at__gte", "created_at__lt")
    search_help_text = gettext_lazy(
        "Order number, shop order number, waybill number, or the last 4 digits of a phone"
    )
    ordering = ("-id",)
    sortable_by = ("number",)
    paginator = BoundedPaginator
    list_fullwidth = True

    @admin.display(description=gettext_lazy("turn"))
    def turn(self, order: Order) -> str:
        return str(access.role_label(STAGE_ROWS[Stage(order.stage)].owner)) if order.is_open else ""

    @admin.display(description=gettext_lazy("due"))
    def next_due(self, order: Order) -> datetime | None:
        return order.promised_at or order.step_due_at or order.stalls_at

    @admin.display(description=gettext_lazy("marks"))
    def marks(self, order: Order) -> str:
        return " · ".join(chip.word for chip in chips_of(order, now()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """By what kind of number was typed; always through an index, never by a substring."""
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk__in=find(search_term, request.user).ids), False

    def get_urls(self) -> list[URLPattern]:
        return [*order_page.urls(self), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The order's page."""
        return order_page.show(self, request, order_page.found(self, request, object_id))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Our own books: Django's log knows nothing of orders."""
        return order_page.history(self, request, order_page.found(self, request, object_id))


@admin.register(Todo)
class TodoAdmin(ScopedAdmin):
    """What is waiting for whom."""

    list_display = (
        "text_or_kind",
        "order",
        "owner_label",
        "person",
        "opened_at",
        "due_at",
        "n_times",
        "done_at",
    )
    lookups = ("for",)
    list_filter = (ForMe, ("done_at", admin.EmptyFieldListFilter), "kind", "owner")
    list_select_related = ("order", "person")
    ordering = ("due_at", "id")
    fields = (
        "kind", "order", "subject", "text", "owner", "person", "opened_at", "due_at", "done_at", "done_by", "outcome",
        "n_times",
    )  # fmt: skip

    @admin.display(description=gettext_lazy("to-do"))
    def text_or_kind(self, todo: Todo) -> str:
        return str(todo)

    @admin.display(description=gettext_lazy("owner role"), ordering="owner")
    def owner_label(self, todo: Todo) -> str:
        return str(access.role_label(todo.owner))


@admin.register(Parcel)
class ParcelAdmin(ScopedAdmin):
    list_display = ("waybill", "order", "carrier", "state", "state_at")
    list_filter = ("state",)
    list_select_related = ("order",)
    search_fields = ("waybill__exact",)
    ordering = ("-id",)
    paginator = BoundedPaginator


@admin.register(OrderFact)
class FactAdmin(ScopedAdmin):
    """The book of facts, newest first. Read-only: the database refuses changes."""

    list_display = ("id", "kind", "source", "role", "reference", "level_id", "occurred_at", "received_at")
    list_filter = ("kind", "role")
    list_select_related = ("reference",)
    search_fields = ("key__exact", "reference__value__exact")
    ordering = ("-id",)
    sortable_by = ("id",)
    paginator = BoundedPaginator


@admin.register(OrderEvent)
class EventAdmin(ScopedAdmin):
    """The journal of what the hub did, newest first; events set aside are the defects to look at."""

    list_display = (
        "id",
        "order",
        "kind",
        "what",
        "was",
        "became",
        "source",
        "recorded_at",
        "dispatched_at",
        "set_aside",
    )
    list_filter = ("kind", "set_aside")
    list_select_related = ("order",)
    search_fields = ("order__number__exact",)
    ordering = ("-id",)
    sortable_by = ("id",)
    readonly_fields = ("what", "was", "became")
    paginator = BoundedPaginator

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        words = {"name": "what", "old": "was", "new": "became"}
        return list(dict.fromkeys(words.get(str(name), name) for name in super().get_fields(request, obj)))

    @admin.display(description=gettext_lazy("what"))
    def what(self, event: OrderEvent) -> str:
        return name_of(event)

    @admin.display(description=gettext_lazy("from"))
    def was(self, event: OrderEvent) -> str:
        return value_of(event, event.old)

    @admin.display(description=gettext_lazy("to"))
    def became(self, event: OrderEvent) -> str:
        return value_of(event, event.new)


@admin.register(ExternalReference)
class ReferenceAdmin(ScopedAdmin):
    list_display = ("value", "kind", "connection")
    list_filter = ("kind",)
    search_fields = ("value__exact",)
    ordering = ("-id",)
    paginator = BoundedPaginator
