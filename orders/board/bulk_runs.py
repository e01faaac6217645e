"""One action over many orders: what it would do, and its run. The rows say how far it is; the queue only says there is work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Case, Count, Q, When
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from orders import audit
from orders.board.bulk_actions import (
    ACTIONS,
    MOST_STEPS_ALONE,
    MOST_STEPS_AN_HOUR,
    RISKIEST,
    Action,
    BulkRefused,
    undo_until,
)
from orders.board.columns import shown
from orders.board.filters import is_exception
from orders.board.ordering import DEFAULT_SORT
from orders.bulk import add_rows
from orders.byhand import Refused, check_allowed
from orders.desk import BulkRow, BulkRun
from orders.stages import RiskLevel
from orders.tasks import SLICE, finish, hint, take

logger = logging.getLogger(__name__)

# So many are done while the person waits; more go to the worker.
AT_ONCE = 50
MOST = 10_000
# A longer address of the list is not kept: cut short it would lead back to another list.
MAX_QUERY = 1_000
State, Outcome = BulkRun.State, BulkRow.Outcome
UNFINISHED = [State.WAITING.value, State.RUNNING.value]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do. skipped: (why, how many), only those that can be told beforehand."""

    n_orders: int
    skipped: list[tuple[StrOrPromise, int]]

    @property
    def n_done(self) -> int:
        return self.n_orders - sum(n for _why, n in self.skipped)


def preview(action: Action, orders: Any) -> Preview:
    """One query, whatever the number of orders."""
    counts, before = {}, Q()
    for skip in action.skips:
        counts[skip.code] = Count("pk", filter=skip.which & before)
        before &= ~skip.which
    found = orders.order_by().aggregate(n_orders=Count("pk"), **counts)
    skipped = [(skip.words, found[skip.code]) for skip in action.skips if found[skip.code]]
    return Preview(found["n_orders"], skipped)


def riskiest(action: Action, orders: Any) -> list[Any]:
    """Of the orders that a step would be taken for, those to look at first: marked ones, then what ends soonest."""
    is_marked = Case(When(is_exception() | Q(promise_risk=RiskLevel.AT_RISK), then=0), default=1)
    ends = [key.expression for key in DEFAULT_SORT.keys]
    return list(shown(_wanted(action, orders)).order_by(is_marked, *ends)[:RISKIEST])


def _wanted(action: Action, orders: Any) -> Any:
    for skip in action.skips:
        orders = orders.exclude(skip.which)
    return orders


def begin(
    action: Action, orders: Any, values: dict[str, Any], *, actor: User, query: str = "", at: datetime
) -> BulkRun:
    """Write the run and one row for each order that the action does not skip. Nothing is done yet.

    Raises BulkRefused or NotAllowed.
    """
    check_allowed(actor, action.permission)
    with transaction.atomic():
        ids = list(_wanted(action, orders).order_by("pk").values_list("pk", flat=True)[: MOST + 1])
        _check_number(action, len(ids), actor, at)
        run = BulkRun.objects.create(
            action=action.code,
            values=values,
            query=query if len(query) <= MAX_QUERY else "",
            made_by=actor,
            made_at=at,
            n_orders=len(ids),
        )
        names = ("run_id", "order_id", "outcome", "reason", "undo", "done_at")
        add_rows(BulkRow, names, ([run.pk, pk, Outcome.WAITING, {}, {}, None] for pk in ids))
        audit.record("bulk.begun", run, after={"action": action.code, "orders": len(ids), **values})
    if len(ids) > AT_ONCE:
        hint("bulk")
    return run


def _check_number(action: Action, n: int, actor: User, at: datetime) -> None:
    if not n:
        raise BulkRefused("none", _("None of these orders can be changed this way. Nothing was done."))
    if n > MOST:
        raise BulkRefused(
            "too_many",
            _("At most %(most)s orders can be changed at once. Narrow the list by a filter.")
            % {"most": MOST},
        )
    if action.step:
        _check_steps(action, n, actor, at)


def _check_steps(action: Action, n: int, actor: User, at: datetime) -> None:
    if n > MOST_STEPS_ALONE:
        raise BulkRefused(
            "second_person",
            _(
                "A step for more than %(most)s orders at once needs a second person, and no review gate is set up. "
                "Choose at most %(most)s."
            )
            % {"most": MOST_STEPS_ALONE},
        )
    # One after another for one person: two requests that count at the same moment would both find room.
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    hour = at - timedelta(hours=1)
    mine = BulkRow.objects.filter(run__made_by=actor, run__action=action.code, run__made_at__gt=hour)
    before = mine.exclude(outcome__in=[Outcome.SKIPPED, Outcome.FAILED]).count()
    if before + n > MOST_STEPS_AN_HOUR:
        raise BulkRefused(
            "an_hour",
            _(
                "You may take this step for %(most)s orders in an hour, and have for %(before)s. Choose fewer, or go "
                "on later."
            )
            % {"most": MOST_STEPS_AN_HOUR, "before": before},
        )


def work_off(run: BulkRun, *, within: timedelta | None = None) -> bool:
    """Do what is left of a run; False if time was up before the end. Whoever comes later goes on where it stopped."""
    BulkRun.objects.filter(pk=run.pk, state=State.WAITING).update(state=State.RUNNING)
    started = now()
    while _do_next(run):
        if within is not None and now() - started > within:
            return False
    return _finish(run)


def _do_next(run: BulkRun) -> bool:
    """One order, in a transaction of its own together with its row: done once, whoever dies in between."""
    at = now()
    with audit.acting(actor=run.made_by, way=audit.current().way), transaction.atomic():
        # A cancelled run gives out no more rows.
        waiting = BulkRow.objects.filter(run=run.pk, outcome=Outcome.WAITING, run__state=State.RUNNING)
        skip = connection.features.has_select_for_update_skip_locked
        locked = waiting.select_for_update(of=("self",) if skip else (), skip_locked=skip)
        row = locked.select_related("run").order_by("pk").first()
        if row is None:
            return False
        row.outcome, row.reason, row.undo = _outcome(row, run.made_by, at)
        row.done_at = at
        row.save(update_fields=["outcome", "reason", "undo", "done_at"])
    return True


def _outcome(row: BulkRow, actor: User, at: datetime) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Do the action on the row's order, or take it back if the run is being undone."""
    # As read with the row: a worker may have held the run since before somebody undid it.
    run, action = row.run, ACTIONS[row.run.action]
    is_back = run.undone_at is not None and action.undo is not None
    try:
        with transaction.atomic():
            if action.undo is None or not is_back:
                return Outcome.DONE, {}, action.run(row.order_id, run.values, actor, at)
            action.undo(row.order_id, row.undo, actor, at)
            return Outcome.UNDONE, {}, row.undo
    except Refused as refusal:
        reason = {"code": refusal.code, "text": str(refusal)[:300]}
        return Outcome.DONE if is_back else Outcome.SKIPPED, reason, row.undo
    except Exception as error:
        logger.exception("%s failed on order %s", run, row.order_id)
        reason = {"code": "error", "text": type(error).__name__}
        return Outcome.DONE if is_back else Outcome.FAILED, reason, row.undo


def _finish(run: BulkRun) -> bool:
    """True once no row waits; another worker may still hold one."""
    left = BulkRow.objects.filter(run=run.pk, outcome=Outcome.WAITING).exists()
    if not left:
        BulkRun.objects.filter(pk=run.pk, state=State.RUNNING).update(state=State.DONE, finished_at=now())
    return not left


def open_runs() -> Any:
    return BulkRun.objects.filter(state__in=UNFINISHED).order_by("made_at", "pk")


def work() -> None:
    """The worker's part: the open runs, oldest first, for one slice at most."""
    take("bulk")
    started = now()
    with audit.acting(way="worker"):
        for run in open_runs().select_related("made_by")[:20]:
            left = SLICE - (now() - started)
            if left <= timedelta(0) or not work_off(run, within=left):
                hint("bulk")
                break
    finish("bulk")


def sweep() -> None:
    """The steward's part: a run that nobody works on any more is hinted at again."""
    if open_runs().exists():
        hint("bulk")


def cancel(run: BulkRun, *, actor: User, at: datetime) -> int:
    """Leave the rest as it is; what is done stays. Returns how many were left."""
    with transaction.atomic():
        changed = BulkRun.objects.filter(pk=run.pk, state__in=UNFINISHED).update(
            state=State.CANCELLED, finished_at=at
        )
        if not changed:
            raise BulkRefused("finished", _("The run is finished already. Reload the page."))
        run.refresh_from_db(fields=["undone_at"])
        left = BulkRow.objects.filter(run=run.pk, outcome=Outcome.WAITING)
        as_it_is = Outcome.DONE if run.undone_at else Outcome.SKIPPED
        n = left.update(outcome=as_it_is, reason={"code": "cancelled"}, done_at=at)
        audit.record("bulk.cancelled", run, after={"left": n})
    return n


def retry(run: BulkRun, *, actor: User, at: datetime) -> int:
    """Try the failed rows once more. Returns how many. Raises BulkRefused."""
    with transaction.atomic():
        failed = BulkRow.objects.filter(run=run.pk, outcome=Outcome.FAILED, run__undone_at=None)
        n = failed.update(outcome=Outcome.WAITING, reason={}, done_at=None)
        if not n:
            raise BulkRefused("none_failed", _("No order of this run has failed."))
        BulkRun.objects.filter(pk=run.pk).update(state=State.WAITING, finished_at=None)
        audit.record("bulk.retried", run, after={"orders": n})
    hint("bulk")
    return n


def undo(run: BulkRun, *, actor: User, at: datetime) -> int:
    """Take back what a run did, order by order, as it was done: at once for one page, by the worker for more.

    Returns how many orders there are to put back. Raises BulkRefused.
    """
    until = undo_until(run)
    if until is None or at > until:
        raise _too_late()
    with transaction.atomic():
        finished = BulkRun.objects.filter(pk=run.pk, undone_at=None).exclude(state__in=UNFINISHED)
        if not finished.update(undone_at=at, state=State.RUNNING):
            raise _too_late()
        done = BulkRow.objects.filter(run=run.pk, outcome=Outcome.DONE)
        n = done.update(outcome=Outcome.WAITING, done_at=None)
        audit.record("bulk.undone", run, after={"orders": n})
    if n > AT_ONCE:
        hint("bulk")
    else:
        work_off(run)
    return n


def _too_late() -> BulkRefused:
    minutes = int(settings.UNDO_WINDOW.total_seconds() // 60)
    words = _("This can be undone within %(minutes)s minutes, once. Use the orders' own pages now.")
    return BulkRefused("too_late", words % {"minutes": minutes})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, by outcome."""

    counts: dict[str, int]
    n_orders: int

    @property
    def n_left(self) -> int:
        return self.counts.get(Outcome.WAITING, 0)

    @property
    def n_over(self) -> int:
        return self.n_orders - self.n_left


def progress(run: BulkRun) -> Progress:
    rows: Sequence[tuple[str, int]] = list(
        BulkRow.objects.filter(run=run).values_list("outcome").annotate(n=Count("pk")).order_by()
    )
    return Progress(dict(rows), run.n_orders)
