"""Records that a template wants to be there: given as data, compared with what is there, made, and unmade while unused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import models
from django_stubs_ext import StrOrPromise

from orders.auditing import Audited, plain, record_creation

# Record keys by record kind ("orders.shop"): what is about to go, and so stands in nobody's way.
Going = Mapping[str, set[str]]


@dataclass(frozen=True, slots=True)
class Ref:
    """Another record, by what it is recognised by; made before the row that names it."""

    model: str
    key: Mapping[str, Any]

    def found(self) -> models.Model | None:
        return _model(self.model)._default_manager.filter(**self.key).order_by("pk").first()


@dataclass(frozen=True, slots=True)
class Difference:
    """One column that people have set otherwise than the template would."""

    column: StrOrPromise
    wanted: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Use:
    """So many records of a kind that need the row."""

    kind: StrOrPromise
    count: int


def nobody(row: models.Model) -> Sequence[Use]:
    """Foreign keys show every use."""
    return ()


def _plainly(wanted: Wanted, at: datetime) -> models.Model:
    """Makes the record from key and values."""
    values = {
        name: value.found() if isinstance(value, Ref) else value for name, value in wanted.values.items()
    }
    return wanted.kind._default_manager.create(**wanted.key, **values)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One record.

    key: what it is recognised by. values: its other columns when it is made; a Ref names another record.
    compared: the columns whose difference is told. also_used: uses that no foreign key shows. make: how it is made.
    """

    model: str
    key: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    label: StrOrPromise
    compared: tuple[str, ...] = ()
    also_used: Callable[[models.Model], Sequence[Use]] = nobody
    make: Callable[[Wanted, datetime], models.Model] = _plainly

    @property
    def kind(self) -> type[models.Model]:
        return _model(self.model)

    def found(self) -> models.Model | None:
        return Ref(self.model, self.key).found()

    def differences(self, row: models.Model) -> list[Difference]:
        """What people have set otherwise."""
        return [
            Difference(
                self.kind._meta.get_field(name).verbose_name,  # type: ignore[union-attr]
                str(self.values[name]),
                str(getattr(row, name)),
            )
            for name in self.compared
            if plain(getattr(row, name)) != plain(self.values[name])
        ]

    def made(self, at: datetime) -> models.Model:
        """The new record, as the database has it; its audit row is written."""
        row = self.make(self, at)
        if not isinstance(row, Audited):
            record_creation(row)
        return self.kind._default_manager.get(pk=row.pk)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a template, as a person would name it: reason codes, the calendar."""

    key: str
    title: StrOrPromise
    text: StrOrPromise
    rows: Sequence[Wanted]


def uses_of(row: models.Model, going: Going) -> list[Use]:
    """Who needs this row, by every relation that leads to it; what is going too does not count."""
    found = []
    for relation in row._meta.related_objects:
        kind = relation.related_model
        rows = kind._base_manager.filter(**{relation.field.name: row.pk})  # type: ignore[union-attr]
        keys = {str(pk) for pk in rows.order_by().values_list("pk", flat=True)[:1000]}
        keys -= going.get(kind._meta.label_lower, set())  # type: ignore[union-attr]
        if keys:
            found.append(Use(kind._meta.verbose_name_plural or "", len(keys)))  # type: ignore[union-attr]
    return found


def _model(label: str) -> type[models.Model]:
    return apps.get_model(label)
