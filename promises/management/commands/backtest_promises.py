"""Replays an order history and says what the hub would have promised, beside the file's own promise and a plain average."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from promises.history_file import OPTIONAL, REQUIRED, BadHistory, read_history

if TYPE_CHECKING:
    from promises.replay import Result, Row

DONE, NOTHING_SCORED, REFUSED = 0, 1, 2
TARGETS = (0.8, 0.85, 0.88, 0.9, 0.927, 0.95)


class Command(BaseCommand):
    help = (
        "Replays an order history (CSV, also .gz) in time order and reports what would have been promised by hub, by the file's "
        f"own column (platform) and by the average of the last 120 days. Required columns: {', '.join(REQUIRED)}. "
        f"Used where present: {', '.join(OPTIONAL)}. Exit codes: 0 done, 1 no delivered order in the scored time, "
        "2 the file was refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the history")
        parser.add_argument(
            "--from", dest="scored_from", type=_day, metavar="DAY", help="first date of scored orders"
        )
        parser.add_argument(
            "--to", dest="scored_to", type=_day, metavar="DAY", help="last date of scored orders, included"
        )
        parser.add_argument(
            "--target",
            dest="targets",
            type=_odds,
            action="append",
            metavar="ODDS",
            help=f"share of promises to keep; may be given often (default: {' '.join(map(str, TARGETS))})",
        )
        parser.add_argument(
            "--json", type=Path, metavar="OUT", help="also write the rows to this file; - is standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = self._run(options)
            self._tell(result, options["json"])
        except BadHistory as error:
            self._refuse(str(error))
        except OSError as error:
            self._refuse(
                _("%(file)s cannot be written: %(why)s.") % {"file": options["json"], "why": error.strerror}
            )
        if not result.rows:
            self.stderr.write(
                _(
                    "No delivered order of the file was placed in that time. Choose other dates with --from and --to."
                )
            )
            sys.exit(NOTHING_SCORED)

    def _refuse(self, why: str) -> None:
        self.stderr.write(_("Refused: %(why)s") % {"why": why})
        sys.exit(REFUSED)

    def _run(self, options: dict[str, Any]) -> Result:
        first, last = options["scored_from"], options["scored_to"]
        if first and last and last < first:
            raise BadHistory(_("--to lies before --from: no order can be in between."))
        history = read_history(options["file"])
        # Only here: no other process of the hub is to hold numpy.
        from promises.replay import back_test

        return back_test(
            history,
            sorted(set(options["targets"] or TARGETS)),
            scored_from=first,
            scored_to=last,
            progress=_Progress(self),
        )

    def _tell(self, result: Result, out: Path | None) -> None:
        text = json.dumps({"rows": [asdict(row) for row in result.rows]}, indent=1) + "\n"
        if out == Path("-"):
            self.stdout.write(text)
            return
        if out:
            out.write_text(text, encoding="utf-8")
        for line in [*_table(result.rows), *_remarks(result)]:
            self.stdout.write(line)


class _Progress:
    """A counter on one line of a terminal; in a file, a line for every tenth of the way."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._is_terminal = sys.stderr.isatty()
        self._said = -1

    def __call__(self, done: int, total: int) -> None:
        step = done * (100 if self._is_terminal else 10) // max(1, total)
        if step == self._said:
            return
        self._said = step
        text = _("%(done)d of %(total)d orders") % {"done": done, "total": total}
        if not self._is_terminal:
            self._command.stderr.write(text)
            return
        self._command.stderr.write(f"\r{text} ", ending="\n" if done == total else "")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(_("“%(value)s” is not a date like 2026-03-01") % {"value": text}) from error


def _odds(text: str) -> float:
    try:
        odds = float(text)
    except ValueError:
        odds = 0.0
    if not 0.01 <= odds <= 0.99:
        raise ArgumentTypeError(_("“%(value)s” is not a share between 0.01 and 0.99") % {"value": text})
    return odds


def _table(rows: Sequence[Row]) -> list[str]:
    heads = ["method", "target", "n", "on_time", "mean_days", "weekly_deviation_pp", "mae_days"]
    cells = [
        [
            row.method,
            f"{row.target:.3f}",
            str(row.n),
            f"{row.on_time:.4f}",
            f"{row.mean_days:.2f}",
            f"{row.weekly_deviation_pp:.2f}",
            f"{row.mae_days:.2f}",
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [heads, *cells]
    ]


def _remarks(result: Result) -> list[str]:
    remarks = []
    if result.n_without_date:
        remarks.append(
            ngettext(
                "%(count)d order was left without a date by the hub: not enough history.",
                "%(count)d orders were left without a date by the hub: not enough history.",
                result.n_without_date,
            )
            % {"count": result.n_without_date}
        )
    platform = next((row for row in result.rows if row.method == "platform"), None)
    if platform:
        remarks.append(_at_the_rate_of(platform, result.rows))
    return remarks


def _at_the_rate_of(platform: Row, rows: Sequence[Row]) -> str:
    from promises.replay import days_at_rate

    days = days_at_rate(rows, platform.on_time)
    if days is None:
        return _(
            "The platform's on-time rate of %(rate).1f %% lies outside the hub's rows: add a --target on each side of it."
        ) % {"rate": 100 * platform.on_time}
    return _(
        "At the platform's on-time rate of %(rate).1f %%: hub %(days).2f days, platform %(theirs).2f (%(change)+.1f %%)."
    ) % {
        "rate": 100 * platform.on_time,
        "days": days,
        "theirs": platform.mean_days,
        "change": 100 * (days / platform.mean_days - 1) if platform.mean_days else 0.0,
    }
