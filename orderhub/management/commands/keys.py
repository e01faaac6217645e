"""Look after the key files: status, rotate, backup. Never shows a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from orderhub import keyring


class Command(BaseCommand):
    help = "Shows the key files, seals everything with a new secret, or packs the key files into a backup."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="do", required=True)
        status = actions.add_parser("status", help="which key files there are; no keys")
        status.add_argument("--json", action="store_true", help="for machines")
        rotate = actions.add_parser("rotate", help="make a new secret and seal everything with it")
        rotate.add_argument(
            "--drop-old", action="store_true", help="no new secret: forget the older ones; after the restart"
        )
        actions.add_parser("reseal", help="seal everything with the newest secret, without making a new one")
        backup = actions.add_parser("backup", help="pack the key files into FILE, readable by you only")
        backup.add_argument("file", metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        directory = Path(settings.KEY_DIR)
        try:
            match options["do"]:
                case "status":
                    self.show(directory, as_json=options["json"])
                case "rotate":
                    self.rotate(directory, drop_old=options["drop_old"])
                case "reseal":
                    self.stdout.write(f"Sealed {keyring.reseal(settings.ORDERHUB_SECRETS)} rows anew.")
                case "backup":
                    names = keyring.back_up(directory, Path(options["file"]))
                    self.stdout.write(
                        f"{options['file']} holds {', '.join(names)}. Keep it apart from the database."
                    )
        except keyring.KeysRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def show(self, directory: Path, *, as_json: bool) -> None:
        at = now()
        rows = [
            {
                "file": key_file.name,
                "mode": key_file.mode,
                "private": key_file.is_private,
                "age_days": (at - key_file.changed_at).days,
                "keys": key_file.n_keys,
            }
            for key_file in keyring.status(directory)
        ]
        if as_json:
            self.stdout.write(json.dumps({"directory": str(directory), "files": rows}))
            return
        self.stdout.write(f"{directory}:")
        for row in rows:
            warning = "" if row["private"] else "  others can read it: chmod 600"
            self.stdout.write(
                f"  {row['file']:<18} mode {row['mode']}  {row['keys']} keys  {row['age_days']} days old{warning}"
            )

    def rotate(self, directory: Path, *, drop_old: bool) -> None:
        """Two runs with a restart between them: a process still running seals with the secret it was started with."""
        if drop_old:
            resealed = keyring.reseal(keyring.lines_of(keyring.secrets_file(directory)))
            dropped = keyring.drop_old_secrets(directory)
            self.stdout.write(f"Sealed {resealed} rows anew, dropped {dropped} older secrets.")
        else:
            secrets = keyring.add_secret(directory)
            self.stdout.write(
                f"There are {len(secrets)} secrets now. Sealed {keyring.reseal(secrets)} rows anew."
            )
            self.stdout.write(
                "Restart the web server and the steward now; later run: keys rotate --drop-old."
            )
        self.stdout.write("Make a backup: keys backup FILE.")
