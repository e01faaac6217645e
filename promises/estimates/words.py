"""What an estimate says, in words for the people of the house: its place, its reasons, and why there is no date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_stubs_ext import StrOrPromise

from promises.estimates.models import Estimate, PlannedSurge
from promises.eta.orders import MEMORY_DAYS
from promises.eta.surge import LONGEST_ECHO

# promises.eta.features.LEVELS, named without loading numpy.
LEVELS: dict[str, StrOrPromise] = {
    "county": gettext_lazy("County"),
    "city": gettext_lazy("City"),
    "province": gettext_lazy("Province"),
    "carrier": gettext_lazy("Carrier"),
}
# The columns of a journey that make up a level's key: promises.eta.features.levels.
_KEYS = {
    "county": ("county", "city", "province"),
    "city": ("city", "province"),
    "province": ("province",),
    "carrier": ("carrier",),
}
# What moves an estimate: promises.eta.features.GROUPS, the present days, and what holds an order in the house.
REASONS: dict[str, StrOrPromise] = {
    "goods_and_distance": gettext_lazy("Distance and kind of goods"),
    "province": gettext_lazy("Orders to this province"),
    "lane": gettext_lazy("Orders on this lane"),
    "city": gettext_lazy("Orders to this city"),
    "county": gettext_lazy("Orders to this county"),
    "carrier": gettext_lazy("This carrier"),
    "carrier_province": gettext_lazy("This carrier to this province"),
    "origin": gettext_lazy("This warehouse"),
    "origin_province": gettext_lazy("This warehouse to this province"),
    "present_days": gettext_lazy("How fast orders arrive at present"),
    "planned_surge": gettext_lazy("Planned surge"),
    "queue": gettext_lazy("Orders ahead in the warehouse"),
    "closed_days": gettext_lazy("Closed days before it leaves the warehouse"),
}


@dataclass(frozen=True, slots=True)
class Moved:
    """One thing that moved the middle of the estimate. name: typed by people, such as a sale's."""

    code: str
    what: StrOrPromise
    by: str
    is_later: bool
    name: str = ""


def place(estimate: Estimate) -> tuple[StrOrPromise, str]:
    """What kind of place the odds come from, and its name; the name is empty where none is known."""
    name = estimate.inputs.get(estimate.level) if estimate.level in LEVELS else ""
    return LEVELS.get(estimate.level, estimate.level), str(name or "")


def behind(estimate: Estimate) -> dict[str, str]:
    """The columns by which the delivered orders behind n are found among journeys; empty where nothing was counted."""
    if estimate.level not in _KEYS or not estimate.n:
        return {}
    key = {name: str(estimate.inputs.get(name) or "") for name in _KEYS[estimate.level]}
    known = {
        "delivered_at__isnull": "False",
        "is_struck__exact": "0",
        "is_demo__exact": str(int(estimate.is_demo)),
    }
    if learned_at := estimate.inputs.get("learned_at"):
        night = datetime.fromisoformat(learned_at)
        known["delivered_at__lte"] = night.isoformat()
        known["placed_at__gte"] = (night - timedelta(days=MEMORY_DAYS)).isoformat()
    if estimate.inputs.get("basis") in {"way", "queue"}:
        known["handed_at__isnull"] = "False"
    return {**{f"{name}__exact": value for name, value in key.items()}, **known}


def basis(estimate: Estimate) -> str:
    """Where the odds come from, with the number of orders behind them."""
    return ngettext(
        "from %(n)s order delivered at this level", "from %(n)s orders delivered at this level", estimate.n
    ) % {"n": number_format(estimate.n, force_grouping=True)}


def reasons(estimate: Estimate, surges: Iterable[PlannedSurge]) -> list[Moved]:
    """What moved it, the largest first, as it was stored with the estimate."""
    named = ", ".join(surge.name for surge in surges)
    return [_moved(one, estimate, named) for one in estimate.reasons]


def _moved(reason: dict[str, Any], estimate: Estimate, surges: str) -> Moved:
    code, days = str(reason["code"]), float(reason["days"])
    name = surges if code == "planned_surge" else ""
    if code == "queue" and (ahead := estimate.inputs.get("queue")):
        name = number_format(ahead, force_grouping=True)
    return Moved(code, REASONS.get(code, code), _by(code, days), days > 0, name)


def _by(code: str, days: float) -> str:
    if code == "closed_days":
        return ngettext("%(n)d day", "%(n)d days", int(days)) % {"n": int(days)}
    words = _("%(days)s days later") if days > 0 else _("%(days)s days earlier")
    return words % {"days": number_format(abs(days), 1)}


def touching(estimate: Estimate) -> list[PlannedSurge]:
    """The planned surges that stood in the estimate's way when it was made. None is asked for where none moved it."""
    if not any(one["code"] == "planned_surge" for one in estimate.reasons):
        return []
    day: date = estimate.made_at.astimezone(estimate.tz).date()
    last = estimate.due_on or day
    return list(PlannedSurge.objects.filter(first__lte=last, last__gte=day - LONGEST_ECHO).order_by("first"))


def no_date(estimate: Estimate) -> tuple[str, str]:
    """Why there is no date, and what can be done."""
    if estimate.no_date == Estimate.NoDate.BEYOND_CAP:
        return (
            _("The date found is too far off to be promised."),
            _("Look at the order: confirm a date by hand, or raise the longest promise in the shop's rule."),
        )
    if estimate.no_date == Estimate.NoDate.NEVER_LEAVES:
        return (
            _("The warehouse finishes nothing at present, so the order would never leave it."),
            _("Check the warehouse's working calendar, and whether its hand-overs are reported."),
        )
    many = ngettext("Not enough history: %(n)s order.", "Not enough history: %(n)s orders.", estimate.n) % {
        "n": number_format(estimate.n, force_grouping=True)
    }
    return (
        many,
        _(
            "A date is given from 30 delivered orders on. The customer reads that a date follows; confirm one by hand "
            "if you know it."
        ),
    )
