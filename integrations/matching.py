"""Whose order is it: from outside names to the hub's orders, which are made when a shop tells of a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from integrations.canonical import FactItem, OrderRef, OrderReport, Problem, Untranslatable
from integrations.told import told as _
from orders.facts import ReferenceKey, lock_references, orders_of
from orders.masters import Customer, Shop, Warehouse
from orders.models import ExternalReference, Order, OrderFact, ReferenceLink
from orders.numbers import add_orders
from orders.stages import FACT_KINDS, Level

KIND = ExternalReference.Kind
# Facts whose level_id is a waybill.
PARCEL_KINDS = [kind for kind, row in FACT_KINDS.items() if row.level in {Level.PARCEL, Level.ANY}]


@dataclass(frozen=True, slots=True)
class Masters:
    """The rows that one batch of messages names by code."""

    shops: dict[str, Shop]
    warehouses: dict[str, int]

    @classmethod
    def of(cls, reports: Iterable[OrderReport], refs: Iterable[OrderRef]) -> Masters:
        reports = list(reports)
        shops = {report.shop for report in reports} | {ref.shop for ref in refs if ref.shop}
        warehouses = {str(report.fields["warehouse"]) for report in reports if report.fields.get("warehouse")}
        return cls(
            {shop.code: shop for shop in Shop.objects.filter(code__in=shops)},
            dict(Warehouse.objects.filter(code__in=warehouses).values_list("code", "pk"))
            if warehouses
            else {},
        )


def reference_of(ref: OrderRef) -> ReferenceKey:
    if ref.number:
        return ReferenceKey("", KIND.NUMBER, ref.number)
    if ref.waybill:
        return ReferenceKey("", KIND.WAYBILL, ref.waybill)
    return ReferenceKey(ref.shop, KIND.ORDER, ref.external_id)


def waybill_reference(item: FactItem) -> ReferenceKey | None:
    """The waybill that this report shows to belong to its order; None if it names none, or nothing else."""
    if item.parcel and not item.order.waybill:
        return ReferenceKey("", KIND.WAYBILL, item.parcel)
    return None


def check_order(report: OrderReport, masters: Masters) -> None:
    """Raises Untranslatable if the report names a shop or a warehouse that does not exist."""
    problems = []
    if report.shop not in masters.shops:
        problems.append(_no_shop("shop", report.shop))
    warehouse = str(report.fields.get("warehouse") or "")
    if warehouse and warehouse not in masters.warehouses:
        problems.append(
            Problem(
                "warehouse",
                _("there is no warehouse “%(code)s”; create it, or correct the code") % {"code": warehouse},
            )
        )
    if problems:
        raise Untranslatable(problems)


def check_ref(ref: OrderRef, masters: Masters, numbers: Mapping[str, str], shop: str = "") -> None:
    """Raises Untranslatable if the shop or the hub number does not exist. A waybill may be heard of before its order.

    numbers: as known_numbers says. shop: the only one whose orders the sender may name, "" for all.
    """
    if ref.shop and ref.shop not in masters.shops:
        raise Untranslatable([_no_shop("order.shop", ref.shop)])
    # What another shop has does not exist for this sender, so that nobody can find out numbers by asking.
    if ref.number and (ref.number not in numbers or (shop and numbers[ref.number] != shop)):
        raise Untranslatable(
            [Problem("order.number", _("there is no order %(number)s") % {"number": ref.number})]
        )


def _no_shop(field: str, code: str) -> Problem:
    return Problem(field, _("there is no shop “%(code)s”; create it, or correct the name") % {"code": code})


def elsewhere(said: OrderReport | FactItem, shop: str) -> list[Problem]:
    """What is wrong with a report over a connection that serves this shop only; "" for one that serves all."""
    name, named = ("shop", said.shop) if isinstance(said, OrderReport) else ("order.shop", said.order.shop)
    if not shop or not named or named == shop:
        return []
    return [Problem(name, _("this connection reports for the shop %(shop)s only") % {"shop": shop})]


def known_numbers(refs: Iterable[OrderRef]) -> dict[str, str]:
    """The hub numbers named that exist, each with the code of its order's shop."""
    wanted = {ref.number for ref in refs if ref.number}
    return dict(Order.objects.filter(number__in=wanted).values_list("number", "shop__code")) if wanted else {}


def tie_numbers(references: dict[ReferenceKey, int]) -> None:
    """Tie hub numbers that facts name for the first time to their orders."""
    numbers = {key.value: pk for key, pk in references.items() if key.kind == KIND.NUMBER}
    if numbers:
        orders = Order.objects.filter(number__in=numbers).values_list("number", "pk")
        _link([(numbers[number], pk) for number, pk in orders])


def make_orders(
    reports: Sequence[OrderReport],
    references: dict[ReferenceKey, int],
    masters: Masters,
    *,
    at: datetime,
    is_demo: bool,
) -> dict[int, list[int]]:
    """Make the orders that the reports tell of for the first time. Call with the references locked.

    Returns the order ids of every reference, also of those that were known before.
    """
    known = orders_of(references.values())
    new: dict[int, OrderReport] = {}
    for report in reports:
        reference_id = references[ReferenceKey(report.shop, KIND.ORDER, report.external_id)]
        if reference_id not in known:
            new.setdefault(reference_id, report)
    if new:
        _keep_customers(new.values(), is_demo=is_demo)
        orders = [
            Order(
                shop=masters.shops[report.shop],
                external_id=report.external_id,
                warehouse_id=masters.shops[report.shop].warehouse_id,
                created_at=at,
                stage_since=at,
                is_demo=is_demo or masters.shops[report.shop].is_demo,
            )
            for report in new.values()
        ]
        add_orders(orders, [report.placed_at for report in new.values()])
        made = {reference_id: order.pk for reference_id, order in zip(new, orders, strict=True)}
        _link(list(made.items()))
        known |= {reference_id: [order_id] for reference_id, order_id in made.items()}
        _tie_early_waybills(made, is_demo=is_demo)
    return known


def _tie_early_waybills(made: Mapping[int, int], *, is_demo: bool) -> None:
    """Waybills that were reported on shop orders before the orders themselves. made: order id by reference id."""
    named = (
        OrderFact.objects.filter(reference_id__in=made, kind__in=PARCEL_KINDS)
        .exclude(level_id="")
        .values_list("reference_id", "level_id")
    )
    pairs = {(ReferenceKey("", KIND.WAYBILL, waybill), made[reference_id]) for reference_id, waybill in named}
    if pairs:
        ids = lock_references([key for key, _order_id in pairs], is_demo=is_demo)
        _link(sorted((ids[key], order_id) for key, order_id in pairs))


def tie_waybills(
    items: Iterable[FactItem], references: dict[ReferenceKey, int], known: dict[int, list[int]]
) -> None:
    """A report on an order that names a waybill makes the carrier's reports on that waybill this order's too."""
    pairs = set()
    for item in items:
        waybill = waybill_reference(item)
        if waybill is not None:
            for order_id in known.get(references[reference_of(item.order)], []):
                if order_id not in known.get(references[waybill], []):
                    pairs.add((references[waybill], order_id))
    _link(sorted(pairs))
    for reference_id, order_id in pairs:
        known.setdefault(reference_id, []).append(order_id)


def _link(pairs: Sequence[tuple[int, int]]) -> None:
    if pairs:
        ReferenceLink.objects.bulk_create(
            [ReferenceLink(reference_id=reference_id, order_id=order_id) for reference_id, order_id in pairs],
            ignore_conflicts=True,
        )


def _keep_customers(reports: Iterable[OrderReport], *, is_demo: bool) -> None:
    """Make the customers that are named for the first time. What is known of one is never overwritten by an order."""
    wanted = {str(report.fields["customer"]): report for report in reports if report.fields.get("customer")}
    known = set(Customer.objects.filter(code__in=wanted).values_list("code", flat=True)) if wanted else set()
    missing = [
        Customer(
            code=code,
            name=str(report.fields.get("customer_name") or "")[:120],
            stars=_stars(report.fields.get("stars")),
            region=str(report.fields.get("region") or "")[:40],
            is_demo=is_demo,
        )
        # In one fixed order, so that two workers that meet the same new customers cannot wait for each other in a ring.
        for code, report in sorted(wanted.items(), key=lambda pair: pair[0])
        if code not in known
    ]
    if missing:
        Customer.objects.bulk_create(missing)


def _stars(value: object) -> int | None:
    text = str(value) if value is not None else ""
    return int(text) if text.isdigit() else None
