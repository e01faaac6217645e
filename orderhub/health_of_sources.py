"""How the systems that report are doing: when each was last heard, what came today, what failed. Silence is never green."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import CharField, Count, QuerySet, Subquery, Value
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from integrations.models import Connection, InboundMessage
from orders.masters import SourceHeard
from orders.people import visible

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SEES_CONNECTIONS = "integrations.view_connection"
SEES_MESSAGES = "integrations.view_inboundmessage"
SEES_SOURCES = "orders.view_sourceheard"
# A system that reports by itself is expected to say something within this time.
SILENT_AFTER = timedelta(minutes=15)
# Files come when somebody brings one.
BROUGHT = frozenset({"rows"})
# Today's messages are counted among the newest so many of the house.
MOST_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Source:
    """One source as Today shows it."""

    key: str
    label: str
    meaning: str
    word: str
    heard_at: datetime | None
    url: str = ""
    failure: str = ""
    n_today: int | None = None
    n_failed: int | None = None
    is_exact: bool = True
    today_url: str = ""
    failed_url: str = ""

    @property
    def is_doubtful(self) -> bool:
        return self.meaning in {"stale", "danger"}


def read(user: User, at: datetime, tallies: Mapping[tuple[str, str], int]) -> list[Source]:
    """Every connection in scope with its numbers; for whoever may not see connections, when each source was heard."""
    if user.has_perm(SEES_CONNECTIONS):
        return _connections(user, at, tallies)
    if user.has_perm(SEES_SOURCES):
        return [_heard(row, at) for row in _heard_in_scope(user).order_by("source")[:100]]
    return []


def _heard_in_scope(user: User) -> QuerySet[SourceHeard]:
    """Without those of a shop or a warehouse that this person does not see; what serves the whole house is everybody's."""
    of_a_place = Connection.objects.exclude(shop=None, warehouse=None)
    hidden = of_a_place.exclude(pk__in=visible(Connection.objects.all(), user).values("pk"))
    return visible(SourceHeard.objects.all(), user).exclude(source__in=hidden.values("slug"))


def tallies(user: User, at: datetime) -> list[QuerySet[Any, Any]]:
    """Rows (kind, connection, number) of today's messages, for one union with other tallies."""
    if not (user.has_perm(SEES_CONNECTIONS) and user.has_perm(SEES_MESSAGES)):
        return []
    newest = InboundMessage.objects.order_by("-pk").values("pk")[:1]
    today = InboundMessage.objects.filter(
        pk__gt=Subquery(newest) - MOST_LOOKED_AT, received_at__gte=_midnight(at)
    ).order_by()
    return [_by_connection(TODAY, today), _by_connection(FAILED, today.filter(state="failed"))]


TODAY, FAILED = "today", "failed today"


def _by_connection(kind: str, rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    connection = Cast("connection_id", CharField())
    found: QuerySet[Any, Any] = rows.values_list(Value(kind), connection).annotate(n=Count("pk"))
    return found


def _midnight(at: datetime) -> datetime:
    return localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def _heard(row: SourceHeard, at: datetime) -> Source:
    meaning, word = _judged(row.heard_at, at)
    return Source(row.source, row.source, meaning, word, row.heard_at)


def _judged(heard_at: datetime | None, at: datetime) -> tuple[str, str]:
    if heard_at is None:
        return "stale", _("never heard")
    return ("stale", _("silent")) if at - heard_at > SILENT_AFTER else ("ok", _("heard"))


def _connections(user: User, at: datetime, tallies: Mapping[tuple[str, str], int]) -> list[Source]:
    rows = visible(Connection.objects.order_by("label", "pk"), user)[:100]
    is_exact = sum(n for (kind, _pk), n in tallies.items() if kind == TODAY) < MOST_LOOKED_AT
    may_count = user.has_perm(SEES_MESSAGES)
    return [
        _source(
            row,
            at,
            [tallies.get((kind, str(row.pk)), 0) for kind in (TODAY, FAILED)] if may_count else [],
            is_exact=is_exact,
        )
        for row in rows
    ]


def _source(row: Connection, at: datetime, numbers: list[int], *, is_exact: bool) -> Source:
    meaning, word = state_of(row, at)
    made: dict[str, Any] = {}
    if numbers:
        made = {
            "n_today": numbers[0],
            "n_failed": numbers[1],
            "is_exact": is_exact,
            "today_url": _messages_url(row, _midnight(at)),
            "failed_url": _messages_url(row, _midnight(at), state__exact="failed"),
        }
    return Source(
        key=row.slug,
        label=row.label,
        meaning=meaning,
        word=word,
        heard_at=row.heard_at,
        url=reverse("admin:integrations_connection_change", args=[row.pk]),
        failure=row.why_it_failed if meaning == "danger" else "",
        **made,
    )


def state_of(row: Connection, at: datetime) -> tuple[str, str]:
    """What the chip means and says."""
    if not row.is_active:
        return "neutral", _("switched off")
    if row.failed_at is not None and (row.heard_at is None or row.failed_at > row.heard_at):
        return "danger", _("failing")
    if row.connector in BROUGHT:
        return "neutral", _("by file")
    return _judged(row.heard_at, at)


def _messages_url(row: Connection, midnight: datetime, **more: str) -> str:
    query: dict[str, Any] = {
        "connection__id__exact": row.pk,
        "received_at__gte": midnight.isoformat(),
        **more,
    }
    return f"{reverse('admin:integrations_inboundmessage_changelist')}?{urlencode(query)}"
