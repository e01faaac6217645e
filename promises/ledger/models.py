"""The tables of the transparency log: the seller, the logs, their keys, what waits, and what was written for good."""

from __future__ import annotations

from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, validate_email
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders import append_only

# Of the time stamp in seconds. Fixed by the first entry of each log, so that nobody can change them silently.
MMD = 600
GRACE = 259_200


def are_addresses(text: str) -> None:
    """Raises ValidationError for a text that is not one mail address after the other."""
    for one in text.split():
        try:
            validate_email(one)
        except ValidationError:
            raise ValidationError(
                _("“%(text)s” is no mail address. Write one address to a line."), params={"text": one[:80]}
            ) from None


class SellerProfile(models.Model):
    """Who promises: the legal person, and what it says on its documents. One row."""

    class Visibility(models.TextChoices):
        PUBLIC = "public", _("Everybody may read the log")
        HOLDERS = "holders", _("Only holders of a commitment and the auditor")

    class IssueOn(models.TextChoices):
        DATE_CONFIRMED = "date_confirmed", _("When the delivery date is confirmed")
        REQUEST = "request", _("On request")

    legal_name = models.CharField(_("legal name"), max_length=200)
    uscc = models.CharField(
        _("unified social credit code"),
        max_length=18,
        validators=[RegexValidator(r"^[0-9A-HJ-NP-RTUW-Y]{18}$", _("18 capital letters and digits."))],
    )
    slug = models.CharField(
        _("short name in addresses"),
        max_length=40,
        validators=[
            RegexValidator(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$", _("Small letters, digits, hyphens."))
        ],
    )
    hotline = models.CharField(_("hotline"), max_length=40, blank=True)
    terms = models.TextField(_("terms, Chinese"), blank=True)
    terms_en = models.TextField(_("terms, English"), blank=True)
    apology = models.TextField(_("apology, Chinese"), blank=True)
    apology_en = models.TextField(_("apology, English"), blank=True)
    visibility = models.CharField(
        _("who reads the log"), max_length=10, choices=Visibility.choices, default=Visibility.PUBLIC
    )
    head_readers = models.TextField(
        _("who gets the day's head by mail"), blank=True, validators=[are_addresses]
    )
    issue_on = models.CharField(
        _("a commitment is issued"), max_length=20, choices=IssueOn.choices, default=IssueOn.DATE_CONFIRMED
    )
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("seller")
        verbose_name_plural = _("seller")
        default_permissions = ("view", "add", "change")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_seller")]

    def __str__(self) -> str:
        return self.legal_name

    def save(self, *args: object, **kwargs: object) -> None:
        self.pk = 1
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    @classmethod
    def the_one(cls) -> Self | None:
        return cls.objects.filter(pk=1).first()


class TransparencyLog(models.Model):
    """One append-only log. Its origin is its name in the world, for ever."""

    class Purpose(models.TextChoices):
        SELLER = "seller", _("Commitments")
        DEMO = "demo", _("Commitments of the demo")
        AUDIT = "audit", _("Behaviour audit")

    class Alarm(models.TextChoices):
        ROLLED_BACK = "rolled_back", _("The database is older than what was signed")
        DAMAGED = "damaged", _("What is stored is not what was signed")
        CLOCK = "clock", _("The clock was set back")
        LATE = "late", _("Entries wait longer than promised")
        KEY = "key", _("The log's key is missing")

    purpose = models.CharField(_("purpose"), max_length=10, choices=Purpose.choices, unique=True)
    origin = models.CharField(_("origin"), max_length=200, unique=True)
    # One more than the logs of the same purpose that this installation is known to have had before.
    shard = models.PositiveSmallIntegerField(_("shard"), default=1)
    visibility = models.CharField(
        _("who reads the log"), max_length=10, choices=SellerProfile.Visibility.choices
    )
    mmd = models.PositiveIntegerField(_("written within (seconds)"), default=MMD)
    grace = models.PositiveIntegerField(_("grace (seconds)"), default=GRACE)
    alarm = models.CharField(_("alarm"), max_length=12, choices=Alarm.choices, blank=True)
    alarm_at = models.DateTimeField(_("alarm since"), null=True, blank=True)
    # How far the patrol has come that reads old entries again.
    patrolled = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("begun"))
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("transparency log")
        verbose_name_plural = _("transparency logs")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.origin


class LogKey(models.Model):
    """The public half of a key of a log. The secret half is a file in the key directory, named here."""

    class Purpose(models.TextChoices):
        LOG = "log", _("signs the log")
        TOKEN = "token", _("signs the code on documents")
        MONITOR = "monitor", _("signs the reports of the monitor")

    log = models.ForeignKey(
        TransparencyLog, verbose_name=_("log"), on_delete=models.CASCADE, related_name="keys"
    )
    purpose = models.CharField(_("purpose"), max_length=8, choices=Purpose.choices)
    vkey = models.CharField(_("public key"), max_length=400, unique=True)
    # Eight hexadecimal digits.
    key_id = models.CharField(_("key id"), max_length=8)
    public = models.BinaryField(editable=False)
    not_before = models.DateTimeField(_("signs from"))
    not_after = models.DateTimeField(_("signs until"), null=True, blank=True)
    revoked_at_size = models.BigIntegerField(_("good below entry"), null=True, blank=True)
    secret_file = models.CharField(_("key file"), max_length=100)

    class Meta:
        app_label = "promises"
        verbose_name = _("key of a log")
        verbose_name_plural = _("keys of the logs")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["log", "purpose", "key_id"], name="log_key_once")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.key_id}"


class LogPending(models.Model):
    """One entry that is to be written, or was: then with its place. The sequencer alone gives places."""

    log = models.ForeignKey(
        TransparencyLog,
        verbose_name=_("log"),
        on_delete=models.CASCADE,
        related_name="pending",
        db_index=False,
    )
    kind = models.CharField(_("kind"), max_length=10)
    body = models.JSONField(_("body"))
    # Whose place goes into the entry as "ref".
    about = models.ForeignKey(
        "self", verbose_name=_("about"), null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    # The same thing asked for twice is written once.
    dedup = models.CharField(_("written once for"), max_length=120)
    queued_at = models.DateTimeField(_("queued"))
    index = models.BigIntegerField(_("place"), null=True, blank=True)
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("queued entry")
        verbose_name_plural = _("queued entries")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["log", "dedup"], name="log_pending_once")]
        indexes = [
            models.Index(fields=["log", "id"], name="log_pending_waiting", condition=Q(index__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.dedup}"


class LogLeaf(models.Model):
    """One entry of a log, byte for byte. Rows are added, never changed: the database refuses it."""

    log = models.ForeignKey(
        TransparencyLog,
        verbose_name=_("log"),
        on_delete=models.CASCADE,
        related_name="leaves",
        db_index=False,
    )
    index = models.BigIntegerField(_("place"))
    entry = models.BinaryField(_("entry"))
    leaf_hash = models.BinaryField(_("hash"))
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("log entry")
        verbose_name_plural = _("log entries")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["log", "index"], name="log_leaf_once")]

    def __str__(self) -> str:
        return f"{self.index}"


class LogNode(models.Model):
    """The hash over one complete subtree of 2**level entries, level 1 and up (level 0 stands with the entries)."""

    log = models.ForeignKey(TransparencyLog, on_delete=models.CASCADE, related_name="nodes", db_index=False)
    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField()
    is_demo = models.BooleanField(default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("node of a log")
        verbose_name_plural = _("nodes of the logs")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["log", "level", "index"], name="log_node_once")]

    def __str__(self) -> str:
        return f"{self.level}/{self.index}"


class Checkpoint(models.Model):
    """A log's head at one moment, as it was signed and shown to the world."""

    log = models.ForeignKey(
        TransparencyLog,
        verbose_name=_("log"),
        on_delete=models.CASCADE,
        related_name="checkpoints",
        db_index=False,
    )
    size = models.BigIntegerField(_("entries"))
    root = models.BinaryField(_("root"))
    note = models.TextField(_("signed note"))
    created_at = models.DateTimeField(_("signed"))
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["log", "size"], name="log_checkpoint_once")]

    def __str__(self) -> str:
        return f"{self.size}"


class Cosignature(models.Model):
    """A witness's line under a checkpoint: it saw this head, and it continues all it saw before."""

    checkpoint = models.ForeignKey(
        Checkpoint, verbose_name=_("checkpoint"), on_delete=models.CASCADE, related_name="cosignatures"
    )
    witness = models.CharField(_("witness"), max_length=200)
    line = models.TextField(_("signature line"))
    at = models.DateTimeField(_("at"))
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("cosignature")
        verbose_name_plural = _("cosignatures")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["checkpoint", "witness"], name="log_cosignature_once")]

    def __str__(self) -> str:
        return self.witness


for _table in ("logleaf", "lognode", "checkpoint", "cosignature"):
    append_only.guard(f"promises_{_table}")
