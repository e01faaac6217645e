"""What arrived, in the admin: waiting, done, failed; the original for those who may read it; back to work after mending."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integrations.ingest import replay
from integrations.models import InboundMessage
from integrations.told import words_of
from orders import audit
from orders.models import OrderFact
from orders.paging import BoundedPaginator
from orders.scoped_admin import ScopedAdmin


@admin.register(InboundMessage)
class MessageAdmin(ScopedAdmin):
    """The inbox. A failed message keeps its original and says what is wrong with which field."""

    list_display = (
        "id",
        "connection",
        "form",
        "remote_key",
        "state",
        "what_is_wrong",
        "received_at",
        "n_facts",
    )
    list_filter = ("state", "form", "connection")
    list_select_related = ("connection",)
    search_fields = ("remote_key__exact", "remote_key__startswith")
    ordering = ("-id",)
    sortable_by = ("id",)
    paginator = BoundedPaginator
    actions = ("replay",)
    fields = (
        "connection", "form", "remote_key", "state", "problems", "attempts", "not_before", "received_at", "processed_at",
        "n_facts", "facts", "original", "run", "run_row",
    )  # fmt: skip
    readonly_fields = ("problems", "facts", "original")

    @admin.display(description=gettext_lazy("what is wrong"))
    def what_is_wrong(self, message: InboundMessage) -> str:
        return "; ".join(_sentence(one) for one in message.errors)[:200]

    @admin.display(description=gettext_lazy("problems"))
    def problems(self, message: InboundMessage) -> str:
        return "\n".join(_sentence(one) for one in message.errors) or "–"

    @admin.display(description=gettext_lazy("facts it gave"))
    def facts(self, message: InboundMessage) -> str:
        facts = OrderFact.objects.filter(message=message.pk).select_related("reference")[:20]
        return "\n".join(f"#{fact.pk} {fact.get_kind_display()} {fact.reference}" for fact in facts) or "–"

    @admin.display(description=gettext_lazy("original"))
    def original(self, message: InboundMessage) -> str:
        return (
            _("Open “Original” above; each look is recorded.")
            if message.body
            else _("Deleted after its time.")
        )

    def get_urls(self) -> list[URLPattern]:
        look = self.admin_site.admin_view(self.look)
        return [
            path("<int:pk>/original/", look, name="integrations_inboundmessage_original"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra = {
            **(extra_context or {}),
            "may_read_body": request.user.has_perm("integrations.read_body"),
            "may_replay": request.user.has_perm("integrations.replay_message"),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return response

    change_form_template = "integrations/message.html"

    def look(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The body as it came, for those who may read personal data in it. By POST: each look leaves an audit row."""
        if not request.user.has_perm("integrations.read_body"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        message = self.get_object(request, str(pk))
        if message is None:
            raise Http404(_("There is no such message, or it is outside your area."))
        audit.record("look", message)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Original of %(key)s") % {"key": message.remote_key},
            "message": message,
            "body": _pretty(message.body),
            "opts": self.opts,
        }
        return TemplateResponse(request, "integrations/original.html", context)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.replay_message")

    @admin.action(
        description=gettext_lazy("Replay: process these failed messages again"), permissions=["replay"]
    )
    def replay(self, request: HttpRequest, queryset: QuerySet[InboundMessage]) -> None:
        failed = list(queryset.filter(state=InboundMessage.State.FAILED))
        n_messages = replay([message.pk for message in failed])
        for message in failed:
            audit.record("replay", message)
        left = queryset.count() - len(failed)
        self.message_user(
            request,
            ngettext("%(n)s message goes back to work.", "%(n)s messages go back to work.", n_messages)
            % {"n": n_messages},
            messages.SUCCESS if n_messages else messages.WARNING,
        )
        if left > 0:
            self.message_user(
                request,
                ngettext(
                    "%(n)s message was left alone: only failed ones are replayed.",
                    "%(n)s messages were left alone: only failed ones are replayed.",
                    left,
                )
                % {"n": left},
                messages.WARNING,
            )


def _sentence(problem: dict[str, str]) -> str:
    return f"{problem.get('field')}: {words_of(problem)}" if problem.get("field") else words_of(problem)


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except ValueError:
        return body
