"""The four steps that people answer for: confirm the date, lock the stock, make the waybill, issue the invoice; and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.module_loading import import_string
from django.utils.timezone import localdate, localtime
from django.utils.translation import gettext as _

from orders import stock
from orders.byhand import (
    HUB,
    PERSON,
    Refused,
    Saying,
    check_allowed,
    check_reason,
    opened_for,
    retractions,
    say,
    standing,
)
from orders.facts import ReferenceKey, hub_reference, lock_references
from orders.models import ExternalReference, Order, OrderEvent, OrderFact, OrderStep, ReferenceLink
from orders.stages import FACT_KINDS, HANDED_OVER, Stage, Step, StepState, Topic
from orders.stock import LockOutcome

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAY = {
    Step.DATE: "orders.confirm_date",
    Step.STOCK: "orders.lock_stock",
    Step.WAYBILL: "orders.make_waybill",
    Step.INVOICE: "orders.issue_invoice",
}
MAY_LATE = "orders.undo_step_late"
# The facts that close a step.
CLOSES = {
    Step.DATE: ("date.confirmed",),
    Step.STOCK: ("stock.locked", "stock.short"),
    Step.WAYBILL: ("waybill.made",),
    Step.INVOICE: ("invoice.issued",),
}
OURS = {PERSON[0], HUB[0]}
# Units that nobody ships for so long are somebody else's to sell.
LOCK_KEPT_FOR = timedelta(days=7)
# Stages in which no unit waits in the warehouse any more: a lock that is left there is given back or booked out.
DONE_WITH_STOCK = [
    *(stage.value for stage in HANDED_OVER),
    Stage.COMPLETED,
    Stage.CANCELLED,
    Stage.RETURNING,
    Stage.RETURNED,
]


class StepRefused(Refused):
    """A step that is not to be taken, or taken back, now."""


def confirm_date(order_id: int, *, actor: User, date: date, at: datetime) -> Order:
    """Sales gives its word for a day. Raises StepRefused or NotAllowed."""
    with transaction.atomic():
        order = _open(order_id, Step.DATE, actor)
        if date < localdate(at):
            raise StepRefused(
                "past", _("%(date)s is over. Choose today or a later day.") % {"date": date.isoformat()}
            )
        return _done(
            order, Step.DATE, [Saying(kind="date.confirmed", data={"date": date.isoformat()})], actor, at
        )


def lock_stock(
    order_id: int, *, actor: User, at: datetime, expires_at: datetime | None = None
) -> LockOutcome:
    """Set aside what the order still needs, or as much of it as there is. The step ends when all of it is locked.

    Raises StepRefused or NotAllowed.
    """
    with transaction.atomic():
        order = _open(order_id, Step.STOCK, actor)
        if order.warehouse is None:
            raise StepRefused("no_warehouse", _("The order has no warehouse. Name one first, then lock."))
        before = stock.held(order)
        outcome = stock.lock(
            order,
            _needed(order),
            warehouse=order.warehouse,
            at=at,
            expires_at=expires_at or at + LOCK_KEPT_FOR,
            key=f"lock:{order.pk}:{at.isoformat()}",
        )
        sayings = [
            Saying(kind="stock.locked", level_id=sku, quantity=quantity - before.get(sku, stock.ZERO))
            for sku, quantity in outcome.locked.items()
            if quantity > before.get(sku, stock.ZERO)
        ]
        sayings += [
            Saying(kind="stock.short", level_id=sku, quantity=quantity)
            for sku, quantity in outcome.short.items()
        ]
        _done(order, Step.STOCK, sayings, actor, at, by=HUB)
    return outcome


def make_waybill(
    order_id: int,
    *,
    actor: User,
    waybill: str,
    carrier: str,
    lines: Mapping[str, Decimal] | None = None,
    at: datetime,
) -> Order:
    """Logistics has a waybill for these units; without lines, for all that no other waybill names.

    What the carrier reports on that waybill is the order's from now on. Raises StepRefused or NotAllowed.
    """
    waybill = waybill.strip()
    with transaction.atomic():
        # All names at once: names are locked in one fixed sequence, or two people could wait for each other.
        number = Order.objects.filter(pk=order_id).values_list("number", flat=True).first()
        keys = [ReferenceKey("", ExternalReference.Kind.NUMBER, number or ""), _waybill_key(waybill)]
        check_allowed(actor, MAY[Step.WAYBILL])
        if not waybill or len(waybill) > 40:
            raise StepRefused("bad_waybill", _("Give the waybill number: 1 to 40 signs."))
        if number:
            ids = lock_references(keys)
        order = _open(order_id, Step.WAYBILL, actor)
        _check_lines(order, lines or {})
        if Order.objects.filter(links__reference_id=ids[keys[1]]).exclude(pk=order.pk).exists():
            raise StepRefused(
                "waybill_taken",
                _(
                    "Waybill %(waybill)s belongs to another order. Check the number; goods of several orders in one parcel "
                    "are merged first."
                )
                % {"waybill": waybill},
            )
        ReferenceLink.objects.get_or_create(reference_id=ids[keys[1]], order=order)
        data: dict[str, Any] = {"carrier": carrier.strip()[:40]}
        if lines:
            data["lines"] = [{"sku": sku, "qty": str(quantity)} for sku, quantity in lines.items()]
        return _done(
            order, Step.WAYBILL, [Saying(kind="waybill.made", level_id=waybill, data=data)], actor, at
        )


def issue_invoice(
    order_id: int, *, actor: User, number: str, at: datetime, amount: Decimal | None = None
) -> Order:
    """Finance has issued the invoice of this number. Raises StepRefused or NotAllowed."""
    number = number.strip()
    with transaction.atomic():
        order = _open(order_id, Step.INVOICE, actor)
        if not number or len(number) > 40:
            raise StepRefused("bad_number", _("Give the invoice number: 1 to 40 signs."))
        data = {"number": number} | ({"amount": str(amount)} if amount is not None else {})
        return _done(order, Step.INVOICE, [Saying(kind="invoice.issued", data=data)], actor, at)


def _waybill_key(waybill: str) -> ReferenceKey:
    return ReferenceKey("", ExternalReference.Kind.WAYBILL, waybill)


def _open(order_id: int, step: Step, actor: User) -> Order:
    """The order with this step open, locked. Raises if it is not, or is not this person's to do."""
    check_allowed(actor, MAY[step])
    order = opened_for(actor, order_id)
    row = OrderStep.objects.filter(order=order, step=step).select_related("done_by").first()
    if row is None:
        raise StepRefused(
            "not_yet", _("%(step)s is not due yet: the order is at “%(stage)s”.") % _words(order, step)
        )
    if row.state != StepState.OPEN:
        raise StepRefused(
            "not_open",
            _("%(step)s is closed already (%(state)s, %(at)s). Reload the page.")
            % {**_words(order, step), "state": row.get_state_display(), "at": _clock(row.done_at)},
        )
    return order


def _words(order: Order, step: Step) -> dict[str, str]:
    return {"step": str(step.label), "stage": order.get_stage_display()}


def _clock(moment: datetime | None) -> str:
    return f"{localtime(moment):%Y-%m-%d %H:%M}" if moment else "-"


def _done(
    order: Order,
    step: Step,
    sayings: Sequence[Saying],
    actor: User,
    at: datetime,
    by: tuple[str, str] = PERSON,
) -> Order:
    say(order, f"step.{step.value}", sayings, actor=actor, at=at, by=by)
    return Order.objects.get(pk=order.pk)


def _needed(order: Order) -> dict[str, Decimal]:
    """Units per article that are neither cancelled nor gone."""
    left = {line.sku: line.ordered - line.cancelled - line.shipped for line in order.lines.all()}
    return {sku: quantity for sku, quantity in left.items() if quantity > 0}


def _check_lines(order: Order, lines: Mapping[str, Decimal]) -> None:
    ordered = {line.sku: line.ordered - line.cancelled for line in order.lines.all()}
    for sku, quantity in lines.items():
        if not 0 < quantity <= ordered.get(sku, stock.ZERO):
            raise StepRefused(
                "bad_lines",
                _("The order has %(ordered)s of %(sku)s, not %(quantity)s. Correct the quantity.")
                % {"ordered": ordered.get(sku, stock.ZERO).normalize(), "sku": sku, "quantity": quantity},
            )


def undo_step(order_id: int, step: Step, *, actor: User, reason: str, at: datetime) -> Order:
    """Take a step back: its facts are retracted, locked units are given back. The step is open again.

    For UNDO_WINDOW whoever may take the step, later a supervisor; never once the step had an effect outside: then
    counter_action is the way. Raises StepRefused or NotAllowed.
    """
    reason = check_reason(reason)
    check_allowed(actor, MAY[step], MAY_LATE)
    with transaction.atomic():
        order = opened_for(actor, order_id)
        facts = _evidence(order, step)
        if at - max(fact.received_at for fact in facts) > settings.UNDO_WINDOW:
            check_allowed(actor, MAY_LATE)
        effect = effect_outside(order, step, facts)
        if effect:
            raise StepRefused(
                "has_effect",
                _("This can no longer be undone: %(effect)s. What you can do: %(counter)s.")
                % {"effect": effect, "counter": counter_label(step)},
            )
        if step == Step.STOCK:
            stock.release(order, at=at, key=f"undo:{facts[-1].pk}", reason=reason[:120])
        say(
            order,
            "step.undo",
            retractions(facts, reason),
            actor=actor,
            at=at,
            reason=reason,
            after={"step": step.value},
        )
    return Order.objects.get(pk=order.pk)


def counter_action(order_id: int, step: Step, *, actor: User, reason: str, at: datetime) -> Order:
    """Take back what a step did in the world, by a fact of its own: the waybill is void, the stock released, the date
    revoked, the invoice reversed. Raises StepRefused or NotAllowed."""
    reason = check_reason(reason)
    check_allowed(actor, MAY[step], MAY_LATE)
    with transaction.atomic():
        order = opened_for(actor, order_id)
        facts = _evidence(order, step)
        sayings, by = _counter_sayings(order, step, facts, reason), PERSON
        if step == Step.STOCK:
            stock.release(order, at=at, key=f"counter:{facts[-1].pk}", reason=reason[:120])
            by = HUB
        action = f"step.counter.{step.value}"
        say(order, action, sayings, actor=actor, at=at, by=by, reason=reason, after={"step": step.value})
    return Order.objects.get(pk=order.pk)


def counter_label(step: Step) -> str:
    """What counter_action would do, in words."""
    return {
        Step.DATE: _("revoke the date"),
        Step.STOCK: _("release the stock"),
        Step.WAYBILL: _("make the waybill void"),
        Step.INVOICE: _("reverse the invoice"),
    }[step]


def _counter_sayings(order: Order, step: Step, facts: Sequence[OrderFact], reason: str) -> list[Saying]:
    if step == Step.DATE:
        return retractions(facts, reason)
    if step == Step.STOCK:
        return _all_released(fact.level_id for fact in facts)
    if step == Step.WAYBILL:
        return [
            Saying(kind="waybill.voided", level_id=fact.level_id, data={"reason": reason}) for fact in facts
        ]
    return [Saying(kind="invoice.reversed", data={"reason": reason, **facts[-1].data})]


def _all_released(skus: Iterable[str]) -> list[Saying]:
    return [Saying(kind="stock.released", level_id=sku) for sku in dict.fromkeys(skus)]


def _evidence(order: Order, step: Step) -> list[OrderFact]:
    """What the house itself said to close the step. Raises StepRefused if the step is open, or others closed it."""
    row = OrderStep.objects.filter(order=order, step=step).first()
    if row is None or row.state == StepState.OPEN:
        raise StepRefused(
            "not_done", _("%(step)s is not done, so there is nothing to take back.") % _words(order, step)
        )
    facts = standing(order, [*CLOSES[step], "stock.released", "waybill.voided", "invoice.reversed"])
    own = [
        fact
        for fact in facts
        if fact.kind in CLOSES[step] and fact.source in OURS and not _is_over(fact, facts)
    ]
    if row.evidence not in {fact.pk for fact in own}:
        source = next((fact.source for fact in facts if fact.pk == row.evidence), "")
        raise StepRefused(
            "not_ours",
            _("%(step)s was closed by a report of “%(source)s”. It can only be taken back there.")
            % {**_words(order, step), "source": source or row.get_state_display()},
        )
    return own


def _is_over(fact: OrderFact, facts: Sequence[OrderFact]) -> bool:
    """Whether a counter-action has ended what this fact said."""
    ends = {
        "stock.locked": "stock.released",
        "stock.short": "stock.released",
        "waybill.made": "waybill.voided",
    }
    end = ends.get(fact.kind, "invoice.reversed" if fact.kind == "invoice.issued" else "")
    return any(
        other.kind == end and other.level_id in {fact.level_id, ""} and other.occurred_at >= fact.occurred_at
        for other in facts
    )


def effect_outside(order: Order, step: Step, facts: Sequence[OrderFact]) -> str:
    """What the step has already brought about outside the house, in words; "" if nothing.

    STEP_EFFECTS names further judges, functions (order, step, facts) -> text: the outbox knows what was delivered.
    """
    since = min(fact.received_at for fact in facts)
    topics = {Step.STOCK: {Topic.PICKING, Topic.PACKING, Topic.PARCEL}, Step.WAYBILL: {Topic.PARCEL}}.get(
        step, set()
    )
    kinds = [kind.code for kind in FACT_KINDS.values() if kind.topic in topics]
    later = (
        OrderFact.objects.timeline(order)
        .filter(kind__in=kinds, received_at__gte=since)
        .exclude(source__in=OURS)
        .first()
    )
    if later is not None:
        return _("%(source)s has reported “%(kind)s”") % {
            "source": later.source,
            "kind": later.get_kind_display(),
        }
    for path in settings.STEP_EFFECTS:
        effect: str = import_string(path)(order, step, facts)
        if effect:
            return effect
    return ""


def observe(events: Sequence[OrderEvent]) -> None:
    """Reaction: goods that left are booked out of stock, a cancelled order gives back what it held."""
    moved = {
        event.order_id: event
        for event in events
        if event.kind == OrderEvent.Kind.MOVED
        or (event.kind == OrderEvent.Kind.AXIS and event.name.startswith("parcel:"))
    }
    if not moved:
        return
    locked = stock.StockLock.objects.filter(order_id__in=moved, released_at=None).values_list(
        "order_id", flat=True
    )
    for order_id in sorted(set(locked)):
        # In a transaction of its own: a batch of events must not hold the stock of many orders at once.
        transaction.on_commit(partial(follow_goods, order_id, at=moved[order_id].recorded_at), robust=True)


def follow_goods(order_id: int, *, at: datetime) -> None:
    """Make the stock say what became of the order's goods. Safe to repeat: it books only what is not booked yet."""
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        hub_reference(order)
        order = Order.objects.select_for_update().get(pk=order_id)
        if order.stage == Stage.CANCELLED:
            _give_back(order, at=at, reason="cancelled")
            return
        gone = {line.sku: line.shipped - stock.shipped(order, line.sku) for line in order.lines.all()}
        leaving = {sku: quantity for sku, quantity in gone.items() if quantity > 0}
        if leaving:
            stock.ship(order, leaving, at=at, key=f"ship:{order.pk}:{stock.n_entries(order)}")
            if order.stage in DONE_WITH_STOCK:
                _give_back(order, at=at, reason="shipped from elsewhere")
        elif order.stage in DONE_WITH_STOCK:
            _give_back(order, at=at, reason="nothing left to ship")


def _give_back(order: Order, *, at: datetime, reason: str) -> None:
    released = stock.release(order, at=at, key=f"{reason}:{order.pk}:{stock.n_entries(order)}", reason=reason)
    if released:
        say(order, "stock.released", _all_released(released), actor=None, at=at, by=HUB, reason=reason)


def give_back_stock(at: datetime) -> int:
    """The clock's part: locks whose time is over, and those of orders whose goods are gone or cancelled.

    Returns the number of orders looked at. Call outside a transaction: each order has one of its own.
    """
    live = stock.StockLock.objects.filter(released_at=None)
    expired = list(
        live.filter(expires_at__lte=at)
        .order_by("order_id")
        .values_list("order_id", flat=True)
        .distinct()[:200]
    )
    for order_id in expired:
        _expire(order_id, at)
    stale = Q(order__stage__in=DONE_WITH_STOCK)
    left = list(live.filter(stale).order_by("order_id").values_list("order_id", flat=True).distinct()[:200])
    for order_id in left:
        follow_goods(order_id, at=at)
    return len(expired) + len(left)


def _expire(order_id: int, at: datetime) -> None:
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        hub_reference(order)
        released = stock.release_expired(order, at=at)
        if released:
            say(order, "stock.expired", _all_released(released), actor=None, at=at, by=HUB, reason="expired")
