"""Keep the Chinese catalogue complete: update it from code, templates and packages, or say what it lacks."""

from __future__ import annotations

import os
import re
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands import makemessages
from django.core.management.utils import find_command

from orderhub import env

# Ignored by name wherever they stand: what others wrote, what only tests say.
IGNORED = [".venv", "var", "tests", "node_modules"]


class Extraction(makemessages.Command):
    """makemessages without guesses: a new string starts empty instead of with the words of a similar one."""

    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]


class Command(BaseCommand):
    help = "Updates the Chinese catalogue, or checks that nothing is missing in it. Needs gettext (script/setup dev)."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="do", required=True)
        actions.add_parser("update", help="collect every string, drop what nothing says any more, compile")
        actions.add_parser(
            "check", help="say what is missing, empty, wrong or not compiled; exit code 1 if anything is"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from orderhub import catalogue
        except ModuleNotFoundError as missing:
            raise CommandError(f"{missing.name} is missing. Run script/setup dev.") from missing
        if options["do"] == "update":
            self.update(catalogue.borrowed_source(catalogue.borrowed()))
        faults = catalogue.faults_on_disk()
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            raise CommandError(f"{len(faults)} to mend in {catalogue.PO_FILE.relative_to(env.ROOT)}.")
        self.stdout.write("The catalogue is complete.")

    def update(self, borrowed: str) -> None:
        from orderhub.catalogue import BORROWED_FILE, LOCALE, PO_FILE

        if find_command("msgfmt") is None:
            raise CommandError("gettext is missing. Run script/setup dev, or: apt-get install gettext.")
        os.chdir(env.ROOT)
        BORROWED_FILE.write_text(borrowed, encoding="utf-8")
        call_command(
            Extraction(),
            locale=[LOCALE],
            ignore_patterns=IGNORED,
            add_location="file",
            no_obsolete=True,
            verbosity=0,
        )
        text = PO_FILE.read_text(encoding="utf-8")
        # It would change with every run, and every change would be a conflict of two branches.
        PO_FILE.write_text(re.sub(r'"POT-Creation-Date:.*\n', "", text), encoding="utf-8")
        call_command("compilemessages", locale=[LOCALE], ignore_patterns=IGNORED, verbosity=0)
