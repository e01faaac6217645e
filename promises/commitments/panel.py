"""The commitment on the order's page: its versions from first to latest, what came of it, and what can be done now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import gettext as _

from orders.models import Order
from promises import numbers
from promises.commitments import discipline
from promises.commitments.compensating import MISSED
from promises.commitments.issuing import ENDED, TOO_LATE, zone
from promises.commitments.models import IssueRequest, Outcome, Promise
from promises.commitments.payload import end_of
from promises.commitments.refusals import in_words
from promises.ledger.models import SellerProfile
from promises.said import Said, said_of

SEE = "promises.view_promise"
ISSUE, REVOKE = "promises.issue_promise", "promises.revoke_promise"
MEANS = {
    Promise.State.ACTIVE: "info",
    Promise.State.SUPERSEDED: "stale",
    Promise.State.KEPT: "ok",
    Promise.State.MISSED: "danger",
    Promise.State.WAIVED: "neutral",
    Promise.State.REVOKED: "stale",
    Promise.State.UNKNOWN: "warn",
}


@dataclass(frozen=True, slots=True)
class Version:
    """One version as the page shows it. place: in the log; None while the entry waits."""

    promise: Promise
    means: str
    state: str
    place: int | None
    has_file: bool


def panel(order: Order, request: HttpRequest) -> dict[str, Any] | None:
    """For ORDER_PANELS."""
    if not request.user.has_perm(SEE):
        return None
    return {
        "key": "commitment",
        "title": _("Commitment"),
        "template": "promises/commitments/panel.html",
        "context": context_of(order, request, now()),
        "column": "side",
    }


def context_of(order: Order, request: HttpRequest, at: datetime) -> dict[str, Any]:
    said = said_of(order, request)
    newest = said.promise
    asked = IssueRequest.objects.filter(order=order).order_by("-pk").first()
    may_issue = request.user.has_perm(ISSUE)
    is_over = order.stage in TOO_LATE or not order.is_open
    return {
        "versions": [_version(promise) for promise in said.versions],
        "newest": newest,
        "number": numbers.shown(newest.number) if newest else "",
        "outcome": _outcome(said),
        "asked": asked if asked and _is_news(asked, newest) else None,
        "asked_words": in_words(asked.code, asked.words) if asked and asked.code else "",
        # A promise has been made by somebody, and the profile of who promises cannot be deleted.
        "is_set_up": newest is not None or SellerProfile.the_one() is not None,
        "apology": _apology(newest),
        "compensation": getattr(newest, "compensation", None),
        "may_compensate": may_issue and newest is not None and newest.state in MISSED,
        "may_set_up": request.user.has_perm("promises.change_sellerprofile"),
        "may_issue": may_issue and not is_over and (newest is None or newest.state == Promise.State.REVOKED),
        "may_move": may_issue and not is_over and newest is not None and newest.is_live and at <= newest.due,
        "may_revoke": request.user.has_perm(REVOKE) and newest is not None and newest.is_live,
        "may_waive": may_issue and newest is not None and newest.is_live and order.intent != "go",
        "is_overdue": newest is not None and newest.is_live and at > newest.due,
        "hint": _hint(said) if not is_over else "",
    }


def _outcome(said: Said) -> Outcome | None:
    """What came of the newest number, whichever of its versions was in force then; None while nothing is known."""
    newest = said.promise
    same = (promise for promise in said.versions if newest and promise.number == newest.number)
    return next((promise.outcome for promise in same if hasattr(promise, "outcome")), None)


def _apology(newest: Promise | None) -> str:
    """What the customer of a missed promise reads on its page."""
    is_missed = newest is not None and newest.state in MISSED
    seller = SellerProfile.the_one() if is_missed else None
    return seller.apology if seller else ""


def _version(promise: Promise) -> Version:
    return Version(
        promise=promise,
        means=MEANS[Promise.State(promise.state)],
        state=promise.get_state_display(),
        place=promise.pending.index,
        has_file=hasattr(promise, "file"),
    )


def _is_news(asked: IssueRequest, newest: Promise | None) -> bool:
    """Whether the last request still says something: it is open, or was refused and nothing was issued since."""
    if asked.state == IssueRequest.State.ISSUED:
        return False
    return asked.ended_at is None or newest is None or asked.ended_at >= newest.made_at


def _hint(said: Said) -> str:
    """What a person should look at: another day was confirmed, or half of such orders come after the window."""
    order, newest = said.order, said.promise
    if newest is None or newest.state in ENDED or not newest.is_live:
        return ""
    if order.confirmed_on and end_of(order.confirmed_on, zone(order, said.estimate)) > newest.due:
        return _(
            "A later day has been confirmed since. Issue a new version, or confirm the promised day again."
        )
    if discipline.is_outside(newest, said.estimate):
        return _("By the present estimate half of such orders arrive after the promised window.")
    return ""
