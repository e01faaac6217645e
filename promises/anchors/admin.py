"""The stamps for whoever audits the logs. Nothing can be added, changed or deleted here."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy

from promises.anchors.models import Anchor
from promises.ledger.admin import LogAdmin


@admin.register(Anchor)
class AnchorAdmin(LogAdmin):
    list_display = ("head", "origin", "kind", "state", "at", "made_at")
    list_filter = ("state", "kind")
    list_select_related = ("checkpoint__log",)
    ordering = ("-pk",)
    fields = ("head", "origin", "kind", "state", "at", "made_at", "facts", "attempts", "not_before", "error")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("entries"))
    def head(self, anchor: Anchor) -> int:
        return anchor.checkpoint.size

    @admin.display(description=gettext_lazy("log"))
    def origin(self, anchor: Anchor) -> str:
        return anchor.checkpoint.log.origin
