"""What customers looked at and asked for, as lists to read. Nothing here is changed by hand."""

from __future__ import annotations

from django.contrib import admin

from orders.paging import BoundedPaginator
from orders.scoped_admin import ScopedAdmin
from promises.tracking.models import ContactClick, CustomerRequest, NextUpdate


@admin.register(ContactClick)
class ContactClickAdmin(ScopedAdmin):
    list_display = ("at", "order", "milestone", "cause", "is_delayed")
    list_filter = ("is_delayed", "cause", "milestone")
    list_select_related = ("order",)
    paginator = BoundedPaginator


@admin.register(NextUpdate)
class NextUpdateAdmin(ScopedAdmin):
    list_display = ("due_at", "order", "cause", "given_by", "kept_at", "missed_at")
    list_filter = ("cause",)
    list_select_related = ("order", "given_by")
    paginator = BoundedPaginator


@admin.register(CustomerRequest)
class CustomerRequestAdmin(ScopedAdmin):
    list_display = ("made_at", "order", "kind", "due_at", "todo")
    list_filter = ("kind",)
    fields = ("order", "kind", "made_at", "due_at", "todo")
    list_select_related = ("order", "todo")
    paginator = BoundedPaginator
