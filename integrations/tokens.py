"""API tokens: made once in clear, kept as a hash, believed for a few seconds without asking the database."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from integrations.models import ApiToken, Connection

SCHEME = "Token"
# A revoked token dies within this time in every process; the promise is 5 seconds.
BELIEVED_FOR = 3.0
MOST_BELIEVED = 1000
USE_NOTED_EVERY = timedelta(minutes=1)

_believed: dict[str, tuple[float, ApiToken]] = {}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from, where the framework asks for a user: a system, never a person."""

    connection: Connection
    is_authenticated: bool = True
    is_active: bool = True
    is_staff: bool = False
    pk: None = None

    def __str__(self) -> str:
        return self.connection.slug


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Token <clear>`. request.user is the connection's Principal, request.auth the ApiToken."""

    def authenticate(self, request: Request) -> tuple[Principal, ApiToken] | None:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        if not given:
            return None
        scheme, _blank, clear = given.partition(" ")
        clear = clear.strip()
        if scheme.lower() != SCHEME.lower() or not clear:
            raise AuthenticationFailed(_("The header must read: Authorization: Token <your token>."))
        token = find(clear, now())
        if token is None:
            raise AuthenticationFailed(
                _("This token is not known, or it was revoked. Make a new one in the admin.")
            )
        if not token.connection.is_active:
            raise PermissionDenied(
                _("The connection %(slug)s is switched off in the admin.") % {"slug": token.connection.slug}
            )
        if token.connection.is_refused_in_demo:
            raise PermissionDenied(_("This is a demo: it takes nothing from real connections."))
        return Principal(token.connection), token

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


def digest(clear: str) -> str:
    # A plain hash is enough: the token has 256 random bits, so there is nothing to guess from a list.
    return hashlib.sha256(clear.encode()).hexdigest()


def make(connection: Connection, name: str, *, may_read: bool = False) -> str:
    """A new token of the connection, in clear. It is shown now or never: only its hash is kept."""
    clear = f"oh_{secrets.token_urlsafe(32)}"
    ApiToken.objects.create(
        connection=connection,
        name=name,
        digest=digest(clear),
        tail=clear[-4:],
        may_read=may_read,
        made_at=now(),
    )
    return clear


def find(clear: str, at: datetime) -> ApiToken | None:
    """The unrevoked token, with its connection and shop; None if there is none."""
    key = digest(clear)
    until, token = _believed.get(key, (0.0, None))
    if token is not None and time.monotonic() < until:
        return token
    found: ApiToken | None = (
        ApiToken.objects.select_related("connection__shop")
        .filter(digest=key, revoked_at__isnull=True)
        .first()
    )
    if found is None:
        _believed.pop(key, None)
        return None
    if len(_believed) >= MOST_BELIEVED:
        _believed.clear()
    _believed[key] = (time.monotonic() + BELIEVED_FOR, found)
    _note_use(found, at)
    return found


def _note_use(token: ApiToken, at: datetime) -> None:
    stale = at - USE_NOTED_EVERY
    if token.used_at is not None and token.used_at > stale:
        return
    # Not a change that anybody made: past the audit on purpose.
    idle = Q(used_at=None) | Q(used_at__lte=stale)
    QuerySet(ApiToken).filter(idle, pk=token.pk).update(used_at=at)
