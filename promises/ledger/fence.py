"""The fence against restored backups: the newest head that each key signed, kept outside the database.

One file per log key under LEDGER_DIR, replaced as a whole and synced before anybody relies on it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from promises.ledger.models import LogKey, TransparencyLog


class Unreadable(Exception):
    """There is a record, and it cannot be read: as good as a record of everything. Nothing may be signed."""


@dataclass(frozen=True, slots=True)
class Head:
    """What was signed last. note: "origin size root", for the log that comes after this one."""

    origin: str
    purpose: str
    size: int
    root: str

    @property
    def note(self) -> str:
        return f"{self.origin} {self.size} {self.root}"


def _folder() -> Path:
    return Path(settings.LEDGER_DIR)


def _file(key: str) -> Path:
    return _folder() / f"{key}.head"


def read(key: str) -> Head | None:
    """The newest head signed in the log that began with this key. Raises Unreadable."""
    try:
        text = _file(key).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return Head(**json.loads(text))
    except (ValueError, TypeError):
        raise Unreadable(str(_file(key))) from None


def of(log: TransparencyLog) -> Head | None:
    """What was signed last in this log. Raises Unreadable."""
    return read(_key(log))


def remember(log: TransparencyLog, size: int, root: bytes) -> None:
    """Record the head unless a larger one is recorded. Raises Unreadable."""
    raise_to(_key(log), Head(log.origin, log.purpose, size, root.hex()))


def _key(log: TransparencyLog) -> str:
    """By the key that it began with: a log that began anew under the same name is another one."""
    first = LogKey.objects.filter(log=log, purpose=LogKey.Purpose.LOG).order_by("pk").first()
    return f"{log.purpose}-{first.key_id if first else 'none'}"


def raise_to(key: str, head: Head) -> None:
    """Record the head unless a larger one is recorded; it is on the disk when this returns. Raises Unreadable."""
    with alone(key):
        known = read(key)
        if known is None or known.size < head.size:
            write(key, head)


def write(key: str, head: Head) -> None:
    """Record the head, whatever was recorded before; call it alone."""
    replace(_file(key), json.dumps(asdict(head)) + "\n")


@contextmanager
def alone(key: str) -> Iterator[None]:
    """Nobody else on this machine inside at the same time."""
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(_file(key).with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def replace(file: Path, text: str) -> None:
    """Write the file as a whole; it is on the disk when this returns."""
    fresh = file.with_suffix(".new")
    with open(fresh, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def earlier(purpose: str) -> list[Head]:
    """The logs of this purpose that signed something here, oldest first. Raises Unreadable."""
    files = sorted(_folder().glob("*.head"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    heads = [read(file.stem) for file in files]
    return [head for head in heads if head is not None and head.purpose == purpose]
