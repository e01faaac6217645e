"""The stamps that hold, checked anew each time they are shown."""

from __future__ import annotations

from django.conf import settings

from promises.anchors import rfc3161
from promises.anchors.models import Anchor
from promises.ledger.models import TransparencyLog


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
