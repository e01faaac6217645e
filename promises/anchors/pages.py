"""Receipts for the world, to be checked without us: the service's answer, and the signed head that it is over."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from promises.anchors.models import Anchor

# What programs that read them expect behind the dot.
ENDINGS = {"rfc3161": "tsr", "ots": "ots", "notary": "json"}


@require_safe
def receipt(request: HttpRequest, pk: int) -> HttpResponse:
    row = _whole(pk)
    name = f"head-{row.checkpoint.size}.{ENDINGS.get(row.kind, 'bin')}"
    return _file(bytes(row.receipt), name, "application/octet-stream")


@require_safe
def head(request: HttpRequest, pk: int) -> HttpResponse:
    row = _whole(pk)
    return _file(row.checkpoint.note.encode(), f"head-{row.checkpoint.size}.txt", "text/plain; charset=utf-8")


def _whole(pk: int) -> Anchor:
    rows = Anchor.objects.exclude(kind=Anchor.Kind.MAIL).select_related("checkpoint")
    return get_object_or_404(rows, pk=pk, state=Anchor.State.ANCHORED)


def _file(data: bytes, name: str, kind: str) -> HttpResponse:
    return HttpResponse(
        data, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
