"""The samples on the mapping editor's bench: pasted, from a file, from arrived messages, or rows that failed.

The bench lives in the form: what was loaded once travels along (text, the file's digest, signed ids), so that paging
and live previews look at the same records again and a look at messages is recorded once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _

from integrations import files
from integrations.files import FileRefused
from integrations.files.runs import upload_path
from integrations.mapping import TRIAL_LIMIT
from integrations.mapping.preview import Record
from integrations.mapping.readers import Compiled
from integrations.models import Connection, FieldMapping, ImportRowError, ImportRun, InboundMessage
from orders import audit
from orders.people import visible

SALT = "mapping-samples"
DIGEST = re.compile(r"[0-9a-f]{64}")
# Forms of messages whose bodies a field mapping reads.
MAPPED = ("row", "webhook")


@dataclass(slots=True)
class Bench:
    """The records that are looked at, and what the form must carry to find them again."""

    kind: str = ""
    records: list[Record] = field(default_factory=list)
    pasted: str = ""
    digest: str = ""
    file_name: str = ""
    ticket: str = ""
    error: str = ""
    pinned: bool = False


def bench(request: HttpRequest, mapping: FieldMapping | None, plan: Compiled) -> Bench:
    """The samples that the form asks for. What is wrong with them is told in Bench.error, never raised.

    Raises PermissionDenied for messages that this person may not read.
    """
    form = request.POST
    found = Bench(
        kind=form.get("kind", ""),
        pasted=form.get("pasted", ""),
        digest=form.get("digest", ""),
        file_name=files.safe_name(form.get("file_name", "")) if form.get("digest") else "",
        ticket=form.get("ticket", ""),
        pinned=bool(form.get("pinned")),
    )
    try:
        _load(request, mapping, plan, found)
    except FileRefused as refused:
        found.error = str(refused)
    except (ValueError, RecursionError):
        found.error = _("These samples cannot be read. Load them again.")
    return found


def _load(request: HttpRequest, mapping: FieldMapping | None, plan: Compiled, found: Bench) -> None:
    asked = request.POST.get("do", "")
    upload = request.FILES.get("file")
    if upload is not None:
        found.kind, found.digest = "file", files.keep(upload)
        found.file_name = files.safe_name(upload.name or "")
    elif asked in ("paste", "messages", "run"):
        found.kind = {"paste": "pasted", "messages": "messages", "run": "run"}[asked]
    if found.kind == "pasted" and found.pasted.strip():
        found.records = [_unwrapped(one) for one in files.samples_by(found.pasted, plan, TRIAL_LIMIT)]
    elif found.kind == "file":
        if not DIGEST.fullmatch(found.digest) or not upload_path(found.digest).exists():
            raise FileRefused(_("The uploaded file is no longer there. Upload it again."))
        found.records = files.records_by(found.digest, found.file_name, plan, TRIAL_LIMIT)
    elif found.kind == "messages":
        found.records = _messages(request, mapping, found, fresh=asked == "messages")
    elif found.kind == "run":
        found.records = _failed_rows(request, found, fresh=asked == "run")


def _unwrapped(record: Any) -> Any:
    """What a mapping reads of a whole Standard Webhooks event is its data."""
    if isinstance(record, dict) and {"type", "timestamp", "data"} <= record.keys():
        data = record["data"]
        return data if isinstance(data, dict) else record
    return record


def _messages(
    request: HttpRequest, mapping: FieldMapping | None, found: Bench, *, fresh: bool
) -> list[Record]:
    """The newest messages of the connections that use the mapping; loading them is recorded, paging is not."""
    if not request.user.has_perm("integrations.read_body"):
        raise PermissionDenied("integrations.read_body")
    rows = InboundMessage.objects.filter(connection__in=_connections(request, mapping), form__in=MAPPED)
    if fresh:
        kept = _ids(found.ticket, request)[:1] if found.pinned else []
        newest = list(rows.exclude(body="").order_by("-id").values_list("pk", flat=True)[:TRIAL_LIMIT])
        ids = list(dict.fromkeys([*kept, *newest]))[:TRIAL_LIMIT]
        found.ticket = _ticket(ids, request)
        looked_at = mapping or _connections(request, mapping).first()
        if looked_at is not None:
            with audit.acting(actor=request.user, way="admin"):
                audit.record("mapping.trial", looked_at, after={"messages": ids})
    else:
        ids = _ids(found.ticket, request)
    by_id = {message.pk: message for message in rows.filter(pk__in=ids)}
    return [_record(by_id[pk]) for pk in ids if pk in by_id and by_id[pk].body]


def _connections(request: HttpRequest, mapping: FieldMapping | None) -> Any:
    """Those that use the mapping; for a new mapping the one that the form names."""
    rows = visible(Connection.objects.all(), request.user, path="=")
    if mapping is not None:
        return rows.filter(mapping=mapping)
    wanted = request.POST.get("connection") or request.GET.get("connection") or ""
    return rows.filter(pk=int(wanted)) if wanted.isdigit() else rows.none()


def _record(message: InboundMessage) -> Record:
    """The record in a stored body, as the connector hands it to the mapping."""
    if message.form == "webhook":
        event = json.loads(message.body, parse_float=Decimal)
        data = event.get("data") if isinstance(event, dict) else None
        return data if isinstance(data, dict) else {}
    record: Record = json.loads(message.body)
    return record


def _failed_rows(request: HttpRequest, found: Bench, *, fresh: bool) -> list[Record]:
    """The originals of rows of one import that failed."""
    if not request.user.has_perm("integrations.view_importrowerror"):
        raise PermissionDenied("integrations.view_importrowerror")
    if fresh:
        wanted = request.POST.get("run", "")
        run = visible(ImportRun.objects.all(), request.user, path="=connection").filter(
            pk=int(wanted) if wanted.isdigit() else 0
        )
        for one in run:
            audit.record("import.errors", one, after={"rows": "samples"})
        errors = ImportRowError.objects.filter(run__in=run).exclude(original={}).order_by("row")
        ids = list(errors.values_list("pk", flat=True)[:TRIAL_LIMIT])
        found.ticket = _ticket(ids, request)
    ids = _ids(found.ticket, request)
    runs = visible(ImportRun.objects.all(), request.user, path="=connection")
    rows = ImportRowError.objects.filter(pk__in=ids, run__in=runs).order_by("row")
    return [row.original for row in rows if isinstance(row.original, dict)]


def _ticket(ids: Sequence[int], request: HttpRequest) -> str:
    return signing.dumps({"ids": list(ids), "user": request.user.pk}, salt=SALT)


def _ids(ticket: str, request: HttpRequest) -> list[int]:
    """The ids on the ticket, if this person drew it; [] otherwise."""
    try:
        said = signing.loads(ticket, salt=SALT) if ticket else {}
    except signing.BadSignature:
        return []
    return list(said.get("ids", [])) if said.get("user") == request.user.pk else []
