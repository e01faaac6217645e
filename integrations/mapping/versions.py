"""Saving a field mapping: every change of its definition is a version that stays, and can be put back in force."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from integrations.mapping.definition import BadDefinition, check
from integrations.models import FieldMapping, FieldMappingVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def save(mapping: FieldMapping, *, by: User | None, at: datetime) -> bool:
    """Save the mapping; True if its definition changed, and so became a new version.

    Raises BadDefinition with every problem found, and saves nothing.
    """
    problems = check(mapping.definition)
    if problems:
        raise BadDefinition(problems)
    with transaction.atomic():
        if mapping.pk is not None:
            FieldMapping.objects.select_for_update().get(pk=mapping.pk)
        last = mapping.versions.order_by("-number").first() if mapping.pk is not None else None
        is_new = last is None or last.definition != mapping.definition
        if is_new:
            mapping.version = (last.number if last else 0) + 1
        mapping.save()
        if is_new:
            FieldMappingVersion.objects.create(
                mapping=mapping,
                number=mapping.version,
                definition=mapping.definition,
                saved_at=at,
                saved_by=by,
            )
    return is_new


def revert(mapping: FieldMapping, number: int, *, by: User | None, at: datetime) -> bool:
    """Put an old version's definition in force again, as a new version. False if it is in force already.

    Raises FieldMappingVersion.DoesNotExist, and BadDefinition if it is no longer a valid definition.
    """
    mapping.definition = mapping.versions.get(number=number).definition
    return save(mapping, by=by, at=at)


def named(name: str, definition: dict[str, object], *, by: User | None, at: datetime) -> FieldMapping:
    """The mapping of this name with this definition: made, given a new version, or left as it is.

    Raises BadDefinition.
    """
    mapping = FieldMapping.objects.filter(name=name).first() or FieldMapping(name=name)
    mapping.definition = definition
    save(mapping, by=by, at=at)
    return mapping
