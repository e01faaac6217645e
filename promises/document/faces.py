"""The letters of the paper: two bundled weights, and which characters neither they nor the machine can print."""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from django.utils.translation import gettext as _

FOLDER = Path(__file__).parent / "fonts"
REGULAR, BOLD, LICENSE = "NotoSansSC-Regular.ttf", "NotoSansSC-Bold.ttf", "OFL.txt"


class Unprintable(ValueError):
    """The paper cannot be made: a font is missing, or a character has no letter in any font of this machine."""


@lru_cache(maxsize=1)
def bundled() -> frozenset[int]:
    """The code points that both weights have. Raises Unprintable if a font file is not there."""
    from fontTools.ttLib import TTFont

    found: list[set[int]] = []
    for name in (REGULAR, BOLD):
        try:
            with TTFont(FOLDER / name, lazy=True) as font:
                found.append(set(font.getBestCmap()))
        except OSError:
            raise Unprintable(
                _("the font %(name)s is missing; put it back from the program's files") % {"name": name}
            ) from None
    return frozenset(set.intersection(*found))


def check(text: str) -> None:
    """That each character of the text has a letter. Raises Unprintable naming the first that has none."""
    for sign in sorted({sign for sign in text if ord(sign) not in bundled()} - {"\n"}):
        if not _is_in_a_system_font(sign):
            raise Unprintable(
                _(
                    "no font here has the character %(sign)s (%(code)s); install fonts-noto-cjk, or write it otherwise"
                )
                % {"sign": sign, "code": f"U+{ord(sign):04X}"}
            )


@lru_cache(maxsize=1000)
def _is_in_a_system_font(sign: str) -> bool:
    """As fontconfig says; where its program is not there, the bundled fonts are all there is."""
    program = shutil.which("fc-list")
    if program is None:
        return False
    command = [program, f":charset={ord(sign):x}", "family"]
    # The program is fontconfig's own, and the only thing told is a number.
    return bool(subprocess.run(command, capture_output=True, check=False, timeout=20).stdout.strip())  # noqa: S603
