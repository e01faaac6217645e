"""What importing a file would do, row by row, before anything is written: read, translated and compared as for real."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from integrations import inbox, matching
from integrations.canonical import FactItem, OrderReport, Problem, Translated, Untranslatable
from integrations.connectors.rows import Rows
from integrations.files.errors import table_of
from integrations.files.opening import FileRefused
from integrations.files.rows import rows_of
from integrations.files.runs import source_of
from integrations.files.unpacking import Group, body_of, groups_of
from integrations.mapping import compiled, editor, paths_of
from integrations.models import Connection, FieldMapping, InboundMessage
from integrations.told import told as _
from orders.models import ExternalReference, OrderFact, ReferenceLink

# A longer file is judged by its beginning: looking must not take longer than a person waits.
MAX_ROWS = 10_000
MAX_SECONDS = 20.0
BATCH = 500
ERRORS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that would fail."""

    row: int
    problems: tuple[Problem, ...]
    original: dict[str, Any]


@dataclass(slots=True)
class Looked:
    """What would happen. n_skip: known already, word for word. is_whole: False if only the beginning was looked at."""

    n_rows: int = 0
    n_add: int = 0
    n_change: int = 0
    n_skip: int = 0
    bad: list[BadRow] = field(default_factory=list)
    is_whole: bool = True
    seconds: float = 0.0

    @property
    def n_error(self) -> int:
        return len(self.bad)

    @property
    def n_good(self) -> int:
        return self.n_add + self.n_change + self.n_skip

    @property
    def shown(self) -> list[BadRow]:
        return self.bad[:ERRORS_SHOWN]


@dataclass(slots=True)
class _Message:
    group: Group
    key: str
    said: list[Translated]

    @property
    def order(self) -> OrderReport | None:
        return next((item for item in self.said if isinstance(item, OrderReport)), None)

    @property
    def keys(self) -> list[str]:
        return [item.key for item in self.said if isinstance(item, (OrderReport, FactItem))]


def look(digest: str, name: str, connection: Connection, mapping: FieldMapping) -> Looked:
    """Look at a stored file with this mapping. Writes nothing.

    Raises FileRefused if the file cannot be read, BadDefinition if the mapping cannot be used.
    """
    started = time.monotonic()
    looked = Looked()
    shop = connection.shop.code if connection.shop else ""
    groups = groups_of(rows_of(source_of(digest, name)), mapping.definition)
    seen: set[str] = set()
    while batch := list(islice(groups, BATCH)):
        messages = list(_translated(batch, mapping, shop, looked))
        messages = list(_accepted(messages, shop, looked))
        _count(messages, connection, seen, looked)
        if looked.n_rows >= MAX_ROWS or time.monotonic() - started > MAX_SECONDS:
            looked.is_whole = next(groups, None) is None
            break
    if not looked.n_rows:
        raise FileRefused(_("The file has column names but no rows. Export it again."))
    looked.bad.sort(key=lambda bad: bad.row)
    looked.seconds = time.monotonic() - started
    return looked


def _translated(
    groups: Iterable[Group], mapping: FieldMapping, shop: str, looked: Looked
) -> Iterator[_Message]:
    """What each message says; those that say nothing usable go to the bad rows."""
    reader = Rows()
    for group in groups:
        looked.n_rows += group.n_rows
        if group.problems:
            _bad(looked, group, group.problems)
            continue
        body = body_of(group)
        try:
            said = list(reader.read("row", body, key="", shop=shop, mapping=mapping.definition))
        except Untranslatable as error:
            _bad(looked, group, error.problems)
        else:
            yield _Message(group, f"row:{mapping.pk}.{mapping.version}:{inbox.digest_of(body)}", said)


def _bad(looked: Looked, group: Group, problems: Sequence[Problem]) -> None:
    looked.bad.append(BadRow(group.row, tuple(problems), group.records[0]))


def _accepted(messages: Sequence[_Message], shop: str, looked: Looked) -> Iterator[_Message]:
    """Those that the house takes: their warehouse exists, and so does their order number in this shop."""
    orders = [message.order for message in messages if message.order]
    refs = [item.order for message in messages for item in message.said if isinstance(item, FactItem)]
    masters, numbers = matching.Masters.of(orders, refs), matching.known_numbers(refs)
    for message in messages:
        try:
            for item in message.said:
                if isinstance(item, OrderReport):
                    matching.check_order(item, masters)
                elif isinstance(item, FactItem):
                    matching.check_ref(item.order, masters, numbers, shop)
        except Untranslatable as error:
            _bad(looked, message.group, error.problems)
        else:
            yield message


def _count(messages: Sequence[_Message], connection: Connection, seen: set[str], looked: Looked) -> None:
    """Add, change or skip. seen: order numbers and message keys of the rows above."""
    there = _messages_there(connection, messages)
    facts = _facts_there(connection, messages)
    orders = _orders_there(messages)
    for message in messages:
        order = message.order
        number = f"{order.shop}\n{order.external_id}" if order else ""
        if message.key in there or message.key in seen or facts.issuperset(message.keys):
            looked.n_skip += 1
        elif order is not None and (order.shop, order.external_id) not in orders and number not in seen:
            looked.n_add += 1
        else:
            looked.n_change += 1
        seen |= {message.key, number}


def _messages_there(connection: Connection, messages: Sequence[_Message]) -> set[str]:
    """Rows that were read before and did not fail; those that failed are tried again."""
    rows = InboundMessage.objects.filter(
        connection=connection, remote_key__in=[message.key for message in messages]
    ).exclude(state=InboundMessage.State.FAILED)
    return set(rows.values_list("remote_key", flat=True))


def _facts_there(connection: Connection, messages: Sequence[_Message]) -> set[str]:
    keys = [key for message in messages for key in message.keys]
    found: set[str] = set()
    for start in range(0, len(keys), 1000):
        rows = OrderFact.objects.filter(source=connection.slug, key__in=keys[start : start + 1000])
        found |= set(rows.values_list("key", flat=True))
    return found


def _orders_there(messages: Sequence[_Message]) -> set[tuple[str, str]]:
    reports = [message.order for message in messages if message.order]
    references = ExternalReference.objects.filter(
        connection__in={report.shop for report in reports},
        kind=ExternalReference.Kind.ORDER,
        value__in=[report.external_id for report in reports],
    )
    linked = ReferenceLink.objects.filter(reference__in=references)
    return set(linked.values_list("reference__connection", "reference__value"))


def error_table(looked: Looked) -> Iterator[str]:
    """The rows that would fail, with the reasons, as CSV to mend and upload."""
    rows = ((bad.row, [(one.field, one.error) for one in bad.problems], bad.original) for bad in looked.bad)
    names: dict[str, None] = {}
    for bad in looked.bad[:2000]:
        names.update(dict.fromkeys(bad.original))
    return table_of(list(names), rows)


# Which mapping a file asks for.


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a mapping fits a file: how many of the columns it reads are there, and which required ones are not."""

    mapping: FieldMapping
    n_found: int
    n_read: int
    missing: tuple[str, ...]

    @property
    def reads_all(self) -> bool:
        return not self.missing


def columns_of(digest: str, name: str) -> list[str]:
    """The column names, or the paths, of the first record. Raises FileRefused."""
    row = next(iter(rows_of(source_of(digest, name))), None)
    return [one.path for one in paths_of(row.record)] if row else []


def fit(mapping: FieldMapping, columns: Sequence[str]) -> Fit:
    """How well the mapping fits these columns. Raises BadDefinition."""
    used = editor.paths_used(mapping.definition)
    fields = mapping.definition["fields"] if compiled(mapping.definition).record == "order" else {}
    missing = tuple(
        str(row.label)
        for row in editor.rows_of(mapping.definition)
        if row.required and (path := fields.get(row.name, {}).get("path")) and path not in columns
    )
    return Fit(mapping, len(used & set(columns)), len(used), missing)


def best_fit(mappings: Iterable[FieldMapping], columns: Sequence[str]) -> Fit | None:
    """The mapping that reads most of these columns; None if none reads what an order needs."""
    found = [one for mapping in mappings if (one := fit(mapping, columns)).reads_all and one.n_found]
    return max(found, key=lambda one: (one.n_found, one.n_found / one.n_read), default=None)
