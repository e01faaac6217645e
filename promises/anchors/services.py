"""The services that receipts over heads come from, behind one interface. settings.ANCHOR_SERVICES names those that there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import ClassVar, Protocol

import requests
import urllib3
from django.conf import settings
from django.utils.module_loading import import_string


class NoReceipt(Exception):
    """There is no receipt, or one that does not hold; why."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a receipt that holds says. at: the time that the service states, UTC; None where it states none by itself.

    facts: its own words of where to find it, such as a serial number, the hash of a transaction, the height of a block.
    """

    at: datetime | None
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer of a service, byte for byte. said: None while it has only taken the question, and is to be asked again."""

    data: bytes
    said: Said | None


class Service(Protocol):
    """One kind of service. note: the signed head, over whose SHA-256 the receipt is; nothing else leaves the house.

    submit and upgrade ask over HTTP and raise NoReceipt or what requests raises; check asks nobody and raises NoReceipt.
    upgrade completes a receipt that said nothing yet, or gives it back as it was.
    """

    kind: ClassVar[str]
    every: ClassVar[timedelta]
    # Between one look at an incomplete receipt and the next.
    patience: ClassVar[timedelta]

    def is_set_up(self) -> bool: ...
    def submit(self, note: str) -> Receipt: ...
    def upgrade(self, receipt: bytes, note: str) -> Receipt: ...
    def check(self, receipt: bytes, note: str) -> Said: ...


def body_of(answer: requests.Response, most: int) -> bytes:
    """What a service has answered, so many bytes at most. Raises NoReceipt where it breaks off or stalls."""
    try:
        return bytes(answer.raw.read(most, decode_content=True))
    except urllib3.exceptions.HTTPError as error:
        raise NoReceipt(f"the answer broke off: {error}") from None


@cache
def services() -> dict[str, Service]:
    """All that are installed, by kind; whether they are set up they say themselves."""
    made = [import_string(path)() for path in settings.ANCHOR_SERVICES]
    return {one.kind: one for one in made}
