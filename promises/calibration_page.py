"""/admin/promises/calibration/: how far stated odds can be believed, the orders behind each number, and a better reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_stubs_ext import StrOrPromise

from orders.people import order_scope
from orders.states import forced
from promises import calibration_sources as sources
from promises import recalibration
from promises.calibration_figures import (
    BINS,
    ENOUGH_TO_PROPOSE,
    Bin,
    Judged,
    Proposal,
    Rates,
    bin_of,
    brier,
    calibration_error,
    grouped,
    propose,
    rates,
    reliability,
)
from promises.calibration_house import HouseRow
from promises.calibration_rows import MOST
from promises.calibration_sources import AnyRow, Source
from promises.drawing import Plane, Point, interval, line, per_cent

CHANGE = "promises.recalibrate"
RUNS_OFFERED = 20
GROUPS_SHOWN = 12
PER_PAGE = 50
# Days promised, up to and with each number.
AGES = (3, 7, 14, 21)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to group judged promises: a group's key as it stands in an address, what people read, and what is judged."""

    title: StrOrPromise
    key: Callable[[AnyRow], str]
    words: Callable[[str], str]
    # None: the row says nothing about it.
    judged: Callable[[AnyRow], Judged | None] = lambda row: row.promise
    # Groups that follow one another, like weeks; others stand by size.
    in_order: bool = False


def _age(row: AnyRow) -> str:
    return str(next((number for number, most in enumerate(AGES) if row.days <= most), len(AGES)))


def _age_words(key: str) -> str:
    number = int(key)
    if number == len(AGES):
        return _("more than %(days)d days") % {"days": AGES[-1]}
    first = AGES[number - 1] + 1 if number else 0
    return _("%(first)d to %(last)d days") % {"first": first, "last": AGES[number]}


def _week(row: AnyRow) -> str:
    return (row.placed_on - timedelta(days=row.placed_on.weekday())).isoformat()


def _week_words(key: str) -> str:
    return date_format(date.fromisoformat(key), "DATE_FORMAT")


def _bin_words(key: str) -> str:
    return f"{100 * int(key) // BINS} – {100 * (int(key) + 1) // BINS} %"


def _name(key: str) -> str:
    return key or _("not known")


KINDS: dict[str, Kind] = {
    "lane": Kind(gettext_lazy("Lane"), lambda row: row.lane, _name),
    "warehouse": Kind(gettext_lazy("Warehouse or seller"), lambda row: row.warehouse, _name),
    "carrier": Kind(gettext_lazy("Carrier"), lambda row: row.carrier, _name),
    "week": Kind(gettext_lazy("Week of purchase"), _week, _week_words, in_order=True),
    "age": Kind(gettext_lazy("Promised within"), _age, _age_words, in_order=True),
}
BY_ODDS = Kind(
    gettext_lazy("Stated odds"),
    lambda row: str(bin_of(row.probe_odds)),
    _bin_words,
    lambda row: row.probe,
    in_order=True,
)
ALL = Kind(gettext_lazy("All promises"), lambda row: "", lambda key: "")


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/promises/calibration/, the orders behind its numbers, and the two buttons."""
    page, base = _Page(site), "promises/calibration/"
    return [
        path(base, site.admin_view(page.index), name="promise_calibration"),
        path(f"{base}rows/", site.admin_view(page.rows), name="promise_calibration_rows"),
        path(f"{base}begin/", site.admin_view(page.begin), name="promise_calibration_begin"),
        path(f"{base}end/", site.admin_view(page.end), name="promise_calibration_end"),
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @method_decorator([require_safe, never_cache])
    def index(self, request: HttpRequest) -> HttpResponse:
        """Of what ?of= or ?run= names, else of this house, the demo, or the newest back-test."""
        source = sources.chosen(request, now())
        rows = [] if forced(request) == "empty_first" else source.rows
        context = {
            **self.site.each_context(request),
            "title": _("Calibration"),
            "source": source,
            "run": source.run,
            "days": source.days,
            "periods": sources.PERIODS,
            **_offered(request),
            "n_rows": len(rows),
            "is_cut": len(rows) == MOST,
            **(_figures(source) if rows else {}),
            **(_reading(request, source) if source.is_house else {}),
        }
        return TemplateResponse(request, "promises/calibration.html", context)

    @method_decorator([require_safe, never_cache])
    def rows(self, request: HttpRequest) -> HttpResponse:
        """The orders behind one number: ?of=&days= or ?run=, &by=&is=, kept ones or missed ones with &came=."""
        source = sources.named(request, now())
        kind, key = _kind(request), request.GET.get("is", "")
        found = [
            (row, judged)
            for row in reversed(source.rows)
            if kind.key(row) == key and (judged := kind.judged(row)) is not None
        ]
        if not found:
            raise Http404(_("There are no orders behind that number. Go back to the calibration."))
        came = request.GET.get("came", "")
        shown = [one for one in found if came not in {"kept", "missed"} or one[1].is_kept == (came == "kept")]
        context = {
            **self.site.each_context(request),
            "title": _("Orders of %(group)s") % {"group": kind.words(key)} if key else _("All judged orders"),
            "source": source,
            "back": urlencode(source.query),
            "kind": kind,
            "is_probe": kind is BY_ODDS,
            "figures": _shown([judged for _row, judged in found]),
            "page": Paginator(shown, PER_PAGE).get_page(request.GET.get("p")),
            "came": came,
            "query": _query(source, request.GET.get("by", ""), key),
        }
        return TemplateResponse(request, "promises/calibration_rows.html", context)

    @method_decorator(require_POST)
    def begin(self, request: HttpRequest) -> HttpResponse:
        """Put the proposed reading in force, if it is still the one that was seen."""
        at, is_demo = now(), request.POST.get("of") == sources.DEMO
        _check_change(request)
        source = sources.of_house(request, at, sources.DEMO if is_demo else sources.HOUSE)
        try:
            proposal = proposal_of(source)
            if proposal is None:
                raise recalibration.Changed
            seen, by = request.POST.get("seen", ""), cast(User, request.user)
            recalibration.put_in_force(proposal, seen=seen, by=by, at=at, is_demo=is_demo)
        except recalibration.Changed:
            messages.error(
                request, _("The proposal has changed since you saw it. Nothing was done; look at it again.")
            )
        else:
            messages.success(
                request, _("The new reading is in force. It is applied to odds stated from now on.")
            )
        return _back(source)

    @method_decorator(require_POST)
    def end(self, request: HttpRequest) -> HttpResponse:
        """Take the reading that was seen out of force."""
        is_demo = request.POST.get("of") == sources.DEMO
        _check_change(request)
        seen = request.POST.get("seen", "")
        try:
            if not (seen.isascii() and seen.isdigit() and len(seen) < 19):
                raise recalibration.Changed
            by = cast(User, request.user)
            recalibration.take_out_of_force(seen=int(seen), by=by, at=now(), is_demo=is_demo)
        except recalibration.Changed:
            messages.error(request, _("Another reading is in force by now. Nothing was done; look again."))
        else:
            messages.success(request, _("Odds are stated again as the estimate finds them."))
        return _back(Source(name=sources.DEMO if is_demo else sources.HOUSE, rows=()))


def _back(source: Source) -> HttpResponse:
    address = f"{reverse('admin:promise_calibration')}?{urlencode(source.query)}"
    return HttpResponseRedirect(address, status=303)


def may_change(request: HttpRequest) -> bool:
    """Only for those who see every order: a reading is made from all promises and used for all."""
    return request.user.has_perm(CHANGE) and order_scope(cast(User, request.user)) is True


def _check_change(request: HttpRequest) -> None:
    if not may_change(request):
        raise PermissionDenied(CHANGE)


def _offered(request: HttpRequest) -> dict[str, Any]:
    """What can be chosen: the house's own and the back-tests, each for those who may see them."""
    may_house = request.user.has_perm(sources.SEE_ESTIMATES)
    runs = sources.done()[:RUNS_OFFERED] if request.user.has_perm(sources.SEE_RUNS) else []
    return {
        "runs": list(runs),
        "may_house": may_house,
        "may_runs": request.user.has_perm(sources.SEE_RUNS),
        "has_demo": may_house and sources.has_demo(),
    }


def _kind(request: HttpRequest) -> Kind:
    """Raises Http404 for a grouping that there is not."""
    name = request.GET.get("by", "")
    kind = {"": ALL, "odds": BY_ODDS, **KINDS}.get(name)
    if kind is None:
        raise Http404(_("There are no orders behind that number. Go back to the calibration."))
    return kind


def _query(source: Source, by: str, key: str | int) -> str:
    return urlencode({**source.query, "by": by, "is": key})


# A better reading of the odds.


def proposal_of(source: Source) -> Proposal | None:
    """From the probes of estimates made since the present reading is in force, of days that are over.

    Older ones say nothing about the present reading; today's are not all known.
    """
    force = recalibration.in_force(is_demo=source.is_demo)
    today = sources.midnight(now())
    rows = [row for row in source.rows if isinstance(row, HouseRow) and row.due_at < today]
    counted = [row for row in rows if force is None or row.made_at >= force.made_at]
    return propose([row.probe for row in counted if row.probe is not None])


def _reading(request: HttpRequest, source: Source) -> dict[str, Any]:
    sees_all = order_scope(cast(User, request.user)) is True
    is_usual = source.days == sources.USUAL_PERIOD
    proposal = proposal_of(source) if sees_all and is_usual else None
    return {
        "force": recalibration.in_force(is_demo=source.is_demo),
        "may_change": may_change(request),
        "is_usual": is_usual,
        "usual_period": sources.USUAL_PERIOD,
        "enough": ENOUGH_TO_PROPOSE,
        "proposal": proposal,
        "proposal_points": _points(proposal) if proposal else [],
        "seen": recalibration.fingerprint(proposal) if proposal else "",
    }


def _points(proposal: Proposal) -> list[tuple[str, str]]:
    return [(per_cent(stated), per_cent(came)) for stated, came in proposal.reading.points]


# What is shown.


def _some(judged: Iterable[Judged | None]) -> list[Judged]:
    return [one for one in judged if one is not None]


def _figures(source: Source) -> dict[str, Any]:
    probes = _some(row.probe for row in source.rows)
    bins = reliability(probes)
    error = calibration_error(bins)
    return {
        "all": _shown([row.promise for row in source.rows]),
        "all_query": _query(source, "", ""),
        "error": None if error is None else 100 * error,
        "brier": brier(probes),
        "bins": [_bin(one, source) for one in bins],
        "plot": _plot(bins),
        "groups": [_group(name, kind, source) for name, kind in KINDS.items()],
    }


def _shown(judged: Sequence[Judged]) -> dict[str, Any]:
    return _words_of(rates(judged))


def _words_of(found: Rates) -> dict[str, Any]:
    """Raw and adjusted, always both."""
    raw, adjusted = found.raw, found.adjusted
    return {
        "n": raw.n,
        "stated": per_cent(found.stated) if raw.n else "–",
        "raw": per_cent(raw.rate),
        "raw_of": f"{raw.kept}/{raw.n}",
        "interval": interval(raw) if raw.n else "–",
        "is_small": raw.is_small,
        "adjusted": per_cent(adjusted.rate),
        "adjusted_of": f"{adjusted.kept}/{adjusted.n}",
        "n_excused": raw.n - adjusted.n,
    }


def _bin(one: Bin, source: Source) -> dict[str, Any]:
    return {
        "name": _bin_words(str(one.number)),
        "query": _query(source, "odds", one.number),
        **_words_of(one.rates),
    }


def _group(name: str, kind: Kind, source: Source) -> dict[str, Any]:
    """The largest groups, or the latest of those that follow one another."""
    found = grouped(source.rows, kind.key, lambda row: row.promise)
    shown = (
        sorted(found)[-GROUPS_SHOWN:]
        if kind.in_order
        else sorted(found, key=lambda key: (-found[key].raw.n, key))[:GROUPS_SHOWN]
    )
    return {
        "name": name,
        "title": kind.title,
        "rows": [
            {"name": kind.words(key), "query": _query(source, name, key), **_words_of(found[key])}
            for key in shown
        ],
        "n_all": len(found),
    }


def _plot(bins: Sequence[Bin]) -> dict[str, Any]:
    """Stated odds to the right, what came upwards; on the diagonal the two agree."""
    plane = Plane(width=480, height=420)
    points = [_point(one, plane) for one in bins if one.rates.raw.n]
    return {
        "plane": plane,
        "points": points,
        "line": line([one["at"] for one in points if not one["at"].is_small]),
        "ticks": [(plane.x(number / 4), f"{25 * number} %") for number in range(5)],
        "diagonal": (plane.x(0), plane.y(0), plane.x(1), plane.y(1)),
    }


def _point(one: Bin, plane: Plane) -> dict[str, Any]:
    raw = one.rates.raw
    words = _("Stated %(stated)s, came %(came)s of %(n)d, interval %(interval)s") % {
        "stated": per_cent(one.rates.stated),
        "came": per_cent(raw.rate),
        "n": raw.n,
        "interval": interval(raw),
    }
    at = Point(plane.x(one.rates.stated), plane.y(raw.rate or 0.0), words, raw.is_small)
    return {"at": at, "low": plane.y(raw.low), "high": plane.y(raw.high)}
