"""Keeps one worker cluster alive: starts it as a process group, judges by its heartbeat, and starts it anew when it is stuck.

A killed worker can leave the cluster with the read lock of its queue held by nobody: it then looks alive, does nothing and
ignores SIGTERM (django-q2 #23). Only work that comes out at the other end proves that it works.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connections
from django.db.models import Max
from django_q.conf import Conf
from django_q.models import OrmQ

from orders.models import WorkSignal

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
STOPS_WITHIN = 10.0
# A task that nobody has fetched carries the moment it was asked for, which may lie a little after the steward's own: its
# rounds ask for work before they look here, and other processes ask all the time.
ASKED_SINCE = timedelta(seconds=10)


def _die_with_parent() -> None:
    """Let the kernel end this process when its parent ends (Linux only). SIGKILL: a stuck cluster ignores SIGTERM."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run_cluster(steward_pid: int) -> None:
    """The child: a django-q cluster that leads a process group; nobody of it outlives the steward."""
    os.setsid()
    _die_with_parent()
    # The setting is not inherited, and each process of the cluster is forked by another one.
    os.register_at_fork(after_in_child=_die_with_parent)
    if os.getppid() != steward_pid:
        return
    from django_q.cluster import Cluster

    # What is loaded by now is shared by all processes of the cluster; the collector would copy its pages.
    gc.collect()
    gc.freeze()
    # A batch makes hundreds of thousands of objects and no cycles: looking for some as often as usual costs a seventh.
    gc.set_threshold(50_000, 20, 50)
    cluster = Cluster()
    cluster.start()
    cluster.sentinel.join()


@dataclass
class Watchdog:
    """One cluster and what is known about it."""

    limit: timedelta
    process: multiprocessing.process.BaseProcess | None = None
    started_at: datetime | None = None
    n_restarts: int = 0
    # Rows of the queue for which the cluster was started anew once: (id, locked until).
    acted_on: set[tuple[int, datetime]] = field(default_factory=set)

    def start(self, at: datetime) -> None:
        # A forked child must not share the connection's socket.
        connections.close_all()
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=_run_cluster, args=(os.getpid(),), name="qcluster")
        self.process.start()
        self.started_at = at

    def look(self, at: datetime) -> None:
        """Start the cluster anew if it has ended or is stuck."""
        trouble = self.trouble(at)
        if trouble:
            logger.error("Starting the workers anew: %s.", trouble)
            self.kill()
            self.start(at)
            self.n_restarts += 1

    def trouble(self, at: datetime) -> str:
        """What is wrong with the cluster, in words; empty if nothing is."""
        if self.process is None or self.started_at is None or not self.process.is_alive():
            return "the cluster has ended"
        # A cluster that was just started has had no time to do anything.
        since = at - self.limit
        if self.started_at > since:
            return ""
        # How long a task waits says nothing: behind much work, workers that do their best let it wait for minutes.
        if _last_done() < since:
            return f"no worker has finished anything for {self.limit.total_seconds():.0f} seconds"
        overdue = set(_fetched_before(since, at)) - self.acted_on
        if overdue:
            self.acted_on = overdue
            return f"{len(overdue)} tasks were fetched and never acknowledged"
        return ""

    def kill(self) -> None:
        """End the whole process group at once. Work in progress is rolled back and found again by the sweeps."""
        if self.process is None or self.process.pid is None:
            return
        # The child may be so young that it does not lead its group yet.
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.process = None

    def stop(self) -> None:
        """Let the workers finish what they are doing; kill what is left after a while."""
        if self.process is not None and self.process.is_alive():
            self.process.terminate()
            self.process.join(STOPS_WITHIN)
        self.kill()


def _last_done() -> datetime:
    """When the workers last finished something: a heartbeat, or a slice of real work. The steward's own beat is no work."""
    done = WorkSignal.objects.exclude(name="steward").aggregate(last=Max("done_at"))
    return done["last"] or datetime.min.replace(tzinfo=UTC)


def _fetched_before(since: datetime, at: datetime) -> list[tuple[int, datetime]]:
    """Tasks fetched before that moment and not acknowledged: their worker, or the process that acknowledges, is gone."""
    retry = timedelta(seconds=Conf.RETRY)
    fetched = OrmQ.objects.filter(lock__gt=at + ASKED_SINCE, lock__lt=since + retry)
    return list(fetched.values_list("pk", "lock"))
