"""Bring the database to where the code expects it: migrations, then whatever quickstart finds missing."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from orderhub.models import the_house


class Command(BaseCommand):
    help = "Migrate, then quickstart; in demo mode (ORDERHUB_DEMO=1) with the demo data. Safe to run again."
    # Checks that read the database would run before it is migrated.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.check(include_deployment_checks=False)
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        if settings.DEMO and the_house().demo_removed_at is not None:
            call_command("quickstart", quiet=True, stdout=self.stdout, stderr=self.stderr)
            self.stdout.write(
                _(
                    "The demo data were removed. They come back with manage.py quickstart --demo, or under /admin/start/."
                )
            )
            return
        # script/server prints the logins itself, once everything runs.
        call_command(
            "quickstart", demo=settings.DEMO, hide_logins=True, stdout=self.stdout, stderr=self.stderr
        )
