"""Looks at a record and proposes which of its values means which hub field, by the names people give to columns."""

# ruff: noqa: E501 - a table of names
from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from integrations.canonical import HUB_FIELDS
from integrations.mapping.transforms import (
    DEFAULT_ZONE,
    Refused,
    money,
    number,
    shown,
    time_reader,
    yes_or_no,
)

# Lower case, without blanks and signs. The first name that fits exactly wins; then the longest one contained.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "external_id": (
        "订单号", "订单编号", "店铺订单号", "平台订单号", "原始单号", "交易号", "主订单编号", "单号",
        "orderid", "ordernumber", "orderno", "ordersn", "tid", "externalid", "tradeid", "order", "ordername",
    ),
    "placed_at": (
        "下单时间", "订单创建时间", "创建时间", "拍下时间", "成交时间", "订单时间", "下单日期",
        "created", "createdat", "orderdate", "ordertime", "placedat", "createtime", "purchasetimestamp", "orderpurchasetimestamp",
    ),
    "changed_at": ("修改时间", "更新时间", "最后修改时间", "modified", "updatedat", "updatetime", "lastmodified"),
    "currency": ("币种", "货币", "currency", "currencycode"),
    "total": ("订单金额", "实付金额", "总金额", "应付金额", "合计", "总价", "total", "amount", "payment", "totalprice", "totalfee", "grandtotal"),
    "customer": ("客户编号", "客户代码", "客户编码", "customerid", "customercode", "buyerid"),
    "customer_name": ("客户名称", "公司名称", "公司", "customername", "company", "companyname"),
    "stars": ("星级", "客户星级", "stars", "rating"),
    "warehouse": ("仓库", "发货仓库", "仓库编码", "warehouse", "warehousecode"),
    "region": ("地区", "区域", "大区", "region", "area"),
    "country": ("国家", "countrycode", "country"),
    "remark": ("备注", "买家留言", "卖家备注", "订单备注", "留言", "remark", "memo", "note", "notes", "comment", "buyermessage"),
    "rush": ("加急", "急单", "是否加急", "rush", "urgent", "priority"),
    "contact.name": ("收货人", "收货人姓名", "收件人", "姓名", "联系人", "receiver", "receivername", "recipient", "shippingname", "consignee"),
    "contact.phone": ("手机", "手机号", "收货人手机", "联系电话", "电话", "联系手机", "mobile", "phone", "receivermobile", "receiverphone", "tel", "phonenumber"),
    "contact.email": ("邮箱", "电子邮箱", "email", "mail"),
    "contact.province": ("省", "省份", "province", "state", "receiverstate"),
    "contact.city": ("市", "城市", "city", "receivercity"),
    "contact.district": ("区", "区县", "县", "district", "receiverdistrict", "county"),
    "contact.street": ("详细地址", "收货地址", "收货人地址", "地址", "address", "street", "receiveraddress", "address1", "addressline1"),
    "contact.postcode": ("邮编", "邮政编码", "zip", "postcode", "zipcode", "receiverzip", "postalcode"),
    "lines[].sku": ("商品编码", "商家编码", "货号", "商品货号", "规格编码", "料号", "sku", "skuid", "outerskuid", "skucode", "article", "itemcode", "productid", "partnumber"),
    "lines[].qty": ("数量", "商品数量", "购买数量", "件数", "宝贝总数量", "qty", "quantity", "num", "count", "quantityordered"),
    "lines[].name": ("商品名称", "商品标题", "宝贝标题", "品名", "货品名称", "productname", "itemname", "title", "producttitle", "name"),
    "lines[].unit": ("单位", "unit", "uom"),
    "lines[].price": ("单价", "商品单价", "价格", "price", "unitprice"),
}  # fmt: skip
_SIGNS = re.compile(r"[\W_]+")
MAX_PATHS = 300
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class PathSample:
    path: str
    sample: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """field may come from path. sure: the name fits exactly. per_cent: how much name and values speak for it."""

    field: str
    path: str
    sure: bool
    per_cent: int = 0


def paths_of(record: Mapping[str, Any] | list[Any]) -> list[PathSample]:
    """Every path that leads to a value in the record, in its order, with the first value found there."""
    rows = record if isinstance(record, list) else [record]
    found: dict[str, str] = {}
    for row in rows:
        _collect(row, "", found, 0)
    return [PathSample(path, sample) for path, sample in found.items()]


def _collect(value: Any, path: str, found: dict[str, str], depth: int) -> None:
    if len(found) >= MAX_PATHS or depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            _collect(inner, f"{path}.{name}" if path else str(name), found, depth + 1)
    elif isinstance(value, list):
        for inner in value[:5]:
            _collect(inner, f"{path}[]", found, depth + 1)
    elif path and not found.get(path):
        found[path] = "" if value is None else shown(value)


# How much a name by itself speaks for a field; the values then confirm it or not.
EXACT, CONTAINED, BY_VALUE = 95, 70, 40
# Values that say what they are whatever their column is called.
TELLING = {
    "contact.phone": re.compile(r"(?:\+?86[- ]?)?1[3-9]\d{9}"),
    "contact.email": re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}", re.IGNORECASE),
}
READ_TIME = time_reader({}, DEFAULT_ZONE)
KINDS: dict[str, Callable[[Any], Any]] = {
    "time": lambda value: format_for([value]) or READ_TIME(value),
    "number": number,
    "money": money,
    "bool": yes_or_no,
}


def propose(values: Mapping[str, Sequence[Any]], *, known: Iterable[str] = ()) -> list[Suggestion]:
    """Suggestions by name and by what the values look like, best judged first by name.

    values: what stands at each path in the samples. known: fields that have a source already and need no suggestion.
    """
    known = set(known)
    found = [_judged(one, values.get(one.path, ())) for one in suggest(values)]
    taken = {one.field for one in found} | known
    used = {one.path for one in found}
    for field, form in TELLING.items():
        path = next((path for path in values if path not in used and _all_match(values[path], form)), None)
        if field not in taken and path is not None:
            found.append(Suggestion(field, path, sure=False, per_cent=BY_VALUE))
    return [one for one in found if one.field not in known and one.per_cent]


def _all_match(values: Sequence[Any], form: re.Pattern[str]) -> bool:
    given = [str(value).strip() for value in values if value not in (None, "")]
    return bool(given) and all(form.fullmatch(value) for value in given)


def _judged(one: Suggestion, values: Sequence[Any]) -> Suggestion:
    given = [value for value in values if value not in (None, "")]
    read = KINDS.get(HUB_FIELDS[one.field].kind)
    share = sum(_reads(read, value) for value in given) / len(given) if read and given else 1.0
    return replace(one, per_cent=round((EXACT if one.sure else CONTAINED) * share))


def _reads(read: Callable[[Any], Any], value: Any) -> bool:
    try:
        return read(value) is not None
    except Refused:
        return False


def format_for(values: Sequence[Any]) -> str:
    """What a time field must be told about such values; "" if they are read as they are."""
    texts = [str(value) for value in values if value not in (None, "")]
    if texts and all(text.isdigit() for text in texts):
        return "epoch_ms" if len(texts[0]) == 13 else "epoch" if len(texts[0]) == 10 else ""
    return ""


def suggest(paths: Iterable[str]) -> list[Suggestion]:
    """At most one path for each hub field, and each path once: exact names first, then names that contain one."""
    names = {path: _simple(path.split(".")[-1]) for path in paths}
    taken: dict[str, Suggestion] = {}
    used: set[str] = set()
    for sure in (True, False):
        for field, words in SYNONYMS.items():
            path = None if field in taken else _best(words, names, used, sure=sure)
            if path is not None:
                taken[field] = Suggestion(field, path, sure)
                used.add(path)
    return [taken[field] for field in SYNONYMS if field in taken]


def _best(words: tuple[str, ...], names: Mapping[str, str], used: set[str], *, sure: bool) -> str | None:
    # Short words are inside too many others to guess by.
    wanted = (
        words
        if sure
        else sorted(
            (word for word in words if len(word) >= (2 if not word.isascii() else 5)), key=len, reverse=True
        )
    )
    for word in wanted:
        for path, name in names.items():
            if path not in used and (name == word if sure else word in name):
                return path
    return None


def _simple(name: str) -> str:
    return _SIGNS.sub("", unicodedata.normalize("NFKC", name)).lower()
