"""The tables of the live estimate: what the house sets, what was learned, what was said of each order and what became of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited
from orders.models import Order, Shop, Warehouse
from orders.querysets import ScopedQuerySet
from orders.stages import RiskLevel
from promises.eta.orders import CAP_DAYS

SERVICE_LEVEL = 950


class PromiseRule(Audited):
    """How dates are promised: for one shop, or, without a shop, for all that have no rule of their own."""

    shop = models.OneToOneField(
        Shop,
        verbose_name=_("shop"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Empty: for every shop without a rule of its own."),
    )
    is_on = models.BooleanField(_("orders get estimates"), default=True)
    service_level = models.PositiveSmallIntegerField(
        _("service level, per mille"),
        default=SERVICE_LEVEL,
        validators=[MinValueValidator(500), MaxValueValidator(990)],
        help_text=_("How many of a thousand orders are to arrive by the latest date."),
    )
    cap_days = models.PositiveSmallIntegerField(
        _("longest promise in days"),
        default=CAP_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(CAP_DAYS)],
        help_text=_("A date further off is not promised: a person looks at the order instead."),
    )

    class Meta:
        app_label = "promises"
        verbose_name = _("promise rule")
        verbose_name_plural = _("promise rules")
        constraints = [
            # Unique columns take any number of nulls.
            models.UniqueConstraint(models.Value(1), name="rule_one_default", condition=Q(shop__isnull=True))
        ]

    def __str__(self) -> str:
        return str(self.shop) if self.shop_id else gettext("All other shops")

    def clean(self) -> None:
        if self.shop_id is None and PromiseRule.objects.filter(shop=None).exclude(pk=self.pk).exists():
            raise ValidationError(
                {
                    "shop": gettext(
                        "There is a rule for all other shops already. Change that one, or name a shop."
                    )
                }
            )


class PlannedSurge(Audited):
    """A sale known in advance: between two dates, both included, factor times the usual orders are expected."""

    name = models.CharField(_("name"), max_length=80)
    first = models.DateField(_("first day"))
    last = models.DateField(_("last day"))
    factor = models.DecimalField(
        _("times the usual orders"),
        max_digits=4,
        decimal_places=2,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
    )

    class Meta:
        app_label = "promises"
        verbose_name = _("planned surge")
        verbose_name_plural = _("planned surges")
        ordering = ["-first"]
        constraints = [
            models.CheckConstraint(
                condition=Q(last__gte=models.F("first")), name="surge_ends_after_it_begins"
            ),
            models.CheckConstraint(condition=Q(factor__gte=1), name="surge_multiplies"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.first and self.last and self.last < self.first:
            raise ValidationError(
                {"last": gettext("The surge ends before it begins. Give a later last day.")}
            )


class WarehousePickup(Audited):
    """One pick-up a day at a warehouse: what is ready before this time, on the warehouse's clock, leaves with it."""

    warehouse = models.ForeignKey(
        Warehouse, verbose_name=_("warehouse"), on_delete=models.CASCADE, related_name="+"
    )
    at = models.TimeField(_("time"))

    class Meta:
        app_label = "promises"
        verbose_name = _("pick-up")
        verbose_name_plural = _("pick-ups")
        ordering = ["warehouse", "at"]
        constraints = [models.UniqueConstraint(fields=["warehouse", "at"], name="pickup_warehouse_at")]

    def __str__(self) -> str:
        return f"{self.warehouse} {self.at:%H:%M}"


class Journey(models.Model):
    """What is learned from one order: where it went by what, and when it left and arrived. No person, no street."""

    order = models.OneToOneField(
        Order, verbose_name=_("order"), primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    placed_at = models.DateTimeField(_("placed at"))
    # The clock of the destination: a promise counts its days.
    zone = models.CharField(_("time zone"), max_length=40)
    county = models.CharField(_("county"), max_length=40, blank=True)
    city = models.CharField(_("city"), max_length=40, blank=True)
    province = models.CharField(_("province"), max_length=40, blank=True)
    carrier = models.CharField(_("carrier"), max_length=40, blank=True)
    service = models.CharField(_("service"), max_length=40, blank=True)
    origin = models.CharField(_("warehouse"), max_length=40, blank=True)
    origin_region = models.CharField(_("region of the warehouse"), max_length=40, blank=True)
    n_items = models.FloatField(_("units"), null=True)
    handed_at = models.DateTimeField(_("handed over"), null=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)
    # Stands in the warehouse's queue: ready to be worked on, not yet handed over.
    is_queued = models.BooleanField(_("in the queue"), default=False)
    # Cancelled or sent back: it says nothing about how long orders take.
    is_struck = models.BooleanField(_("cancelled or sent back"), default=False)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("journey")
        verbose_name_plural = _("journeys")
        indexes = [
            models.Index(fields=["placed_at"], name="journey_placed"),
            # What was delivered to a place: the orders behind the odds.
            models.Index(fields=["province", "city", "placed_at"], name="journey_place"),
            # The queue ahead of an order.
            models.Index(fields=["origin", "placed_at"], name="journey_queued", condition=Q(is_queued=True)),
            # A warehouse's pace: what left it lately.
            models.Index(
                fields=["origin", "handed_at"], name="journey_handed", condition=Q(handed_at__isnull=False)
            ),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return str(self.order_id)

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


class EstimateModel(models.Model):
    """What was learned in one night, whole: the newest one speaks. Rows are added; old ones are cleared away."""

    made_at = models.DateTimeField(_("made"))
    # The method's version (promises.eta.learner.VERSION), then this row's own number.
    method = models.CharField(_("method"), max_length=10)
    n_learned = models.PositiveIntegerField(_("orders learned from"))
    n_delivered = models.PositiveIntegerField(_("of them delivered"))
    newest_placed_at = models.DateTimeField(_("newest order"), null=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)
    # Packed JSON: data, never a pickle.
    state = models.BinaryField(editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("estimate model")
        verbose_name_plural = _("estimate models")
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.version

    @property
    def version(self) -> str:
        return f"{self.method}.{self.pk}"


class Expectations(models.Model):
    """What was expected of each order when it began, as one night left it: the next one goes on from there.

    Of the newest night only. Packed columns (promises.estimates.learned), never a pickle.
    """

    model = models.OneToOneField(EstimateModel, primary_key=True, on_delete=models.CASCADE, related_name="+")
    from_placing = models.BinaryField(editable=False)
    from_hand_over = models.BinaryField(editable=False)

    class Meta:
        app_label = "promises"
        verbose_name = _("expectations of a night")
        verbose_name_plural = _("expectations of a night")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.model_id)


class EstimateQuerySet(ScopedQuerySet):
    def current(self) -> EstimateQuerySet:
        """What is said now, one of each order."""
        return self.filter(is_current=True)

    def unscored(self, at: datetime) -> EstimateQuerySet:
        """Dates that have gone by without an answer, the oldest first."""
        return self.filter(outcome="", due_at__lt=at).order_by("due_at")

    def to_be_checked(self, at: datetime) -> EstimateQuerySet:
        return self.filter(check_at__lte=at).order_by("check_at")


class Estimate(models.Model):
    """One thing that was said of one order, with its odds, and what came of it. Only the watch and the outcome change."""

    class NoDate(models.TextChoices):
        NOT_ENOUGH_HISTORY = "not_enough_history", _("Not enough history")
        BEYOND_CAP = "beyond_cap", _("Too far off to be promised")
        NEVER_LEAVES = "never_leaves", _("The warehouse finishes nothing at present")

    class Outcome(models.TextChoices):
        KEPT = "kept", _("Kept")
        MISSED = "missed", _("Missed")
        VOID = "void", _("Cancelled or sent back")

    order = models.ForeignKey(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="estimates"
    )
    made_at = models.DateTimeField(_("made"))
    is_current = models.BooleanField(_("current"), default=True)
    # The first with a date: what the customer was told first. Calibration counts one for each order.
    is_first = models.BooleanField(_("first"), default=False)
    model_version = models.CharField(_("model"), max_length=20, blank=True)
    # The nearest place with enough orders (county, city, province, carrier), and how many were delivered there.
    level = models.CharField(_("place"), max_length=10, blank=True)
    n = models.PositiveIntegerField(_("orders there"), default=0)
    service_level = models.PositiveSmallIntegerField(_("service level, per mille"), default=SERVICE_LEVEL)
    # What it was made from: Journey's fields by name, the queue ahead, where the order stood.
    inputs = models.JSONField(_("made from"), default=dict)
    zone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    # Dates at the destination: half of such orders arrive by the first, nine of ten by the second.
    window_from = models.DateField(_("window from"), null=True)
    window_to = models.DateField(_("window to"), null=True)
    due_at = models.DateTimeField(_("latest date"), null=True)
    odds = models.PositiveSmallIntegerField(_("odds of the latest date, per mille"), null=True)
    # [{"code": ..., "days": ...}]: what moved the middle, the largest first.
    reasons = models.JSONField(_("reasons"), default=list)
    no_date = models.CharField(_("no date because"), max_length=20, choices=NoDate.choices, blank=True)
    # Until when the order was promised at that time, and how likely that is missed.
    promised_at = models.DateTimeField(_("promised by"), null=True)
    p_late = models.PositiveSmallIntegerField(_("chance to be late, per mille"), null=True)
    risk = models.CharField(_("risk"), max_length=12, choices=RiskLevel.choices, blank=True)
    # When time alone may have changed the risk; empty once the order has come or the estimate is old.
    check_at = models.DateTimeField(_("looked at again"), null=True)
    outcome = models.CharField(_("outcome"), max_length=6, choices=Outcome.choices, blank=True)
    outcome_at = models.DateTimeField(_("outcome known since"), null=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    objects = EstimateQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("estimate")
        verbose_name_plural = _("estimates")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], name="estimate_one_current", condition=Q(is_current=True)
            )
        ]
        indexes = [
            models.Index(fields=["order", "-id"], name="estimate_order"),
            models.Index(
                fields=["due_at"], name="estimate_unscored", condition=Q(outcome="", due_at__isnull=False)
            ),
            models.Index(fields=["check_at"], name="estimate_check", condition=Q(check_at__isnull=False)),
            # For the calibration page: what was judged lately, one of each order.
            models.Index(
                fields=["-outcome_at"], name="estimate_judged", condition=Q(is_first=True) & ~Q(outcome="")
            ),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.order_id}: {self.due_on or self.no_date}"

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @property
    def due_local(self) -> datetime | None:
        """The latest date on the clock of the destination, with its offset."""
        return self.due_at.astimezone(self.tz) if self.due_at else None

    @property
    def due_on(self) -> date | None:
        return self.due_local.date() if self.due_local else None

    @property
    def has_date(self) -> bool:
        return self.due_at is not None

    def as_said(self) -> tuple[Any, ...]:
        """What a reader would notice: an estimate that says the same is no new one."""
        return (self.window_from, self.window_to, self.due_at, self.no_date, self.promised_at, self.risk)
