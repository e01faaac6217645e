"""The keys of a log: public halves as rows with their time, secret halves as files that only this account can read."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext

from promises import notes, token
from promises.ledger.models import LogKey, LogPending, TransparencyLog

# So long after a change the old key signs too, for those who have not heard of the new one.
OVERLAP = timedelta(days=30)
Use = LogKey.Purpose


class KeyMissing(Exception):
    """A key file is not there, cannot be read, or holds another key. Nothing was signed."""


# Secret halves.


def make(log: TransparencyLog, use: LogKey.Purpose, at: datetime) -> LogKey:
    """A new key of this log: its file first, then its row. Fixes no end for the keys before it."""
    secret = Ed25519PrivateKey.generate()
    public = secret.public_key().public_bytes_raw()
    key_id, vkey = _names(log.origin, use, public)
    name = f"ledger-{log.purpose}-{use}-{public.hex()[:16]}.key"
    _write(Path(settings.LEDGER_KEY_DIR) / name, secret.private_bytes_raw())
    return LogKey.objects.create(
        log=log, purpose=use, vkey=vkey, key_id=key_id, public=public, not_before=at, secret_file=name
    )


def _names(origin: str, use: LogKey.Purpose, public: bytes) -> tuple[str, str]:
    """Key id and vkey; that of a token key has the kind 0xff, which stands for "named in words"."""
    if use != Use.TOKEN:
        one = notes.Verifier(name_of(origin, use), notes.ED25519, public)
        return one.key_id.hex(), one.vkey
    key_id = token.key_id(origin, public).hex()
    named = base64.b64encode(b"\xff" + token.KEY_KIND + public).decode()
    return key_id, f"{origin}+{key_id}+{named}"


def name_of(origin: str, use: LogKey.Purpose) -> str:
    """Under which name a key signs notes. The monitor is nobody that a head is believed from."""
    return f"{origin}/monitor" if use == Use.MONITOR else origin


def _write(file: Path, secret: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(base64.b64encode(secret) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def secret_of(key: LogKey) -> Ed25519PrivateKey:
    """Raises KeyMissing."""
    file = Path(settings.LEDGER_KEY_DIR) / key.secret_file
    try:
        found = Ed25519PrivateKey.from_private_bytes(
            base64.b64decode(file.read_bytes().strip(), validate=True)
        )
    except (OSError, ValueError):
        raise KeyMissing(
            gettext(
                "The key file %(file)s is missing or cannot be read. Put it back from the backup of the keys."
            )
            % {"file": file.name}
        ) from None
    if found.public_key().public_bytes_raw() != bytes(key.public):
        raise KeyMissing(
            gettext("The key file %(file)s holds another key. Put it back from the backup of the keys.")
            % {"file": file.name}
        )
    return found


def salt_key(log: TransparencyLog) -> bytes:
    """What hides that which this log holds hashes of; made on first use. Raises KeyMissing once entries depend on it."""
    file = Path(settings.LEDGER_KEY_DIR) / f"ledger-{log.purpose}-{log.shard}-salt.key"
    if not file.exists():
        if LogPending.objects.filter(log=log).exclude(kind="genesis").exists():
            raise KeyMissing(
                gettext(
                    "The key file %(file)s is missing or cannot be read. Put it back from the backup of the keys."
                )
                % {"file": file.name}
            )
        with suppress(FileExistsError):
            _write(file, secrets.token_bytes(32))
    return base64.b64decode(file.read_bytes().strip())


def witness_key() -> Ed25519PrivateKey:
    """What this house signs other people's heads with; made on first use."""
    file = Path(settings.LEDGER_KEY_DIR) / "ledger-witness.key"
    if not file.exists():
        with suppress(FileExistsError):
            _write(file, Ed25519PrivateKey.generate().private_bytes_raw())
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(file.read_bytes().strip()))


# Who signs, and who has signed.


def all_of(log: TransparencyLog, use: LogKey.Purpose) -> list[LogKey]:
    """Newest first."""
    return list(LogKey.objects.filter(log=log, purpose=use).order_by("-pk"))


def newest(log: TransparencyLog, use: LogKey.Purpose) -> LogKey:
    """The key that signs now. Raises KeyMissing where all are revoked."""
    found = LogKey.objects.filter(log=log, purpose=use, revoked_at_size=None).order_by("-pk").first()
    if found is None:
        raise KeyMissing(gettext("Every key of %(log)s is revoked. Make a new one.") % {"log": log.origin})
    return found


def token_key(log: TransparencyLog) -> Ed25519PrivateKey:
    """What signs the code on documents now. Raises KeyMissing."""
    return secret_of(newest(log, Use.TOKEN))


def token_keys(log: TransparencyLog) -> dict[bytes, bytes]:
    """Key id -> public key of every token key that this log ever had."""
    return {bytes.fromhex(key.key_id): bytes(key.public) for key in all_of(log, Use.TOKEN)}


def log_verifier(log: TransparencyLog) -> notes.Verifier:
    """What the newest checkpoints are checked with."""
    return verifier(newest(log, Use.LOG))


def log_verifiers(log: TransparencyLog) -> list[notes.Verifier]:
    """All that ever signed, newest first."""
    return [verifier(key) for key in all_of(log, Use.LOG)]


def verifier(key: LogKey) -> notes.Verifier:
    return notes.verifier(key.vkey)


def signers(log: TransparencyLog, at: datetime) -> list[Ed25519PrivateKey]:
    """The key of the day, and those replaced within OVERLAP, which sign beside it. Raises KeyMissing."""
    first = newest(log, Use.LOG)
    beside = LogKey.objects.filter(
        Q(not_after__gte=at), log=log, purpose=Use.LOG, revoked_at_size=None
    ).exclude(pk=first.pk)
    return [secret_of(first), *_readable(beside.order_by("-pk"))]


def _readable(keys: Iterable[LogKey]) -> list[Ed25519PrivateKey]:
    """Those whose file is still there: an old key that is gone must not stop the new one."""
    found = []
    for key in keys:
        try:
            found.append(secret_of(key))
        except KeyMissing:
            continue
    return found
