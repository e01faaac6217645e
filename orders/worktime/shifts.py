"""Shifts as people write them ("09:00-12:00, 13:00-18:00"), as rows store them (pairs of HH:MM), and as minutes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# Minutes after the midnight that begins the day; the second may pass 1440: that shift ends on the next day.
Shift = tuple[int, int]
Pair = list[str]

DAY = 24 * 60
WEEKDAYS = 7
STANDARD_SHIFTS: tuple[Shift, ...] = ((9 * 60, 18 * 60),)

_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_RANGE = re.compile(r"\s*(\d{1,2}:\d{2})\s*(?:-|~|–|—|至|到)\s*(\d{1,2}:\d{2})\s*")
# A Chinese keyboard gives full-width signs.
_AS_TYPED = str.maketrans({"：": ":", "，": ",", "、": ",", "；": ",", ";": ",", "－": "-", "～": "~"})  # fmt: skip


def standard_week() -> list[list[Pair]]:
    """Monday to Friday, 09:00 to 18:00."""
    return [[["09:00", "18:00"]] for _day in range(5)] + [[], []]


def parse_shifts(text: str) -> list[Pair]:
    """The pairs that a line of shifts names; an empty line is a free day. Raises ValidationError naming what is wrong."""
    plain = text.translate(_AS_TYPED).strip()
    if not plain:
        return []
    pairs = []
    for part in plain.rstrip(",").split(","):
        found = _RANGE.fullmatch(part)
        if not found:
            raise ValidationError(
                _(
                    "“%(part)s” is not a shift. Write hours and minutes, for example 09:00-18:00, and a comma between two shifts."
                )
                % {"part": part.strip()}
            )
        pairs.append([found[1].zfill(5), found[2].zfill(5)])
    check_shifts(pairs)
    return pairs


def write_shifts(pairs: Sequence[Sequence[str]]) -> str:
    return ", ".join(f"{start}-{end}" for start, end in pairs)


def minutes_of(pairs: Sequence[Sequence[str]]) -> tuple[Shift, ...]:
    """The shifts in minutes, in order of their start. Raises ValidationError if they cannot be read."""
    check_shifts(pairs)
    return tuple(sorted(_shift(start, end) for start, end in pairs))


def check_shifts(value: Any) -> None:
    """Raise ValidationError unless value is a list of pairs of HH:MM that do not overlap."""
    if not isinstance(value, (list, tuple)):
        raise ValidationError(
            _("The shifts of a day must be a list of pairs, for example [[“09:00”, “18:00”]].")
        )
    last_end = 0
    for start, end in sorted(_shift(*_pair(entry)) for entry in value):
        if start < last_end:
            raise ValidationError(
                _("Two shifts of one day overlap: one starts at %(at)s, before the other ends.")
                % {"at": _clock(start)}
            )
        last_end = end


def check_week(value: Any) -> None:
    """Raise ValidationError unless value is seven lists of shifts with some work in them and no overlap overnight."""
    if not isinstance(value, (list, tuple)) or len(value) != WEEKDAYS:
        raise ValidationError(_("A week must be seven lists of shifts, Monday first."))
    days = [minutes_of(pairs) for pairs in value]
    if not any(days):
        raise ValidationError(
            _(
                "No day of this week has a shift. A deadline on such a calendar would never come; enter at least one."
            )
        )
    for index, today in enumerate(days):
        tomorrow = days[(index + 1) % WEEKDAYS]
        if today and tomorrow and today[-1][1] > DAY + tomorrow[0][0]:
            raise ValidationError(
                _(
                    "The night shift that ends at %(end)s overlaps the next day's first shift, which starts at %(start)s."
                )
                % {"end": _clock(today[-1][1]), "start": _clock(tomorrow[0][0])}
            )


def _pair(entry: Any) -> tuple[str, str]:
    if (
        not isinstance(entry, (list, tuple))
        or len(entry) != 2
        or not all(isinstance(at, str) for at in entry)
    ):
        raise ValidationError(_("A shift must be a pair of times, for example [“09:00”, “18:00”]."))
    return entry[0], entry[1]


def _shift(start_text: str, end_text: str) -> Shift:
    start, end = _minute(start_text), _minute(end_text)
    if start == DAY:
        raise ValidationError(_("A shift cannot start at 24:00. Enter it on the next day, from 00:00."))
    if start == end:
        raise ValidationError(
            _("A shift cannot start and end at %(at)s. For a whole day write 00:00-24:00.")
            % {"at": start_text}
        )
    return (start, end) if end > start else (start, end + DAY)


def _minute(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found:
        hour, minute = int(found[1]), int(found[2])
        if minute < 60 and hour * 60 + minute <= DAY:
            return hour * 60 + minute
    raise ValidationError(
        _("“%(text)s” is not a time of day. Write hours and minutes, from 00:00 to 24:00.") % {"text": text}
    )


def _clock(minute: int) -> str:
    return f"{minute % DAY // 60:02d}:{minute % 60:02d}"
