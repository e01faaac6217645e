"""The tables of the customer's page. None of them says who looked: no address, no name, no browser."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders.contacts import Contact, fernet
from orders.models import Order, Todo
from orders.querysets import ScopedQuerySet
from promises.tracking.causes import Cause
from promises.tracking.words import Milestone


class CustomerLink(models.Model):
    """One version of the address at which an order's customer reads. What stands here opens nothing: it is a hash."""

    order = models.ForeignKey(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="customer_links"
    )
    version = models.PositiveSmallIntegerField(_("version"), default=1)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    made_at = models.DateTimeField(_("made"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("revoked by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    # Wrong answers to the question for the phone number, since the last right one.
    n_tries = models.PositiveSmallIntegerField(_("wrong tries"), default=0)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("customer's link")
        verbose_name_plural = _("customers' links")
        constraints = [
            models.UniqueConstraint(fields=["order", "version"], name="link_order_version"),
            models.UniqueConstraint(
                fields=["order"], name="link_one_in_force", condition=Q(revoked_at__isnull=True)
            ),
        ]
        default_permissions = ("view",)
        permissions = [
            ("open_customerlink", _("Can open and copy customers' links")),
            ("revoke_customerlink", _("Can revoke customers' links")),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} v{self.version}"


class PageVisit(models.Model):
    """How often an order's page was opened on one day of the house. Staff and robots are not counted."""

    order = models.ForeignKey(Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="+")
    day = models.DateField(_("day"))
    n = models.PositiveIntegerField(_("visits"), default=0)
    # Of them: with a delay on the page.
    n_delayed = models.PositiveIntegerField(_("of them with a delay on the page"), default=0)
    last_at = models.DateTimeField(_("last visit"))

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("visits of a customer's page")
        verbose_name_plural = _("visits of customers' pages")
        constraints = [models.UniqueConstraint(fields=["order", "day"], name="visit_order_day")]
        indexes = [models.Index(fields=["day"], name="visit_day")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.order_id} {self.day}"


class ContactClick(models.Model):
    """A customer pressed "contact us", with what stood on the page then. Fewer of these is what the page is for."""

    order = models.ForeignKey(Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(_("at"))
    milestone = models.CharField(_("what the page said"), max_length=12, choices=Milestone.choices)
    cause = models.CharField(_("cause on the page"), max_length=10, choices=Cause.choices, blank=True)
    is_delayed = models.BooleanField(_("a delay was on the page"))

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("contact click")
        verbose_name_plural = _("contact clicks")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["at"], name="click_at"),
            models.Index(fields=["order", "at"], name="click_order"),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.order_id} {self.at:%Y-%m-%d %H:%M}"


class NextUpdate(models.Model):
    """ "The next news comes by then": a small promise to the customer, judged like the large ones."""

    order = models.ForeignKey(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="next_updates"
    )
    cause = models.CharField(_("cause"), max_length=10, choices=Cause.choices)
    made_at = models.DateTimeField(_("promised at"))
    due_at = models.DateTimeField(_("news by"))
    # Who promised it; empty: the hub.
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("promised by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    kept_at = models.DateTimeField(_("kept"), null=True)
    missed_at = models.DateTimeField(_("missed"), null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("promised news")
        verbose_name_plural = _("promised news")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                name="news_open_once",
                condition=Q(kept_at__isnull=True, missed_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(fields=["order", "-id"], name="news_order"),
            models.Index(
                fields=["due_at"], name="news_due", condition=Q(kept_at__isnull=True, missed_at__isnull=True)
            ),
        ]
        default_permissions = ("view",)
        permissions = [("give_news", _("Can give customers news on their page"))]

    def __str__(self) -> str:
        return f"{self.order_id} {self.due_at:%Y-%m-%d %H:%M}"


class CustomerRequest(models.Model):
    """Something a customer asked for on the page. Nothing changes by itself: a to-do asks a person to decide."""

    class Kind(models.TextChoices):
        ADDRESS = "address", _("Another address")
        MESSAGE = "message", _("Message")

    order = models.ForeignKey(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="customer_requests"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    made_at = models.DateTimeField(_("asked at"))
    # Until when the page says that somebody answers.
    due_at = models.DateTimeField(_("answer by"))
    todo = models.ForeignKey(
        Todo, verbose_name=_("to-do"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The new address, in its own deletable row; a message is sealed here.
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    sealed = models.TextField(editable=False, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("customer's request")
        verbose_name_plural = _("customers' requests")
        ordering = ["-id"]
        indexes = [models.Index(fields=["order", "-id"], name="request_order")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return str(self.get_kind_display())

    def opened(self) -> str:
        """The message in clear; empty if there is none."""
        return fernet().decrypt(self.sealed.encode()).decode() if self.sealed else ""


class MessageConsent(models.Model):
    """A customer asked to be told of changes, and where. Deleted when taken back, and when it has lapsed."""

    class Channel(models.TextChoices):
        SMS = "sms", _("Text message")
        EMAIL = "email", _("E-mail")

    order = models.ForeignKey(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="message_consents"
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel.choices)
    sealed = models.TextField(editable=False)
    given_at = models.DateTimeField(_("given"))
    lapses_at = models.DateTimeField(_("deleted at"), db_index=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("consent to messages")
        verbose_name_plural = _("consents to messages")
        constraints = [models.UniqueConstraint(fields=["order", "channel"], name="consent_order_channel")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return str(self.get_channel_display())

    def opened(self) -> str:
        """Where to send to, in clear."""
        return fernet().decrypt(self.sealed.encode()).decode()


class DeliveryRating(models.Model):
    """How the customer says it went, once it is there. The newest answer counts."""

    order = models.OneToOneField(
        Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="delivery_rating"
    )
    stars = models.PositiveSmallIntegerField(
        _("stars"), validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    at = models.DateTimeField(_("at"))

    objects = ScopedQuerySet.as_manager()

    class Meta:
        app_label = "promises"
        verbose_name = _("rating of a delivery")
        verbose_name_plural = _("ratings of deliveries")
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(stars__gte=1, stars__lte=5), name="rating_one_to_five")
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.stars}"
