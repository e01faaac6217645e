"""The demo seller's estimates: what would have been said of each order when it was placed, and what is said now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orders.models import Order
from promises.estimates import journeys, scoring
from promises.estimates.models import Estimate, Journey, PromiseRule

if TYPE_CHECKING:
    from promises.eta.forecast import Estimate as Said
    from promises.eta.forecast import Forecast, NoDate
    from promises.eta.orders import Placed


@dataclass(frozen=True, slots=True)
class Filled:
    """How many orders had something said of them when they were placed, and of how many something is said now."""

    n_first: int
    n_open: int


@dataclass(slots=True)
class _Listener:
    """Writes down what the learner says of each order as it is placed: it knows of nothing later."""

    said: dict[int, Said] = field(default_factory=dict)
    # A day at one of ten levels of odds in turn, as making.Outlook.probe has it.
    probes: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, order: Placed, forecast: Forecast | NoDate) -> None:
        from promises.estimates import making
        from promises.eta import forecast as eta

        said = eta.promise(order, forecast, service_level=PromiseRule().service_level / 1000)
        if isinstance(said, eta.Estimate) and isinstance(forecast, eta.Forecast):
            number = int(order.key)
            self.said[number] = said
            days = forecast.days_at((number % making.PROBES + 0.5) / making.PROBES)
            by = order.placed_at.date() + timedelta(days=days)
            self.probes[number] = {"by": by.isoformat(), "odds": round(1000 * forecast.odds(days))}


def fill(at: datetime) -> Filled:
    """Learn from the demo orders as they stand, and give each what it would have been told. Nobody is told today."""
    # numpy: only where a demo is loaded.
    from promises.estimates import making, rebuilding

    heard = _Listener()
    model = rebuilding.rebuild(at, is_demo=True, heard=heard)
    if model is None:
        return Filled(0, 0)
    _write_first(heard, model.version)
    while scoring.score_passed(at) == scoring.BATCH:
        continue
    n_open = 0
    ids = Order.objects.filter(is_demo=True, is_open=True).order_by("pk").values_list("pk", flat=True)
    for some in _chunks(ids):
        n_open += len(making.estimate(journeys.orders_of(some), at=at, is_history=True))
    return Filled(len(heard.said), n_open)


def _chunks(ids: Iterable[int]) -> Iterable[list[int]]:
    known = list(ids)
    for start in range(0, len(known), journeys.CHUNK):
        yield known[start : start + journeys.CHUNK]


def _write_first(heard: _Listener, version: str) -> None:
    """What was said first of each order, with what has come of it."""
    rows = [
        _first(journey, heard.said[journey.pk], heard.probes[journey.pk], version)
        for journey in Journey.objects.filter(is_demo=True).order_by("placed_at")
        if journey.pk in heard.said
    ]
    Estimate.objects.bulk_create(rows, batch_size=500)


def _first(journey: Journey, said: Said, probe: dict[str, Any], version: str) -> Estimate:
    row = Estimate(
        order_id=journey.pk,
        made_at=journey.placed_at,
        is_first=True,
        model_version=version,
        level=said.level,
        n=said.n,
        zone=journey.zone,
        inputs={"basis": "door", "origin": journey.origin, "city": journey.city, "province": journey.province,
                "county": journey.county, "carrier": journey.carrier, "placed_at": journey.placed_at.isoformat(),
                "probe": probe},
        window_from=said.window_from,
        window_to=said.window_to,
        due_at=said.due,
        odds=round(1000 * said.odds),
        reasons=[{"code": one.code, "days": round(one.days, 2)} for one in said.reasons],
        promised_at=said.due,
        p_late=round(1000 * (1 - said.odds)),
        risk="on_track",
        is_demo=True,
    )  # fmt: skip
    if journey.delivered_at is not None:
        row.outcome = scoring.outcome_of(row, journey)
        row.outcome_at = row.delivered_at = journey.delivered_at
    return row
