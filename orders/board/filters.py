"""What the board can be narrowed by: one row per filter, each with its values, its condition and the words on its chip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.access import ROLES
from orders.models import Shop, Warehouse
from orders.stages import CLOSED, STAGE_ROWS, RiskLevel, Stage, Step

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

# An order counts as at risk when its promise or its step ends within this time.
RISK_WITHIN = timedelta(hours=2)
# Nobody in the house can do anything about these but wait, unless a step, a deadline or a defect says otherwise.
WAITING_STAGES = [
    Stage.PLATFORM_REVIEW,
    Stage.SHIPPED,
    Stage.IN_TRANSIT,
    Stage.CUSTOMS,
    Stage.OUT_FOR_DELIVERY,
    Stage.DELIVERED,
]


@dataclass(frozen=True, slots=True)
class Looking:
    """Who looks, and when: some filters mean another thing for another person or at another time."""

    user: User | AnonymousUser
    at: datetime


Condition = Callable[[list[str], Looking], Q]


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter. several: more than one value may be chosen, any of which fits."""

    name: str
    label: StrOrPromise
    choices: Callable[[], Mapping[str, StrOrPromise]]
    condition: Condition
    several: bool = False
    # The choices are rows that staff made: read only where they are shown.
    model: Any = None

    def known(self, values: Iterable[str]) -> list[str]:
        """Those of the values that mean something here."""
        if self.model is not None:
            return [value for value in values if value.isdecimal() and len(value) < 19]
        choices = self.choices()
        return [value for value in values if value in choices]


def is_late(at: datetime) -> Q:
    """The promise, or the time of a step, is over."""
    return Q(promised_at__lt=at) | Q(step_due_at__lt=at)


def is_at_risk(at: datetime) -> Q:
    """Late, about to be, or expected to be."""
    soon = at + RISK_WITHIN
    return Q(promised_at__lt=soon) | Q(step_due_at__lt=soon) | Q(promise_risk=RiskLevel.AT_RISK)


def is_exception() -> Q:
    """Something is wrong with the order itself, whatever its deadlines say."""
    return (
        ~Q(case_mark="")
        | Q(stalled_at__isnull=False)
        | Q(has_conflict=True)
        | Q(is_short=True)
        | Q(n_unknown__gt=0)
        | ~Q(set_aside="")
    )


def is_to_do(at: datetime) -> Q:
    """Somebody in the house should do something: never without those that are late."""
    return ~Q(stage__in=WAITING_STAGES) | ~Q(next_step="") | is_at_risk(at) | is_exception()


def _need(values: list[str], looking: Looking) -> Q:
    conditions = {
        "todo": is_to_do(looking.at),
        "late": is_late(looking.at),
        "risk": is_at_risk(looking.at),
        "exception": is_exception(),
        "mine": Q(assignee=looking.user.pk),
        "nobody": Q(assignee__isnull=True),
    }
    return conditions[values[0]]


def _updated(values: list[str], looking: Looking) -> Q:
    word = values[0]
    moment = looking.at - timedelta(hours=int(word[1:]))
    if word[0] == "w":
        return Q(last_fact_at__gte=moment)
    return Q(last_fact_at__lt=moment) | Q(last_fact_at__isnull=True)


def stages_of(role: str) -> list[Stage]:
    return [stage for stage, row in STAGE_ROWS.items() if row.owner == role and stage not in CLOSED]


def _turn(values: list[str], looking: Looking) -> Q:
    return Q(stage__in=[stage for role in values for stage in stages_of(role)])


def _turns() -> Mapping[str, StrOrPromise]:
    return {code: row.label for code, row in ROLES.items() if stages_of(code)}


def _in(column: str) -> Condition:
    return lambda values, looking: Q(**{f"{column}__in": values})


def _yes(name: str, label: StrOrPromise, condition: Q) -> Filter:
    return Filter(name, label, lambda: {"1": _("yes")}, lambda values, looking: condition)


def _named(model: Any) -> Callable[[], Mapping[str, StrOrPromise]]:
    return lambda: {str(pk): name for pk, name in model.objects.values_list("pk", "name")}


_NEEDS: dict[str, StrOrPromise] = {
    "todo": _("To do"),
    "risk": _("At risk"),
    "late": _("Late"),
    "exception": _("Exception"),
    "mine": _("Mine"),
    "nobody": _("Assigned to nobody"),
}
_UPDATED: dict[str, StrOrPromise] = {
    "w1": _("within an hour"),
    "w24": _("within 24 hours"),
    "o4": _("not for 4 hours"),
    "o24": _("not for 24 hours"),
    "o48": _("not for 48 hours"),
}
_STARS: dict[str, StrOrPromise] = {
    "5": "★5",
    "4": _("★4 and more"),
    "3": _("★3 and more"),
    "0": _("not rated"),
}
_STATES: dict[str, StrOrPromise] = {"open": _("Open"), "closed": _("Closed")}


def _stars(values: list[str], looking: Looking) -> Q:
    if values[0] == "0":
        return Q(customer__stars__isnull=True)
    return Q(customer__stars__gte=int(values[0]))


def _step(values: list[str], looking: Looking) -> Q:
    return Q(next_step__in=values)


FILTERS: dict[str, Filter] = {
    one.name: one
    for one in (
        Filter("need", _("needs"), lambda: _NEEDS, _need),
        Filter("shop", _("Shop"), _named(Shop), _in("shop"), several=True, model=Shop),
        Filter("stage", _("Stage"), lambda: dict(Stage.choices), _in("stage"), several=True),
        Filter("step", _("Next step"), lambda: dict(Step.choices), _step, several=True),
        Filter("turn", _("Turn"), _turns, _turn, several=True),
        Filter(
            "warehouse", _("Warehouse"), _named(Warehouse), _in("warehouse"), several=True, model=Warehouse
        ),
        Filter("stars", _("Customer stars"), lambda: _STARS, _stars),
        Filter("updated", _("Updated"), lambda: _UPDATED, _updated),
        Filter("risk", _("Promise risk"), lambda: dict(RiskLevel.choices), _in("promise_risk"), several=True),
        _yes("conflict", _("Sources disagree"), Q(has_conflict=True)),
        _yes("held", _("On hold"), Q(is_held=True)),
        _yes("short", _("Stock short"), Q(is_short=True)),
        _yes("unknown", _("Unknown status"), Q(n_unknown__gt=0)),
        _yes("stuck", _("Stuck"), Q(stalled_at__isnull=False)),
        _yes("rush", _("Rush"), Q(is_rush=True)),
        _yes("aside", _("Set aside"), ~Q(set_aside="")),
        Filter("state", _("State"), lambda: _STATES, lambda values, looking: Q()),
    )
}
YES = [name for name, one in FILTERS.items() if "1" in (one.choices() if one.model is None else ())]
