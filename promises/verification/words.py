"""What the page says of a verdict: one sentence, what to compare with the paper, what happened, and why to believe it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django_stubs_ext import StrOrPromise

from promises import canonical, numbers
from promises.anchors.models import Anchor
from promises.anchors.reading import Elsewhere
from promises.commitments.models import Outcome, Promise
from promises.verification.verdict import FINGERPRINT, Authenticity, State, Verdict

ITEMS_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Sentence:
    """meaning: colour and icon, as chips have them."""

    meaning: str
    word: StrOrPromise
    text: StrOrPromise


@dataclass(frozen=True, slots=True)
class Row:
    """One reason to believe it. meaning: ok, stale (not yet) or danger. how: how to check it without us."""

    meaning: str
    word: str
    title: str
    text: str
    how: str


# The sentence.


def sentence(found: Verdict) -> Sentence:
    if found.authenticity == Authenticity.UNKNOWN:
        return Sentence(
            "stale",
            _("Not found"),
            _("We know no such number. Compare it with your paper, letter by letter."),
        )
    if found.is_denied:
        return _not_logged()
    if found.authenticity == Authenticity.DIFFERS:
        return Sentence(
            "danger",
            _("Does not match"),
            _("This is not what we issued under that number. Do not rely on it; ask the seller."),
        )
    if found.authenticity == Authenticity.UNAVAILABLE:
        return Sentence(
            "warn",
            _("Cannot be checked now"),
            _("This does not mean that it is false. Keep your paper and try again later."),
        )
    if found.is_unlogged:
        return _not_logged()
    return _of_state(found)


def _not_logged() -> Sentence:
    return Sentence(
        "danger",
        _("Signed, but not in the log"),
        _(
            "The seller has signed it and not registered it in time. Keep it as evidence; ask for a new document."
        ),
    )


def _of_state(found: Verdict) -> Sentence:
    state, newest = found.state, found.newest
    if state == State.REPLACED and newest is not None:
        text = _("We issued this commitment, and replaced it by version %(n)s.") % {"n": newest.version}
        return Sentence("warn", _("Genuine, replaced"), text)
    meaning, word, text = _STATES()[state or State.IN_FORCE]
    return Sentence(meaning, word, text)


def _STATES() -> dict[State, tuple[str, str, str]]:  # noqa: N802 - a table in the reader's language
    return {
        State.IN_FORCE: ("ok", _("Genuine, in force"), _("We issued this commitment.")),
        State.OVERDUE: (
            "warn",
            _("Genuine, date passed"),
            _("We issued this commitment. Its date has passed, and no delivery is known yet."),
        ),
        State.REVOKED: ("danger", _("Genuine, revoked"), _("We issued this commitment and took it back.")),
        State.KEPT: ("ok", _("Genuine, kept"), _("We issued this commitment and kept it.")),
        State.MISSED: ("danger", _("Genuine, missed"), _("We issued this commitment and did not keep it.")),
        State.WAIVED: (
            "stale",
            _("Genuine, waived"),
            _("We issued this commitment. The customer has called the order off."),
        ),
        State.SILENT: (
            "danger",
            _("Genuine, no outcome"),
            _("We issued this commitment. No delivery is known, which counts as missed."),
        ),
    }


def state_word(state: State | None) -> str:
    words = {
        State.IN_FORCE: _("In force"),
        State.OVERDUE: _("Date passed, no delivery known"),
        State.REPLACED: _("Replaced"),
        State.REVOKED: _("Revoked"),
        State.KEPT: _("Kept"),
        State.MISSED: _("Missed"),
        State.WAIVED: _("Waived"),
        State.SILENT: _("No delivery known: counts as missed"),
    }
    return words[state] if state else ""


# Times.


def at_place(moment: datetime | int | None, zone: str) -> str:
    """Day, time and the name of the clock: a time without its clock is none."""
    if moment is None:
        return ""
    found = datetime.fromtimestamp(moment, UTC) if isinstance(moment, int) else moment
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        place, zone = ZoneInfo("UTC"), "UTC"
    name = pgettext("clock", "Beijing time") if zone == "Asia/Shanghai" else zone
    return f"{date_format(found.astimezone(place), 'Y-m-d H:i')} {name}"


# What stands on the paper.


def paper(found: Verdict) -> dict[str, Any]:
    """Name and value of everything printed, from the payload that the log vouches for."""
    promise = found.promise
    if promise is None:
        return {}
    said = canonical.decode(bytes(promise.payload))
    rows = [(str(name), value) for name, value in _rows(said, promise) if value]
    items = [(one["name"], f"{one['qty']} {one['unit']}") for one in said["items"]]
    return {
        "due": at_place(said["due"], said["tz"]),
        "rows": rows,
        "items": items[:ITEMS_AT_ONCE],
        "more_items": items[ITEMS_AT_ONCE:],
        "fingerprint": grouped(promise.ph[:FINGERPRINT]),
    }


def _rows(said: dict[str, Any], promise: Promise) -> Iterator[tuple[StrOrPromise, str]]:
    zone, dest = said["tz"], said["dest"]
    yield _("Attestation no."), numbers.shown(said["no"])
    yield _("Version"), str(promise.version)
    yield _("Fingerprint"), grouped(promise.ph[:FINGERPRINT])
    yield _("Seller"), f"{said['seller']['name']} ({said['seller']['uscc']})"
    yield _("Order number ends in"), said.get("order_tail", "")
    yield _("Recipient"), said.get("to", "")
    yield _("Destination"), " ".join([said.get("country", ""), dest["province"], dest["city"]]).strip()
    window = said.get("window")
    if window:
        yield _("Expected"), f"{at_place(window['from'], zone)} – {at_place(window['to'], zone)}"
    yield _("Issued"), at_place(said["issued_at"], zone)


def grouped(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


# What happened, first to latest.


def chain(found: Verdict) -> list[dict[str, Any]]:
    steps = [_version(found, promise) for promise in found.versions]
    if found.outcome is not None:
        steps.append(_outcome(found.outcome, zone_of(found.versions[-1])))
    newest = found.newest
    if newest is not None and newest.state == Promise.State.REVOKED:
        text = _("Revoked on %(at)s") % {"at": at_place(newest.state_at, zone_of(newest))}
        steps.append({"text": text, "why": newest.state_reason, "is_this": False})
    return steps


def zone_of(promise: Promise) -> str:
    return str(canonical.decode(bytes(promise.payload)).get("tz", get_default_timezone_name()))


def _version(found: Verdict, promise: Promise) -> dict[str, Any]:
    zone = zone_of(promise)
    text = _("Version %(n)s, issued %(at)s: by %(due)s") % {
        "n": promise.version,
        "at": at_place(promise.made_at, zone),
        "due": at_place(promise.due, zone),
    }
    why = ""
    if promise.rc:
        why = _("Moved; asked for by %(who)s. Reason: %(why)s.") % {
            "who": promise.get_asked_by_display(),
            "why": promise.get_rc_display(),
        }
    return {
        "text": text,
        "why": why,
        "is_this": found.promise is not None and promise.pk == found.promise.pk,
        "token": bytes(promise.token),
    }


def _outcome(outcome: Outcome, zone: str) -> dict[str, Any]:
    text = _("%(what)s on %(at)s, said by %(who)s") % {
        "what": outcome.get_kind_display(),
        "at": at_place(outcome.at, zone),
        "who": outcome.get_src_display(),
    }
    why = ""
    if outcome.kind == Outcome.Kind.DELIVERED and outcome.kept_latest and not outcome.kept_first:
        why = _("In time for the last date, late for the first. The first date counts.")
    return {"text": text, "why": why, "is_this": False}


# Why to believe it.


def trust(found: Verdict) -> list[Row]:
    promise, proved = found.promise, found.evidence
    if promise is None or proved is None:
        return []
    zone = zone_of(promise)
    signed = Row(
        "ok",
        _("Yes"),
        _("Signed by the seller"),
        _("%(who)s, %(at)s") % {"who": proved.log.origin, "at": at_place(promise.made_at, zone)},
        _(
            "The code on the paper is the signature. Check it with verify.py and the seller's public keys, without us."
        ),
    )
    others = [_kept_elsewhere(one, zone) for one in proved.elsewhere]
    return [signed, _logged(found, zone), _witnessed(found, zone), _stamped(found, zone), *others]


def _logged(found: Verdict, zone: str) -> Row:
    title = _("In the log that nobody can rewrite")
    how = _("Download the proof file and give it to verify.py together with your PDF.")
    proved = found.evidence
    assert proved is not None  # noqa: S101 - see trust
    if proved.is_true:
        text = _("Entry %(n)s of %(size)s, %(at)s") % {
            "n": proved.place,
            "size": proved.size,
            "at": at_place(proved.logged_at, zone),
        }
        return Row("ok", _("Yes"), title, text, how)
    if proved.is_true is False:
        text = _("The stored entry is not the one that was signed. Your paper is evidence; keep it.")
        return Row("danger", _("No"), title, text, how)
    if found.is_unlogged:
        text = _("It should stand there since %(n)s minutes after it was issued. Ask for a new document.") % {
            "n": proved.log.mmd // 60
        }
        return Row("danger", _("No"), title, text, how)
    text = _("Registered; it is written within %(n)s minutes.") % {"n": proved.log.mmd // 60}
    return Row("stale", _("Not yet"), title, text, how)


def _witnessed(found: Verdict, zone: str) -> Row:
    title = _("Seen by independent witnesses")
    how = _("verify.py counts only the witnesses that your own policy file names.")
    proved = found.evidence
    assert proved is not None  # noqa: S101 - see trust
    if not proved.witnesses:
        return Row("stale", _("Not yet"), title, _("No witness has signed the log's newest head."), how)
    text = _("%(k)s of %(m)s, last %(at)s") % {
        "k": len(proved.witnesses),
        "m": max(proved.n_witnesses, len(proved.witnesses)),
        "at": at_place(max(at for _name, at in proved.witnesses), zone),
    }
    return Row("ok", _("Yes"), title, text, how)


def _stamped(found: Verdict, zone: str) -> Row:
    title = _("Time-stamped by an independent service")
    proved = found.evidence
    assert proved is not None  # noqa: S101 - see trust
    if proved.stamped is None:
        how = _(
            "Such a stamp would show when the entry was there at the latest, whatever the seller's clock said."
        )
        return Row("stale", _("Not yet"), title, _("No service has stamped the log's head."), how)
    text = _("The entry was there by %(at)s.") % {"at": at_place(proved.stamped.stamp.at, zone)}
    how = _("verify.py checks it too; only the authority's own root certificate you get from the authority.")
    return Row("ok", _("Yes"), title, text, f"{how} {_receipt(proved.stamped.pk)}")


def _receipt(pk: int) -> str:
    return _("The receipt, and the head that it is over: %(receipt)s and %(head)s") % {
        "receipt": reverse("anchors:receipt", args=[pk]),
        "head": reverse("anchors:head", args=[pk]),
    }


def _kept_elsewhere(one: Elsewhere, zone: str) -> Row:
    # The word stands only where a receipt holds.
    title = {
        Anchor.Kind.OTS.value: _("Kept in the Bitcoin blockchain (OpenTimestamps)"),
        Anchor.Kind.NOTARY.value: _("Kept by a notary blockchain"),
    }.get(one.kind if one.said else "", _("Kept by a service called %(kind)s") % {"kind": one.kind})
    own = _receipt(one.pk)
    if not one.is_known:
        return Row("stale", _("Unknown"), title, _("We cannot read receipts of this kind."), own)
    if one.said is None:
        return Row("danger", _("No"), title, _("There is a receipt, but it does not hold."), own)
    facts = one.said.facts
    if one.kind == Anchor.Kind.OTS:
        text = _("It leads to block %(block)s with the Merkle root %(root)s, which we have not compared.") % {
            "block": facts["block"],
            "root": facts["merkle_root"],
        }
        how = _(
            "Compare the root with that block in any copy of Bitcoin's headers, or give the file to ots verify."
        )
        return Row("stale", _("Not compared"), title, text, f"{how} {own}")
    text = _("Transaction %(transaction)s in block %(block)s") % {
        "transaction": facts["tx_hash"],
        "block": facts["block"],
    }
    if one.said.at is not None:
        text = f"{text}, {at_place(one.said.at, zone)}"
    how = _(
        "Look the transaction up with the service. Its answer is signed with a key that only the service and the seller "
        "hold."
    )
    return Row("ok", _("Yes"), title, text, f"{how} {own}")
