"""The receipts that hold, checked anew each time they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet

from promises.anchors import rfc3161
from promises.anchors.models import Anchor
from promises.anchors.services import NoReceipt, Said, services
from promises.ledger.models import TransparencyLog


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A whole receipt of somebody outside this house. said: None where it does not hold.

    is_known: False for a kind that this house has no reader for; nothing is said of it then, neither good nor bad.
    """

    pk: int
    kind: str
    said: Said | None
    is_known: bool


@dataclass(frozen=True, slots=True)
class Stamped:
    """A stamp that holds. size: of the head that it is over."""

    pk: int
    size: int
    stamp: rfc3161.Stamp


def elsewhere(log: TransparencyLog, place: int) -> tuple[Elsewhere, ...]:
    """Of each kind of service but the time-stamp authorities, the earliest receipt over a head that covers this entry."""
    return _earliest(_over(log, place).exclude(kind=Anchor.Kind.RFC3161))


def receipts(log: TransparencyLog, place: int) -> tuple[Elsewhere, ...]:
    """The same of every kind."""
    return _earliest(_over(log, place))


def _over(log: TransparencyLog, place: int) -> QuerySet[Anchor]:
    """Those of others. That a message was sent is only our own word."""
    rows = Anchor.objects.filter(checkpoint__log=log, checkpoint__size__gt=place, state=Anchor.State.ANCHORED)
    return rows.exclude(kind=Anchor.Kind.MAIL).select_related("checkpoint")


def _earliest(rows: QuerySet[Anchor]) -> tuple[Elsewhere, ...]:
    kinds = rows.order_by("kind").values_list("kind", flat=True).distinct()
    first = (rows.filter(kind=kind).order_by("checkpoint__size").first() for kind in kinds)
    return tuple(_elsewhere(row) for row in first if row is not None)


def _elsewhere(row: Anchor) -> Elsewhere:
    service = services().get(row.kind)
    if service is None:
        return Elsewhere(row.pk, row.kind, None, is_known=False)
    try:
        said = service.check(bytes(row.receipt), row.checkpoint.note)
    except NoReceipt:
        return Elsewhere(row.pk, row.kind, None, is_known=True)
    return Elsewhere(row.pk, row.kind, said, is_known=True)


def stamp_over(log: TransparencyLog, place: int) -> Stamped | None:
    """The earliest stamp over a head that covers this entry, or None: there is none, it does not hold, or cannot be checked."""
    row = _first_stamp(log, place)
    if row is None:
        return None
    try:
        stamp = rfc3161.check(bytes(row.receipt), row.checkpoint.note, settings.TSA_ROOTS)
    except rfc3161.NoStamp:
        return None
    return Stamped(row.pk, row.checkpoint.size, stamp)


def stamped_size(log: TransparencyLog, place: int) -> int | None:
    """Of the head under that stamp, whether it holds or not: for whoever checks it himself."""
    row = _first_stamp(log, place)
    return row.checkpoint.size if row else None


def _first_stamp(log: TransparencyLog, place: int) -> Anchor | None:
    return _over(log, place).filter(kind=Anchor.Kind.RFC3161).order_by("checkpoint__size").first()
