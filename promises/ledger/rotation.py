"""Changing the keys of a log: a new one that the old one vouches for in the log itself, and taking one back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.utils.translation import gettext

from orders import audit
from promises import notes
from promises.ledger import keys, reading, writing
from promises.ledger.models import LogKey, TransparencyLog

DOMAIN = "orderhub/log-key/v1\n"
Use = LogKey.Purpose


class RevokedBefore(Exception):
    """The key was revoked before. Nothing was changed."""


def message(origin: str, use: str, vkey: str) -> bytes:
    """What the old log key signs to vouch for a new key."""
    return f"{DOMAIN}{origin}\n{use}\n{vkey}\n".encode()


def rotate(log: TransparencyLog, use: LogKey.Purpose, at: datetime) -> LogKey:
    """A new key from now on. An old log key signs heads beside it for a while; an old token key signs no more.

    Raises keys.KeyMissing while the old log key cannot vouch for it.
    """
    with writing.transaction():
        log = TransparencyLog.objects.select_for_update().get(pk=log.pk)
        old, voucher = keys.newest(log, use), keys.secret_of(keys.newest(log, Use.LOG))
        new = keys.make(log, use, at)
        old.not_after = at + keys.OVERLAP if use == Use.LOG else at
        old.save(update_fields=["not_after"])
        body = {
            "use": use.value,
            "vkey": new.vkey,
            "sig": voucher.sign(message(log.origin, use, new.vkey)).hex(),
        }
        writing.queue(log, "key", body, dedup=f"key {new.key_id}", at=at)
        audit.record("ledger.rotate", new, before={"key": old.key_id}, after={"key": new.key_id})
    return new


def revoke(key: LogKey, at: datetime) -> int:
    """What this key signs from now on is not good; returns the place from which on. The last of its use is replaced first.

    Write out what waits before (sequencer.write): what is not in the log yet is not good either.
    """
    with writing.transaction():
        log = TransparencyLog.objects.select_for_update().get(pk=key.log_id)
        key = LogKey.objects.get(pk=key.pk)
        use = Use(key.purpose)
        if key.revoked_at_size is not None:
            raise RevokedBefore(gettext("The key %(key)s was revoked before.") % {"key": key.key_id})
        if keys.newest(log, use) == key:
            rotate(log, use, at)
        head = reading.newest(log)
        size = head.size if head else 0
        LogKey.objects.filter(pk=key.pk).update(revoked_at_size=size, not_after=at)
        writing.queue(log, "revoke", {"key": key.key_id, "size": size}, dedup=f"revoke {key.key_id}", at=at)
        audit.record("ledger.revoke", key, after={"key": key.key_id, "good_below": size})
    return size


class Chain:
    """The keys of a log as the log itself tells of them, read entry by entry."""

    def __init__(self) -> None:
        self.origin = ""
        self.vkeys: set[str] = set()
        self.signing: list[notes.Verifier] = []

    def begin(self, genesis: Mapping[str, Any]) -> None:
        self.origin = str(genesis["origin"])
        self.vkeys = {str(genesis["log"]), str(genesis["token"])}
        self.signing = [notes.verifier(str(genesis["log"]))]

    def add(self, entry: Mapping[str, Any]) -> bool:
        """Whether the newest log key vouches for the key that this entry brings."""
        said = message(self.origin, str(entry["use"]), str(entry["vkey"]))
        if not self.signing or not _fits(self.signing[-1], said, str(entry["sig"])):
            return False
        self.vkeys.add(str(entry["vkey"]))
        if entry["use"] == Use.LOG:
            self.signing.append(notes.verifier(str(entry["vkey"])))
        return True


def _fits(one: notes.Verifier, said: bytes, signature: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(one.public).verify(bytes.fromhex(signature), said)
    except (InvalidSignature, ValueError):
        return False
    return True
