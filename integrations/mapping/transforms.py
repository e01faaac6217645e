"""The transforms that a field mapping may name: small, exact, and each with a refusal that says what to do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from integrations import identifiers
from integrations.told import told as _

Step = Callable[[Any], Any]
DEFAULT_ZONE = "Asia/Shanghai"


class Refused(Exception):
    """The value cannot be used. The message says what it is, why, and what to do."""


PLAIN_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|[-+]?\.\d+")
MONEY_SIGNS = re.compile(
    r"^(?:CNY|RMB|USD|EUR|US\$|HK\$|R\$|[¥$€£元])\s*|\s*(?:元|CNY|RMB|USD|EUR)$", re.IGNORECASE
)
LOOSE_TIME = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]+(\d{1,2})[:：时](\d{1,2})(?:[:：分](\d{1,2}))?秒?(?:\.\d+)?)?"
)
# What fromisoformat reads the same way as strptime, twenty times faster; the length tells them apart.
ISO_FORMATS = {"%Y-%m-%d %H:%M:%S": 19, "%Y-%m-%dT%H:%M:%S": 19, "%Y-%m-%d %H:%M": 16, "%Y-%m-%d": 10}
EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - the zone is put on after reading, as for every wall time
NO_TIME = frozenset({"0000-00-00 00:00:00", "0000-00-00", "0001-01-01 00:00:00"})
TRUE_WORDS = frozenset({"1", "true", "yes", "y", "t", "on", "是", "有", "真", "对", "√"})
FALSE_WORDS = frozenset({"0", "false", "no", "n", "f", "off", "否", "无", "没有", "假", "不", "×"})


def shown(value: object) -> str:
    """The value as an error may repeat it: short, on one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else text[:39] + "…"


def clean_text(value: Any) -> str:
    """Any JSON scalar as text without surrounding blanks."""
    if type(value) is str:
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        raise Refused(_("has several values inside. Choose one of them by its path, or join them."))
    return str(value).strip()


def clean_id(value: Any) -> str:
    """An id as the hub compares it (integrations/identifiers.py), refused in words that name the remedy."""
    # A leading apostrophe is how people make a spreadsheet keep an id as text.
    text = value.strip().lstrip("'") if isinstance(value, str) else value
    try:
        return identifiers.clean_id(text)
    except ValueError as error:
        if isinstance(text, float) or identifiers.DAMAGED.fullmatch(str(text)):
            raise Refused(
                _(
                    "“%(value)s” is an id that a program has treated as a number; its last digits may be lost. "
                    "Export it again with this column formatted as text."
                )
                % {"value": shown(text)}
            ) from error
        raise Refused(f"“{shown(text)}” {error}") from error


def number(value: Any, *, comma: bool = False) -> Decimal:
    """The exact decimal: thousands separators and full-width digits are read, nothing is rounded."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool):
        raise Refused(_("is yes or no, not a number."))
    if isinstance(value, int):
        return Decimal(value)
    # repr gives the shortest digits that mean this float, which are the ones that were sent.
    text = repr(value) if isinstance(value, float) else unicodedata.normalize("NFKC", clean_text(value))
    if comma:
        text = text.replace(".", "").replace(",", ".")
    text = text.replace(" ", "")
    if not PLAIN_NUMBER.fullmatch(text):
        raise Refused(
            _("“%(value)s” is not a number. Expected digits such as 1234.50.") % {"value": shown(value)}
        )
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:  # pragma: no cover - the pattern above lets nothing else through
        raise Refused(_("“%(value)s” is not a number.") % {"value": shown(value)}) from None


def money(value: Any, *, comma: bool = False) -> Decimal:
    """A number that may carry a currency sign."""
    if isinstance(value, str):
        value = MONEY_SIGNS.sub("", unicodedata.normalize("NFKC", value.strip()))
    return number(value, comma=comma)


def yes_or_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = clean_text(value).lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise Refused(_("“%(value)s” is neither yes nor no. Give it a value map.") % {"value": shown(value)})


def _plausible(at: datetime, value: object) -> datetime:
    if not 1990 <= at.year <= 2100:
        raise Refused(
            _("“%(value)s” is not a time between 1990 and 2100. Check the format.") % {"value": shown(value)}
        )
    return at.astimezone(UTC)


def _strptime(text: str, form: str) -> datetime | None:
    try:
        if len(text) == ISO_FORMATS.get(form):
            return datetime.fromisoformat(text)
        return datetime.strptime(text, form)  # noqa: DTZ007 - the mapping's zone is put on by the caller
    except ValueError:
        return None


def _from_number(value: Any, form: str) -> datetime:
    amount = number(value)
    try:
        if form == "excel":
            return EXCEL_EPOCH + timedelta(seconds=round(float(amount) * 86400))
        return datetime.fromtimestamp(float(amount) / (1000 if form == "epoch_ms" else 1), tz=UTC)
    except (OverflowError, OSError, ValueError):
        raise Refused(_("“%(value)s” is too large for a time.") % {"value": shown(value)}) from None


def _loosely(text: str) -> datetime | None:
    """ISO 8601, and year-first dates as spreadsheets and Chinese shops write them."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        found = LOOSE_TIME.fullmatch(text)
    if found is None:
        return None
    try:
        return datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None


def time_reader(spec: Mapping[str, Any], zone_name: str) -> Step:
    """Reads a time by the formats of the spec; a time without an offset is in the spec's zone. None for no time."""
    given = spec.get("format", [])
    forms = (given,) if isinstance(given, str) else tuple(given)
    zone = ZoneInfo(str(spec.get("timezone") or zone_name))

    def read(value: Any) -> datetime | None:
        if isinstance(value, datetime):
            return value
        text = clean_text(value)
        if text in NO_TIME:
            return None
        at = _by_formats(text, forms)
        if at is None:
            wanted = ", ".join(forms) if forms else _("a date and time such as 2026-11-22 18:04:00")
            raise Refused(
                _("“%(value)s” is not a time in the expected form (%(form)s).")
                % {"value": shown(text), "form": wanted}
            )
        return _plausible(at if at.tzinfo else at.replace(tzinfo=zone), text)

    return read


def _by_formats(text: str, forms: tuple[str, ...]) -> datetime | None:
    for form in forms:
        if form in ("excel", "epoch", "epoch_ms"):
            return _from_number(text, form)
        at = _loosely(text) if form == "iso" else _strptime(text, form)
        if at is not None:
            return at
    # Date cells of a workbook arrive in ISO form whatever the mapping expects of text cells.
    return _loosely(text) if not forms or text[10:11] == "T" else None


def date_reader(spec: Mapping[str, Any], zone_name: str) -> Step:
    read_time = time_reader(spec, zone_name)
    zone = ZoneInfo(str(spec.get("timezone") or zone_name))

    def read(value: Any) -> date | None:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        at = read_time(value)
        return at.astimezone(zone).date() if at else None

    return read


def _split(spec: Mapping[str, Any]) -> Step:
    sign = str(spec.get("separator", ","))
    return lambda value: [part.strip() for part in clean_text(value).split(sign) if part.strip()]


def _join(spec: Mapping[str, Any]) -> Step:
    sign = str(spec.get("separator", " "))
    return lambda value: (
        sign.join(clean_text(part) for part in value if part not in (None, ""))
        if isinstance(value, list)
        else value
    )


def _first(value: Any) -> Any:
    return (value[0] if value else None) if isinstance(value, list) else value


def _last(value: Any) -> Any:
    return (value[-1] if value else None) if isinstance(value, list) else value


def _digits(value: Any) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", clean_text(value)) if sign.isdigit())


def _has_comma(spec: Mapping[str, Any]) -> bool:
    return spec.get("decimal") == ","


# name -> maker of the step, given the field's row of the definition and the mapping's time zone.
TRANSFORMS: dict[str, Callable[[Mapping[str, Any], str], Step]] = {
    "text": lambda spec, zone: clean_text,
    "id": lambda spec, zone: clean_id,
    "time": time_reader,
    "date": date_reader,
    "number": lambda spec, zone: lambda value: number(value, comma=_has_comma(spec)),
    "money": lambda spec, zone: lambda value: money(value, comma=_has_comma(spec)),
    "bool": lambda spec, zone: yes_or_no,
    "upper": lambda spec, zone: lambda value: clean_text(value).upper(),
    "lower": lambda spec, zone: lambda value: clean_text(value).lower(),
    "strip": lambda spec, zone: clean_text,
    "first": lambda spec, zone: _first,
    "last": lambda spec, zone: _last,
    "split": lambda spec, zone: _split(spec),
    "join": lambda spec, zone: _join(spec),
    "digits": lambda spec, zone: _digits,
}
# What becomes of a value when its field says nothing else.
BY_KIND = {
    "text": "text",
    "id": "id",
    "number": "number",
    "money": "money",
    "time": "time",
    "date": "date",
    "bool": "bool",
}
