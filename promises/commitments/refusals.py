"""Why a commitment is not issued, moved or revoked: codes that rows keep, and the words that people read."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.byhand import Refused
from promises import canonical

WORDS: dict[str, StrOrPromise] = {
    "not_set_up": _("The seller's details are not filled in, so nobody can say who promises. Fill in the seller profile."),
    "closed": _("The order is closed (%(stage)s): there is nothing left to promise."),
    "no_date": _(
        "Nobody has confirmed a date, and there is no estimate. Confirm the date; the commitment follows by itself."
    ),
    "past": _("%(day)s is over at the destination. Choose today or a later day."),
    "beyond_cap": _("%(day)s is more than %(days)s days away. Choose an earlier day."),
    "no_place": _(
        "The order has no province and city of destination, and a commitment must name them. Have the shop send the "
        "address, then issue it."
    ),
    "no_goods": _("The order has no goods that are still to be delivered."),
    "too_many_items": _("The order has %(n)s articles; a commitment holds at most %(most)s. Split the order."),
    "bad_text": _(
        "%(where)s: %(what)s. It could make one promise read like another, so it is not printed. Correct the text where "
        "it comes from, then issue it."
    ),
    "bad_payload": _("%(where)s is not as the format of commitments wants it: %(what)s. Correct it, then issue it."),
    "has_one": _("Commitment %(number)s is in force for this order. To change its date, issue a new version."),
    "no_promise": _("This order has no commitment. Issue one first."),
    "ended": _("The commitment has ended (%(state)s). What came of it stands."),
    "not_missed": _("The commitment was not missed (%(state)s), so there is nothing to make good."),
    "overdue": _(
        "The promised date has passed. A promise is not moved after its date: it counts as missed, and that stays."
    ),
    "same_date": _("The new date is the date that is promised already. Choose another day."),
    "no_reason": _("Say why the date moves, and who asked for it: both stand on the new version and in the log."),
    "changed": _("Meanwhile version %(version)s was issued. Look at it, then say again what is to change."),
    "too_soon": _("The hub itself moves a date at most once in 24 hours. A person may move it now."),
    "needs_person": _("For an order of this value or customer a person decides whether the date moves."),
    "inside_window": _("What is expected now still lies in the promised window: there is nothing to move."),
    "asked_already": _("A commitment for this order has been asked for already. The worker is on it."),
    "no_key": _("The key that signs commitments cannot be read: %(what)s Nothing was issued; this request waits."),
    "paper": _("The paper could not be made: %(what)s. Nothing was issued."),
    "program": _("The program failed on this commitment. The reason is in the log of the worker; nothing was issued."),
    "not_cancelled": _(
        "Nothing says that the customer called the order off. Have the cancellation reported by the shop, or by hand on the "
        "order's page; then it can be waived."
    ),
    "no_gate": _(
        "Revoking a commitment needs a second person, and no review gate is installed. Until one is, issue a new version "
        "with the true date instead."
    ),
}  # fmt: skip
# What time or a person elsewhere puts right: the request waits instead of ending.
WAITS = frozenset({"not_set_up", "too_soon", "no_key"})

# Members of the payload in the words of the house.
_WHERE: dict[str, StrOrPromise] = {
    "seller": _("The seller's name or number"),
    "dest": _("The province or city of destination"),
    "items": _("The name or unit of an article"),
    "to": _("The masked name of the recipient"),
    "country": _("The country of destination"),
    "due": _("The date"),
    "window": _("The window"),
    "basis": _("What the date rests on"),
}


class NotIssued(Refused):
    """Nothing was issued, moved or revoked, and nothing was stored."""

    def __init__(self, code: str, **words: Any) -> None:
        super().__init__(code, in_words(code, words))
        self.words = {name: str(value) for name, value in words.items()}


def in_words(code: str, words: dict[str, Any]) -> str:
    """The refusal in the reader's language."""
    return str(WORDS.get(code, code)) % words if code in WORDS else code


def of_format(refused: canonical.Refused) -> NotIssued:
    """A refusal of the payload's own check, in the words of the house."""
    member = refused.where.split(".")[0].split("[")[0]
    where = _WHERE.get(member, refused.where or "payload")
    code = "bad_text" if "character" in refused.what or "NFC" in refused.what else "bad_payload"
    return NotIssued(code, where=where, what=refused.what)
