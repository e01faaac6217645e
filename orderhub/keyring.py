"""The key files of the installation: what is there, a new secret for sealing, and everything sealed anew with it."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.db import models, transaction

from integrations.models import Connection
from orders.contacts import Contact
from promises.tracking.models import CustomerRequest, MessageConsent

BATCH = 500
# Every sealed column: the model and the column.
SEALED: list[tuple[type[models.Model], str]] = [
    (Contact, "sealed"),
    (Connection, "sealed_secrets"),
    (CustomerRequest, "sealed"),
    (MessageConsent, "sealed"),
]


class KeysRefused(Exception):
    """Nothing was changed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What may be told of a key file: everything but its content."""

    name: str
    mode: str
    changed_at: datetime
    n_keys: int
    is_private: bool


def lines_of(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(encoding="ascii").splitlines() if line.strip()]


def status(directory: Path) -> list[KeyFile]:
    """The key files, by name."""
    return [_described(file) for file in sorted(directory.glob("*.key"))]


def _described(file: Path) -> KeyFile:
    seen = file.stat()
    mode = seen.st_mode & 0o777
    changed_at = datetime.fromtimestamp(seen.st_mtime).astimezone()
    return KeyFile(file.name, f"{mode:04o}", changed_at, len(lines_of(file)), is_private=not mode & 0o077)


def write_privately(file: Path, content: bytes) -> None:
    """Replace the file as a whole: after a power cut there is the old one or the new one, never half of one."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(file)


def _write_secrets(file: Path, secrets: list[str]) -> None:
    write_privately(file, ("\n".join(secrets) + "\n").encode("ascii"))


def secrets_file(directory: Path) -> Path:
    """Raises KeysRefused if the secrets come from somewhere else."""
    if os.environ.get("ORDERHUB_SECRETS", "").strip():
        raise KeysRefused(
            "The secrets come from ORDERHUB_SECRETS: put a new one in front there, then run: keys reseal."
        )
    file = directory / "secrets.key"
    if not file.exists():
        raise KeysRefused(f"{file} is missing: run script/setup, or restore it from a backup.")
    return file


def add_secret(directory: Path) -> list[str]:
    """Put a new secret in front of the old ones; returns all of them, newest first."""
    file = secrets_file(directory)
    secrets = [Fernet.generate_key().decode(), *lines_of(file)]
    _write_secrets(file, secrets)
    return secrets


def drop_old_secrets(directory: Path) -> int:
    """Keep the newest secret only; returns how many were dropped.

    Raises KeysRefused, and drops nothing, if anything is still sealed with an older one.
    """
    file = secrets_file(directory)
    newest, *older = lines_of(file)
    left = count_not_sealed_with(newest)
    if left:
        raise KeysRefused(
            f"{left} rows are still sealed with an older secret: run manage.py keys rotate first."
        )
    if older:
        _write_secrets(file, [newest])
    return len(older)


def reseal(secrets: list[str]) -> int:
    """Seal every contact and every connection's credentials with the newest secret; returns how many were changed.

    May be interrupted and run again. Raises KeysRefused if a row cannot be opened with any of the secrets.
    """
    return sum(_reseal_column(model, column, secrets) for model, column in SEALED)


def _reseal_column(model: type[models.Model], column: str, secrets: list[str]) -> int:
    last, total = 0, 0
    while pks := _next_pks(model, column, last):
        total += _reseal_batch(model, column, pks, secrets)
        last = pks[-1]
    return total


def _next_pks(model: type[models.Model], column: str, last: int) -> list[int]:
    rows = model._base_manager.filter(pk__gt=last).exclude(**{column: ""})
    return list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])


def _reseal_batch(model: type[models.Model], column: str, pks: list[int], secrets: list[str]) -> int:
    newest, every = Fernet(secrets[0]), MultiFernet([Fernet(secret) for secret in secrets])
    changed = 0
    with transaction.atomic():
        # Locked, so that a secret set meanwhile is not overwritten with the one read before.
        for row in model._base_manager.select_for_update().filter(pk__in=pks):
            sealed = getattr(row, column)
            if sealed and not _opens(newest, sealed):
                try:
                    fresh = every.rotate(sealed.encode()).decode()
                except InvalidToken as error:
                    raise KeysRefused(
                        f"{model._meta.label} {row.pk} cannot be opened with any secret."
                    ) from error
                # Past the audit: what is sealed does not change, only what with.
                model._base_manager.filter(pk=row.pk).update(**{column: fresh})
                changed += 1
    return changed


def count_not_sealed_with(secret: str) -> int:
    newest = Fernet(secret)
    return sum(_count_closed(model, column, newest) for model, column in SEALED)


def _count_closed(model: type[models.Model], column: str, fernet: Fernet) -> int:
    sealed = model._base_manager.exclude(**{column: ""}).values_list(column, flat=True)
    return sum(1 for text in sealed.iterator(chunk_size=BATCH) if not _opens(fernet, text))


def _opens(fernet: Fernet, sealed: str) -> bool:
    try:
        fernet.decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def back_up(directory: Path, target: Path) -> list[str]:
    """Write all key files into a new tar file that only its owner can read; returns their names.

    Raises KeysRefused if the target exists: an older backup may be the only copy of an older key.
    """
    files = sorted(directory.glob("*.key"))
    if not files:
        raise KeysRefused(f"There are no key files in {directory}.")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in files:
            tar.add(file, arcname=file.name)
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeysRefused(f"{target} exists already: choose another name.") from error
    except OSError as error:
        raise KeysRefused(f"{target} cannot be written: {error.strerror}.") from error
    with os.fdopen(handle, "wb") as opened:
        opened.write(packed.getvalue())
        opened.flush()
        os.fsync(opened.fileno())
    return [file.name for file in files]
