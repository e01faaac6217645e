"""From an empty database to one that can be worked with; with --demo, to one that shows something at once."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orderhub import demo, wizard
from orderhub.demo import logins, partners
from orderhub.progress import Progress
from orders import audit
from orders.access import sync_roles
from orders.models import Order
from orders.worktime import WorkCalendar, ensure_holidays

HOME = "http://127.0.0.1:8000"


@dataclass
class Report:
    """What --json says."""

    demo: bool
    url: str
    orders: int = 0
    late: int = 0
    already_loaded: bool = False
    logins_file: str = ""
    seconds: float = 0.0


class Command(BaseCommand):
    help = (
        "Set up holidays, a working calendar and the roles; with --demo also the template, a seller with orders, logins "
        "and partners. Safe to run again. Exit code 0: ready; 1: not ready, the last line says why; 2: wrong options."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="load the demo seller, one login per role, sandbox partners"
        )
        parser.add_argument("--orders", type=int, default=3000, help="how many demo orders (3000)")
        parser.add_argument(
            "--hide-logins", action="store_true", help="say where the logins are, do not print them"
        )
        parser.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")
        parser.add_argument(
            "--json", action="store_true", help="answer with one JSON object, without passwords"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["orders"] < 1:
            raise CommandError(_("--orders must be at least 1."))
        refuse_old_database()
        started = time.monotonic()
        is_silent = options["quiet"] or options["json"]
        self.progress = Progress(self.stdout, is_quiet=is_silent)
        report = Report(demo=options["demo"], url=f"{os.environ.get('ORDERHUB_URL', HOME)}/admin/")
        try:
            with audit.acting(way="quickstart"):
                self._set_up(report, options["orders"])
        except (DatabaseError, OSError) as error:
            self.progress.broken()
            raise CommandError(
                _("Not ready: %(error)s. Run it again; what is done stays.") % {"error": error}
            ) from error
        report.seconds = round(time.monotonic() - started, 1)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report)))
        elif not options["quiet"]:
            self._close(report, is_shown=not options["hide_logins"])

    def _set_up(self, report: Report, n_orders: int) -> None:
        self.progress.step(_("Holidays, working calendar, roles"))
        ensure_holidays(now())
        if not WorkCalendar.objects.filter(is_default=True).exists():
            WorkCalendar.objects.create(name=_("Usual working hours"), is_default=True)
        sync_roles()
        if report.demo:
            self._set_up_demo(report, n_orders)
        self.progress.end()

    def _set_up_demo(self, report: Report, n_orders: int) -> None:
        file = logins_file()
        self.progress.step(_("A login for each role"))
        logins.make_logins(file)
        self.progress.step(_("Demo orders"))
        try:
            wizard.show_demo(by=None, at=now(), n_orders=n_orders, progress=self.progress.at)
        except demo.AlreadyLoaded:
            report.already_loaded = True
        self.progress.step(_("Sandbox partners"))
        logins.give_scopes(file)
        partners.introduce(partners_file())
        report.orders, report.late = demo.loaded_orders(), n_late()
        report.logins_file = str(file) if file.exists() else ""

    def _close(self, report: Report, *, is_shown: bool) -> None:
        if not report.demo:
            self.stdout.write(
                _(
                    "Ready. Next: make your own account with manage.py createsuperuser, then start everything with "
                    "script/server --no-demo, and set up your house under %(url)sstart/."
                )
                % {"url": report.url}
            )
            return
        self._say_orders(report)
        if not report.logins_file:
            self.stdout.write(
                _("The demo users were there before; new passwords: manage.py changepassword NAME.")
            )
        else:
            if is_shown:
                self.stdout.write(Path(report.logins_file).read_text(encoding="utf-8").rstrip())
            self.stdout.write(
                _("The logins are in %(file)s; it is readable only for you.") % {"file": report.logins_file}
            )
        self.stdout.write(_("Ready: %(url)s, as soon as script/server runs.") % {"url": report.url})

    def _say_orders(self, report: Report) -> None:
        text = ngettext("%(n)s demo order", "%(n)s demo orders", report.orders) % {"n": report.orders}
        late = ngettext("%(n)s of them is late", "%(n)s of them are late", report.late) % {"n": report.late}
        if report.already_loaded:
            text = _("%(orders)s were there already, %(late)s. Nothing was changed.") % {
                "orders": text,
                "late": late,
            }
        else:
            text = _("%(orders)s loaded, %(late)s, in %(seconds)s seconds.") % {
                "orders": text,
                "late": late,
                "seconds": report.seconds,
            }
        self.stdout.write(text)


def n_late() -> int:
    """Demo orders that are red on the board."""
    at = now()
    rows = Order.objects.open().filter(is_demo=True)
    return rows.filter(Q(promised_at__lt=at) | Q(step_due_at__lt=at)).count()


def logins_file() -> Path:
    return Path(settings.VAR_DIR) / "logins.txt"


def partners_file() -> Path:
    return Path(settings.VAR_DIR) / "sandbox.json"


def refuse_old_database() -> None:
    """Raises CommandError if migrations are missing."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(_("The database is not up to date. Run manage.py migrate first."))
