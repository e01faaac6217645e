"""Real operating system processes for tests that prove something about two of them at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

import django
from django.apps import apps
from django.db import connection

# This module is loaded once in the server that the processes are forked from: Django is set up once for all of them.
if not apps.ready:
    django.setup()

Answer = TypeVar("Answer")
PATIENCE = 60

_together: Barrier | None = None


def _join(database: dict[str, Any], together: Barrier) -> None:
    global _together
    _together = together
    connection.settings_dict.update(database)


def _run(work: Callable[..., Answer], arguments: tuple[Any, ...]) -> Answer:
    wait_for_all()
    try:
        return work(*arguments)
    finally:
        connection.close()


def wait_for_all() -> None:
    """Called from inside the work: everybody goes on at the same moment."""
    assert _together is not None
    _together.wait(PATIENCE)


def at_once(
    work: Callable[..., Answer], calls: Iterable[tuple[Any, ...]], *, patience: float = PATIENCE
) -> list[Answer]:
    """Call `work` with each of these arguments, each in a process of its own on the test database, all at once."""
    listed = list(calls)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    database = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    with ProcessPoolExecutor(
        len(listed), mp_context=context, initializer=_join, initargs=(database, context.Barrier(len(listed)))
    ) as pool:
        return [future.result(patience) for future in [pool.submit(_run, work, call) for call in listed]]
