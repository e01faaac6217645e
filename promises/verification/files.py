"""A PDF sent here to be checked, for browsers that cannot hash it themselves: hashed while it comes in, and not kept."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from promises import token
from promises.commitments.models import PromiseFile
from promises.verification import limits, verdict, views
from promises.verification.verdict import Authenticity, Verdict
from promises.verification.words import Sentence

FIELD = "pdf"
# A paper of 500 articles weighs a tenth of it. What is larger is none of ours, and is not read.
MOST = 4 * 1024 * 1024


class Hashing(FileUploadHandler):
    """Takes the one file as it comes in, and lets go of each piece at once."""

    chunk_size = 64 * 1024

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self._hash = hashlib.sha256()
        self.size = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.field_name != FIELD:
            raise StopUpload(connection_reset=False)
        self._hash.update(raw_data)
        self.size += len(raw_data)

    def file_complete(self, file_size: int) -> None:
        """There is no file."""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


# It asks and changes nothing, and knows no login; for a token Django would read the body before its size is known.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The verdict on the PDF in the field pdf. Reading the page asks nothing: that is what the form is for."""
    if request.method != "POST":
        return redirect("verification:form")
    at, size = now(), int(request.META.get("CONTENT_LENGTH") or 0)
    if not size:
        return _refused(request, _no_file(), 400)
    if size > MOST:
        return _refused(request, _too_large(), 413)
    if limits.is_too_fast(request, at):
        return _refused(request, _too_fast(), 429)
    sha256 = _hashed(request)
    if not sha256:
        return _refused(request, _no_file(), 400)
    try:
        found = by_file(sha256, at)
    except DatabaseError:
        found = Verdict(authenticity=Authenticity.UNAVAILABLE, at=at)
    known = views.context(found) | {"sent_sha256": sha256}
    if found.authenticity == Authenticity.UNKNOWN:
        known |= {"said": _unknown(), "title": _unknown().word}
    return _answer(request, known, views.STATUS.get(found.authenticity, 200))


def _hashed(request: HttpRequest) -> str:
    """The SHA-256 of what is in the field; empty where nothing is."""
    hashing = Hashing(request)
    request.upload_handlers = [hashing]
    request.FILES  # noqa: B018 - reads the body
    return hashing.sha256 if hashing.size else ""


def by_file(sha256: str, at: datetime) -> Verdict:
    """What is to be said to whoever has the file of these bytes, and with it the code that stands in it."""
    filed = PromiseFile.objects.select_related("promise").filter(sha256=sha256).first()
    if filed is None:
        return Verdict(authenticity=Authenticity.UNKNOWN, at=at)
    found = verdict.by_token(token.to_text(bytes(filed.promise.token)), at)
    logged = found.evidence.pdf if found.evidence else ""
    # Our own record of the file is no proof: whoever can alter it could pass another paper for the one that was issued.
    return found if logged in {"", sha256} else Verdict(authenticity=Authenticity.UNAVAILABLE, at=at)


def _unknown() -> Sentence:
    return Sentence(
        "stale",
        _("Not a file of ours"),
        _(
            "We have issued no file with exactly these bytes. One that was changed, converted or scanned has others: "
            "check its number, and compare every line."
        ),
    )


def _too_fast() -> Sentence:
    return Sentence("stale", _("Try again later"), _("Too much was tried. Wait a minute, then try again."))


def _too_large() -> Sentence:
    text = _("Our files are smaller than %(n)s MB; this one was not read. Choose the PDF of the commitment.")
    return Sentence("stale", _("Not a file of ours"), text % {"n": MOST // 1024 // 1024})


def _no_file() -> Sentence:
    return Sentence("stale", _("No file"), _("Nothing was sent. Choose the PDF of the commitment first."))


def _refused(request: HttpRequest, said: Sentence, status: int) -> HttpResponse:
    response = _answer(request, {"title": said.word, "said": said}, status)
    if status == 429:
        response.headers["Retry-After"] = "60"
    return response


def _answer(request: HttpRequest, known: dict[str, Any], status: int) -> HttpResponse:
    response = render(request, "promises/verify/file.html", known, status=status)
    patch_cache_control(response, no_store=True, private=True)
    return response
