"""OpenTimestamps: calendars take a digest and, hours later, name the Bitcoin block that holds it.

The file format and its operations are the library's; here are the questions over HTTP (a calendar's /digest and /timestamp)
and what is concluded. Whether a block with that root exists only a copy of the block headers can tell, which this house has
not: the page says so and gives the file.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import requests
from django.conf import settings

from promises.anchors.services import NoReceipt, Receipt, Said, body_of

if TYPE_CHECKING:
    from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

# Seconds to connect and to answer.
WAIT = (5, 15)
MOST_BYTES = 10_000
HEADERS = {"Accept": "application/vnd.opentimestamps.v1"}


class Calendars:
    """The calendars of ORDERHUB_OTS_CALENDARS. One that answers is enough."""

    kind: ClassVar[str] = "ots"
    every: ClassVar[timedelta] = timedelta(days=1)
    patience: ClassVar[timedelta] = timedelta(hours=1)

    def is_set_up(self) -> bool:
        return bool(settings.OTS_CALENDARS)

    def submit(self, note: str) -> Receipt:
        from opentimestamps.core.op import OpAppend, OpSHA256
        from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

        file = DetachedTimestampFile(OpSHA256(), Timestamp(_digest(note)))
        # The calendar is not told what the digest is of: the same head asked for twice looks like two.
        blinded = file.timestamp.ops.add(OpAppend(secrets.token_bytes(16))).ops.add(OpSHA256())
        errors = []
        for calendar in settings.OTS_CALENDARS:
            try:
                blinded.merge(_asked("POST", f"{calendar.rstrip('/')}/digest", blinded.msg, data=blinded.msg))
            except (requests.RequestException, NoReceipt) as error:
                errors.append(f"{calendar}: {error}")
        if len(errors) == len(settings.OTS_CALENDARS):
            raise NoReceipt("; ".join(errors))
        return _receipt(file)

    def upgrade(self, receipt: bytes, note: str) -> Receipt:
        from opentimestamps.core.notary import PendingAttestation

        file = _opened(receipt, note)
        for stamp in _with_attestations(file.timestamp):
            for one in list(stamp.attestations):
                if not isinstance(one, PendingAttestation) or one.uri not in settings.OTS_CALENDARS:
                    continue
                found = _asked(
                    "GET", f"{one.uri.rstrip('/')}/timestamp/{stamp.msg.hex()}", stamp.msg, none_on=404
                )
                if found is not None:
                    stamp.merge(found)
        return _receipt(file)

    def check(self, receipt: bytes, note: str) -> Said:
        said = _said(_opened(receipt, note))
        if said is None:
            raise NoReceipt("no calendar has named a block yet")
        return said


def _digest(note: str) -> bytes:
    return hashlib.sha256(note.encode()).digest()


def _asked(method: str, url: str, message: bytes, *, data: bytes | None = None, none_on: int = 0) -> Any:
    """The operations that a calendar answers with, from this message on; None on that status. Raises NoReceipt."""
    with requests.request(
        method, url, data=data, headers=HEADERS, timeout=WAIT, allow_redirects=False, stream=True
    ) as answer:
        if none_on and answer.status_code == none_on:
            return None
        if answer.status_code != requests.codes.ok:
            raise NoReceipt(f"the calendar answered {answer.status_code}")
        return _timestamp(body_of(answer, MOST_BYTES + 1), message)


def _timestamp(data: bytes, message: bytes) -> Timestamp:
    from opentimestamps.core.serialize import BytesDeserializationContext, DeserializationError
    from opentimestamps.core.timestamp import Timestamp

    if len(data) > MOST_BYTES:
        raise NoReceipt("the calendar's answer is too long")
    try:
        return Timestamp.deserialize(BytesDeserializationContext(data), message)
    except (DeserializationError, ValueError, OverflowError, RecursionError) as error:
        raise NoReceipt(f"the calendar's answer is no timestamp: {error}") from None


def _opened(receipt: bytes, note: str) -> DetachedTimestampFile:
    """The file, if it is over this note. Its operations are carried out anew as it is read. Raises NoReceipt."""
    from opentimestamps.core.serialize import DeserializationError, StreamDeserializationContext
    from opentimestamps.core.timestamp import DetachedTimestampFile

    try:
        file = DetachedTimestampFile.deserialize(StreamDeserializationContext(io.BytesIO(receipt)))
    except (DeserializationError, ValueError, OverflowError, RecursionError) as error:
        raise NoReceipt(f"not an .ots file: {error}") from None
    if file.file_digest != _digest(note):
        raise NoReceipt("the receipt is over something else")
    return file


def _with_attestations(stamp: Timestamp) -> list[Timestamp]:
    """Every place of the tree, the first one before those that follow from it."""
    found = [stamp]
    for one in found:
        found.extend(one.ops.values())
    return [one for one in found if one.attestations]


def _receipt(file: DetachedTimestampFile) -> Receipt:
    from opentimestamps.core.serialize import StreamSerializationContext

    data = io.BytesIO()
    file.serialize(StreamSerializationContext(data))
    return Receipt(data.getvalue(), _said(file))


def _said(file: DetachedTimestampFile) -> Said | None:
    """The oldest block that is named, with the root that it must have."""
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation

    blocks = [
        (one.height, message[::-1].hex())
        for message, one in file.timestamp.all_attestations()
        if isinstance(one, BitcoinBlockHeaderAttestation)
    ]
    if not blocks:
        return None
    height, root = min(blocks)
    return Said(None, {"block": str(height), "merkle_root": root})
