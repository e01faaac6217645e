"""Asking for entries: the log of this seller, begun once, and the queue from which the sequencer writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db import transaction as database
from django.utils.timezone import now
from django.utils.translation import gettext

from promises import canonical
from promises.ledger import entries, fence, keys
from promises.ledger.models import LogKey, LogPending, SellerProfile, TransparencyLog

Purpose = TransparencyLog.Purpose


class NotSetUp(Exception):
    """Nobody has said yet who promises; the message says what to do."""


class AskedOtherwise(Exception):
    """The same thing was asked for before, with another content. Nothing was queued."""


@contextmanager
def transaction() -> Iterator[None]:
    """One transaction that outlives a power cut once it has committed.

    Inside another transaction it is a part of that one, which then decides how durable it is.
    """
    with _durable(), database.atomic():
        yield


@contextmanager
def _durable() -> Iterator[None]:
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    # Within a transaction SQLite refuses this setting; NORMAL may lose the last commits of a machine that loses power.
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=NORMAL")


# The log.


def log_of(*, is_demo: bool, at: datetime | None = None) -> TransparencyLog:
    """The log in which this seller's commitments stand; the first call begins it. Raises NotSetUp.

    at: when it begins, for a demo that plays in the past.
    """
    return log_for(Purpose.DEMO if is_demo else Purpose.SELLER, at or now())


def log_for(purpose: TransparencyLog.Purpose, at: datetime) -> TransparencyLog:
    """The log of this purpose; the first call begins it. Raises NotSetUp."""
    return _found(purpose) or _begin(purpose, at)


def _found(purpose: TransparencyLog.Purpose) -> TransparencyLog | None:
    return TransparencyLog.objects.filter(purpose=purpose).first()


def seller(*, is_demo: bool) -> SellerProfile:
    """Who promises. Raises NotSetUp."""
    found = SellerProfile.the_one()
    if found is None or (found.is_demo and not is_demo):
        raise NotSetUp(
            gettext(
                "Nobody has entered yet who promises. Enter legal name and credit code under Promises > Seller."
            )
        )
    return found


def _begin(purpose: TransparencyLog.Purpose, at: datetime) -> TransparencyLog:
    profile = seller(is_demo=purpose == Purpose.DEMO)
    with transaction():
        _wait_for_others()
        if log := _found(purpose):
            return log
        earlier = fence.earlier(purpose)
        log = TransparencyLog.objects.create(
            purpose=purpose,
            origin=_origin(profile, purpose, shard=len(earlier) + 1),
            shard=len(earlier) + 1,
            # Who wrote what in the office is nobody else's business.
            visibility="holders" if purpose == Purpose.AUDIT else profile.visibility,
            created_at=at,
            is_demo=purpose == Purpose.DEMO,
        )
        use = LogKey.Purpose
        log_key, token_key = keys.make(log, use.LOG, at), keys.make(log, use.TOKEN, at)
        previous = earlier[-1].note if earlier else None
        body = _genesis(log, profile, log_key.vkey, token_key.vkey, previous)
        queue(log, "genesis", body, dedup="genesis", at=at)
    return log


def _wait_for_others() -> None:
    """Two first promises at once begin one log: SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('orderhub.ledger.begin'))")


def _origin(profile: SellerProfile, purpose: TransparencyLog.Purpose, *, shard: int) -> str:
    parts = [urlsplit(settings.PUBLIC_URL).netloc, "t", profile.slug]
    if purpose != Purpose.SELLER:
        parts.append(purpose)
    if shard > 1:
        parts.append(str(shard))
    return "/".join(parts)


def _genesis(
    log: TransparencyLog, profile: SellerProfile, log_vkey: str, token_vkey: str, previous: str | None
) -> dict[str, Any]:
    return {
        "entity": {"name": profile.legal_name, "uscc": profile.uscc},
        "origin": log.origin,
        "log": log_vkey,
        "token": token_vkey,
        "policy": {"mmd": log.mmd, "grace": log.grace, "visibility": log.visibility},
        # The head of the log before this one, without its signatures: control characters may not stand in an entry.
        "previous": previous,
    }


# The queue.


def queue(
    log: TransparencyLog,
    kind: str,
    body: Mapping[str, Any],
    *,
    dedup: str,
    about: LogPending | None = None,
    at: datetime | None = None,
) -> LogPending:
    """Ask for an entry, in the caller's transaction; asking again under the same dedup gives the same row.

    about: the queued entry that a revise, outcome, dispute or answer speaks of; its place becomes "ref".
    Raises canonical.Refused for a body that may not be written, AskedOtherwise.
    """
    wanted = dict(body)
    entries.check(kind, wanted)
    if (kind in entries.ABOUT) != (about is not None):
        raise canonical.Refused("ref", "missing" if about is None else "unknown")
    made, is_new = LogPending.objects.get_or_create(
        log=log,
        dedup=dedup,
        defaults={
            "kind": kind, "body": wanted, "about": about, "queued_at": at or now(), "is_demo": log.is_demo,
        },
    )  # fmt: skip
    if not is_new and (made.kind, made.body, made.about_id) != (kind, wanted, about and about.pk):
        raise AskedOtherwise(
            gettext("%(what)s was asked for before, with another content.") % {"what": dedup}
        )
    return made
