"""Load Chinese holidays and make-up working days."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import localtime, now

from orders import audit
from orders.worktime.holidays import CHINA, HolidaysUnknown, Loaded, load_chinese_holidays


class Command(BaseCommand):
    help = "Load the Chinese holidays and make-up working days of the given years (default: this year and the next)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("years", nargs="*", type=int, metavar="YEAR")

    def handle(self, *_args: Any, **options: Any) -> None:
        this_year = localtime(now(), CHINA).year
        with audit.acting(way="command", reason="load_holidays"):
            for year in options["years"] or [this_year, this_year + 1]:
                try:
                    self.stdout.write(_sentence(load_chinese_holidays(year)))
                except HolidaysUnknown as error:
                    raise CommandError(str(error)) from error


def _sentence(loaded: Loaded) -> str:
    what = "not published: statutory days, provisional" if loaded.is_provisional else "as published"
    return (
        f"{loaded.year}: {what}; {loaded.added} added, {loaded.changed} changed, {loaded.removed} removed, "
        f"{loaded.kept} entered by people left as they are"
    )
