"""Asking the witnesses that the operator names to sign each new head. Never in the way of anything: what fails is tried again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import requests
from django.conf import settings
from django.core.cache import cache
from django.utils.timezone import now

from orders import tasks
from promises import notes
from promises.ledger import reading, witness
from promises.ledger.models import Checkpoint, Cosignature, TransparencyLog

logger = logging.getLogger(__name__)

WORK = "witnesses"
# Seconds to connect and to answer.
PATIENCE = (5, 10)
MOST_BYTES = 10_000
# A witness that did not answer is left alone for so long.
REST = 60


@dataclass(frozen=True, slots=True)
class Witness:
    """url: what stands before /add-checkpoint."""

    verifier: notes.Verifier
    url: str


class NoCosignature(Exception):
    """The witness did not sign; why."""


def named() -> list[Witness]:
    """Those of ORDERHUB_WITNESSES, "KEY ADDRESS" each. Raises BadNote for a key that is none."""
    found = []
    for line in settings.WITNESSES:
        vkey, _space, url = line.partition(" ")
        found.append(Witness(notes.verifier(vkey), url.strip().rstrip("/")))
    return found


def sweep() -> None:
    """The steward's part: have the worker ask where a head lacks a signature."""
    if settings.WITNESSES and any(_waiting()):
        tasks.hint(WORK)


def work() -> None:
    """The worker's part."""
    tasks.take(WORK)
    at = now()
    for log, head, one in _waiting():
        try:
            ask(log, head, one, at)
        except (requests.RequestException, NoCosignature) as error:
            logger.warning(
                "The witness %s did not sign the head of %s: %s", one.verifier.name, log.origin, error
            )
            cache.set(_resting(log, one), 1, REST)
    tasks.finish(WORK)


def _waiting() -> Iterator[tuple[TransparencyLog, Checkpoint, Witness]]:
    """Newest heads that a witness has not signed, unless it is left alone for now. The demo needs no witness."""
    for log in TransparencyLog.objects.filter(is_demo=False).order_by("pk"):
        head = reading.newest(log)
        for one in named() if head is not None else ():
            signed = Cosignature.objects.filter(checkpoint=head, witness=one.verifier.name)
            if head is not None and not signed.exists() and not cache.get(_resting(log, one)):
                yield log, head, one


def _resting(log: TransparencyLog, one: Witness) -> str:
    return f"witness-{log.pk}-{one.verifier.key_id.hex()}"


def ask(log: TransparencyLog, head: Checkpoint, one: Witness, at: datetime) -> None:
    """Have one witness sign one head, and keep its line. Raises NoCosignature and what requests raises."""
    before = Cosignature.objects.filter(checkpoint__log=log, witness=one.verifier.name).order_by(
        "-checkpoint__size"
    )
    known = before.values_list("checkpoint__size", flat=True).first() or 0
    status, text = _sent(log, head, one, known)
    if status == 409 and text.strip().isdecimal() and len(text) < 20:
        # It knows better what it signed last; a database that was restored does not.
        status, text = _sent(log, head, one, int(text))
    if status != 200:
        raise NoCosignature(f"{status} {text.strip()[:200]}")
    _keep(head, one, text, at)


def _sent(log: TransparencyLog, head: Checkpoint, one: Witness, old: int) -> tuple[int, str]:
    try:
        proof = reading.consistency(log, old, head.size)
    except IndexError:
        raise NoCosignature(f"it has signed {old} entries, here are {head.size}") from None
    body = witness.request(old, proof, head.note).encode()
    with requests.post(
        f"{one.url}/add-checkpoint", data=body, timeout=PATIENCE, allow_redirects=False, stream=True
    ) as answer:
        return answer.status_code, answer.raw.read(MOST_BYTES, decode_content=True).decode(errors="replace")


def _keep(head: Checkpoint, one: Witness, lines: str, at: datetime) -> None:
    """Its line, if it is its signature under this head. Raises NoCosignature."""
    text = head.note.partition("\n\n")[0] + "\n"
    try:
        note = notes.parse(f"{text}\n{lines}")
        if one.verifier not in notes.signed_by(note, [one.verifier]):
            raise NoCosignature("it answered with somebody else's signature")
    except notes.BadNote as error:
        raise NoCosignature(str(error)) from None
    line = next(sig.line() for sig in note.signatures if sig.key_id == one.verifier.key_id)
    Cosignature.objects.get_or_create(
        checkpoint=head,
        witness=one.verifier.name,
        defaults={"line": line, "at": at, "is_demo": head.is_demo},
    )
