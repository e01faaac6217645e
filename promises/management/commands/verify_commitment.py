"""Check a commitment: its PDF, its proof file, or the code on it."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from promises.verification import checking, own, verify


class Command(BaseCommand):
    help = (
        "Checks a commitment. Ends with 0: true, 1: false, 2: incomplete, 3: the log contradicts itself. Without --keys "
        "and --policy by this house's own keys and log; with them as a stranger would, who has only what he was given."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subject", nargs="*", help="PDF, proof file, or the text of the code")
        parser.add_argument("--keys", type=Path, action="append", default=[], help="file with public keys")
        parser.add_argument("--policy", type=Path, help="tlog-policy file")
        parser.add_argument("--state", type=Path, help="folder of remembered heads")
        parser.add_argument("--entries", type=Path, help="all entries of the log, one to a line")
        parser.add_argument("--checkpoint", type=Path, help="a signed head of the log")
        parser.add_argument("--as-of", type=int, help="moment of the statistics, Unix seconds (now)")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["subject"] and not options["entries"]:
            self.stderr.write("Name a PDF, a proof file or a code. --help says more.")
            sys.exit(verify.INCOMPLETE)
        try:
            report = checking.check(options["subject"], wish_of(options))
        except (*checking.BAD, OSError) as refused:
            self.stderr.write(f"Nothing was checked: {refused}")
            sys.exit(verify.INCOMPLETE)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), ensure_ascii=False, indent=1))
        else:
            self.stdout.write(report.as_text(), ending="")
        sys.exit(report.exit)


def wish_of(options: dict[str, Any]) -> checking.Wish:
    """Raises Refused or OSError."""
    is_stranger = bool(options["keys"] or options["policy"])
    trust = verify.Trust() if is_stranger else own.trust()
    for file in options["keys"]:
        verify.read_keys(file.read_text(encoding="utf-8"), trust)
    if options["policy"]:
        verify.read_policy(options["policy"].read_text(encoding="utf-8"), trust)
    return checking.Wish(
        trust=trust,
        state=verify.State(options["state"]) if options["state"] else None,
        entries=options["entries"],
        checkpoint=options["checkpoint"].read_text(encoding="utf-8") if options["checkpoint"] else "",
        as_of=int(time.time()) if options["as_of"] is None else options["as_of"],
        complete=None if is_stranger else own.complete,
    )
