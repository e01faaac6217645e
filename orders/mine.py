"""Which to-dos are one person's: those given to them, and those of their roles that nobody in particular has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

if TYPE_CHECKING:
    from collections.abc import Iterable

PARAMETER = "for"


def is_mine(user_id: int | None, roles: Iterable[str]) -> Q:
    """The condition on to-dos; roles: the codes of the person's groups."""
    return Q(person=user_id) | Q(person__isnull=True, owner__in=list(roles))


class ForMe(admin.SimpleListFilter):
    """The list's filter of the same meaning: ?for=me."""

    title = _("for whom")
    parameter_name = PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, StrOrPromise]]:
        return [("me", _("Me and my roles"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "me":
            return queryset
        return queryset.filter(is_mine(request.user.pk, request.user.groups.values_list("name", flat=True)))
