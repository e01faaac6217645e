"""The logs for whoever audits them: entries, heads, keys and what waits. Nothing can be added, changed or deleted here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from orders.paging import BoundedPaginator
from orders.scoped_admin import ScopedAdmin
from promises.ledger import replaying
from promises.ledger.models import Checkpoint, Cosignature, LogKey, LogLeaf, LogPending, TransparencyLog


class LogAdmin(ScopedAdmin):
    """Read-only, for everybody who has the permission: there is nothing of single customers in it."""

    scope_path = None
    list_filter: tuple[str, ...] = ("log",)
    list_select_related: tuple[str, ...] = ("log",)
    paginator = BoundedPaginator
    # Without a link that deletes or changes many at once.
    actions = None


@admin.register(TransparencyLog)
class TransparencyLogAdmin(LogAdmin):
    list_display = ("origin", "purpose", "visibility", "alarm", "alarm_at", "created_at")
    list_filter = ()
    list_select_related = ()
    ordering = ("pk",)
    fields = ("origin", "purpose", "shard", "visibility", "mmd", "grace", "created_at", "alarm", "alarm_at")
    readonly_fields = fields


def _said(leaf: LogLeaf) -> dict[str, Any]:
    """What the entry says; nothing where somebody has altered it so that it cannot be read."""
    try:
        return replaying.decoded(bytes(leaf.entry), leaf.index)
    except replaying.BadEntry:
        return {}


@admin.register(LogLeaf)
class LogLeafAdmin(LogAdmin):
    """The newest entries first. The address of each is by its row, its place stands in it."""

    list_display = ("index", "kind", "written", "about", "short_digest", "log")
    ordering = ("-log_id", "-index")
    fields = ("log", "index", "text", "digest")
    readonly_fields = fields
    search_fields = ("=index",)

    @admin.display(description=gettext_lazy("entry"))
    def text(self, leaf: LogLeaf) -> str:
        return bytes(leaf.entry).decode(errors="replace")

    @admin.display(description=gettext_lazy("kind"))
    def kind(self, leaf: LogLeaf) -> str:
        return str(_said(leaf).get("t", "?"))

    @admin.display(description=gettext_lazy("time"))
    def written(self, leaf: LogLeaf) -> datetime | None:
        ts = _said(leaf).get("ts")
        return datetime.fromtimestamp(ts, UTC) if isinstance(ts, int) and 0 < ts < 2**32 else None

    @admin.display(description=gettext_lazy("about"))
    def about(self, leaf: LogLeaf) -> object:
        return _said(leaf).get("ref")

    @admin.display(description=gettext_lazy("hash"))
    def short_digest(self, leaf: LogLeaf) -> str:
        return bytes(leaf.leaf_hash).hex()[:16]

    @admin.display(description=gettext_lazy("hash"))
    def digest(self, leaf: LogLeaf) -> str:
        return bytes(leaf.leaf_hash).hex()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By place: the index finds it."""
        if not search_term:
            return queryset, False
        place = int(search_term) if search_term.isdecimal() and len(search_term) < 18 else -1
        return queryset.filter(index=place), False


@admin.register(Checkpoint)
class CheckpointAdmin(LogAdmin):
    list_display = ("size", "short_digest", "created_at", "witnesses", "log")
    ordering = ("-log_id", "-size")
    fields = ("log", "size", "digest", "created_at", "note", "witnesses")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("cosignatures")

    @admin.display(description=gettext_lazy("root"))
    def short_digest(self, head: Checkpoint) -> str:
        return bytes(head.root).hex()[:16]

    @admin.display(description=gettext_lazy("root"))
    def digest(self, head: Checkpoint) -> str:
        return bytes(head.root).hex()

    @admin.display(description=gettext_lazy("witnesses"))
    def witnesses(self, head: Checkpoint) -> str:
        seen: list[Cosignature] = list(head.cosignatures.all())
        return ", ".join(one.witness for one in seen) or "-"


@admin.register(LogPending)
class LogPendingAdmin(LogAdmin):
    list_display = ("kind", "dedup", "log", "queued_at", "index")
    list_filter = ("log", "kind")
    ordering = ("-id",)
    fields = ("log", "kind", "dedup", "about", "body", "queued_at", "index")
    readonly_fields = fields


@admin.register(LogKey)
class LogKeyAdmin(LogAdmin):
    list_display = ("key_id", "purpose", "log", "not_before", "not_after", "revoked_at_size")
    ordering = ("-id",)
    fields = ("log", "purpose", "key_id", "vkey", "not_before", "not_after", "revoked_at_size", "secret_file")
    readonly_fields = fields
