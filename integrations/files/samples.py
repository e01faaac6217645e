"""Samples that people paste: the same reading as of a file, from a piece of text."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations.files.opening import RECORDS, TABLE, Source
from integrations.files.rows import rows_of
from integrations.files.unpacking import groups_by
from integrations.mapping import compiled
from integrations.mapping.readers import Compiled

MAX_PASTED = 1_000_000
Sample = dict[str, Any] | list[dict[str, Any]]


def samples_from(text: str, definition: Mapping[str, Any], limit: int) -> list[Sample]:
    """The first records in pasted JSON, JSON lines or a table with a header, as messages of this mapping.

    Raises FileRefused if it is none of these, BadDefinition if the mapping cannot be used.
    """
    return samples_by(text, compiled(definition), limit)


def samples_by(text: str, plan: Compiled, limit: int) -> list[Sample]:
    """samples_from for a definition that may not be finished yet. Raises FileRefused."""
    found: list[Sample] = []
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write(_one_record_a_line(text.strip()[:MAX_PASTED]) + "\n")
        file.flush()
        kind = RECORDS if text.lstrip()[:1] in ("{", "[") else TABLE
        source = Source(Path(file.name), "pasted", kind, packed=False)
        for group in groups_by(rows_of(source), plan):
            found.append(group.records if len(group.records) > 1 else group.records[0])
            if len(found) >= limit:
                break
    return found


def _one_record_a_line(text: str) -> str:
    """One object over many lines, as people copy it from a log, becomes a list of one."""
    return (
        f"[{text}]"
        if text.startswith("{") and "\n" in text and not text.splitlines()[0].rstrip().endswith("}")
        else text
    )
