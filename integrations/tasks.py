"""What the queue may ask of this room. Each is one slice of work; what remains is hinted at again."""

from __future__ import annotations

from integrations import files
from orders import tasks


def run_imports() -> None:
    """Read waiting files into the inbox for about five seconds."""
    tasks.take("imports")
    if files.work():
        tasks.hint("imports")
    tasks.finish("imports")
