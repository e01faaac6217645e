"""Records whose every change leaves exactly one audit row: by form, list, import, API, worker, command, or bulk update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import NotSupportedError, models, router, transaction
from django.db.models.deletion import Collector

from orders import audit

HIDDEN = "•••"


def plain(value: object) -> object:
    """The value as the audit stores it: JSON types stay, everything else becomes text."""
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else str(value)


def hidden(model: type[models.Model]) -> frozenset[str]:
    """Columns whose values never reach the audit: secrets, passwords."""
    names: frozenset[str] = getattr(model, "NOT_AUDITED", frozenset())
    return names | {"password"}


def housekeeping(model: type[models.Model]) -> frozenset[str]:
    """Columns that the hub itself keeps; a change of nothing else is no change by anybody."""
    names: frozenset[str] = getattr(model, "HOUSEKEEPING", frozenset())
    return names


def raw(record: models.Model) -> dict[str, object]:
    return {field.attname: plain(field.value_from_object(record)) for field in record._meta.concrete_fields}


def masked(model: type[models.Model], values: dict[str, object]) -> dict[str, object]:
    secret = hidden(model)
    return {name: HIDDEN if name in secret and value else value for name, value in values.items()}


def columns(record: models.Model) -> dict[str, object]:
    """Every column as the audit may store it."""
    return masked(type(record), raw(record))


def record_creation(record: models.Model) -> None:
    audit.record("create", record, after=columns(record))


def record_change(record: models.Model, before: dict[str, object]) -> None:
    """One audit row for what differs from before (raw values); none if nothing does."""
    after = raw(record)
    names = sorted(name for name in after if before.get(name) != after[name])
    if not set(names) - housekeeping(type(record)):
        return
    model = type(record)
    audit.record(
        "change",
        record,
        before=masked(model, {name: before.get(name) for name in names}),
        after=masked(model, {name: after[name] for name in names}),
    )


def record_deletion(records: Iterable[models.Model], using: str) -> None:
    """One audit row for each audited record that goes, those that a cascade takes along included."""
    collector = Collector(using=using)
    collector.collect(list(records))
    for gone in _going(collector):
        audit.record("delete", gone, before=columns(gone))


def _going(collector: Collector) -> Iterator[models.Model]:
    for model, instances in collector.data.items():
        if issubclass(model, Audited):
            yield from instances
    for rows in collector.fast_deletes:
        if issubclass(rows.model, Audited):
            yield from rows


class AuditedQuerySet(models.QuerySet[Any]):
    """Bulk writes leave an audit row for each record too."""

    def update(self, **values: Any) -> int:
        if set(values) <= housekeeping(self.model):
            return super().update(**values)
        with transaction.atomic(using=self.db):
            before = {record.pk: raw(record) for record in self.all().select_for_update(of=("self",))}
            count = super().update(**values)
            for record in self.model._base_manager.using(self.db).filter(pk__in=before):
                record_change(record, before[record.pk])
        return count

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=self.db):
            record_deletion(self.all(), self.db)
            return super().delete()

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        if kwargs.get("ignore_conflicts") or kwargs.get("update_conflicts"):
            raise NotSupportedError("Audited rows: the database does not say which rows a conflict changed.")
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            for record in created:
                record_creation(record)
        return created

    def bulk_update(self, objs: Iterable[Any], fields: Iterable[str], batch_size: int | None = None) -> int:
        # Row by row: the audit needs each row as it was, and these are settings, not orders.
        rows, names = list(objs), list(fields)
        with transaction.atomic(using=self.db):
            for record in rows:
                record.save(update_fields=names)
        return len(rows)


class Audited(models.Model):
    """A record that people configure. Saving or deleting it writes the audit row in the same transaction."""

    objects = AuditedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        stored = type(self)._base_manager.using(using)
        with transaction.atomic(using=using):
            old = stored.select_for_update().filter(pk=self.pk).first() if self.pk is not None else None
            super().save(*args, **kwargs)
            if old is None:
                record_creation(self)
            else:
                # As stored, not as in memory: update_fields, expressions and rounding make the difference.
                record_change(stored.get(pk=self.pk), raw(old))

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            record_deletion([self], using)
            return super().delete(*args, **kwargs)


class LinkQuerySet(models.QuerySet[Any]):
    """The rows behind a many-to-many field; each one added or taken away is one audit row of its owner."""

    # Set by audit_links: the names of the two foreign keys.
    owner = ""
    other = ""

    def _record(self, action: str, link: models.Model) -> None:
        change = {self.other: str(getattr(link, self.other))}
        owner = getattr(link, self.owner)
        if action == "link":
            audit.record(action, owner, after=change)
        else:
            audit.record(action, owner, before=change)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            new = [link for link in objs if not self._exists(link)]
            created = super().bulk_create(new, *args, **kwargs)
            for link in new:
                self._record("link", link)
        return created

    def _exists(self, link: models.Model) -> bool:
        ends = {f"{end}_id": getattr(link, f"{end}_id") for end in (self.owner, self.other)}
        return bool(self.model._base_manager.using(self.db).filter(**ends).exists())

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=self.db):
            for link in self.all().select_related(self.owner, self.other):
                self._record("unlink", link)
            return super().delete()


def audit_links(through: type[models.Model], *, owner: str, other: str) -> None:
    """From now on, every change of this many-to-many field is in the audit, whatever the way in."""
    rows: type[LinkQuerySet] = type(
        f"{through.__name__}Rows", (LinkQuerySet,), {"owner": owner, "other": other}
    )
    # A manager of the same name would be hidden behind the one Django made for the table.
    through._meta.local_managers.clear()
    through.add_to_class("objects", rows.as_manager())
