"""Orders and facts as other systems report them to the API, in the hub's own words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy

from integrations import items
from integrations.canonical import Problem, Translated, Untranslatable
from integrations.connectors.base import Connector
from integrations.told import told as _


class ApiItems(Connector):
    slug = "api"
    label = gettext_lazy("API of the hub")

    def read(
        self, form: str, body: str, *, key: str, shop: str, mapping: dict[str, Any] | None
    ) -> Iterable[Translated]:
        try:
            item = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise Untranslatable([Problem("", _("is not JSON: %(why)s") % {"why": error})]) from error
        if form == "order":
            return [items.read_order(item, shop=shop)]
        if form == "fact":
            return [items.read_fact(item, key=key, shop=shop)]
        raise Untranslatable(
            [Problem("", _("an API item of the form %(form)s is not known") % {"form": form})]
        )
