"""What the customer of a missed promise gets: said by a person, read by whoever holds the commitment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from orders import audit
from orders.byhand import check_allowed
from promises.commitments.life import MAY_ISSUE
from promises.commitments.models import Compensation, Promise
from promises.commitments.refusals import NotIssued

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MISSED = frozenset({Promise.State.MISSED, Promise.State.UNKNOWN})


def compensate(promise: Promise, *, state: str, words: str, by: User, at: datetime) -> Compensation:
    """Say how far it has come, instead of what was said before. Raises NotIssued where nothing was missed, and NotAllowed."""
    check_allowed(by, MAY_ISSUE)
    if promise.state not in MISSED:
        raise NotIssued("not_missed", state=promise.get_state_display())
    with transaction.atomic(), audit.acting(actor=by, way=audit.current().way):
        row, _made = Compensation.objects.update_or_create(
            promise=promise,
            defaults={"state": state, "words": words.strip(), "said_at": at, "is_demo": promise.is_demo},
        )
    return row
