"""/v/: is this promise genuine, and what has become of it. For strangers; reading changes nothing but a count."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.timezone import now
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from promises import numbers, token
from promises.commitments.models import Compensation, Promise
from promises.ledger import reading
from promises.ledger.models import SellerProfile, TransparencyLog
from promises.verification import evidence, limits, rate, verdict, words
from promises.verification.verdict import Authenticity, Verdict

STATUS = {Authenticity.UNKNOWN: 404, Authenticity.UNAVAILABLE: 503}


@require_safe
def page(request: HttpRequest, what: str = "") -> HttpResponse:
    """The form, or the verdict on a code or number in the address or in ?n=; f is the fingerprint on the paper."""
    typed = (what or request.GET.get("n", "")).strip().strip("/")
    at = now()
    if not typed:
        return _answer(request, {"title": _("Check a commitment")}, 200)
    try:
        found = judged(typed, request.GET.get("f", ""), at)
    except DatabaseError:
        found = Verdict(authenticity=Authenticity.UNAVAILABLE, at=at)
    # Whoever holds a code cannot be guessing; everybody else may be.
    if not found.has_token and limits.is_too_fast(request, at):
        return _too_fast(request)
    return _answer(request, context(found), STATUS.get(found.authenticity, 200))


def judged(typed: str, fingerprint: str, at: datetime) -> Verdict:
    """The verdict on whatever somebody typed, scanned or pasted: a code, its address, or a number."""
    last = typed.partition("?")[0].strip("/").rpartition("/")[2]
    if len(last) > 2 * numbers.LENGTH:
        return verdict.by_token(last, at)
    return verdict.by_number(last, at, fingerprint=fingerprint)


def context(found: Verdict) -> dict[str, Any]:
    said = words.sentence(found)
    known: dict[str, Any] = {"title": said.word, "said": said, "found": found}
    if found.promise is None or found.authenticity != Authenticity.GENUINE:
        return known
    zone = words.zone_of(found.promise)
    known |= {
        "checked_at": words.at_place(found.at, zone),
        "state_word": words.state_word(found.newest_state),
        "due": words.at_place(found.newest.due if found.newest else None, zone),
    }
    return known | _for_holder(found) if found.has_token else known


def _for_holder(found: Verdict) -> dict[str, Any]:
    """What only the holder of the code may see."""
    promise, newest = found.promise, found.newest
    assert promise is not None  # noqa: S101 - see context
    assert newest is not None  # noqa: S101
    steps = words.chain(found)
    for step in steps:
        step["address"] = token.to_text(step.pop("token")) if step.get("token") else ""
    return {
        "paper": words.paper(found),
        "chain": steps,
        "trust": words.trust(found),
        "token": token.to_text(bytes(promise.token)),
        "newest": newest,
        "newest_address": token.to_text(bytes(newest.token)) if newest.pk != promise.pk else "",
        "n_moved": newest.version - 1,
        "first_due": words.at_place(newest.first_due, words.zone_of(newest)),
        "sha256": promise.file.sha256,
        "keys": _keys_address(promise),
        "apology": _apology(found),
        "compensation": Compensation.objects.filter(promise=newest).first() if _is_missed(found) else None,
        "rate": rate.known(found.evidence.log) if found.evidence else None,
    }


def _keys_address(promise: Promise) -> str:
    log = promise.pending.log
    if log.purpose == TransparencyLog.Purpose.SELLER:
        return reverse("promise-keys")
    return reverse("log-keys", kwargs={"purpose": log.purpose})


def _apology(found: Verdict) -> str:
    """The seller's own words where the promise was not kept."""
    if not _is_missed(found):
        return ""
    seller = SellerProfile.the_one()
    if seller is None:
        return ""
    return seller.apology_en if _is_english() and seller.apology_en else seller.apology


def _is_missed(found: Verdict) -> bool:
    return found.newest_state in {verdict.State.MISSED, verdict.State.SILENT}


def _is_english() -> bool:
    return (get_language() or "").startswith("en")


@require_safe
def proof(request: HttpRequest, text: str) -> HttpResponse:
    """The proof file for the holder of a code: entry, payload, code and place, all in one."""
    found = verdict.by_token(text, now())
    since = request.GET.get("since", "")
    if not found.has_token or found.promise is None:
        raise Http404
    try:
        content = evidence.proof_file(found.promise, since=int(since) if since.isdecimal() else None)
    except reading.NotThere:
        raise Http404 from None
    name = f"{found.promise.number}-{found.promise.version}.tlog-proof"
    return HttpResponse(
        content,
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_safe
def verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks without us, byte for byte as it lies here."""
    content = Path(__file__).with_name("verify.py").read_bytes()
    return HttpResponse(
        content, content_type="text/x-python; charset=utf-8", headers={"Cache-Control": "no-cache"}
    )


@require_safe
def figures(request: HttpRequest, purpose: str = "seller") -> HttpResponse:
    """The seller's figures for programs that count them again from the entries; where those are not public, neither are they."""
    log = TransparencyLog.objects.filter(purpose=purpose).first()
    said = rate.known(log) if log else None
    if log is None or said is None:
        raise Http404
    if log.visibility != "public" and not request.user.has_perm("promises.view_logleaf"):
        raise Http404
    told = {"origin": log.origin, "size": said.size, "as_of": said.as_of, "statistics": said.statistics}
    return JsonResponse(told, headers={"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"})


def _too_fast(request: HttpRequest) -> HttpResponse:
    said = words.Sentence(
        "stale", _("Try again later"), _("Too many numbers were tried. Wait a minute, then try again.")
    )
    response = _answer(request, {"title": said.word, "said": said}, 429)
    response.headers["Retry-After"] = "60"
    return response


def _answer(request: HttpRequest, known: dict[str, Any], status: int) -> HttpResponse:
    response = render(request, "promises/verify/page.html", known, status=status)
    # A verdict is true at its moment only, and what stands on it is its reader's.
    patch_cache_control(response, no_store=True, private=True)
    return response
