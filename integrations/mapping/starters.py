"""Field mappings to begin with, as data. A starter is copied into a mapping of its own, which people then change."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

TABLE_ZH: dict[str, Any] = {
    "version": 1,
    "record": "order",
    "timezone": "Asia/Shanghai",
    "group_rows": True,
    "fields": {
        "external_id": {"path": "订单号"},
        "placed_at": {"path": "下单时间"},
        "total": {"path": "订单金额"},
        "currency": {"constant": "CNY"},
        "customer_name": {"path": "客户名称"},
        "remark": {"path": "备注"},
        "rush": {"path": "加急"},
        "contact.name": {"path": "收货人"},
        "contact.phone": {"path": "手机"},
        "contact.province": {"path": "省"},
        "contact.city": {"path": "市"},
        "contact.district": {"path": "区"},
        "contact.street": {"path": "详细地址"},
        "lines[].sku": {"path": "商品编码"},
        "lines[].qty": {"path": "数量"},
        "lines[].name": {"path": "商品名称"},
        "lines[].price": {"path": "单价"},
    },
    "status": {
        "path": "订单状态",
        "values": {
            "待付款": [],
            "已付款": ["payment.received"],
            "待发货": ["payment.received"],
            "已发货": ["payment.received", "parcel.handed_over"],
            "已签收": ["payment.received", "parcel.delivered"],
            "交易成功": ["payment.received", "trade.finished"],
            "已取消": ["cancel.accepted"],
            "交易关闭": ["cancel.accepted"],
        },
        "parcel": {"path": "运单号"},
    },
    "facts": [{"kind": "payment.received", "at": {"path": "付款时间"}}],
}

TABLE_EN: dict[str, Any] = {
    "version": 1,
    "record": "order",
    "timezone": "Asia/Shanghai",
    "group_rows": True,
    "fields": {
        "external_id": {"path": "order_id"},
        "placed_at": {"path": "placed_at"},
        "total": {"path": "total"},
        "currency": {"path": "currency", "default": "CNY"},
        "remark": {"path": "remark"},
        "contact.name": {"path": "name"},
        "contact.phone": {"path": "phone"},
        "contact.city": {"path": "city"},
        "contact.street": {"path": "address"},
        "lines[].sku": {"path": "sku"},
        "lines[].qty": {"path": "quantity"},
        "lines[].name": {"path": "product"},
        "lines[].price": {"path": "price"},
    },
    "facts": [{"kind": "payment.received", "at": {"path": "paid_at"}}],
}

STARTERS: dict[str, tuple[StrOrPromise, dict[str, Any]]] = {
    "table-zh": (_("Order table with Chinese column names"), TABLE_ZH),
    "table-en": (_("Order table with English column names"), TABLE_EN),
}
