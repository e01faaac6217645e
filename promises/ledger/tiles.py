"""A log as files that never change, as C2SP lays them out (tlog-tiles): 256 hashes or 256 entries in each."""

from __future__ import annotations

import re

from promises import merkle
from promises.ledger import reading
from promises.ledger.models import LogLeaf, LogNode, TransparencyLog

WIDTH = 256
LEVELS = 8
# "x001/x234/067", and the width of one that is not full yet: "067.p/12".
_PATH = re.compile(r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class NoTile(LookupError):
    """There is no such tile, or not as many entries yet."""


def number_of(path: str) -> tuple[int, int]:
    """Number and width that the last part of a tile's address says. Raises NoTile."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise NoTile(path)
    digits = found[1].replace("x", "").replace("/", "")
    number, width = int(digits), int(found[2] or WIDTH)
    if path_of(number) != found[1] or len(digits) > 15 or (found[2] and width >= WIDTH):
        raise NoTile(path)
    return number, width


def path_of(number: int) -> str:
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03d}")
    return "/".join(parts)


def hashes(log: TransparencyLog, tile_level: int, number: int, width: int = WIDTH) -> bytes:
    """The hashes of one tile, 32 bytes each. Raises NoTile."""
    level, first = tile_level * LEVELS, number * WIDTH
    _check_covered(log, (first + width) << level, number)
    places = {"log": log, "index__gte": first, "index__lt": first + width}
    if level:
        nodes = LogNode.objects.filter(level=level, **places).order_by("index")
        tile = b"".join(map(bytes, nodes.values_list("hash", flat=True)))
    else:
        leaves = LogLeaf.objects.filter(**places).order_by("index")
        tile = b"".join(map(bytes, leaves.values_list("leaf_hash", flat=True)))
    if len(tile) != width * merkle.HASH_SIZE:
        raise NoTile(number)
    return tile


def entries(log: TransparencyLog, number: int, width: int = WIDTH) -> bytes:
    """The entries of one bundle, each after its length in two bytes. Raises NoTile."""
    first = number * WIDTH
    _check_covered(log, first + width, number)
    rows = LogLeaf.objects.filter(log=log, index__gte=first, index__lt=first + width).order_by("index")
    found = [bytes(entry) for entry in rows.values_list("entry", flat=True)]
    if len(found) != width:
        raise NoTile(number)
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in found)


def _check_covered(log: TransparencyLog, size: int, number: int) -> None:
    """Only what a signed head covers is shown."""
    head = reading.newest(log)
    if head is None or size > head.size:
        raise NoTile(number)
