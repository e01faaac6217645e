"""The bytes of papers on disk, under var/documents/<aa>/<sha256>.pdf: there and whole before any row names them.

Until its row is there too, a paper has a mark in var/documents/open/: what an issuer that died leaves behind is found by it,
without a look at every paper there is.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SM3, Hash
from django.conf import settings

from promises.commitments.models import PromiseFile

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Kept:
    """One file that has reached the disk. path: under the folder."""

    sha256: str
    sm3: str
    path: str
    n_bytes: int


def folder() -> Path:
    return Path(settings.DOCUMENT_DIR)


def keep(content: bytes) -> Kept:
    """Write the file so that no power cut takes it away again; the same bytes twice are one file."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"{sha256[:2]}/{sha256}.pdf"
    place, mark = folder() / path, folder() / OPEN / sha256
    for directory in (place.parent, mark.parent):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.touch(mode=0o600)
    fresh = mark.with_name(f"{sha256}.{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(place)
    _sync(place.parent)
    _sync(folder())
    return Kept(sha256, sm3(content), path, len(content))


def is_named(paper: Kept) -> None:
    """Its row is there for good: it is nobody's left-over any more."""
    (folder() / OPEN / paper.sha256).unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    # The name of a new file is part of its directory, and reaches the disk with it only.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sm3(content: bytes) -> str:
    digest = Hash(SM3())
    digest.update(content)
    return digest.finalize().hex()


def is_whole(file: PromiseFile) -> bool:
    """Whether the stored bytes are still those that were hashed."""
    try:
        content = file.full_path.read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(content).hexdigest() == file.sha256


def forget_strays(before: datetime) -> int:
    """Delete papers that never got a row, left by an issuer that died before its transaction; how many marks went."""
    old = [mark for mark in (folder() / OPEN).glob("*") if mark.stat().st_mtime < before.timestamp()]
    for mark in old:
        sha256 = mark.name.split(".")[0]
        if not PromiseFile.objects.filter(sha256=sha256).exists():
            (folder() / sha256[:2] / f"{sha256}.pdf").unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
    return len(old)
