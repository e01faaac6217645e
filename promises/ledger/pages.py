"""The log for the world: its head, its tiles, its keys, and proofs by number. For programs; everything is read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from promises import numbers
from promises.ledger import reading, tiles, witness
from promises.ledger.models import LogKey, LogPending, TransparencyLog

# A head, its signatures and the longest proof take a few thousand.
MOST_ASKED = 64_000
# 256 ** 6 entries.
MAX_LEVEL = 5
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
FOR_EVER = "public, max-age=31536000, immutable"
# A part of a tile is soon replaced by a longer one.
FOR_AN_HOUR = "public, max-age=3600"
AT_ONCE = "no-cache"


@require_safe
def checkpoint(request: HttpRequest, purpose: str = "seller") -> HttpResponse:
    """The newest signed head, with the lines of the witnesses."""
    head = reading.newest(_log(purpose))
    if head is None:
        raise Http404
    return _answer(reading.note_of(head), TEXT, AT_ONCE)


@require_safe
def hash_tile(request: HttpRequest, level: str, path: str, purpose: str = "seller") -> HttpResponse:
    if int(level) > MAX_LEVEL:
        raise Http404
    return _tile(
        request, purpose, path, lambda log, number, width: tiles.hashes(log, int(level), number, width)
    )


@require_safe
def entry_tile(request: HttpRequest, path: str, purpose: str = "seller") -> HttpResponse:
    return _tile(request, purpose, path, tiles.entries)


def _tile(
    request: HttpRequest, purpose: str, path: str, read: Callable[[TransparencyLog, int, int], bytes]
) -> HttpResponse:
    log = _log(purpose)
    is_open = log.visibility == "public"
    # A log for holders only is as if it had no tiles, except for whoever audits it.
    if not is_open and not request.user.has_perm("promises.view_logleaf"):
        raise Http404
    try:
        number, width = tiles.number_of(path)
        found = read(log, number, width)
    except tiles.NoTile:
        raise Http404 from None
    kept = FOR_EVER if width == tiles.WIDTH else FOR_AN_HOUR
    return _answer(found, BYTES, kept if is_open else "private, no-store")


@require_safe
def all_keys(request: HttpRequest, purpose: str = "seller") -> HttpResponse:
    """Every key that this log ever had, with the time in which it signs."""
    return _answer("".join(_key_lines(_log(purpose))), TEXT, AT_ONCE)


def _key_lines(log: TransparencyLog) -> Iterator[str]:
    yield f"# The keys of {log.origin}: use, key, and in Unix seconds from when until when it signs.\n"
    yield "# revoked_at_size: only entries with smaller places are good.\n"
    for key in LogKey.objects.filter(log=log).order_by("pk"):
        # A comment for programs: whoever trusts these keys must not take reports for heads.
        use = "# monitor" if key.purpose == LogKey.Purpose.MONITOR else key.purpose
        parts = [use, key.vkey, f"from={int(key.not_before.timestamp())}"]
        if key.not_after is not None:
            parts.append(f"until={int(key.not_after.timestamp())}")
        if key.revoked_at_size is not None:
            parts.append(f"revoked_at_size={key.revoked_at_size}")
        yield " ".join(parts) + "\n"


@require_safe
def proof(request: HttpRequest, number: str) -> HttpResponse:
    """The proof file of a number's newest version, or of the one that ?version= names, with its entry.

    The payload is not in it: whoever holds the document has it there.
    """
    try:
        wanted = LogPending.objects.filter(promise__number=numbers.read(number), index__isnull=False)
    except numbers.BadNumber:
        raise Http404 from None
    version = request.GET.get("version", "")
    if version:
        wanted = wanted.filter(promise__version=int(version) if version.isdecimal() else 0)
    pending = wanted.select_related("log").order_by("-pk").first()
    if pending is None or pending.index is None:
        raise Http404
    extra = reading.extra_of(reading.entry(pending.log, pending.index))
    return _answer(reading.proof_file(pending.log, pending.index, extra), TEXT, AT_ONCE)


@csrf_exempt
@require_POST
def add_checkpoint(request: HttpRequest) -> HttpResponse:
    """The witness's one door; who may ask is decided by the keys of the logs that it witnesses."""
    if len(request.body) > MOST_ASKED or not settings.WITNESSED_LOGS:
        return HttpResponse(status=413 if settings.WITNESSED_LOGS else 404)
    answer = witness.add_checkpoint(request.body.decode(errors="replace"), now())
    return HttpResponse(answer.text, status=answer.status, content_type=answer.kind)


@require_safe
def witness_keys(request: HttpRequest) -> HttpResponse:
    """What others need to believe this witness; nothing while it witnesses nobody."""
    if not settings.WITNESSED_LOGS:
        raise Http404
    return _answer(f"{witness.own_vkey()}\n", TEXT, AT_ONCE)


def _log(purpose: str) -> TransparencyLog:
    found = TransparencyLog.objects.filter(purpose=purpose).first()
    if found is None:
        raise Http404
    return found


def _answer(content: bytes | str, kind: str, kept: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type=kind,
        # Verifiers run in other people's pages too; there is nothing here that is not for everybody.
        headers={"Cache-Control": kept, "Access-Control-Allow-Origin": "*"},
    )
