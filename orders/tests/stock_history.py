"""Clients that lock, release and ship stock, hold orders and let them go, all at once; and a judge of what they saw."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.utils.timezone import now

from orders import stock
from orders.holds import HoldRefused, lift_hold, set_hold
from orders.models import Order, StockItem, StockLock, Warehouse
from orders.tests.processes import at_once

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ON_HAND = 12
REPEATED = 0.15
KINDS = ["lock", "release", "ship", "read", "hold", "lift", "look"]
WEIGHTS = [40, 22, 4, 14, 8, 8, 4]
OF_STOCK = {"lock", "release", "ship", "read"}


class Operation(NamedTuple):
    """One call of one client on one order and article: what it asked, what it was told, and when."""

    key: str
    kind: str  # lock, release, ship, read: of stock; hold, lift, look: of the order itself
    is_repeated: bool  # the same call with the same key was made before
    order: int
    sku: str
    asked: int
    answer: int = (
        0  # units the order holds (lock, read), or that left it (release, ship); 1 = done, or on hold
    )
    outcome: str = "info"  # ok, fail (refused, nothing done), info (nobody knows)
    invoked: float = 0.0
    ended: float = 0.0
    note: str = ""


@dataclass
class Verdict:
    n_operations: int
    anomalies: list[str] = field(default_factory=list)


def prepare(warehouse: Warehouse, orders: Sequence[Order], *, skus: int) -> list[tuple[int, str]]:
    """Counted stock, and which order wants which article. Few articles for many orders: every unit is fought over."""
    for number in range(skus):
        stock.count(warehouse, f"HOT-{number}", ON_HAND, at=START, key=f"first:{number}")
    return [(order.pk, f"HOT-{number % skus}") for number, order in enumerate(orders)]


def client(
    number: int,
    seed: int,
    n_operations: int,
    wanted: Sequence[tuple[int, str]],
    warehouse_id: int,
    actor_id: int,
) -> list[Operation]:
    """One client's work, from its own seed. Runs in a process of its own."""
    draw = random.Random(f"{seed}:{number}")
    warehouse, actor = Warehouse.objects.get(pk=warehouse_id), User.objects.get(pk=actor_id)
    orders = Order.objects.in_bulk([order for order, _sku in wanted])
    history: list[Operation] = []
    for step in range(n_operations):
        order, sku = draw.choice(wanted)
        kind = draw.choices(KINDS, WEIGHTS)[0]
        call = Operation(f"{number}:{step}", kind, False, order, sku, draw.randint(1, 6))
        if history and draw.random() < REPEATED and (old := draw.choice(history)).kind in OF_STOCK:
            call = old._replace(is_repeated=True)
        history.append(_answered(call, orders[call.order], warehouse, actor))
    return history


def _answered(call: Operation, order: Order, warehouse: Warehouse, actor: User) -> Operation:
    call = call._replace(invoked=time.monotonic(), answer=0, note="")
    try:
        call = call._replace(answer=_make(call, order, warehouse, actor), outcome="ok")
    except HoldRefused:
        call = call._replace(answer=0, outcome="ok")
    except stock.StockMoved as refusal:
        call = call._replace(outcome="fail", note=str(refusal))
    except OperationalError as error:
        # SQLite gives up on a writer that others kept from beginning for 20 seconds: it has done nothing.
        has_not_begun = "database is locked" in str(error)
        call = call._replace(outcome="fail" if has_not_begun else "info", note=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the judge must see it
        call = call._replace(outcome="info", note=repr(error))
    return call._replace(ended=time.monotonic())


def _make(call: Operation, order: Order, warehouse: Warehouse, actor: User) -> int:
    if call.kind not in OF_STOCK:
        return _hold_or_lift(call, actor)
    at, asked, key = START + timedelta(seconds=1), {call.sku: Decimal(call.asked)}, call.key
    if call.kind == "lock":
        outcome = stock.lock(order, asked, warehouse=warehouse, at=at, expires_at=None, key=key)
        return int(outcome.locked.get(call.sku, 0))
    if call.kind == "release":
        return int(sum(stock.release(order, at=at, key=key, reason="history").values()))
    if call.kind == "ship":
        return int(sum(stock.ship(order, asked, at=at, key=key).values()))
    held = StockLock.objects.filter(order=order, released_at=None).values_list("quantity", flat=True)
    return int(sum(held))


def _hold_or_lift(call: Operation, actor: User) -> int:
    if call.kind == "look":
        return int(Order.objects.values_list("is_held", flat=True).get(pk=call.order))
    do = set_hold if call.kind == "hold" else lift_hold
    do(call.order, "history", actor=actor, reason=call.key, at=now())
    return 1


def run(
    n_operations: int,
    *,
    seed: int,
    wanted: Sequence[tuple[int, str]],
    warehouse: Warehouse,
    actor: User,
    clients: int = 16,
    patience: float = 60,
) -> list[Operation]:
    """All clients at once, each in its own process; returns everything that was asked and answered."""
    connection.close()
    share = n_operations // clients
    histories = at_once(
        client,
        [(number, seed, share, wanted, warehouse.pk, actor.pk) for number in range(clients)],
        patience=patience,
    )
    return sorted((op for history in histories for op in history), key=lambda op: op.invoked)


def judge(history: Sequence[Operation], wanted: Sequence[tuple[int, str]], warehouse: Warehouse) -> Verdict:
    """Hold the history against the model: what could not have happened if every call took effect at one moment."""
    verdict = Verdict(len(history))
    verdict.anomalies += [f"{op.kind} of {op.order}: {op.note}" for op in history if op.outcome == "info"]
    moved = Counter(op.key for op in history if op.kind in ("release", "ship") and op.answer)
    verdict.anomalies += [
        f"the call {key} moved units {times} times" for key, times in moved.items() if times > 1
    ]
    apart = defaultdict(list)
    for op in history:
        if op.outcome == "ok":
            apart[op.order, op.kind in OF_STOCK].append(op)
    at_the_end = {True: _finally_held(order for order, _sku in wanted), False: _finally_on_hold()}
    for (order, is_stock), operations in apart.items():
        follows = _next_held if is_stock else _next_on_hold
        if not _could_have_happened(operations, follows, at_the_end[is_stock].get(order, 0)):
            what = "stock" if is_stock else "hold"
            verdict.anomalies.append(
                f"{what} of {order}: no order of {len(operations)} calls explains the answers"
            )
    verdict.anomalies += _conservation(history, warehouse)
    return verdict


def _finally_held(orders: Iterable[int]) -> dict[int, int]:
    held = dict.fromkeys(orders, 0)
    for order, quantity in StockLock.objects.filter(released_at=None).values_list("order", "quantity"):
        held[order] += int(quantity)
    return held


def _finally_on_hold() -> dict[int, int]:
    return dict.fromkeys(Order.objects.filter(is_held=True).values_list("pk", flat=True), 1)


def _conservation(history: Sequence[Operation], warehouse: Warehouse) -> list[str]:
    shipped: dict[str, int] = defaultdict(int)
    for op in history:
        if op.kind == "ship" and op.outcome == "ok":
            shipped[op.sku] += op.answer
    found = [f"{row.what} of {row.sku}: {row.stored}, not {row.expected}" for row in stock.differences()]
    for item in StockItem.objects.filter(warehouse=warehouse):
        if item.on_hand != ON_HAND - shipped[item.sku]:
            found.append(
                f"{item.sku}: {item.on_hand} on hand after {shipped[item.sku]} of {ON_HAND} were shipped"
            )
        if not 0 <= item.locked <= item.on_hand:
            found.append(f"{item.sku}: {item.locked} locked of {item.on_hand}")
    return found


def _next_held(op: Operation, held: int) -> int | None:
    """What an order holds after this call, if it held this much before; None if the answer cannot be."""
    if op.kind == "read" or (op.is_repeated and op.kind == "lock" and op.answer == held):
        return held if op.answer == held else None
    if op.kind == "lock":
        # How much is free is other orders' doing: a lock may get any part of what is missing, never less than it had.
        possible = op.answer == held if held >= op.asked else held <= op.answer <= op.asked
        return op.answer if possible else None
    if op.is_repeated and op.answer == 0:
        return held
    leaves = held if op.kind == "release" else min(op.asked, held)
    return held - leaves if op.answer == leaves else None


def _next_on_hold(op: Operation, is_held: int) -> int | None:
    """Whether an order is on hold after this call; None if the answer cannot be."""
    if op.kind == "look":
        return is_held if op.answer == is_held else None
    asks = 1 if op.kind == "hold" else 0
    # Refused means that it was so already.
    return asks if op.answer == (is_held != asks) else None


def _could_have_happened(
    operations: Sequence[Operation], follows: Callable[[Operation, int], int | None], at_the_end: int
) -> bool:
    """Whether one order of the calls, each between its asking and its answer, gives these answers (Wing and Gong)."""
    listed = sorted(operations, key=lambda op: op.invoked)
    everything = (1 << len(listed)) - 1
    seen = set()
    waiting = [(0, 0)]
    while waiting:
        done, held = waiting.pop()
        if done == everything:
            if held == at_the_end:
                return True
            continue
        if (done, held) in seen:
            continue
        seen.add((done, held))
        for place in _may_come_next(listed, done):
            after = follows(listed[place], held)
            if after is not None:
                waiting.append((done | 1 << place, after))
    return False


def _may_come_next(listed: Sequence[Operation], done: int) -> list[int]:
    """Calls not yet placed that began before any other unplaced call had ended."""
    places, first_end = [], float("inf")
    start = (~done & (done + 1)).bit_length() - 1
    for place, op in enumerate(islice(listed, start, None), start):
        if op.invoked > first_end:
            break
        if not done >> place & 1:
            places.append(place)
            first_end = min(first_end, op.ended)
    return places
