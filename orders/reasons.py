"""The reasons why an order is stuck, as the house knows them: twelve to begin with, and OTHER for when none fits."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """owner: the role that answers for it. pauses_clock: somebody outside must act, so that our own time stands still."""

    code: str
    label: StrOrPromise
    owner: str
    pauses_clock: bool = False
    is_active: bool = True


REASONS: dict[str, ReasonRow] = {
    row.code: row
    for row in (
        ReasonRow("SHORTAGE", _("Out of stock, replenishing"), "warehouse", pauses_clock=True),
        ReasonRow("ADDR_VAGUE", _("Address incomplete or ambiguous"), "service", pauses_clock=True),
        ReasonRow("CUSTOMS_RETURN", _("Declaration returned by customs"), "customs"),
        ReasonRow("PAY_PENDING", _("Payment not confirmed, bank delay"), "finance", pauses_clock=True),
        ReasonRow("CREDIT_HOLD", _("Credit or price approval needed"), "finance", pauses_clock=True),
        ReasonRow("MISPICK", _("Wrong or missing goods picked"), "warehouse"),
        ReasonRow("QUALITY", _("Quality failure or damage"), "warehouse"),
        ReasonRow("WAYBILL_FAIL", _("Label failed, out of area or not accepted"), "logistics"),
        ReasonRow("CARRIER_STALL", _("Not collected, or stalled in transit"), "logistics"),
        ReasonRow("DELIVERY_FAIL", _("Delivery failed or refused"), "service", pauses_clock=True),
        ReasonRow("CUSTOMER_CHANGE", _("Changed by the customer"), "sales", pauses_clock=True),
        ReasonRow("SYNC_GAP", _("Data out of step"), "integrator"),
        ReasonRow("OTHER", _("Other"), "ops_manager", is_active=False),
    )
}


def reason_label(code: str) -> StrOrPromise:
    """The code in words; the code itself where nobody has put it into words."""
    row = REASONS.get(code)
    return row.label if row else code
