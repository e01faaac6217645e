"""Stages and reports in a customer's words: six milestones and what lies beside the way. Pure tables."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.stages import ParcelState, Stage


class Milestone(models.TextChoices):
    """The six things that matter to whoever waits, and the two ways out."""

    RECEIVED = "received", _("Order received")
    PREPARING = "preparing", _("Being prepared")
    PACKED = "packed", _("Packed")
    ON_WAY = "on_way", _("On the way")
    NEARBY = "nearby", _("Out for delivery")
    ARRIVED = "arrived", _("Delivered")
    CANCELLED = "cancelled", _("Cancelled")
    RETURNED = "returned", _("Going back")


WAY = (
    Milestone.RECEIVED,
    Milestone.PREPARING,
    Milestone.PACKED,
    Milestone.ON_WAY,
    Milestone.NEARBY,
    Milestone.ARRIVED,
)


@dataclass(frozen=True, slots=True)
class StageWords:
    """A stage as the customer reads it. by_carrier: the same with the carrier's name as %(carrier)s."""

    milestone: Milestone
    sentence: StrOrPromise
    by_carrier: StrOrPromise = ""


STAGES: dict[Stage, StageWords] = {
    Stage.INTAKE: StageWords(Milestone.RECEIVED, _("We have received your order and are taking it down")),
    Stage.AWAITING_PAYMENT: StageWords(
        Milestone.RECEIVED, _("We have received your order and wait for the payment")
    ),
    Stage.PLATFORM_REVIEW: StageWords(
        Milestone.RECEIVED, _("Your order is received; the shop's platform is checking it")
    ),
    Stage.AWAITING_DATE: StageWords(
        Milestone.RECEIVED, _("Your order is received; we are working out the delivery date")
    ),
    Stage.AWAITING_STOCK: StageWords(Milestone.PREPARING, _("We are setting your goods aside")),
    Stage.AWAITING_WAYBILL: StageWords(
        Milestone.PREPARING, _("Your goods are set aside; we are arranging the transport")
    ),
    Stage.AWAITING_PICK: StageWords(Milestone.PREPARING, _("Your goods are next in line in the warehouse")),
    Stage.PICKING: StageWords(Milestone.PREPARING, _("The warehouse is collecting your goods")),
    Stage.AWAITING_PACK: StageWords(
        Milestone.PREPARING, _("Your goods are collected and will be packed next")
    ),
    Stage.AWAITING_HANDOVER: StageWords(
        Milestone.PACKED,
        _("Packed, waiting for the carrier to collect it"),
        _("Packed, waiting for %(carrier)s to collect it"),
    ),
    Stage.SHIPPED: StageWords(
        Milestone.ON_WAY,
        _("Your order has left our warehouse"),
        _("Your order has left our warehouse with %(carrier)s"),
    ),
    Stage.IN_TRANSIT: StageWords(
        Milestone.ON_WAY, _("Your order is on its way"), _("Your order is on its way with %(carrier)s")
    ),
    Stage.CUSTOMS: StageWords(Milestone.ON_WAY, _("Your order is in customs clearance")),
    Stage.OUT_FOR_DELIVERY: StageWords(
        Milestone.NEARBY, _("The courier is on the way to you"), _("%(carrier)s is on the way to you")
    ),
    Stage.DELIVERED: StageWords(Milestone.ARRIVED, _("Your order has been delivered")),
    Stage.COMPLETED: StageWords(Milestone.ARRIVED, _("Your order has been delivered and is complete")),
    Stage.CANCELLING: StageWords(Milestone.CANCELLED, _("A cancellation was asked for and is being settled")),
    Stage.CANCELLED: StageWords(
        Milestone.CANCELLED, _("This order has been cancelled; nothing will be sent")
    ),
    Stage.RETURNING: StageWords(Milestone.RETURNED, _("Your goods are on their way back to us")),
    Stage.RETURNED: StageWords(Milestone.RETURNED, _("Your goods have come back to us")),
}

# One vocabulary for what carriers say in a hundred codes.
PARCELS: dict[ParcelState, StrOrPromise] = {
    ParcelState.CREATED: _("Waybill made"),
    ParcelState.AWAITING_PICKUP: _("Waiting for the carrier"),
    ParcelState.HANDED_OVER: _("Given to the carrier"),
    ParcelState.PICKED_UP: _("Collected by the carrier"),
    ParcelState.IN_TRANSIT: _("On the way"),
    ParcelState.AT_CUSTOMS: _("In customs clearance"),
    ParcelState.OUT_FOR_DELIVERY: _("Out for delivery"),
    ParcelState.AT_LOCKER: _("Ready at a locker or shop: please collect it"),
    ParcelState.DELIVERY_FAILED: _("Could not be handed over"),
    ParcelState.HELD: _("Held by the carrier"),
    ParcelState.DELIVERED: _("Delivered"),
    ParcelState.INTERCEPTED: _("Stopped on the way"),
    ParcelState.RETURNING: _("Going back to us"),
    ParcelState.RETURNED: _("Back with us"),
    ParcelState.LOST: _("Cannot be found"),
    ParcelState.DAMAGED: _("Damaged"),
    ParcelState.VOIDED: _("Waybill no longer used"),
}

# The reports that are steps to a customer. What is missing here is ours to know.
STEPS: dict[str, StrOrPromise] = {
    "order.placed": _("Order received"),
    "payment.received": _("Payment received"),
    "payment.refunded": _("Payment refunded"),
    "date.confirmed": _("Delivery date confirmed"),
    "cancel.requested": _("Cancellation asked for"),
    "cancel.accepted": _("Cancellation accepted"),
    "cancel.refused": _("Cancellation not possible any more"),
    "address.changed": _("Address changed"),
    "return.requested": _("Return asked for"),
    "stock.locked": _("Goods set aside"),
    "pick.started": _("Goods being collected in the warehouse"),
    "pick.done": _("Goods collected in the warehouse"),
    "pack.done": _("Packed"),
    "waybill.made": PARCELS[ParcelState.CREATED],
    **{
        f"parcel.{state.value}": words
        for state, words in PARCELS.items()
        if state not in {ParcelState.CREATED, ParcelState.VOIDED}
    },
}

# Codes and names that carriers go by, and how customers know them. The longest that fits counts.
CARRIERS: dict[str, StrOrPromise] = {
    "sf": _("SF Express"),
    "顺丰": _("SF Express"),
    "zto": _("ZTO Express"),
    "中通": _("ZTO Express"),
    "yto": _("YTO Express"),
    "圆通": _("YTO Express"),
    "sto": _("STO Express"),
    "申通": _("STO Express"),
    "yunda": _("Yunda Express"),
    "韵达": _("Yunda Express"),
    "jd": _("JD Logistics"),
    "京东": _("JD Logistics"),
    "ems": _("EMS"),
    "jt": _("J&T Express"),
    "极兔": _("J&T Express"),
    "deppon": _("Deppon Express"),
    "德邦": _("Deppon Express"),
    "dhl": _("DHL"),
    "ups": _("UPS"),
    "fedex": _("FedEx"),
}
_PLAIN_NAME = re.compile(r"[^\W\d_][\w .&-]{1,23}")


def carrier_name(code: str) -> str:
    """The carrier as customers know it. Empty for anything that may be more than a name, such as a courier's number."""
    plain = code.strip().lower()
    known = plain if plain in CARRIERS else re.split(r"[\s_-]", plain)[0]
    if known in CARRIERS:
        return str(CARRIERS[known])
    name = code.strip()
    has_number = len(re.sub(r"\D", "", name)) >= 4
    return name if _PLAIN_NAME.fullmatch(name) and not has_number else ""


def sentence_of(stage: Stage, carrier: str = "") -> str:
    """The present step in one sentence; with the carrier's name where it is known and says something."""
    words = STAGES[stage]
    if carrier and words.by_carrier:
        return str(words.by_carrier) % {"carrier": carrier}
    return str(words.sentence)


def parcels_sentence(n_delivered: int, n_all: int) -> str:
    """How many of several parcels have arrived; empty for one, and before the first has."""
    if n_all < 2 or not n_delivered:
        return ""
    return gettext("%(done)s of %(all)s parcels delivered") % {"done": n_delivered, "all": n_all}


def parcel_words(state: str) -> str:
    """A parcel's state; the one word that is always true for a state that nobody has put into words."""
    return str(PARCELS[ParcelState(state)]) if state in ParcelState.values else str(Milestone.ON_WAY.label)


def step_words(kind: str) -> str:
    """What a report is to the customer; empty if it is nothing to them."""
    return str(STEPS.get(kind, ""))
