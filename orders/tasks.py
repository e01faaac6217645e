"""What the worker may be asked to do, and how it is asked. The queue is a hint: what must happen stands in our own rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils.timezone import now
from django_q.tasks import async_task

from orders.dispatch import dispatch_waiting
from orders.models import Order, WorkSignal
from orders.precedence import precedence_in_force
from orders.rejudging import rejudge_some, waiting
from orders.steps import give_back_stock
from orders.transitions import mark_stalled, settle_many

# The only functions the queue hands out (orders/queue.py): a row in the queue's table must not be able to name another.
TASKS = {
    "inbox": "integrations.tasks.drain_inbox",
    "dispatch": "orders.tasks.dispatch_events",
    "imports": "integrations.tasks.run_imports",
    "rejudge": "orders.tasks.rejudge",
    "bulk": "orders.board.bulk_runs.work",
    "backtests": "promises.backtest_runs.work",
    "estimates": "promises.estimates.watching.work",
    "commitments": "promises.commitments.asking.work",
    "rates": "promises.verification.rate.work",
    "witnesses": "promises.ledger.witnesses.work",
    "anchors": "promises.anchors.anchoring.work",
    "beat": "orders.tasks.beat",
}

# A question that nobody took is asked again after this: the worker may have died with it.
ASKED_AGAIN_AFTER = timedelta(seconds=10)


class UnknownWork(ValueError):
    """Work was hinted at that no worker knows."""


def hint(name: str) -> None:
    """Tell the worker, once the present transaction commits, that work of this kind is waiting.

    At most one open question a kind. A failing queue is logged, never raised: the steward finds the rows.

    Raises UnknownWork if TASKS has no such name.
    """
    if name not in TASKS:
        raise UnknownWork(f"{name} is none of {', '.join(sorted(TASKS))}")
    # The row is touched after the commit, not before: it would serialise all senders until then.
    transaction.on_commit(partial(_ask, name), robust=True)


def _ask(name: str) -> None:
    at = now()
    signal, _made = WorkSignal.objects.get_or_create(name=name)
    # A look costs no write lock; most hints end here while work is under way.
    if _is_fresh(signal.wanted_at, at):
        return
    if WorkSignal.objects.filter(_stale(at), name=name).update(wanted_at=at):
        async_task(TASKS[name])


def _is_fresh(wanted_at: datetime | None, at: datetime) -> bool:
    return wanted_at is not None and abs(at - wanted_at) <= ASKED_AGAIN_AFTER


def _stale(at: datetime) -> Q:
    # In the future counts as stale: clocks are set back.
    return (
        Q(wanted_at__isnull=True)
        | Q(wanted_at__lt=at - ASKED_AGAIN_AFTER)
        | Q(wanted_at__gt=at + ASKED_AGAIN_AFTER)
    )


def take(name: str) -> None:
    """The worker starts on this kind of work; whatever is hinted at from now on is a new question."""
    WorkSignal.objects.update_or_create(name=name, defaults={"wanted_at": None, "taken_at": now()})


def finish(name: str) -> None:
    """The worker has done one slice of this kind of work."""
    pulse(name, now())


def pulse(name: str, at: datetime) -> None:
    """Record that this part of the house was alive at that moment."""
    WorkSignal.objects.update_or_create(name=name, defaults={"done_at": at})


def beat() -> None:
    """The worker's heartbeat: it went through the queue, so the queue is alive."""
    take("beat")
    pulse("worker", now())


# A slice ends after this, so that heartbeats and other work get through.
SLICE = timedelta(seconds=8)


def dispatch_events() -> None:
    """Run waiting events through the pipeline, for one slice at most."""
    take("dispatch")
    started = now()
    while dispatch_waiting():
        if now() - started > SLICE:
            hint("dispatch")
            break
    finish("dispatch")


def sweep() -> None:
    """What the clock alone brings about: holds that end, orders that have gone quiet, stock locks that expire."""
    at = now()
    due = list(Order.objects.due_again(at).values_list("pk", flat=True)[:500])
    if due:
        settle_many(due, at=at)
    quiet = list(Order.objects.stalled(at).values_list("pk", flat=True)[:500])
    if quiet:
        mark_stalled(quiet, at=at)
    if give_back_stock(at) or due or quiet:
        hint("dispatch")
    if waiting(precedence_in_force().version).exists():
        hint("rejudge")


def rejudge() -> None:
    """Judge open orders again by the precedence version in force, for one slice at most."""
    take("rejudge")
    started = now()
    while rejudge_some(at=now()):
        hint("dispatch")
        if now() - started > SLICE:
            hint("rejudge")
            break
    finish("rejudge")
