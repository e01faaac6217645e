"""Words of the other language on a page: whatever is read or spoken, apart from data."""

from __future__ import annotations

import re
from typing import Any

# Latin words that Chinese pages may show: names of things that have no other, units, keys.
LATIN = frozenset(
    [
        *(
            "orderhub",
            "api",
            "csv",
            "xlsx",
            "json",
            "jsonl",
            "jmespath",
            "url",
            "utc",
            "http",
            "https",
            "webhook",
        ),
        *(
            "webhooks",
            "token",
            "tokens",
            "sku",
            "wms",
            "crm",
            "post",
            "get",
            "ids",
            "ctrl",
            "cmd",
            "shift",
            "enter",
        ),
        *(
            "esc",
            "tab",
            "excel",
            "english",
            "standard",
            "kib",
            "cny",
            "usd",
            "hub",
            "pdf",
            "javascript",
            "unix",
            "openapi",
            "swagger",
            "redoc",
        ),
        *("curl", "sha", "sha256", "hmac", "base64", "python", "gbk", "utf", "bom", "iso", "ascii"),
    ]
)
# Zones of the tz database, numbers of orders, waybills and attestations (the last sign of which checks the others), quantiles,
# names of HTTP's headers, codes of facts, names of logs. Chinese letters count as \w: no \b.
KEYS = re.compile(
    r"(?<![A-Za-z])(?:[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+|OH\d{6}-[0-9A-Z]+|[A-Z]{2}\d{6,}|P\d\d|[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}-[0-9A-Z*~$=]"
    r"|(?:[A-Z][a-z]+-)+[A-Z][a-z]+|Authorization|JSON Lines|[a-z]+(?:[._][a-z]+)+|[\w.:-]+/t/[a-z0-9/-]+)(?![A-Za-z])"
)
LATIN_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]{2,}")
# What a person reads, without what is data and what is typed.
WORDS = """() => { const copy = document.body.cloneNode(true);
  const data = '.material-symbols-outlined, script, style, template, textarea, pre, code, kbd, [translate=no], [lang]';
  copy.querySelectorAll(data).forEach(one => one.remove());
  const named = one => ['aria-label', 'title', 'placeholder'].map(name => one.getAttribute(name) || '');
  const spoken = [...copy.querySelectorAll('*')].flatMap(named).join(' ');
  const texts = [], walk = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) texts.push(walk.currentNode.nodeValue);
  return spoken + ' ' + texts.join(' ') }"""


def foreign(page: Any, language: str, data: list[str], known_here: frozenset[str]) -> list[str]:
    """Words of the other language on the page, apart from data and from words of its own."""
    text: str = KEYS.sub(" ", page.evaluate(WORDS))
    for known in data:
        text = text.replace(known, " ")
    if language == "en":
        return sorted(set(re.findall(r"[\u4e00-\u9fff]+", text)))[:5]
    words = {word for word in LATIN_WORD.findall(text) if word.lower() not in LATIN | known_here}
    return sorted(words)[:8]


def words_of_data() -> list[str]:
    """Names that belong to the data: they stay as they are in every language. Longest first."""
    from django.contrib.auth.models import User

    from integrations.models import Connection, FieldMapping
    from orders.models import Customer, Shop, Warehouse

    words = {
        name for model in (Customer, Shop, Warehouse) for name in model.objects.values_list("name", flat=True)
    }
    # Sources are told by the names of their connections.
    words |= {name for row in Connection.objects.values_list("label", "slug") for name in row}
    words |= {word for row in Shop.objects.values_list("code", "platform") for word in row}
    words |= set(FieldMapping.objects.values_list("name", flat=True))
    words |= set(User.objects.values_list("username", flat=True)) | {"简体中文", "中"}
    return sorted(filter(None, words), key=len, reverse=True)
