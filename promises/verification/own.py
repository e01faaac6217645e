"""What the house itself has of a commitment: its keys, and the proof that goes with a paper or a code."""

from __future__ import annotations

from contextlib import suppress

from promises import canonical, token
from promises.anchors import reading as anchors
from promises.commitments.models import Promise, PromiseFile
from promises.ledger import reading
from promises.ledger.models import LogKey
from promises.verification import evidence, verdict, verify
from promises.verification.given import Given, take_proof


def trust() -> verify.Trust:
    """Every key that this house ever had."""
    found = verify.Trust()
    for key in LogKey.objects.filter(log__in=verdict.logs()).order_by("-pk"):
        (found.logs if key.purpose == LogKey.Purpose.LOG else found.tokens).append(verify.key(key.vkey))
        if key.purpose == LogKey.Purpose.TOKEN and key.revoked_at_size is not None:
            found.revoked[key.key_id] = key.revoked_at_size
    return found


def complete(given: Given) -> None:
    """Add the proof file that the house has of what was given; what was given stays as it is."""
    promise = _promise(given)
    if promise is None:
        if given.sha256 or given.token:
            given.report.note("known", False, "this house has issued no such commitment")  # noqa: FBT003
        return
    given.report.note("known", True, f"version {promise.version}")  # noqa: FBT003
    _say_state(given, promise)
    _say_receipts(given, promise)
    if given.proof is None:
        with suppress(reading.NotThere):
            take_proof(given, evidence.proof_file(promise))


def _promise(given: Given) -> Promise | None:
    """The one that the code, the bytes or the attachment of the file are of."""
    rows = Promise.objects.select_related("pending__log", "file")
    if given.token:
        return rows.filter(ph=token.parse(given.token).ph.hex()).first()
    if given.sha256:
        known = PromiseFile.objects.filter(sha256=given.sha256).values_list("promise_id", flat=True).first()
        by_bytes = rows.filter(pk=known).first() if known else None
        return by_bytes or rows.filter(ph=canonical.digest(given.attached)).first()
    return None


def _say_state(given: Given, promise: Promise) -> None:
    newest = Promise.objects.filter(number=promise.number).order_by("-version").first() or promise
    given.report.promise |= {"version": promise.version, "state": promise.state}
    if newest.version != promise.version:
        given.report.promise |= {"replaced_by": newest.version, "newest_state": newest.state}


def _say_receipts(given: Given, promise: Promise) -> None:
    """What others have receipted of it, each checked anew. None of them makes a commitment true or false: they bound its time."""
    place = promise.pending.index
    if place is None:
        return
    for one in anchors.receipts(promise.pending.log, place):
        given.report.log |= {f"receipt of {one.kind}": _words(one)}


def _words(receipt: anchors.Elsewhere) -> str:
    if not receipt.is_known:
        return "of a kind that nobody here can read"
    if receipt.said is None:
        return "does not hold"
    at = f", {receipt.said.at:%Y-%m-%d %H:%M:%S} UTC" if receipt.said.at else ", states no time by itself"
    return "holds" + at
