"""The last 24 hours, hour by hour: orders that came in, to-dos that were opened, to-dos that were closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, QuerySet, Value
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.by_hour import Hour, hours_of, key_of
from orders.models import Order, Todo
from orders.people import visible

if TYPE_CHECKING:
    from django.contrib.auth.models import User

HEIGHT = 24
SEES_TODOS = "orders.view_todo"


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour of one row: its number, the list it opens, and where the bar of the drawing stands."""

    starts_at: datetime
    n: int
    url: str
    x: int
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of happening over the day."""

    key: str
    label: StrOrPromise
    n: int
    url: str
    bars: list[Bar]

    @property
    def busiest(self) -> Bar:
        return max(self.bars, key=lambda bar: bar.n)


@dataclass(frozen=True, slots=True)
class Day:
    """The lines, and the hours as rows of a table: each hour with its numbers in the order of the lines."""

    lines: list[Line]

    @property
    def hours(self) -> list[tuple[datetime, list[Bar]]]:
        rows = list(zip(*(line.bars for line in self.lines), strict=True))
        return [(bars[0].starts_at, list(bars)) for bars in reversed(rows)]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is counted, by which of its times, and the list that shows it."""

    key: str
    label: StrOrPromise
    rows: QuerySet[Any]
    column: str
    changelist: str

    def tally(self, since: datetime) -> QuerySet[Any, Any]:
        """Rows (key, hour, number), for one union with other tallies."""
        found: QuerySet[Any, Any] = (
            self.rows.filter(**{f"{self.column}__gte": since})
            .order_by()
            .values_list(Value(self.key), Hour(self.column))
            .annotate(n=Count("pk"))
        )
        return found

    def url(self, since: datetime, until: datetime | None = None) -> str:
        given = {f"{self.column}__gte": since.isoformat()}
        if until is not None:
            given[f"{self.column}__lt"] = until.isoformat()
        return f"{reverse(self.changelist)}?{urlencode(given)}"


def kinds(user: User) -> list[Kind]:
    """What this person may see of the day."""
    orders = visible(Order.objects.all(), user)
    found = [Kind("orders", _("Orders"), orders, "created_at", "admin:orders_order_changelist")]
    if user.has_perm(SEES_TODOS):
        todos = visible(Todo.objects.all(), user)
        found += [
            Kind("opened", _("To-dos opened"), todos, "opened_at", "admin:orders_todo_changelist"),
            Kind("solved", _("To-dos solved"), todos, "done_at", "admin:orders_todo_changelist"),
        ]
    return found


def day(kinds: list[Kind], at: datetime, tallies: Mapping[tuple[str, str], int]) -> Day:
    """The day out of what the tallies found."""
    hours = hours_of(at)
    return Day([_line(kind, hours, tallies) for kind in kinds])


def _line(kind: Kind, hours: list[datetime], found: Mapping[tuple[str, str], int]) -> Line:
    numbers = [found.get((kind.key, key_of(hour)), 0) for hour in hours]
    most = max(numbers) or 1
    bars = []
    for number, (hour, n) in enumerate(zip(hours, numbers, strict=True)):
        height = -(-n * HEIGHT // most)
        url = kind.url(hour, hour + timedelta(hours=1)) if n else ""
        bars.append(Bar(hour, n, url, number * 5, HEIGHT - height, height))
    return Line(kind.key, kind.label, sum(numbers), kind.url(hours[0]), bars)
