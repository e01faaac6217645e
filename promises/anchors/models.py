"""The receipts over heads."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promises.ledger.models import Checkpoint


class Anchor(models.Model):
    """What one service says of one head. receipt: its answer, byte for byte, to be checked without it."""

    class Kind(models.TextChoices):
        RFC3161 = "rfc3161", _("Time-stamp authority (RFC 3161)")
        OTS = "ots", _("OpenTimestamps")
        NOTARY = "notary", _("Notary chain")
        MAIL = "mail", _("Mail to readers outside")

    class State(models.TextChoices):
        PENDING = "pending", _("Asked for")
        ANCHORED = "anchored", _("Stamped")
        FAILED = "failed", _("Failed")

    checkpoint = models.ForeignKey(
        Checkpoint, verbose_name=_("checkpoint"), on_delete=models.CASCADE, related_name="anchors"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    receipt = models.BinaryField(_("receipt"), blank=True)
    # The time that the service states, and what else it says: serial, policy, who signed.
    at = models.DateTimeField(_("time stated"), null=True, blank=True)
    facts = models.JSONField(_("what the receipt says"), default=dict)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("asked again"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=200, blank=True)
    made_at = models.DateTimeField(_("asked"))
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("anchor")
        verbose_name_plural = _("anchors")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["checkpoint", "kind"], name="anchor_once")]
        indexes = [
            models.Index(fields=["not_before"], name="anchor_waiting", condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.checkpoint}"
