"""The field mapping editor: a table of selects over real samples with live results, saved as a version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Min, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations import ingest, mapping_samples, matching
from integrations.canonical import FactItem, OrderReport, Problem, Translated, Untranslatable
from integrations.mapping import BadDefinition, editor, partly, rereading, versions
from integrations.mapping.editor import MODE_LABELS, ValueRow
from integrations.mapping.preview import PATHS_OFFERED, Preview, look, values_at
from integrations.mapping.starters import STARTERS
from integrations.mapping_samples import Bench
from integrations.models import Connection, FieldMapping, UnmappedValue
from orders import audit
from orders.people import visible
from orders.stages import FACT_KINDS

if TYPE_CHECKING:
    from django.contrib.auth.models import User

EDITOR = "integrations/editor.html"
# What is drawn anew while somebody types: element id -> template.
PARTS = {
    "ed-summary": "integrations/editor/summary.html",
    "ed-shown": "integrations/editor/shown.html",
    "ed-failures": "integrations/editor/failures.html",
}
MAX_UNSEEN = 200


def urls(model_admin: Any) -> list[URLPattern]:
    """The editor of one mapping and of a new one; each with its preview, which writes nothing."""
    wrap = model_admin.admin_site.admin_view

    def page(address: str, view: Any, name: str) -> URLPattern:
        def answer(request: HttpRequest, **given: Any) -> HttpResponse:
            found: HttpResponse = view(model_admin, request, **given)
            return found

        found_at: URLPattern = path(address, wrap(answer), name=name)
        return found_at

    return [
        page("<int:pk>/editor/", edit, "integrations_fieldmapping_editor"),
        page("<int:pk>/editor/preview/", preview, "integrations_fieldmapping_preview"),
        page("new/", edit, "integrations_fieldmapping_new"),
        page("new/preview/", preview, "integrations_fieldmapping_new_preview"),
    ]


@dataclass(slots=True)
class Desk:
    """One look at the editor: which mapping, what the form says, which samples."""

    request: HttpRequest
    row: FieldMapping | None
    definition: dict[str, Any]
    bench: Bench
    error: str = ""
    json_text: str = ""

    @property
    def at(self) -> int:
        text = self.request.POST.get("at", "0")
        place = int(text) if text.isascii() and text.isdigit() else 0
        step = {"next": 1, "previous": -1}.get(self.request.POST.get("do", ""), 0)
        return 0 if self.request.POST.get("do") in ("paste", "messages", "run") else place + step


def edit(model_admin: Any, request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The editor's page; by POST one of its buttons. Only "save" writes, and only the mapping."""
    row = _row(model_admin, request, pk)
    if request.method != "POST":
        desk = Desk(request, row, _beginning(request, row), Bench())
        return _page(model_admin, desk)
    desk = _desk(request, row)
    if request.POST.get("do") == "save":
        saved = _save(model_admin, desk)
        if saved is not None:
            return HttpResponseRedirect(reverse("admin:integrations_fieldmapping_editor", args=[saved.pk]))
    return _page(model_admin, desk)


def preview(model_admin: Any, request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The parts of the page that change while somebody types, as JSON. Writes nothing."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    desk = _desk(request, _row(model_admin, request, pk))
    seen = _look(desk)
    context = {"seen": seen, "bench": desk.bench, "error": desk.error}
    parts = {name: render_to_string(template, context, request) for name, template in PARTS.items()}
    for row in seen.rows:
        parts[f"ed-r-{row.key}"] = render_to_string("integrations/editor/result.html", {"row": row}, request)
    samples = {one.path: one.sample for one in seen.paths}
    return JsonResponse(
        {
            "parts": parts,
            "samples": samples,
            "at": seen.at,
            "definition": seen.text,
            "error": desk.error or desk.bench.error,
        }
    )


def _row(model_admin: Any, request: HttpRequest, pk: int | None) -> FieldMapping | None:
    """The mapping; None for a new one. Raises Http404, PermissionDenied."""
    if pk is None:
        if not model_admin.has_add_permission(request):
            raise PermissionDenied("integrations.add_fieldmapping")
        return None
    row: FieldMapping | None = model_admin.get_queryset(request).filter(pk=pk).first()
    if row is None or not model_admin.has_view_permission(request, row):
        raise Http404(_("There is no such record, or it is outside your area."))
    return row


def _beginning(request: HttpRequest, row: FieldMapping | None) -> dict[str, Any]:
    if row is not None:
        return cast("dict[str, Any]", row.definition)
    starter = STARTERS.get(request.GET.get("starter", ""))
    return dict(starter[1]) if starter else editor.started()


def _desk(request: HttpRequest, row: FieldMapping | None) -> Desk:
    """What the posted form says. A definition typed as JSON counts only when its own button was pressed."""
    form = request.POST
    error = text = ""
    base = row.definition if row is not None else editor.started()
    try:
        given = json.loads(form["base"]) if form.get("base") else base
        base = given if isinstance(given, dict) else base
    except (ValueError, RecursionError):
        error = _("The form came back damaged; this is the saved version.")
    definition = editor.definition_from(form, base)
    if form.get("do") == "json":
        definition, error = _typed(form.get("json", ""), definition)
        text = form.get("json", "") if error else ""
    bench = mapping_samples.bench(request, row, partly(definition)[0])
    if row is None and not definition.get("fields") and bench.records:
        definition = {**editor.started(bench.records[0]), **definition}
        bench = mapping_samples.bench(request, row, partly(definition)[0])
    desk = Desk(request, row, definition, bench, error, text)
    _accept(desk)
    return desk


def _typed(text: str, before: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The definition that was typed as JSON; the one before, and why, if it is none."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        return before, _("This is not JSON: %(why)s") % {"why": error}
    if isinstance(given, dict):
        return given, ""
    return before, _("A definition is a JSON object: {…}. See docs/field-mapping.md for a full example.")


def _accept(desk: Desk) -> None:
    """Take over the suggestions that were accepted, one or all."""
    wanted = desk.request.POST.get("accept", "")
    if not wanted:
        return
    found = look(desk.definition, desk.bench.records)
    chosen = [one for one in found.suggestions if wanted in ("*", one.field)]
    editor.accept(desk.definition, chosen, values_at([one.path for one in chosen], desk.bench.records))


def _look(desk: Desk) -> Preview:
    shop = _shop(desk)
    return _in_words(
        look(
            desk.definition,
            desk.bench.records,
            at=desk.at,
            shop=shop,
            check=partial(_refused_here, shop) if shop else None,
            unseen=_unseen(desk),
        )
    )


def _shop(desk: Desk) -> str:
    """The shop whose connection uses the mapping, if there is just one."""
    if desk.row is None:
        return ""
    rows = Connection.objects.filter(mapping=desk.row, shop__isnull=False)
    codes = list(rows.values_list("shop__code", flat=True).distinct()[:2])
    return codes[0] if len(codes) == 1 else ""


def _refused_here(shop: str, said: Sequence[Translated]) -> list[Problem]:
    """What the house would refuse although the mapping reads it: an unknown warehouse or order."""
    orders = [item for item in said if isinstance(item, OrderReport)]
    refs = [item.order for item in said if isinstance(item, FactItem)]
    masters = matching.Masters.of(orders, refs)
    numbers = matching.known_numbers(refs)
    try:
        for order in orders:
            matching.check_order(order, masters)
        for ref in refs:
            matching.check_ref(ref, masters, numbers, shop)
    except Untranslatable as error:
        return error.problems
    return []


def _unseen(desk: Desk) -> list[ValueRow]:
    """Values of live traffic that the mapping does not know: how often, since when."""
    if desk.row is None or not desk.request.user.has_perm("integrations.view_unmappedvalue"):
        return []
    rows = UnmappedValue.objects.filter(connection__mapping=desk.row, mapped_at=None)
    mine = visible(rows, desk.request.user, path="=connection").values("field", "value")
    counted = mine.annotate(times=Sum("n_seen"), since=Min("first_seen_at"), rows=Count("pk"))
    return [
        ValueRow(one["value"], one["field"], n_seen=one["times"], first_seen_at=one["since"], is_known=False)
        for one in counted.order_by("-times", "value")[:MAX_UNSEEN]
    ]


def _in_words(seen: Preview) -> Preview:
    """Give every result the words a reader sees: local times, yes and no, fact kinds by name."""
    for row in seen.rows:
        if row.result is not None:
            row.words = [words(value) for value in row.result.values[:3]]
            row.n_more = max(0, len(row.result.values) - 3)
    return seen


def words(value: Any) -> str:
    if isinstance(value, datetime):
        return localtime(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return str(FACT_KINDS[value].label) if isinstance(value, str) and value in FACT_KINDS else str(value)


def _page(model_admin: Any, desk: Desk) -> HttpResponse:
    request, row = desk.request, desk.row
    seen = _look(desk)
    may_save = model_admin.has_change_permission(request, row) if row else True
    name = request.POST.get("name", row.name if row else "")
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Field mapping: %(name)s") % {"name": row} if row else _("New field mapping"),
        "opts": model_admin.opts,
        "row": row,
        "name": name,
        "seen": seen,
        "bench": desk.bench,
        "error": desk.error,
        "json_text": desk.json_text or seen.text,
        "has_json_error": bool(desk.json_text),
        "offered": seen.paths[:PATHS_OFFERED],
        "mapped": [one for one in seen.rows if one.is_mapped or one.required or one.suggestion],
        "others": [one for one in seen.rows if not (one.is_mapped or one.required or one.suggestion)],
        "free_fields": [one for one in seen.rows if not one.is_mapped],
        "kinds": [(code, f"{label} · {code}") for code, label in editor.kind_choices()],
        "modes": MODE_LABELS.items(),
        "nothing": editor.NOTHING,
        "n_facts": len(seen.facts) + 1,
        "blank": editor.FactRow(len(seen.facts), "", editor.Source(), editor.Source()),
        "may_save": may_save,
        "may_read_bodies": request.user.has_perm("integrations.read_body") and _has_messages(desk),
        "may_replay": request.user.has_perm("integrations.replay_message"),
        "affected": rereading.affected(row) if row else None,
        "counted": rereading.COUNTED,
        "connection": request.POST.get("connection") or request.GET.get("connection") or "",
        "based_on": request.POST.get("based_on") or (row.version if row else 0),
        "preview_url": _preview_url(row),
    }
    return TemplateResponse(request, EDITOR, context)


def _has_messages(desk: Desk) -> bool:
    return desk.row is not None or bool(
        desk.request.POST.get("connection") or desk.request.GET.get("connection")
    )


def _preview_url(row: FieldMapping | None) -> str:
    if row is None:
        return reverse("admin:integrations_fieldmapping_new_preview")
    return reverse("admin:integrations_fieldmapping_preview", args=[row.pk])


# Saving.


def _save(model_admin: Any, desk: Desk) -> FieldMapping | None:
    """Save as a new version, and read anew what was chosen; None, with Desk.error set, if it cannot be saved."""
    request, row = desk.request, desk.row
    if row is not None and not model_admin.has_change_permission(request, row):
        raise PermissionDenied("integrations.change_fieldmapping")
    row = row or FieldMapping()
    name = request.POST.get("name", "").strip()
    desk.error = desk.error or _cannot_save(row, name, request.POST.get("based_on", ""))
    if desk.error:
        return None
    before, row.name, row.definition = row.version if row.pk else 0, name, desk.definition
    try:
        with transaction.atomic():
            versions.save(row, by=cast("User", request.user), at=now())
            _use_in_connection(request, row)
    except BadDefinition as error:
        desk.error = ngettext(
            "Nothing was saved: %(count)d place needs mending. %(what)s",
            "Nothing was saved: %(count)d places need mending. %(what)s",
            len(error.problems),
        ) % {"count": len(error.problems), "what": error}
        row.refresh_from_db(fields=["definition", "name"]) if row.pk else None
        return None
    if row.version == before:
        messages.info(
            request, _("Nothing has changed: version %(number)d stays in force.") % {"number": before}
        )
    else:
        messages.success(request, _("Saved as version %(number)d.") % {"number": row.version})
    _replay(request, row)
    return row


def _cannot_save(row: FieldMapping, name: str, based_on: str) -> str:
    if not name or len(name) > 80:
        return _("Nothing was saved: the mapping needs a name of 1 to 80 characters.")
    if FieldMapping.objects.filter(name=name).exclude(pk=row.pk).exists():
        return _("Nothing was saved: there is a mapping called “%(name)s” already. Choose another name.") % {
            "name": name
        }
    if row.pk and based_on != str(row.version):
        return _(
            "Nothing was saved: somebody saved version %(number)d meanwhile. What you changed is still in the form. "
            "Open the mapping in another window to compare, then load it anew."
        ) % {"number": row.version}
    return ""


def _use_in_connection(request: HttpRequest, row: FieldMapping) -> None:
    """A mapping that was made for a connection without one is put into it."""
    wanted = request.POST.get("connection", "")
    if not wanted.isdigit() or not request.user.has_perm("integrations.change_connection"):
        return
    mine = visible(Connection.objects.all(), request.user, path="=")
    for connection in mine.filter(pk=int(wanted), mapping=None):
        connection.mapping = row
        connection.save(update_fields=["mapping"])


def _replay(request: HttpRequest, row: FieldMapping) -> None:
    """What was chosen beside the button: nothing, the newest orders, the messages that failed."""
    at = now()
    if request.POST.get("replay") == "last":
        done = rereading.reread_last(row, at=at)
        audit.record("mapping.reread", row, after={"orders": done.n_orders, "changed": done.n_changed})
        text = ngettext(
            "%(count)d open order was looked at: %(changed)d messages now say something else.",
            "%(count)d open orders were looked at: %(changed)d messages now say something else.",
            done.n_orders,
        )
        messages.success(request, text % {"count": done.n_orders, "changed": done.n_changed})
    if request.POST.get("retry") and request.user.has_perm("integrations.replay_message"):
        failed = visible(rereading.failed_messages(row), request.user, path="=connection")
        count = ingest.replay(list(failed.values_list("pk", flat=True)[: rereading.COUNTED]))
        audit.record("mapping.replay", row, after={"messages": count})
        text = ngettext("%(count)d message is tried again.", "%(count)d messages are tried again.", count)
        messages.success(request, text % {"count": count})
    count = rereading.note_known(row, at=at)
    if count:
        text = ngettext(
            "%(count)d unmapped value has a meaning now.",
            "%(count)d unmapped values have a meaning now.",
            count,
        )
        messages.success(request, text % {"count": count})
