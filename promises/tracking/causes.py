"""Why an order is late or stands still, in classes that a customer can do something with. Nobody is blamed. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.stages import HANDED_OVER, ParcelState, RiskLevel, Stage


class Cause(models.TextChoices):
    """What the page names. Twelve reasons of the house come down to these."""

    GOODS = "goods", _("Goods being restocked")
    ADDRESS = "address", _("Address to be confirmed")
    CUSTOMS = "customs", _("Customs clearance")
    PAYMENT = "payment", _("Payment")
    REVIEW = "review", _("Order check")
    WAREHOUSE = "warehouse", _("Warehouse")
    CARRIER = "carrier", _("Carrier")
    DELIVERY = "delivery", _("Delivery attempt")
    DAMAGE = "damage", _("Parcel damaged or lost")
    HOLD = "hold", _("On hold")
    WISH = "wish", _("Changed at your wish")
    NEWS = "news", _("News being fetched")


@dataclass(frozen=True, slots=True)
class CauseWords:
    """what: what is the matter. doing: what we do about it, or what the customer can do. owner: the role that is asked."""

    what: StrOrPromise
    doing: StrOrPromise
    owner: str


CAUSES: dict[Cause, CauseWords] = {
    Cause.GOODS: CauseWords(
        _("Some of the goods have to be restocked first."),
        _("Our warehouse has been asked to say when they are there. What is there may leave earlier."),
        "warehouse",
    ),
    Cause.ADDRESS: CauseWords(
        _("The address is not clear enough to deliver to."),
        _("Please send us the full address below. We check it before anything leaves."),
        "service",
    ),
    Cause.CUSTOMS: CauseWords(
        _("Customs clearance takes longer than usual."),
        _("Our documents team follows it up and completes papers that are asked for."),
        "customs",
    ),
    Cause.PAYMENT: CauseWords(
        _("We have not heard of your payment yet."),
        _(
            "If you have paid, nothing needs to be done: banks may take a day. We go on as soon as it arrives."
        ),
        "finance",
    ),
    Cause.REVIEW: CauseWords(
        _("The shop's platform is still checking the order."),
        _("We go on as soon as the check is over. Your money stays safe meanwhile."),
        "ops_manager",
    ),
    Cause.WAREHOUSE: CauseWords(
        _("Getting the goods ready takes longer than planned."),
        _("The team in charge has been asked to see to it."),
        "warehouse",
    ),
    Cause.CARRIER: CauseWords(
        _("The parcel moves more slowly than planned."),
        _("Our logistics team has been asked to see to it."),
        "logistics",
    ),
    Cause.DELIVERY: CauseWords(
        _("The parcel could not be handed over."),
        _("Tell us a good time or another address below, or wait for the carrier's next attempt."),
        "service",
    ),
    Cause.DAMAGE: CauseWords(
        _("The carrier reports that a parcel is damaged or cannot be found."),
        _("Write to us below: we settle with you whether to send it again or to refund it."),
        "service",
    ),
    Cause.HOLD: CauseWords(
        _("The order waits until a question about it is settled."),
        _("Somebody in charge has it. Write to us below if you know more."),
        "service",
    ),
    Cause.WISH: CauseWords(
        _("We are changing the order as you asked."), _("It goes on as soon as that is done."), "sales"
    ),
    Cause.NEWS: CauseWords(
        _("We have heard nothing new for longer than usual."),
        _("Our team has been asked to find out where it stands."),
        "ops_manager",
    ),
}

BAD_STATES: dict[str, Cause] = {
    ParcelState.LOST.value: Cause.DAMAGE,
    ParcelState.DAMAGED.value: Cause.DAMAGE,
    ParcelState.DELIVERY_FAILED.value: Cause.DELIVERY,
    ParcelState.HELD.value: Cause.CARRIER,
}
_SEVEREST = (Cause.DAMAGE, Cause.DELIVERY, Cause.CARRIER)

_OF_STAGE: dict[Stage, Cause] = {
    Stage.INTAKE: Cause.NEWS,
    Stage.AWAITING_PAYMENT: Cause.PAYMENT,
    Stage.PLATFORM_REVIEW: Cause.REVIEW,
    Stage.CUSTOMS: Cause.CUSTOMS,
    Stage.CANCELLING: Cause.NEWS,
    Stage.RETURNING: Cause.NEWS,
}


def cause_of_stage(stage: Stage) -> Cause:
    """What it lies at when an order is slow in this stage and nothing else is known."""
    return _OF_STAGE.get(stage, Cause.CARRIER if stage in HANDED_OVER else Cause.WAREHOUSE)


@dataclass(frozen=True, slots=True)
class Signs:
    """What may show that something is wrong. is_late: the latest date has gone by."""

    stage: Stage
    parcel_states: Collection[str] = ()
    is_short: bool = False
    is_held: bool = False
    is_stalled: bool = False
    is_late: bool = False
    risk: str = ""


OVER = frozenset({Stage.DELIVERED, Stage.COMPLETED, Stage.CANCELLED, Stage.RETURNED})


def cause_of(signs: Signs) -> Cause | None:
    """The one thing to tell first; None if all is as it should be. Nothing is wrong any more once an order is over."""
    parcels = {BAD_STATES[state] for state in signs.parcel_states if state in BAD_STATES}
    if signs.stage in {Stage.CANCELLED, Stage.RETURNED, Stage.COMPLETED}:
        return None
    worst = next((cause for cause in _SEVEREST if cause in parcels), None)
    if worst is not None or signs.stage == Stage.DELIVERED:
        return worst
    if signs.is_short and signs.stage not in HANDED_OVER:
        return Cause.GOODS
    if signs.is_held:
        return Cause.HOLD
    if signs.is_stalled or signs.is_late or signs.risk == RiskLevel.AT_RISK:
        return cause_of_stage(signs.stage)
    return None


def is_delay(signs: Signs) -> bool:
    """Is what the page says bad news about time?"""
    return signs.is_late or signs.is_stalled or signs.risk == RiskLevel.AT_RISK or cause_of(signs) is not None
