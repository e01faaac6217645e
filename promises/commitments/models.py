"""The tables of commitments: each version of a promise, its paper, how it ended, and who has asked for one."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders.append_only import guard
from orders.auditing import Audited
from orders.masters import Shop
from orders.querysets import ScopedQuerySet
from promises import numbers


class Reason(models.TextChoices):
    """Why a promise was moved: the codes of the log."""

    CUSTOMER = "CUSTOMER", _("The customer's wish")
    STOCK = "STOCK", _("Stock")
    CARRIER = "CARRIER", _("Carrier")
    WEATHER = "WEATHER", _("Weather")
    CUSTOMS = "CUSTOMS", _("Customs clearance")
    SELLER = "SELLER", _("Our own fault")


class Asker(models.TextChoices):
    CUSTOMER = "customer", _("the customer")
    SELLER = "seller", _("the seller")


class Promise(models.Model):
    """One version of the word given for an order. What it says never changes: the database refuses it; its state does."""

    class State(models.TextChoices):
        ACTIVE = "active", _("In force")
        SUPERSEDED = "superseded", _("Replaced")
        KEPT = "kept", _("Kept")
        MISSED = "missed", _("Missed")
        WAIVED = "waived", _("Waived")
        REVOKED = "revoked", _("Revoked")
        UNKNOWN = "unknown", _("No outcome known")

    # Sixteen characters; one number for all versions.
    number = models.CharField(_("attestation number"), max_length=16)
    version = models.PositiveSmallIntegerField(_("version"))
    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), on_delete=models.PROTECT, related_name="promises"
    )
    # SHA-256 of the payload, in hex.
    ph = models.CharField(_("payload hash"), max_length=64, unique=True)
    payload = models.BinaryField(editable=False)
    token = models.BinaryField(editable=False)
    due = models.DateTimeField(_("promised by"))
    # Of the number's first version: what kept and missed are judged by, however often the date is moved.
    first_due = models.DateTimeField(_("first promised by"))
    window_from = models.DateTimeField(_("expected from"), null=True)
    window_to = models.DateTimeField(_("expected to"), null=True)
    supersedes = models.OneToOneField(
        "self",
        verbose_name=_("replaces"),
        null=True,
        on_delete=models.RESTRICT,
        related_name="superseded_by",
    )
    # Why this version replaces the one before, and who asked for it. Empty for the first.
    rc = models.CharField(_("reason"), max_length=10, choices=Reason.choices, blank=True)
    asked_by = models.CharField(_("asked for by"), max_length=10, choices=Asker.choices, blank=True)
    is_automatic = models.BooleanField(_("made by the hub itself"), default=False)
    pending = models.OneToOneField(
        "promises.LogPending",
        verbose_name=_("log entry"),
        on_delete=models.PROTECT,
        related_name="promise",
    )
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("issued by"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    made_at = models.DateTimeField(_("issued at"))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ACTIVE)
    state_at = models.DateTimeField(_("in this state since"))
    # Why it was revoked or waived, in the seller's words.
    state_reason = models.CharField(_("because"), max_length=300, blank=True)
    # When the facts are looked at again. Stored, so that the sweep is one indexed query; null once nothing can change.
    judge_at = models.DateTimeField(_("judged again at"), null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("commitment")
        verbose_name_plural = _("commitments")
        constraints = [
            models.UniqueConstraint(fields=["number", "version"], name="promise_number_version"),
            # Two issuers at once: the second one is refused by the database.
            models.UniqueConstraint(
                fields=["order"], name="promise_one_in_force", condition=Q(state="active")
            ),
        ]
        indexes = [
            models.Index(fields=["order", "-id"], name="promise_of_order"),
            models.Index(fields=["judge_at"], name="promise_judge", condition=Q(judge_at__isnull=False)),
        ]
        default_permissions = ("view",)
        permissions = [
            ("issue_promise", _("Can issue commitments and move their date")),
            ("revoke_promise", _("Can revoke commitments")),
        ]

    def __str__(self) -> str:
        return f"{self.shown_number} v{self.version}"

    @property
    def shown_number(self) -> str:
        return numbers.shown(self.number)

    @property
    def is_live(self) -> bool:
        return self.state == self.State.ACTIVE

    @property
    def zone(self) -> ZoneInfo:
        """The clock of the destination, by which it is kept."""
        return ZoneInfo(json.loads(bytes(self.payload))["tz"])

    @property
    def due_on(self) -> date:
        """The last day, at the destination."""
        return self.due.astimezone(self.zone).date()

    @property
    def first_due_on(self) -> date:
        return self.first_due.astimezone(self.zone).date()

    @property
    def window_on(self) -> tuple[date, date] | None:
        """The first and the last day of the window, at the destination."""
        if self.window_from is None or self.window_to is None:
            return None
        return self.window_from.astimezone(self.zone).date(), self.window_to.astimezone(self.zone).date()


# A promise says for ever what it said; only what became of it is written later.
guard("promises_promise", frozenset({"state", "state_at", "state_reason", "judge_at"}))


class PromiseFile(models.Model):
    """The paper of one version: its hashes, and where its bytes lie. The bytes are stored, never made again."""

    promise = models.OneToOneField(
        Promise, verbose_name=_("commitment"), on_delete=models.CASCADE, related_name="file"
    )
    sha256 = models.CharField(max_length=64, unique=True)
    sm3 = models.CharField(max_length=64)
    # Under DOCUMENT_DIR.
    path = models.CharField(_("file"), max_length=80)
    n_bytes = models.PositiveIntegerField(_("size"))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("file of a commitment")
        verbose_name_plural = _("files of commitments")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.path

    @property
    def full_path(self) -> Path:
        return Path(settings.DOCUMENT_DIR) / self.path


guard("promises_promisefile")


class Outcome(models.Model):
    """How a promise ended, as the first evidence said. One to a number: the first outcome wins."""

    class Kind(models.TextChoices):
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Not delivered")
        CANCEL_CUSTOMER = "cancel_customer", _("Cancelled by the customer")
        CANCEL_SELLER = "cancel_seller", _("Cancelled by the seller")

    class Source(models.TextChoices):
        CARRIER = "carrier", _("Carrier")
        CUSTOMER = "customer", _("Customer")
        SELLER = "seller", _("Seller")

    # The version that was in force.
    promise = models.OneToOneField(
        Promise, verbose_name=_("commitment"), on_delete=models.PROTECT, related_name="outcome"
    )
    number = models.CharField(_("attestation number"), max_length=16, unique=True)
    kind = models.CharField(_("outcome"), max_length=16, choices=Kind.choices)
    at = models.DateTimeField(_("at"))
    src = models.CharField(_("said by"), max_length=10, choices=Source.choices)
    # SHA-256 of evidence, in hex. The evidence is salted: its hash says nothing to whoever does not hold it.
    ev = models.CharField(_("evidence hash"), max_length=64)
    evidence = models.BinaryField(editable=False)
    kept_first = models.BooleanField(_("kept by the first date"))
    kept_latest = models.BooleanField(_("kept by the latest date"))
    pending = models.OneToOneField(
        "promises.LogPending", verbose_name=_("log entry"), on_delete=models.PROTECT, related_name="outcome"
    )
    made_at = models.DateTimeField(_("recorded"))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("outcome of a commitment")
        verbose_name_plural = _("outcomes of commitments")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"


guard("promises_outcome")


class Compensation(Audited):
    """What the customer gets for a promise that was missed, as far as it has come. The newest word counts; the audit has all."""

    class State(models.TextChoices):
        CONSIDERED = "considered", _("Being looked into")
        OFFERED = "offered", _("Offered")
        GIVEN = "given", _("Given")
        NONE = "none", _("None is due")

    promise = models.OneToOneField(
        Promise, verbose_name=_("commitment"), on_delete=models.CASCADE, related_name="compensation"
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    # Read by whoever holds the commitment.
    words = models.CharField(_("what it is"), max_length=200, blank=True)
    said_at = models.DateTimeField(_("said"))
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("compensation")
        verbose_name_plural = _("compensations")
        # Said and read on the order's page, by the permissions of its commitment.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.promise}: {self.get_state_display()}"


class IssueRequest(models.Model):
    """Somebody, or the confirmed date, asks for a commitment or its next version. The worker answers; the row says how."""

    class State(models.TextChoices):
        ASKED = "asked", _("Asked for")
        ISSUED = "issued", _("Issued")
        REFUSED = "refused", _("Refused")

    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), on_delete=models.CASCADE, related_name="issue_requests"
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ASKED)
    # Empty: what was confirmed, or the estimate.
    due_on = models.DateField(_("day"), null=True, blank=True)
    rc = models.CharField(_("reason"), max_length=10, choices=Reason.choices, blank=True)
    asked_by = models.CharField(_("asked for by"), max_length=10, choices=Asker.choices, blank=True)
    is_automatic = models.BooleanField(_("made by the hub itself"), default=False)
    # The version it was asked of, 0 for the first: what has come in between is not moved unseen.
    of_version = models.PositiveSmallIntegerField(_("replaces version"), default=0)
    # Why it was refused, or what it still waits for: a code of commitments.refusals, and what it names.
    code = models.CharField(_("because"), max_length=30, blank=True)
    words = models.JSONField(_("details"), default=dict, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"))
    asked_at = models.DateTimeField(_("asked at"))
    asker = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    ended_at = models.DateTimeField(_("answered at"), null=True)
    promise = models.ForeignKey(
        Promise, verbose_name=_("commitment"), null=True, on_delete=models.SET_NULL, related_name="requests"
    )

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("request for a commitment")
        verbose_name_plural = _("requests for commitments")
        constraints = [
            models.UniqueConstraint(
                fields=["order"], name="issue_request_one_open", condition=Q(state="asked")
            )
        ]
        indexes = [
            models.Index(fields=["not_before", "id"], name="issue_request_asked", condition=Q(state="asked")),
            models.Index(fields=["order", "-id"], name="issue_request_of_order"),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.order_id} {self.state}"


class CommitmentRule(Audited):
    """How one shop gives its word: at once or on request, and above which order a person must move a date."""

    class IssueOn(models.TextChoices):
        DATE_CONFIRMED = "date_confirmed", _("When the date is confirmed")
        REQUEST = "request", _("On request only")

    shop = models.OneToOneField(
        Shop, verbose_name=_("shop"), on_delete=models.CASCADE, related_name="commitment_rule"
    )
    issue_on = models.CharField(
        _("issue commitments"), max_length=20, choices=IssueOn.choices, default=IssueOn.DATE_CONFIRMED
    )
    person_from_total = models.DecimalField(
        _("a person moves the date from this order value on"),
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("In the order's currency. Empty: whatever the value."),
    )
    person_from_stars = models.PositiveSmallIntegerField(
        _("a person moves the date from this many stars on"),
        null=True,
        blank=True,
        help_text=_("Stars of the customer, 1 to 5. Empty: however many."),
    )
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("commitment rule")
        verbose_name_plural = _("commitment rules")
        ordering = ["shop__code"]

    def __str__(self) -> str:
        return str(self.shop)


def open_judgement(order_ids: set[int], at: datetime) -> int:
    """Have the promises of these orders judged: something was heard of them. Returns how many."""
    found: models.QuerySet[Any] = Promise.objects.filter(
        order_id__in=order_ids, state__in=[Promise.State.ACTIVE, Promise.State.UNKNOWN]
    )
    return found.update(judge_at=at)
