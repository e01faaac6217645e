"""New orders get their numbers here: drawn at random, and drawn again when another order was quicker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction

from orders.models import Order, draw_order_number

Draw = Callable[[datetime], str]
# The day in an order number is the seller's, not the customer's.
NUMBER_ZONE = ZoneInfo("Asia/Shanghai")
# Five random signs collide a few times in a hundred thousand orders of one day; five times running means a defect.
TRIES = 5


class NoFreeNumber(Exception):
    """Number after number was taken; nothing was inserted."""


def add_orders(
    orders: Sequence[Order], placed: Sequence[datetime], *, draw: Draw = draw_order_number
) -> None:
    """Insert the orders, each under a number that no other order has. placed: when each was placed.

    Two workers may draw the same number at the same moment, and only the database sees both: whoever comes second
    draws the taken ones anew. Raises NoFreeNumber when that does not end, and the IntegrityError of any other
    constraint; in both cases no order was inserted.
    """
    for _try in range(TRIES):
        _give_numbers(orders, placed, draw)
        try:
            with transaction.atomic():
                Order.objects.bulk_create(orders, batch_size=500)
        except IntegrityError:
            if not _take_back_taken(orders):
                raise
        else:
            return
    raise NoFreeNumber(f"{TRIES} times running a drawn order number was taken")


def _give_numbers(orders: Sequence[Order], placed: Sequence[datetime], draw: Draw) -> None:
    """A number for each order that has none. Raises NoFreeNumber if they repeat themselves."""
    given = {order.number for order in orders}
    for order, moment in zip(orders, placed, strict=True):
        if not order.number:
            day = moment.astimezone(NUMBER_ZONE)
            drawn = (draw(day) for _try in range(TRIES))
            order.number = next((number for number in drawn if number not in given), "")
            if not order.number:
                raise NoFreeNumber(
                    f"{TRIES} times running the same order number was drawn for {day:%Y-%m-%d}"
                )
            given.add(order.number)


def _take_back_taken(orders: Sequence[Order]) -> bool:
    """Make the orders ready for another insert, without the numbers that others have. False if there was none."""
    numbers = [order.number for order in orders]
    taken = set(Order.objects.filter(number__in=numbers).values_list("number", flat=True))
    for order in orders:
        order.pk, order._state.adding = None, True
        if order.number in taken:
            order.number = ""
    return bool(taken)
