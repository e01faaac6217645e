"""Cuts Unfold's icon font down to the icons its templates can show. Run by script/icons after an update of Unfold.

The whole font weighs 290 KB, on every page. The cut one is committed: nobody needs this script to run orderhub.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent / "static" / "orderhub"
CUT = FOLDER / "symbols.woff2"
SOURCE = "static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2"
# <span class="material-symbols-outlined ...">name</span>, also over several lines and behind other attributes.
SHOWN = re.compile(r"material-symbols-outlined[^>]*>\s*([a-z][a-z0-9_]+)\s*<")
NAMED = re.compile(r"""icon\s*[=:]\s*["']([a-z][a-z0-9_]+)["']""")
# Put together by expressions in Unfold's templates and scripts, where no pattern finds them.
EXPRESSIONS = frozenset(
    {"check_small", "close_small", "check", "close", "visibility", "visibility_off", "hub", "remove"}
)
# Shown by its style sheet: in fields for days and times.
STYLED = re.compile(r"""content: ?["']([a-z][a-z0-9_]+)["']""")


def unfold() -> Path:
    """Where Unfold is installed."""
    spec = find_spec("unfold")
    if spec is None or spec.origin is None:
        raise SystemExit("Unfold is not installed. Run script/setup first.")
    return Path(spec.origin).parent


def used() -> set[str]:
    """Names of the icons that Unfold's templates, widgets and scripts show."""
    names = set(EXPRESSIONS)
    for path in unfold().rglob("*"):
        if path.suffix in {".html", ".py", ".js"}:
            text = path.read_text(encoding="utf-8")
            names.update(SHOWN.findall(text), NAMED.findall(text))
        elif path.name == "styles.css":
            names.update(STYLED.findall(path.read_text(encoding="utf-8")))
    return names


def cut(names: set[str]) -> bytes:
    """The font with these icons only, reached by their names as before."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    font = TTFont(unfold() / SOURCE)
    glyphs = set(font.getGlyphOrder())
    options = subset.Options(flavor="woff2", layout_features=["liga", "rlig"], layout_closure=False)
    subsetter = subset.Subsetter(options)
    letters = {letter for name in names & glyphs for letter in name}
    subsetter.populate(glyphs=sorted(names & glyphs), text="".join(sorted(letters)))
    subsetter.subset(font)
    subset.save_font(font, str(CUT), options)
    return CUT.read_bytes()


if __name__ == "__main__":
    wanted = used()
    sys.stdout.write(f"{CUT.name}: {len(wanted)} icons, {len(cut(wanted))} bytes\n")
