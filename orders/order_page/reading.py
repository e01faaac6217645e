"""One order as the page reads it: every fact once, judged once, for all parts of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from orders.answer import Derivation
from orders.derivation import derive
from orders.explain import explain
from orders.models import Order
from orders.precedence import Precedence, precedence_in_force
from orders.retractions import is_named, taken_back
from orders.stages import FACT_KINDS
from orders.transitions import facts_by_order
from orders.units import FactRow, in_time


@dataclass(frozen=True)
class Reading:
    """facts: all of them, in order of time, also those that were taken back. answer, trace: the order judged now."""

    order: Order
    user: Any
    at: datetime
    facts: Sequence[FactRow]
    precedence: Precedence
    answer: Derivation
    trace: Mapping[str, Any]

    @cached_property
    def by_id(self) -> dict[int, FactRow]:
        return {fact.id: fact for fact in self.facts}

    @cached_property
    def gone(self) -> set[tuple[str, str, str]]:
        return taken_back(self.facts)

    def is_gone(self, fact: FactRow) -> bool:
        return is_named(fact, self.gone)

    @cached_property
    def newest(self) -> int:
        """Id of the newest fact on the timeline; 0 if there is none."""
        return self.facts[-1].id if self.facts else 0


def read(order: Order, user: Any, at: datetime) -> Reading:
    """Three queries, however many facts there are."""
    facts = sorted(facts_by_order([order.pk]).get(order.pk, ()), key=in_time)
    precedence = precedence_in_force()
    answer = derive(facts, precedence, at)
    return Reading(order, user, at, facts, precedence, answer, explain(order, at, answer))


def label_of(fact: FactRow) -> str:
    return str(FACT_KINDS[fact.kind].label)
