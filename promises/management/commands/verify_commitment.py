"""Check a commitment: its PDF, its proof file, or the code on it."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from promises.verification import checking, own, verify
from promises.verification.given import BAD, Wish


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
        parser.add_argument("--seen", type=Path, help="a signed head of the log that you have from before")
        parser.add_argument("--stamp", type=Path, help="a time stamp (RFC 3161)")
        parser.add_argument("--stamped", type=Path, help="the signed head that the stamp is over")
        parser.add_argument(
            "--roots",
            type=Path,
            help="certificates of the authorities that you trust, PEM (ORDERHUB_TSA_ROOTS)",
        )
        parser.add_argument("--as-of", type=int, help="moment of the statistics, Unix seconds (now)")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["subject"] and not options["entries"]:
            self.stderr.write("Name a PDF, a proof file or a code. --help says more.")
            sys.exit(verify.INCOMPLETE)
        try:
            report = checking.check(options["subject"], wish_of(options))
        except (*BAD, OSError) as refused:
            self.stderr.write(f"Nothing was checked: {refused}")
            sys.exit(verify.INCOMPLETE)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), ensure_ascii=False, indent=1))
        else:
            self.stdout.write(report.as_text(), ending="")
        sys.exit(report.exit)


def wish_of(options: dict[str, Any]) -> Wish:
    """Raises Refused or OSError."""
    is_stranger = bool(options["keys"] or options["policy"])
    roots = options["roots"] or (None if is_stranger else settings.TSA_ROOTS)
    if options["stamp"] and not (options["stamped"] and roots):
        raise verify.Refused(
            "A stamp needs --stamped, the head that it is over, and --roots: whose stamp should count?"
        )
    return Wish(
        trust=verify.read_trust(options["keys"], options["policy"]) if is_stranger else own.trust(),
        state=verify.State(options["state"]) if options["state"] else None,
        entries=options["entries"],
        checkpoint=options["checkpoint"].read_text(encoding="utf-8") if options["checkpoint"] else "",
        as_of=int(time.time()) if options["as_of"] is None else options["as_of"],
        stamp=options["stamp"].read_bytes() if options["stamp"] else b"",
        stamped=options["stamped"].read_text(encoding="utf-8") if options["stamped"] else "",
        roots=roots,
        seen=options["seen"].read_text(encoding="utf-8") if options["seen"] else "",
        complete=None if is_stranger else own.complete,
    )
