"""Bring the database to where the code expects it: migrations, holidays, and in demo mode the demo data."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrate, load the holidays, and in demo mode (ORDERHUB_DEMO=1) the demo data. Safe to run again."
    # Checks that read the database would run before it is migrated.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.check(include_deployment_checks=False)
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        ensure_holidays = getattr(import_module("orders.worktime"), "ensure_holidays", None)
        if ensure_holidays is not None:
            ensure_holidays()
        if settings.DEMO and "quickstart" in get_commands():
            call_command("quickstart", demo=True, skip_checks=True, stdout=self.stdout, stderr=self.stderr)
