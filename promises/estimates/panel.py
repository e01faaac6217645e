"""The countdown on the order's page: until when it is promised, how likely that is kept, why, and what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.timezone import get_current_timezone_name, now
from django.utils.translation import gettext as _

from orders.models import Order
from orders.stages import RiskLevel
from promises import estimates
from promises.estimates import words
from promises.estimates.models import Estimate
from promises.said import MOST_ESTIMATES, said_of

SEE, SEE_RULE = "promises.view_estimate", "promises.view_promiserule"
MOST_SHOWN = MOST_ESTIMATES - 1
MEANS = {RiskLevel.ON_TRACK: "ok", RiskLevel.WATCH: "info", RiskLevel.AT_RISK: "warn"}
ENDED = {Estimate.Outcome.KEPT: "ok", Estimate.Outcome.MISSED: "danger", Estimate.Outcome.VOID: "neutral"}


@dataclass(frozen=True, slots=True)
class Earlier:
    """One thing that was said before, and until when it was said."""

    said: Estimate
    until: datetime
    odds: str


@dataclass(frozen=True, slots=True)
class Risk:
    """How likely the promise is missed, as a level, and since when it has been at that level without a break."""

    level: str
    means: str
    since: datetime
    is_at_least: bool


def panel(order: Order, request: HttpRequest) -> dict[str, Any] | None:
    """For ORDER_PANELS."""
    if not request.user.has_perm(SEE):
        return None
    return {
        "key": "countdown",
        "title": _("Promised date"),
        "template": "promises/countdown.html",
        "context": context_of(order, request, now()),
        "column": "side",
    }


def context_of(order: Order, request: HttpRequest, at: datetime) -> dict[str, Any]:
    known = said_of(order, request)
    said, current = known.estimates, known.estimate
    if current is None:
        return {"said": None, "is_off": not estimates.rule_for(order).is_on, "may_set": _may_set(request)}
    kind, name = words.place(current)
    why, what_now = words.no_date(current) if not current.has_date else ("", "")
    # The moment is over before anybody has looked at the order again.
    is_late = not current.outcome and current.promised_at is not None and current.promised_at < at
    return {
        "said": current,
        "promised_at": current.promised_at,
        "is_over": current.outcome != "",
        "outcome": _outcome(current),
        "in_time": _in_time(current),
        "odds": per_cent(current.odds),
        "place_kind": kind,
        "place": name,
        "basis": words.basis(current),
        "behind": urlencode(words.behind(current)),
        "is_moved": current.has_date and current.promised_at not in {None, current.due_at},
        "promised_on": _promised_on(current),
        "reasons": words.reasons(current, words.touching(current)),
        "why_no_date": why,
        "what_now": what_now,
        "risk": risk_of(said) if not current.outcome and not is_late else None,
        "is_late": is_late,
        "earlier": earlier(said)[:MOST_SHOWN],
        "is_cut": len(said) > MOST_SHOWN,
        "is_stale": current.check_at is not None and current.check_at < at and not current.outcome,
        "may_set": _may_set(request),
    }


def _promised_on(current: Estimate) -> date | None:
    """The day at the destination at whose end the promise ends; None where the clock of the page shows that already."""
    if current.promised_at is None or current.zone == get_current_timezone_name():
        return None
    there = current.promised_at.astimezone(ZoneInfo(current.zone))
    return there.date() if (there.hour, there.minute) == (23, 59) else None


def _may_set(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(SEE_RULE))


def per_cent(per_mille: int | None) -> str:
    """Odds as people read them. Nothing is certain: 1000 of 1000 reads as more than 99.9 %."""
    if per_mille is None:
        return ""
    if per_mille >= 1000:
        return "> 99.9 %"
    return f"{number_format(per_mille / 10, 1)} %" if per_mille > 0 else "< 0.1 %"


def _in_time(current: Estimate) -> str:
    """The chance that the promise is kept, as it is seen now."""
    return per_cent(1000 - current.p_late) if current.p_late is not None else ""


def _outcome(current: Estimate) -> tuple[str, str] | None:
    if not current.outcome:
        return None
    return ENDED[Estimate.Outcome(current.outcome)], current.get_outcome_display()


def risk_of(said: Sequence[Estimate]) -> Risk | None:
    """From what was said, the newest first; None where nothing is promised. is_at_least: it may be longer."""
    if not said or not said[0].risk:
        return None
    level = said[0].risk
    run = 1
    while run < len(said) and said[run].risk == level:
        run += 1
    return Risk(
        level=said[0].get_risk_display(),
        means=MEANS[RiskLevel(level)],
        since=said[run - 1].made_at,
        is_at_least=run == len(said) == MOST_ESTIMATES,
    )


def earlier(said: Sequence[Estimate]) -> list[Earlier]:
    """What was said before, the newest first, each until the next one was made."""
    return [Earlier(old, newer.made_at, per_cent(old.odds)) for newer, old in pairwise(said)]
