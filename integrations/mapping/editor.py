"""A definition as a table of selects, and what the table's form says as a definition again.

The form carries the definition it was made from ("base"); whatever the table does not show stays as it is there.
Pure: no database, no clock.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from integrations.canonical import HUB_FIELDS, Mode
from integrations.mapping.definition import CONTACT, LINE, MADE_BY_HUB, ORDER_NAMES
from integrations.mapping.suggestion import Suggestion, format_for
from integrations.mapping.transforms import TRANSFORMS
from orders.stages import FACT_KINDS

SOURCES = ("path", "jmespath", "constant")
OPTIONS = ("mode", "default", "timezone", "separator", "decimal")
# In the table a value that is known and says nothing; "" is a value that nobody has decided about.
NOTHING = "-"
MAX_FACTS = 50
SIGNS = re.compile(r"[^a-z]+")
# What stands between several formats of one field in its input.
BETWEEN = " | "

ORDER_LABELS: dict[str, StrOrPromise] = {
    "external_id": HUB_FIELDS["external_id"].label,
    "number": _("Hub order no."),
    "waybill": _("Waybill no."),
}
TRANSFORM_LABELS: dict[str, StrOrPromise] = {
    "text": _("Text"),
    "id": _("Id, every digit kept"),
    "time": _("Time"),
    "date": _("Day"),
    "number": _("Number"),
    "money": _("Money"),
    "bool": _("Yes or no"),
    "upper": _("Capitals"),
    "lower": _("Small letters"),
    "strip": _("Without blanks around"),
    "first": _("First of a list"),
    "last": _("Last of a list"),
    "split": _("Split into a list"),
    "join": _("Join a list"),
    "digits": _("Digits only"),
}
MODE_LABELS: dict[str, StrOrPromise] = {
    Mode.OVERWRITE: _("Replaces what is there"),
    Mode.IF_NEW: _("Only when the order is new"),
    Mode.IF_EMPTY: _("Only where nothing is there"),
    Mode.APPEND: _("Is added to what is there"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from, as a select and a free field show it."""

    choice: str = ""
    free: str = ""

    @property
    def path(self) -> str:
        return self.choice.removeprefix("path:") if self.choice.startswith("path:") else ""


@dataclass(slots=True)
class ValueRow:
    """One outside value and what it means: means for a field, kinds of fact for a status."""

    value: str
    means: str = ""
    kinds: tuple[str, ...] = ()
    n_seen: int = 0
    first_seen_at: Any = None
    is_known: bool = True


@dataclass(slots=True)
class Row:
    """One hub field of the table."""

    name: str
    label: StrOrPromise
    kind: str
    required: bool
    source: Source
    transform: str = ""
    format: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    values: list[ValueRow] = field(default_factory=list)
    suggestion: Suggestion | None = None
    result: Any = None
    problems: tuple[str, ...] = ()
    words: list[str] = field(default_factory=list)
    n_more: int = 0

    @property
    def key(self) -> str:
        """The name as part of an element's id."""
        return SIGNS.sub("-", self.name)

    @property
    def place(self) -> str:
        """What the names of its inputs begin with."""
        return f"field:{self.name}"

    @property
    def source_label(self) -> str:
        return gettext("Source of “%(field)s”") % {"field": self.label}

    @property
    def transforms(self) -> list[tuple[str, StrOrPromise]]:
        return transform_choices(self.transform)

    @property
    def is_mapped(self) -> bool:
        return bool(self.source.choice)

    @property
    def has_more(self) -> bool:
        return bool(self.format or self.values or any(self.options.values()))

    @property
    def takes_time(self) -> bool:
        return self.kind in ("time", "date") or self.transform in ("time", "date")


@dataclass(slots=True)
class FactRow:
    number: int
    kind: str
    at: Source
    parcel: Source
    has_more: bool = False

    @property
    def key(self) -> str:
        return str(self.number)


def names_of(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The hub fields that this kind of record may fill."""
    return tuple(ORDER_NAMES) if definition.get("record") == "status" else tuple(HUB_FIELDS)


def label_of(name: str) -> StrOrPromise:
    return HUB_FIELDS[name].label if name in HUB_FIELDS else ORDER_LABELS.get(name, name)


# From a definition to the table.


def rows_of(definition: Mapping[str, Any]) -> list[Row]:
    """One row for each hub field, in the house's order."""
    fields = definition.get("fields")
    given = fields if isinstance(fields, dict) else {}
    is_order = definition.get("record", "order") == "order"
    found = []
    for name in names_of(definition):
        hub = HUB_FIELDS.get(name)
        stands = given.get(name)
        spec: dict[str, Any] = stands if isinstance(stands, dict) else {}
        found.append(
            Row(
                name,
                label_of(name),
                hub.kind if hub else "text",
                bool(hub and hub.required and is_order),
                source_of(spec),
                transform=_joined(spec.get("transform")),
                format=_formats(spec.get("format")),
                options={option: shown(spec.get(option)) for option in OPTIONS},
                values=[ValueRow(str(value), shown(means)) for value, means in _pairs(spec.get("values"))],
            )
        )
    return found


def source_of(spec: Mapping[str, Any] | None) -> Source:
    """A plain path is an entry of the select; everything else stands in the free field."""
    for how in SOURCES:
        if spec and how in spec:
            text = shown(spec[how])
            return Source(f"path:{text}") if how == "path" else Source(how, text)
    return Source()


def status_rows(definition: Mapping[str, Any]) -> list[ValueRow]:
    status = definition.get("status")
    values = status.get("values") if isinstance(status, dict) else None
    return [
        ValueRow(str(value), kinds=tuple(str(kind) for kind in kinds) if kinds else (NOTHING,))
        for value, kinds in _pairs(values)
        if isinstance(kinds, list)
    ]


def fact_rows(definition: Mapping[str, Any]) -> list[FactRow]:
    facts = definition.get("facts")
    return [
        FactRow(
            number,
            str(row.get("kind", "")),
            source_of(row.get("at")),
            source_of(row.get("parcel")),
            has_more=bool(row.get("lines") or row.get("data")),
        )
        for number, row in enumerate(facts if isinstance(facts, list) else [])
        if isinstance(row, dict)
    ]


def shown(value: Any) -> str:
    """A JSON value as an input shows it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _joined(transform: Any) -> str:
    return ",".join(str(one) for one in transform) if isinstance(transform, list) else str(transform or "")


def _formats(given: Any) -> str:
    return BETWEEN.join(str(one) for one in given) if isinstance(given, list) else str(given or "")


def _pairs(values: Any) -> list[tuple[Any, Any]]:
    return list(values.items()) if isinstance(values, dict) else []


def paths_used(definition: Mapping[str, Any]) -> set[str]:
    """Every plain path that the definition reads somewhere."""
    found: set[str] = set()
    waiting: list[Any] = [definition]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("path"), str):
                found.add(one["path"])
            waiting += [value for name, value in one.items() if name != "values"]
        elif isinstance(one, list):
            waiting += one
    return found


# From the form to a definition.


def definition_from(form: QueryDict, base: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says, on top of the definition it was made from. May well be invalid: check it."""
    made: dict[str, Any] = copy.deepcopy(dict(base))
    made.setdefault("version", 1)
    if "record" in form:
        if form.get("record") != made.get("record", "order"):
            made["record"] = form.get("record")
        _set(made, "timezone", form.get("timezone", "").strip())
        if "group_rows" in form or made.get("group_rows"):
            made["group_rows"] = "group_rows" in form
    made["fields"] = _fields(form, made)
    _status(form, made)
    _facts(form, made)
    for used in form.getlist("use"):
        name, _sign, path = used.partition("=")
        if name in names_of(made) and path:
            made["fields"][name] = {"path": path}
    return made


def _fields(form: QueryDict, made: Mapping[str, Any]) -> dict[str, Any]:
    given = made.get("fields")
    before = given if isinstance(given, dict) else {}
    found = {}
    for name in names_of(made):
        place = f"field:{name}"
        spec = _spec(form, place, before.get(name) or {}) if f"{place}:source" in form else before.get(name)
        if spec is not None:
            found[name] = spec
    return found


def _spec(form: QueryDict, place: str, before: Mapping[str, Any]) -> dict[str, Any] | None:
    """One field's row; None if it has no source."""
    source = _source(form, place, before)
    if source is None:
        return None
    managed = {*SOURCES, *OPTIONS, "transform", "format", "values"}
    spec = {**source, **{name: value for name, value in before.items() if name not in managed}}
    names = [name for name in form.get(f"{place}:transform", "").split(",") if name]
    _set(spec, "transform", names[0] if len(names) == 1 else names)
    formats = [one.strip() for one in form.get(f"{place}:format", "").split("|") if one.strip()]
    _set(spec, "format", formats[0] if len(formats) == 1 else formats)
    for option in OPTIONS:
        text = form.get(f"{place}:{option}", "")
        _set(spec, option, _kept(before.get(option), text if option == "separator" else text.strip()))
    _set(spec, "values", _values(form, place, before.get("values")))
    return spec


def _source(form: QueryDict, place: str, before: Mapping[str, Any]) -> dict[str, Any] | None:
    choice, free = form.get(f"{place}:source", ""), form.get(f"{place}:free", "").strip()
    if choice.startswith("path:"):
        return {"path": choice.removeprefix("path:")}
    if choice in SOURCES:
        return {choice: _kept(before.get(choice), free)}
    return None


def _kept(before: Any, text: str) -> Any:
    """The value as it was, if the input still shows it: true stays true, not "true"."""
    return before if before is not None and shown(before) == text else text


def _values(form: QueryDict, place: str, before: Any) -> dict[str, Any]:
    known = before if isinstance(before, dict) else {}
    found = {}
    pairs = zip(form.getlist(f"{place}:value"), form.getlist(f"{place}:means"), strict=False)
    for value, means in pairs:
        if value.strip() and (means.strip() or (value in known and not shown(known[value]))):
            found[value.strip()] = _kept(known.get(value), means.strip())
    return found


def _status(form: QueryDict, made: dict[str, Any]) -> None:
    if "status:source" not in form:
        return
    before = made.pop("status", None)
    known = before if isinstance(before, dict) else {}
    source = _source(form, "status", known)
    if source is None:
        return
    kept = {name: value for name, value in known.items() if name not in (*SOURCES, "values", "at", "parcel")}
    values = {}
    for number, value in enumerate(form.getlist("status:value")):
        kinds = [kind for kind in form.getlist(f"status:kinds:{number}") if kind]
        if value.strip() and kinds:
            values[value.strip()] = list(dict.fromkeys(kind for kind in kinds if kind != NOTHING))
    made["status"] = {**source, **kept, "values": values}
    for name in ("at", "parcel"):
        _small(form, f"status:{name}", known.get(name), made["status"], name)


def _facts(form: QueryDict, made: dict[str, Any]) -> None:
    if "facts" not in form:
        return
    before = made.pop("facts", None)
    known = before if isinstance(before, list) else []
    found = []
    told = form.get("facts") or ""
    for number in range(min(int(told), MAX_FACTS) if told.isascii() and told.isdigit() else 0):
        kind = form.get(f"fact:{number}:kind", "")
        if not kind:
            continue
        old = known[number] if number < len(known) and isinstance(known[number], dict) else {}
        row = {**old, "kind": kind}
        for name in ("at", "parcel"):
            _small(form, f"fact:{number}:{name}", old.get(name), row, name)
        found.append(row)
    _set(made, "facts", found)


def _small(form: QueryDict, place: str, before: Any, target: dict[str, Any], name: str) -> None:
    """A place that has a source and nothing else in the table; what else it has in the definition stays."""
    known = before if isinstance(before, dict) else {}
    source = _source(form, place, known)
    rest = {key: value for key, value in known.items() if key not in SOURCES}
    target.pop(name, None)
    if source is not None:
        target[name] = {**source, **rest}


def _set(target: dict[str, Any], name: str, value: Any) -> None:
    if value in ("", [], {}, None):
        target.pop(name, None)
    else:
        target[name] = value


def accept(
    definition: dict[str, Any], suggestions: Iterable[Suggestion], values: Mapping[str, Sequence[Any]]
) -> None:
    """Put suggested paths into the definition; a time that is a number is told so."""
    fields = definition.setdefault("fields", {})
    for one in suggestions:
        spec = {"path": one.path}
        form = format_for(values.get(one.path, ())) if HUB_FIELDS[one.field].kind == "time" else ""
        fields[one.field] = {**spec, "format": form} if form else spec


def started(record: Any = None) -> dict[str, Any]:
    """An empty definition to begin with; rows of a table that belong together are one order."""
    is_flat = isinstance(record, dict) and not any(
        isinstance(value, (dict, list)) for value in record.values()
    )
    grouped: dict[str, Any] = {"group_rows": True} if is_flat or isinstance(record, list) else {}
    return {"version": 1, "record": "order", "timezone": "Asia/Shanghai", **grouped, "fields": {}}


def kind_choices() -> list[tuple[str, StrOrPromise]]:
    """The kinds of fact that an outside status may stand for."""
    return [(code, kind.label) for code, kind in FACT_KINDS.items() if code not in MADE_BY_HUB]


def transform_choices(present: str) -> list[tuple[str, StrOrPromise]]:
    """Every transform by itself, and the chain that the row has now."""
    found: list[tuple[str, StrOrPromise]] = [(name, TRANSFORM_LABELS.get(name, name)) for name in TRANSFORMS]
    if "," in present:
        found.append((present, " → ".join(str(TRANSFORM_LABELS.get(one, one)) for one in present.split(","))))
    return found


__all__ = [
    "CONTACT",
    "LINE",
    "FactRow",
    "Row",
    "Source",
    "ValueRow",
    "accept",
    "definition_from",
    "rows_of",
]
