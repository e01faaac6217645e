"""Where an import run stands: two stretches, reading in and carrying through, with speed and what remains."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from integrations.canonical import OrderReport, Untranslatable
from integrations.connectors.rows import Rows
from integrations.files.runs import OPEN, READ
from integrations.models import ImportRun, InboundMessage
from orders.models import ExternalReference, Order
from orders.people import visible

State = InboundMessage.State
COUNTED = 100_000
ORDERS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Standing:
    """n_done: messages carried through, one for each order or row; n_waiting: those that still wait."""

    is_read: bool
    n_rows: int
    n_total: int | None
    n_done: int
    n_waiting: int
    seconds: float
    left: timedelta | None

    @property
    def per_cent(self) -> int:
        """Reading in is the smaller half of the work."""
        if self.is_read:
            return 30 + 70 * self.n_done // max(1, self.n_done + self.n_waiting)
        return 30 * self.n_rows // self.n_total if self.n_total else 0

    @property
    def rate(self) -> float:
        """Rows a second since the start."""
        done = self.n_done if self.is_read else self.n_rows
        return done / self.seconds if self.seconds > 0 else 0.0


def standing(run: ImportRun, at: datetime) -> Standing:
    """Where the run stands now. A bounded count: it walks through waiting messages only."""
    is_open = run.state in OPEN
    n_done = run.n_orders + run.n_duplicates + run.n_errors
    n_waiting = _n_waiting(run.pk)
    seconds = max(0.0, ((run.ended_at or at) - run.started_at).total_seconds())
    rate = n_done / seconds if seconds else 0.0
    left = timedelta(seconds=n_waiting / rate) if is_open and run.position == READ and rate else None
    is_read = run.position == READ or not is_open
    return Standing(is_read, run.n_rows, run.n_total, n_done, n_waiting, seconds, left)


def _n_waiting(run_id: int) -> int:
    waiting = InboundMessage.objects.filter(state=State.WAITING)
    # The sum keeps the database off the index by run, which would walk through all messages that are done.
    return waiting.annotate(of_run=F("run_id") + 0).filter(of_run=run_id).order_by("id")[:COUNTED].count()


def orders_of(run: ImportRun, user: Any) -> list[Order]:
    """The first orders that the run brought something to, as far as this person may see them.

    Facts do not name their run; so the first messages are read once more, which is cheap.
    """
    connection = run.connection
    shop = connection.shop.code if connection.shop else ""
    done = run.messages.filter(state=State.DONE, n_facts__gt=0).exclude(body="").order_by("id")[:ORDERS_SHOWN]
    numbers = [number for message in done for number in _numbers(message, run.mapping.definition, shop)]
    references = ExternalReference.objects.filter(
        connection=shop, kind=ExternalReference.Kind.ORDER, value__in=numbers
    )
    orders = visible(Order.objects.all(), user).filter(links__reference__in=references)
    return list(orders.distinct().order_by("pk")[:ORDERS_SHOWN])


def _numbers(message: InboundMessage, definition: dict[str, Any], shop: str) -> list[str]:
    try:
        said = list(Rows().read("row", message.body, key="", shop=shop, mapping=definition))
    except (Untranslatable, json.JSONDecodeError):
        return []
    return [item.external_id for item in said if isinstance(item, OrderReport)]
