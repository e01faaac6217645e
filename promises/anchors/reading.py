"""The receipts that hold, checked anew each time they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from promises.anchors import rfc3161
from promises.anchors.models import Anchor
from promises.anchors.services import NoReceipt, Said, services
from promises.ledger.models import TransparencyLog


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A whole receipt of another service than a time-stamp authority. said: None where it does not hold.

    is_known: False for a kind that this house has no reader for; nothing is said of it then, neither good nor bad.
    """

    pk: int
    kind: str
    said: Said | None
    is_known: bool


def elsewhere(log: TransparencyLog, place: int) -> tuple[Elsewhere, ...]:
    """Of each other kind of service the earliest receipt over a head that covers this entry."""
    rows = (
        Anchor.objects.filter(checkpoint__log=log, checkpoint__size__gt=place, state=Anchor.State.ANCHORED)
        .exclude(kind=Anchor.Kind.RFC3161)
        .select_related("checkpoint")
    )
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


def stamp_over(log: TransparencyLog, place: int) -> rfc3161.Stamp | None:
    """The earliest stamp over a head that covers this entry, or None: there is none, it does not hold, or cannot be checked."""
    row = (
        Anchor.objects.filter(
            checkpoint__log=log,
            checkpoint__size__gt=place,
            kind=Anchor.Kind.RFC3161,
            state=Anchor.State.ANCHORED,
        )
        .select_related("checkpoint")
        .order_by("checkpoint__size")
        .first()
    )
    if row is None:
        return None
    try:
        return rfc3161.check(bytes(row.receipt), row.checkpoint.note, settings.TSA_ROOTS)
    except rfc3161.NoStamp:
        return None
