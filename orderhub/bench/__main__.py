"""script/bench WHAT [--db sqlite|postgres|both] [--json OUT]: measures, and prints what was found beside what was promised."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from orderhub import env
from orderhub.bench.figures import Figure, read_json, say, table, write_json
from orderhub.bench.house import Interrupted, house

WHATS = {
    "ingest": "facts over HTTP until settled, a second",
    "chaos": "a replay while workers are killed, judged by a reference model",
    "kills": "workers killed at marked points of their work",
    "import": "a file of new orders, mapped, stored and settled",
    "board": "the board's pages with 10,000 and with 1,260,000 orders",
    "memory": "what web, steward and worker hold together",
    "live": "a commit until the changed cell in real browsers; what an idle board costs",
    "scale": "the rates of ingest with 10,000 and with 1,260,000 orders",
    "planted": "planted bugs, each of which its test must notice",
    "crash": "PostgreSQL killed under load; what was acknowledged is there",
    "reliability": "rows R1, R3, R4, R6, R7 and R13 with their full counts",
    "replay": "an order history played as if it were happening",
    "estimates": "what estimates cost, and what a back-test of FILE shows",
    "promising": "live estimates of the hub's own orders: one, an event, the whole night",
    "ledger": "entries of the log a second, proofs, and the replay of a year",
    "verify": "genuine and mutated commitments by all who check; the page under load",
    "paper": "promise papers: time, weight, and their codes read from pictures",
    "screens": "every screen in a real browser: accessibility, weight, fit, languages",
}
# These start no house of their own.
WITHOUT_HOUSE = {"planted", "estimates", "paper"}


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    for name, help_text in WHATS.items():
        one = kinds.add_parser(name, help=help_text)
        if name not in WITHOUT_HOUSE:
            one.add_argument("--db", choices=["sqlite", "postgres", "both"], default="both")
        one.add_argument("--json", type=Path, help="also write the figures to this file")
        module(name).add_arguments(one)
    return parser.parse_args(given)


def module(name: str) -> Any:
    # import is a word of the language.
    return import_module(f"orderhub.bench.{'imports' if name == 'import' else name}")


def on(db: str, options: argparse.Namespace) -> list[Figure]:
    say(f"{options.what} on {db} ...")
    with house(db) as ground:
        safe = ground.postgres.settings() if ground.postgres else {}
        figures: list[Figure] = module(options.what).run(ground, options)
    return [*figures, *(Figure(f"PostgreSQL {name}", value) for name, value in safe.items())]


def alone(given: list[str], db: str) -> list[Figure]:
    """The same measurement on one database in a process of its own: Django reads its settings once."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "figures.json"
        kept = _without_outputs(given)
        command = [sys.executable, "-m", "orderhub.bench", *kept, "--db", db, "--json", str(out)]
        process = subprocess.Popen(command, cwd=env.ROOT, stdout=subprocess.DEVNULL)
        try:
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        if not out.exists():
            raise SystemExit(code or 1)
        return read_json(out)[db]


def _without_outputs(given: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(given)
    for word in words:
        if word in {"--db", "--json"}:
            next(words, None)
        elif not word.startswith(("--db=", "--json=")):
            kept.append(word)
    return kept


def stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def main(given: list[str]) -> int:
    options = arguments(given)
    what = options.what
    signal.signal(signal.SIGTERM, stop)
    try:
        if what in WITHOUT_HOUSE:
            found = {"": module(what).run(options)}
        elif options.db == "both":
            found = {db: alone(given, db) for db in ("sqlite", "postgres")}
        else:
            found = {options.db: on(options.db, options)}
    except (Interrupted, KeyboardInterrupt):
        say("Stopped.")
        return 130
    for db, figures in found.items():
        print(table(" on ".join(filter(None, [what, db])), figures))
    if options.json:
        write_json(options.json, what, found)
    return int(any(one.met is False for figures in found.values() for one in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
