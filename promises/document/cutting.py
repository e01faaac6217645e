"""Cuts Noto Sans SC down to the letters a promise needs: GB 2312 and the signs of trade; run once, by script/fonts.

The whole font has 10.5 MB a weight, which every paper's making would have to read; the cut one has about 2.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.ttLib.scaleUpem import scale_upem

from promises.document.faces import BOLD, FOLDER, LICENSE, REGULAR

SOURCES = {REGULAR: "NotoSansSC_400Regular.ttf", BOLD: "NotoSansSC_700Bold.ttf"}
# Latin with all accents, Greek, Cyrillic; punctuation, currencies, units, arrows, mathematics, circled numbers, boxes;
# the punctuation of Chinese and full-width forms.
BLOCKS = (
    (0x0020, 0x007E),
    (0x00A0, 0x017F),
    (0x0370, 0x03FF),
    (0x0400, 0x045F),
    (0x2010, 0x2049),
    (0x2070, 0x209F),
    (0x20A0, 0x20BF),
    (0x2100, 0x2193),
    (0x2200, 0x22FF),
    (0x2460, 0x2473),
    (0x25A0, 0x25FF),
    (0x3000, 0x3029),
    (0xFF01, 0xFF5E),
    (0xFFE0, 0xFFE5),
)

# Steps in an em. Half of the source: a hundredth of a millimetre at the size of the date, and a third off every paper.
UNITS = 500


def letters() -> set[int]:
    """The code points that are kept: those of GB 2312, both its parts, and BLOCKS."""
    found = {code for first, last in BLOCKS for code in range(first, last + 1)}
    for row in range(0xA1, 0xF8):
        for cell in range(0xA1, 0xFF):
            try:
                found.add(ord(bytes([row, cell]).decode("gb2312")))
            except UnicodeDecodeError:
                continue
    return found


def cut(source: Path, target: Path) -> None:
    font = TTFont(source)
    options = subset.Options(
        hinting=False,
        layout_features=["locl", "kern"],
        drop_tables=["STAT", "BASE", "vhea", "vmtx", "gasp"],
        name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14],
    )
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=letters() & set(font.getBestCmap()))
    cutter.subset(font)
    scale_upem(font, UNITS)
    font.save(target)


def main(folder: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    for target, source in SOURCES.items():
        cut(next(folder.rglob(source)), FOLDER / target)
        sys.stdout.write(f"{target}: {(FOLDER / target).stat().st_size:,} bytes\n")
    (FOLDER / LICENSE).write_bytes((folder / "LICENSE_FONT").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
