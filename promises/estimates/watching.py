"""The clock's part: dates that pass are scored, open orders looked at again each day, and each night a new state is learned."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db.models import F, Q
from django.utils.timezone import localtime, now

from orders import audit, tasks
from orders.models import WorkSignal
from promises.estimates import scoring
from promises.estimates.models import Estimate, Journey

# The house's own clock: when few orders come in.
NIGHT_AT = time(2, 0)
NIGHTLY = "rebuild_estimates"
# A night's work takes minutes; one that has said nothing for so long has died.
LEASE = timedelta(hours=1)
BATCH = 200
# One thread: on small matrices the others only wait for each other, and take the processor from everybody.
ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def sweep() -> None:
    """The steward's part: a hint if a date has passed, an order is to be looked at, or the night's work is due."""
    at = now()
    if (
        Estimate.objects.unscored(at).exists()
        or Estimate.objects.to_be_checked(at).exists()
        or _night_is_due(at)
    ):
        tasks.hint("estimates")


def work() -> None:
    """The worker's part, for one slice at most."""
    tasks.take("estimates")
    started = at = now()
    with audit.acting(way="worker"):
        begin_night(at, _start_process)
        while scoring.score_passed(at) == scoring.BATCH and now() - started < tasks.SLICE:
            continue
        while look_again(now()):
            if now() - started > tasks.SLICE:
                tasks.hint("estimates")
                break
    tasks.finish("estimates")


def look_again(at: datetime) -> int:
    """Estimate up to BATCH open orders whose odds time alone has changed; how many were looked at."""
    from promises.estimates import journeys, making

    ids = list(Estimate.objects.to_be_checked(at).values_list("order_id", flat=True)[:BATCH])
    if ids:
        making.estimate(journeys.orders_of(ids), at=at)
        # What could not be said now is asked again tomorrow, not at once.
        Estimate.objects.filter(order_id__in=ids, check_at__lte=at).update(check_at=at + timedelta(days=1))
    return len(ids)


def ask_anew(concerned: Q, at: datetime) -> int:
    """Open orders that a changed setting concerns are looked at again, as soon as the worker has time; how many they are.

    concerned: about estimates. What was promised stays as it is.
    """
    known = Estimate.objects.current().filter(concerned, outcome="", order__is_open=True)
    return known.update(check_at=at)


def begin_night(at: datetime, begin: Callable[[], None]) -> bool:
    """Claim the night's work and begin it; False if it is not due, or under way.

    It has a process of its own, whose memory goes with it.
    """
    if not _night_is_due(at):
        return False
    signal, _made = WorkSignal.objects.get_or_create(name=NIGHTLY)
    due = Q(taken_at__isnull=True) | Q(taken_at__lt=_last_night(at)) | _is_dead(at)
    # Two workers may look at once; one of them changes the row.
    if not WorkSignal.objects.filter(due, pk=signal.pk).update(taken_at=at):
        return False
    begin()
    return True


def _night_is_due(at: datetime) -> bool:
    done = Q(taken_at__gte=_last_night(at)) & ~_is_dead(at)
    if WorkSignal.objects.filter(done, name=NIGHTLY).exists():
        return False
    # Nothing has left the house yet: there is nothing to learn.
    return Journey.objects.filter(handed_at__isnull=False).exists()


def _is_dead(at: datetime) -> Q:
    is_undone = Q(done_at__isnull=True) | Q(done_at__lt=F("taken_at"))
    return Q(taken_at__lt=at - LEASE) & is_undone


def _last_night(at: datetime) -> datetime:
    local = localtime(at)
    tonight = datetime.combine(local.date(), NIGHT_AT, local.tzinfo)
    return tonight if tonight <= local else tonight - timedelta(days=1)


# Kept so that ended ones are asked for their end, and leave no zombie.
_processes: list[subprocess.Popen[bytes]] = []


def _start_process() -> None:
    """In the worker's process group: whoever ends the house ends it too."""
    _processes[:] = [one for one in _processes if one.poll() is None]
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), NIGHTLY]
    environment = {**os.environ, **ALONE}
    _processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment))  # noqa: S603 - our own command
