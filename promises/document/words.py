"""What the paper says: the payload's numbers in Chinese words, and in English beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from promises import numbers

# In how wide a circle the estimate found enough like orders (promises.eta.features.LEVELS).
PLACES = {
    "county": ("同区县", "to the same county"),
    "city": ("同城市", "to the same city"),
    "province": ("同省份", "to the same province"),
    "carrier": ("同承运商", "with the same carrier"),
}
BY_A_PERSON = "confirmed"
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def said(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The words of the payload, as the template names them; pairs are Chinese and English."""
    zone = ZoneInfo(payload["tz"])
    window = payload.get("window")
    due = datetime.fromtimestamp(payload["due"], zone)
    issued = datetime.fromtimestamp(payload["issued_at"], zone)
    return {
        "payload": payload,
        "number": numbers.shown(payload["no"]),
        "due": _day(due),
        "issued": f"{issued:%Y-%m-%d %H:%M}",
        "zone": _zone(due, payload["tz"]),
        "window": (
            _span(datetime.fromtimestamp(window["from"], zone), datetime.fromtimestamp(window["to"], zone))
            if window
            else None
        ),
        "basis": _basis(payload["basis"]),
        "replaces": in_fours(payload["supersedes"][:16]) if payload["supersedes"] else "",
        "seen": payload["seen"],
        "seen_root": in_fours(payload["seen"]["root"][:16]),
    }


def _day(at: datetime) -> tuple[str, str]:
    return f"{at.year}年{at.month}月{at.day}日", f"{at.day} {MONTHS[at.month - 1]} {at.year}"


def _span(first: datetime, last: datetime) -> tuple[str, str]:
    """Two days, or one where both are the same."""
    (zh, en), (zh_last, en_last) = _day(first), _day(last)
    return (zh, en) if (zh, en) == (zh_last, en_last) else (f"{zh} 至 {zh_last}", f"{en} to {en_last}")


def _basis(basis: Mapping[str, Any]) -> tuple[str, str]:
    if basis["lane"] == BY_A_PERSON:
        return "商家人工确认的日期", "a day confirmed by the seller"
    zh, en = PLACES.get(basis["lane"], ("同类", "of the same kind"))
    n = basis.get("n")
    if n is None:
        # Odds without the number of orders behind them say nothing.
        return f"{zh}订单的实际用时", f"what orders {en} took"
    odds = f"{basis['p'] / 10:.1f}%"
    return f"{zh}订单 {n} 单的实际用时，按期概率 {odds}", f"what {n} orders {en} took; stated odds {odds}"


def _zone(at: datetime, name: str) -> str:
    """The clock that the day ends by: "Asia/Shanghai, UTC+08:00"."""
    return f"{name}, UTC{at.isoformat()[-6:]}"


def in_fours(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))
