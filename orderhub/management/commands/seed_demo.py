"""Load the demo seller's orders, or take every demo row out again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now
from django.utils.translation import gettext as _

from orderhub import demo
from orderhub.progress import Progress

ORDERS, SEED = 3000, 1


class Command(BaseCommand):
    help = "Load the demo seller: shops, warehouses, customers and orders in every stage. Run again, it changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--orders", type=int, default=ORDERS, help=f"how many orders ({ORDERS})")
        parser.add_argument("--seed", type=int, default=SEED, help=f"another number, another seller ({SEED})")
        parser.add_argument("--wipe", action="store_true", help="delete every demo row and nothing else")
        parser.add_argument("--json", action="store_true", help="answer in JSON")
        parser.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["orders"] < 1:
            raise CommandError(_("--orders must be at least 1."))
        self.is_quiet = options["quiet"]
        if options["wipe"]:
            self._wipe(as_json=options["json"])
        else:
            self._load(options["orders"], options["seed"], as_json=options["json"])

    def _wipe(self, *, as_json: bool) -> None:
        gone = demo.wipe()
        if as_json:
            self.stdout.write(json.dumps({"deleted": gone}))
        else:
            self._say(_("Demo rows deleted: %(count)d") % {"count": sum(gone.values())})

    def _load(self, n_orders: int, seed: int, *, as_json: bool) -> None:
        started = time.monotonic()
        bar = Progress(self.stdout, is_quiet=as_json or self.is_quiet)
        bar.step(_("Demo orders"))
        try:
            loaded = demo.load(n_orders, seed=seed, at=now(), progress=bar.at)
        except demo.AlreadyLoaded as found:
            bar.broken()
            self._say_already(found, as_json=as_json)
            return
        bar.end()
        seconds = round(time.monotonic() - started, 1)
        if as_json:
            self.stdout.write(json.dumps({**asdict(loaded), "already_loaded": False, "seconds": seconds}))
            return
        self._say(
            _("Demo data loaded: %(orders)d orders, %(facts)d facts, in %(seconds).1f seconds.")
            % {"orders": loaded.n_orders, "facts": loaded.n_facts, "seconds": seconds}
        )

    def _say_already(self, found: demo.AlreadyLoaded, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"n_orders": found.n_orders, "already_loaded": True}))
            return
        self._say(
            _(
                "%(count)d demo orders are there already; nothing was changed. For others: seed_demo --wipe first."
            )
            % {"count": found.n_orders}
        )

    def _say(self, text: str) -> None:
        if not self.is_quiet:
            self.stdout.write(text)
