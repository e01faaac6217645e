"""Admin classes that show only what a person's row scope covers, and change nothing unless they say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, TabularInline

from orders.people import visible

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.forms import ModelChoiceField, ModelMultipleChoiceField
    from django.http import HttpResponse


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """Offers only those related rows that the person may see."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        rows = visible(field.remote_field.model._default_manager.all(), request.user)
        return [(str(row.pk), str(row)) for row in rows]


class ScopedAdmin(ModelAdmin):  # type: ignore[misc]
    """A list and a page of rows in scope; whatever is out of scope does not exist (404). Read-only by default.

    `may_add`, `may_change`, `may_delete` open the ways that the model's permissions then guard.
    `scope_path` overrides orders.people.SCOPE_PATHS: how the rows reach an order ("order"), the relation that names a
    shop or warehouse ("=connection"), or None for rows that need no scope.
    """

    may_add = False
    may_change = False
    may_delete = False
    scope_path: str | None = "?"
    show_full_result_count = False
    list_per_page = 50
    # Columns a query string may filter by beside those that the list shows and filters by.
    lookups: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), request.user, path=self.scope_path)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_add and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.may_change and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.may_delete and super().has_delete_permission(request, obj)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        # Django sends the browser to the index with a message; a guessed address is plainly not found.
        raise Http404(_("There is no such record, or it is outside your area."))

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        kwargs.setdefault("queryset", self._choosable(db_field, request))
        field: ModelChoiceField[Any] | None = super().formfield_for_foreignkey(db_field, request, **kwargs)
        return field

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        kwargs.setdefault("queryset", self._choosable(db_field, request))
        field: ModelMultipleChoiceField[Any] | None = super().formfield_for_manytomany(
            db_field, request, **kwargs
        )
        return field

    def _choosable(self, field: Any, request: HttpRequest) -> QuerySet[Any]:
        model = field.remote_field.model
        other = self.admin_site._registry.get(model)
        path = getattr(other, "scope_path", "?")
        return visible(model._default_manager.all(), request.user, path=path)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [self._scoped_filter(entry) for entry in super().get_list_filter(request)]

    def _scoped_filter(self, entry: Any) -> Any:
        if not isinstance(entry, str) or "__" in entry:
            return entry
        try:
            field = self.model._meta.get_field(entry)
        except FieldDoesNotExist:
            return entry
        return (entry, ScopedRelatedFilter) if field.is_relation else entry

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only by what the list shows: a filter on a hidden column answers questions about it."""
        if request is None or not super().lookup_allowed(lookup, value, request):
            return False
        name = lookup.split("__")[0]
        filters = (
            entry[0] if isinstance(entry, (tuple, list)) else entry
            for entry in super().get_list_filter(request)
        )
        shown = {str(entry).split("__")[0] for entry in filters if isinstance(entry, str)}
        shown |= {str(column) for column in self.get_list_display(request)} | {
            str(self.date_hierarchy),
            *self.lookups,
        }
        return name in shown or name in {"pk", "id"} or lookup in self.lookups

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if not self.may_delete:
            actions.pop("delete_selected", None)
        return actions


class ScopedInline(TabularInline):  # type: ignore[misc]
    """Rows under a record that is itself in scope. They are shown, never edited."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


__all__ = ["ScopedAdmin", "ScopedInline", "ScopedRelatedFilter"]
