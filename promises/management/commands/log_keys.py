"""Looks after the keys of a log: which there are, a new one, taking one back. Never shows a secret."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from promises.ledger import keys, rotation, sequencer
from promises.ledger.models import LogKey, TransparencyLog


class Command(BaseCommand):
    help = "Shows the keys of a log, makes a new one that the old one vouches for, or revokes one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--log", default="seller", choices=TransparencyLog.Purpose.values, help="which log"
        )
        actions = parser.add_subparsers(dest="do", required=True)
        status = actions.add_parser("status", help="the public keys and their time")
        status.add_argument("--json", action="store_true", help="for machines")
        rotate = actions.add_parser("rotate", help="a new key; the old log key signs beside it for 30 days")
        rotate.add_argument("use", choices=["log", "token"])
        revoke = actions.add_parser("revoke", help="take a key back that somebody else may have")
        revoke.add_argument("key", metavar="KEY_ID", help="eight characters, see status")

    def handle(self, *args: Any, **options: Any) -> None:
        log = TransparencyLog.objects.filter(purpose=options["log"]).first()
        if log is None:
            raise CommandError(f"There is no {options['log']} log yet: it begins with the first commitment.")
        try:
            match options["do"]:
                case "status":
                    self.show(log, as_json=options["json"])
                case "rotate":
                    new = rotation.rotate(log, LogKey.Purpose(options["use"]), now())
                    self.stdout.write(f"{new.vkey}\nMake a backup: keys backup FILE.")
                case "revoke":
                    self.revoke(log, options["key"])
        except (keys.KeyMissing, sequencer.Stopped, rotation.RevokedBefore) as refusal:
            raise CommandError(str(refusal)) from refusal

    def show(self, log: TransparencyLog, *, as_json: bool) -> None:
        rows = [
            {
                "use": key.purpose,
                "key_id": key.key_id,
                "vkey": key.vkey,
                "from": key.not_before.isoformat(),
                "until": key.not_after and key.not_after.isoformat(),
                "revoked_at_size": key.revoked_at_size,
                "file": key.secret_file,
            }
            for key in log.keys.order_by("pk")
        ]
        if as_json:
            self.stdout.write(json.dumps({"origin": log.origin, "keys": rows}))
            return
        self.stdout.write(f"{log.origin}:")
        for row in rows:
            until = f" until {row['until']}" if row["until"] else ""
            revoked = (
                "" if row["revoked_at_size"] is None else f", revoked: good below {row['revoked_at_size']}"
            )
            self.stdout.write(
                f"  {row['use']:<8} {row['key_id']}  from {row['from']}{until}{revoked}  {row['file']}"
            )

    def revoke(self, log: TransparencyLog, key_id: str) -> None:
        key = LogKey.objects.filter(log=log, key_id=key_id).exclude(purpose=LogKey.Purpose.MONITOR).first()
        if key is None:
            raise CommandError(f"{log.origin} has no key {key_id}. log_keys status shows all.")
        at = now()
        sequencer.write(log, at)
        size = rotation.revoke(key, at)
        self.stdout.write(
            f"Revoked {key_id}: what it signed is good below entry {size}. Make a backup: keys backup FILE."
        )
