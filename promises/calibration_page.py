"""/admin/promises/calibration/: how far the hub's odds could be believed in a back-test, and the orders behind each number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_stubs_ext import StrOrPromise

from orders.states import forced
from promises.backtest_runs import BacktestRun
from promises.calibration_figures import (
    BINS,
    Bin,
    Judged,
    Share,
    bin_of,
    brier,
    calibration_error,
    grouped,
    rates,
    reliability,
)
from promises.calibration_rows import MOST, Row, read
from promises.drawing import Plane, Point, interval, line, per_cent

SEE = "promises.view_backtestrun"
RUNS_OFFERED = 20
GROUPS_SHOWN = 12
PER_PAGE = 50
# Days promised, up to and with each number.
AGES = (3, 7, 14, 21)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to group judged promises: a group's key as it stands in an address, what people read, and what is judged."""

    title: StrOrPromise
    key: Callable[[Row], str]
    words: Callable[[str], str]
    judged: Callable[[Row], Judged] = lambda row: row.promise
    # Groups that follow one another, like weeks; others stand by size.
    in_order: bool = False


def _age(row: Row) -> str:
    return str(next((number for number, most in enumerate(AGES) if row.days <= most), len(AGES)))


def _age_words(key: str) -> str:
    number = int(key)
    if number == len(AGES):
        return _("more than %(days)d days") % {"days": AGES[-1]}
    first = AGES[number - 1] + 1 if number else 0
    return _("%(first)d to %(last)d days") % {"first": first, "last": AGES[number]}


def _week(row: Row) -> str:
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
    """/admin/promises/calibration/ and the orders behind its numbers."""
    page, base = _Page(site), "promises/calibration/"
    return [
        path(base, site.admin_view(page.index), name="promise_calibration"),
        path(f"{base}rows/", site.admin_view(page.rows), name="promise_calibration_rows"),
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @method_decorator([require_safe, never_cache])
    def index(self, request: HttpRequest) -> HttpResponse:
        """Of the run that ?run= names, else of the newest one."""
        _check(request)
        offered = [] if forced(request) == "empty_first" else list(_done()[:RUNS_OFFERED])
        run = _chosen(request) if request.GET.get("run") else next(iter(offered), None)
        rows = read(run.judged_path) if run else []
        context = {
            **self.site.each_context(request),
            "title": _("Calibration"),
            "runs": offered,
            "run": run,
            "n_rows": len(rows),
            "is_cut": len(rows) == MOST,
            **(_figures(rows, run.pk) if run and rows else {}),
        }
        return TemplateResponse(request, "promises/calibration.html", context)

    @method_decorator([require_safe, never_cache])
    def rows(self, request: HttpRequest) -> HttpResponse:
        """The orders behind one number: ?run=&by=&is=, kept ones or missed ones with &came=."""
        _check(request)
        run = _chosen(request)
        kind, key = _kind(request), request.GET.get("is", "")
        found = [(row, kind.judged(row)) for row in reversed(read(run.judged_path)) if kind.key(row) == key]
        if not found:
            raise Http404(_("There are no orders behind that number. Go back to the calibration."))
        came = request.GET.get("came", "")
        shown = [one for one in found if came not in {"kept", "missed"} or one[1].is_kept == (came == "kept")]
        context = {
            **self.site.each_context(request),
            "title": _("Orders of %(group)s") % {"group": kind.words(key)} if key else _("All judged orders"),
            "run": run,
            "kind": kind,
            "is_probe": kind is BY_ODDS,
            "figures": _shown([judged for _row, judged in found]),
            "page": Paginator(shown, PER_PAGE).get_page(request.GET.get("p")),
            "came": came,
            "query": _query(run.pk, request.GET.get("by", ""), key),
        }
        return TemplateResponse(request, "promises/calibration_rows.html", context)


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(SEE):
        raise PermissionDenied(SEE)


def _done() -> Any:
    return BacktestRun.objects.filter(state=BacktestRun.State.DONE).defer("result")


def _chosen(request: HttpRequest) -> BacktestRun:
    wanted = request.GET.get("run", "")
    # Longer than any number of a row: a database would refuse it.
    is_number = wanted.isascii() and wanted.isdigit() and len(wanted) < 19
    run: BacktestRun | None = _done().filter(pk=int(wanted)).first() if is_number else None
    if run is None:
        raise Http404(_("There is no such back-test; somebody may have removed it."))
    return run


def _kind(request: HttpRequest) -> Kind:
    """Raises Http404 for a grouping that there is not."""
    name = request.GET.get("by", "")
    kind = {"": ALL, "odds": BY_ODDS, **KINDS}.get(name)
    if kind is None:
        raise Http404(_("There are no orders behind that number. Go back to the calibration."))
    return kind


def _query(run: int, by: str, key: str | int) -> str:
    return urlencode({"run": run, "by": by, "is": key})


# What is shown.


def _figures(rows: Sequence[Row], run: int) -> dict[str, Any]:
    probes = [row.probe for row in rows]
    bins = reliability(probes)
    error = calibration_error(bins)
    return {
        "all": _shown([row.promise for row in rows]),
        "all_query": _query(run, "", ""),
        "error": None if error is None else 100 * error,
        "brier": brier(probes),
        "bins": [_bin(one, run) for one in bins],
        "plot": _plot(bins),
        "groups": [_group(name, kind, rows, run) for name, kind in KINDS.items()],
    }


def _shown(judged: Sequence[Judged]) -> dict[str, Any]:
    found = rates(judged)
    return _words_of(found.raw, found.stated)


def _words_of(raw: Share, stated: float) -> dict[str, Any]:
    return {
        "n": raw.n,
        "stated": per_cent(stated) if raw.n else "–",
        "raw": per_cent(raw.rate),
        "raw_of": f"{raw.kept}/{raw.n}",
        "interval": interval(raw) if raw.n else "–",
        "is_small": raw.is_small,
    }


def _bin(one: Bin, run: int) -> dict[str, Any]:
    return {
        "name": _bin_words(str(one.number)),
        "query": _query(run, "odds", one.number),
        **_words_of(one.rates.raw, one.rates.stated),
    }


def _group(name: str, kind: Kind, rows: Sequence[Row], run: int) -> dict[str, Any]:
    """The largest groups, or the latest of those that follow one another."""
    found = grouped(rows, kind.key, kind.judged)
    shown = (
        sorted(found)[-GROUPS_SHOWN:]
        if kind.in_order
        else sorted(found, key=lambda key: (-found[key].raw.n, key))[:GROUPS_SHOWN]
    )
    return {
        "name": name,
        "title": kind.title,
        "rows": [
            {
                "name": kind.words(key),
                "query": _query(run, name, key),
                **_words_of(found[key].raw, found[key].stated),
            }
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
