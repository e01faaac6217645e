"""The live estimate: the hub's own orders get dates with stated odds, and every one of them is judged.

models.py the tables, journeys.py what is learned from an order, rebuilding.py the night, learned.py the state it leaves,
standing.py what is set for all, making.py an estimate, reaction.py who makes one when,
scoring.py what came true, watching.py the clock's part, far.py what goes to a person, demo.py the demo.
Nothing here loads numpy when it is imported; only the worker does, when it estimates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

if TYPE_CHECKING:
    from orders.models import Order
    from promises.estimates.models import Estimate, PromiseRule


def current(order: Order) -> Estimate | None:
    """What is said of this order now; None while nothing has been said yet."""
    from promises.estimates.models import Estimate

    return Estimate.objects.current().filter(order=order).first()


def rule_for(order: Order) -> PromiseRule:
    """The rule of the order's shop, the one for all others, or the usual values, unsaved."""
    from promises.estimates.models import PromiseRule

    rows = PromiseRule.objects.filter(Q(shop=order.shop_id) | Q(shop=None))
    rules = {rule.shop_id: rule for rule in rows}
    return rules.get(order.shop_id) or rules.get(None) or PromiseRule()
