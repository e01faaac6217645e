"""What a measurement found, as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. goal: what was to be reached, in words. met: None where nothing was promised."""

    name: str
    value: str
    goal: str = ""
    met: bool | None = None


def at_least(name: str, value: float, goal: float, unit: str) -> Figure:
    return Figure(name, f"{value:,.0f} {unit}", f">= {goal:,.0f}", value >= goal)


def at_most(name: str, value: float, goal: float, unit: str, *, places: int = 0) -> Figure:
    return Figure(name, f"{value:,.{places}f} {unit}", f"<= {goal:,.{places}f}", value <= goal)


def exactly(name: str, value: int, goal: int = 0) -> Figure:
    return Figure(name, f"{value:,}", f"{goal:,}", value == goal)


def plain(name: str, value: object, unit: str = "") -> Figure:
    text = (
        f"{value:,.0f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
    return Figure(name, f"{text} {unit}".strip())


def ratio(name: str, value: float, base: float) -> Figure:
    return Figure(name, f"{value / base:.2f}" if base else "-")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of all lies; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output is the table alone."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def table(title: str, figures: Sequence[Figure]) -> str:
    marks = {True: "yes", False: "NO", None: ""}
    rows = [("figure", "measured", "goal", "met")]
    rows += [(one.name, one.value, one.goal, marks[one.met]) for one in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return f"\n## {title}\n\n" + "\n".join(lines) + "\n"


def write_json(path: Path, what: str, figures: dict[str, Sequence[Figure]]) -> None:
    content = {"what": what, "runs": {db: [asdict(one) for one in found] for db, found in figures.items()}}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, list[Figure]]:
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return {db: [Figure(**one) for one in found] for db, found in runs.items()}
