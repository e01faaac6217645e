"""Reads a log from its first entry to its last and prints size, root and what it proves about its promises, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from promises.ledger.models import TransparencyLog
from promises.ledger.replaying import BadEntry, replay, stored


class Command(BaseCommand):
    help = (
        "Replays a log, its own or one entry per line from a file, and prints size, root and statistics as JSON. "
        "Ends with 1 if a line is no entry."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="file", metavar="FILE", help="one entry per line instead of the hub's own log"
        )
        parser.add_argument(
            "--log", default="seller", choices=TransparencyLog.Purpose.values, help="which of the hub's"
        )
        parser.add_argument(
            "--as-of", type=int, metavar="UNIX", help="count as it stands at that moment (now)"
        )
        parser.add_argument("--grace", type=int, metavar="S", help="where the log itself fixes none (259200)")
        parser.add_argument("--json", action="store_true", help="in one line")

    def handle(self, *args: Any, **options: Any) -> None:
        entries = lines_of(options["file"]) if options["file"] else own(options["log"])
        try:
            found = replay(entries)
        except BadEntry as bad:
            where = f"line {bad.index + 1} of {options['file']}" if options["file"] else f"entry {bad.index}"
            raise CommandError(f"{where} is no entry: {bad.why}. Nothing was counted.") from bad
        as_of = int(now().timestamp()) if options["as_of"] is None else options["as_of"]
        answer = {
            "size": found.tree.size,
            "root_hex": found.tree.root().hex(),
            "statistics": found.promises.statistics(as_of=as_of, grace=options["grace"]).as_dict(),
        }
        self.stdout.write(json.dumps(answer, indent=None if options["json"] else 2))


def lines_of(name: str) -> Iterator[bytes]:
    """Each line without its end: the bytes that were logged. An empty last line is none."""
    try:
        with Path(name).open("rb") as lines:
            for line in lines:
                entry = line.removesuffix(b"\n").removesuffix(b"\r")
                if entry:
                    yield entry
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from error


def own(purpose: str) -> Iterator[bytes]:
    log = TransparencyLog.objects.filter(purpose=purpose).first()
    if log is None:
        raise CommandError(f"There is no {purpose} log yet: it begins with the first commitment.")
    return (entry for _index, entry, _hash in stored(log))
