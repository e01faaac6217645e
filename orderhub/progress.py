"""How far a command is: a bar on a terminal, a line for each step in a pipe, nothing if nobody wants to know."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper

WIDTH = 30
# More often than this nobody can read it.
DRAWN_EVERY = 0.1


class Progress:
    """Steps, one after the other. `step` begins one and ends the one before; `at` says how far the present one is."""

    def __init__(self, out: OutputWrapper, *, is_quiet: bool = False) -> None:
        self._out = out
        self._is_quiet = is_quiet
        self._is_terminal = not is_quiet and out.isatty()
        self._name = ""
        self._drawn_at = 0.0

    def step(self, name: str) -> None:
        self.end()
        self._name = name
        if self._is_terminal:
            self._draw(0.0)

    def at(self, done: int, total: int) -> None:
        if self._is_terminal and time.monotonic() - self._drawn_at >= DRAWN_EVERY:
            self._draw(done / max(total, 1))

    def end(self) -> None:
        """The present step is done."""
        if self._name and self._is_terminal:
            self._draw(1.0)
            self._write("\n")
        elif self._name and not self._is_quiet:
            self._write(f"{self._name}\n")
        self._name = ""

    def broken(self) -> None:
        """What comes next is an error: it begins on a line of its own."""
        if self._name and self._is_terminal:
            self._write("\n")
        self._name = ""

    def _draw(self, share: float) -> None:
        self._drawn_at = time.monotonic()
        full = round(WIDTH * share)
        self._write(f"\r[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%}  {self._name}")

    def _write(self, text: str) -> None:
        self._out.write(text, ending="")
        self._out.flush()
