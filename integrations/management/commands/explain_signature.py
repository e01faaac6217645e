"""Show, step by step, how a signature is computed, so that two systems that disagree can find the step."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations import signatures
from integrations.signatures import PRIVATE, PUBLIC, BadSecret, Signed

SCHEMES = ("standard_webhooks",)
STDIN = "-"
FITS, DIFFERS = "fits", "does not fit"


class Command(BaseCommand):
    help = (
        "Print each step of a signature's computation and compare with a given one. The secret is never printed. "
        "Exit code 1 if --signature does not fit."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("scheme", choices=SCHEMES)
        parser.add_argument(
            "--secret", required=True, help="whsec_… , whsk_… or whpk_…; - reads it from stdin"
        )
        parser.add_argument("--id", required=True, help="webhook-id")
        parser.add_argument("--timestamp", required=True, type=int, help="webhook-timestamp, UNIX seconds")
        parser.add_argument("--body", required=True, metavar="FILE", help="the raw body, byte for byte")
        parser.add_argument("--signature", default="", help="webhook-signature to compare with")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        secret = options["secret"]
        if secret == STDIN:
            secret = sys.stdin.readline().strip()
        try:
            body = Path(options["body"]).read_bytes()
        except OSError as error:
            raise CommandError(f"{options['body']} cannot be read: {error.strerror}") from error
        signed = Signed(options["id"], str(options["timestamp"]), options["signature"], body)
        try:
            steps = explain(secret, signed)
        except BadSecret as error:
            raise CommandError(f"{error}. Copy it whole, with its prefix.") from error
        if options["json"]:
            self.stdout.write(json.dumps(steps, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in steps.items()))
        if DIFFERS in steps.values():
            sys.exit(1)


def explain(secret: str, signed: Signed) -> dict[str, str]:
    """The steps in their order, by name.

    Raises BadSecret.
    """
    steps = {
        "secret": signatures.hidden(secret),
        "key": _key(secret),
        "body": f"{len(signed.body)} bytes, SHA-256 {hashlib.sha256(signed.body).hexdigest()}",
        "signed content": _shown(signed.content),
        "signed content, SHA-256": hashlib.sha256(signed.content).hexdigest(),
    }
    if not secret.startswith(PUBLIC):
        steps["webhook-signature"] = signatures.sign(
            secret, signed.message_id, int(signed.timestamp), signed.body
        )
    for position, (version, signature) in enumerate(signatures.listed(signed.signature), start=1):
        one = Signed(signed.message_id, signed.timestamp, f"{version},{signature}", signed.body)
        steps[f"given {position}, {version}"] = FITS if signatures.fits(one, [secret]) else DIFFERS
    if FITS in steps.values():
        # One that fits is enough; the others may belong to other secrets or versions.
        steps = {name: "is not needed" if value == DIFFERS else value for name, value in steps.items()}
    return steps


def _key(secret: str) -> str:
    if secret.startswith((PRIVATE, PUBLIC)):
        signatures.public_key(secret)
        return "ed25519, base64-decoded after the prefix; scheme v1a"
    return (
        f"{len(signatures.shared_key(secret))} bytes, base64-decoded after the prefix; scheme v1, HMAC-SHA256"
    )


def _shown(content: bytes) -> str:
    text = content.decode("utf-8", "backslashreplace")
    return text if len(text) <= 2000 else f"{text[:1000]} … {text[-200:]} ({len(content)} bytes)"
