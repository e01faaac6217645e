"""What people do to an order, in one manner: who may, on which orders, the facts it says, one audit row, one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Permission
from django.db.models import Max
from django.utils.translation import gettext as _

from orders import audit
from orders.access import role_label
from orders.facts import FactReport, hub_reference, report
from orders.models import Order, OrderFact
from orders.retractions import not_taken_back
from orders.stages import Role
from orders.transitions import Cause, settle

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PERSON, HUB = ("person", Role.PERSON.value), ("hub", Role.HUB.value)


class Refused(Exception):
    """Something a person asked for that is not to be done. The text says why, and what to do now."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NotAllowed(Refused):
    """This person may not do that; the text names who may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saying:
    """One fact that an action says of its order."""

    kind: str
    level_id: str = ""
    quantity: Decimal | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    # Tells apart several facts of one kind and level within one action.
    part: str = ""


def who_may(permission: str) -> str:
    """The roles that hold a permission, in words."""
    found = Permission.objects.filter(
        content_type__app_label=permission.split(".")[0], codename=permission.split(".")[1]
    ).first()
    groups = found.group_set.order_by("name").values_list("name", flat=True) if found else []
    return ", ".join(str(role_label(name)) for name in groups)


def check_allowed(actor: User, *permissions: str) -> None:
    """Raises NotAllowed unless the person holds one of the permissions."""
    if not any(actor.has_perm(permission) for permission in permissions):
        raise NotAllowed(
            "not_allowed",
            _("This is not yours to do. These roles may: %(roles)s. Ask one of them.")
            % {"roles": who_may(permissions[0])},
        )


def opened_for(actor: User, order_id: int) -> Order:
    """The order, locked until the transaction ends. Raises NotAllowed if the person's row scope does not cover it."""
    order = Order.objects.visible_to(actor).filter(pk=order_id).first()
    if order is None:
        raise NotAllowed("not_found", _("There is no such order among those you may see."))
    # Names before orders, as everywhere: whoever reports on a name and whoever settles its order must not deadlock.
    hub_reference(order)
    locked: Order = Order.objects.select_for_update().get(pk=order.pk)
    return locked


def check_reason(reason: str) -> str:
    """Raises Refused if the reason is empty."""
    reason = reason.strip()
    if not reason:
        raise Refused("no_reason", _("Say why: the reason is kept with the change."))
    return reason[:500]


def tell(
    order: Order,
    key: str,
    sayings: Sequence[Saying],
    *,
    actor: User | None,
    at: datetime,
    by: tuple[str, str] = PERSON,
) -> list[OrderFact]:
    """Report facts on the order's own number, and nothing else; returns those that are new. by: (source, role).

    They happened after everything that was done to the order by hand before: two people who act at once are told
    apart by who came first, not by their clocks.
    """
    reference = hub_reference(order)
    done_before = OrderFact.objects.filter(reference__value=order.number, source__in=[PERSON[0], HUB[0]])
    last = done_before.filter(reference__kind=reference.kind).aggregate(last=Max("occurred_at"))["last"]
    occurred_at = max(at, last + timedelta(microseconds=1)) if last else at
    reported = report(
        [
            FactReport(
                reference=reference,
                source=by[0],
                role=by[1],
                key=f"{key}.{one.part}" if one.part else key,
                kind=one.kind,
                level_id=one.level_id,
                quantity=one.quantity,
                occurred_at=occurred_at,
                received_at=at,
                data=one.data,
                actor_id=actor.pk if actor else None,
                is_demo=order.is_demo,
            )
            for one in sayings
        ]
    )
    return reported.new


def say(
    order: Order,
    action: str,
    sayings: Sequence[Saying],
    *,
    actor: User | None,
    at: datetime,
    by: tuple[str, str] = PERSON,
    reason: str = "",
    after: Mapping[str, Any] | None = None,
) -> list[OrderFact]:
    """Report what an action says, leave one audit row, settle the order. Call inside a transaction."""
    from orders.tasks import hint

    key = draw_key(action)
    facts = tell(order, key, sayings, actor=actor, at=at, by=by)
    note(order, action, facts, actor=actor, reason=reason, after=after or {})
    settle(order.pk, at=at, cause=Cause(source=by[0], key=key, actor_id=actor.pk if actor else None))
    hint("dispatch")
    return facts


def draw_key(action: str) -> str:
    """A key that no other action has: people may say the same thing twice and mean it."""
    return f"{action}:{uuid.uuid4().hex}"


def note(
    order: Order,
    action: str,
    facts: Iterable[OrderFact],
    *,
    actor: User | None,
    reason: str,
    after: Mapping[str, Any],
) -> None:
    """The one audit row of an action."""
    with audit.acting(actor=actor or audit.current().actor, way=audit.current().way, reason=reason):
        audit.record(action, order, after={"facts": [fact.pk for fact in facts], **after}, reason=reason)


def standing(order: Order, kinds: Iterable[str]) -> list[OrderFact]:
    """The order's facts of these kinds that nobody has taken back, in order of time."""
    kinds = list(kinds)
    facts = list(OrderFact.objects.timeline(order).filter(kind__in=[*kinds, "fact.retracted"]).distinct())
    return [fact for fact in not_taken_back(facts) if fact.kind != "fact.retracted"]


def retractions(facts: Iterable[OrderFact], reason: str) -> list[Saying]:
    """Sayings that take these facts back; the rows stay, derivation ignores them."""
    named = dict.fromkeys((fact.source, fact.key, fact.kind) for fact in facts)
    return [
        Saying(
            kind="fact.retracted",
            part=str(position),
            data={"fact": {"source": source, "key": key, "kind": kind}, "reason": reason},
        )
        for position, (source, key, kind) in enumerate(named)
    ]
