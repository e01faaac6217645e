"""Records whose every change leaves exactly one audit row: by form, list, import, API, worker, command, or bulk update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from django.db import models, transaction

from orders import audit


def plain(value: object) -> object:
    """The value as the audit stores it: JSON types stay, everything else becomes text."""
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else str(value)


def columns(record: models.Model) -> dict[str, object]:
    hidden = getattr(record, "NOT_AUDITED", frozenset())
    return {
        field.attname: "•••" if field.attname in hidden else plain(field.value_from_object(record))
        for field in record._meta.concrete_fields
    }


class AuditedQuerySet(models.QuerySet[Any]):
    """Bulk writes leave an audit row for each record too."""

    def update(self, **values: Any) -> int:
        with transaction.atomic(using=self.db):
            before = {record.pk: columns(record) for record in self._chain().select_for_update()}
            count = super().update(**values)
            for record in self.model._base_manager.filter(pk__in=before):
                _record_change(record, before[record.pk], reason="")
        return count

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=self.db):
            for record in self._chain():
                audit.record("delete", record, before=columns(record))
            return super().delete()

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            for record in created:
                audit.record("create", record, after=columns(record))
        return created

    def bulk_update(self, objs: Iterable[Any], fields: Iterable[str], batch_size: int | None = None) -> int:
        # Written through update() by Django itself, one statement per batch; the audit needs the rows as they were.
        rows = list(objs)
        with transaction.atomic(using=self.db):
            for record in rows:
                record.save(update_fields=list(fields))
        return len(rows)


def _record_change(record: models.Model, before: dict[str, object], *, reason: str) -> None:
    after = columns(record)
    changed = {name for name in after if before.get(name) != after[name]}
    if changed:
        audit.record(
            "change",
            record,
            before={name: before.get(name) for name in sorted(changed)},
            after={name: after[name] for name in sorted(changed)},
            reason=reason,
        )


class Audited(models.Model):
    """A record that people configure. Saving or deleting it writes the audit row in the same transaction."""

    objects = AuditedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            before = None
            if self.pk is not None:
                old = type(self)._base_manager.select_for_update().filter(pk=self.pk).first()
                before = columns(old) if old else None
            super().save(*args, **kwargs)
            if before is None:
                audit.record("create", self, after=columns(self))
            else:
                _record_change(self, before, reason="")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            audit.record("delete", self, before=columns(self))
            return super().delete(*args, **kwargs)
