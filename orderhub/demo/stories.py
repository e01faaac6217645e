"""Lives of orders, from being placed to wherever they are now: pure, and the same for the same seed and moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from orderhub.demo import catalogue
from orderhub.demo.catalogue import Article, Buyer, ShopRow
from orders.stages import Role
from orders.worktime import Calendar, add_working

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAYS = 40
PERSON = "person"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One thing that one system or person said about the order.

    on_waybill: a carrier speaks of the waybill and does not know the shop's number.
    """

    source: str
    kind: str
    occurred_at: datetime
    received_at: datetime
    waybill: str = ""
    on_waybill: bool = False
    sku: str = ""
    quantity: Decimal | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""

    @property
    def role(self) -> str:
        return Role.PERSON.value if self.source == PERSON else catalogue.ROLE_OF[self.source]


@dataclass(slots=True)
class Story:
    """One order with everything that was ever said about it, up to now."""

    number: int
    trouble: str
    shop: ShopRow
    buyer: Buyer
    warehouse: str
    external_id: str
    placed_at: datetime
    lines: list[tuple[Article, int]]
    fields: dict[str, Any]
    told: list[Told] = field(default_factory=list)

    @property
    def line_data(self) -> list[dict[str, str]]:
        return [
            {"sku": one.sku, "qty": str(qty), "name": one.name, "unit": one.unit, "price": str(one.price)}
            for one, qty in self.lines
        ]


# How many of every two hundred orders have this kind of life. The rest goes well.
TROUBLES: dict[str, int] = {
    "no_date": 1, "no_stock": 1, "no_waybill": 1, "no_pick": 1, "lost_in_transit": 1, "cancel_meets_shipment": 1,
    "partial": 1, "short": 1, "held": 2, "unknown_status": 1, "paid_after_cancel": 1, "returning": 1, "returned": 1,
    "stuck_in_customs": 1, "unpaid": 4, "cancelling": 2, "cancelled": 5, "delivery_failed": 1, "in_review": 2,
    "no_lines": 1, "refunded": 2, "test_order": 1, "rush": 4, "slow_pick": 1, "no_pack": 1, "no_handover": 1,
    "no_scan": 1, "still_out": 1,
}  # fmt: skip
ROUND = 200
# What the order's last days must have left room for: (fewest, most) days since it was placed.
AGES: dict[str, tuple[float, float]] = {
    "no_date": (2, 5), "no_stock": (2.5, 5), "no_waybill": (3, 6), "no_pick": (5, 8), "lost_in_transit": (8, 12),
    "cancel_meets_shipment": (4, 7), "partial": (4, 6), "short": (1.5, 4), "held": (0.4, 1), "unknown_status": (3, 8),
    "paid_after_cancel": (2, 9), "returning": (9, 12), "returned": (14, 30), "stuck_in_customs": (12, 16),
    "unpaid": (0.1, 1.8), "cancelling": (0.5, 1.5), "cancelled": (3, 35), "delivery_failed": (5, 7),
    "in_review": (0.1, 0.6), "no_lines": (0.2, 2), "refunded": (15, 30), "test_order": (1, 20), "rush": (0.1, 3),
    "slow_pick": (3, 4), "no_pack": (3, 4), "no_handover": (3.5, 5), "no_scan": (5, 7), "still_out": (5.5, 7),
}  # fmt: skip
ABROAD_ONLY = {"stuck_in_customs", "in_review"}
HOME_ONLY = {
    "partial", "lost_in_transit", "cancel_meets_shipment", "delivery_failed", "still_out", "returning", "returned",
    "slow_pick", "no_pack", "no_handover", "no_scan",
}  # fmt: skip
# Traders work every day in turns. Without that, a demo started in the Spring Festival would show nothing but waiting.
WORKING = Calendar(name="demo", week=(((8 * 60 + 30, 18 * 60),),) * 7)


def stories(n_orders: int, *, seed: int, at: datetime) -> Iterator[Story]:
    """The lives of so many orders, seen from that moment."""
    goods, everybody = catalogue.articles(), catalogue.buyers()
    plan = _plan(seed)
    for number in range(n_orders):
        # A generator of its own for each order: another N changes nothing about the ones before.
        teller = Teller(random.Random(f"{seed}/{number}"), at)  # noqa: S311
        yield teller.tell(number, plan[number % ROUND], goods, everybody)


def _plan(seed: int) -> list[str]:
    plan = [trouble for trouble, count in TROUBLES.items() for _time in range(count)]
    plan += [""] * (ROUND - len(plan))
    random.Random(seed).shuffle(plan)  # noqa: S311
    return plan


class Teller:
    """Tells one order's life. `clock` is where the story stands; `say` reports at that moment."""

    def __init__(self, chance: random.Random, at: datetime) -> None:
        self.chance, self.at = chance, at
        self.clock = at
        self.story: Story

    def tell(self, number: int, trouble: str, goods: Sequence[Article], everybody: Sequence[Buyer]) -> Story:
        shop = self._shop(trouble)
        buyer = self._buyer(shop, everybody)
        placed_at = self._placed_at(trouble, shop)
        lines = self._lines(trouble, goods)
        near = catalogue.warehouse_near(buyer.region)
        self.story = Story(
            number=number,
            trouble=trouble,
            shop=shop,
            buyer=buyer,
            warehouse=near if self.chance.random() < 0.85 else shop.warehouse,
            external_id=_external_id(shop, number, placed_at),
            placed_at=placed_at,
            lines=lines,
            fields={},
        )
        self.story.fields = self._fields(trouble)
        self.clock = placed_at
        self._place()
        LIVES.get(trouble, Teller.goes_well)(self)
        self.story.told = [one for one in self.story.told if one.received_at <= self.at]
        return self.story

    # --- what the order is

    def _shop(self, trouble: str) -> ShopRow:
        shops = [
            shop
            for shop in catalogue.SHOPS
            if not (trouble in ABROAD_ONLY and not shop.is_abroad)
            and not (trouble in HOME_ONLY and shop.is_abroad)
        ]
        return self.chance.choices(shops, weights=[shop.share for shop in shops])[0]

    def _buyer(self, shop: ShopRow, everybody: Sequence[Buyer]) -> Buyer:
        fitting = (
            everybody[catalogue.FIRST_ABROAD :] if shop.is_abroad else everybody[: catalogue.FIRST_ABROAD]
        )
        return self.chance.choices(fitting, weights=[buyer.weight for buyer in fitting])[0]

    def _placed_at(self, trouble: str, shop: ShopRow) -> datetime:
        fewest, most = AGES.get(trouble, (0.01, DAYS))
        at = self.at - timedelta(days=self.chance.uniform(fewest, most))
        local = at.astimezone(SHANGHAI)
        if shop.platform == "site":
            # Companies order while they work.
            opening = add_working(at - timedelta(hours=10), timedelta(), WORKING)
            at = opening + timedelta(minutes=self.chance.randint(1, 180)) if opening < at else at
        elif local.hour < 7 and not shop.is_abroad:
            at -= timedelta(hours=9)
        return min(at, self.at - timedelta(minutes=3)).replace(microsecond=0)

    def _lines(self, trouble: str, goods: Sequence[Article]) -> list[tuple[Article, int]]:
        if trouble == "partial":
            return [(self.chance.choice(goods), 10)]
        count = self.chance.choices([1, 2, 3, 4, 6], weights=[45, 28, 15, 8, 4])[0]
        return [
            (one, self.chance.choice([1, 1, 2, 2, 4, 5, 10, 20])) for one in self.chance.sample(goods, count)
        ]

    def _fields(self, trouble: str) -> dict[str, Any]:
        story = self.story
        rate = Decimal("0.16") if story.shop.is_abroad else Decimal(1)
        total = sum((one.price * qty for one, qty in story.lines), Decimal(0)) * rate
        fields: dict[str, Any] = {
            "currency": story.shop.currency,
            "total": str(total.quantize(Decimal("0.01"))),
            "customer": story.buyer.code,
            "customer_name": story.buyer.name,
            "warehouse": story.warehouse,
            "region": story.buyer.region,
            "country": story.buyer.country,
            "invoice": "required" if self._wants_invoice() else "exempt",
            "payment_terms": "credit" if self._has_credit(trouble) else "prepaid",
        }
        if trouble == "rush":
            fields |= {"rush": True, "remark": "客户车在举升机上,请加急"}
        if trouble == "test_order":
            fields |= {"test": True, "remark": "测试单,请勿发货"}
        return fields

    def _wants_invoice(self) -> bool:
        return self.story.shop.platform == "site" or (
            not self.story.shop.is_abroad and self.chance.random() < 0.35
        )

    def _has_credit(self, trouble: str) -> bool:
        needs_payment = trouble in {"unpaid", "paid_after_cancel", "refunded"}
        return self.story.shop.platform == "site" and not needs_payment and self.chance.random() < 0.6

    # --- saying things

    def say(self, source: str, kind: str, **more: Any) -> None:
        delay = timedelta(seconds=self.chance.randint(1, 40))
        self.story.told.append(
            Told(source=source, kind=kind, occurred_at=self.clock, received_at=self.clock + delay, **more)
        )

    def wait(self, fewest: float, most: float) -> None:
        """Hours that pass whether or not anybody works."""
        self.clock += timedelta(seconds=round(3600 * self.chance.uniform(fewest, most)))

    def work(self, fewest: float, most: float) -> None:
        """Hours of work."""
        amount = timedelta(seconds=round(3600 * self.chance.uniform(fewest, most)))
        self.clock = add_working(self.clock, amount, WORKING)

    def until_morning(self) -> None:
        """Couriers set out in the morning."""
        local = self.clock.astimezone(SHANGHAI)
        day = local.date() + timedelta(days=1 if local.hour >= 8 else 0)
        start = datetime.combine(day, time(8, self.chance.randint(0, 59)), SHANGHAI)
        self.clock = start.astimezone(self.clock.tzinfo)

    @property
    def shop(self) -> str:
        return self.story.shop.code

    @property
    def carrier(self) -> str:
        return catalogue.CARRIER_ABROAD if self.story.shop.is_abroad else catalogue.CARRIER

    def waybill(self, parcel: int = 1) -> str:
        prefix = "LX" if self.story.shop.is_abroad else "SD"
        return f"{prefix}9{self.story.placed_at:%m%d}{self.story.number:05d}{parcel}"

    # --- the chapters, in order

    def _place(self) -> None:
        data: dict[str, Any] = {"fields": self.story.fields}
        if self.story.trouble != "no_lines":
            data["lines"] = self.story.line_data
        self.say(self.shop, "order.placed", data=data)

    def pays(self) -> None:
        if self.story.fields["payment_terms"] == "credit":
            return
        self.wait(0.02, 1.2 if self.story.shop.is_abroad else 0.5)
        self.say(self.shop, "payment.received", data={"amount": self.story.fields["total"]})
        if self.story.shop.is_abroad:
            self.say(self.shop, "review.started")
            self.wait(2, 14)
            self.say(self.shop, "review.ended")

    def gets_date(self) -> None:
        self.work(0.2, 2.5)
        days = self.chance.randint(12, 20) if self.story.shop.is_abroad else self.chance.randint(3, 5)
        day = (self.clock.astimezone(SHANGHAI) + timedelta(days=days)).date()
        self.say(PERSON, "date.confirmed", data={"date": day.isoformat()}, actor="sales")

    def gets_stock(self) -> None:
        self.work(0.2, 2)
        if self.chance.random() < 0.3:
            for one, qty in self.story.lines:
                self.say(catalogue.ERP, "stock.locked", sku=one.sku, quantity=Decimal(qty))
        else:
            self.say(catalogue.ERP, "stock.locked")

    def gets_waybill(self, parcel: int = 1) -> None:
        self.work(0.2, 3)
        name = catalogue.SYSTEMS[self.carrier][0]
        self.say(self.carrier, "waybill.made", waybill=self.waybill(parcel), data={"carrier": name})

    def is_packed(self) -> None:
        self.work(0.5, 4)
        self.say(catalogue.WMS, "pick.started")
        self.work(0.2, 1.5)
        self.say(catalogue.WMS, "pick.done")
        self.work(0.1, 1)
        self.say(catalogue.WMS, "pack.done")

    def leaves(self) -> None:
        self.work(0.5, 4)
        self.say(catalogue.WMS, "parcel.handed_over", waybill=self.waybill())
        self.wait(0.5, 4)
        self.scan("picked_up")

    def scan(self, state: str, parcel: int = 1) -> None:
        self.say(self.carrier, f"parcel.{state}", waybill=self.waybill(parcel), on_waybill=True)

    def travels(self) -> None:
        for _scan in range(self.chance.randint(1, 3)):
            self.wait(5, 16)
            self.scan("in_transit")
        if self.story.shop.is_abroad:
            self.wait(40, 110)
            self.scan("at_customs")
            self.wait(8, 60)
            self.scan("in_transit")
            self.wait(20, 60)

    def arrives(self) -> None:
        self.until_morning()
        self.scan("out_for_delivery")
        self.wait(1, 8)
        self.scan("delivered")

    def is_closed(self) -> None:
        """Invoice, and the platform's own end of the trade."""
        delivered_at = self.clock
        if self.story.fields["invoice"] == "required":
            self.work(1, 12)
            self.say(
                PERSON, "invoice.issued", data={"number": f"DEMO{self.story.number:08d}"}, actor="finance"
            )
        if self.story.fields["payment_terms"] == "credit":
            self.clock = delivered_at
            self.work(60, 120)
            self.say(catalogue.FINANCE, "payment.received", data={"amount": self.story.fields["total"]})
        elif self.story.shop.platform != "site":
            self.clock = delivered_at
            self.wait(30, 120)
            self.say(self.shop, "trade.finished")

    def is_prepared(self) -> None:
        """Everything up to the waybill."""
        self.pays()
        self.gets_date()
        self.gets_stock()
        self.gets_waybill()

    # --- lives

    def goes_well(self) -> None:
        self.is_prepared()
        self.is_packed()
        self.leaves()
        self.travels()
        self.arrives()
        self.is_closed()

    def unpaid(self) -> None:
        self.story.fields["payment_terms"] = "prepaid"

    def in_review(self) -> None:
        self.wait(0.02, 0.5)
        self.say(self.shop, "payment.received", data={"amount": self.story.fields["total"]})
        self.say(self.shop, "review.started", data={"until": (self.at + timedelta(hours=20)).isoformat()})

    def no_stock(self) -> None:
        self.pays()
        self.gets_date()

    def no_waybill(self) -> None:
        self.pays()
        self.gets_date()
        self.gets_stock()

    def slow_pick(self) -> None:
        self.is_prepared()
        self.work(0.5, 4)
        self.say(catalogue.WMS, "pick.started")

    def no_pack(self) -> None:
        self.slow_pick()
        self.work(0.2, 1.5)
        self.say(catalogue.WMS, "pick.done")

    def no_handover(self) -> None:
        self.is_prepared()
        self.is_packed()

    def no_scan(self) -> None:
        self.no_handover()
        self.work(0.5, 4)
        self.say(catalogue.WMS, "parcel.handed_over", waybill=self.waybill())

    def still_out(self) -> None:
        self.no_handover()
        self.leaves()
        self.wait(20, 40)
        self.scan("in_transit")
        self.until_morning()
        self.scan("out_for_delivery")

    def lost_in_transit(self) -> None:
        self.is_prepared()
        self.is_packed()
        self.leaves()
        self.wait(5, 16)
        self.scan("in_transit")

    def cancel_meets_shipment(self) -> None:
        """The shop says cancelled, the warehouse says gone: both are kept, and they disagree."""
        self.is_prepared()
        self.is_packed()
        cancelled_at = self.clock + timedelta(minutes=20)
        self.leaves()
        gone_at, self.clock = self.clock, cancelled_at
        self.say(self.shop, "cancel.accepted")
        self.clock = gone_at

    def partial(self) -> None:
        """Six of ten are on the road, four still wait."""
        self.is_prepared()
        sku = self.story.lines[0][0].sku
        self.work(0.5, 4)
        for kind in ("pick.done", "pack.done"):
            self.say(catalogue.WMS, kind, sku=sku, quantity=Decimal(6))
            self.work(0.2, 1)
        contents = {"lines": [{"sku": sku, "qty": "6"}]}
        self.say(catalogue.WMS, "parcel.handed_over", waybill=self.waybill(), data=contents)
        self.wait(2, 8)
        self.scan("in_transit")

    def short(self) -> None:
        self.pays()
        self.gets_date()
        self.work(0.2, 1)
        sku, qty = self.story.lines[0][0].sku, self.story.lines[0][1]
        self.say(catalogue.ERP, "stock.short", sku=sku, quantity=Decimal(max(qty // 2, 1)))

    def held(self) -> None:
        self.pays()
        self.wait(0.1, 0.5)
        until = self.at + timedelta(hours=self.chance.randint(4, 60))
        hold = {
            "name": "address",
            "owner": "service",
            "reason": "地址不完整,等客户确认",
            "until": until.isoformat(),
        }
        self.say(PERSON, "hold.set", data=hold, actor="service")

    def unknown_status(self) -> None:
        self.is_prepared()
        self.wait(1, 20)
        self.say(
            self.shop,
            "status.unknown",
            data={"field": "status", "value": self.chance.choice(["6", "PART_REVIEW"])},
        )

    def paid_after_cancel(self) -> None:
        self.wait(20, 30)
        self.say(self.shop, "cancel.accepted")
        self.wait(0.5, 6)
        self.say(self.shop, "payment.received", data={"amount": self.story.fields["total"]})

    def cancelling(self) -> None:
        self.pays()
        self.wait(0.2, 2)
        self.say(self.shop, "cancel.requested", data={"reason": "买家不想要了"})

    def cancelled(self) -> None:
        self.pays()
        self.wait(1, 5)
        self.say(self.shop, "cancel.requested", data={"reason": "拍错型号"})
        self.wait(0.2, 4)
        self.say(self.shop, "cancel.accepted")
        if self.story.fields["payment_terms"] != "credit":
            self.wait(0.5, 20)
            self.say(self.shop, "payment.refunded", data={"amount": self.story.fields["total"]})

    def returning(self) -> None:
        self.goes_back()

    def returned(self) -> None:
        self.goes_back()
        self.wait(30, 80)
        self.say(catalogue.WMS, "parcel.returned", waybill=self.waybill())

    def goes_back(self) -> None:
        self.is_prepared()
        self.is_packed()
        self.leaves()
        self.wait(20, 40)
        self.scan("in_transit")
        self.until_morning()
        self.scan("delivery_failed")
        self.say(self.shop, "return.requested", data={"reason": "客户拒收"})
        self.wait(3, 8)
        self.scan("returning")

    def delivery_failed(self) -> None:
        self.is_prepared()
        self.is_packed()
        self.leaves()
        self.wait(20, 40)
        self.scan("in_transit")
        self.until_morning()
        self.scan("delivery_failed")

    def stuck_in_customs(self) -> None:
        self.is_prepared()
        self.is_packed()
        self.leaves()
        self.wait(40, 90)
        self.scan("at_customs")

    def refunded(self) -> None:
        self.goes_well()
        self.wait(1, 30)
        amount = (Decimal(self.story.fields["total"]) / 4).quantize(Decimal("0.01"))
        self.say(self.shop, "payment.refunded", data={"amount": str(amount), "reason": "少件补偿"})

    def nothing_more(self) -> None:
        """Nobody has said anything since."""


LIVES: dict[str, Callable[[Teller], None]] = {
    "no_date": Teller.pays,
    "no_stock": Teller.no_stock,
    "no_waybill": Teller.no_waybill,
    "no_pick": Teller.is_prepared,
    "lost_in_transit": Teller.lost_in_transit,
    "cancel_meets_shipment": Teller.cancel_meets_shipment,
    "partial": Teller.partial,
    "short": Teller.short,
    "held": Teller.held,
    "unknown_status": Teller.unknown_status,
    "paid_after_cancel": Teller.paid_after_cancel,
    "returning": Teller.returning,
    "returned": Teller.returned,
    "stuck_in_customs": Teller.stuck_in_customs,
    "unpaid": Teller.unpaid,
    "cancelling": Teller.cancelling,
    "cancelled": Teller.cancelled,
    "delivery_failed": Teller.delivery_failed,
    "in_review": Teller.in_review,
    "no_lines": Teller.nothing_more,
    "refunded": Teller.refunded,
    "still_out": Teller.still_out,
    "no_scan": Teller.no_scan,
    "no_handover": Teller.no_handover,
    "no_pack": Teller.no_pack,
    "slow_pick": Teller.slow_pick,
}


def _external_id(shop: ShopRow, number: int, placed_at: datetime) -> str:
    """An order number as such a platform would give it: long digits, leading zeros, hyphens."""
    day = placed_at.astimezone(SHANGHAI)
    match shop.platform:
        case "taobao":
            return f"29{day:%y%m%d}{number:07d}{7001 + number % 97:04d}"
        case "pinduoduo":
            return f"{day:%y%m%d}-{number:06d}{500000000 + number * 7:09d}"
        case "aliexpress":
            return f"81{day:%m%d}{number:06d}{1234 + number % 53:04d}"
        case _:
            return f"00{day:%y%m%d}{number:05d}"
