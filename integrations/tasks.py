"""What the queue may ask of this room. Each is one slice of work; what remains is hinted at again."""

from __future__ import annotations

from django.utils.timezone import now

from integrations import files
from integrations.ingest import process
from orders import tasks


def drain_inbox() -> None:
    """Carry waiting messages through to settled orders, for one slice at most."""
    tasks.take("inbox")
    started = now()
    while process().n_messages:
        tasks.hint("dispatch")
        if now() - started > tasks.SLICE:
            tasks.hint("inbox")
            break
    tasks.finish("inbox")


def run_imports() -> None:
    """Read waiting files into the inbox for about five seconds."""
    tasks.take("imports")
    if files.work():
        tasks.hint("imports")
    tasks.finish("imports")
