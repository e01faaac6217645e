"""What machines ask: is the process there, is the house at work, how much is waiting."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.timezone import now
from django.views.decorators.http import require_safe

from integrations.models import Connection, InboundMessage
from orders.models import Order, OrderEvent, WorkSignal
from promises.models import LogPending, TransparencyLog

SILENT_FOR = timedelta(seconds=120)
# Counts of what waits stop here: whoever asks every ten seconds must not cost a scan of millions.
COUNTED_UP_TO = 10_000
METRICS_KEPT_FOR = 10


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Says nothing about the database or the workers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 when the database, a migration, the steward or the workers keep the house from working; else 200.

    A silent connection is reported in the body only: a shop that sends nothing must not take the hub off line.
    """
    at = now()
    answer: dict[str, object] = {"ready": False, "database": "ok"}
    try:
        problems = _problems(at)
        if not problems:
            answer["connections"] = _connections(at)
    except DatabaseError:
        answer["database"] = "cannot be reached"
        problems = ["The database cannot be reached."]
    answer |= {"ready": not problems, "problems": problems}
    response = JsonResponse(answer, status=503 if problems else 200)
    # Whoever asks hears it; a line in the log for each question of a start-up would hide what matters there.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return _fresh(response)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures in the text format of Prometheus, for ORDERHUB_METRICS_TOKEN or a member of staff."""
    if not _may_read_metrics(request):
        refusal = "Send the header Authorization: Bearer <ORDERHUB_METRICS_TOKEN>, or log in as staff.\n"
        return HttpResponse(
            refusal, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"}
        )
    text = cache.get("metrics")
    if text is None:
        text = "".join(f"{line}\n" for line in _metric_lines(now()))
        cache.set("metrics", text, METRICS_KEPT_FOR)
    return _fresh(HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8"))


def _fresh(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response


def _problems(at: datetime) -> list[str]:
    if _has_pending_migrations():
        return ["Migrations are pending: run manage.py migrate."]
    beats = dict(WorkSignal.objects.filter(name__in=["steward", "worker"]).values_list("name", "done_at"))
    found = [
        _silence("steward", beats.get("steward"), at, "start manage.py steward"),
        _silence("worker", beats.get("worker"), at, "the steward starts it anew by itself; see its log"),
    ]
    return [problem for problem in found if problem]


def _silence(name: str, done_at: datetime | None, at: datetime, advice: str) -> str:
    if done_at is None:
        return f"The {name} has never run: {advice}."
    if at - done_at > SILENT_FOR:
        return f"The {name} has been silent for {_seconds(at, done_at):.0f} seconds: {advice}."
    return ""


def _has_pending_migrations() -> bool:
    """Once the answer was no, it is kept for a minute: asking reads every migration from disk."""
    if cache.get("migrated"):
        return False
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return True
    cache.set("migrated", 1, 60)
    return False


def _connections(at: datetime) -> list[dict[str, object]]:
    rows = Connection.objects.filter(is_active=True).values_list("slug", "heard_at", "failed_at")[:100]
    return [
        {
            "connection": slug,
            "silent_seconds": None if heard_at is None else round(_seconds(at, heard_at)),
            "is_failing": failed_at is not None and (heard_at is None or failed_at > heard_at),
        }
        for slug, heard_at, failed_at in rows
    ]


def _may_read_metrics(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode()):
        return True
    user = request.user
    return user.is_active and user.is_staff and (settings.DEMO or bool(getattr(user, "is_verified", bool)()))


def _metric_lines(at: datetime) -> Iterator[str]:
    waiting = InboundMessage.objects.filter(state=InboundMessage.State.WAITING)
    failed = InboundMessage.objects.filter(state=InboundMessage.State.FAILED)
    undispatched = OrderEvent.objects.filter(dispatched_at__isnull=True)
    ceiling = f"(counted up to {COUNTED_UP_TO})"
    yield from _gauge("messages_waiting", f"messages not read yet {ceiling}", [("", _count(waiting))])
    yield from _gauge("messages_failed", f"messages that could not be read {ceiling}", [("", _count(failed))])
    yield from _gauge(
        "events_waiting", f"events nobody reacted to yet {ceiling}", [("", _count(undispatched))]
    )
    yield from _gauge("oldest_message_seconds", "age of the oldest", [("", _age(waiting, "received_at", at))])
    yield from _gauge(
        "oldest_event_seconds", "age of the oldest", [("", _age(undispatched, "recorded_at", at))]
    )
    yield from _gauge("silence_seconds", "time since the last heartbeat", list(_silences(at)))
    yield from _gauge("orders_open", "open orders", list(_stages()))
    aside = Order.objects.exclude(set_aside="")
    yield from _gauge(
        "orders_set_aside", f"orders set aside for an operator {ceiling}", [("", _count(aside))]
    )
    unwritten = LogPending.objects.filter(index=None)
    yield from _gauge("log_waiting", f"log entries not written yet {ceiling}", [("", _count(unwritten))])
    alarms = TransparencyLog.objects.exclude(alarm="")
    yield from _gauge("log_alarms", "transparency logs in which nothing is signed", [("", _count(alarms))])


def _gauge(name: str, meaning: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP orderhub_{name} {meaning}"
    yield f"# TYPE orderhub_{name} gauge"
    for labels, value in values:
        yield f"orderhub_{name}{labels} {value:g}"


def _count(found: QuerySet[Any, Any]) -> int:
    return found.order_by()[:COUNTED_UP_TO].count()


def _age(found: QuerySet[Any, Any], column: str, at: datetime) -> float:
    """Of the row with the lowest id: the partial index finds it, and rows are written in the order of their ids."""
    oldest = found.order_by("id").values_list(column, flat=True).first()
    return max(0.0, _seconds(at, oldest)) if oldest else 0.0


def _silences(at: datetime) -> Iterator[tuple[str, float]]:
    for name, done_at in WorkSignal.objects.filter(name__in=["steward", "worker"]).values_list(
        "name", "done_at"
    ):
        if done_at is not None:
            yield f'{{part="{name}"}}', _seconds(at, done_at)


def _stages() -> Iterator[tuple[str, float]]:
    for row in Order.objects.filter(is_open=True).order_by().values("stage").annotate(n=Count("pk")):
        yield f'{{stage="{row["stage"]}"}}', row["n"]


def _seconds(at: datetime, then: datetime) -> float:
    return (at - then).total_seconds()
