"""Watching somebody else's log over HTTP: all of its entries are fetched, counted again, and held against what was seen before.

What an independent monitor does (tlog-tiles of c2sp.org): only the keys that were given are believed. The entries stay in a
folder, so that only new ones are fetched the next time, and so that an entry that is another one now can be named.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3

from promises.ledger import replaying, tiles
from promises.verification import checking, verify
from promises.verification.given import Wish
from promises.verification.verify import Report, State, Trust

# Seconds to connect and to answer.
PATIENCE = (5, 30)
MOST_TEXT = 1_000_000
# 256 entries with two bytes of length each.
MOST_BUNDLE = tiles.WIDTH * (2 + 65_535)
# Changed entries that are named; of the others the number is said.
NAMED = 3


class Unreachable(Exception):
    """The log did not answer as a log does: which address, and how."""


@dataclass(frozen=True, slots=True)
class Abroad:
    """A log at an address. folder: what is remembered of it from one time to the next."""

    url: str
    folder: Path

    @property
    def entries(self) -> Path:
        """The entries that were fetched, one to a line."""
        return self.folder / f"{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.entries"


def watch(at: Abroad, trust: Trust, *, as_of: int) -> Report:
    """Fetch what is new, count everything again, and compare it with what was seen and with what the log says of itself.

    The report's exit is that of verify.py. Raises Unreachable, verify.Refused, and OSError for the folder.
    """
    said = _figures(at)
    note = _text(at, "checkpoint")
    on = verify.head(note)
    report = Report(subject="log")
    if not verify.check_head(on, trust, report):
        # Whoever cannot sign a head is not to fill this disk.
        return report
    state = State(at.folder)
    known = state.known(on.origin)
    _fetch(at, on.size)
    wish = Wish(trust=trust, state=state, entries=at.entries, checkpoint=note, as_of=as_of)
    report = checking.check([], wish)
    if report.checks.get("replay", (True, ""))[0] is False:
        report = _again(at, on, wish)
    if known is not None and known.size > on.size:
        # A true beginning of what was seen, and yet not what a log shows that has lost nothing.
        report.note("growth", False, f"{known.size} entries were shown before, now {on.size}")  # noqa: FBT003
    if said is not None and report.checks["replay"][0]:
        _compare(at, said, report)
    return report


def _again(at: Abroad, on: verify.Head, wish: Wish) -> Report:
    """What is kept here does not give the signed head: does what is served now? Then the entries that differ are named."""
    before = at.entries.rename(at.entries.with_suffix(".before"))
    _fetch(at, on.size)
    report = checking.check([], wish)
    if not report.checks.get("replay", (False, ""))[0]:
        report.note("replay", False, "the entries that the log serves do not give the head that it signed")  # noqa: FBT003
    changed = [
        (place, *pair)
        for place, pair in enumerate(zip(_lines(before), _lines(at.entries), strict=False))
        if pair[0] != pair[1]
    ]
    for place, old, new in changed[:NAMED]:
        # Both stand under heads that were signed; the words alone prove nothing, the heads beside them do.
        report.blame(f"Entry {place} is not what it was when it was seen before:", old.decode(), new.decode())
    if len(changed) > NAMED:
        report.blame(f"{len(changed) - NAMED} more entries are not what they were.")
    for what in report.misbehaviour:
        State(at.folder).write_out(what)
    return report


def _lines(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as lines:
        for line in lines:
            yield line.rstrip(b"\n")


def _fetch(at: Abroad, size: int) -> None:
    """Have the file hold as many entries as the head says. Bundles that are full never change and are not fetched again."""
    at.folder.mkdir(parents=True, exist_ok=True)
    n_kept = _cut_to_whole_bundles(at.entries)
    with open(at.entries, "ab") as kept:
        for number in range(n_kept // tiles.WIDTH, -(-size // tiles.WIDTH)):
            kept.write(b"".join(entry + b"\n" for entry in _bundle(at, number, size)))


def _cut_to_whole_bundles(file: Path) -> int:
    """How many entries are left in the file. A part of a bundle, or of a line after a crash, is fetched again."""
    if not file.exists():
        return 0
    n_lines, end, whole = 0, 0, (0, 0)
    with open(file, "r+b") as lines:
        for line in lines:
            n_lines, end = n_lines + 1, end + len(line)
            if n_lines % tiles.WIDTH == 0 and line.endswith(b"\n"):
                whole = n_lines, end
        lines.truncate(whole[1])
    return whole[0]


def _bundle(at: Abroad, number: int, size: int) -> list[bytes]:
    width = min(tiles.WIDTH, size - number * tiles.WIDTH)
    path = f"tile/entries/{tiles.path_of(number)}" + (f".p/{width}" if width < tiles.WIDTH else "")
    data = _get(at, path, MOST_BUNDLE)
    found, place = [], 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 2], "big")
        found.append(data[place + 2 : place + 2 + length])
        place += 2 + length
    if len(found) != width or place != len(data) or any(b"\n" in entry for entry in found):
        raise Unreachable(f"{at.url}{path} does not hold {width} entries")
    return found


def _figures(at: Abroad) -> dict[str, Any] | None:
    """What the log says of itself; None where it says nothing."""
    try:
        said = json.loads(_text(at, "figures"))
    except (Unreachable, ValueError):
        return None
    return (
        said if isinstance(said, dict) and type(said.get("size")) is type(said.get("as_of")) is int else None
    )


def _compare(at: Abroad, said: dict[str, Any], report: Report) -> None:
    size, as_of = said["size"], said["as_of"]
    counted = replaying.replay(itertools.islice(_lines(at.entries), max(size, 0)))
    figures = counted.promises.statistics(as_of=as_of).as_dict()
    stated = said.get("statistics")
    stated = stated if isinstance(stated, dict) else {}
    wrong = [name for name, value in figures.items() if stated.get(name) != value]
    what = f"of {size} entries: " + (
        ", ".join(f"{name} is {figures[name]}, {stated.get(name)} was published" for name in wrong)
        or "as they were published"
    )
    report.note("figures", not wrong and counted.tree.size == size, what)


def _text(at: Abroad, path: str) -> str:
    try:
        return _get(at, path, MOST_TEXT).decode()
    except UnicodeDecodeError:
        raise Unreachable(f"{at.url}{path} is not a text") from None


def _get(at: Abroad, path: str, most: int) -> bytes:
    url = at.url + path
    try:
        with requests.get(url, timeout=PATIENCE, allow_redirects=False, stream=True) as answer:
            if answer.status_code != requests.codes.ok:
                raise Unreachable(_refusal(url, answer.status_code))
            return bytes(answer.raw.read(most, decode_content=True))
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Unreachable(f"{url}: {error}") from None


def _refusal(url: str, status: int) -> str:
    if status == requests.codes.not_found and "/tile/" in url:
        return f"{url} answered 404: the log may show its entries to its holders and auditors only"
    return f"{url} answered {status}"
