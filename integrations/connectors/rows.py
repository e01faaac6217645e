"""Rows of imported files, and any other record that a field mapping alone can translate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext_lazy

from integrations.canonical import OrderReport, Problem, Translated, Untranslatable
from integrations.connectors.base import Connector
from integrations.mapping import BadDefinition, translate
from integrations.told import told as _


class Rows(Connector):
    slug = "rows"
    label = gettext_lazy("Files (CSV, Excel, JSON)")

    def read(
        self, form: str, body: str, *, key: str, shop: str, mapping: dict[str, Any] | None
    ) -> Iterable[Translated]:
        """body: one record as JSON, or the list of a file's rows that belong to one order."""
        if mapping is None:
            raise Untranslatable(
                [Problem("mapping", _("The connection has no field mapping. Choose one for it."))]
            )
        try:
            found = translate(mapping, json.loads(body), shop=shop)
        except BadDefinition as error:
            raise Untranslatable(
                [Problem(f"mapping.{problem.field}", problem.error) for problem in error.problems]
            ) from error
        except (ValueError, RecursionError) as error:
            raise Untranslatable(
                [Problem("", _("The body is not JSON: %(why)s.") % {"why": error})]
            ) from error
        return [_with_key(item) if isinstance(item, OrderReport) else item for item in found]


def _with_key(order: OrderReport) -> OrderReport:
    """The key is made of what the row says, not of how it is written: the same order in next week's file, or under
    a mended mapping, is a new report only if it now says something else.
    """
    content = json.dumps(
        [
            order.external_id,
            order.placed_at.isoformat(),
            order.changed_at.isoformat() if order.changed_at else "",
            dict(order.fields),
            dict(order.modes),
            order.person,
            [(line.sku, str(line.qty), line.name, line.unit, str(line.price)) for line in order.lines],
        ],
        sort_keys=True,
    )
    digest = hashlib.sha256(content.encode()).hexdigest()[:24]
    return replace(order, key=f"{order.external_id}:order:{digest}")
