"""What a definition, finished or not, makes of samples: the same code as for arriving messages, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.canonical import Problem, Translated, Untranslatable
from integrations.mapping import editor
from integrations.mapping.definition import partly
from integrations.mapping.editor import FactRow, Row, Source, ValueRow
from integrations.mapping.paths import BadPath, by_path
from integrations.mapping.readers import Compiled
from integrations.mapping.suggestion import Suggestion, paths_of, propose
from integrations.mapping.transforms import Refused, shown
from integrations.mapping.translation import TRIAL_LIMIT, FieldRead, Sample, read_fields, translate

# As many paths as a select shows; the rest can be typed.
PATHS_OFFERED = 120
Record = dict[str, Any] | list[dict[str, Any]]
# Says what the house itself would refuse: a shop or warehouse that does not exist.
Check = Callable[[Sequence[Translated]], list[Problem]]


@dataclass(frozen=True, slots=True)
class PathRow:
    """One path found in the samples, with what the shown sample has there."""

    path: str
    sample: str


@dataclass(slots=True)
class StatusTable:
    source: Source
    at: Source
    parcel: Source
    rows: list[ValueRow]
    result: FieldRead | None = None
    problems: tuple[str, ...] = ()

    @property
    def n_known(self) -> int:
        return sum(row.is_known for row in self.rows)


@dataclass(slots=True)
class Preview:
    """Everything the editor shows beside the definition itself. at: which sample is shown, from 0."""

    definition: dict[str, Any]
    rows: list[Row]
    status: StatusTable
    facts: list[FactRow]
    paths: list[PathRow]
    samples: list[Sample] = field(default_factory=list)
    at: int = 0
    problems: list[Problem] = field(default_factory=list)
    suggestions: list[Suggestion] = field(default_factory=list)
    record: Record | None = None

    @property
    def shown(self) -> Sample | None:
        return self.samples[self.at] if self.samples else None

    @property
    def required(self) -> list[Row]:
        return [row for row in self.rows if row.required]

    @property
    def n_required_mapped(self) -> int:
        return sum(row.is_mapped for row in self.required)

    @property
    def failures(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.verdict != "passed"]

    @property
    def unused(self) -> list[PathRow]:
        used = editor.paths_used(self.definition)
        return [one for one in self.paths if one.path not in used]

    @property
    def n_passed(self) -> int:
        return self._count("passed")

    @property
    def n_warned(self) -> int:
        return self._count("warning")

    @property
    def n_failed(self) -> int:
        return self._count("failed")

    def _count(self, verdict: str) -> int:
        return sum(sample.verdict == verdict for sample in self.samples)

    @property
    def text(self) -> str:
        return json.dumps(self.definition, ensure_ascii=False, indent=2)

    @property
    def sample_text(self) -> str:
        return json.dumps(self.record, ensure_ascii=False, indent=2, default=str) if self.record else ""


def look(
    definition: dict[str, Any],
    records: Sequence[Record],
    *,
    at: int = 0,
    shop: str = "",
    check: Check | None = None,
    unseen: Sequence[ValueRow] = (),
) -> Preview:
    """The table for this definition with live results. unseen: values from live traffic that no value map knows,
    each with means holding the name of its field.
    """
    records = list(records[:TRIAL_LIMIT])
    at = at % len(records) if records else 0
    record = records[at] if records else None
    plan, problems = partly(definition)
    paths = _paths(records, record)
    values = values_at([one.path for one in paths], records)
    rows = editor.rows_of(definition)
    found = propose(values, known=[row.name for row in rows if row.is_mapped])
    _fill(rows, plan, problems, record, found)
    _add_unseen(rows, unseen)
    return Preview(
        definition,
        rows,
        _status(definition, plan, problems, record, records, unseen),
        editor.fact_rows(definition),
        paths,
        _samples(definition, records, shop, check) if not problems else [],
        at,
        problems,
        [one for one in found if any(row.name == one.field for row in rows)],
        record,
    )


def _samples(
    definition: Mapping[str, Any], records: Sequence[Record], shop: str, check: Check | None
) -> list[Sample]:
    found = []
    for number, record in enumerate(records, 1):
        try:
            said = translate(definition, record, shop=shop)
        except Untranslatable as error:
            found.append(Sample(number, problems=error.problems))
        else:
            found.append(Sample(number, said, problems=check(said) if check else []))
    return found


def _paths(records: Sequence[Record], record: Record | None) -> list[PathRow]:
    """The paths of all samples in the order they appear; what the shown sample has there."""
    rows = [row for one in records for row in (one if isinstance(one, list) else [one])]
    names = dict.fromkeys(one.path for row in rows for one in paths_of(row))
    return [PathRow(path, sample_at(path, record)) for path in names]


def sample_at(path: str, record: Record | None) -> str:
    """What stands at the path in the record, short enough for a cell."""
    if record is None:
        return ""
    try:
        value = by_path(path)(record[0] if isinstance(record, list) else record)
    except (BadPath, Refused):
        return ""
    many = [one for one in value if one is not None] if isinstance(value, list) else [value]
    text = ", ".join(shown(_plain(one)) for one in many[:3] if one is not None)
    return shown(text)


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else value


def values_at(paths: Sequence[str], records: Sequence[Record]) -> dict[str, list[Any]]:
    """Every single value that stands at each path in the samples."""
    rows = [row for one in records for row in (one if isinstance(one, list) else [one])]
    found: dict[str, list[Any]] = {}
    for path in paths:
        found[path] = []
        try:
            get = by_path(path)
        except BadPath:
            continue
        for row in rows:
            value = get(row)
            found[path].extend(value if isinstance(value, list) else [value])
    return found


def _fill(
    rows: Sequence[Row],
    plan: Compiled,
    problems: Sequence[Problem],
    record: Record | None,
    found: Sequence[Suggestion],
) -> None:
    """Put results, problems and suggestions beside their rows."""
    read = read_fields(plan, record) if record is not None else {}
    proposed = {one.field: one for one in found}
    for row in rows:
        row.result = read.get(row.name)
        row.suggestion = proposed.get(row.name)
        row.problems = _problems_of(f"fields.{row.name}", problems)
        if row.result is not None and row.values:
            known = {one.value for one in row.values}
            row.values += [
                ValueRow(value, is_known=False) for value in row.result.unmapped if value not in known
            ]


def _problems_of(place: str, problems: Sequence[Problem]) -> tuple[str, ...]:
    return tuple(one.error for one in problems if one.field == place or one.field.startswith(f"{place}."))


def _add_unseen(rows: Sequence[Row], unseen: Sequence[ValueRow]) -> None:
    by_name = {row.name: row for row in rows}
    for one in unseen:
        if one.means in by_name:
            _count_in(by_name[one.means].values, one)


def _count_in(values: list[ValueRow], seen: ValueRow) -> None:
    """How often live traffic had the value, beside the value; the value itself if the table does not have it yet."""
    there = next((row for row in values if row.value == seen.value), None)
    if there is None:
        there = ValueRow(seen.value, is_known=False)
        values.append(there)
    there.n_seen += seen.n_seen
    there.first_seen_at = min(filter(None, (there.first_seen_at, seen.first_seen_at)))


def _status(
    definition: Mapping[str, Any],
    plan: Compiled,
    problems: Sequence[Problem],
    record: Record | None,
    records: Sequence[Record],
    unseen: Sequence[ValueRow],
) -> StatusTable:
    given = definition.get("status")
    spec: dict[str, Any] = given if isinstance(given, dict) else {}
    table = StatusTable(
        editor.source_of(spec),
        editor.source_of(spec.get("at")),
        editor.source_of(spec.get("parcel")),
        editor.status_rows(definition),
        problems=_problems_of("status", problems),
    )
    if plan.status is not None:
        known = {row.value for row in table.rows}
        for one in records:
            for value in read_fields(plan, one)["status"].unmapped:
                if value not in known:
                    known.add(value)
                    table.rows.append(ValueRow(value, is_known=False))
        if record is not None:
            table.result = read_fields(plan, record).get("status")
        for seen in unseen:
            if seen.means in (plan.status.label, "status"):
                _count_in(table.rows, seen)
    return table
