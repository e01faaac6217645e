"""What outside systems reported of an order, under which names, and what the hub did about it. Facts are only added."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders.events import CommittingTransaction
from orders.querysets import EventQuerySet, FactQuerySet
from orders.stages import FACT_KIND_CHOICES, Role


class ExternalReference(models.Model):
    """A name that some system gives to an order: the shop's number, a waybill. Facts hang here, also before any order."""

    class Kind(models.TextChoices):
        ORDER = "order", _("Shop order number")
        WAYBILL = "waybill", _("Waybill number")
        NUMBER = "number", _("Hub order number")
        DOCUMENT = "document", _("Document number")

    # Whose name space the value is in: the shop's code for its order numbers, the connection for a system's own
    # documents, empty for waybills and hub numbers (one name space for all).
    connection = models.CharField(_("name space"), max_length=64, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    value = models.CharField(_("value"), max_length=64)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("external reference")
        verbose_name_plural = _("external references")
        constraints = [
            models.UniqueConstraint(fields=["connection", "kind", "value"], name="reference_value")
        ]
        indexes = [models.Index(fields=["value"], name="reference_by_value")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.connection}:{self.value}" if self.connection else self.value


class ReferenceLink(models.Model):
    """This name means this order. Merging and splitting orders change these rows, never facts."""

    reference = models.ForeignKey(
        ExternalReference,
        verbose_name=_("external reference"),
        on_delete=models.CASCADE,
        related_name="links",
    )
    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), on_delete=models.CASCADE, related_name="links"
    )

    class Meta:
        verbose_name = _("reference of an order")
        verbose_name_plural = _("references of orders")
        constraints = [models.UniqueConstraint(fields=["reference", "order"], name="link_reference_order")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.reference_id} -> {self.order_id}"


class OrderFact(models.Model):
    """One thing that one source reported. Rows are added, never changed: the database refuses it."""

    reference = models.ForeignKey(
        ExternalReference,
        verbose_name=_("external reference"),
        on_delete=models.PROTECT,
        related_name="facts",
    )
    source = models.CharField(_("source"), max_length=64)
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    # The source's own name for the report; the same key twice is one fact.
    key = models.CharField(_("source key"), max_length=128)
    kind = models.CharField(_("kind"), max_length=32, choices=FACT_KIND_CHOICES)
    # The article of a line fact, the waybill of a parcel fact, else empty.
    level_id = models.CharField(_("article or waybill"), max_length=80, blank=True)
    quantity = models.DecimalField(_("quantity"), max_digits=14, decimal_places=3, null=True)
    occurred_at = models.DateTimeField(_("occurred"))
    received_at = models.DateTimeField(_("received"))
    data = models.JSONField(_("data"), default=dict)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("actor"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    # The inbound message it came in, if any. A plain id: message bodies are deleted after a month.
    message = models.BigIntegerField(_("message"), null=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    objects = FactQuerySet.as_manager()

    class Meta:
        verbose_name = _("fact")
        verbose_name_plural = _("facts")
        constraints = [
            models.UniqueConstraint(fields=["source", "key", "kind", "level_id"], name="fact_source_key")
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} {self.source}"


class OrderEvent(models.Model):
    """One thing the hub did to one order. The journal, and, while dispatched_at is null, the work queue."""

    class Kind(models.TextChoices):
        MOVED = "moved", _("Moved")
        AXIS = "axis", _("Status changed")
        STEP = "step", _("Step")
        FLAG = "flag", _("Flag")
        PROMISE = "promise", _("Promise")
        CASE = "case", _("Exception")
        TODO = "todo", _("To-do")
        STALLED = "stalled", _("Stalled")

    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), on_delete=models.CASCADE, related_name="events"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    # Which column or step: "stage", "payment", "parcel:SF123", "date". Old and new value as stored.
    name = models.CharField(_("what"), max_length=60)
    old = models.CharField(_("from"), max_length=60, blank=True)
    new = models.CharField(_("to"), max_length=60, blank=True)
    passed = models.JSONField(_("stages passed over"), default=list)
    source = models.CharField(_("source"), max_length=64, blank=True)
    source_key = models.CharField(_("source key"), max_length=128, blank=True)
    fact = models.BigIntegerField(_("fact"), null=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("actor"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    occurred_at = models.DateTimeField(_("occurred"))
    recorded_at = models.DateTimeField(_("recorded"))
    # The columns that rules can see, as they were right after this event: "as of T" is the last event recorded by T.
    after = models.JSONField(_("columns after"), default=dict)
    # Silent events come from re-judging old facts: messages and customer pages ignore them.
    silent = models.BooleanField(_("silent"), default=False)
    # The writing transaction, for readers that follow ids: on PostgreSQL ids commit out of order.
    xid = models.BigIntegerField(db_default=CommittingTransaction(), editable=False)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    # The queue columns, the only ones that change.
    dispatched_at = models.DateTimeField(_("dispatched"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    set_aside = models.BooleanField(_("set aside"), default=False)
    # Reactions that have succeeded although another one failed: they are not run again.
    reacted = models.JSONField(_("reactions done"), default=list)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["id"], name="event_waiting", condition=Q(dispatched_at__isnull=True)),
            # What the live feed follows. On SQLite every xid is 0: there it follows ids, and this index stays empty.
            models.Index(fields=["xid", "id"], name="event_committed", condition=Q(xid__gt=0)),
            # Hardly ever any: which orders have an event that waits to be tried again.
            models.Index(
                fields=["not_before", "order"],
                name="event_put_off",
                condition=Q(dispatched_at__isnull=True, not_before__isnull=False),
            ),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.name}: {self.old} -> {self.new}"
