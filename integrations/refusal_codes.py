"""Every code with which the API and the webhooks refuse, and what the sender does then. docs/connectors.md says the same."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    status: tuple[int, ...]
    what_now: StrOrPromise


REFUSAL_CODES: dict[str, Refusal] = {
    row.code: row
    for row in (
        Refusal("not_authenticated", (401,), _("Send the header Authorization: Token, and the token.")),
        Refusal(
            "authentication_failed",
            (401,),
            _("The token is unknown or revoked. Make a new one on this page."),
        ),
        Refusal("permission_denied", (403,), _("The connection is switched off. Switch it on in the admin.")),
        Refusal("demo", (403,), _("A demo installation takes nothing from real connections.")),
        Refusal("may_not_read", (403,), _("The token may only report. Make one that may read.")),
        Refusal("not_found", (404,), _("Nothing of that name that you may see. Addresses end in a slash.")),
        Refusal("method_not_allowed", (405,), _("Use another method: the reference names it.")),
        Refusal("switched_off", (410,), _("The connection of this webhook is switched off. Stop sending.")),
        Refusal("throttled", (429,), _("Wait as long as Retry-After says.")),
        Refusal("not_json", (415,), _("Send Content-Type: application/json.")),
        Refusal("compressed", (415,), _("Leave Content-Encoding out.")),
        Refusal("not_utf8", (400, 415), _("Send UTF-8.")),
        Refusal("bad_json", (400,), _("The detail names line and column.")),
        Refusal("too_deep", (400,), _("Nest the JSON less deeply.")),
        Refusal("bad_shape", (400,), _("Send an object with items: a list of 1 to 100.")),
        Refusal("bad_parameter", (400,), _("field names the parameter.")),
        Refusal("too_many_items", (422,), _("Send at most 100 items at once.")),
        Refusal("too_large", (413,), _("Send fewer items at once.")),
        Refusal("length_missing", (411,), _("Send Content-Length, and no chunks.")),
        Refusal("bad_length", (400,), _("Content-Length must be a number.")),
        Refusal("cut_off", (400,), _("The body was cut off. Send it again.")),
        Refusal("bad_idempotency_key", (400,), _("Use printable ASCII signs only.")),
        Refusal(
            "idempotency_key_reused",
            (422,),
            _("The key came with another request within 7 days. Use a new one for a new request."),
        ),
        Refusal("bad_id", (400,), _("webhook-id is empty, too long or not printable.")),
        Refusal(
            "id_reused",
            (409,),
            _("This webhook-id came with another body. Both are kept; give each its own."),
        ),
        Refusal("signature_missing", (401,), _("All three webhook headers are needed.")),
        Refusal("signature_wrong", (401,), _("Sign the raw body with the secret of the connection.")),
        Refusal("timestamp_wrong", (401,), _("Send whole UNIX seconds.")),
        Refusal("timestamp_stale", (401,), _("Sign each attempt anew, and check the clock.")),
        Refusal("secret_unusable", (503,), _("The secret kept here must be set again. Try later.")),
        Refusal(
            "internal_error",
            (500,),
            _("The hub failed. Send it again later, and tell its operator the number."),
        ),
    )
}
