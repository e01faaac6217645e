"""What is kept about the house itself: whose it is, how far its setting up has come, what the template has made."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orders.auditing import Audited


class House(Audited):
    """The one row about this installation."""

    HOUSEKEEPING = frozenset({"setup_began_at", "setup_ended_at", "demo_removed_at"})

    company = models.CharField(_("company name"), max_length=80, blank=True)
    setup_began_at = models.DateTimeField(_("setting up began"), null=True, editable=False)
    setup_ended_at = models.DateTimeField(_("setting up ended"), null=True, editable=False)

    # Somebody has taken the demo data out: starting the demo again does not bring them back unasked.
    demo_removed_at = models.DateTimeField(_("demo data removed"), null=True, editable=False)

    class Meta:
        verbose_name = _("house")
        verbose_name_plural = _("houses")
        default_permissions = ()
        permissions = [("run_setup", _("Can set up the house, and load or remove demo data"))]

    def __str__(self) -> str:
        return self.company or "orderhub"


def the_house() -> House:
    """The installation's row; unsaved while nobody has said anything about it."""
    return House.objects.filter(pk=1).first() or House(pk=1)


class SetupStep(models.Model):
    """One step of setting up that somebody has taken or passed over. A step without a row is still to come."""

    class State(models.TextChoices):
        DONE = "done", _("Done")
        SKIPPED = "skipped", _("Skipped")

    key = models.SlugField(_("step"), max_length=40, unique=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    # What the step has made or changed, as its undo needs it.
    made = models.JSONField(_("made"), default=dict)
    at = models.DateTimeField(_("at"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("step of setting up")
        verbose_name_plural = _("steps of setting up")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key}: {self.state}"


class TemplateInstall(models.Model):
    """One time that the template was installed and made something."""

    version = models.PositiveSmallIntegerField(_("version"))
    installed_at = models.DateTimeField(_("installed"))
    installed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("installed by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("template installation")
        verbose_name_plural = _("template installations")
        default_permissions = ()
        permissions = [("install_template", _("Can install and undo the template"))]

    def __str__(self) -> str:
        return f"{self.version}"


class TemplateRow(models.Model):
    """One record that the template has made, as it was then: undoing leaves alone what people have changed since."""

    install = models.ForeignKey(
        TemplateInstall, verbose_name=_("installation"), on_delete=models.CASCADE, related_name="rows"
    )
    part = models.CharField(_("part"), max_length=40)
    model = models.CharField(_("record kind"), max_length=64)
    object_id = models.CharField(_("record"), max_length=64)
    label = models.CharField(_("record name"), max_length=200)
    columns = models.JSONField(_("as made"), default=dict)
    removed_at = models.DateTimeField(_("removed"), null=True)

    class Meta:
        verbose_name = _("record of the template")
        verbose_name_plural = _("records of the template")
        default_permissions = ()
        indexes = [models.Index(fields=["-id"], name="template_standing", condition=Q(removed_at=None))]

    def __str__(self) -> str:
        return self.label
