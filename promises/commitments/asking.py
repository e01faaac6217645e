"""Asking for a commitment, and answering: whoever asks leaves a row, the worker draws, renders and stores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.timezone import now

from orders import tasks
from orders.models import Order, OrderEvent, Todo
from orders.stages import RiskLevel, Stage, Step, StepState
from promises import commitments, estimates
from promises.commitments import discipline, issuing, life, papers
from promises.commitments.models import CommitmentRule, IssueRequest, Promise, open_judgement
from promises.commitments.refusals import WAITS, NotIssued
from promises.ledger.models import SellerProfile

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
# An answer takes a second; a worker that has not given one by then has died with it.
LEASE = timedelta(seconds=60)
SLICE = timedelta(seconds=8)
# Longer than any issuing takes.
STRAYS_KEPT_FOR = timedelta(days=1)
State = IssueRequest.State
# Whoever hears of one of these looks at the promise again.
ENDS = frozenset(
    {
        Stage.DELIVERED.value,
        Stage.COMPLETED.value,
        Stage.CANCELLED.value,
        Stage.RETURNING.value,
        Stage.RETURNED.value,
    }
)


# Asking.


def ask(
    order: Order,
    *,
    by: User | None,
    at: datetime,
    day: date | None = None,
    rc: str = "",
    asked_by: str = "",
    is_automatic: bool = False,
) -> IssueRequest:
    """Leave the wish for the worker; one of each order may be open. Raises NotIssued if one is."""
    previous = commitments.current(order)
    wish: dict[str, Any] = {
        "due_on": day,
        "rc": rc,
        "asked_by": asked_by,
        "is_automatic": is_automatic,
        "of_version": previous.version if previous and previous.is_live else 0,
        "asker": by,
        "asked_at": at,
        "not_before": at,
        "attempts": 0,
        "code": "",
        "words": {},
    }
    with transaction.atomic():
        # What only waits gives way to what somebody asks for now.
        waiting = IssueRequest.objects.filter(order=order, state=State.ASKED, code__in=WAITS)
        waiting.update(state=State.REFUSED, code="changed", ended_at=at)
        try:
            with transaction.atomic():
                request: IssueRequest = IssueRequest.objects.create(order=order, **wish)
        except IntegrityError:
            raise NotIssued("asked_already") from None
        tasks.hint("commitments")
    return request


def observe(events: Sequence[OrderEvent]) -> None:
    """Reaction: a confirmed date asks for a commitment, a date in danger for its next version, an end for a verdict.

    Rows only; the worker does what they ask for. What was re-judged silently asks for nothing.
    """
    heard = [event for event in events if not event.silent]
    confirmed = {event.order_id: event.recorded_at for event in heard if _confirms(event)}
    endangered = {event.order_id: event.recorded_at for event in heard if _endangers(event)}
    ended = {event.order_id: event.recorded_at for event in heard if _ends(event)}
    if confirmed:
        _ask_for_first(confirmed)
    if endangered:
        _ask_for_later(endangered)
    if ended and open_judgement(set(ended), max(ended.values())):
        tasks.hint("commitments")


def _confirms(event: OrderEvent) -> bool:
    if event.kind == OrderEvent.Kind.STEP:
        return event.name == Step.DATE.value and event.new == StepState.DONE.value
    return event.kind == OrderEvent.Kind.FLAG and event.name == "confirmed_on" and bool(event.new)


def _endangers(event: OrderEvent) -> bool:
    return (
        event.kind == OrderEvent.Kind.PROMISE
        and event.name == "promise_risk"
        and event.new == RiskLevel.AT_RISK.value
    )


def _ends(event: OrderEvent) -> bool:
    return event.kind == OrderEvent.Kind.MOVED and event.new in ENDS


def _ask_for_first(confirmed: dict[int, datetime]) -> None:
    orders = list(Order.objects.filter(pk__in=confirmed, is_test=False, is_open=True).only("pk", "shop_id"))
    automatic = _shops_at_once({order.shop_id for order in orders})
    has_one = set(
        Promise.objects.filter(order__in=[order.pk for order in orders])
        .exclude(state=Promise.State.REVOKED)
        .values_list("order_id", flat=True)
    )
    wanted = [order.pk for order in orders if order.shop_id in automatic and order.pk not in has_one]
    _leave([IssueRequest(order_id=pk, asked_at=confirmed[pk], not_before=confirmed[pk]) for pk in wanted])


def _shops_at_once(shops: set[int]) -> set[int]:
    """Of these shops, those that give their word as soon as the date is confirmed."""
    at_once = CommitmentRule.IssueOn.DATE_CONFIRMED.value
    seller = SellerProfile.the_one()
    usual = seller.issue_on if seller else at_once
    rules = dict(CommitmentRule.objects.filter(shop__in=shops).values_list("shop_id", "issue_on"))
    return {shop for shop in shops if rules.get(shop, usual) == at_once}


def _ask_for_later(endangered: dict[int, datetime]) -> None:
    live = Promise.objects.filter(order__in=endangered, state=Promise.State.ACTIVE).select_related("order")
    _leave(
        [
            IssueRequest(
                order_id=promise.order_id,
                rc=discipline.cause_of(promise.order),
                asked_by="seller",
                is_automatic=True,
                of_version=promise.version,
                asked_at=endangered[promise.order_id],
                not_before=endangered[promise.order_id],
            )
            for promise in live
            if discipline.is_outside(promise, estimates.current(promise.order))
        ]
    )


def _leave(requests: list[IssueRequest]) -> None:
    if requests:
        # Whatever is open for an order already stands.
        IssueRequest.objects.bulk_create(requests, ignore_conflicts=True)
        tasks.hint("commitments")


# Answering.


def work() -> None:
    """The worker's part: answer what is asked and judge what is due, for one slice at most."""
    tasks.take("commitments")
    started = now()
    papers.forget_strays(started - STRAYS_KEPT_FOR)
    while _answer_next(now()) or life.judge_due(now(), limit=20):
        if now() - started > SLICE:
            tasks.hint("commitments")
            break
    tasks.finish("commitments")


def sweep() -> None:
    """The steward's part: what was asked for or is due and nobody works on is hinted at again."""
    at = now()
    if _next(at) is not None or life.due(at).exists():
        tasks.hint("commitments")


def _next(at: datetime) -> IssueRequest | None:
    """The oldest request that may be answered now. Before anybody has said who promises, none may."""
    found = (
        IssueRequest.objects.filter(state=State.ASKED, not_before__lte=at)
        .order_by("not_before", "pk")
        .first()
    )
    return found if found is None or SellerProfile.the_one() is not None else None


def _answer_next(at: datetime) -> bool:
    """Claim one request and answer it; False if there was none."""
    request = _next(at)
    if request is None:
        return False
    # Two workers may look at once; the number of attempts lets one of them through.
    claimed = IssueRequest.objects.filter(pk=request.pk, state=State.ASKED, attempts=request.attempts).update(
        attempts=F("attempts") + 1, not_before=at + LEASE
    )
    if claimed:
        answer(IssueRequest.objects.select_related("order", "asker").get(pk=request.pk), at=at)
    return True


def answer(request: IssueRequest, *, at: datetime) -> Promise | None:
    """Issue what was asked for, or write down why not. A claimed request that nobody answers is taken up again."""
    try:
        _check_version(request)
        wish = issuing.Wish(
            by=request.asker,
            day=request.due_on,
            rc=request.rc,
            asked_by=request.asked_by,
            is_automatic=request.is_automatic,
        )
        return issuing.give(request.order, wish, at=at, request=request)
    except NotIssued as refused:
        _refuse(request, refused, at)
    except Exception:
        logger.exception("the commitment of order %s was not issued", request.order_id)
        _put_off(request, at)
    return None


def _check_version(request: IssueRequest) -> None:
    newest = commitments.current(request.order)
    version = newest.version if newest and newest.is_live else 0
    if request.rc and version != request.of_version:
        raise NotIssued("changed", version=newest.version if newest else "-")


def _refuse(request: IssueRequest, refused: NotIssued, at: datetime) -> None:
    if refused.code in WAITS:
        request.not_before = _when(request, refused, at)
    else:
        request.state, request.ended_at = State.REFUSED, at
    if refused.code == "needs_person":
        _leave_to_person(request.order, at)
    request.code, request.words = refused.code, refused.words
    request.save(update_fields=["state", "ended_at", "code", "words", "not_before"])


def _leave_to_person(order: Order, at: datetime) -> None:
    """A to-do for sales, once; the next version closes it."""
    Todo.objects.get_or_create(
        order=order,
        kind=Todo.Kind.REQUEST,
        subject=issuing.TODO,
        done_at=None,
        defaults={"owner": "sales", "opened_at": at, "is_demo": order.is_demo},
    )


def _when(request: IssueRequest, refused: NotIssued, at: datetime) -> datetime:
    """When it is worth another try."""
    newest = commitments.current(request.order)
    if refused.code == "too_soon" and newest is not None:
        return discipline.last_moved(newest.number) + discipline.NOT_AGAIN_WITHIN
    return at + timedelta(minutes=5)


def _put_off(request: IssueRequest, at: datetime) -> None:
    if request.attempts >= MAX_ATTEMPTS:
        request.state, request.ended_at = State.REFUSED, at
    request.code = "program"
    request.not_before = at + timedelta(minutes=2**request.attempts)
    request.save(update_fields=["state", "ended_at", "code", "not_before"])
