"""The board's answering times with 10,000 and with 1,260,000 orders: first page, each filter, each sort, each search."""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orderhub.bench.figures import Figure, plain, say
from orderhub.bench.house import House

SMALL, LARGE, OPEN = 10_000, 1_260_000, 20_000
SERVER_TIME = 150.0
QUERIES = 12
SHARE = 1.3
# A difference of a few milliseconds between two pages is the machine's noise, not the size of the house.
NOISE = 8.0
SHOPS, WAREHOUSES, CUSTOMERS, CONTACTS = 20, 100, 400, 4_000
OPEN_STAGES = (
    "awaiting_date",
    "awaiting_stock",
    "awaiting_waybill",
    "awaiting_pick",
    "awaiting_pack",
    "in_transit",
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--small", type=int, default=SMALL, help="orders of the small house (10,000)")
    parser.add_argument("--large", type=int, default=LARGE, help="orders of the large house (1,260,000)")
    parser.add_argument("--open", type=int, default=OPEN, help="how many of them are open (20,000)")
    parser.add_argument("--times", type=int, default=9, help="how often each page is asked for (9)")


def run(house: House, options: Namespace) -> list[Figure]:
    ground = Ground.make()
    ground.add(options.small, min(options.open, options.small))
    small = dict(measured(ground, options.times))
    began = time.monotonic()
    ground.add(options.large - options.small, max(options.open - options.small, 0))
    say(f"  seeded in {time.monotonic() - began:.0f} s")
    large = dict(measured(ground, options.times))
    found = [plain("orders in the large house", ground.n_orders)]
    for name, figure in large.items():
        found += beside(name, small[name], figure)
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """What one page cost: its server time in milliseconds (the median of the quicker half), and its queries."""

    ms: float
    queries: int


def beside(name: str, small: Asked, large: Asked) -> list[Figure]:
    is_even = large.ms <= max(small.ms * SHARE, small.ms + NOISE)
    return [
        Figure(
            f"{name}: server time",
            f"{large.ms:.0f} ms",
            f"<= {SERVER_TIME:.0f} ms",
            large.ms <= SERVER_TIME,
        ),
        Figure(
            f"{name}: beside 10,000 orders",
            f"{large.ms / small.ms:.2f} x {small.ms:.0f} ms",
            f"<= {SHARE:.1f} x",
            is_even,
        ),
        Figure(f"{name}: queries", str(large.queries), f"<= {QUERIES}", large.queries <= QUERIES),
    ]


def measured(ground: Ground, times: int) -> Iterator[tuple[str, Asked]]:
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["*"]
    for name, client, address in ground.pages():
        asked = _asked(client, address, times)
        say(f"    {name}: {asked.ms:.0f} ms, {asked.queries} queries")
        yield name, asked


def _asked(client: Any, address: str, times: int) -> Asked:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        answer = client.get(address)
        if answer.status_code not in {200, 302}:
            raise AssertionError(f"{address}: {answer.status_code}")
        if answer.streaming:
            list(answer.streaming_content)
    n_queries = len(caught)
    taken = []
    for _time in range(times):
        began = time.perf_counter()
        client.get(address)
        taken.append((time.perf_counter() - began) * 1000)
    return Asked(statistics.median(sorted(taken)[: times // 2 + 1]), n_queries)


@dataclass
class Ground:
    """The shops, warehouses, customers and people of a house, and its orders, copied from two by SQL."""

    manager: Any
    keeper: Any
    nobody: Any
    open: int
    closed: int
    shops: list[int]
    warehouses: list[int]
    n_orders: int = 0

    @classmethod
    def make(cls) -> Ground:
        from orderhub.bench.ground import make_shop, make_source
        from orderhub.bench.scale import Templates
        from orders.models import Contact, Customer, Shop, Warehouse

        templates = Templates(make_shop(), make_source("bench-shop", "shop"))
        Shop.objects.bulk_create(Shop(code=f"s{n}", name=f"Shop {n}") for n in range(SHOPS))
        Warehouse.objects.bulk_create(Warehouse(code=f"w{n}", name=f"House {n}") for n in range(WAREHOUSES))
        stars = (None, 1, 2, 3, 4, 5)
        Customer.objects.bulk_create(
            Customer(code=f"c{n}", name=f"Customer {n}", stars=stars[n % 6]) for n in range(CUSTOMERS)
        )
        Contact.objects.bulk_create(
            Contact(fingerprint=f"f{n}", masked_name="W**", phone_tail=f"{n:04}") for n in range(CONTACTS)
        )
        shops, warehouses = (
            list(model.objects.filter(code__startswith=letter).order_by("pk").values_list("pk", flat=True))
            for model, letter in ((Shop, "s"), (Warehouse, "w"))
        )
        return cls(
            manager=logged_in("ops_manager"),
            keeper=logged_in("warehouse", warehouses[7]),
            nobody=logged_in("warehouse"),
            open=templates.open,
            closed=templates.closed,
            shops=shops,
            warehouses=warehouses,
        )

    def add(self, n_orders: int, n_open: int) -> None:
        from orderhub.bench.ground import refresh_statistics
        from orderhub.bench.scale import quick_writes

        with quick_writes() as cursor:
            # The closed ones first: what is open was placed lately.
            for template, count, is_open in (
                (self.closed, n_orders - n_open, False),
                (self.open, n_open, True),
            ):
                if count:
                    self._copy(cursor, template, count, is_open=is_open)
        self.n_orders += n_orders
        refresh_statistics()

    def _copy(self, cursor: Any, template: int, count: int, *, is_open: bool) -> None:
        from django.db import transaction

        from orderhub.bench import scale
        from orders.models import ExternalReference, Order, OrderEvent, ReferenceLink

        links = ReferenceLink.objects.filter(order_id=template, reference__kind="order")
        link, reference = links.values_list("pk", "reference_id")[0]
        move = OrderEvent.objects.filter(order_id=template, kind="moved").values_list("pk", flat=True)[0]
        mine, named = (f"{scale._highest(model)} + n" for model in (Order, ExternalReference))
        name = f"'S' || CAST({mine} AS text)"
        columns = self._columns(mine, is_open=is_open)
        statements = [
            scale._copy(
                Order,
                [template],
                id=mine,
                number=f"'O' || {name}",
                external_id=name,
                waybill=f"'W' || {name}",
                **columns,
            ),
            scale._copy(ExternalReference, [reference], id=named, value=name),
            scale._copy(ReferenceLink, [link], order_id=mine, reference_id=named),
            scale._copy(OrderEvent, [move], order_id=mine),
        ]
        for first in range(1, count + 1, scale.AT_ONCE):
            with transaction.atomic():
                for statement in statements:
                    cursor.execute(statement, [first, min(first + scale.AT_ONCE - 1, count)])
            say(f"    {min(first + scale.AT_ONCE - 1, count):,} of {count:,} orders")
        for model in (Order, ExternalReference):
            scale._continue_ids(cursor, model)

    def _columns(self, mine: str, *, is_open: bool) -> dict[str, str]:
        """Values spread over the orders by prime steps, so that no filter follows the order of another."""
        from orders.models import Contact, Customer

        def spread(step: int, size: int) -> str:
            return f"(({mine}) * {step} %% {size})"

        first_customer = Customer.objects.order_by("pk").values_list("pk", flat=True)[0]
        first_contact = Contact.objects.filter(fingerprint__startswith="f").order_by("pk")[0].pk
        # A year of orders, and the open ones of the last days: what was placed today is a small part of all.
        age = spread(7901, 345_600 if is_open else 31_536_000)
        columns = {
            "created_at": _moment(f"-{age}"),
            "placed_at": _moment(f"-{age}"),
            "shop_id": f"{self.shops[0]} + {spread(7, SHOPS)}",
            "warehouse_id": f"{self.warehouses[0]} + {spread(11, WAREHOUSES)}",
            "customer_id": f"{first_customer} + {spread(13, CUSTOMERS)}",
            "contact_id": f"{first_contact} + {spread(17, CONTACTS)}",
            "last_fact_at": _moment(f"-{spread(7919, 900_000)}"),
            "stage_since": _moment(f"-{spread(7907, 900_000)}"),
        }
        if not is_open:
            return columns
        stages = " ".join(f"WHEN {n} THEN '{stage}'" for n, stage in enumerate(OPEN_STAGES))
        steps = " ".join(f"WHEN {n} THEN '{step}'" for n, step in enumerate(("date", "stock", "waybill")))
        return columns | {
            "stage": f"CASE {spread(19, len(OPEN_STAGES))} {stages} END",
            "next_step": f"CASE {spread(19, len(OPEN_STAGES))} {steps} ELSE '' END",
            "promised_at": f"CASE {spread(23, 4)} WHEN 0 THEN NULL ELSE {_moment(spread(6007, 900_000) + ' - 20000')} END",
            "step_due_at": f"CASE {spread(29, 3)} WHEN 0 THEN NULL ELSE {_moment(spread(6011, 300_000) + ' - 5000')} END",
            "stalls_at": _moment(spread(6029, 300_000)),
            "has_conflict": f"{spread(31, 400)} = 0",
            "is_short": f"{spread(37, 500)} = 0",
            "is_held": f"{spread(41, 300)} = 0",
            "stalled_at": f"CASE {spread(43, 200)} WHEN 0 THEN {_moment('-100')} ELSE NULL END",
        }

    def pages(self) -> Iterator[tuple[str, Any, str]]:
        """Name, client, address of everything measured."""
        from orders.board.filters import FILTERS
        from orders.board.ordering import SORTS
        from orders.models import Order

        people = (("manager", self.manager), ("keeper of 1 %", self.keeper), ("nobody's scope", self.nobody))
        for who, client in people:
            yield f"Today, {who}", client, "/admin/"
            yield f"first page, {who}", client, "/admin/board/"
            yield f"kanban, {who}", client, "/admin/board/?layout=kanban"
        for sort in SORTS:
            yield f"sort {sort}", self.manager, f"/admin/board/?sort={sort}"
            yield f"sort {sort}, keeper of 1 %", self.keeper, f"/admin/board/?sort={sort}"
        values = {
            "shop": str(self.shops[3]),
            "warehouse": str(self.warehouses[5]),
            "need": "late",
            "state": "closed",
        }
        for name, one in FILTERS.items():
            value = values.get(name) or next(iter(one.choices()))
            yield f"filter {name}", self.manager, f"/admin/board/?{name}={value}"
            yield f"filter {name}, keeper of 1 %", self.keeper, f"/admin/board/?{name}={value}"
        yield "an empty result", self.manager, "/admin/board/?held=1&short=1&conflict=1&stuck=1"
        yield "an empty result among the closed", self.manager, "/admin/board/?state=closed&conflict=1"
        order = Order.objects.filter(is_open=True).order_by("-pk")[3]
        terms = {
            "hub number": order.number,
            "shop number": order.external_id,
            "waybill": order.waybill,
            "phone": "0042",
        }
        for kind, term in {**terms, "nothing": "OH269999-ZZZZZ"}.items():
            yield f"search {kind}", self.manager, f"/admin/board/?q={term}"
            yield f"search {kind}, keeper of 1 %", self.keeper, f"/admin/board/?q={term}"
        yield "search a part of a number", self.manager, "/admin/board/?q=S1259&how=substring"


def _moment(seconds: str) -> str:
    """SQL: the moment so many seconds from now."""
    from django.db import connection

    base = int(datetime.now(UTC).timestamp())
    if connection.vendor == "postgresql":
        return f"to_timestamp({base} + {seconds})"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {base} + {seconds}, 'unixepoch')"


def logged_in(role: str, warehouse: int | None = None) -> Any:
    """A browser of one member of staff, logged in whole."""
    from django.contrib.auth.models import Group, User
    from django.test import Client
    from django_otp import DEVICE_ID_SESSION_KEY
    from django_otp.plugins.otp_totp.models import TOTPDevice

    from orders.models import StaffScope

    user = User.objects.create_user(f"{role}-{warehouse}", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    if warehouse is not None:
        StaffScope.objects.create(user=user).warehouses.add(warehouse)
    client = Client()
    client.force_login(user)
    device = TOTPDevice.objects.create(user=user, confirmed=True)
    session = client.session
    session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    session.save()
    return client
