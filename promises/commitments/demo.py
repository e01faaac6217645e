"""The demo seller's word: who promises, and a few commitments in every state, in a log of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Max, Min
from django.utils.timezone import localdate

from orders.models import Order, OrderFact
from orders.stages import Stage
from promises.commitments import issuing, life, papers
from promises.commitments.issuing import Wish
from promises.commitments.models import Asker, Outcome, Promise, PromiseFile, Reason
from promises.commitments.refusals import NotIssued
from promises.ledger.models import SellerProfile, TransparencyLog

# A paper takes a fifth of a second to make.
N_OPEN, N_ENDED = 8, 3
HOUR = timedelta(hours=1)
WAITING = (Stage.AWAITING_STOCK, Stage.AWAITING_WAYBILL, Stage.AWAITING_PICK, Stage.IN_TRANSIT, Stage.SHIPPED)
# What happens at which moment. They happen in turn: the log's order is the order of time.
Happening = tuple[datetime, Callable[[], object]]


def fill(at: datetime) -> int:
    """Give some demo orders their commitments, as if it had been done when their dates were confirmed; how many versions.

    Does nothing where there are some already.
    """
    if Promise.objects.filter(is_demo=True).exists():
        return 0
    make_seller()
    happenings = [*_ended(at), *_going_on(at)]
    for _when, happen in sorted(happenings, key=lambda one: one[0]):
        happen()
    return Promise.objects.filter(is_demo=True).count()


def make_seller() -> None:
    """Somebody who promises, unless there is somebody: plainly no company that exists."""
    if SellerProfile.the_one() is not None:
        return
    SellerProfile.objects.create(
        legal_name="演示汽配（虚构，非真实企业）",
        uscc="000000000000000000",
        slug="demo-parts",
        hotline="000-0000-0000",
        terms="未按承诺日期送达的，本演示商家承担往返运费。不适用：收货人改期、地址有误。",
        terms_en="If we miss the date, this demo seller pays the freight both ways. Not where the recipient changed the "
        "date or the address was wrong.",
        apology="很抱歉，我们没有按承诺的日期送达。运费将退还给您。",
        apology_en="We are sorry that your goods did not arrive by the promised date. We refund the freight.",
        is_demo=True,
    )


def clear() -> dict[str, int]:
    """Take the demo's commitments, their papers, their log and its seller out again; how many of each."""
    files = list(PromiseFile.objects.filter(is_demo=True))
    n_outcomes, _kinds = Outcome.objects.filter(is_demo=True).delete()
    PromiseFile.objects.filter(is_demo=True).delete()
    n_promises, _kinds = Promise.objects.filter(is_demo=True).delete()
    n_logs, _kinds = TransparencyLog.objects.filter(is_demo=True).delete()
    n_sellers, _kinds = SellerProfile.objects.filter(is_demo=True).delete()
    transaction.on_commit(lambda: _unlink(files))
    return {"promise": n_promises, "outcome": n_outcomes, "log": n_logs, "sellerprofile": n_sellers}


def _unlink(files: Sequence[PromiseFile]) -> None:
    for file in files:
        file.full_path.unlink(missing_ok=True)


def _ended(at: datetime) -> list[Happening]:
    """One kept, one kept after its date was moved later than it had to be, one missed."""
    delivered = (
        Order.objects.filter(
            is_demo=True, stage__in=[Stage.DELIVERED, Stage.COMPLETED], contact__isnull=False
        )
        .exclude(contact__city="")
        .annotate(last=Max("parcels__state_at"))
        .filter(last__gt=at - timedelta(days=10), last__lt=at - HOUR)
        .order_by("-last")
    )
    found: list[Happening] = []
    for place, order in enumerate(delivered[:N_ENDED]):
        confirmed_at = _confirmed_at(order)
        if confirmed_at is None or order.last - confirmed_at < 2 * HOUR:
            continue
        is_missed = place == N_ENDED - 1
        day = localdate(max(order.last - timedelta(days=1), confirmed_at) if is_missed else order.last)
        found += [
            (confirmed_at, partial(_issue, order, Wish(by=None, day=day), confirmed_at)),
            (order.last + HOUR, partial(_judge, order, order.last + HOUR)),
        ]
    return found


def _going_on(at: datetime) -> list[Happening]:
    """Orders on their way, the first of which had its date moved once."""
    waiting = Order.objects.filter(
        is_demo=True,
        is_open=True,
        stage__in=WAITING,
        is_test=False,
        contact__isnull=False,
        confirmed_on__gt=localdate(at),
    ).exclude(contact__city="")
    found: list[Happening] = []
    for place, order in enumerate(waiting.order_by("pk")[:N_OPEN]):
        confirmed_at = _confirmed_at(order)
        if confirmed_at is None:
            continue
        found.append((confirmed_at, partial(_issue, order, Wish(by=None), confirmed_at)))
        if place == 0 and order.confirmed_on:
            moved_at = confirmed_at + (at - confirmed_at) / 2
            wish = Wish(
                by=None,
                day=order.confirmed_on + timedelta(days=2),
                rc=Reason.WEATHER,
                asked_by=Asker.SELLER,
            )
            found.append((moved_at, partial(_issue, order, wish, moved_at)))
    return found


def _confirmed_at(order: Order) -> datetime | None:
    found: datetime | None = (
        OrderFact.objects.of_order(order)
        .filter(kind="date.confirmed")
        .aggregate(first=Min("occurred_at"))["first"]
    )
    return found


def _issue(order: Order, wish: Wish, at: datetime) -> None:
    order = Order.objects.select_related("contact", "customer", "shop").get(pk=order.pk)
    try:
        draft = issuing.draw_up(order, wish, at=at)
    except NotIssued:
        # A story that no promise fits; the next one will.
        return
    issuing.store(draft, papers.keep(issuing.rendered(draft)))


def _judge(order: Order, at: datetime) -> None:
    for pk in Promise.objects.filter(order=order, state=Promise.State.ACTIVE).values_list("pk", flat=True):
        life.judge(pk, at=at)
