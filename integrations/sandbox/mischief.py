"""How badly the partners behave, from the command line and, while they run, from a control file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

SHARES = ("duplicate", "reorder", "drop", "contradict")


class BadMischief(ValueError):
    """A value that makes no sense; the text names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mischief:
    """Shares are of all messages (contradict: of all orders), from 0 to 1.

    delay: every message comes up to so many seconds late. speed: 2 = everything takes half the time.
    """

    speed: float = 1.0
    duplicate: float = 0.05
    reorder: float = 0.1
    drop: float = 0.0
    contradict: float = 0.01
    delay: float = 0.0
    paused: bool = False

    def changed(self, given: dict[str, Any]) -> Mischief:
        """With these values instead. Raises BadMischief."""
        names = [one.name for one in fields(self)]
        for name, value in given.items():
            if name not in names:
                raise BadMischief(f"{name} is not one of {', '.join(names)}")
            _check(name, value)
        return replace(self, **given)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in asdict(self).items() if name != "paused")


def _check(name: str, value: object) -> None:
    if name == "paused":
        if not isinstance(value, bool):
            raise BadMischief("paused must be true or false")
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadMischief(f"{name} must be a number")
    if name in SHARES and not 0 <= value <= 1:
        raise BadMischief(f"{name} must be from 0 to 1")
    if name == "speed" and not 0.01 <= value <= 10000:
        raise BadMischief("speed must be from 0.01 to 10000")
    if name == "delay" and not 0 <= value <= 3600:
        raise BadMischief("delay must be from 0 to 3600 seconds")


class Control:
    """The control file, read again whenever it changes."""

    def __init__(self, file: Path, start: Mischief) -> None:
        self.file, self.start, self.mischief = file, start, start
        self._seen: tuple[int, int] | None = None

    def look(self) -> str:
        """Take over what the file says; a sentence if something changed or is wrong, else empty.

        Without a file, or with a wrong one, the values from the command line hold.
        """
        seen = self._stamp()
        if seen == self._seen:
            return ""
        self._seen = seen
        before = self.mischief
        try:
            given = json.loads(self.file.read_text(encoding="utf-8")) if seen else {}
            if not isinstance(given, dict):
                raise BadMischief("must be an object")
            self.mischief = self.start.changed(given)
        except (OSError, ValueError) as error:
            self.mischief = self.start
            return f"{self.file} was not used: {error}"
        return f"now with {self.mischief}" if self.mischief != before else ""

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size)
