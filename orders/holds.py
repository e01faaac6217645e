"""Holds that people set and lift: an order that waits on purpose, with who said so, why, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from orders.byhand import Refused, Saying, check_allowed, check_reason, opened_for, say
from orders.models import Order, OrderHold

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAY = "orders.hold_order"


class HoldRefused(Refused):
    """A hold that cannot be set or lifted."""


def set_hold(
    order_id: int,
    name: str,
    *,
    actor: User,
    reason: str,
    at: datetime,
    owner: str = "",
    until: datetime | None = None,
) -> Order:
    """Hold an order back. owner: the role that may be asked about it; empty = the person. Raises HoldRefused or NotAllowed."""
    check_allowed(actor, MAY)
    reason, name = check_reason(reason)[:300], name.strip()
    if not name or len(name) > 60:
        raise HoldRefused("bad_name", _("Give the hold a name of 1 to 60 signs: it is lifted by that name."))
    if until is not None and until <= at:
        raise HoldRefused("past", _("The hold would end before it begins. Choose a later end, or none."))
    data = {
        "name": name,
        "owner": owner or actor.get_username(),
        "reason": reason,
        "until": until.isoformat() if until else None,
    }
    with transaction.atomic():
        order = opened_for(actor, order_id)
        if OrderHold.objects.filter(order=order, name=name).exists():
            raise HoldRefused("held", _("The order is on hold “%(name)s” already.") % {"name": name})
        say(order, "hold.set", [Saying(kind="hold.set", data=data)], actor=actor, at=at, reason=reason)
    return Order.objects.get(pk=order.pk)


def lift_hold(order_id: int, name: str, *, actor: User, reason: str, at: datetime) -> Order:
    """Let an order go on. Raises HoldRefused or NotAllowed."""
    check_allowed(actor, MAY)
    reason = check_reason(reason)[:300]
    with transaction.atomic():
        order = opened_for(actor, order_id)
        if not OrderHold.objects.filter(order=order, name=name).exists():
            raise HoldRefused(
                "not_held", _("The order is not on hold “%(name)s”. Reload the page.") % {"name": name}
            )
        data = {"name": name, "reason": reason}
        say(order, "hold.lifted", [Saying(kind="hold.lifted", data=data)], actor=actor, at=at, reason=reason)
    return Order.objects.get(pk=order.pk)
