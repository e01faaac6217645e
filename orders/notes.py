"""Notes that people write on an order's timeline. A note moves nothing and stops no clock."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from orders.byhand import Refused, Saying, check_allowed, opened_for, say
from orders.models import OrderFact

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAY = "orders.add_note"
MAX_LENGTH = 2000


class NoteRefused(Refused):
    """A note that is empty or too long."""


def add_note(order_id: int, text: str, *, actor: User, at: datetime) -> OrderFact:
    """Put a note on the timeline. Raises NoteRefused or NotAllowed."""
    check_allowed(actor, MAY)
    text = text.strip()
    if not text:
        raise NoteRefused("empty", _("The note is empty. Write something, or leave the page."))
    if len(text) > MAX_LENGTH:
        raise NoteRefused(
            "too_long",
            _("The note has %(length)s signs; at most %(limit)s are kept. Shorten it.")
            % {"length": len(text), "limit": MAX_LENGTH},
        )
    with transaction.atomic():
        order = opened_for(actor, order_id)
        return say(order, "note.added", [Saying(kind="note.added", data={"text": text})], actor=actor, at=at)[
            0
        ]
