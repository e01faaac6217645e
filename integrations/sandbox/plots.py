"""What happens to orders in the sandbox: the whole life of a new one, and the next thing for one that is there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zlib import crc32

from integrations.sandbox.acquaintance import Acquaintance, Partner

# What the sandbox's own order numbers begin with.
PREFIX = "SB"
# The share of the demo orders that the partners carry on with; the others stay to be looked at.
ONE_IN = 3


@dataclass(frozen=True, slots=True)
class Beat:
    """One message of a life: so many seconds after the order was placed, at speed 1."""

    after: float
    slug: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One open order as the hub's API tells of it."""

    shop: str
    external_id: str
    stage: str
    waybill: str


class Plot:
    """Makes up lives. The same generator, the same lives."""

    def __init__(self, known: Acquaintance, chance: random.Random) -> None:
        self.known, self.chance = known, chance

    def new_order(self, external_id: str, at: datetime, *, contradict: float) -> list[Beat]:
        """The whole life of one new order; the first beat places it."""
        chance, shop = self.chance, self.chance.choice(self.known.of_role("shop"))
        life = _Life(self, shop, external_id)
        order = self._order(shop, external_id, at)
        life.add(0, shop, "order.created", order)
        if chance.random() < 0.06:
            life.say(40, 80, shop, "cancel.requested", data={"reason": "买家不想要了"})
            life.say(5, 20, shop, "cancel.accepted")
            return life.beats
        life.say(5, 20, shop, "payment.received", data={"amount": order["total"]})
        if chance.random() < 0.1:
            life.add(chance.uniform(2, 8), shop, "order.updated", {**order, "remark": "请附上安装说明"})
        life.goes_out(is_contradicted=chance.random() < contradict)
        return life.beats

    def _order(self, shop: Partner, external_id: str, at: datetime) -> dict[str, Any]:
        is_abroad = shop.shop in self.known.abroad
        customers = [one for one in self.known.customers if (one["country"] != "CN") == is_abroad]
        customer = self.chance.choice(customers)
        articles = self.chance.sample(list(self.known.articles), self.chance.choice([1, 1, 2, 3]))
        lines = [{**article, "qty": str(self.chance.choice([1, 2, 2, 4, 10]))} for article in articles]
        total = sum((Decimal(line["price"]) * int(line["qty"]) for line in lines), Decimal(0))
        return {
            "external_id": external_id,
            "placed_at": at.isoformat(),
            "currency": "USD" if is_abroad else "CNY",
            "total": str(total.quantize(Decimal("0.01"))),
            "customer": customer["code"],
            "customer_name": customer["name"],
            "region": customer["region"],
            "country": customer["country"],
            "payment_terms": "prepaid",
            "invoice": "exempt" if is_abroad else "required",
            "contact": customer["contact"],
            "lines": lines,
        }

    def next_beat(self, order: Seen, today: date) -> tuple[Beat, str] | None:
        """What would move this order on, and the stage it then has; None if nothing the partners can say would."""
        told = NEXT.get(order.stage)
        shop = self.known.shop(order.shop)
        if told is None or shop is None:
            return None
        role, kind, stage = told
        if order.stage == "in_transit" and order.shop in self.known.abroad:
            kind, stage = "parcel.at_customs", "customs"
        partner = {"shop": shop, "carrier": self.known.carrier(order.shop)}.get(role) or next(
            iter(self.known.of_role(role)), None
        )
        if partner is None:
            return None
        return Beat(0, partner.slug, kind, _said(kind, order, today)), stage

    def may_carry_on(self, item: Mapping[str, Any]) -> bool:
        """Whether the partners go on with an order of the API's list: neither in trouble nor kept to be looked at."""
        flags = item["flags"]
        troubled = (
            flags["conflict"] or flags["held"] or flags["partial"] or flags["test"] or flags["stalled_since"]
        )
        if troubled or not flags["demo"] or item["axes"]["intent"] != "go":
            return False
        external_id = str(item["external_id"])
        return external_id.startswith(PREFIX) or crc32(external_id.encode()) % ONE_IN == 0


# Stage -> who says what, and the stage that follows.
NEXT: dict[str, tuple[str, str, str]] = {
    "awaiting_payment": ("shop", "payment.received", "awaiting_date"),
    "platform_review": ("shop", "review.ended", "awaiting_date"),
    "awaiting_date": ("shop", "date.confirmed", "awaiting_stock"),
    "awaiting_stock": ("erp", "stock.locked", "awaiting_waybill"),
    "awaiting_waybill": ("carrier", "waybill.made", "awaiting_pick"),
    "awaiting_pick": ("wms", "pick.started", "picking"),
    "picking": ("wms", "pick.done", "awaiting_pack"),
    "awaiting_pack": ("wms", "pack.done", "awaiting_handover"),
    "awaiting_handover": ("wms", "parcel.handed_over", "shipped"),
    "shipped": ("carrier", "parcel.in_transit", "in_transit"),
    "in_transit": ("carrier", "parcel.out_for_delivery", "out_for_delivery"),
    "customs": ("carrier", "parcel.out_for_delivery", "out_for_delivery"),
    "out_for_delivery": ("carrier", "parcel.delivered", "delivered"),
}


def waybill_of(order: Seen) -> str:
    """The waybill an order has, or the one that the sandbox's carrier gives it: always the same."""
    return order.waybill or f"SB{crc32(f'{order.shop}/{order.external_id}'.encode()):010d}"


def _said(kind: str, order: Seen, today: date) -> dict[str, Any]:
    by_shop = {"shop": order.shop, "external_id": order.external_id}
    if kind == "waybill.made":
        return {"order": by_shop, "parcel": waybill_of(order)}
    if kind == "parcel.handed_over":
        return {"order": by_shop, "parcel": waybill_of(order)}
    if kind.startswith("parcel."):
        # A carrier knows its own number and no other.
        return {"order": {"waybill": waybill_of(order)}}
    if kind == "date.confirmed":
        return {"order": by_shop, "data": {"date": (today + timedelta(days=4)).isoformat()}}
    return {"order": by_shop}


class _Life:
    """Beats in the making; `now` is how far the order's life has got."""

    def __init__(self, plot: Plot, shop: Partner, external_id: str) -> None:
        self.plot, self.shop, self.now = plot, shop, 0.0
        self.order = Seen(shop.shop, external_id, "", "")
        self.beats: list[Beat] = []

    def add(self, pause: float, partner: Partner, kind: str, data: Mapping[str, Any]) -> None:
        self.now += pause
        self.beats.append(Beat(self.now, partner.slug, kind, data))

    def say(self, fewest: float, most: float, partner: Partner, kind: str, **more: Any) -> None:
        data = {"order": {"shop": self.shop.shop, "external_id": self.order.external_id}, **more}
        self.add(self.plot.chance.uniform(fewest, most), partner, kind, data)

    def goes_out(self, *, is_contradicted: bool) -> None:
        stage, today = "awaiting_date", date.today()  # noqa: DTZ011 - the date that a person would write down
        while stage != "delivered":
            told = self.plot.next_beat(Seen(self.shop.shop, self.order.external_id, stage, ""), today)
            if told is None:
                return
            beat, stage = told
            self.now += self.plot.chance.uniform(8, 25)
            if beat.kind == "parcel.handed_over" and is_contradicted:
                # The shop gives the money back while the warehouse is loading the van.
                self.beats.append(Beat(self.now - 2, self.shop.slug, "cancel.accepted", self._own()))
            self.beats.append(Beat(self.now, beat.slug, beat.kind, beat.data))
        finance = next(iter(self.plot.known.of_role("finance")), None)
        if finance is not None and self.shop.shop not in self.plot.known.abroad:
            self.say(10, 30, finance, "invoice.issued")

    def _own(self) -> dict[str, Any]:
        return {"order": {"shop": self.shop.shop, "external_id": self.order.external_id}}
