"""The queue between hints and workers: first in, first out, and only for the functions named in orders.tasks.TASKS."""

from __future__ import annotations

import logging
from datetime import timedelta
from time import sleep
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils.timezone import now
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage

from orders.tasks import TASKS

logger = logging.getLogger(__name__)


class NotAllowed(ValueError):
    """A task names a function or carries arguments that the queue does not take."""


def check(package: str) -> None:
    """Raises NotAllowed unless the package asks for a function of TASKS, with ids for arguments."""
    try:
        task: dict[str, Any] = SignedPackage.loads(package)
    except (BadSignature, TypeError) as error:
        raise NotAllowed("the package is not signed by this installation") from error
    if task["func"] not in TASKS.values():
        raise NotAllowed(f"{task['func']} is not in orders.tasks.TASKS")
    if task["kwargs"] or not all(isinstance(argument, int) for argument in task["args"]):
        raise NotAllowed(f"{task['func']} may be given ids only")
    if task.get("hook") or task.get("chain"):
        raise NotAllowed(f"{task['func']} may not call another function when it is done")


class ListedTasks(ORM):  # type: ignore[misc]
    """The queue table of our own database. Whoever can write rows into it still cannot choose what a worker runs."""

    def enqueue(self, task: str) -> int:
        check(task)
        row: int = super().enqueue(task)
        return row

    def dequeue(self) -> list[tuple[int, str]]:
        try:
            taken = [
                (row.pk, row.payload) for row in self._waiting() if self._lock(row) and self._is_allowed(row)
            ]
        except (OperationalError, InterfaceError) as error:
            # Raised further, it would cost django-q ten seconds and a process; a restarting database needs one or two.
            logger.error("The queue cannot be read, the database says: %s", str(error).splitlines()[0])
            sleep(1)
            return []
        if not taken:
            sleep(Conf.POLL)
        return taken

    def _waiting(self) -> list[OrmQ]:
        rows = self.get_connection().filter(key=self.list_key, lock__lt=now()).order_by("id")
        return list(rows[: Conf.BULK])

    def _lock(self, row: OrmQ) -> bool:
        """False if another cluster was faster."""
        until = now() + timedelta(seconds=Conf.RETRY)
        return bool(self.get_connection().filter(id=row.pk, lock=row.lock).update(lock=until))

    def _is_allowed(self, row: OrmQ) -> bool:
        try:
            check(row.payload)
        except NotAllowed as refusal:
            logger.error("Row %s was thrown out of the queue: %s.", row.pk, refusal)
            self.delete(row.pk)
            return False
        return True
