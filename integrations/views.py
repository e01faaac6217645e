"""Signed pushes: checked, put down, answered. What they say is read later, by the worker."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from integrations import inbox, signatures
from integrations.api_schema import PUSH
from integrations.bodies import BadBody, read_body, text_of
from integrations.inbox import Arrival
from integrations.models import Connection
from integrations.signatures import BadSecret, SignatureRefused, Signed
from integrations.told import kept
from integrations.told import told as _
from orders.api import HubView, Refused

SECRET_NAME = "webhook"  # noqa: S105 - the name under which a connection keeps its secrets
# A stranger who knocks a thousand times a second must not cost a thousand writes.
FAILURE_NOTED_EVERY = timedelta(seconds=10)

_refused: Counter[str] = Counter()


class Webhook(HubView):
    """No cookie and no token stand for anything here: the signature over the raw body is the proof."""

    authentication_classes: Sequence[Any] = []
    permission_classes: Sequence[Any] = []
    throttle_classes: Sequence[Any] = []
    http_method_names = ["post"]

    @extend_schema(**PUSH)
    def post(self, request: Request, slug: str) -> Response:
        at = now()
        try:
            body = read_body(request._request)
            return _receive(slug, _signed(request, body), at)
        except BadBody as error:
            raise Refused(error.status, error.code, str(error)) from error


def _receive(slug: str, signed: Signed, at: datetime) -> Response:
    """202 for a new message, 200 for one that is known; nothing is kept of one whose signature does not fit."""
    # PostgreSQL would not even look for a NUL.
    connection = Connection.objects.filter(slug=slug).first() if slug.isprintable() else None
    if connection is not None and not connection.is_active:
        raise Refused(410, "switched_off", _("This connection is switched off; stop sending."))
    known = connection.secrets().get(SECRET_NAME, []) if connection is not None else []
    try:
        # An address that does not exist costs the same time, so that nobody can find out names by it.
        signatures.check(signed, known or [_nobodys_secret()], at, settings.WEBHOOK_TOLERANCE)
    except SignatureRefused as refusal:
        if connection is None or not known:
            raise Refused(404, "not_found", _("There is no webhook at this address.")) from refusal
        _note_refusal(connection, refusal, at)
        raise Refused(401, refusal.code, str(refusal)) from refusal
    except BadSecret as error:
        # Ours to mend, not the sender's: it shall try again.
        if connection is not None:
            _note_refusal(connection, error, at)
        raise Refused(
            503, "secret_unusable", _("The secret kept here cannot be used; try again later.")
        ) from error
    if connection is None or not known:
        raise Refused(404, "not_found", _("There is no webhook at this address."))
    if connection.is_refused_in_demo:
        raise Refused(403, "demo", _("This is a demo: it takes nothing from real connections."))
    return _put_down(connection, signed, at)


def _signed(request: Request, body: bytes) -> Signed:
    headers = request.headers
    return Signed(
        message_id=headers.get("webhook-id", ""),
        timestamp=headers.get("webhook-timestamp", ""),
        signature=headers.get("webhook-signature", ""),
        body=body,
    )


def _put_down(connection: Connection, signed: Signed, at: datetime) -> Response:
    if problem := inbox.key_problem(signed.message_id):
        raise Refused(400, "bad_id", _("webhook-id %(problem)s.") % {"problem": problem}, "webhook-id")
    text = text_of(signed.body)
    arrival = Arrival(signed.message_id, "webhook", text, inbox.digest_of(text))
    receipt = inbox.receive(connection, [arrival], at)[0]
    if receipt.result == inbox.REFUSED:
        raise Refused(
            409,
            "id_reused",
            _("This webhook-id came with another body before. Both were kept; give each its own id."),
        )
    return Response({"result": receipt.result}, status=202 if receipt.result == inbox.ACCEPTED else 200)


@lru_cache(maxsize=1)
def _nobodys_secret() -> str:
    return signatures.SHARED + secrets.token_hex(24)


def _note_refusal(connection: Connection, refusal: Exception, at: datetime) -> None:
    """Let the operator see it on the connection: how many, and why the last one."""
    _refused[connection.slug] += 1
    # In the future counts as long ago: clocks are set back.
    if connection.failed_at is not None and abs(at - connection.failed_at) < FAILURE_NOTED_EVERY:
        return
    failure = _("Webhooks refused since this process began: %(count)d. The last one: %(why)s") % {
        "count": _refused[connection.slug],
        "why": str(refusal),
    }
    # Not a change that anybody made: past the audit on purpose.
    QuerySet(Connection).filter(pk=connection.pk).update(
        failed_at=at, failure=failure[:500], told=kept(failure)
    )
