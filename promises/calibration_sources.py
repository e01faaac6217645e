"""Whose promises the calibration judges: this house's own, the demo's, or those of a replayed history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from promises import calibration_house, calibration_rows
from promises.backtest_runs import BacktestRun
from promises.calibration_house import HouseRow
from promises.calibration_rows import Row
from promises.estimates.models import EstimateModel

SEE_ESTIMATES, SEE_RUNS = "promises.view_estimate", "promises.view_backtestrun"
HOUSE, DEMO, RUN = "house", "demo", "run-"
PERIODS = (30, 90, 180)
USUAL_PERIOD = 90

AnyRow = Row | HouseRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is judged, and the words that name it in an address. run: of a history; else the last so many days."""

    name: str
    rows: Sequence[AnyRow]
    run: BacktestRun | None = None
    days: int = USUAL_PERIOD

    @property
    def is_house(self) -> bool:
        return self.run is None

    @property
    def is_demo(self) -> bool:
        return self.name == DEMO

    @property
    def query(self) -> dict[str, str | int]:
        return {"run": self.run.pk} if self.run else {"of": self.name, "days": self.days}


def named(request: HttpRequest, at: datetime) -> Source:
    """What ?of= or ?run= names. Raises Http404 for what there is not, PermissionDenied for what one may not see."""
    name = request.GET.get("of", "") or RUN + request.GET.get("run", "")
    if name in {HOUSE, DEMO}:
        return of_house(request, at, name)
    return _of_run(request, name.removeprefix(RUN))


def chosen(request: HttpRequest, at: datetime) -> Source:
    """What the address names, else the first of these of which something was judged."""
    if request.GET.get("of") or request.GET.get("run"):
        return named(request, at)
    offered = []
    if request.user.has_perm(SEE_ESTIMATES):
        for name in (HOUSE, DEMO):
            offered.append(of_house(request, at, name))
            if offered[-1].rows:
                return offered[-1]
    if request.user.has_perm(SEE_RUNS) and (run := done().first()):
        return _read(run)
    if not offered:
        _must(request, SEE_RUNS)
    return offered[0] if offered else Source(name=HOUSE, rows=())


def of_house(request: HttpRequest, at: datetime, name: str) -> Source:
    """What this person may see of the house's own, in the last ?days=."""
    _must(request, SEE_ESTIMATES)
    wanted = request.GET.get("days", str(USUAL_PERIOD))
    if wanted not in map(str, PERIODS):
        raise Http404(_("There are no figures for that period. Choose one of those offered."))
    since = midnight(at) - timedelta(days=int(wanted))
    rows = calibration_house.read(request.user, since, at, is_demo=name == DEMO)
    return Source(name=name, rows=rows, days=int(wanted))


def midnight(at: datetime) -> datetime:
    """When today began: what is proposed stays the same until the next one."""
    return localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def has_demo() -> bool:
    return EstimateModel.objects.filter(is_demo=True).exists()


def done() -> Any:
    return BacktestRun.objects.filter(state=BacktestRun.State.DONE).defer("result")


def _of_run(request: HttpRequest, wanted: str) -> Source:
    _must(request, SEE_RUNS)
    # Longer than any number of a row: a database would refuse it.
    is_number = wanted.isascii() and wanted.isdigit() and len(wanted) < 19
    run = done().filter(pk=int(wanted)).first() if is_number else None
    if run is None:
        raise Http404(_("There is no such back-test; somebody may have removed it."))
    return _read(run)


def _read(run: BacktestRun) -> Source:
    return Source(name=f"{RUN}{run.pk}", rows=calibration_rows.read(run.judged_path), run=run)


def _must(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied(permission)
