"""What people keep at their desk: saved views of the board, their own preferences, and work over many orders at once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited


class Density(models.TextChoices):
    COMFORTABLE = "comfortable", _("Comfortable")
    COMPACT = "compact", _("Compact")


class SavedView(Audited):
    """A named way of looking at the board: its definition, never a list of orders."""

    class Layout(models.TextChoices):
        TABLE = "table", _("Table")
        KANBAN = "kanban", _("Kanban")

    name = models.CharField(_("name"), max_length=60)
    # Empty for the views of the house, which nobody deletes.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
    )
    is_shared = models.BooleanField(_("shared"), default=False)
    # The code of the role that starts with this view; at most one view a role.
    default_for = models.CharField(_("first view of the role"), max_length=40, blank=True)
    # The board's query string without page and cursor: "stage=awaiting_pick&shop=3".
    filters = models.CharField(_("filters"), max_length=1000, blank=True)
    columns = models.JSONField(_("columns"), default=list, blank=True)
    sort = models.CharField(_("sorted by"), max_length=40, blank=True)
    density = models.CharField(
        _("density"), max_length=12, choices=Density.choices, default=Density.COMFORTABLE
    )
    layout = models.CharField(_("layout"), max_length=10, choices=Layout.choices, default=Layout.TABLE)
    position = models.PositiveSmallIntegerField(_("position"), default=100)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        ordering = ["position", "name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="view_owner_name"),
            models.UniqueConstraint(fields=["default_for"], name="view_role", condition=~Q(default_for="")),
        ]
        default_permissions = ()
        permissions = [("share_savedview", _("Can share views of the board"))]

    def __str__(self) -> str:
        return self.name


class StaffPreference(models.Model):
    """How one person likes the screens. A missing row means the defaults."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="+"
    )
    shortcuts = models.BooleanField(_("keyboard shortcuts"), default=True)
    # An IANA name; empty: the zone of the house.
    timezone = models.CharField(_("time zone"), max_length=40, blank=True)
    density = models.CharField(
        _("density"), max_length=12, choices=Density.choices, default=Density.COMFORTABLE
    )
    home_view = models.ForeignKey(
        SavedView,
        verbose_name=_("first view"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("preference")
        verbose_name_plural = _("preferences")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user)


def preference_of(user: Any) -> StaffPreference:
    """The person's preferences, or the defaults, unsaved."""
    return StaffPreference.objects.filter(user=user).first() or StaffPreference(user=user)


class BulkRun(models.Model):
    """One action over many orders that one person asked for. The rows say how far it is; the queue only hints at it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        CANCELLED = "cancelled", _("Cancelled")

    action = models.CharField(_("action"), max_length=40)
    # What the action needs besides the orders: the text of a note, the person to hand over to.
    values = models.JSONField(_("values"), default=dict)
    # The board's query string that chose the orders; empty if they were picked one by one.
    query = models.CharField(_("filters"), max_length=1000, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("made by"), on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField(_("made"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    n_orders = models.PositiveIntegerField(_("orders"), default=0)
    finished_at = models.DateTimeField(_("finished"), null=True)
    undone_at = models.DateTimeField(_("undone"), null=True)

    class Meta:
        verbose_name = _("action over many orders")
        verbose_name_plural = _("actions over many orders")
        indexes = [
            models.Index(fields=["made_at"], name="bulk_open", condition=Q(state__in=["waiting", "running"]))
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.action} {self.n_orders}"


class BulkRow(models.Model):
    """What became of one order of a bulk run."""

    class Outcome(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Done")
        SKIPPED = "skipped", _("Skipped")
        FAILED = "failed", _("Failed")
        UNDONE = "undone", _("Undone")

    run = models.ForeignKey(BulkRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="rows")
    order = models.ForeignKey(
        "orders.Order", verbose_name=_("order"), on_delete=models.CASCADE, related_name="+"
    )
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices, default=Outcome.WAITING)
    # A code of the action with its values, put into words where it is shown: {"code": "not_open"}.
    reason = models.JSONField(_("reason"), default=dict)
    # What undoing needs: ids of facts, the owner before.
    undo = models.JSONField(_("how to undo"), default=dict)
    done_at = models.DateTimeField(_("done"), null=True)

    class Meta:
        verbose_name = _("order of a bulk run")
        verbose_name_plural = _("orders of a bulk run")
        constraints = [models.UniqueConstraint(fields=["run", "order"], name="bulk_run_order")]
        indexes = [models.Index(fields=["run"], name="bulk_waiting", condition=Q(outcome="waiting"))]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.order_id}: {self.outcome}"
