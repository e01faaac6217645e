"""Which source was heard when: a silent source must be visible as such, on pages and in why-traces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from integrations.models import Connection
from orders.masters import SourceHeard

if TYPE_CHECKING:
    from integrations.ingest import Work

# One row per source is written by every batch: not more often than this, or workers would queue up for it.
WRITTEN_EVERY = 1.0
_written: dict[tuple[str, bool], float] = {}


def note_heard(works: Sequence[Work], at: datetime) -> None:
    """Remember when each connection was last heard, and when it last said something new."""
    news: dict[int, tuple[Connection, bool]] = {}
    for work in works:
        row = work.message.connection
        news[row.pk] = (row, news.get(row.pk, (row, False))[1] or work.n_new > 0)
    for row, is_new in news.values():
        if monotonic() - _written.get((row.slug, is_new), -WRITTEN_EVERY) < WRITTEN_EVERY:
            continue
        _written[row.slug, is_new] = monotonic()
        times = {"heard_at": at, "fact_at": at} if is_new else {"heard_at": at}
        SourceHeard.objects.update_or_create(source=row.slug, defaults={"role": row.role, **times})
        # Not a change that anybody made: past the audit on purpose.
        QuerySet(Connection).filter(pk=row.pk).update(heard_at=at)
