"""Lines and points for the pictures of this room: shares from 0 to 1 on a plane, as text for SVG and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promises.calibration_figures import Share

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 76, 14, 14, 38


@dataclass(frozen=True, slots=True)
class Point:
    """Where a share lies, and what is said of it. is_small: of so few that it is drawn hollow."""

    x: str
    y: str
    words: str = ""
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    at: str
    words: str


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane whose x runs from 0 to 1 and whose y runs from low to 1."""

    width: int = WIDTH
    height: int = HEIGHT
    low: float = 0.0

    @property
    def left(self) -> int:
        return LEFT

    @property
    def right(self) -> int:
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM

    @property
    def top(self) -> int:
        return TOP

    @property
    def words_at(self) -> int:
        """Where the words under the picture stand."""
        return self.height - 8

    def x(self, share: float) -> str:
        return f"{LEFT + share * (self.width - LEFT - RIGHT):.1f}"

    def y(self, share: float) -> str:
        part = (min(1.0, max(self.low, share)) - self.low) / (1 - self.low)
        return f"{self.height - BOTTOM - part * (self.height - TOP - BOTTOM):.1f}"

    def shares(self) -> list[Tick]:
        """Five lines across."""
        steps = [self.low + (1 - self.low) * number / 4 for number in range(5)]
        return [Tick(self.y(step), f"{100 * step:.0f} %") for step in steps]


def line(points: Sequence[Point]) -> str:
    """The points attribute of a polyline."""
    return " ".join(f"{point.x},{point.y}" for point in points)


def low_for(shares: Sequence[float]) -> float:
    """Half the plane is enough where nothing lies in its lower half."""
    return 0.5 if shares and min(shares) >= 0.5 else 0.0


def per_cent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def interval(share: Share) -> str:
    return f"{100 * share.low:.1f} – {100 * share.high:.1f} %"
