"""Time stamps as RFC 3161 has them: the request, the answer over HTTP, and the check that needs nobody.

A stamp holds if it is over this very note, and if its signature leads to a root that the operator pinned. The time is the
authority's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import requests
from cryptography import x509
from django.conf import settings
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from promises.anchors.services import NoReceipt, Receipt, Said, body_of
from promises.verification import verify

# Seconds to connect and to answer.
PATIENCE = (5, 15)
MOST_BYTES = 50_000
GRANTED = frozenset({PKIStatus.GRANTED.value, PKIStatus.GRANTED_WITH_MODS.value})


class NoStamp(NoReceipt):
    """There is no stamp, or one that does not hold; why."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """at: UTC. serial: the authority's own number of it, as text, because it may have twenty digits."""

    at: datetime
    serial: str
    policy: str


class Authority:
    """The time-stamp authority of ORDERHUB_TSA_URL. Its answer is whole at once."""

    kind: ClassVar[str] = "rfc3161"
    every: ClassVar[timedelta] = timedelta(hours=1)
    patience: ClassVar[timedelta] = timedelta(hours=1)

    def is_set_up(self) -> bool:
        return bool(settings.TSA_URL)

    def submit(self, note: str) -> Receipt:
        receipt, stamp = ask(settings.TSA_URL, note, settings.TSA_ROOTS)
        return Receipt(receipt, _said(stamp))

    def upgrade(self, receipt: bytes, note: str) -> Receipt:
        return Receipt(receipt, self.check(receipt, note))

    def check(self, receipt: bytes, note: str) -> Said:
        return _said(check(receipt, note, settings.TSA_ROOTS))


def _said(stamp: Stamp) -> Said:
    return Said(stamp.at, {"serial": stamp.serial, "policy": stamp.policy})


def ask(url: str, note: str, roots: Path) -> tuple[bytes, Stamp]:
    """A checked stamp over this note. Raises NoStamp and what requests raises."""
    wanted = (
        TimestampRequestBuilder()
        .data(note.encode())
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    with requests.post(
        url,
        data=wanted.as_bytes(),
        headers={"Content-Type": "application/timestamp-query"},
        timeout=PATIENCE,
        allow_redirects=False,
        stream=True,
    ) as answer:
        if answer.status_code != requests.codes.ok:
            raise NoStamp(f"the authority answered {answer.status_code}")
        data = body_of(answer, MOST_BYTES)
    return data, check(data, note, roots, nonce=wanted.nonce)


def check(receipt: bytes, note: str, roots: Path, *, nonce: int | None = None) -> Stamp:
    """What the stamp says, if it holds. nonce: that of the question, if this is the answer to it. Raises NoStamp."""
    pinned = _pinned(roots)
    try:
        found = decode_timestamp_response(receipt)
    except ValueError as error:
        return _checked_as_strangers_do(receipt, note, pinned, nonce, str(error))
    if found.status not in GRANTED:
        raise NoStamp(
            f"refused by the authority: status {found.status} {' '.join(found.status_string)}".strip()
        )
    return _checked(found, note, pinned, nonce)


def _checked(found: TimeStampResponse, note: str, roots: list[x509.Certificate], nonce: int | None) -> Stamp:
    builder = VerifierBuilder(roots=roots)
    if nonce is not None:
        builder = builder.nonce(nonce)
    try:
        builder.build().verify(found, hashlib.sha256(note.encode()).digest())
        said = found.tst_info
        return Stamp(said.gen_time.astimezone(UTC), str(said.serial_number), said.policy.dotted_string)
    except (VerificationError, ValueError) as error:
        raise NoStamp(str(error)) from None


def _checked_as_strangers_do(
    receipt: bytes, note: str, roots: list[x509.Certificate], nonce: int | None, why: str
) -> Stamp:
    """Authorities send their certificates in the order of the chain, which the strict reader takes for damage."""
    try:
        said = verify.stamp(receipt, note.encode(), roots)
    except verify.Refused as refused:
        raise NoStamp(f"not a time stamp: {refused} ({why})") from None
    if nonce is not None and said.nonce != nonce:
        raise NoStamp("the answer to another question")
    return Stamp(said.at, said.serial, said.policy)


def _pinned(roots: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(roots.read_bytes())
    except (OSError, ValueError) as error:
        raise NoStamp(f"the roots of the authority cannot be read: {error}") from None
