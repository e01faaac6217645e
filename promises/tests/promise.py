"""A whole promise for tests."""

from __future__ import annotations

from typing import Any


def payload(**changed: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "typ": "promise",
        "log": "promises.example.com/t/demo",
        "no": "ZRFJQ39TBHZ90492",
        "salt": "00112233445566778899aabbccddeeff",
        "seller": {"name": "示例汽配有限公司", "uscc": "91330000MA0000000X"},
        "issued_at": 1_763_775_060,
        "due": 1_764_072_000,
        "tz": "Asia/Shanghai",
        "dest": {"province": "浙江省", "city": "绍兴市"},
        "items": [{"name": "刹车片", "qty": 2, "unit": "套"}, {"name": "机油", "qty": "1.5", "unit": "L"}],
        "order": "h:0123456789abcdef",
        "basis": {"model": "lane-1", "lane": "hz>sx", "p": 950, "n": 412},
        "seen": {"size": 0, "root": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "supersedes": None,
        "terms": None,
        **changed,
    }
