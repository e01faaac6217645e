"""One outside record and a definition become orders and facts. Pure: no database, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.canonical import (
    FOLDED,
    FactItem,
    LineReport,
    OrderRef,
    OrderReport,
    Problem,
    Translated,
    UnknownValue,
    Untranslatable,
)
from integrations.mapping.definition import CONTACT, LINE, compiled
from integrations.mapping.readers import Compiled, FactReader, Reader, StatusReader, Unmapped
from integrations.mapping.transforms import Refused
from integrations.told import told as _
from orders.contacts import Person
from orders.stages import FACT_KINDS, Level

Record = Mapping[str, Any]
MAX_LINES = 2000
TRIAL_LIMIT = 20


def translate(
    definition: Mapping[str, Any], record: Record | Sequence[Record], *, shop: str, key: str = ""
) -> list[Translated]:
    """The orders and facts in one record, or in the rows of a file that belong to one order.

    key: what the keys of its facts begin with; empty = the order's own number, so that the same row read again,
    or the same order in next week's file, gives the same facts.

    Raises Untranslatable with every problem found, BadDefinition if the mapping itself cannot be used.
    """
    plan = compiled(definition)
    rows = record if isinstance(record, (list, tuple)) else (record,)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise Untranslatable([Problem("", _("Expected a record: a JSON object with named values."))])
    return _Reading(plan, rows, shop, key).translated()


class _Reading:
    """One record on its way; collects problems and unmapped values."""

    def __init__(self, plan: Compiled, rows: Sequence[Any], shop: str, key: str) -> None:
        self.plan = plan
        self.rows = rows
        self.record = rows[0]
        self.shop = shop
        self.key = key
        self.problems: list[Problem] = []
        self.unmapped: list[UnknownValue] = []

    def translated(self) -> list[Translated]:
        plan = self.plan
        values = {name: self.value(reader) for name, reader in plan.fields.items()}
        found: list[Translated] = []
        if plan.record == "order":
            order = self.order(values)
            ref = OrderRef(shop=self.shop, external_id=values.get("external_id") or "")
            at = values.get("changed_at") or values.get("placed_at")
            found = [order] if order else []
        else:
            ref, at = self.reference(values), None
        facts = self.facts(ref, at)
        if self.problems:
            raise Untranslatable(self.problems)
        return [*found, *facts]

    def value(self, reader: Reader) -> Any:
        """The reader's value; None after noting a problem or an unmapped value."""
        try:
            value = reader.read(self.record)
        except Refused as refusal:
            self.problems.append(Problem(reader.name, str(refusal)))
            return None
        except Unmapped as unmapped:
            self.note_unmapped(reader, unmapped)
            return None
        if value is None and reader.required:
            self.problems.append(
                Problem(
                    reader.name,
                    _(
                        "There is no value. Every order needs one: look at the source, or give the field another path."
                    ),
                )
            )
        return value

    def note_unmapped(self, reader: Reader, unmapped: Unmapped) -> None:
        if reader.required:
            error = _("“%(value)s” is not in the value map of this field. Add it to the mapping.")
            self.problems.append(Problem(reader.name, error % {"value": unmapped.value[:40]}))
        else:
            self.unmapped.append(UnknownValue(field=reader.name[:120], value=unmapped.value[:200]))

    def order(self, values: dict[str, Any]) -> OrderReport | None:
        person: Person = {}
        for reader in self.plan.contact:
            value = self.value(reader)
            if value is not None:
                person[reader.name.removeprefix(CONTACT)] = value  # type: ignore[literal-required]
        lines = self.lines()
        if self.problems:
            return None
        return OrderReport(
            shop=self.shop,
            external_id=values["external_id"],
            placed_at=values["placed_at"],
            changed_at=values.get("changed_at"),
            fields={name: _json(values[name]) for name in FOLDED if values.get(name) is not None},
            modes=self.plan.modes,
            person=person or None,
            lines=lines,
        )

    def lines(self) -> tuple[LineReport, ...]:
        """One report per article; rows of one article are added up, because an order has one line for each."""
        found: dict[str, LineReport] = {}
        for row in self.rows:
            for line in self.lines_of(row):
                before = found.get(line.sku)
                found[line.sku] = line if before is None else _added(before, line)
        return tuple(found.values())

    def lines_of(self, row: Record) -> list[LineReport]:
        columns = {name: self.column(reader, row) for name, reader in self.plan.lines.items()}
        count = self.count(columns)
        if count is None:
            return []
        made = []
        for place in range(count):
            values = {name: self.cell(name, column, place) for name, column in columns.items()}
            if values.get("sku") is not None and values.get("qty") is not None:
                made.append(
                    LineReport(
                        sku=values["sku"],
                        qty=values["qty"],
                        name=values.get("name") or "",
                        unit=values.get("unit") or "",
                        price=values.get("price"),
                    )
                )
        return made

    def column(self, reader: Reader, row: Record) -> Any:
        try:
            return reader.get(row)
        except Refused as refusal:
            self.problems.append(Problem(reader.name, str(refusal)))
            return None

    def count(self, columns: Mapping[str, Any]) -> int | None:
        """How many lines the columns give; None after noting that they do not fit together."""
        lengths = {len(column) for column in columns.values() if isinstance(column, list)}
        if len(lengths) > 1:
            self.problems.append(
                Problem(
                    "lines",
                    _("The line fields have different numbers of values. Take them all from one list."),
                )
            )
            return None
        count = lengths.pop() if lengths else 1
        if count == 0 or count > MAX_LINES:
            self.problems.append(
                Problem(
                    "lines",
                    _("An order has 1 to %(limit)d lines; this one has %(count)d.")
                    % {"limit": MAX_LINES, "count": count},
                )
            )
            return None
        return count

    def cell(self, name: str, column: Any, place: int) -> Any:
        reader = self.plan.lines[name]
        label = f"lines[{place}].{name}" if isinstance(column, list) else reader.name
        try:
            value = reader.refine(column[place] if isinstance(column, list) else column)
        except Refused as refusal:
            self.problems.append(Problem(label, str(refusal)))
            return None
        except Unmapped as unmapped:
            self.note_unmapped(reader, unmapped)
            return None
        if value is None and reader.required:
            self.problems.append(
                Problem(label, _("There is no value. Every order line needs an article and a quantity."))
            )
        return value

    def told(self, values: Sequence[Any]) -> FieldRead:
        """The values with whatever was noted while they were read."""
        return FieldRead(
            tuple(value for value in values if value is not None),
            tuple(dict.fromkeys(problem.error for problem in self.problems)),
            tuple(dict.fromkeys(unknown.value for unknown in self.unmapped)),
        )

    def cells_of(self, name: str, row: Record) -> list[Any]:
        """The cells of one line field in one row."""
        column = self.column(self.plan.lines[name], row)
        if self.problems:
            return []
        places = range(len(column)) if isinstance(column, list) else range(1)
        return [self.cell(name, column, place) for place in places]

    def kinds_of(self, status: StatusReader) -> list[str]:
        """The kinds of fact that the record's status means; notes one that the value map does not know."""
        value = self.value(status.value)
        if value is not None and value not in status.kinds:
            self.unmapped.append(UnknownValue(field=status.label, value=value[:200]))
        return list(status.kinds.get(value, ()))

    def reference(self, values: Mapping[str, Any]) -> OrderRef:
        if values.get("external_id"):
            return OrderRef(shop=self.shop, external_id=values["external_id"])
        if values.get("number"):
            return OrderRef(number=values["number"])
        if not values.get("waybill") and not self.problems:
            self.problems.append(
                Problem("external_id", _("Nothing in this record says which order is meant."))
            )
        return OrderRef(waybill=values.get("waybill") or "")

    # Facts. Their keys hold the order's number, the kind, and the time it happened where the record tells it.

    def facts(self, ref: OrderRef, at: datetime | None) -> list[Translated]:
        base = self.key or ref.external_id or ref.number or ref.waybill
        found: list[Translated] = []
        for fact in self.plan.facts:
            found += self.fact(fact, ref, base)
        if self.plan.status is not None:
            told = {item.kind for item in found if isinstance(item, FactItem)}
            found += self.status(self.plan.status, ref, base, at, told)
        for unknown in self.unmapped:
            when = at or self.first_time(found)
            if when is None:
                self.problems.append(
                    Problem(
                        unknown.field,
                        _("“%(value)s” is not in the value map, and the record tells no time.")
                        % {"value": unknown.value[:40]},
                    )
                )
            else:
                found += [unknown, _unknown(unknown, ref, base, when)]
        return found

    def first_time(self, found: Iterable[Translated]) -> datetime | None:
        return next((item.occurred_at for item in found if isinstance(item, FactItem)), None)

    def fact(self, fact: FactReader, ref: OrderRef, base: str) -> list[Translated]:
        """The facts of one row of the definition: none while the record tells no time for them."""
        at = self.value(fact.at)
        if at is None:
            return []
        parcel = self.value(fact.parcel) if fact.parcel else None
        data = {reader.name: _json(self.value(reader)) for reader in fact.data}
        return [
            FactItem(
                key=f"{base}:{fact.kind}:{_stamp(at)}",
                kind=fact.kind,
                occurred_at=at,
                order=ref,
                lines=self.fact_lines(fact),
                parcel=parcel or (ref.waybill if FACT_KINDS[fact.kind].level == Level.PARCEL else ""),
                data={name: value for name, value in data.items() if value is not None},
            )
        ]

    def fact_lines(self, fact: FactReader) -> tuple[tuple[str, Decimal | None], ...]:
        if fact.sku is None:
            return ()
        found: list[tuple[str, Decimal | None]] = []
        for row in self.rows:
            skus = self.cells(fact.sku, row)
            amounts = self.cells(fact.qty, row) if fact.qty else [None] * len(skus)
            found += [(sku, amount) for sku, amount in zip(skus, amounts, strict=False) if sku]
        return tuple(found)

    def cells(self, reader: Reader, row: Record) -> list[Any]:
        value = self.column(reader, row)
        cells = []
        for each in value if isinstance(value, list) else [value]:
            try:
                cells.append(reader.refine(each))
            except (Refused, Unmapped) as refusal:
                self.problems.append(Problem(reader.name, str(refusal)))
        return cells

    def status(
        self, status: StatusReader, ref: OrderRef, base: str, at: datetime | None, told: set[str]
    ) -> list[Translated]:
        """What the status says beyond told: a fact that the record gives with its own time is not repeated."""
        value = self.value(status.value)
        when = (self.value(status.at) if status.at else None) or at
        if value is None:
            return []
        if when is None:
            self.problems.append(
                Problem("status.at", _("The record tells no time for its status. Give “at” another path."))
            )
            return []
        kinds = status.kinds.get(value)
        if kinds is None:
            unknown = UnknownValue(field=status.label, value=value[:200])
            return [unknown, _unknown(unknown, ref, base, when)]
        parcel = (self.value(status.parcel) if status.parcel else None) or ref.waybill
        suffix = f":{_stamp(when)}" if status.repeats else ""
        return [
            FactItem(
                key=f"{base}:{kind}{suffix}",
                kind=kind,
                occurred_at=when,
                order=ref,
                parcel=parcel if FACT_KINDS[kind].level == Level.PARCEL else "",
            )
            for kind in kinds
            if kind not in told
        ]


def _added(before: LineReport, line: LineReport) -> LineReport:
    """Two rows of one article: quantities add up; a price that differs is left out rather than invented."""
    return LineReport(
        sku=line.sku,
        qty=before.qty + line.qty,
        name=before.name,
        unit=before.unit,
        price=before.price if before.price == line.price else None,
    )


def _unknown(unknown: UnknownValue, ref: OrderRef, base: str, at: datetime) -> FactItem:
    digest = hashlib.sha256(f"{unknown.field}={unknown.value}".encode()).hexdigest()[:16]
    return FactItem(
        key=f"{base}:unknown:{digest}",
        kind="status.unknown",
        occurred_at=at,
        order=ref,
        data={"field": unknown.field, "value": unknown.value},
    )


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _json(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


@dataclass(frozen=True, slots=True)
class FieldRead:
    """What one field reads in one record: a value for each line or just one, what is wrong, what no value map knows."""

    values: tuple[Any, ...] = ()
    problems: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()


def read_fields(plan: Compiled, record: Record | Sequence[Record]) -> dict[str, FieldRead]:
    """Each field of the plan by itself, read by the very steps of translate, so that one bad field hides no other.

    The status is under "status", with the fact kinds it means as values; the rows of the definition's facts are under
    "facts[0]" and so on, with their times.
    """
    rows = record if isinstance(record, (list, tuple)) else (record,)
    if not rows or not all(isinstance(row, dict) for row in rows):
        return {}
    found = {}
    for reader in [*plan.fields.values(), *plan.contact]:
        reading = _Reading(plan, rows, "", "")
        found[reader.name] = reading.told([reading.value(reader)])
    for name in plan.lines:
        reading = _Reading(plan, rows, "", "")
        found[LINE + name] = reading.told([cell for row in rows for cell in reading.cells_of(name, row)])
    for number, fact in enumerate(plan.facts):
        reading = _Reading(plan, rows, "", "")
        found[f"facts[{number}]"] = reading.told([reading.value(fact.at)])
    if plan.status is not None:
        reading = _Reading(plan, rows, "", "")
        found["status"] = reading.told(reading.kinds_of(plan.status))
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """What one sample of a trial run would become."""

    number: int
    found: list[Translated] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def order(self) -> OrderReport | None:
        return next((item for item in self.found if isinstance(item, OrderReport)), None)

    @property
    def facts(self) -> list[FactItem]:
        return [item for item in self.found if isinstance(item, FactItem)]

    @property
    def unknown(self) -> list[UnknownValue]:
        return [item for item in self.found if isinstance(item, UnknownValue)]

    @property
    def verdict(self) -> str:
        return "failed" if self.problems else "warning" if self.unknown else "passed"


def trial(
    definition: Mapping[str, Any], samples: Iterable[Record | Sequence[Record]], *, shop: str
) -> list[Sample]:
    """What up to 20 samples would become. Writes nothing.

    Raises BadDefinition if the mapping itself cannot be used.
    """
    results = []
    for number, record in enumerate(samples, 1):
        if number > TRIAL_LIMIT:
            break
        try:
            results.append(Sample(number, translate(definition, record, shop=shop)))
        except Untranslatable as error:
            results.append(Sample(number, problems=error.problems))
    return results


__all__ = ["LINE", "TRIAL_LIMIT", "FieldRead", "Sample", "read_fields", "translate", "trial"]
