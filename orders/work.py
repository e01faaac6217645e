"""What people are asked to do about an order, and what the workers are asked to look at."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.stages import Stage, Step, Topic

# What a request asks for, where rooms above name it by a code.
REQUESTS: dict[str, StrOrPromise] = {
    "customer_address": _("the customer asks for another address"),
    "customer_message": _("the customer has written"),
    "news": _("the customer waits for news that was promised"),
    "far_date": _("confirm a date: the one found is too far off to be promised"),
    "move_date": _("decide whether the promised date moves"),
}


class Todo(models.Model):
    """One thing that one role or person should do about an order or a setting."""

    class Kind(models.TextChoices):
        STEP = "step", _("Step")
        STALLED = "stalled", _("Order is stuck")
        UNKNOWN_STATUS = "unknown_status", _("Unknown status")
        CONFLICT = "conflict", _("Sources disagree")
        SHORTAGE = "shortage", _("Stock short")
        REQUEST = "request", _("Request")

    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), null=True, on_delete=models.CASCADE, related_name="todos"
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    # What it is about within its kind: a step, a status value. With order and kind it is unique while open.
    subject = models.CharField(_("about"), max_length=120, blank=True)
    text = models.CharField(_("text"), max_length=300, blank=True)
    owner = models.CharField(_("owner role"), max_length=40)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="todos",
    )
    opened_at = models.DateTimeField(_("opened"))
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("done by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    outcome = models.CharField(_("outcome"), max_length=200, blank=True)
    n_times = models.PositiveIntegerField(_("times asked"), default=1)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    class Meta:
        verbose_name = _("to-do")
        verbose_name_plural = _("to-dos")
        constraints = [
            models.UniqueConstraint(
                fields=["order", "kind", "subject"], name="todo_open_once", condition=Q(done_at__isnull=True)
            )
        ]
        indexes = [
            models.Index(fields=["owner", "due_at"], name="todo_open", condition=Q(done_at__isnull=True)),
            models.Index(fields=["opened_at"], name="todo_opened"),
            models.Index(fields=["done_at"], name="todo_done", condition=Q(done_at__isnull=False)),
        ]

    def __str__(self) -> str:
        what = self._what()
        return f"{self.get_kind_display()}: {what}" if what else str(self.get_kind_display())

    def _what(self) -> str:
        """What it is about, in the reader's words: to-dos are stored as codes and shown in two languages."""
        if self.kind == self.Kind.STEP and self.subject in Step.values:
            return str(Step(self.subject).label)
        if self.kind == self.Kind.STALLED and self.subject in Stage.values:
            return str(Stage(self.subject).label)
        if self.kind == self.Kind.CONFLICT:
            topics = self.text.split(", ") if self.text else []
            return ", ".join(str(Topic(topic).label) for topic in topics if topic in Topic.values)
        if self.kind == self.Kind.REQUEST and self.subject in REQUESTS:
            return str(REQUESTS[self.subject])
        return self.text or self.subject


class WorkSignal(models.Model):
    """ "There is work of this kind", at most one open question a kind. Losing one costs seconds: the steward asks again."""

    name = models.CharField(max_length=40, primary_key=True)
    wanted_at = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("work signal")
        verbose_name_plural = _("work signals")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
