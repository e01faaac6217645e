"""Looks at a record and proposes which of its values means which hub field, by the names people give to columns."""

# ruff: noqa: E501 - a table of names
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from integrations.mapping.transforms import shown

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
    """field may come from path; sure: the name fits exactly."""

    field: str
    path: str
    sure: bool


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
