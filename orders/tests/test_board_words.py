"""What is data on the board's pages is marked as data: it stays as it is in every language."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
import time_machine

from orders.board.columns import COLUMNS
from orders.desk import BulkRun, SavedView
from orders.tests.factories import MONDAY, make_customer, make_order, make_shop, make_warehouse
from orders.tests.staff import log_in, make_staff
from orders.tests.test_board import put

pytestmark = pytest.mark.django_db
BOARD = "/admin/board/"
DATA = {
    "shop": "Qshop", "external_id": "Qexternal", "customer": "Qcustomer", "house": "Qhouse", "waybill": "QWAYBILL",
    "person": "qperson", "region": "Qregion", "view": "Qview",
}  # fmt: skip
VOID = {"input", "link", "meta", "br", "img", "hr", "source", "col"}


class Words(HTMLParser):
    """The texts of a page, apart: those marked as data, and those in the reader's language."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.data, self.words = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            is_data = ("translate", "no") in attrs or tag in {"script", "style"}
            self.open.append((tag, is_data or bool(self.open and self.open[-1][1])))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, text):
        (self.data if self.open and self.open[-1][1] else self.words).append(text)


@pytest.fixture
def client(client):
    with time_machine.travel(MONDAY, tick=False):
        log_in(client, make_staff("ops_manager", "sales", everything=True))
        yield client


@pytest.fixture
def order():
    house = make_warehouse(name=DATA["house"])
    shop = make_shop(name=DATA["shop"], warehouse=house)
    person = make_staff("sales", everything=True)
    person.username = DATA["person"]
    person.save()
    SavedView.objects.create(owner=person, name=DATA["view"], is_shared=True)
    return put(
        make_order(shop=shop, external_id=DATA["external_id"]),
        waybill=DATA["waybill"],
        assignee=person,
        region=DATA["region"],
        customer=make_customer(name=DATA["customer"]),
        total="12.50",
        currency="CNY",
    )


def page_of(name, order, client):
    if name == "run":
        client.post(f"{BOARD}bulk/", {"action": "rush", "ids": [order.pk]})
        return f"{BOARD}bulk/{BulkRun.objects.get().pk}/"
    return {
        "table": f"{BOARD}?x=1&cols={'.'.join(COLUMNS)}",
        "chips": f"{BOARD}?shop={order.shop_id}&warehouse={order.warehouse_id}",
        "kanban": f"{BOARD}?x=1&layout=kanban",
        "filters": f"{BOARD}filters/?x=1",
        "move": f"{BOARD}move/{order.pk}/stock/",
        "bulk": f"{BOARD}bulk/?action=assign&ids={order.pk}",
    }[name]


# What each page shows of the order and of what people typed.
SHOWN = {
    "table": set(DATA),
    "chips": {"shop", "house", "external_id", "customer", "person", "view"},
    "kanban": {"shop", "customer", "view"},
    "filters": {"shop", "house"},
    "move": {"number"},
    "bulk": {"person"},
    "run": {"number"},
}


@pytest.mark.parametrize("name", SHOWN)
def test_numbers_names_and_texts_of_people_are_marked_as_data(client, order, name):
    pieces = {**DATA, "number": order.number}

    found = Words(client.get(page_of(name, order, client)).content.decode())

    data, words = " ".join(found.data), " ".join(found.words)
    assert {one for one in SHOWN[name] if pieces[one] not in data} == set()
    assert {one for one in DATA if pieces[one] in words} == set()
