"""Whether the customers' pages do what they are for: looks, presses of "Contact us" and why, and how promised news was kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Q, Sum
from django.utils.timezone import localdate

from promises.tracking.causes import Cause
from promises.tracking.models import ContactClick, NextUpdate, PageVisit

DAYS = 30
# Promised news is counted over the newest ones only: old ones say nothing of today.
NEWS_COUNTED = 5000


@dataclass(frozen=True, slots=True)
class Figures:
    """by_cause: (cause or "" for none, presses, of them with a delay on the page), the most frequent first."""

    n_looks: int
    n_delayed_looks: int
    n_clicks: int
    n_delayed_clicks: int
    n_kept: int
    n_missed: int
    n_open: int
    by_cause: list[tuple[str, int, int]]

    @property
    def clicks_per_hundred(self) -> float | None:
        """Presses for a hundred looks; None while nobody has looked."""
        return 100 * self.n_clicks / self.n_looks if self.n_looks else None

    @property
    def kept_per_cent(self) -> float | None:
        judged = self.n_kept + self.n_missed
        return 100 * self.n_kept / judged if judged else None


def figures(user: User | AnonymousUser, at: datetime) -> Figures:
    """Of the orders in this person's scope, for the last thirty days. Three queries by indexes."""
    looks = PageVisit.objects.visible_to(user).filter(day__gt=localdate(at) - timedelta(days=DAYS))
    seen = looks.aggregate(n=Sum("n"), delayed=Sum("n_delayed"))
    clicks = ContactClick.objects.visible_to(user).filter(at__gt=at - timedelta(days=DAYS))
    by_cause = list(
        clicks.order_by()
        .values_list("cause")
        .annotate(n=Count("pk"), delayed=Count("pk", filter=Q(is_delayed=True)))
        .order_by("-n", "cause")
    )
    news = _news(user)
    return Figures(
        n_looks=seen["n"] or 0,
        n_delayed_looks=seen["delayed"] or 0,
        n_clicks=sum(n for _cause, n, _delayed in by_cause),
        n_delayed_clicks=sum(delayed for _cause, _n, delayed in by_cause),
        by_cause=[(str(Cause(cause).label) if cause else "", n, delayed) for cause, n, delayed in by_cause],
        **news,
    )


def _news(user: User | AnonymousUser) -> dict[str, Any]:
    newest = NextUpdate.objects.visible_to(user).order_by("-pk").values("kept_at", "missed_at")[:NEWS_COUNTED]
    rows = [(row["kept_at"] is not None, row["missed_at"] is not None) for row in newest]
    return {
        "n_kept": sum(kept for kept, _missed in rows),
        "n_missed": sum(missed for _kept, missed in rows),
        "n_open": sum(not kept and not missed for kept, missed in rows),
    }
