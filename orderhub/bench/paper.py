"""What a promise paper costs, what it weighs, and whether its QR code is read from a bad picture of it."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from argparse import ArgumentParser, Namespace
from contextlib import closing
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orderhub.bench.figures import Figure, at_most, exactly, percentile, plain, say

if TYPE_CHECKING:
    from promises.document.signing import Signer

PAPERS, PICTURES = 40, 60
NAMES = ("前刹车片", "机油滤清器", "雨刮片", "点火线圈", "减震器", "火花塞", "空调滤芯", "转向拉杆")
URL = "https://promises.example.com/v/"
DPI = 150
MOST_KB = 60
# A phone held by hand: a little turned, a little out of focus.
TURNS, BLURS = (-2.0, -1.0, 1.0, 2.0), (0.5, 0.7, 0.9)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--papers", type=int, default=PAPERS, help=f"papers to make ({PAPERS})")
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"codes to read ({PICTURES})")


def run(options: Namespace) -> list[Figure]:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderhub.settings")
    django.setup()
    say("  making papers ...")
    first, _paper = _made(0)
    made = [_made(number) for number in range(1, options.papers + 1)]
    times = [took for took, _paper in made]
    again = sum(_made(number)[1] != paper for number, (_took, paper) in list(enumerate(made, start=1))[:10])
    signing = [_signed(paper) for _took, paper in made]
    say("  reading codes ...")
    unread = sum(not _is_read(number) for number in range(options.pictures))
    return [
        plain("first paper of a process", first * 1000, "ms"),
        at_most("a paper of 12 articles, warm, median", percentile(times, 0.5) * 1000, 200, "ms"),
        plain("the slowest of them", max(times) * 1000, "ms"),
        at_most(
            "the heaviest of them", max(len(paper) for _took, paper in made) / 1000, MOST_KB, "KB", places=1
        ),
        plain(
            "a signature of its own (PAdES B-B, P-256) more, median", percentile(signing, 0.5) * 1000, "ms"
        ),
        exactly("papers that came out in other bytes when made again", again),
        exactly(
            f"codes not read, of {options.pictures} pictures at {DPI} dots an inch, blurred and turned",
            unread,
        ),
    ]


def _payload(number: int) -> dict[str, Any]:
    from promises import numbers

    return {
        "v": 1,
        "typ": "promise",
        "log": "promises.example.com/t/bench",
        "no": numbers.encode(number.to_bytes(10, "big")),
        "salt": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "seller": {"name": "示例汽配有限公司", "uscc": "91330000MA0000000X"},
        "issued_at": 1_763_775_060 + number,
        "due": 1_764_086_399,
        "tz": "Asia/Shanghai",
        "dest": {"province": "浙江省", "city": "绍兴市"},
        "items": [
            {
                "name": f"{NAMES[(number + place) % len(NAMES)]} P85-{place:03d}",
                "qty": place + 1,
                "unit": "套",
            }
            for place in range(12)
        ],
        "order": "h:0123456789abcdef",
        "order_tail": f"{number:04d}",
        "to": "王**",
        "window": {"from": 1_763_913_600, "to": 1_764_086_399},
        "basis": {"model": "bench", "lane": "city", "p": 953, "n": 412},
        "seen": {"size": number, "root": hashlib.sha256(b"").hexdigest()},
        "supersedes": None,
        "terms": None,
    }


def _token(number: int) -> str:
    import base64

    # As long and as random as a signed one: 119 bytes.
    drawn = b"".join(hashlib.sha256(f"{number}/{part}".encode()).digest() for part in range(4))[:119]
    return base64.b32encode(drawn).decode().rstrip("=")


def _made(number: int) -> tuple[float, bytes]:
    from promises.document import Letterhead, render

    begun = time.perf_counter()
    data = render(
        _payload(number),
        token_text=_token(number),
        verify_url=URL,
        terms="",
        letterhead=Letterhead(hotline="400-000-0000"),
    )
    return time.perf_counter() - begun, data


def _signed(paper: bytes) -> float:
    from promises.document import signed

    begun = time.perf_counter()
    signed(paper, _signer())
    return time.perf_counter() - begun


@lru_cache(maxsize=1)
def _signer() -> Signer:
    from django.conf import settings
    from django.utils.timezone import now

    from promises.document import signed, signer, signing

    with tempfile.NamedTemporaryFile() as file:
        file.write(signing.made("bench", "91330000MA0000000X", now()))
        file.flush()
        settings.PAPER_SIGNER = file.name
        found = signer()
    if found is None:
        raise AssertionError("nobody signs")
    # What loads the first time is not what a signature costs.
    signed(_made(0)[1], found)
    return found


def _is_read(number: int) -> bool:
    import pypdfium2
    import zxingcpp
    from PIL import ImageFilter

    _took, data = _made(number)
    with closing(pypdfium2.PdfDocument(data)) as document, closing(document[0]) as page:
        picture = page.render(scale=DPI / 72).to_pil().convert("L")
    turned = picture.rotate(TURNS[number % len(TURNS)], expand=True, fillcolor=255)
    codes = zxingcpp.read_barcodes(turned.filter(ImageFilter.GaussianBlur(BLURS[number % len(BLURS)])))
    return [code.text for code in codes] == [(URL + _token(number)).upper()]
