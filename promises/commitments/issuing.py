"""Giving the word: draw, build, sign and render with nothing stored, then file, rows and log entry in one transaction."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from orders import audit
from orders.board.written import write_promise
from orders.models import Order, Todo
from orders.stages import Stage
from orders.transitions import Cause
from promises import canonical, commitments, estimates, numbers, token
from promises.commitments import discipline, papers
from promises.commitments.models import Asker, IssueRequest, Promise, PromiseFile, Reason
from promises.commitments.payload import Chosen, Paper, build, choose, terms_hash
from promises.commitments.refusals import NotIssued
from promises.estimates.places import zone_of
from promises.ledger import keys, reading, writing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from django.contrib.auth.models import User

    from promises.estimates.models import Estimate
    from promises.ledger.models import LogPending, SellerProfile, TransparencyLog

State = Promise.State
# Nothing is left to promise, or somebody has asked to cancel.
TOO_LATE = frozenset(
    {
        Stage.DELIVERED.value,
        Stage.COMPLETED.value,
        Stage.CANCELLING.value,
        Stage.CANCELLED.value,
        Stage.RETURNING.value,
        Stage.RETURNED.value,
    }
)
# What sales is asked where the hub itself may not move a date (orders.work.REQUESTS).
TODO = "move_date"
ENDED = frozenset({State.KEPT.value, State.MISSED.value, State.WAIVED.value, State.UNKNOWN.value})


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is asked for. day: at the destination; None = what was confirmed, or the estimate."""

    by: User | None
    day: date | None = None
    rc: str = ""
    asked_by: str = ""
    is_automatic: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A whole promise that stands nowhere yet."""

    order: Order
    previous: Promise | None
    log: TransparencyLog
    seller: SellerProfile
    number: str
    version: int
    chosen: Chosen
    payload: dict[str, Any]
    data: bytes
    ph: str
    token: bytes
    wish: Wish
    at: datetime


def issue(
    order: Order,
    *,
    by: User | None,
    at: datetime,
    due: datetime | None = None,
    asked_by: str = "",
    rc: str = "",
    is_automatic: bool = False,
) -> Promise:
    """The first commitment of the order or, with a reason, its next version: rows, file and queued log entry together.

    due: any moment of the wanted day; it is rounded up to the end of that day at the destination. Raises NotIssued; then
    nothing was stored.
    """
    day = due.astimezone(ZoneInfo(zone(order, estimates.current(order)))).date() if due else None
    wish = Wish(by=by, day=day, rc=rc, asked_by=asked_by, is_automatic=is_automatic)
    return give(order, wish, at=at)


def give(order: Order, wish: Wish, *, at: datetime, request: IssueRequest | None = None) -> Promise:
    """What issue does. request: is answered in the same transaction. Raises NotIssued; then nothing was stored."""
    draft = drawn(order, wish, at=at)
    paper = papers.keep(rendered(draft))
    return store(draft, paper, request=request)


# Before anything is stored.


def drawn(order: Order, wish: Wish, *, at: datetime) -> Draft:
    """What draw_up does, for an order that goes on. Raises NotIssued."""
    order = Order.objects.select_related("contact", "customer", "shop").get(pk=order.pk)
    _check_order(order)
    return draw_up(order, wish, at=at)


def draw_up(order: Order, wish: Wish, *, at: datetime) -> Draft:
    """Number and salt drawn, payload built and checked, token signed. Raises NotIssued."""
    previous = commitments.current(order)
    if previous is not None and previous.state == State.REVOKED:
        # What was revoked has ended: the next commitment is a new one, with a number of its own.
        previous = None
    estimate = estimates.current(order)
    # The hub moves a date because the estimate says so, whatever a person had confirmed before.
    day = estimate.due_on if wish.is_automatic and previous and estimate else wish.day
    chosen = choose(order, estimate, zone(order, estimate), day=day, at=at)
    _check_step(previous, wish, chosen, estimate, at)
    try:
        seller = writing.seller(is_demo=order.is_demo)
        log = writing.log_of(is_demo=order.is_demo, at=at)
    except writing.NotSetUp as refused:
        raise NotIssued("not_set_up") from refused
    number = previous.number if previous else numbers.draw()
    payload = build(order, chosen, _paper(log, seller, number, previous), at=at)
    data = canonical.encode(payload)
    ph = canonical.digest(data)
    signed = token.sign(
        log.origin,
        _key(log),
        number=number,
        issued_at=payload["issued_at"],
        due=payload["due"],
        ph=bytes.fromhex(ph),
    )
    return Draft(
        order=order,
        previous=previous,
        log=log,
        seller=seller,
        number=number,
        version=previous.version + 1 if previous else 1,
        chosen=chosen,
        payload=payload,
        data=data,
        ph=ph,
        token=signed,
        wish=wish,
        at=at,
    )


def _check_order(order: Order) -> None:
    if order.stage in TOO_LATE or not order.is_open:
        raise NotIssued("closed", stage=order.get_stage_display())


def _check_step(
    previous: Promise | None, wish: Wish, chosen: Chosen, estimate: Estimate | None, at: datetime
) -> None:
    """Whether this version may follow that one. Raises NotIssued."""
    if previous is None:
        if wish.rc:
            raise NotIssued("no_promise")
        return
    if previous.state in ENDED:
        raise NotIssued("ended", state=previous.get_state_display())
    if not wish.rc and not wish.asked_by:
        raise NotIssued("has_one", number=previous.shown_number)
    if wish.rc not in Reason.values or wish.asked_by not in Asker.values:
        raise NotIssued("no_reason")
    if at > previous.due:
        raise NotIssued("overdue")
    if chosen.due == previous.due:
        raise NotIssued("same_date")
    if wish.is_automatic:
        discipline.check(previous, estimate, at=at)


def zone(order: Order, estimate: Estimate | None) -> str:
    """The clock of the destination."""
    return estimate.zone if estimate else zone_of(order)


def _paper(log: TransparencyLog, seller: SellerProfile, number: str, previous: Promise | None) -> Paper:
    head = reading.newest(log)
    return Paper(
        origin=log.origin,
        number=number,
        salt=secrets.token_hex(16),
        seller_name=seller.legal_name,
        seller_uscc=seller.uscc,
        terms=terms_hash(terms_of(seller)),
        seen=(head.size, bytes(head.root).hex()) if head else (0, ""),
        supersedes=previous.ph if previous else None,
    )


def _key(log: TransparencyLog) -> Ed25519PrivateKey:
    """What signs the code on papers. Raises NotIssued."""
    try:
        return keys.token_key(log)
    except keys.KeyMissing as missing:
        raise NotIssued("no_key", what=missing) from missing


def terms_of(seller: SellerProfile) -> str:
    """The terms in both languages as one text: what the payload holds the hash of."""
    return "\n\n".join(part for part in (seller.terms.strip(), seller.terms_en.strip()) if part)


def rendered(draft: Draft) -> bytes:
    """The paper's bytes. Raises NotIssued where it cannot be made."""
    # Here, because only the worker makes papers: what it takes to make them fills a process.
    from promises.document import Letterhead, Unprintable, render, signed, signer

    try:
        seal = signer()
        paper = render(
            draft.payload,
            token_text=token.to_text(draft.token),
            verify_url=f"{settings.PUBLIC_URL.rstrip('/')}/v/",
            terms=terms_of(draft.seller),
            letterhead=Letterhead(hotline=draft.seller.hotline, serial=seal.serial if seal else ""),
        )
        return signed(paper, seal) if seal else paper
    except Unprintable as refused:
        raise NotIssued("paper", what=refused) from refused


# Storing it.


def store(draft: Draft, paper: papers.Kept, *, request: IssueRequest | None = None) -> Promise:
    """Promise, file and log entry in one transaction: either all of it is there, or none. Raises NotIssued.

    The paper may leave the house only once this has returned: whoever holds one can then insist on its entry.
    """
    with writing.transaction():
        # Two issuers read the same newest version; the second must not write beside the first.
        Order.objects.select_for_update(no_key=True).get(pk=draft.order.pk)
        _check_unmoved(draft)
        pending = _queued(draft, paper)
        promise = _row(draft, pending)
        PromiseFile.objects.create(
            promise=promise,
            sha256=paper.sha256,
            sm3=paper.sm3,
            path=paper.path,
            n_bytes=paper.n_bytes,
            is_demo=draft.order.is_demo,
        )
        if request is not None:
            request.state, request.promise, request.ended_at = IssueRequest.State.ISSUED, promise, draft.at
            request.code, request.words = "", {}
            request.save(update_fields=["state", "promise", "ended_at", "code", "words"])
        _tell_house(draft, promise)
        transaction.on_commit(partial(papers.is_named, paper))
    return promise


def _check_unmoved(draft: Draft) -> None:
    newest = commitments.current(draft.order)
    if newest is not None and newest.state == State.REVOKED:
        newest = None
    if (newest and (newest.pk, newest.state)) == (
        draft.previous and (draft.previous.pk, draft.previous.state)
    ):
        return
    if newest is not None and draft.previous is None:
        raise NotIssued("has_one", number=newest.shown_number)
    raise NotIssued("changed", version=newest.version if newest else "-")


def _queued(draft: Draft, paper: papers.Kept) -> LogPending:
    body: dict[str, Any] = {"ph": draft.ph, "pdf": paper.sha256, "due": draft.payload["due"]}
    dedup = f"promise:{draft.number}:{draft.version}"
    if draft.previous is None:
        body["nh"] = number_hash(draft.number)
        return writing.queue(draft.log, "issue", body, dedup=dedup, at=draft.at)
    body |= {"by": draft.wish.asked_by, "rc": draft.wish.rc}
    first = Promise.objects.select_related("pending").get(number=draft.number, version=1)
    return writing.queue(draft.log, "revise", body, dedup=dedup, about=first.pending, at=draft.at)


def number_hash(number: str) -> str:
    """What stands in the log in place of the number, which opens the page."""
    return hashlib.sha256(b"no\n" + number.encode()).hexdigest()


def _row(draft: Draft, pending: LogPending) -> Promise:
    previous, wish, window = draft.previous, draft.wish, draft.chosen.window
    if previous is not None:
        Promise.objects.filter(pk=previous.pk).update(
            state=State.SUPERSEDED, state_at=draft.at, judge_at=None
        )
    first_due = previous.first_due if previous else draft.chosen.due
    return Promise.objects.create(
        number=draft.number,
        version=draft.version,
        order=draft.order,
        ph=draft.ph,
        payload=draft.data,
        token=draft.token,
        due=draft.chosen.due,
        first_due=first_due,
        window_from=window[0] if window else None,
        window_to=window[1] if window else None,
        supersedes=previous,
        rc=wish.rc,
        asked_by=wish.asked_by,
        is_automatic=wish.is_automatic,
        pending=pending,
        made_by=wish.by,
        made_at=draft.at,
        state_at=draft.at,
        judge_at=first_due + timedelta(seconds=draft.log.grace + 1),
        is_demo=draft.order.is_demo,
    )


def _tell_house(draft: Draft, promise: Promise) -> None:
    """The audit, and the board's column."""
    wish = draft.wish
    after = {
        "number": promise.number,
        "version": promise.version,
        "due": promise.due.isoformat(),
        "ph": promise.ph,
        "rc": wish.rc,
        "asked_by": wish.asked_by,
    }
    with audit.acting(actor=wish.by or audit.current().actor, way=audit.current().way):
        audit.record("promise.issue", promise, after=after)
    asked = Todo.objects.filter(order=draft.order, kind=Todo.Kind.REQUEST, subject=TODO, done_at=None)
    asked.update(done_at=draft.at, done_by=wish.by, outcome=f"{promise}")
    write_promise(
        draft.order.pk,
        promised_at=promise.due,
        cause=Cause(
            source="hub",
            key=f"promise:{promise.number}:{promise.version}",
            actor_id=wish.by.pk if wish.by else None,
        ),
        at=draft.at,
    )


def n_moved(number: str) -> int:
    """How often the date was moved."""
    newest: int | None = Promise.objects.filter(number=number).aggregate(newest=Max("version"))["newest"]
    return max((newest or 1) - 1, 0)
