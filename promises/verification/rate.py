"""The seller's provable on-time rate, counted from the log's own entries and from nothing else.

Counting reads every entry, so the worker does it now and then and leaves the result in a file; pages only read that.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.utils.timezone import now

from orders.tasks import hint
from promises.ledger import reading, replaying
from promises.ledger.models import TransparencyLog
from promises.verification.verdict import logs

# Between two counts: at least this, and two hundred times as long as the last one took.
EVERY = 60.0
SHARE = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """Integers of promises.statistics at a moment, over so many entries."""

    size: int
    as_of: int
    seconds: float
    statistics: dict[str, int]

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.as_of, UTC)

    @property
    def kept(self) -> int:
        return self.statistics["kept_first"]

    @property
    def percent(self) -> str:
        return percent(self.statistics["rate_first_floor_ppm"])

    @property
    def carrier_percent(self) -> str:
        return percent(self.statistics["rate_first_carrier_ppm"])


def percent(ppm: int) -> str:
    """Rounded down, as the figure itself is: never better than what the log proves."""
    return f"{ppm // 10_000}.{ppm // 1_000 % 10}"


def known(log: TransparencyLog) -> Rate | None:
    """The last count of this log; None before the first."""
    try:
        return Rate(**json.loads(_file(log).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def sweep(at: datetime | None = None) -> int:
    """Ask the worker to count again where a log has grown; how many logs. The steward calls it."""
    found = sum(_is_stale(log, at or now()) for log in logs())
    if found:
        hint("rates")
    return found


def work() -> int:
    """Count what has grown; how many logs."""
    at, n_counted = now(), 0
    for log in logs():
        if _is_stale(log, at):
            count(log, at)
            n_counted += 1
    return n_counted


def count(log: TransparencyLog, at: datetime) -> Rate:
    """Read the log from its first entry to its last, and keep the result."""
    begun = time.monotonic()
    found = replaying.replay(entry for _index, entry, _hash in replaying.stored(log))
    as_of = int(at.timestamp())
    said = Rate(
        found.tree.size, as_of, time.monotonic() - begun, found.promises.statistics(as_of=as_of).as_dict()
    )
    _keep(log, said)
    return said


def _is_stale(log: TransparencyLog, at: datetime) -> bool:
    head = reading.newest(log)
    if head is None:
        return False
    last = known(log)
    if last is None:
        return True
    # Time alone changes it too: silence is counted once a grace is over.
    wait = max(EVERY, SHARE * last.seconds) if head.size != last.size else 3600.0
    return at.timestamp() - last.as_of >= wait


def _file(log: TransparencyLog) -> Path:
    return Path(settings.VAR_DIR) / "rates" / f"{log.purpose}.json"


def _keep(log: TransparencyLog, said: Rate) -> None:
    file = _file(log)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    text = {"size": said.size, "as_of": said.as_of, "seconds": said.seconds, "statistics": said.statistics}
    fresh.write_text(json.dumps(text), encoding="utf-8")
    fresh.replace(file)
