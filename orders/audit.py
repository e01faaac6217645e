"""Behaviour audit: who changed which record, when, from what to what, and why. One writer, whatever the way in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class AuditEntry(models.Model):
    """One change of one record. Rows are added, never changed: the database refuses it."""

    at = models.DateTimeField(_("at"), db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("actor"),
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    # The login name at that time; it stays when the account is gone.
    actor_name = models.CharField(_("actor name"), max_length=150, blank=True)
    way = models.CharField(_("way in"), max_length=32, help_text=_("admin, api, worker, command, import"))
    action = models.CharField(_("action"), max_length=64)
    model = models.CharField(_("record kind"), max_length=64)
    object_id = models.CharField(_("record"), max_length=64)
    object_label = models.CharField(_("record name"), max_length=200, blank=True)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    is_demo = models.BooleanField(_("demo"), default=False)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [
            models.Index(fields=["model", "object_id", "-at"], name="audit_object"),
            models.Index(fields=["actor", "-at"], name="audit_actor"),
        ]
        permissions = [("export_auditentry", _("Can export the audit log"))]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.action} {self.model} {self.object_id}"


@dataclass(frozen=True, kw_only=True)
class Acting:
    """On whose behalf the present code runs."""

    actor: User | AnonymousUser | None = None
    way: str = "command"
    reason: str = ""

    @property
    def person(self) -> User | None:
        """The actor if somebody is logged in. A lazy request.user is looked up here, not before."""
        return self.actor if self.actor is not None and self.actor.is_authenticated else None


_acting: ContextVar[Acting] = ContextVar("acting", default=Acting())  # noqa: B039 - frozen


@contextmanager
def acting(*, actor: User | AnonymousUser | None = None, way: str, reason: str = "") -> Iterator[None]:
    """Everything recorded inside is attributed to this actor and way in."""
    token = _acting.set(Acting(actor=actor, way=way, reason=reason))
    try:
        yield
    finally:
        _acting.reset(token)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Everything recorded inside carries this reason; actor and way in stay."""
    token = _acting.set(replace(current(), reason=reason))
    try:
        yield
    finally:
        _acting.reset(token)


def current() -> Acting:
    return _acting.get()


def record(
    action: str,
    target: models.Model,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Write one audit row for one change of one record, in the caller's transaction."""
    who = current()
    person = who.person
    return AuditEntry.objects.create(
        at=now(),
        actor_id=person.pk if person else None,
        actor_name=person.get_username() if person else "",
        way=who.way,
        action=action,
        model=target._meta.label_lower,
        object_id=str(target.pk),
        object_label=str(getattr(target, "audit_label", target))[:200],
        before=before or {},
        after=after or {},
        reason=reason or who.reason,
        is_demo=bool(getattr(target, "is_demo", False)),
    )
