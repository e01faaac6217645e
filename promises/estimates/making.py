"""Making estimates: what can be said now of open orders, by what was learned last night. Imports numpy: for workers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from django.db import transaction

from orders.board.written import PromiseColumns, write_promises
from orders.bulk import update_rows
from orders.models import Order
from orders.stages import CLOSED, RiskLevel, Stage
from orders.transitions import Cause
from orders.worktime import Calendar, CalendarNeverOpens, calendar_of
from promises.commitments.models import Promise
from promises.estimates import far, journeys, scoring, standing
from promises.estimates.learned import Learned
from promises.estimates.models import Estimate, Journey, PromiseRule
from promises.eta import processing
from promises.eta.forecast import WINDOW, Forecast, NoDate
from promises.eta.orders import CAP_DAYS, Placed, end_of
from promises.eta.processing import Line, NeverLeaves
from promises.recalibration import Recalibration

ONE_DAY = timedelta(days=1)
PROBES = 10
# A warehouse that nobody has given pick-up times: one lorry, late in the afternoon.
USUAL_PICKUPS = (time(17, 0),)
# Hours of the destination in which parcels are brought to the door.
COURIERS_FROM, COURIERS_UNTIL = 8, 20
_LOOKS = (time(12, 0), time(19, 0))
# Chances to be late, per mille, above which an order is to be watched, and is at risk.
WATCH_ABOVE, RISK_ABOVE = 150, 300
# The tail in which nothing is known any more: an order out for so long has outlived nearly all that was seen.
_OUTLIVED = 0.998
_NOT_COPIED = frozenset({"id", "is_first", "made_at", "outcome", "outcome_at", "delivered_at"})
HUB = Cause(source="orderhub")
# Not promised yet: the date follows the estimate until somebody has confirmed it.
UNSETTLED = frozenset({Stage.INTAKE, Stage.AWAITING_PAYMENT, Stage.PLATFORM_REVIEW, Stage.AWAITING_DATE})
# The house is at work on it: nobody stands in front of it any more.
BEGUN = frozenset({Stage.PICKING, Stage.AWAITING_PACK, Stage.AWAITING_HANDOVER})
NOTHING_TO_SAY = CLOSED | {Stage.DELIVERED, Stage.CANCELLING, Stage.RETURNING}


@dataclass(frozen=True, slots=True)
class Outlook:
    """The odds of each day for one order. odds: within so many days of first; gone: days that brought nothing, today in part."""

    first: date
    odds: Callable[[float], float]
    gone: float
    level: str
    n: int
    reasons: list[dict[str, Any]]
    inputs: dict[str, Any]

    @property
    def _before(self) -> float:
        return self.odds(self.gone - 1) if self.gone > 0 else 0.0

    @property
    def is_outlived(self) -> bool:
        return self._before >= _OUTLIVED

    def chance(self, day: date) -> float:
        """That it arrives by the end of this day, given that it has not until now."""
        before = self._before
        if before >= 1:
            # Out for longer than anything that was ever seen: of such orders nothing is known.
            return 0.0
        return max(0.0, (self.odds((day - self.first).days) - before) / (1 - before))

    def day_at(self, odds: float) -> date | None:
        """The first day by whose end the odds are reached; None if no promise goes there."""
        before = self._before
        wanted = before + odds * (1 - before)
        first = max(int(self.gone), 0)
        for days in range(first, first + CAP_DAYS + 1):
            if self.odds(days) >= wanted:
                return self.first + timedelta(days=days)
        return None

    def probe(self, number: int) -> dict[str, Any] | None:
        """A day at one of PROBES levels of odds in turn, with its odds: promises alone would try high odds only."""
        day = self.day_at((number % PROBES + 0.5) / PROBES)
        return {"by": day.isoformat(), "odds": round(1000 * self.chance(day))} if day else None

    def read_by(self, reading: Callable[[float], float]) -> Outlook:
        """The same with its odds as a person has put them in force."""
        odds = self.odds
        return replace(self, odds=lambda days: reading(odds(days)))


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nothing can be said, and how many orders there are to learn from."""

    why: str
    n: int
    inputs: dict[str, Any]


def estimate(
    orders: Collection[Order], *, at: datetime, cause: Cause = HUB, is_history: bool = False
) -> list[Estimate]:
    """Say of each of these orders what can be said now, score those that have ended, and tell the board.

    An order of which the same would be said again keeps its estimate. Returns the new ones. Give the orders as
    journeys.orders_of does.
    """
    with transaction.atomic():
        desk = Desk(orders, at)
        for order in orders:
            desk.look_at(order)
        return desk.write(cause, is_history=is_history)


class Desk:
    """What a batch of orders needs, read once; what is said of them, written once."""

    def __init__(self, orders: Collection[Order], at: datetime) -> None:
        self.at = at
        self.journeys = journeys.note(orders, at)
        self.ids = [order.pk for order in orders]
        current = Estimate.objects.current().select_for_update(no_key=True).filter(order_id__in=self.ids)
        self.current = {one.order_id: one for one in current.order_by("order_id")}
        self.standing = standing.read()
        self.calendars: dict[int | None, Calendar] = {}
        self.new: list[Estimate] = []
        self.watched: list[Estimate] = []
        self.board: list[PromiseColumns] = []
        self.ended: dict[int, Journey] = {}
        # Of these nothing more is to be said.
        self.over: set[int] = set()

    @cached_property
    def queue(self) -> Mapping[int, int]:
        waiting = [one for one in self.journeys.values() if one.handed_at is None and one.origin]
        return journeys.queue_ahead(waiting)

    @cached_property
    def commitments(self) -> dict[int, datetime]:
        """What was promised on paper and is in force."""
        active = Promise.objects.filter(order_id__in=self.ids, state=Promise.State.ACTIVE)
        return dict(active.values_list("order_id", "due"))

    def look_at(self, order: Order) -> None:
        journey, previous = self.journeys[order.pk], self.current.get(order.pk)
        if journey.delivered_at is not None or journey.is_struck:
            self.ended[order.pk] = journey
            self.over.add(order.pk)
            self._watch_no_more(previous)
            self._show(order, None, "")
            return
        rule = self._rule_of(order)
        if not order.is_open or order.stage in NOTHING_TO_SAY or not rule.is_on:
            self.over.add(order.pk)
            self._watch_no_more(previous)
            return
        said = self._said(order, journey, rule, previous)
        if previous is not None and said.as_said() == previous.as_said():
            previous.check_at, previous.p_late = said.check_at, said.p_late
            self.watched.append(previous)
        else:
            self.new.append(said)
        self._show(order, said.promised_at, said.risk)

    def _rule_of(self, order: Order) -> PromiseRule:
        rules = self.standing.rules
        return rules.get(order.shop_id) or rules.get(None) or PromiseRule()

    def _show(self, order: Order, promised_at: datetime | None, risk: str) -> None:
        # Most looks change nothing on the board: they are not to lock the order.
        if (order.promised_at, order.promise_risk) != (promised_at, risk):
            self.board.append(PromiseColumns(order.pk, promised_at, risk))

    def _watch_no_more(self, previous: Estimate | None) -> None:
        if previous is not None and previous.check_at is not None:
            previous.check_at = None
            self.watched.append(previous)

    def _said(self, order: Order, journey: Journey, rule: PromiseRule, previous: Estimate | None) -> Estimate:
        """What is said now."""
        outlook = self.outlook(order, journey)
        said = self._blank(order, journey, rule)
        if isinstance(outlook, Silence):
            said.no_date, said.n, said.inputs = outlook.why, outlook.n, outlook.inputs
        else:
            due_on = outlook.day_at(rule.service_level / 1000)
            if (due_on is None or outlook.is_outlived) and outlook.gone > 0 and previous is not None:
                return self._outlived(order, journey, previous, outlook)
            self._fill(said, outlook, due_on, rule)
        said.is_first = said.has_date and not (previous is not None and previous.has_date)
        if said.is_first and isinstance(outlook, Outlook):
            said.inputs = {**said.inputs, "probe": outlook.probe(order.pk)}
        said.promised_at = self._promised(order, journey, said, previous)
        said.p_late = self._p_late(said, outlook)
        said.risk = risk_of(said.p_late)
        said.check_at = self._next_look(said)
        return said

    def _blank(self, order: Order, journey: Journey, rule: PromiseRule) -> Estimate:
        known = self._learned(order.is_demo)
        return Estimate(
            order=order,
            made_at=self.at,
            zone=journey.zone,
            model_version=self._version(known, self._reading(order.is_demo)),
            service_level=rule.service_level,
            is_demo=order.is_demo,
        )

    @staticmethod
    def _version(known: Learned | None, reading: Recalibration | None) -> str:
        """Of the method, the night and, where one is in force, the reading of the odds."""
        parts = [known.version if known else "", f"r{reading.pk}" if known and reading else ""]
        return ".".join(filter(None, parts))

    def _fill(self, said: Estimate, outlook: Outlook, due_on: date | None, rule: PromiseRule) -> None:
        said.level, said.n, said.inputs = outlook.level, outlook.n, outlook.inputs
        if due_on is None or (due_on - self._today(said)).days > rule.cap_days:
            said.no_date = Estimate.NoDate.BEYOND_CAP
            return
        said.window_from, said.window_to = (outlook.day_at(odds) for odds in WINDOW)
        said.due_at = end_of(due_on, said.tz)
        said.odds = round(1000 * outlook.chance(due_on))
        said.reasons = outlook.reasons

    def _today(self, said: Estimate) -> date:
        return self.at.astimezone(said.tz).date()

    def _outlived(self, order: Order, journey: Journey, previous: Estimate, outlook: Outlook) -> Estimate:
        """The old words stand, for there is nothing to put in their place; how likely they are to be broken is new."""
        kept = Estimate(
            **{
                field.attname: getattr(previous, field.attname)
                for field in Estimate._meta.concrete_fields
                if field.attname not in _NOT_COPIED
            }
        )
        kept.made_at = self.at
        kept.promised_at = self._promised(order, journey, kept, previous)
        kept.p_late = self._p_late(kept, outlook)
        kept.risk = risk_of(kept.p_late)
        kept.check_at = self._next_look(kept)
        return kept

    def _promised(
        self, order: Order, journey: Journey, said: Estimate, previous: Estimate | None
    ) -> datetime | None:
        """On paper, else the date that a person confirmed, else the first that was said when the order could go ahead."""
        if order.pk in self.commitments:
            return self.commitments[order.pk]
        if order.confirmed_on is not None:
            return end_of(order.confirmed_on, journey.tz)
        if previous is not None and previous.promised_at and order.stage not in UNSETTLED:
            return previous.promised_at
        return said.due_at

    def _p_late(self, said: Estimate, outlook: Outlook | Silence) -> int | None:
        if said.promised_at is None:
            return None
        if said.promised_at < self.at:
            return 1000
        if isinstance(outlook, Silence):
            return None
        if outlook.is_outlived:
            return 1000
        day = said.promised_at.astimezone(said.tz).date()
        return min(1000, round(1000 * (1 - outlook.chance(day))))

    def _next_look(self, said: Estimate) -> datetime:
        """Soon after the next midnight of the destination; on the promised day also at noon and when couriers go home.

        Orders are spread over an hour.
        """
        today = self._today(said)
        is_the_day = said.promised_at is not None and said.promised_at.astimezone(said.tz).date() == today
        looks = [datetime.combine(today, hour, said.tz) for hour in (_LOOKS if is_the_day else ())]
        looks.append(datetime.combine(today + ONE_DAY, time(0, 5), said.tz))
        late = timedelta(seconds=(said.order_id * 7) % 3600)
        return next(look + late for look in looks if look + late > self.at)

    # What can be said of one order.

    def outlook(self, order: Order, journey: Journey) -> Outlook | Silence:
        """The odds of each day, by the reading that is in force."""
        found = self._unread(order, journey)
        reading = self._reading(order.is_demo)
        return found.read_by(reading.reading) if reading and isinstance(found, Outlook) else found

    def _reading(self, is_demo: bool) -> Recalibration | None:  # noqa: FBT001 - which of two
        return self.standing.readings[is_demo]

    def _unread(self, order: Order, journey: Journey) -> Outlook | Silence:
        """As the estimate finds them: from the warehouse's queue or, once it has left, from hand-over; else from placing."""
        known = self._learned(order.is_demo)
        inputs = _inputs(order, journey)
        if known is None:
            return Silence(Estimate.NoDate.NOT_ENOUGH_HISTORY, 0, inputs)
        # Which orders were counted: those that had come by then.
        inputs["learned_at"] = known.made_at.isoformat()
        if journey.handed_at is not None:
            return self._from(journey, known.way, journey.handed_at, inputs | {"basis": "way"})
        journey.carrier = journey.carrier or known.carrier_of(journey.origin, journey.zone)
        if journey.origin in known.rates:
            return self._through_the_house(order, journey, known, inputs)
        return self._from(journey, known.door, journey.placed_at, inputs | {"basis": "door"})

    def _learned(self, is_demo: bool) -> Learned | None:  # noqa: FBT001 - which of two
        return self.standing.learned(is_demo=is_demo)

    def _from(
        self, journey: Journey, learner: Any, start: datetime, inputs: dict[str, Any]
    ) -> Outlook | Silence:
        forecast: Forecast | NoDate = learner.forecast(_placed(journey, start))
        if isinstance(forecast, NoDate):
            return Silence(Estimate.NoDate.NOT_ENOUGH_HISTORY, forecast.n, inputs)
        first = start.astimezone(journey.tz).date()
        gone = days_gone(self.at.astimezone(journey.tz), first)
        reasons = [{"code": one.code, "days": round(one.days, 2)} for one in forecast.reasons()]
        return Outlook(first, forecast.odds, gone, forecast.level, forecast.n, reasons, inputs)

    def _through_the_house(
        self, order: Order, journey: Journey, known: Learned, inputs: dict[str, Any]
    ) -> Outlook | Silence:
        """Queue, pick-up and way put together case by case; the queue is forgotten once the order has left."""
        line = self._line(order, known.rates[journey.origin])
        n_ahead = 0 if order.stage in BEGUN else self.queue.get(order.pk, 0)
        inputs |= {"basis": "queue", "queue": n_ahead, "pace": round(sum(line.rates) / len(line.rates), 2)}
        try:
            leaving = processing.picked_up_at(self.at, n_ahead, line)
            at_once = processing.picked_up_at(self.at, 0, line)
        except (NeverLeaves, CalendarNeverOpens):
            return Silence(Estimate.NoDate.NEVER_LEAVES, 0, inputs)
        leaves_at = _middle(leaving)
        way = self._from(journey, known.way, leaves_at, inputs)
        if isinstance(way, Silence):
            return way
        first = self.at.astimezone(journey.tz).date()
        starts = _days(leaving, first, journey)
        reasons = _sorted([*way.reasons, *_house_reasons(leaves_at, _middle(at_once), self.at, line)])
        inputs["leaves_at"] = leaves_at.isoformat()
        return Outlook(first, _Chained(starts, way.odds), 0, way.level, way.n, reasons, inputs)

    def _line(self, order: Order, rates: tuple[float, ...]) -> Line:
        row = order.warehouse.calendar if order.warehouse else None
        key = row.pk if row else None
        if key not in self.calendars:
            # Once a batch: without a row of its own a warehouse's calendar costs queries each time.
            self.calendars[key] = calendar_of(row)
        calendar = self.calendars[key]
        pickups = self.standing.pickups.get(order.warehouse_id or 0, USUAL_PICKUPS)
        return Line(calendar=calendar, rates=rates, pickups=pickups)

    # Writing it down.

    def write(self, cause: Cause, *, is_history: bool) -> list[Estimate]:
        replaced = [self.current[one.order_id].pk for one in self.new if one.order_id in self.current]
        if replaced:
            Estimate.objects.filter(pk__in=replaced).update(is_current=False, check_at=None)
        Estimate.objects.bulk_create(self.new, batch_size=200)
        update_rows(
            Estimate, ["p_late", "check_at"], [[one.pk, one.p_late, one.check_at] for one in self.watched]
        )
        if not is_history:
            far.tell(self.new, self.current, self.over, self.at)
        scoring.settle(self.ended, self.current, at=self.at)
        if self.board:
            write_promises(self.board, cause=cause, at=self.at, is_history=is_history)
        return self.new


class _Chained:
    """The odds of leaving on one of several days and of the way from there, worked out once a day asked for."""

    def __init__(self, starts: Sequence[int], way: Callable[[float], float]) -> None:
        self._starts = sorted(Counter(starts).items())
        self._n = len(starts)
        self._way = way
        self._known: dict[float, float] = {}

    def __call__(self, days: float) -> float:
        known = self._known.get(days)
        if known is None:
            known = sum(n * self._way(days - start) for start, n in self._starts) / self._n
            self._known[days] = known
        return known


def days_gone(local: datetime, first: date) -> float:
    """Days since the first one, today by the share of its delivery hours that is over."""
    hours = local.hour + local.minute / 60
    share = min(1.0, max(0.0, (hours - COURIERS_FROM) / (COURIERS_UNTIL - COURIERS_FROM)))
    return (local.date() - first).days + share


def risk_of(p_late: int | None) -> str:
    """The level of a chance to be late, in per mille; "" where nothing is promised or known."""
    if p_late is None:
        return ""
    if p_late > RISK_ABOVE:
        return RiskLevel.AT_RISK
    return RiskLevel.WATCH if p_late > WATCH_ABOVE else RiskLevel.ON_TRACK


def _placed(journey: Journey, start: datetime) -> Placed:
    return Placed(
        key=str(journey.order_id),
        placed_at=start.astimezone(journey.tz),
        county=journey.county,
        city=journey.city,
        province=journey.province,
        carrier=journey.carrier,
        service=journey.service,
        origin=journey.origin,
        origin_region=journey.origin_region,
        n_items=journey.n_items,
    )


def _inputs(order: Order, journey: Journey) -> dict[str, Any]:
    return {
        "stage": str(order.stage),
        "origin": journey.origin,
        "county": journey.county,
        "city": journey.city,
        "province": journey.province,
        "carrier": journey.carrier,
        "placed_at": journey.placed_at.isoformat(),
        "handed_at": journey.handed_at.isoformat() if journey.handed_at else None,
    }


def _middle(moments: Sequence[datetime]) -> datetime:
    return sorted(moments)[len(moments) // 2]


def _days(moments: Sequence[datetime], first: date, journey: Journey) -> list[int]:
    return [(at.astimezone(journey.tz).date() - first).days for at in moments]


def _house_reasons(leaves_at: datetime, at_once: datetime, at: datetime, line: Line) -> list[dict[str, Any]]:
    """What holds the order in the house: those in front of it, and the days on which nobody works."""
    found = []
    queue_days = (leaves_at - at_once) / ONE_DAY
    if queue_days >= 0.25:
        found.append({"code": "queue", "days": round(queue_days, 2)})
    first, last = (line.calendar.local_date(moment) for moment in (at, leaves_at))
    closed = sum(not line.calendar.shifts_on(first + n * ONE_DAY) for n in range((last - first).days + 1))
    if closed:
        found.append({"code": "closed_days", "days": closed})
    return found


def _sorted(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(reasons, key=lambda one: -abs(one["days"]))
