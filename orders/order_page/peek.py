"""The order at a glance, for the board: where it stands, why, what was said last, the steps, and where to go on."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.timezone import now

from orders import order_actions
from orders.board.columns import chips_of, due_of
from orders.models import Order
from orders.order_page.page import MAY_SEE_FACTS, here
from orders.order_page.reading import read
from orders.order_page.sources import disagreements
from orders.order_page.steps_bar import Cell
from orders.order_page.timeline import timeline
from orders.order_page.turns import waits_on
from orders.stages import Step

LAST_FACTS = 5


def render_peek(order: Order, request: HttpRequest, *, is_closable: bool = False) -> SafeString:
    """A fragment of HTML. The caller has checked that this person may see the order."""
    context = {**peek_of(order, request), "is_closable": is_closable}
    return render_to_string("orders/order/peek.html", context, request=request)


def peek_of(order: Order, request: HttpRequest) -> dict[str, Any]:
    at = now()
    role, person = waits_on(order)
    may_see_facts = request.user.has_perm(MAY_SEE_FACTS)
    reading = read(order, request.user, at)
    rows = {row.step: row for row in order.steps.select_related("done_by")}
    sequence = [Step(step) for group in reading.precedence.steps for step in group]
    return {
        "order": order,
        "at": at,
        "chips": chips_of(order, at),
        "due": due_of(order) if order.is_open else None,
        "turn": role,
        "person": person,
        "stage_why": next((one for one in reading.trace["why"] if one["what"] == "stage"), None),
        "trace": reading.trace,
        "conflicts": disagreements(reading),
        "cells": [Cell.of(step, rows.get(step)) for step in sequence],
        "may_see_facts": may_see_facts,
        "entries": timeline(reading).entries[:LAST_FACTS] if may_see_facts else [],
        "actions": order_actions.named_for(request.user, rows.values()),
        "here": here(order, request),
    }
