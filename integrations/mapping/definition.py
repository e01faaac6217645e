"""What a field mapping's definition may say: checked row by row with plain words, then compiled once into readers."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from integrations.canonical import FOLDED, HUB_FIELDS, Mode, Problem
from integrations.mapping.paths import BadPath, Getter, by_expression, by_path
from integrations.mapping.readers import IDS, Compiled, FactReader, Reader, StatusReader, fits, lookup
from integrations.mapping.transforms import BY_KIND, DEFAULT_ZONE, TRANSFORMS, Refused, Step, shown
from integrations.told import told as _
from orders.stages import FACT_KINDS, Level

VERSION = 1
RECORDS = ("order", "status")
MAX_BYTES = 200_000
ROOT_KEYS = frozenset({"version", "record", "timezone", "fields", "status", "facts", "group_rows", "note"})
FIELD_KEYS = frozenset(
    {
        "path",
        "jmespath",
        "constant",
        "transform",
        "values",
        "default",
        "mode",
        "format",
        "timezone",
        "separator",
        "decimal",
    }
)
STATUS_KEYS = FIELD_KEYS - {"mode", "default"} | {"at", "parcel", "repeats"}
FACT_KEYS = frozenset({"kind", "at", "parcel", "lines", "data"})
# Which order a record of kind "status" is about: the first of these that has a value.
ORDER_NAMES = ("external_id", "number", "waybill")
# Kinds of fact that no mapping may report.
MADE_BY_HUB = ("order.placed", "order.changed", "status.unknown", "fact.retracted")
LINE = "lines[]."
CONTACT = "contact."


class BadDefinition(Exception):
    """The definition cannot be used. Carries every problem found, each with the place in the definition."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.error}" for problem in problems))
        self.problems = problems


def check(definition: object) -> list[Problem]:
    """Every problem of a definition, in the order of its text; [] if it can be used."""
    return _Checker().check(definition)[1]


def partly(definition: object) -> tuple[Compiled, list[Problem]]:
    """Whatever of a definition can be used already, and every problem of the rest: for showing one that is being typed."""
    return _Checker().check(definition)


def compiled(definition: Mapping[str, Any]) -> Compiled:
    """The definition ready for use; compiled once for equal definitions.

    Raises BadDefinition with every problem found.
    """
    # marshal is the fastest exact key for a small JSON tree: a mapping is looked up for every single record.
    return _compiled(marshal.dumps(dict(definition), 2))


@lru_cache(maxsize=128)
def _compiled(frozen: bytes) -> Compiled:
    result, problems = _Checker().check(marshal.loads(frozen))  # noqa: S302 - our own bytes, made a line above
    if problems:
        raise BadDefinition(problems)
    return result


class _Checker:
    """Walks a definition once, building readers and collecting problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.zone = DEFAULT_ZONE
        self.is_order = True

    def say(self, place: str, error: str) -> None:
        self.problems.append(Problem(place, error))

    def check(self, definition: object) -> tuple[Compiled, list[Problem]]:
        result = Compiled()
        if not isinstance(definition, dict):
            self.say(
                "definition",
                _("A definition is a JSON object: {…}. See docs/field-mapping.md for a full example."),
            )
            return result, self.problems
        if len(str(definition)) > MAX_BYTES:
            self.say("definition", _("A definition has at most %(limit)d characters.") % {"limit": MAX_BYTES})
            return result, self.problems
        self._root(definition, result)
        self._fields(definition.get("fields", {}), result)
        self._status(definition.get("status"), result)
        self._facts(definition.get("facts", []), result)
        self._required(result)
        return result, self.problems

    def _root(self, definition: dict[str, Any], result: Compiled) -> None:
        self._no_others("", definition, ROOT_KEYS)
        if definition.get("version") != VERSION:
            self.say("version", _("Expected %(version)d.") % {"version": VERSION})
        result.record = definition.get("record", "order")
        if result.record not in RECORDS:
            self.say("record", _("Expected one of: %(names)s.") % {"names": ", ".join(RECORDS)})
        self.is_order = result.record == "order"
        result.grouped = definition.get("group_rows", False)
        if not isinstance(result.grouped, bool):
            self.say("group_rows", _("Expected true or false."))
        zone = definition.get("timezone", DEFAULT_ZONE)
        if self._zone_known("timezone", zone):
            self.zone = zone

    def _zone_known(self, place: str, name: object) -> bool:
        try:
            ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.say(
                place,
                _("“%(name)s” is not a time zone. Expected a name such as Asia/Shanghai.")
                % {"name": shown(name)},
            )
            return False
        return True

    def _no_others(self, place: str, row: Mapping[str, Any], known: frozenset[str]) -> None:
        for name in row:
            if name not in known:
                self.say(
                    f"{place}.{name}".lstrip("."),
                    _("Unknown name. Expected one of: %(names)s.") % {"names": ", ".join(sorted(known))},
                )

    def _fields(self, rows: object, result: Compiled) -> None:
        if not isinstance(rows, dict):
            self.say("fields", _("Expected an object: hub field -> where it comes from."))
            return
        known = HUB_FIELDS.keys() if result.record == "order" else ORDER_NAMES
        for name, row in rows.items():
            if name not in known:
                self.say(
                    f"fields.{name}",
                    _("orderhub has no field of this name. Expected one of: %(names)s.")
                    % {"names": ", ".join(known)},
                )
                continue
            reader = self._reader(f"fields.{name}", name, row)
            if reader is not None:
                self._place(name, reader, result)

    def _place(self, name: str, reader: Reader, result: Compiled) -> None:
        if name.startswith(LINE):
            result.lines[name.removeprefix(LINE)] = reader
            self._mode("lines", name, reader, result)
        elif name.startswith(CONTACT):
            result.contact.append(reader)
            self._mode("contact", name, reader, result)
        else:
            result.fields[name] = reader
            if name in FOLDED:
                self._mode(name, name, reader, result)
            elif reader.mode:
                self.say(f"fields.{name}.mode", _("This field says which order is meant; it has no mode."))

    def _mode(self, target: str, name: str, reader: Reader, result: Compiled) -> None:
        if reader.mode == Mode.APPEND and reader.kind != "text":
            self.say(f"fields.{name}.mode", _("Only text can be appended to."))
        elif reader.mode and result.modes.setdefault(target, reader.mode) != reader.mode:
            self.say(
                f"fields.{name}.mode", _("All fields of “%(target)s” share one mode.") % {"target": target}
            )

    def _required(self, result: Compiled) -> None:
        if result.record == "status":
            if not result.fields:
                self.say(
                    "fields",
                    _("A status record names its order: give one of %(names)s.")
                    % {"names": ", ".join(ORDER_NAMES)},
                )
            if result.status is None and not result.facts:
                self.say("facts", _("A status record reports something: give “status” or “facts”."))
            return
        if any(problem.field == "fields" for problem in self.problems):
            return
        present = result.fields.keys() | {LINE + name for name in result.lines}
        for name, row in HUB_FIELDS.items():
            if (
                row.required
                and name not in present
                and not any(p.field.startswith(f"fields.{name}") for p in self.problems)
            ):
                self.say(
                    f"fields.{name}",
                    _("This field is required: say where “%(label)s” comes from.") % {"label": row.label},
                )

    # One field.

    def _reader(
        self,
        place: str,
        name: str,
        row: object,
        *,
        kind: str = "",
        known: frozenset[str] = FIELD_KEYS,
        raw: bool = False,
    ) -> Reader | None:
        """The reader of one row of the definition; None after saying what is wrong. raw: no value map, no final kind."""
        if not isinstance(row, dict):
            self.say(place, _('Expected an object such as {"path": "column"}.'))
            return None
        before = len(self.problems)
        self._no_others(place, row, known)
        getter = self._getter(place, row)
        hub = HUB_FIELDS.get(name)
        kind = kind or ("id" if name in IDS else hub.kind if hub else "text")
        steps = self._steps(place, row)
        values = None if raw else self._values(place, row)
        if values is not None:
            steps.append(lookup(values))
        if len(self.problems) > before or getter is None:
            return None
        steps += [TRANSFORMS[BY_KIND[kind]](row, self.zone), fits(name, kind)]
        default = self._default(place, row, steps)
        return Reader(
            name,
            kind,
            getter,
            tuple(steps),
            default,
            row.get("mode", ""),
            bool(hub and hub.required and self.is_order),
        )

    def _getter(self, place: str, row: dict[str, Any]) -> Getter | None:
        given = [name for name in ("path", "jmespath", "constant") if name in row]
        if len(given) != 1:
            self.say(place, _("Give exactly one of: path, jmespath, constant."))
            return None
        value = row[given[0]]
        if given[0] == "constant":
            return lambda _record: value
        if not isinstance(value, str):
            self.say(f"{place}.{given[0]}", _("Expected text."))
            return None
        try:
            return by_path(value) if given[0] == "path" else by_expression(value)
        except BadPath as error:
            self.say(f"{place}.{given[0]}", str(error))
            return None

    def _steps(self, place: str, row: dict[str, Any]) -> list[Step]:
        self._options(place, row)
        given = row.get("transform", [])
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list):
            self.say(f"{place}.transform", _("Expected a name or a list of names."))
            return []
        steps = []
        for name in names:
            if not isinstance(name, str) or name not in TRANSFORMS:
                self.say(
                    f"{place}.transform",
                    _("There is no transform “%(name)s”. Expected one of: %(names)s.")
                    % {"name": shown(name), "names": ", ".join(TRANSFORMS)},
                )
            elif not any(p.field.startswith(place) for p in self.problems):
                steps.append(TRANSFORMS[name](row, self.zone))
        return steps

    def _options(self, place: str, row: dict[str, Any]) -> None:
        if "timezone" in row:
            self._zone_known(f"{place}.timezone", row["timezone"])
        forms: Any = row.get("format", [])
        listed: list[Any] = forms if isinstance(forms, list) else [forms]
        for form in listed:
            if not isinstance(form, str) or not (
                "%" in form or form in ("iso", "excel", "epoch", "epoch_ms")
            ):
                self.say(
                    f"{place}.format",
                    _(
                        "Expected a form such as %%Y-%%m-%%d %%H:%%M:%%S, or iso, excel, epoch, epoch_ms; or a list of them."
                    ),
                )
        if "mode" in row and row["mode"] not in list(Mode):
            self.say(f"{place}.mode", _("Expected one of: %(names)s.") % {"names": ", ".join(Mode)})
        if "separator" in row and not (isinstance(row["separator"], str) and row["separator"]):
            self.say(f"{place}.separator", _("Expected text."))
        if "decimal" in row and row["decimal"] not in (".", ","):
            self.say(f"{place}.decimal", _("Expected “.” or “,”."))

    def _values(self, place: str, row: dict[str, Any]) -> dict[str, Any] | None:
        if "values" not in row:
            return None
        values = row["values"]
        if not isinstance(values, dict) or not values:
            self.say(f"{place}.values", _("Expected an object: outside value -> hub value."))
            return None
        return {name.strip(): value for name, value in values.items()}

    def _default(self, place: str, row: dict[str, Any], steps: list[Step]) -> Any:
        if row.get("default") in (None, ""):
            return None
        value = row["default"]
        try:
            # The default is already a hub value: only the last two steps (kind and width) apply.
            for step in steps[-2:]:
                value = step(value)
        except Refused as refusal:
            self.say(f"{place}.default", str(refusal))
        return value

    # Status and facts.

    def _status(self, row: object, result: Compiled) -> None:
        if row is None:
            return
        if not isinstance(row, dict) or not isinstance(row.get("values"), dict):
            self.say(
                "status",
                _('Expected an object with "path" and "values": outside status -> list of fact kinds.'),
            )
            return
        kinds = {
            str(value).strip(): self._kinds(f"status.values.{value}", names)
            for value, names in row["values"].items()
        }
        value = self._reader("status", "status", row, known=STATUS_KEYS, raw=True)
        at = self._reader("status.at", "status.at", row["at"], kind="time") if "at" in row else None
        parcel = self._reader("status.parcel", "parcel", row["parcel"]) if "parcel" in row else None
        if value is not None:
            label = str(row.get("path") or row.get("jmespath") or "status")[:120]
            result.status = StatusReader(value, kinds, at, parcel, row.get("repeats") is True, label)

    def _kinds(self, place: str, names: object) -> tuple[str, ...]:
        if not isinstance(names, list):
            self.say(place, _("Expected a list of fact kinds; [] for a status that says nothing."))
            return ()
        for name in names:
            self._kind(place, name)
        return tuple(str(name) for name in names)

    def _kind(self, place: str, name: object) -> None:
        if not isinstance(name, str) or name not in FACT_KINDS:
            self.say(
                place,
                _("“%(name)s” is not a kind of fact. See docs/field-mapping.md for the list.")
                % {"name": shown(name)},
            )
        elif name in MADE_BY_HUB:
            self.say(place, _("“%(name)s” is made by orderhub itself.") % {"name": name})

    def _facts(self, rows: object, result: Compiled) -> None:
        if not isinstance(rows, list):
            self.say("facts", _("Expected a list of facts."))
            return
        for number, row in enumerate(rows):
            self._fact(f"facts[{number}]", row, result)

    def _fact(self, place: str, row: object, result: Compiled) -> None:
        if not isinstance(row, dict):
            self.say(
                place, _('Expected an object such as {"kind": "payment.received", "at": {"path": "paid"}}.')
            )
            return
        self._no_others(place, row, FACT_KEYS)
        kind = row.get("kind")
        self._kind(f"{place}.kind", kind)
        at = self._reader(f"{place}.at", "at", row.get("at"), kind="time")
        parcel = self._reader(f"{place}.parcel", "parcel", row["parcel"]) if "parcel" in row else None
        sku, qty = self._fact_lines(place, row)
        data = [self._reader(f"{place}.data.{name}", name, each) for name, each in _rows(row.get("data"))]
        if (
            kind in FACT_KINDS
            and sku is not None
            and FACT_KINDS[str(kind)].level not in (Level.LINE, Level.ANY)
        ):
            self.say(f"{place}.lines", _("Facts of this kind do not hang on lines."))
        if at is not None:
            result.facts.append(FactReader(str(kind), at, parcel, sku, qty, tuple(filter(None, data))))

    def _fact_lines(self, place: str, row: dict[str, Any]) -> tuple[Reader | None, Reader | None]:
        lines = row.get("lines")
        if lines is None:
            return None, None
        if not isinstance(lines, dict) or "sku" not in lines or lines.keys() - {"sku", "qty"}:
            self.say(f"{place}.lines", _('Expected {"sku": {...}, "qty": {...}}; qty may be left out.'))
            return None, None
        qty = self._reader(f"{place}.lines.qty", "lines[].qty", lines["qty"]) if "qty" in lines else None
        return self._reader(f"{place}.lines.sku", "lines[].sku", lines["sku"]), qty


def _rows(value: object) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []
