"""How often numbers may be tried, counted for all processes of one machine together.

The counts stand in one small file of fixed size: nothing grows, nothing is written to the database by reading a page, and
no address is stored, only a keyed hash of it chooses the place.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest

SLOTS = 1 << 16
# Minute and count, four bytes each. Slot 0 counts everybody.
SLOT = struct.Struct("<II")


def is_too_fast(request: HttpRequest, at: datetime) -> bool:
    """Count one try of this address, and say whether it was one too many, of it or of all together."""
    minute = int(at.timestamp()) // 60
    place = _place(address_of(request))
    with _counts() as file:
        mine = _counted(file, place, minute)
        everybody = _counted(file, 0, minute)
    return bool(mine > settings.VERIFY_PER_MINUTE or everybody > settings.VERIFY_PER_MINUTE_IN_ALL)


def address_of(request: HttpRequest) -> str:
    """The visitor's address; behind a proxy the last one that the proxy has seen."""
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        last = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if last:
            return last
    return str(request.META.get("REMOTE_ADDR", ""))


def _place(address: str) -> int:
    digest = hmac.new(settings.SECRET_KEY.encode(), address.encode(), hashlib.sha256).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (SLOTS - 1)


@contextmanager
def _counts() -> Iterator[int]:
    """The file, for one process or thread at a time. Opened anew each time: a lock belongs to what was opened."""
    path = Path(settings.VAR_DIR) / "verify-counts"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _counted(file: int, place: int, minute: int) -> int:
    stored = os.pread(file, SLOT.size, place * SLOT.size)
    known, count = SLOT.unpack(stored) if len(stored) == SLOT.size else (0, 0)
    count = count + 1 if known == minute & 0xFFFFFFFF else 1
    os.pwrite(file, SLOT.pack(minute & 0xFFFFFFFF, min(count, 0xFFFFFFFF)), place * SLOT.size)
    return count
