"""Connections to other systems, what arrives over them, and how it is translated."""

from __future__ import annotations

import json

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from integrations.told import words
from orders.auditing import Audited
from orders.contacts import fernet
from orders.masters import Shop, Warehouse
from orders.stages import Role


class Connection(Audited):
    """One outside system that talks to the hub: how it speaks, what it is, and how it is doing."""

    NOT_AUDITED = frozenset({"sealed_secrets"})
    HOUSEKEEPING = frozenset({"heard_at", "failed_at", "failure", "told"})

    slug = models.SlugField(
        _("slug"),
        max_length=64,
        unique=True,
        help_text=_("Names the source of its facts; part of its webhook address."),
    )
    label = models.CharField(_("name"), max_length=100)
    connector = models.CharField(
        _("speaks"), max_length=40, help_text=_("One of the connectors this installation knows.")
    )
    role = models.CharField(_("is a"), max_length=10, choices=Role.choices)
    shop = models.ForeignKey(Shop, verbose_name=_("shop"), null=True, blank=True, on_delete=models.PROTECT)
    warehouse = models.ForeignKey(
        Warehouse, verbose_name=_("warehouse"), null=True, blank=True, on_delete=models.PROTECT
    )
    mapping = models.ForeignKey(
        "integrations.FieldMapping",
        verbose_name=_("field mapping"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
    )
    is_active = models.BooleanField(_("active"), default=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)
    # {"webhook": ["whsec_...", ...]} and the like, encrypted; newest first. Write-only in forms.
    sealed_secrets = models.TextField(editable=False, blank=True)
    heard_at = models.DateTimeField(_("last heard"), null=True, editable=False)
    failed_at = models.DateTimeField(_("last failure"), null=True, editable=False)
    failure = models.CharField(_("what failed"), max_length=500, blank=True, editable=False)
    # Which sentence that is, so that every reader has it in his language (integrations/told.py).
    told = models.JSONField(default=dict, editable=False)

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        ordering = ["slug"]
        permissions = [("set_secret", _("Can set secrets of connections"))]

    def __str__(self) -> str:
        return self.label

    @property
    def why_it_failed(self) -> str:
        """The failure in the reader's language."""
        return words(self.failure, self.told)

    @property
    def is_refused_in_demo(self) -> bool:
        """A demo installation takes nothing from a real system: what it holds may be wiped at any time."""
        return settings.DEMO and not self.is_demo

    def secrets(self) -> dict[str, list[str]]:
        """All secrets in clear. Never put the result in a page, a log or an export."""
        if not self.sealed_secrets:
            return {}
        found: dict[str, list[str]] = json.loads(fernet().decrypt(self.sealed_secrets.encode()))
        return found

    def seal(self, secrets: dict[str, list[str]]) -> None:
        """Replace the secrets; the caller saves."""
        self.sealed_secrets = fernet().encrypt(json.dumps(secrets).encode()).decode()


class ApiToken(Audited):
    """A key that lets one connection's system call the API. Only its hash is kept; the clear text is shown once."""

    NOT_AUDITED = frozenset({"digest"})
    HOUSEKEEPING = frozenset({"used_at", "n_left", "left_at"})

    connection = models.ForeignKey(
        Connection, verbose_name=_("connection"), on_delete=models.CASCADE, related_name="tokens"
    )
    name = models.CharField(_("name"), max_length=60)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    tail = models.CharField(_("ends in"), max_length=4, editable=False)
    may_read = models.BooleanField(_("may read orders"), default=False)
    made_at = models.DateTimeField(_("made"), editable=False)
    used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    # How many requests it might still make, and at which UNIX second that was so (integrations/throttling.py).
    n_left = models.FloatField(default=0, editable=False)
    left_at = models.FloatField(default=0, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} …{self.tail}"


class FieldMapping(Audited):
    """How one kind of outside record becomes orders and facts, as data. Every saved change is a new version."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    definition = models.JSONField(_("definition"), help_text=_("See docs/field-mapping.md."))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("field mapping")
        verbose_name_plural = _("field mappings")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class FieldMappingVersion(models.Model):
    """A field mapping as it once was. Kept so that a change can be seen and reverted."""

    mapping = models.ForeignKey(
        FieldMapping, verbose_name=_("field mapping"), on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField(_("version"))
    definition = models.JSONField(_("definition"))
    saved_at = models.DateTimeField(_("saved"))
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("saved by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("field mapping version")
        verbose_name_plural = _("field mapping versions")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["mapping", "number"], name="mapping_version")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.mapping_id} v{self.number}"


class UnmappedValue(models.Model):
    """A value of an outside status that the mapping does not know. Nothing is dropped: facts keep it as status.unknown."""

    connection = models.ForeignKey(
        Connection, verbose_name=_("connection"), on_delete=models.CASCADE, related_name="unmapped"
    )
    field = models.CharField(_("field"), max_length=120)
    value = models.CharField(_("value"), max_length=200)
    n_seen = models.PositiveIntegerField(_("times seen"), default=1)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))
    mapped_at = models.DateTimeField(_("mapped"), null=True, blank=True)

    class Meta:
        verbose_name = _("unmapped value")
        verbose_name_plural = _("unmapped values")
        constraints = [models.UniqueConstraint(fields=["connection", "field", "value"], name="unmapped_once")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.field} = {self.value}"


class ImportRun(models.Model):
    """One file of orders on its way in: where it stands, what went wrong in which row."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        CANCELLED = "cancelled", _("Cancelled")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    connection = models.ForeignKey(
        Connection, verbose_name=_("connection"), on_delete=models.PROTECT, related_name="imports"
    )
    mapping = models.ForeignKey(FieldMapping, verbose_name=_("field mapping"), on_delete=models.PROTECT)
    mapping_version = models.PositiveIntegerField(_("mapping version"))
    file_name = models.CharField(_("file"), max_length=200)
    # Where the uploaded bytes lie under var/uploads/, by their SHA-256.
    digest = models.CharField(max_length=64)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    n_rows = models.PositiveIntegerField(_("rows read"), default=0)
    n_total = models.PositiveIntegerField(_("rows in all"), null=True)
    n_orders = models.PositiveIntegerField(_("orders"), default=0)
    n_duplicates = models.PositiveIntegerField(_("seen before"), default=0)
    n_errors = models.PositiveIntegerField(_("rows with errors"), default=0)
    position = models.BigIntegerField(default=0, editable=False)
    error = models.CharField(_("why it stopped"), max_length=500, blank=True)
    # Which sentence that is, so that every reader has it in his language (integrations/told.py).
    told = models.JSONField(default=dict, editable=False)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("started by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name

    @property
    def why_it_stopped(self) -> str:
        """The error in the reader's language."""
        return words(self.error, self.told)


class ImportRowError(models.Model):
    """One row of an import that could not become an order: the row, the field, what is wrong and what to do."""

    run = models.ForeignKey(
        ImportRun, verbose_name=_("import"), on_delete=models.CASCADE, related_name="errors"
    )
    row = models.PositiveIntegerField(_("row"))
    field = models.CharField(_("field"), max_length=120, blank=True)
    error = models.CharField(_("error"), max_length=500)
    told = models.JSONField(default=dict, editable=False)
    original = models.JSONField(_("original row"), default=dict)

    class Meta:
        verbose_name = _("row error")
        verbose_name_plural = _("row errors")
        ordering = ["run", "row"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.row}: {self.words}"

    @property
    def words(self) -> str:
        """What is wrong, in the reader's language."""
        return words(self.error, self.told)


class InboundMessage(models.Model):
    """One thing that arrived from outside, exactly as it came. Unique per connection and remote key: the exactly-once gate."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        DISCARDED = "discarded", _("Discarded")

    connection = models.ForeignKey(
        Connection, verbose_name=_("connection"), on_delete=models.PROTECT, related_name="messages"
    )
    # The sender's own key, or a digest of content and time where it has none.
    remote_key = models.CharField(_("remote key"), max_length=160)
    # What the body is: "order", "fact" (API items), "webhook" (a raw push), "row" (mapped import row).
    form = models.CharField(_("form"), max_length=10)
    body = models.TextField(_("body"))
    digest = models.CharField(_("digest"), max_length=64)
    received_at = models.DateTimeField(_("received"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True)
    processed_at = models.DateTimeField(_("processed"), null=True)
    # [{"field", "error", "id", "params"}]: the words as the worker wrote them, and which sentence that is.
    errors = models.JSONField(_("errors"), default=list)
    n_facts = models.PositiveSmallIntegerField(_("facts"), default=0)
    run = models.ForeignKey(
        ImportRun, verbose_name=_("import"), null=True, on_delete=models.SET_NULL, related_name="messages"
    )
    run_row = models.PositiveIntegerField(_("row"), null=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("inbound message")
        verbose_name_plural = _("inbound messages")
        constraints = [
            models.UniqueConstraint(fields=["connection", "remote_key"], name="message_remote_key")
        ]
        indexes = [
            models.Index(fields=["id"], name="message_waiting", condition=Q(state="waiting")),
            models.Index(fields=["-id"], name="message_failed", condition=Q(state="failed")),
            models.Index(fields=["received_at"], name="message_received"),
        ]
        permissions = [
            ("replay_message", _("Can replay failed messages")),
            ("read_body", _("Can read message bodies in full (each look is recorded)")),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.remote_key


class IdempotencyKey(models.Model):
    """The answer given to one API request, kept for a week so that a repeated request gets the same answer."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(default=dict)
    made_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["connection", "key"], name="idempotency_once")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.key


__all__ = [
    "ApiToken",
    "Connection",
    "FieldMapping",
    "FieldMappingVersion",
    "IdempotencyKey",
    "ImportRowError",
    "ImportRun",
    "InboundMessage",
    "UnmappedValue",
]
