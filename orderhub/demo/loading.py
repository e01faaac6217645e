"""Putting the demo seller into the database: masters first, then every report in the order it came, through the one door."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q

from integrations import matching
from integrations.canonical import FactItem, OrderRef, OrderReport
from integrations.models import Connection
from orderhub.demo import catalogue
from orderhub.demo.catalogue import Buyer
from orderhub.demo.stories import PERSON, Story, Told, stories
from orders import audit, stock
from orders.contacts import Contact
from orders.facts import FactReport, ReferenceKey, lock_references, report
from orders.masters import Customer, Shop, SourceHeard, Warehouse
from orders.models import Order, OrderEvent, OrderFact, OrderStep
from orders.stages import Role, StepState
from orders.transitions import Cause, settle_many
from orders.worktime import WorkCalendar
from promises.commitments import demo as commitments
from promises.estimates import demo as estimates
from promises.tracking import demo as tracking

KIND = matching.KIND
Progress = Callable[[int, int], None]
# The journal is as fine as these steps: (how long ago, step). Each costs one pass over the orders that moved in it.
STEPS = [
    (timedelta(days=14), timedelta(hours=48)),
    (timedelta(days=4), timedelta(hours=24)),
    (timedelta(days=1), timedelta(hours=6)),
    (timedelta(), timedelta(minutes=30)),
]


class AlreadyLoaded(Exception):
    """There are demo orders. Nothing was changed."""

    def __init__(self, n_orders: int) -> None:
        super().__init__(f"{n_orders} demo orders are there already")
        self.n_orders = n_orders


@dataclass(frozen=True, slots=True)
class Loaded:
    n_orders: int
    n_facts: int
    n_events: int
    stages: dict[str, int]


def loaded_orders() -> int:
    """How many orders the generator has left here; those of the sandbox partners do not count."""
    return Order.objects.filter(is_demo=True).exclude(external_id__startswith="SB").count()


def load(n_orders: int, *, seed: int, at: datetime, progress: Progress = lambda done, total: None) -> Loaded:
    """Load so many orders as they stand at that moment, all or nothing. Raises AlreadyLoaded."""
    with audit.acting(way="demo"), _no_collecting(), transaction.atomic():
        if found := loaded_orders():
            raise AlreadyLoaded(found)
        told = list(stories(n_orders, seed=seed, at=at))
        make_masters(told, at)
        writer = _Writer.of(told)
        windows = list(_windows(told, at))
        done = 0
        for until, part in windows:
            writer.write(part, until)
            done += len(part)
            progress(done, sum(len(one) for _until, one in windows))
        _note_heard(told)
        estimates.fill(at)
        commitments.fill(at)
        tracking.fill(at)
        _set_history_aside(at)
        return _result()


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A load makes some million objects, nearly all freed at once; looking through them for rings costs a sixth of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def make_masters(told: Sequence[Story], at: datetime) -> None:
    """Shops, warehouses and connections, and the customers and stock of these orders; what is there already stays."""
    calendar, _made = WorkCalendar.objects.get_or_create(
        name=catalogue.WAREHOUSE_CALENDAR, defaults={"week": catalogue.WAREHOUSE_WEEK, "is_demo": True}
    )
    warehouses = {
        code: Warehouse.objects.get_or_create(
            code=code, defaults={"name": name, "region": region, "calendar": calendar, "is_demo": True}
        )[0]
        for code, (name, region) in catalogue.WAREHOUSES.items()
    }
    for row in catalogue.SHOPS:
        shop, _made = Shop.objects.get_or_create(
            code=row.code,
            defaults={
                "name": row.name,
                "platform": row.platform,
                "currency": row.currency,
                "warehouse": warehouses[row.warehouse],
                "is_demo": True,
            },
        )
        _connect(row.code, row.name, Role.SHOP, shop)
    for slug, (name, role) in catalogue.SYSTEMS.items():
        _connect(slug, name, role, None)
    _make_customers({story.buyer.code: story.buyer for story in told})
    _count_stock(warehouses.values(), {article.sku for story in told for article, _qty in story.lines}, at)


def _connect(slug: str, label: str, role: str, shop: Shop | None) -> None:
    Connection.objects.get_or_create(
        slug=slug,
        defaults={
            "label": label,
            "connector": "standard_webhooks",
            "role": role,
            "shop": shop,
            "is_demo": True,
        },
    )


def _make_customers(buyers: Mapping[str, Buyer]) -> None:
    known = set(Customer.objects.filter(is_demo=True).values_list("code", flat=True))
    sales = User.objects.filter(username="sales").first()
    Customer.objects.bulk_create(
        Customer(
            code=buyer.code,
            name=buyer.name,
            stars=buyer.stars,
            region=buyer.region,
            owner=sales if buyer.owner == 0 else None,
            is_demo=True,
        )
        for buyer in buyers.values()
        if buyer.code not in known
    )


def _count_stock(warehouses: Iterable[Warehouse], skus: set[str], at: datetime) -> None:
    for warehouse in warehouses:
        for position, sku in enumerate(sorted(skus)):
            # Now and then a shelf is empty.
            on_hand = 0 if (position + len(warehouse.code)) % 17 == 0 else 40 + (position * 37) % 400
            stock.count(
                warehouse,
                sku,
                on_hand,
                at=at,
                key=f"demo:{warehouse.code}:{sku}",
                is_demo=True,
            )


Part = list[tuple[Story, int, Told]]


def _windows(told: Sequence[Story], at: datetime) -> Iterator[tuple[datetime, Part]]:
    """Everything that was said, as it came in, cut into steps of time. The last step ends at `at`."""
    everything = sorted(
        ((story, position, one) for story in told for position, one in enumerate(story.told)),
        key=lambda said: (said[2].received_at, said[0].number, said[1]),
    )
    part: Part = []
    until: datetime | None = None
    for said in everything:
        received_at = said[2].received_at
        if until is not None and received_at > until:
            yield until, part
            part = []
        if not part:
            until = min(received_at + _step(at - received_at), at)
        part.append(said)
    if until is not None:
        yield until, part


def _step(age: timedelta) -> timedelta:
    return next(step for older_than, step in STEPS if age >= older_than)


@dataclass(slots=True)
class _Writer:
    """Writes what was said in one step of time, as integrations.ingest does with a batch of messages."""

    masters: matching.Masters
    contacts: dict[str, int]
    actors: dict[str, int]

    @classmethod
    def of(cls, told: Sequence[Story]) -> _Writer:
        everybody = list({story.buyer.code: story.buyer for story in told}.values())
        kept = Contact.objects.keep_many([buyer.person for buyer in everybody], is_demo=True)
        return cls(
            masters=matching.Masters(
                shops={shop.code: shop for shop in Shop.objects.filter(is_demo=True)},
                warehouses=dict(Warehouse.objects.filter(is_demo=True).values_list("code", "pk")),
            ),
            contacts={
                buyer.code: contact.pk for buyer, contact in zip(everybody, kept, strict=True) if contact
            },
            actors=dict(User.objects.values_list("username", "pk")),
        )

    def write(self, part: Part, until: datetime) -> None:
        reports = [self._report(*said) for said in part]
        ties = [_tie(story, one) for story, _position, one in part if one.waybill]
        keys = {one.reference for one in reports} | {matching.waybill_reference(tie) for tie in ties}
        keys |= {matching.reference_of(tie.order) for tie in ties}
        references = lock_references([key for key in keys if key is not None], is_demo=True)
        placed = [_placed(story) for story, _position, one in part if one.kind == "order.placed"]
        known = matching.make_orders(placed, references, self.masters, at=until, is_demo=True)
        matching.tie_waybills(ties, references, known)
        causes: dict[int, Cause] = {}
        for fact in report(reports, references=references).new:
            for order_id in known[fact.reference_id]:
                causes[order_id] = Cause(
                    source=fact.source, key=fact.key, actor_id=fact.actor_id, occurred_at=fact.occurred_at
                )
        due = Order.objects.filter(is_demo=True, due_again_at__lte=until).values_list("pk", flat=True)
        # Silent: nobody is to be told today of what happened last month.
        settle_many({*causes, *due}, at=until, causes=causes, silent=True)

    def _report(self, story: Story, position: int, one: Told) -> FactReport:
        data = dict(one.data)
        if one.kind == "order.placed":
            data["contact"] = self.contacts[story.buyer.code]
        return FactReport(
            reference=ReferenceKey("", KIND.WAYBILL, one.waybill) if one.on_waybill else _own(story),
            source=one.source,
            role=one.role,
            key=f"demo-{story.number}-{position}",
            kind=one.kind,
            level_id=one.waybill or one.sku,
            quantity=one.quantity,
            occurred_at=one.occurred_at,
            received_at=one.received_at,
            data=data,
            actor_id=self.actors.get(one.actor) if one.source == PERSON else None,
            is_demo=True,
        )


def _own(story: Story) -> ReferenceKey:
    return ReferenceKey(story.shop.code, KIND.ORDER, story.external_id)


def _placed(story: Story) -> OrderReport:
    return OrderReport(
        shop=story.shop.code, external_id=story.external_id, placed_at=story.placed_at, fields=story.fields
    )


def _tie(story: Story, one: Told) -> FactItem:
    """That this waybill belongs to this order."""
    order = OrderRef(shop=story.shop.code, external_id=story.external_id)
    return FactItem(key="", kind=one.kind, occurred_at=one.occurred_at, order=order, parcel=one.waybill)


def _note_heard(told: Sequence[Story]) -> None:
    last: dict[tuple[str, str], datetime] = {}
    for one in (one for story in told for one in story.told if one.source != PERSON):
        last[one.source, one.role] = max(one.received_at, last.get((one.source, one.role), one.received_at))
    for (source, role), at in last.items():
        SourceHeard.objects.update_or_create(
            source=source, defaults={"role": role, "heard_at": at, "fact_at": at}
        )


def _set_history_aside(at: datetime) -> None:
    """Leave in the queue only what still asks something of somebody: steps that are open, flags that are up."""
    is_open = OrderStep.objects.filter(
        order_id=OuterRef("order_id"), step=OuterRef("name"), state=StepState.OPEN, order__is_open=True
    )
    opened = Q(Exists(is_open), kind=OrderEvent.Kind.STEP, new=StepState.OPEN)
    raised = Q(~Q(new=""), kind=OrderEvent.Kind.FLAG, order__is_open=True)
    waiting = OrderEvent.objects.filter(is_demo=True, dispatched_at__isnull=True)
    waiting.exclude(pk__in=waiting.filter(opened | raised).values("pk")).update(dispatched_at=at)


def _result() -> Loaded:
    rows = Order.objects.filter(is_demo=True).values_list("stage").annotate(Count("pk"))
    return Loaded(
        n_orders=loaded_orders(),
        n_facts=OrderFact.objects.filter(is_demo=True).count(),
        n_events=OrderEvent.objects.filter(is_demo=True).count(),
        stages=dict(sorted(rows)),
    )
