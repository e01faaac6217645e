"""/admin/promises/backtest/: upload an order history, see what its promises would have been."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import IO, Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_stubs_ext import StrOrPromise

from integrations.files import safe_name
from orders.states import forced
from promises.backtest_runs import MAX_BYTES, MAX_ORDERS, MIB, BacktestRun, remove, start
from promises.calibration_figures import share
from promises.drawing import Plane, Point, Tick, interval, line, low_for, per_cent
from promises.history_file import OPTIONAL, REQUIRED, BadHistory

SEE, ADD, REMOVE = (f"promises.{verb}_backtestrun" for verb in ("view", "add", "delete"))
SHOWN = 20
MAX_WORDS = 600
METHODS: dict[str, StrOrPromise] = {
    "hub": gettext_lazy("This hub"),
    "platform": gettext_lazy("The file's own promises"),
    "average": gettext_lazy("Average of the last 120 days"),
}


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("Order history"),
        help_text=gettext_lazy("CSV in UTF-8 with commas, also packed as .gz."),
        error_messages={
            "required": gettext_lazy("Choose a file."),
            "empty": gettext_lazy("The file is empty. Export it again and look inside before uploading."),
        },
    )
    scored_from = forms.DateField(
        label=gettext_lazy("Judge orders placed from"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Earlier orders are learned from only. Empty: from the first on."),
    )
    scored_to = forms.DateField(
        label=gettext_lazy("to"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Empty: to the last."),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError(
                _(
                    "The file has %(size)d MB; at most %(most)d MB are taken. Pack it with gzip, or leave out columns "
                    "that are not listed here."
                )
                % {"size": -(-file.size // MIB), "most": MAX_BYTES // MIB}
            )
        return file

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("scored_from"), cleaned.get("scored_to")
        if first and last and last < first:
            self.add_error(
                "scored_to", _("It lies before the first day: no order can be in between. Exchange the two.")
            )
        return cleaned


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/promises/backtest/ and what belongs to one run."""
    page, base = _Page(site), "promises/backtest/"
    return [
        path(base, site.admin_view(page.index), name="promise_backtest"),
        path(f"{base}<int:pk>/", site.admin_view(page.run), name="promise_backtest_run"),
        path(f"{base}<int:pk>/progress/", site.admin_view(page.progress), name="promise_backtest_progress"),
        path(f"{base}<int:pk>/remove/", site.admin_view(page.remove), name="promise_backtest_remove"),
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @method_decorator([require_http_methods(["GET", "HEAD", "POST"]), never_cache])
    def index(self, request: HttpRequest) -> HttpResponse:
        """The runs, and the form for another one. By POST: take the file."""
        _check(request, SEE)
        form = UploadForm()
        if request.method == "POST":
            _check(request, ADD)
            form = UploadForm(request.POST, request.FILES)
            run = _started(form, request) if form.is_valid() else None
            if run is not None:
                return _to(run)
        runs = list(BacktestRun.objects.select_related("started_by").defer("result")[: SHOWN + 1])
        context = {
            **self.site.each_context(request),
            "title": _("Back-test"),
            "form": form,
            "runs": [] if forced(request) == "empty_first" else runs[:SHOWN],
            "has_more": len(runs) > SHOWN,
            "n_shown": SHOWN,
            "may_add": request.user.has_perm(ADD),
            "required": REQUIRED,
            "optional": OPTIONAL,
            "most_mb": MAX_BYTES // MIB,
            "most_orders": MAX_ORDERS,
        }
        return TemplateResponse(request, "promises/backtest.html", context)

    @method_decorator([require_safe, never_cache])
    def run(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Progress; once it is done, the figures."""
        run = _found(request, pk)
        context = {
            **self.site.each_context(request),
            "title": _("Back-test of %(file)s") % {"file": run.file_name},
            "run": run,
            "may_remove": request.user.has_perm(REMOVE),
            **(figures(run.result) if run.state == BacktestRun.State.DONE else {}),
        }
        return TemplateResponse(request, "promises/backtest_run.html", context)

    @method_decorator([require_safe, never_cache])
    def progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How far it is, as JSON: what the page asks for every second."""
        run = _found(request, pk)
        html = render_to_string("promises/backtest_progress.html", {"run": run}, request)
        return JsonResponse({"is_open": run.is_open, "html": html})

    @method_decorator(require_POST)
    def remove(self, request: HttpRequest, pk: int) -> HttpResponse:
        _check(request, REMOVE)
        run = _found(request, pk)
        name = run.file_name
        remove(run)
        messages.success(request, _("%(file)s was removed with its file and its figures.") % {"file": name})
        return _see_other(reverse("admin:promise_backtest"))


def _check(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied(permission)


def _found(request: HttpRequest, pk: int) -> BacktestRun:
    _check(request, SEE)
    run = BacktestRun.objects.filter(pk=pk).select_related("started_by").first()
    if run is None:
        raise Http404(_("There is no such back-test; somebody may have removed it."))
    return run


def _started(form: UploadForm, request: HttpRequest) -> BacktestRun | None:
    """The run, or None with the reason at the file's field."""
    given = form.cleaned_data
    try:
        return start(
            cast("IO[bytes]", given["file"].file),
            safe_name(given["file"].name or ""),
            by=cast("User", request.user),
            at=now(),
            scored_from=given["scored_from"],
            scored_to=given["scored_to"],
        )
    except BadHistory as error:
        # A file that is no table may have one column name of a hundred thousand characters.
        form.add_error("file", Truncator(str(error)).chars(MAX_WORDS))
        return None


def _to(run: BacktestRun) -> HttpResponse:
    return _see_other(reverse("admin:promise_backtest_run", args=[run.pk]))


def _see_other(address: str) -> HttpResponse:
    return HttpResponseRedirect(address, status=303)


# What is shown of a result.


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """The three methods beside each other, all targets of the hub, the picture and its table."""
    rows = [_row(row) for row in result["rows"]]
    side_by_side = [row for row in rows if row["method"] != "hub" or row["target"] == result["aim"]]
    order = list(METHODS)
    return {
        "aim_text": per_cent(result["aim"]),
        "n_scored": result["n_scored"],
        "n_without_date": result["n_without_date"],
        "methods": sorted(side_by_side, key=lambda row: order.index(row["method"])),
        "targets": [row for row in rows if row["method"] == "hub"],
        "fewer": _fewer(result),
        **_picture(result["weeks"], result["aim"]),
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    kept = share(row["n"], round(row["on_time"] * row["n"]))
    return {
        **row,
        "name": METHODS[row["method"]],
        "share": kept,
        "share_text": per_cent(row["on_time"]),
        "target_text": per_cent(row["target"]),
        "interval": interval(kept),
    }


def _fewer(result: dict[str, Any]) -> dict[str, Any] | None:
    """The days of hub and platform at the platform's own rate; None where there is nothing to compare."""
    platform = next((row for row in result["rows"] if row["method"] == "platform"), None)
    days = result["days_at_platform_rate"]
    if platform is None or days is None or not platform["mean_days"]:
        return None
    change = 100 * (days / platform["mean_days"] - 1)
    return {
        "rate": 100 * platform["on_time"],
        "days": days,
        "theirs": platform["mean_days"],
        "change": abs(change),
        "is_fewer": change < 0,
    }


def _picture(weeks: dict[str, list[list[Any]]], aim: float) -> dict[str, Any]:
    """Lines by week for the methods that there are, and the same as a table."""
    mondays = sorted({week[0] for found in weeks.values() for week in found})
    shares = [kept / n for found in weeks.values() for _monday, n, kept in found]
    plane = Plane(low=low_for(shares))
    place = {monday: number / max(1, len(mondays) - 1) for number, monday in enumerate(mondays)}
    lines = [_line(name, weeks[name], plane, place) for name in METHODS if name in weeks]
    return {
        "plane": plane,
        "lines": lines,
        "aim_at": plane.y(aim),
        "ticks": _ticks(mondays, plane, place),
        "weeks": [_week(monday, weeks) for monday in mondays],
        "week_heads": [METHODS[name] for name in METHODS if name in weeks],
    }


def _line(name: str, weeks: list[list[Any]], plane: Plane, place: dict[str, float]) -> dict[str, Any]:
    points = [
        Point(
            plane.x(place[monday]),
            plane.y(kept / n),
            _("%(method)s, week of %(day)s: %(kept)d of %(n)d in time")
            % {"method": METHODS[name], "day": _day(monday), "kept": kept, "n": n},
            share(n, kept).is_small,
        )
        for monday, n, kept in weeks
    ]
    return {"method": name, "name": METHODS[name], "points": points, "line": line(points)}


def _ticks(mondays: list[str], plane: Plane, place: dict[str, float]) -> list[Tick]:
    """Four days under the picture at most, so that a phone can read them."""
    if not mondays:
        return []
    chosen = sorted({round(number * (len(mondays) - 1) / 3) for number in range(4)})
    return [Tick(plane.x(place[mondays[number]]), mondays[number]) for number in chosen]


def _week(monday: str, weeks: dict[str, list[list[Any]]]) -> dict[str, Any]:
    cells = []
    for name in METHODS:
        if name in weeks:
            found = next(((n, kept) for day, n, kept in weeks[name] if day == monday), None)
            cells.append(_cell(*found) if found else None)
    return {"day": _day(monday), "cells": cells}


def _cell(n: int, kept: int) -> dict[str, Any]:
    return {"words": f"{per_cent(kept / n)} · {kept}/{n}", "is_small": share(n, kept).is_small}


def _day(text: str) -> str:
    return date_format(date.fromisoformat(text), "DATE_FORMAT")
