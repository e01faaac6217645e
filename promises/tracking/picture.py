"""What an order's page shows, as of one moment. It is read, never written here; whatever is not known is not said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from orders.masters import SourceHeard
from orders.models import Order, OrderLine, Parcel
from orders.retractions import not_taken_back
from orders.stages import FACT_KINDS, STAGE_ROWS, Level, ParcelState, RiskLevel, Role, Stage
from orders.transitions import facts_by_order
from orders.units import FactRow, in_time
from promises.commitments.models import Promise
from promises.estimates.models import Estimate
from promises.said import Said
from promises.token import to_text
from promises.tracking import causes, words
from promises.tracking.models import CustomerRequest, NextUpdate
from promises.tracking.words import WAY, Milestone

STEPS_SHOWN = 3
STEPS_AT_MOST = 40
NEWS_READ = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. waybill: which parcel, where there are several."""

    words: str
    at: datetime
    waybill: str = ""


@dataclass(frozen=True, slots=True)
class ParcelShown:
    """One parcel. contents: (article, units) where the parcels divide the order; of_all: units of the article ordered."""

    waybill: str
    carrier: str
    state: str
    at: datetime
    contents: Sequence[tuple[str, Decimal, Decimal]] = ()
    is_delivered: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """One source of this order's news: when it last said something of the order, and when it last said anything."""

    who: str
    news_at: datetime
    heard_at: datetime | None
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    meaning: str
    words: StrOrPromise


@dataclass(frozen=True)
class Picture:
    """Everything the page says. due: the date that counts, the commitment's where there is one."""

    order: Order
    at: datetime
    sentence: str
    milestone: Milestone
    signs: causes.Signs
    cause: causes.Cause | None
    chip: Chip | None
    estimate: Estimate | None
    promise: Promise | None
    due: datetime | None
    news: NextUpdate | None
    missed_news: NextUpdate | None
    delivered_at: datetime | None
    parcels: list[ParcelShown] = field(default_factory=list)
    lines: list[OrderLine] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    requests: list[CustomerRequest] = field(default_factory=list)
    # The newest of them, whatever came of them.
    promised_news: list[NextUpdate] = field(default_factory=list)

    @property
    def is_delayed(self) -> bool:
        return causes.is_delay(self.signs)

    @property
    def is_dispatched(self) -> bool:
        return self.milestone in {Milestone.ON_WAY, Milestone.NEARBY, Milestone.ARRIVED}

    @property
    def is_awaited(self) -> bool:
        """Are the goods still to come? Else there is no date to speak of, and no address to ask for."""
        return self.milestone in WAY and self.milestone != Milestone.ARRIVED

    @property
    def cause_words(self) -> causes.CauseWords | None:
        return causes.CAUSES[self.cause] if self.cause else None

    @property
    def way(self) -> list[tuple[Milestone, str]]:
        """The milestones with "done", "now" or "" each; none once the order has left the way."""
        if self.milestone not in WAY:
            return []
        here = WAY.index(self.milestone)
        marks = ["done"] * here + ["now"] + [""] * (len(WAY) - here - 1)
        return list(zip(WAY, marks, strict=True))

    @property
    def place(self) -> int:
        return WAY.index(self.milestone) + 1 if self.milestone in WAY else 0

    @property
    def parcels_sentence(self) -> str:
        return words.parcels_sentence(sum(one.is_delivered for one in self.parcels), len(self.parcels))

    @property
    def latest_news_at(self) -> datetime | None:
        """When any source of this order was last heard."""
        times = [one.heard_at or one.news_at for one in self.heard]
        return max(times) if times else None

    @property
    def odds_words(self) -> int:
        """How many of a hundred such orders are there by the latest date."""
        odds = (self.estimate.odds or self.estimate.service_level) if self.estimate else 0
        return odds // 10

    @property
    def promise_local(self) -> datetime | None:
        """The commitment's date on the clock of the destination: a promise counts its days."""
        return self.promise.due.astimezone(self.promise.zone) if self.promise else None

    @property
    def promise_state_words(self) -> str:
        return str(self.promise.get_state_display()) if self.promise else ""

    @property
    def told_by(self) -> datetime | None:
        """The latest date that was told first, where neither the estimate nor a commitment says the same."""
        told = self.order.promised_at
        if self.promise is not None or told is None or (self.estimate and self.estimate.due_at == told):
            return None
        return told

    @property
    def left(self) -> timedelta | None:
        """Time left until the date that counts; None once it has gone by."""
        return self.due - self.at if self.due and self.due > self.at else None

    @property
    def verify_path(self) -> str:
        """Where the commitment can be checked; empty while no such page is installed."""
        path = f"/v/{to_text(bytes(self.promise.token))}" if self.promise else ""
        return path if path and _is_there(path) else ""


def _is_there(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def picture_of(order: Order, at: datetime, *, is_whole: bool = True, said: Said | None = None) -> Picture:
    """Eight small queries, however long the order's history is; one less where the order's parcels were prefetched.

    is_whole=False: five; without the steps, the articles and where the news comes from. said: what the page it stands
    on has read of the order already.
    """
    parcels = sorted(order.parcels.all(), key=lambda row: row.pk)
    rows = [row for row in parcels if row.state != ParcelState.VOIDED]
    lines = list(order.lines.order_by("pk")) if is_whole else []
    facts = sorted(facts_by_order([order.pk]).get(order.pk, ()), key=in_time) if is_whole else []
    estimate = said.estimate if said else Estimate.objects.filter(order=order, is_current=True).first()
    promise = said.promise if said else Promise.objects.filter(order=order).order_by("-pk").first()
    stage, due = Stage(order.stage), _due(order, estimate, promise)
    delivered_at = _delivered_at(order, rows)
    signs = _signs(order, rows, due, at)
    newest = list(NextUpdate.objects.filter(order=order).order_by("-pk")[:NEWS_READ])
    news = next((one for one in newest if not one.kept_at and not one.missed_at), None)
    return Picture(
        order=order,
        at=at,
        sentence=words.sentence_of(stage, _carrier(rows)),
        milestone=words.STAGES[stage].milestone,
        signs=signs,
        cause=_cause(signs, news),
        chip=chip_of(signs, due, delivered_at),
        estimate=estimate if estimate and estimate.due_at and estimate.due_at >= at else None,
        promise=promise,
        due=due,
        news=news,
        missed_news=_missed(newest),
        promised_news=newest,
        delivered_at=delivered_at,
        parcels=_parcels(rows, lines),
        lines=lines,
        steps=_steps(facts, has_several=len(rows) > 1),
        heard=_heard(order, facts, rows),
        requests=list(CustomerRequest.objects.filter(order=order).select_related("todo")[:3]),
    )


def _due(order: Order, estimate: Estimate | None, promise: Promise | None) -> datetime | None:
    """The date the customer counts on: the word given on paper, else the date first told, else what is estimated now."""
    if promise is not None and promise.state not in {Promise.State.REVOKED, Promise.State.WAIVED}:
        return promise.due
    if order.promised_at is not None:
        return order.promised_at
    return estimate.due_at if estimate is not None else None


def _signs(order: Order, parcels: Sequence[Parcel], due: datetime | None, at: datetime) -> causes.Signs:
    stage = Stage(order.stage)
    return causes.Signs(
        stage=stage,
        parcel_states=[row.state for row in parcels],
        is_short=order.is_short,
        is_held=order.is_held,
        is_stalled=order.stalled_at is not None and stage not in causes.OVER,
        is_late=due is not None and due < at and stage not in causes.OVER,
        risk=order.promise_risk if stage not in causes.OVER else "",
    )


def chip_of(signs: causes.Signs, due: datetime | None, delivered_at: datetime | None) -> Chip | None:
    """In time or not, in a word. Green only when somebody has worked it out; silence is never green."""
    if signs.stage in {Stage.DELIVERED, Stage.COMPLETED}:
        return _chip_of_arrival(due, delivered_at)
    if signs.stage in {Stage.CANCELLING, Stage.CANCELLED, Stage.RETURNING, Stage.RETURNED}:
        return None
    if signs.is_late:
        return Chip("danger", _("Late"))
    if signs.risk == RiskLevel.AT_RISK:
        return Chip("warn", _("May be late"))
    if causes.cause_of(signs) is not None:
        return (
            Chip("stale", _("Waiting for news")) if signs.is_stalled else Chip("warn", _("Needs attention"))
        )
    if due is None or not signs.risk:
        return None
    return (
        Chip("ok", _("On time")) if signs.risk == RiskLevel.ON_TRACK else Chip("info", _("Close to the date"))
    )


def _chip_of_arrival(due: datetime | None, delivered_at: datetime | None) -> Chip | None:
    if due is None or delivered_at is None:
        return None
    return (
        Chip("ok", _("Arrived on time")) if delivered_at <= due else Chip("warn", _("Arrived after the date"))
    )


def _cause(signs: causes.Signs, news: NextUpdate | None) -> causes.Cause | None:
    """What a person told the customer stands until the next news; else what the signs say."""
    if news is not None and news.given_by_id is not None:
        return causes.Cause(news.cause)
    return causes.cause_of(signs)


def _missed(newest: Sequence[NextUpdate]) -> NextUpdate | None:
    """The promised news that did not come, until some does."""
    for one in newest:
        if one.missed_at:
            return one
        if one.kept_at:
            return None
    return None


def _delivered_at(order: Order, parcels: Sequence[Parcel]) -> datetime | None:
    """When the last parcel arrived. Orders without a known parcel: when we heard of it."""
    if order.stage not in {Stage.DELIVERED, Stage.COMPLETED}:
        return None
    times = [row.state_at for row in parcels if row.state == ParcelState.DELIVERED]
    return max(times) if times else (order.stage_since if order.stage == Stage.DELIVERED else None)


def _carrier(parcels: Sequence[Parcel]) -> str:
    """The carrier's name if all parcels go with the same one."""
    names = {words.carrier_name(row.carrier) for row in parcels}
    return names.pop() if len(names) == 1 else ""


def _parcels(rows: Sequence[Parcel], lines: Sequence[OrderLine]) -> list[ParcelShown]:
    known = {line.sku: (line.name or line.sku, line.ordered - line.cancelled) for line in lines}
    return [
        ParcelShown(
            waybill=row.waybill,
            carrier=words.carrier_name(row.carrier),
            state=words.parcel_words(row.state),
            at=row.state_at,
            contents=[
                (*_named(known, sku, Decimal(str(units))),) for sku, units in sorted(row.contents.items())
            ],
            is_delivered=row.state == ParcelState.DELIVERED,
        )
        for row in rows
    ]


def _named(known: dict[str, tuple[str, Decimal]], sku: str, units: Decimal) -> tuple[str, Decimal, Decimal]:
    name, ordered = known.get(sku, (sku, units))
    return name, units, ordered


def _steps(facts: Sequence[FactRow], *, has_several: bool) -> list[Step]:
    """What happened, the newest first. The same again in a row, such as one scan after another, is told once."""
    found: list[Step] = []
    for fact in not_taken_back(facts):
        said = words.step_words(fact.kind)
        if not said:
            continue
        is_parcel = FACT_KINDS[fact.kind].level == Level.PARCEL
        step = Step(said, fact.occurred_at, fact.level_id if has_several and is_parcel else "")
        if found and (found[-1].words, found[-1].waybill) == (step.words, step.waybill):
            found.pop()
        found.append(step)
    return found[: -STEPS_AT_MOST - 1 : -1]


# Who tells the customer's news, by the role of the source. Other sources are ours to know.
def _teller(role: str, carrier: str) -> str:
    if role == Role.CARRIER:
        return carrier or _("Carrier")
    return {
        Role.SHOP.value: _("Shop"),
        Role.WMS.value: _("Warehouse"),
        Role.ERP.value: _("Warehouse"),
    }.get(role, "")


def _heard(order: Order, facts: Sequence[FactRow], parcels: Sequence[Parcel]) -> list[Heard]:
    """Where the news comes from and how fresh it is. One query."""
    carrier = _carrier(parcels)
    newest: dict[str, FactRow] = {}
    for fact in facts:
        if _teller(fact.role, carrier):
            newest[fact.source] = max(newest.get(fact.source, fact), fact, key=lambda one: one.received_at)
    heard = dict(SourceHeard.objects.filter(source__in=newest).values_list("source", "heard_at"))
    awaited = STAGE_ROWS[Stage(order.stage)].next_role
    best: dict[str, Heard] = {}
    for source, fact in newest.items():
        who = _teller(fact.role, carrier)
        is_silent = order.stalled_at is not None and order.is_open and fact.role == awaited
        one = Heard(who, fact.received_at, heard.get(source), is_silent)
        if who not in best or best[who].news_at < one.news_at:
            best[who] = one
    return sorted(best.values(), key=lambda one: one.news_at, reverse=True)


def context_of(picture: Picture) -> dict[str, Any]:
    return {
        "picture": picture,
        "steps": picture.steps[:STEPS_SHOWN],
        "earlier": picture.steps[STEPS_SHOWN:],
    }
