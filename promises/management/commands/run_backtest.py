"""Replays one history that was uploaded on the page. The worker starts it; nobody needs to by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from orders import audit
from promises.backtest_runs import replay


class Command(BaseCommand):
    help = (
        "Replays one uploaded history and writes its figures to its row. The worker starts it. A run that was removed, or that "
        "another attempt works on, is left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int, help="the number of the back-test")
        parser.add_argument("attempt", type=int, help="the attempt that was claimed for it")

    def handle(self, *args: Any, **options: Any) -> None:
        with audit.acting(way="worker"):
            replay(options["run"], options["attempt"])
