"""What a board's address asks for: filters, sort, columns, layout, page; read from it and written back into one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.http import QueryDict
from django.urls import reverse

from orders.board.columns import COLUMNS, DEFAULT_COLUMNS
from orders.board.filters import FILTERS, Looking
from orders.board.ordering import CLOSED_SORT, DEFAULT_SORT, SORTS, Sort
from orders.desk import Density, SavedView
from orders.models import Order
from orders.querysets import OrderQuerySet
from orders.stages import Step

MAX_VALUES = 50
# Say how the list looks; everything else in an address says which orders are in it, or which page of them.
LOOKS = ("sort", "cols", "col", "density", "layout", "limits", "limit")
MAX_DEFINITION = 1000


@dataclass(frozen=True)
class BoardQuery:
    """One list of orders as an address names it. refused: (name, value) pairs that mean nothing and were left out."""

    filters: dict[str, list[str]] = field(default_factory=dict)
    sort_code: str = ""
    columns: tuple[str, ...] = ()
    density: str = ""
    layout: str = SavedView.Layout.TABLE.value
    view: str = ""
    # How many orders each step of the kanban should hold at most, in the steps' sequence; 0: no limit.
    limits: tuple[int, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @cached_property
    def is_closed(self) -> bool:
        return self.filters.get("state") == ["closed"]

    @property
    def is_kanban(self) -> bool:
        return self.layout == SavedView.Layout.KANBAN

    @property
    def sort(self) -> Sort:
        if self.is_closed:
            return CLOSED_SORT
        return SORTS.get(self.sort_code, DEFAULT_SORT)

    @property
    def shown(self) -> tuple[str, ...]:
        return self.columns or DEFAULT_COLUMNS

    def condition(self, looking: Looking) -> Q:
        """On orders; without the person's row scope."""
        found = Q(is_open=not self.is_closed)
        for name, values in self.filters.items():
            found &= FILTERS[name].condition(values, looking)
        return found

    def orders(self, looking: Looking) -> OrderQuerySet:
        """The orders of the list that this person may see, in no order."""
        visible: OrderQuerySet = Order.objects.visible_to(looking.user).filter(self.condition(looking))
        return visible

    def definition(self) -> QueryDict:
        """The address's part that makes the list what it is: no page, no view."""
        made = QueryDict(mutable=True)
        for name in FILTERS:
            if name in self.filters:
                made.setlist(name, self.filters[name])
        if self.sort_code and self.sort_code != DEFAULT_SORT.code:
            made["sort"] = self.sort_code
        if self.columns and self.columns != DEFAULT_COLUMNS:
            made["cols"] = ".".join(self.columns)
        if self.density:
            made["density"] = self.density
        if self.layout != SavedView.Layout.TABLE:
            made["layout"] = self.layout
        if any(self.limits):
            made["limits"] = ".".join(str(limit) for limit in self.limits)
        return made

    def encoded(self, **extra: str) -> str:
        """The address's query: the definition, the view's name, and whatever else is given."""
        made = self.definition()
        if self.view:
            # Without a filter the view's own would be read in its place.
            made["view"], made["x"] = self.view, "1"
        if not made:
            # An address that says nothing gets the person's first view.
            made["x"] = "1"
        for name, value in extra.items():
            if value:
                made[name] = value
        return made.urlencode()

    def url(self, name: str = "admin:board", **extra: str) -> str:
        return f"{reverse(name)}?{self.encoded(**extra)}"

    def sorted_by(self, sort: Sort) -> BoardQuery:
        return replace(self, sort_code=sort.code)

    def laid_out(self, layout: str) -> BoardQuery:
        return replace(self, layout=layout)

    def with_density(self, density: str) -> BoardQuery:
        return replace(self, density=density)

    def with_filter(self, name: str, *values: str) -> BoardQuery:
        chosen = {key: kept for key, kept in self.filters.items() if key != name}
        return replace(self, filters={**chosen, name: list(values)} if values else chosen)

    def without(self, name: str, value: str) -> BoardQuery:
        return self.with_filter(name, *(kept for kept in self.filters.get(name, []) if kept != value))


def is_explicit(given: QueryDict) -> bool:
    """Does the address itself say what is in the list? Otherwise a view does."""
    return any(name in given for name in (*FILTERS, *LOOKS, "x"))


def read(given: QueryDict, view: str = "") -> BoardQuery:
    """The list that an address's query names. What means nothing is left out and named in `refused`."""
    filters: dict[str, list[str]] = {}
    refused: list[tuple[str, str]] = []
    for name, one in FILTERS.items():
        values = [value for value in dict.fromkeys(given.getlist(name)) if value]
        kept = one.known(values)[: MAX_VALUES if one.several else 1]
        refused += [(name, value[:40]) for value in values if value not in kept]
        if kept:
            filters[name] = kept
    sort, columns = given.get("sort", ""), given.getlist("col") or given.get("cols", "").split(".")
    density, layout = given.get("density", ""), given.get("layout", "")
    return BoardQuery(
        filters=filters,
        sort_code=sort if sort in SORTS else "",
        columns=_columns(columns),
        density=density if density in Density.values else "",
        layout=layout if layout in SavedView.Layout.values else SavedView.Layout.TABLE.value,
        view=view or given.get("view", "")[:20],
        limits=_limits(given.getlist("limit") or given.get("limits", "").split(".")),
        refused=tuple(refused),
    )


def _columns(names: list[str]) -> tuple[str, ...]:
    """Each once, the order's number always and first; nothing if none is named."""
    known = [name for name in COLUMNS if name in names]
    return tuple(dict.fromkeys(["number", *known])) if known else ()


def _limits(texts: list[str]) -> tuple[int, ...]:
    known = [int(text) if text.isdecimal() and len(text) < 6 else 0 for text in texts[: len(Step)]]
    return tuple(known) if any(known) else ()


def board_url(**filters: Any) -> str:
    """The address of the board narrowed by these filters, for links from other pages: board_url(stage="picking")."""
    given = QueryDict(mutable=True)
    for name, value in filters.items():
        given.setlist(name, [str(one) for one in (value if isinstance(value, list | tuple) else [value])])
    return read(given).url()
