"""Commitments as they are issued, whole but for the drawing of the paper: a little PDF stands in its place."""

from __future__ import annotations

from datetime import date
from typing import Any

from orders.models import Order
from orders.tests.factories import after
from promises.commitments import issuing, papers
from promises.commitments.models import Promise
from promises.ledger import sequencer
from promises.tests.factories_commitments import make_promised_order
from promises.tests.smalllog import pdf


def make_filed(
    order: Order | None = None,
    *,
    hours: float = 1,
    day: date | None = None,
    rc: str = "",
    asked_by: str = "",
    logged: bool = True,
) -> Promise:
    """Issued at that many hours after MONDAY, and written into the log two seconds later unless told otherwise."""
    order = order or make_promised_order()
    wish = issuing.Wish(by=None, day=day, rc=rc, asked_by=asked_by)
    draft = issuing.drawn(order, wish, at=after(hours))
    promise = issuing.store(draft, papers.keep(pdf(draft.data)))
    if logged:
        write_log(hours)
    return Promise.objects.select_related("pending__log", "file").get(pk=promise.pk)


def make_chain(*days: date, hours: float = 1, **what_matters: Any) -> list[Promise]:
    """One promise and its later versions, an hour apart, moved to these days."""
    found = [make_filed(hours=hours, **what_matters)]
    for n, day in enumerate(days, start=1):
        order = found[0].order
        found.append(make_filed(order, hours=hours + n, day=day, rc="STOCK", asked_by="seller"))
    return [Promise.objects.select_related("pending__log", "file").get(pk=one.pk) for one in found]


def write_log(hours: float) -> None:
    sequencer.sweep(after(hours + 2 / 3600))


def paper_of(promise: Promise) -> bytes:
    return promise.file.full_path.read_bytes()
