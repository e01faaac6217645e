"""Bring the database to where the code expects it: migrations, holidays, and in demo mode the demo data."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand
from django.utils.timezone import now

from orders import audit
from orders.worktime.holidays import ensure_holidays


class Command(BaseCommand):
    help = "Migrate, load the holidays, and in demo mode (ORDERHUB_DEMO=1) the demo data. Safe to run again."
    # Checks that read the database would run before it is migrated.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.check(include_deployment_checks=False)
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        with audit.acting(way="command", reason="bring_up"):
            ensure_holidays(now())
        if settings.DEMO and "quickstart" in get_commands():
            # script/server prints the logins itself, once everything runs.
            options = {"demo": True, "hide_logins": True, "skip_checks": True}
            call_command("quickstart", **options, stdout=self.stdout, stderr=self.stderr)
