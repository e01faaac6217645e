"""Dates too far off to be promised go to a person: one to-do an order, closed when something else can be said of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from orders.models import Todo
from promises.estimates.models import Estimate

TODO = "far_date"
OWNER = "sales"


def is_left_to_a_person(said: Estimate) -> bool:
    """No date, for it would be absurd, and nobody has confirmed one by hand."""
    return said.no_date == Estimate.NoDate.BEYOND_CAP and said.promised_at is None


def tell(
    new: Collection[Estimate], before: Mapping[int, Estimate], over: Collection[int], at: datetime
) -> None:
    """before: what was said of these orders until now; over: those of which nothing more is to be said."""
    asked = {one.order_id for one in before.values() if is_left_to_a_person(one)}
    wanted = {one.order_id: one for one in new if is_left_to_a_person(one)}
    settled = asked & ({one.order_id for one in new if one.order_id not in wanted} | set(over))
    if settled:
        rows = Todo.objects.filter(order_id__in=settled, kind=Todo.Kind.REQUEST, subject=TODO, done_at=None)
        rows.update(done_at=at, outcome="dated")
    Todo.objects.bulk_create(
        [
            Todo(
                order_id=pk,
                kind=Todo.Kind.REQUEST,
                subject=TODO,
                owner=OWNER,
                opened_at=at,
                is_demo=said.is_demo,
            )
            for pk, said in wanted.items()
            if pk not in asked
        ],
        # Asked already, if the same was said before something else was.
        ignore_conflicts=True,
    )
