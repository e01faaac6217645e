"""The behaviour audit under a log of its own: each row's salted hash as one entry, so that nobody rewrites it unseen.

The salt comes from a key file, by row: without it the hashes say nothing, with it anybody who may read the audit checks them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.timezone import now

from orders.audit import AuditEntry
from promises.ledger import alarms, keys, replaying, writing
from promises.ledger.models import LogLeaf, LogPending, TransparencyLog

# Rows looked at in one call. Ids commit out of order: the last ones are looked at again for latecomers.
AT_ONCE = 1000
LOOKED_AT_AGAIN = 300
COLUMNS = (
    "actor_id", "actor_name", "way", "action", "model", "object_id", "object_label", "before", "after", "reason",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row of the audit that is not what was logged. index: its entry."""

    index: int
    what: str


def digest(row: AuditEntry, key: bytes) -> str:
    """The salted hash of everything that the row says, as it stands in the database."""
    said: dict[str, Any] = {name: getattr(row, name) for name in COLUMNS}
    said |= {"id": row.pk, "at": row.at.astimezone(UTC).isoformat(timespec="microseconds")}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    salt = hmac.digest(key, str(row.pk).encode(), "sha256")[:16]
    return hashlib.sha256(salt + text.encode()).hexdigest()


def sweep(at: datetime | None = None) -> int:
    """Ask for entries for rows that have none yet; how many. The steward calls it.

    Rows of the demo may be deleted, so they are left out. Before somebody is the seller there is no log.
    """
    at = at or now()
    rows = _without_entry()
    if not rows:
        return 0
    try:
        log = writing.log_for(TransparencyLog.Purpose.AUDIT, at)
    except writing.NotSetUp:
        return 0
    try:
        key = keys.salt_key(log)
    except keys.KeyMissing as missing:
        alarms.set_off(log, TransparencyLog.Alarm.KEY, str(missing), at)
        return 0
    LogPending.objects.bulk_create(
        [
            LogPending(
                log=log, kind="audit", body={"h": digest(row, key)}, dedup=_dedup(row.pk), queued_at=at
            )
            for row in rows
        ],
        # Another process may have been quicker.
        ignore_conflicts=True,
    )
    return len(rows)


def _dedup(pk: int) -> str:
    return f"audit {pk}"


def _without_entry() -> Sequence[AuditEntry]:
    asked = LogPending.objects.filter(log__purpose=TransparencyLog.Purpose.AUDIT, kind="audit")
    newest = asked.order_by("-pk").values_list("dedup", flat=True).first()
    after = _row_of(newest) - LOOKED_AT_AGAIN if newest else 0
    rows = list(AuditEntry.objects.filter(pk__gt=after, is_demo=False).order_by("pk")[:AT_ONCE])
    known = set(asked.filter(dedup__in=[_dedup(row.pk) for row in rows]).values_list("dedup", flat=True))
    return [row for row in rows if _dedup(row.pk) not in known]


def _row_of(dedup: str) -> int:
    return int(dedup.partition(" ")[2])


def compare(log: TransparencyLog) -> Iterator[Wrong]:
    """Each logged row against the audit as it stands now."""
    key = keys.salt_key(log)
    last = 0
    while True:
        asked = LogPending.objects.filter(log=log, kind="audit", index__isnull=False, pk__gt=last).order_by(
            "pk"
        )
        portion = list(asked.values_list("pk", "dedup", "index")[:AT_ONCE])
        if not portion:
            return
        last = portion[-1][0]
        rows = AuditEntry.objects.in_bulk([_row_of(dedup) for _pk, dedup, _index in portion])
        leaves = LogLeaf.objects.filter(log=log, index__in=[index for _pk, _dedup, index in portion])
        said = {index: bytes(entry) for index, entry in leaves.values_list("index", "entry")}
        for _pk, dedup, index in portion:
            row = rows.get(_row_of(dedup))
            if row is None:
                yield Wrong(index or 0, f"the audit's row {_row_of(dedup)} is gone")
            elif _logged(said.get(index or 0, b"{}"), index or 0) != digest(row, key):
                yield Wrong(index or 0, f"the audit's row {row.pk} is not what was logged")


def _logged(entry: bytes, place: int) -> str:
    try:
        return str(replaying.decoded(entry, place).get("h"))
    except replaying.BadEntry:
        return ""
