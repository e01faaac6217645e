"""Learns anew from the hub's own orders. The worker starts it every night; by hand it is safe at any time."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.timezone import now
from django.utils.translation import gettext as _

from orders import audit, tasks
from promises.estimates.models import EstimateModel
from promises.estimates.watching import NIGHTLY


class Command(BaseCommand):
    help = (
        "Learns from the hub's own orders how long they take, for the estimates from now on. Demo orders are learned from apart. "
        "Exit code 0 also where no order has arrived yet."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        from promises.estimates.rebuilding import rebuild

        at = now()
        with audit.acting(way="worker"):
            made = [row for row in (rebuild(at, is_demo=False), rebuild(at, is_demo=True)) if row]
        tasks.finish(NIGHTLY)
        if options["json"]:
            self.stdout.write(json.dumps([_as_data(row) for row in made]))
            return
        if not made:
            self.stdout.write(_("No order has arrived yet: there is nothing to learn from."))
        for row in made:
            self.stdout.write(
                _("Model %(version)s: learned from %(n)d orders, %(delivered)d of them delivered.")
                % {"version": row.version, "n": row.n_learned, "delivered": row.n_delivered}
            )


def _as_data(row: EstimateModel) -> dict[str, Any]:
    return {
        "version": row.version,
        "n_learned": row.n_learned,
        "n_delivered": row.n_delivered,
        "is_demo": row.is_demo,
    }
