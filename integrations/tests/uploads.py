"""Files of orders as tests upload them, and what carries them through."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from integrations import files, ingest
from integrations.files.runs import advance
from integrations.mapping import versions
from integrations.mapping.starters import TABLE_ZH
from integrations.models import Connection, FieldMapping, ImportRun
from integrations.tests.senders import make_connection
from orders.models import Shop
from orders.stages import Role
from orders.tests.factories import make_shop

NINE = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
COLUMNS = ["订单号", "下单时间", "商品编码", "数量", "订单状态", "手机"]
ROW = {"订单号": "00123", "下单时间": "2026-11-22 08:00:00", "商品编码": "BRK-001", "数量": "2"}


def table(*rows: dict[str, str]) -> bytes:
    lines = [",".join(COLUMNS), *(",".join({**ROW, **row}.get(name, "") for name in COLUMNS) for row in rows)]
    return "\n".join(lines).encode()


def make_mapping(name="table", **changes) -> FieldMapping:
    mapping = FieldMapping(name=name, definition={**TABLE_ZH, **changes})
    versions.save(mapping, by=None, at=NINE)
    return mapping


def make_way_in(shop: Shop | None = None, mapping: FieldMapping | None = None, slug="files") -> Connection:
    return make_connection(
        slug,
        role=Role.SHOP,
        shop=shop or make_shop(),
        connector="rows",
        mapping=mapping or make_mapping(slug),
    )


def start(connection: Connection, content: bytes, name="orders.csv") -> ImportRun:
    return files.start_import(connection, connection.mapping, io.BytesIO(content), name, None)


def settle() -> None:
    while ingest.process().n_messages:
        pass


def carry_out(run: ImportRun) -> ImportRun:
    while advance(run.pk):
        pass
    settle()
    files.finish_if_settled(run.pk)
    run.refresh_from_db()
    return run
