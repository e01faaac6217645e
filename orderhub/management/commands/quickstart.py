"""From an empty database to one that can be worked with; with --demo, to one that shows something at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.timezone import now
from django.utils.translation import gettext as _

from orderhub.demo import logins, partners
from orders import audit
from orders.access import sync_roles
from orders.worktime import WorkCalendar, ensure_holidays


class Command(BaseCommand):
    help = "Set up holidays, a working calendar and the roles; with --demo also a seller, logins and partners. Safe to run again."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="load the demo seller, one login per role, sandbox partners"
        )
        parser.add_argument("--orders", type=int, default=3000, help="how many demo orders (3000)")
        parser.add_argument(
            "--hide-logins", action="store_true", help="say where the logins are, do not print them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_old_database()
        with audit.acting(way="quickstart"):
            self._set_up_basics()
            if options["demo"]:
                self._set_up_demo(options["orders"], is_shown=not options["hide_logins"])
        if not options["demo"]:
            self.stdout.write(
                _(
                    "Ready. Next: make your own account with manage.py createsuperuser, then start everything with "
                    "script/server --no-demo, and connect a shop under /admin/."
                )
            )

    def _set_up_basics(self) -> None:
        ensure_holidays(now())
        if not WorkCalendar.objects.filter(is_default=True).exists():
            WorkCalendar.objects.create(name=_("Usual working hours"), is_default=True)
        changed = sync_roles()
        if changed:
            self.stdout.write(_("Roles set up: %(names)s") % {"names": ", ".join(changed)})

    def _set_up_demo(self, n_orders: int, *, is_shown: bool) -> None:
        file = logins_file()
        logins.make_logins(file)
        call_command("seed_demo", orders=n_orders, stdout=self.stdout, stderr=self.stderr, skip_checks=True)
        logins.give_scopes(file)
        if partners.introduce(partners_file()):
            self.stdout.write(_("The sandbox partners know this hub: %(file)s") % {"file": partners_file()})
        if not file.exists():
            self.stdout.write(
                _("The demo users were there before; new passwords: manage.py changepassword NAME.")
            )
            return
        if is_shown:
            self.stdout.write(file.read_text(encoding="utf-8").rstrip())
        self.stdout.write(_("The logins are in %(file)s; it is readable only for you.") % {"file": file})


def logins_file() -> Path:
    return Path(settings.VAR_DIR) / "logins.txt"


def partners_file() -> Path:
    return Path(settings.VAR_DIR) / "sandbox.json"


def refuse_old_database() -> None:
    """Raises CommandError if migrations are missing."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(_("The database is not up to date. Run manage.py migrate first."))
