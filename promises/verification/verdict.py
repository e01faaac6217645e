"""Two answers about a commitment: is it genuine, and, only if it is, what has become of it.

Unknown and malformed are one answer, reached by the same steps: who tries numbers learns nothing from either.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from promises import canonical, numbers, token
from promises.commitments.models import Outcome, Promise
from promises.ledger.models import LogKey, TransparencyLog
from promises.verification import evidence
from promises.verification.evidence import Evidence

NO_NUMBER = "0" * numbers.LENGTH
NO_TOKEN = bytes([token.VERSION]) + bytes(token.LENGTH - 1)
# Of no key that anybody holds; only its cost counts.
NO_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
FINGERPRINT = 16


class Authenticity(enum.StrEnum):
    GENUINE = "genuine"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


class State(enum.StrEnum):
    IN_FORCE = "in_force"
    OVERDUE = "overdue"
    REPLACED = "replaced"
    REVOKED = "revoked"
    KEPT = "kept"
    MISSED = "missed"
    WAIVED = "waived"
    SILENT = "silent"


_STATES = {
    Promise.State.SUPERSEDED: State.REPLACED,
    Promise.State.REVOKED: State.REVOKED,
    Promise.State.KEPT: State.KEPT,
    Promise.State.MISSED: State.MISSED,
    Promise.State.WAIVED: State.WAIVED,
    Promise.State.UNKNOWN: State.SILENT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """promise: the version that was asked for. has_token: whether its holder asks, who may see what stands on it."""

    authenticity: Authenticity
    at: datetime
    has_token: bool = False
    promise: Promise | None = None
    versions: tuple[Promise, ...] = ()
    outcome: Outcome | None = None
    evidence: Evidence | None = None
    # The seller's key has signed it, and the house has no record of it.
    is_denied: bool = False
    # Whether the typed fingerprint fits; None where none was typed.
    fits: bool | None = None

    @property
    def newest(self) -> Promise | None:
        return self.versions[-1] if self.versions else None

    @property
    def is_unlogged(self) -> bool:
        """Signed, and not in the log in time."""
        if self.promise is None or self.evidence is None:
            return False
        return evidence.is_overdue(self.evidence, self.promise, self.at)

    @property
    def state(self) -> State | None:
        """Of the asked version; None unless genuine."""
        if self.authenticity != Authenticity.GENUINE or self.promise is None:
            return None
        return state_of(self.promise, self.at)

    @property
    def newest_state(self) -> State | None:
        """What has become of the promise as a whole."""
        if self.authenticity != Authenticity.GENUINE or self.newest is None:
            return None
        return state_of(self.newest, self.at)


def state_of(promise: Promise, at: datetime) -> State:
    found = _STATES.get(Promise.State(promise.state))
    if found is not None:
        return found
    return State.OVERDUE if at > promise.due else State.IN_FORCE


# By the code.


def by_token(text: str, at: datetime) -> Verdict:
    """What is to be said to whoever shows this code, as text or address."""
    data = _token(text)
    said = token.parse(data)
    key = _key(said.key_id)
    is_signed = _is_signed(data, key)
    versions = tuple(_rows().filter(number=said.number).order_by("version"))
    promise = next((one for one in versions if one.ph == said.ph.hex()), None)
    if not is_signed or key is None:
        # Somebody knows the number and shows something else under it.
        found = Authenticity.DIFFERS if versions else Authenticity.UNKNOWN
        return Verdict(authenticity=found, at=at)
    if promise is None:
        return Verdict(authenticity=Authenticity.DIFFERS, at=at, is_denied=key.revoked_at_size is None)
    return _judged(promise, versions, said, key, at)


def _token(text: str) -> bytes:
    try:
        data = token.from_text(text)
        token.parse(data)
    except token.BadToken:
        return NO_TOKEN
    return data


def _key(key_id: bytes) -> LogKey | None:
    rows: QuerySet[LogKey] = LogKey.objects.filter(purpose=LogKey.Purpose.TOKEN, key_id=key_id.hex())
    return rows.order_by("-pk").first()


def _is_signed(data: bytes, key: LogKey | None) -> bool:
    try:
        token.verify(data, {data[1:5]: bytes(key.public) if key else NO_KEY})
    except token.BadToken:
        return False
    return True


def _judged(
    promise: Promise, versions: tuple[Promise, ...], said: token.Token, key: LogKey, at: datetime
) -> Verdict:
    proved = evidence.of(promise)
    is_whole = (
        canonical.digest(bytes(promise.payload)) == promise.ph
        and _is_said(promise, said)
        and proved.is_true is not False
        and proved.log.pk == key.log_id
    )
    found = Authenticity.GENUINE if is_whole else Authenticity.UNAVAILABLE
    limit = key.revoked_at_size
    if limit is not None and (proved.place is None or proved.place >= limit):
        # Whoever stole the key could have signed this; what was logged before stays good.
        found = Authenticity.DIFFERS
    return Verdict(
        authenticity=found,
        at=at,
        has_token=True,
        promise=promise,
        versions=versions,
        outcome=_outcome(promise),
        evidence=proved,
    )


def _is_said(promise: Promise, said: token.Token) -> bool:
    try:
        payload = canonical.decode(bytes(promise.payload))
    except canonical.Refused:
        return False
    return (payload.get("no"), payload.get("due"), payload.get("issued_at")) == (
        said.number,
        said.due,
        said.issued_at,
    )


# By the number.


def by_number(typed: str, at: datetime, *, fingerprint: str = "") -> Verdict:
    """What is to be said to whoever knows only the number: state and date of its newest version."""
    try:
        number = numbers.read(typed)
    except numbers.BadNumber:
        number = NO_NUMBER
    versions = tuple(_rows().filter(number=number).order_by("version"))
    if not versions:
        return Verdict(authenticity=Authenticity.UNKNOWN, at=at)
    promise, fits = versions[-1], None
    wanted = tidy_fingerprint(fingerprint)
    if wanted:
        fitting = next((one for one in versions if one.ph[:FINGERPRINT] == wanted), None)
        if fitting is None:
            return Verdict(authenticity=Authenticity.DIFFERS, at=at, fits=False)
        promise, fits = fitting, True
    proved = evidence.of(promise)
    found = Authenticity.UNAVAILABLE if proved.is_true is False else Authenticity.GENUINE
    return Verdict(
        authenticity=found,
        at=at,
        promise=promise,
        versions=versions,
        outcome=_outcome(promise),
        evidence=proved,
        fits=fits,
    )


def tidy_fingerprint(typed: str) -> str:
    """As it is printed in groups, or copied with anything between them."""
    return "".join(sign for sign in typed.lower() if sign.isalnum())


def _rows() -> QuerySet[Promise]:
    return Promise.objects.select_related("pending__log", "file")


def _outcome(promise: Promise) -> Outcome | None:
    return Outcome.objects.filter(number=promise.number).first()


def logs() -> QuerySet[TransparencyLog]:
    """The logs in which promises stand."""
    return TransparencyLog.objects.exclude(purpose=TransparencyLog.Purpose.AUDIT)
