"""Questions asked of orders, facts and events, named for who asks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class ScopedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The rows that this user's row scope covers. A user without a scope sees none."""
        from orders.people import visible

        return visible(self, user)


class OrderQuerySet(ScopedQuerySet):
    def open(self) -> Self:
        return self.filter(is_open=True)

    def stalled(self, at: datetime) -> Self:
        """Open orders whose deadline for the next fact has passed and that are not marked yet."""
        return self.open().filter(stalls_at__lt=at, stalled_at__isnull=True).order_by("stalls_at")

    def due_again(self, at: datetime) -> Self:
        """Orders that time alone would judge differently. One that is set aside waits for its operator or a new fact."""
        return self.filter(due_again_at__lte=at, set_aside="").order_by("due_again_at")


class FactQuerySet(ScopedQuerySet):
    def of_order(self, order: models.Model) -> Self:
        return self.filter(reference__links__order=order)

    def timeline(self, order: models.Model) -> Self:
        """An order's facts as they happened. Ties are broken as the derivation does."""
        return self.of_order(order).order_by("occurred_at", "source", "key", "kind", "level_id")


class EventQuerySet(ScopedQuerySet):
    def waiting(self, at: datetime) -> Self:
        """Events nobody has reacted to yet, oldest first."""
        return (
            self.filter(dispatched_at__isnull=True, set_aside=False)
            .filter(Q(not_before__isnull=True) | Q(not_before__lte=at))
            .order_by("id")
        )
