"""Why an order stands where it stands, in words: made by the same derivation that moved it, for pages and the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.answer import Derivation, Why
from orders.derivation import derive
from orders.masters import SourceHeard
from orders.models import Order
from orders.precedence import precedence_in_force
from orders.stages import FACT_KINDS, STAGE_ROWS, Intent, Invoice, ParcelState, Payment, Stage, Topic
from orders.transitions import facts_by_order

RULES: dict[str, StrOrPromise] = {
    "order_incomplete": _("The shop has not told which articles were ordered."),
    "not_paid": _("The full payment has not been reported, and the order is not on credit."),
    "review_open": _("The platform has not ended its review."),
    "step_open": _("The step that comes next has not been done."),
    "steps_done": _("Every step before picking is done."),
    "least_advanced_unit": _("The unit that has come least far decides."),
    "after_sale_over": _("Delivered, invoiced or exempt, and the after-sale window is over."),
    "every_unit_cancelled": _("Every unit was cancelled before it left the warehouse."),
    "cancel_requested": _("Somebody asked to cancel and nobody has answered."),
    "cancel_accepted": _("The cancellation was accepted."),
    "return_requested": _("The customer asked to return goods."),
    "payment_reported": _("The best source's payment reports decide."),
    "paid_after_cancel": _("Money came after the order was cancelled."),
    "newest_report": _("The newest report decides."),
    "best_source": _("The best source's reports decide."),
    "furthest_standing_claim": _("The furthest report that no better source contradicts decides."),
    "better_source": _("Two sources disagree; the one that ranks higher is believed."),
    "better_source_later": _("A better source said later that the parcel is less far."),
    "goods_left_before_cancel": _("The goods had left when the cancellation was accepted."),
    "scan_on_void_waybill": _("The carrier scanned a parcel whose waybill had been made void."),
}

_LABELS: dict[str, Mapping[str, StrOrPromise]] = {
    "stage": dict(Stage.choices),
    "payment": dict(Payment.choices),
    "invoice": dict(Invoice.choices),
    "intent": dict(Intent.choices),
}


def judged(order: Order, at: datetime) -> Derivation:
    """The order as its facts stand now. Two queries."""
    return derive(facts_by_order([order.pk]).get(order.pk, ()), precedence_in_force(), at)


def explain(order: Order, at: datetime, answer: Derivation | None = None) -> dict[str, Any]:
    """The why-trace of an order.

    {"precedence": version, "why": [{"what", "value", "label", "rule", "text", "facts"}], "conflicts": [...],
    "next": {"role", "kinds", "text", "sources": [{"source", "heard_at", "silent_for_s"}]}, "due_again_at"}.
    Fact ids refer to the order's timeline. Times are ISO 8601 in UTC; silent_for_s in seconds.
    """
    answer = answer or judged(order, at)
    return {
        "precedence": answer.precedence,
        "why": [_why(name, why) for name, why in answer.why.items()],
        "conflicts": [
            {
                "topic": one.topic,
                "label": Topic(one.topic).label,
                "about": one.about,
                "winner": one.winner,
                "loser": one.loser,
                "rule": one.rule,
                "text": RULES[one.rule],
            }
            for one in answer.conflicts
        ],
        "next": _next(answer, at) if answer.is_open else None,
        "due_again_at": answer.due_again_at.isoformat() if answer.due_again_at else None,
    }


def labels_of(name: str) -> Mapping[str, StrOrPromise]:
    """The words for the values of an axis, or of a parcel's state ("parcel:…")."""
    return dict(ParcelState.choices) if name.startswith("parcel:") else _LABELS.get(name, {})


def _why(name: str, why: Why) -> dict[str, Any]:
    labels = labels_of(name)
    return {
        "what": name,
        "value": why.value,
        "label": labels.get(why.value, why.value),
        "rule": why.rule,
        "text": RULES[why.rule],
        "facts": list(why.facts),
    }


def _next(answer: Derivation, at: datetime) -> dict[str, Any]:
    """What would change the stage next, who would tell, and how long those sources have been silent."""
    role, kinds = answer.awaited
    names = " / ".join(str(FACT_KINDS[kind].label) for kind in kinds)
    sources = [
        {
            "source": heard.source,
            "heard_at": heard.heard_at.isoformat(),
            "silent_for_s": int((at - heard.heard_at).total_seconds()),
        }
        for heard in SourceHeard.objects.filter(role=role.value).order_by("source")
    ]
    return {
        "role": role.value,
        "role_label": role.label,
        "owner": STAGE_ROWS[answer.stage].owner,
        "kinds": list(kinds),
        "text": names,
        "sources": sources,
    }


def in_local_words(moment: datetime) -> str:
    """22 November 18:04 in the reader's zone and language."""
    return date_format(localtime(moment), "MONTH_DAY_FORMAT") + localtime(moment).strftime(" %H:%M")
