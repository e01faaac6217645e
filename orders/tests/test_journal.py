from __future__ import annotations

import pytest
from django.utils.translation import override

from orders.journal import in_words
from orders.models import OrderEvent


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "words"),
    [
        ("moved", "stage", "awaiting_date", "in_transit", ("阶段", "待确认交期", "运输中")),
        ("axis", "payment", "unpaid", "paid", ("付款", "未付款", "已付款")),
        ("axis", "parcel:SF1", "", "picked_up", ("包裹 SF1 的状态", "", "已揽收")),
        ("step", "stock", "open", "done", ("锁库存", "未完成", "已完成")),
        ("flag", "is_held", "", "yes", ("暂停", "", "是")),
        ("flag", "hold:address", "yes", "", ("暂停“address”", "是", "")),
        ("flag", "partial_done", "", "6", ("完成件数", "", "6")),
        ("stalled", "stalled", "", "in_transit", ("停滞", "", "运输中")),
        ("flag", "not_a_column", "1", "2", ("not_a_column", "1", "2")),
    ],
)
def test_a_line_of_the_journal_is_said_in_chinese(kind, name, old, new, words):
    with override("zh-hans"):
        row = in_words(OrderEvent(kind=kind, name=name, old=old, new=new, passed=["awaiting_stock"]))

    assert (row["name"], row["old"], row["new"]) == words
    assert row["passed"] == ["待锁库存"]
