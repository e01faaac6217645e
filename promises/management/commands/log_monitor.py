"""Reads a whole log again, names what is not as it was signed, and writes a signed report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.utils.timezone import now

from promises.ledger import fence, keys
from promises.ledger.models import TransparencyLog
from promises.ledger.monitor import Finding, Published, Report, signed, watch
from promises.verification import abroad, verify


class Command(BaseCommand):
    help = (
        "Reads a whole log again: altered, missing and doubled entries, the order of time, heads, keys, overdue promises. "
        "Ends with 0 if all is as it was signed, with 3 if not, and names the entries. With --url somebody else's log, over "
        "HTTP: 0 true, 1 false, 2 incomplete or not reached, 3 the log contradicts itself or what it has shown before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--log", default="seller", choices=TransparencyLog.Purpose.values, help="which of the hub's"
        )
        parser.add_argument(
            "--published", metavar="FILE", help="an earlier answer of log_stats, to be found again"
        )
        parser.add_argument("--as-of", type=int, metavar="UNIX", help="the --as-of of that answer")
        parser.add_argument("--report", metavar="FILE", help="where to write the signed report")
        parser.add_argument("--json", action="store_true", help="for machines")
        elsewhere = parser.add_argument_group("somebody else's log")
        elsewhere.add_argument("--url", help="its address, such as https://example.com/log/")
        elsewhere.add_argument(
            "--keys", type=Path, action="append", default=[], help="file with its public keys"
        )
        elsewhere.add_argument("--policy", type=Path, help="tlog-policy file: whose signatures count")
        elsewhere.add_argument(
            "--state", type=Path, help="folder of heads and entries seen before (var/ledger/abroad)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["url"]:
            watch_abroad(options, self.stdout)
            return
        at = now()
        log = TransparencyLog.objects.filter(purpose=options["log"]).first()
        if log is None:
            raise CommandError(f"There is no {options['log']} log yet: it begins with the first commitment.")
        as_of = int(at.timestamp()) if options["as_of"] is None else options["as_of"]
        report = watch(log, at, published(options["published"], as_of))
        try:
            text = signed(report, log, at)
        except keys.KeyMissing as missing:
            raise CommandError(str(missing)) from missing
        folder = Path(settings.LEDGER_DIR)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = Path(options["report"] or folder / f"{log.purpose}.report")
        fence.replace(file, text)
        self.stdout.write(json.dumps(report.as_dict()) if options["json"] else as_text(report, file))
        if not report.is_clean:
            raise SystemExit(3)


def watch_abroad(options: dict[str, Any], out: OutputWrapper) -> None:
    """Ends the program with the report's exit."""
    if not options["keys"] and not options["policy"]:
        raise CommandError(
            "Name the log's keys with --keys or --policy, from a place that you trust: whose signature should count?",
            returncode=verify.INCOMPLETE,
        )
    folder = options["state"] or Path(settings.LEDGER_DIR) / "abroad"
    as_of = int(now().timestamp()) if options["as_of"] is None else options["as_of"]
    try:
        trust = verify.read_trust(options["keys"], options["policy"])
        report = abroad.watch(abroad.Abroad(options["url"].rstrip("/") + "/", folder), trust, as_of=as_of)
    except (abroad.Unreachable, verify.Refused, OSError) as refused:
        raise CommandError(f"Nothing was compared: {refused}", returncode=verify.INCOMPLETE) from None
    if options["json"]:
        out.write(json.dumps(report.as_dict(), ensure_ascii=False, indent=1))
    else:
        out.write(report.as_text(), ending="")
    if report.exit:
        raise SystemExit(report.exit)


def published(name: str | None, as_of: int) -> Published | None:
    if name is None:
        return None
    try:
        told = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{name} is not an answer of log_stats: {error}.") from error
    if not isinstance(told, dict):
        raise CommandError(f"{name} is not an answer of log_stats.")
    return Published(told, as_of)


def as_text(report: Report, file: Path) -> str:
    lines = [f"{report.origin}: {report.size} entries, root {report.root.hex()}"]
    lines += [f"  NOT AS SIGNED  {_line(one)}" for one in report.findings]
    lines += [f"  note           {_line(one)}" for one in report.notices]
    lines.append(
        "All is as it was signed."
        if report.is_clean
        else "Keep the database as it is and the report with it."
    )
    return "\n".join([*lines, f"Signed report: {file}"])


def _line(finding: Finding) -> str:
    where = "" if finding.place is None else f"entry {finding.place}: "
    return f"{where}{finding.what} [{finding.code}]"
