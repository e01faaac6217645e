"""The sandbox partners as a process of their own, talking to the hub over HTTP."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.sandbox.acquaintance import NotIntroduced, read
from integrations.sandbox.mischief import BadMischief, Control, Mischief
from integrations.sandbox.post import Hub
from integrations.sandbox.town import Town

SHARES = {
    "duplicate": "share of messages sent twice",
    "reorder": "share of messages that come after the next one",
    "drop": "share of messages that are never sent",
    "contradict": "share of orders that the shop cancels while the warehouse ships them",
}


class Command(BaseCommand):
    help = "Stand-in shops, stock system, warehouse and carriers: they send signed webhooks, and misbehave on command."
    # They only know the hub by its address; whether it is in order is not theirs to judge.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        start = Mischief()
        address = os.environ.get("ORDERHUB_URL", "http://127.0.0.1:8000")
        parser.add_argument("--base-url", default=address, help=f"where the hub is ({address})")
        parser.add_argument("--speed", type=float, default=start.speed, help="2 = twice as fast (1)")
        for name, text in SHARES.items():
            default = getattr(start, name)
            parser.add_argument(
                f"--{name}", type=float, default=default, help=f"{text}, 0 to 1 ({default:g})"
            )
        parser.add_argument(
            "--delay", type=float, default=0.0, help="messages come up to so many seconds late (0)"
        )
        parser.add_argument("--max-seconds", type=float, help="end by itself after so long")
        parser.add_argument("--seed", type=int, help="a number for the same lives again")
        parser.add_argument("--json", action="store_true", help="print what was done as JSON at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        var = Path(settings.VAR_DIR)
        try:
            known = read(var / "sandbox.json")
            mischief = Mischief().changed({name: options[name] for name in ("speed", "delay", *SHARES)})
            hub = Hub(options["base_url"], known.token)
        except (NotIntroduced, BadMischief, ValueError) as error:
            raise CommandError(str(error)) from error
        town = Town(
            known,
            hub,
            Control(var / "sandbox-control.json", mischief),
            chance=random.Random(options["seed"]),  # noqa: S311 - invented orders, not secrets
            say=self._say,
        )

        def end(number: int, frame: FrameType | None) -> None:
            town.enough.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        try:
            town.run(options["max_seconds"])
        finally:
            hub.close()
        if options["json"]:
            self.stdout.write(json.dumps(dict(town.counts)))
        else:
            self._say(town.summary())

    def _say(self, text: str) -> None:
        self.stderr.write(f"sandbox: {text}")
