"""Values that no mapping knows: counted per connection, and put before whoever looks after the connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from integrations.models import UnmappedValue
from orders.models import Todo

if TYPE_CHECKING:
    from integrations.ingest import Work


def note_unmapped(works: Sequence[Work], at: datetime) -> None:
    """Count each unknown value and open one to-do for it, however many orders carry it."""
    seen: Counter[tuple[int, str, str]] = Counter()
    names: dict[int, str] = {}
    is_demo = False
    for work in works:
        for value in work.unknown:
            seen[work.message.connection_id, value.field[:120], value.value[:200]] += 1
            names[work.message.connection_id] = work.message.connection.label
            is_demo = is_demo or work.message.is_demo
    for (connection_id, field, word), times in seen.items():
        with transaction.atomic():
            row, is_new = UnmappedValue.objects.get_or_create(
                connection_id=connection_id,
                field=field,
                value=word,
                defaults={"n_seen": times, "first_seen_at": at, "last_seen_at": at},
            )
            if not is_new:
                UnmappedValue.objects.filter(pk=row.pk).update(
                    n_seen=F("n_seen") + times, last_seen_at=at, mapped_at=None
                )
            _open_todo(row, names[connection_id], at, is_demo=is_demo)


def _open_todo(row: UnmappedValue, label: str, at: datetime, *, is_demo: bool) -> None:
    Todo.objects.get_or_create(
        order=None,
        kind=Todo.Kind.UNKNOWN_STATUS,
        subject=f"unmapped:{row.pk}",
        done_at=None,
        defaults={
            "owner": "integrator",
            "text": f"{label}: {row.field} = {row.value}"[:300],
            "opened_at": at,
            "is_demo": is_demo,
        },
    )
