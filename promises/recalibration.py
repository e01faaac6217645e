"""Readings of the stated odds that a person put in force: who, when, and on what grounds. None is ever put in force silently."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders import audit
from promises.calibration_figures import Proposal, Reading

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Recalibration(models.Model):
    """One reading: what stated odds turned out to be worth, from when on and until when it is in force."""

    # [[stated, came], ...], rising.
    points = models.JSONField(_("reading"), editable=False)
    n = models.PositiveIntegerField(_("judged promises"))
    brier_before = models.FloatField(_("Brier score as stated"))
    brier_after = models.FloatField(_("Brier score by the new reading"))
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("put in force by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    made_at = models.DateTimeField(_("in force since"))
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("taken out of force by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    ended_at = models.DateTimeField(_("in force until"), null=True)
    # Demo orders teach nothing about real ones.
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("recalibration")
        verbose_name_plural = _("recalibrations")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("recalibrate", _("Can put a new reading of the odds in force"))]
        constraints = [
            models.UniqueConstraint(
                fields=["is_demo"], condition=Q(ended_at__isnull=True), name="recalibration_one_in_force"
            )
        ]

    def __str__(self) -> str:
        return f"{self.made_at:%Y-%m-%d}"

    @property
    def reading(self) -> Reading:
        return Reading(tuple((stated, came) for stated, came in self.points))


class Changed(Exception):
    """What is in force, or what is proposed, is no longer what the person saw."""


def in_force(*, is_demo: bool = False) -> Recalibration | None:
    found = Recalibration.objects.filter(ended_at__isnull=True, is_demo=is_demo)
    return found.select_related("made_by").first()


def fingerprint(proposal: Proposal) -> str:
    """Names the proposal that a person saw."""
    return hashlib.sha256(json.dumps(proposal.reading.points).encode()).hexdigest()[:16]


def put_in_force(
    proposal: Proposal, *, seen: str, by: User, at: datetime, is_demo: bool = False
) -> Recalibration:
    """Put it in force in place of the one before. Raises Changed if it is not the one that was seen."""
    if seen != fingerprint(proposal):
        raise Changed
    with transaction.atomic():
        before = _locked(is_demo=is_demo).first()
        reading = proposal.reading if before is None else after(before.reading, proposal.reading)
        if before is not None:
            _end(before, by, at)
        made = Recalibration.objects.create(
            points=[list(point) for point in anchored(reading).points],
            n=proposal.n,
            brier_before=proposal.before,
            brier_after=proposal.after,
            made_by=by,
            made_at=at,
            is_demo=is_demo,
        )
        audit.record("recalibration.begin", made, after={"points": made.points, "n": made.n})
    return made


def take_out_of_force(*, seen: int, by: User, at: datetime, is_demo: bool = False) -> None:
    """From now on odds are stated as the estimate finds them. Raises Changed if another one is in force."""
    with transaction.atomic():
        found = _locked(is_demo=is_demo).filter(pk=seen).first()
        if found is None:
            raise Changed
        _end(found, by, at)
        audit.record("recalibration.end", found, before={"points": found.points})


def _locked(*, is_demo: bool) -> models.QuerySet[Recalibration]:
    return Recalibration.objects.select_for_update().filter(ended_at__isnull=True, is_demo=is_demo)


def _end(row: Recalibration, by: User, at: datetime) -> None:
    row.ended_by, row.ended_at = by, at
    row.save(update_fields=["ended_by", "ended_at"])


def anchored(reading: Reading) -> Reading:
    """What never comes stays so, what is certain too, and no odds fall where the stated ones rise."""
    inner = [(stated, came) for stated, came in reading.points if 0 < stated < 1]
    rising = accumulate((came for _stated, came in inner), max)
    points = [(stated, came) for (stated, _came), came in zip(inner, rising, strict=True)]
    return Reading(((0.0, 0.0), *points, (1.0, 1.0)))


def after(first: Reading, then: Reading) -> Reading:
    """Both, one after the other: the odds that were judged had been read by the first already."""
    places = sorted({stated for stated, _came in first.points} | {number / 20 for number in range(1, 20)})
    return Reading(tuple((place, then(first(place))) for place in places))
