"""Makes the key that signs papers. Only for houses that want PDF readers to show a signature; nothing else needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from promises.document import signing
from promises.ledger import writing


class Command(BaseCommand):
    help = (
        "Makes a P-256 key with a certificate in the seller's name and writes both to FILE (PEM, readable by this account "
        "only). With ORDERHUB_PAPER_SIGNER naming that file, papers carry a PAdES signature from then on. A bought "
        "certificate goes the same way: key first, then the certificates, in one file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="must not be there yet")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            seller = writing.seller(is_demo=False)
        except writing.NotSetUp as refused:
            raise CommandError(str(refused)) from refused
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as refused:
            raise CommandError(
                f"{file} cannot be made: {refused.strerror}. Nothing was written; name another file."
            ) from refused
        with os.fdopen(handle, "wb") as opened:
            opened.write(signing.made(seller.legal_name, seller.uscc, now()))
            opened.flush()
            os.fsync(opened.fileno())
        self.stdout.write(
            f"Made {file}. Set ORDERHUB_PAPER_SIGNER={file.resolve()} for every process, start them anew, and make a backup: "
            f"no other key can sign in this name again. The certificate is good for {signing.YEARS} years."
        )
