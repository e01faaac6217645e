"""From facts to status. Pure: the same facts in any order give the same answer, and the answer explains itself.

Two kinds of order need a word. A *merged* order has several shop references: each keeps its own lines and its own
cancellation, payment is complete when all are paid. A *split* order shares a shop reference with another one: an
order.changed fact on its own hub number carries the lines that fell to it, and stands above what the shop lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from orders.answer import HUB_NUMBER, SHOP_ORDER, Case, Derivation, HoldView, StepView, Why
from orders.claims import judge_cancel, judge_invoice, judge_payment
from orders.precedence import Precedence
from orders.retractions import not_taken_back
from orders.stages import FACT_KINDS, STEP_STAGE, Intent, Invoice, Payment, Stage, Step, StepState, Topic
from orders.units import (
    DELIVERED,
    NOT_STARTED,
    PICKING,
    SHIPPED,
    STAGE_OF_LEVEL,
    ZERO,
    Conflict,
    FactRow,
    LineView,
    in_time,
    spread,
    weigh_parcels,
)


def derive(facts: Iterable[FactRow], precedence: Precedence, at: datetime) -> Derivation:
    """Judge one order.

    facts: every fact of the order's references, in any order, without doubles. at: the moment to judge for; only
    holds, reviews and the after-sale window look at it.
    """
    case = _sorted(facts, precedence, at)
    _fold_fields(case)
    _fold_lines(case)
    _weigh_goods(case)
    judge_cancel(case)
    judge_payment(case)
    judge_invoice(case)
    _judge_holds(case)
    _judge_stock(case)
    _judge_steps(case)
    _judge_stage(case)
    _count_partial(case)
    case.answer.due_again_at = min((moment for moment in case.later if moment > at), default=None)
    return case.answer


def _sorted(facts: Iterable[FactRow], precedence: Precedence, at: datetime) -> Case:
    everything = not_taken_back(sorted(facts, key=in_time))
    answer = Derivation(precedence=precedence.version)
    by_topic: dict[str, list[FactRow]] = {}
    for fact in everything:
        kind = FACT_KINDS[fact.kind]
        by_topic.setdefault(kind.topic.value, []).append(fact)
        if kind.material:
            heard = min(fact.occurred_at, fact.received_at)
            if answer.clock_from is None or heard > answer.clock_from:
                answer.clock_from = heard
            answer.last_fact_at = fact.occurred_at
        if answer.settled_through is None or fact.received_at > answer.settled_through:
            answer.settled_through = fact.received_at
        if fact.kind == "status.unknown":
            answer.unknown.append((str(fact.data.get("field", "")), str(fact.data.get("value", ""))))
    return Case(everything, by_topic, precedence, at, answer)


def _fold_fields(case: Case) -> None:
    """Order fields: each newer report writes over the older one, as far as its mode lets it."""
    answer = case.answer
    contacts: list[tuple[int, int, FactRow]] = []
    for position, fact in enumerate([*case.of(Topic.ORDER), *case.of(Topic.ADDRESS)]):
        modes = fact.data.get("modes") or {}
        for name, value in (fact.data.get("fields") or {}).items():
            _write(answer.fields, name, value, modes.get(name, "overwrite"), is_first=position == 0)
        if fact.data.get("contact") and _may_write(
            modes.get("contact", ""), known=bool(contacts), is_first=position == 0
        ):
            contacts.append((-case.precedence.rank(Topic.ADDRESS, fact.role), position, fact))
        if fact.kind == "order.placed" and (answer.placed_at is None or fact.occurred_at < answer.placed_at):
            answer.placed_at = fact.occurred_at
    if contacts:
        answer.contact = max(contacts)[2].data["contact"]
    if answer.placed_at is None and case.of(Topic.ORDER):
        answer.placed_at = case.of(Topic.ORDER)[0].occurred_at
    confirmed = case.of(Topic.DATE)
    if confirmed:
        answer.confirmed_on = _day(confirmed[-1].data.get("date"))


def _may_write(mode: str, *, known: bool, is_first: bool) -> bool:
    return (mode != "if_empty" or not known) and (mode != "if_new" or is_first)


def _write(fields: dict[str, Any], name: str, value: Any, mode: str, *, is_first: bool) -> None:
    old = fields.get(name)
    if not _may_write(mode, known=old not in (None, ""), is_first=is_first):
        return
    if mode == "append" and old not in (None, "") and value not in (None, ""):
        value = old if str(value) in str(old).split("\n") else f"{old}\n{value}"
    fields[name] = value


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def _fold_lines(case: Case) -> None:
    """The lines of each reference, added up over references; lines on the hub's own number stand above all."""
    answer = case.answer
    per_reference: dict[tuple[str, str, str], dict[str, LineView]] = {}
    first: set[tuple[str, str, str]] = set()
    for fact in case.of(Topic.ORDER):
        lines = fact.data.get("lines")
        if lines is None:
            continue
        mode = (fact.data.get("modes") or {}).get("lines", "overwrite")
        known = per_reference.setdefault(fact.reference, {})
        if _may_write(mode, known=bool(known), is_first=fact.reference not in first):
            if mode != "append":
                known.clear()
            known.update(_line_views(lines))
        first.add(fact.reference)
    shop_references = {fact.reference for fact in case.of(Topic.ORDER) if fact.reference[1] == SHOP_ORDER}
    answer.merged_from = max(len(shop_references), 1)
    own = [lines for reference, lines in per_reference.items() if reference[1] == HUB_NUMBER and lines]
    for lines in own or per_reference.values():
        for sku, line in lines.items():
            if sku in answer.lines:
                answer.lines[sku].ordered += line.ordered
            else:
                answer.lines[sku] = line


def _line_views(lines: Sequence[Mapping[str, Any]]) -> dict[str, LineView]:
    views: dict[str, LineView] = {}
    for line in lines:
        sku, qty = str(line["sku"]), Decimal(str(line["qty"]))
        if sku in views:
            views[sku].ordered += qty
            continue
        price = line.get("price")
        views[sku] = LineView(
            sku=sku,
            ordered=qty,
            name=line.get("name", ""),
            unit=line.get("unit", ""),
            price=Decimal(str(price)) if price is not None else None,
        )
    return views


def _weigh_goods(case: Case) -> None:
    """Where each unit is, from parcels first, from picking and packing for what is still inside."""
    answer = case.answer
    parcels, conflicts = weigh_parcels(
        sorted([*case.of(Topic.WAYBILL), *case.of(Topic.PARCEL)], key=in_time), case.precedence
    )
    answer.conflicts += conflicts
    if not answer.lines and (parcels or case.of(Topic.PICKING) or case.of(Topic.PACKING)):
        # A source reports on goods whose lines nobody told us: one nameless unit stands for all of them.
        answer.lines[""] = LineView(sku="", ordered=Decimal(1))
    for line in answer.lines.values():
        line.picked = _done_units(case, Topic.PICKING, "pick.done", "pick.short", line)
        line.packed = _done_units(case, Topic.PACKING, "pack.done", "", line)
    case.is_papered, unnamed = spread(answer.lines, parcels, picking=bool(case.of(Topic.PICKING)))
    answer.parcels = sorted(
        (view for view in parcels if view.waybill or view.contents or unnamed > 0),
        key=lambda view: view.waybill,
    )
    delivered = [view.delivered_at for view in answer.parcels if view.delivered_at]
    answer.delivered_at = max(delivered, default=None)


def _done_units(case: Case, topic: Topic, done: str, short: str, line: LineView) -> Decimal:
    """Units of a line that the best source has reported done; a worse source that says more is a conflict."""
    facts = [
        fact for fact in case.of(topic) if fact.level_id in {line.sku, ""} and fact.kind in {done, short}
    ]
    if not facts:
        return ZERO
    totals: dict[str, Decimal] = {}
    last: dict[str, int] = {}
    for fact in facts:
        total = totals.get(fact.role, ZERO)
        if fact.kind == short:
            total -= fact.quantity or ZERO if total >= line.ordered else ZERO
        else:
            total = line.ordered if fact.quantity is None else total + fact.quantity
        totals[fact.role] = min(max(total, ZERO), line.ordered)
        last[fact.role] = fact.id
    best = min(totals, key=lambda role: case.precedence.rank(topic, role))
    for role, total in totals.items():
        if total > totals[best]:
            case.answer.conflicts.append(
                Conflict(topic.value, last[best], last[role], "better_source", line.sku)
            )
    return totals[best]


def _moment(text: object) -> datetime | None:
    """An ISO time with offset from a fact's data; None if there is none."""
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _judge_holds(case: Case) -> None:
    """Holds that are set and neither lifted nor over; a platform review is one of them."""
    live: dict[str, HoldView] = {}
    for fact in sorted([*case.of(Topic.HOLD), *case.of(Topic.REVIEW)], key=in_time):
        name = "platform_review" if fact.kind.startswith("review.") else str(fact.data.get("name", ""))
        if fact.kind in {"hold.lifted", "review.ended"}:
            live.pop(name, None)
            continue
        live[name] = HoldView(
            name=name,
            owner=str(fact.data.get("owner", fact.source)),
            reason=str(fact.data.get("reason", "")),
            set_at=fact.occurred_at,
            until=_moment(fact.data.get("until")),
        )
    case.later += [hold.until for hold in live.values() if hold.until is not None]
    case.answer.holds = [hold for hold in live.values() if hold.until is None or hold.until > case.at]


def _judge_stock(case: Case) -> None:
    """Units locked per line by the best source, in order of time; short when the last word was a shortage."""
    answer, facts = case.answer, case.of(Topic.STOCK)
    if not facts:
        return
    best = min({fact.role for fact in facts}, key=lambda role: case.precedence.rank(Topic.STOCK, role))
    own = [fact for fact in facts if fact.role == best]
    for line in answer.lines.values():
        for fact in own:
            if fact.level_id not in {line.sku, ""}:
                continue
            if fact.kind == "stock.locked":
                line.locked = line.ordered if fact.quantity is None else line.locked + fact.quantity
            elif fact.kind == "stock.released":
                line.locked = ZERO if fact.quantity is None else line.locked - fact.quantity
        line.locked = min(max(line.locked, ZERO), line.ordered)
    answer.is_short = any(fact.kind == "stock.short" for fact in own) and not _is_locked(answer)
    answer.why["stock"] = Why(
        "short" if answer.is_short else "locked", "best_source", tuple(fact.id for fact in own)
    )


def _is_locked(answer: Derivation) -> bool:
    return bool(answer.lines) and all(
        line.locked >= line.levels.get(NOT_STARTED, ZERO) for line in answer.lines.values()
    )


def _judge_steps(case: Case) -> None:
    """Which of the four steps are open, done, overtaken by the goods themselves, or no longer needed."""
    answer = case.answer
    ready_at = _ready_at(case)
    if ready_at is None:
        return
    for group in case.precedence.steps:
        views = [_step(case, step, ready_at) for step in group]
        answer.steps += views
        if any(view.state == StepState.OPEN for view in views):
            return
        ready_at = max([ready_at, *(view.done_at for view in views if view.done_at)])


def _ready_at(case: Case) -> datetime | None:
    """When the first step could begin: paid or on credit, lines known, no review, not cancelled. None = not yet."""
    answer = case.answer
    if not answer.lines or answer.placed_at is None or _least(answer) is None:
        return None
    if _least(answer) != NOT_STARTED:
        return answer.placed_at
    is_waiting = (
        any(hold.name == "platform_review" for hold in answer.holds)
        or answer.intent == Intent.CANCEL_REQUESTED
    )
    if is_waiting or not _may_proceed(answer):
        return None
    received = [fact.occurred_at for fact in case.of(Topic.PAYMENT) if fact.kind == "payment.received"]
    ended = [fact.occurred_at for fact in case.of(Topic.REVIEW) if fact.kind == "review.ended"]
    return max([answer.placed_at, *received[-1:], *ended[-1:]])


def _may_proceed(answer: Derivation) -> bool:
    return answer.fields.get("payment_terms") == "credit" or answer.payment not in {
        Payment.UNPAID,
        Payment.PARTIAL,
    }


def _least(answer: Derivation) -> int | None:
    """The level of the least advanced open unit; None when no unit is open."""
    levels = [level for line in answer.lines.values() for level in line.levels]
    return min(levels, default=None)


def _step(case: Case, step: Step, opened_at: datetime) -> StepView:
    answer = case.answer
    closing = _closing_fact(case, step)
    if closing is not None:
        return StepView(step, StepState.DONE, opened_at, closing.occurred_at, closing.id, closing.actor)
    if step == Step.INVOICE:
        if answer.fields.get("invoice") == "exempt":
            return StepView(step, StepState.VOID, opened_at, opened_at)
        return StepView(step, StepState.OPEN, opened_at)
    # The goods themselves overtake a step: what is picked needs no lock, what has left needs no waybill.
    overtaken_from = SHIPPED if step == Step.WAYBILL else PICKING
    least = _least(answer)
    if least is not None and least >= overtaken_from:
        evidence = _first_physical(case)
        return StepView(step, StepState.OVERTAKEN, opened_at, evidence.occurred_at, evidence.id)
    return StepView(step, StepState.OPEN, opened_at)


def _closing_fact(case: Case, step: Step) -> FactRow | None:
    answer = case.answer
    if step == Step.DATE:
        return case.of(Topic.DATE)[-1] if case.of(Topic.DATE) else None
    if step == Step.STOCK:
        locks = [fact for fact in case.of(Topic.STOCK) if fact.kind == "stock.locked"]
        return locks[-1] if locks and _is_locked(answer) else None
    if step == Step.WAYBILL:
        live = {view.waybill for view in answer.parcels if view.waybill and not view.is_void}
        made = [fact for fact in [*case.of(Topic.WAYBILL), *case.of(Topic.PARCEL)] if fact.level_id in live]
        return made[0] if made and case.is_papered else None
    return next((fact for fact in reversed(case.of(Topic.INVOICE)) if answer.invoice == Invoice.ISSUED), None)


def _first_physical(case: Case) -> FactRow:
    """The earliest fact that shows goods in motion. There is one whenever a unit is past NOT_STARTED."""
    moving = [
        fact
        for fact in case.facts
        if FACT_KINDS[fact.kind].topic in {Topic.PICKING, Topic.PACKING, Topic.PARCEL}
    ]
    return moving[0]


def _judge_stage(case: Case) -> None:
    answer = case.answer
    least = _least(answer)
    if least is None and case.cancel_from is not None:
        answer.stage = Stage.CANCELLED
        answer.why["stage"] = Why(answer.stage, "every_unit_cancelled", answer.why["intent"].facts)
    elif answer.intent == Intent.CANCEL_REQUESTED and not _any_shipped(answer):
        answer.stage = Stage.CANCELLING
        answer.why["stage"] = Why(answer.stage, "cancel_requested", answer.why["intent"].facts)
    elif least is not None and least > NOT_STARTED:
        _judge_physical(case, least)
    else:
        answer.stage, why = _before_goods(case)
        answer.why["stage"] = why
    for view in answer.parcels:
        answer.why[f"parcel:{view.waybill}"] = Why(view.state, "furthest_standing_claim", (view.decided_by,))


def _any_shipped(answer: Derivation) -> bool:
    return any(level >= SHIPPED for line in answer.lines.values() for level in line.levels)


def _judge_physical(case: Case, least: int) -> None:
    answer = case.answer
    answer.stage = STAGE_OF_LEVEL[least]
    deciding = tuple(view.decided_by for view in answer.parcels if view.level == least and not view.is_void)
    if not deciding:
        moving = [*case.of(Topic.PICKING), *case.of(Topic.PACKING)]
        deciding = (max(moving, key=in_time).id,) if moving else ()
    answer.why["stage"] = Why(answer.stage, "least_advanced_unit", deciding)
    if least != DELIVERED or answer.delivered_at is None:
        return
    is_invoiced = answer.invoice == Invoice.ISSUED or answer.fields.get("invoice") == "exempt"
    over_at = answer.delivered_at + case.precedence.after_sale
    if is_invoiced and answer.intent == Intent.GO:
        if case.at >= over_at:
            answer.stage = Stage.COMPLETED
            answer.why["stage"] = Why(answer.stage, "after_sale_over", deciding)
        else:
            case.later.append(over_at)


def _before_goods(case: Case) -> tuple[Stage, Why]:
    """The stage of an order none of whose goods has been touched: what it waits for, in the configured order."""
    answer = case.answer
    if not answer.lines or not case.of(Topic.ORDER):
        return Stage.INTAKE, Why(
            Stage.INTAKE, "order_incomplete", tuple(fact.id for fact in case.of(Topic.ORDER))
        )
    if not _may_proceed(answer):
        facts = answer.why["payment"].facts if "payment" in answer.why else (case.of(Topic.ORDER)[-1].id,)
        return Stage.AWAITING_PAYMENT, Why(Stage.AWAITING_PAYMENT, "not_paid", facts)
    if any(hold.name == "platform_review" for hold in answer.holds):
        facts = tuple(fact.id for fact in case.of(Topic.REVIEW))
        return Stage.PLATFORM_REVIEW, Why(Stage.PLATFORM_REVIEW, "review_open", facts)
    done: list[int] = []
    for view in answer.steps:
        if view.state == StepState.OPEN and view.step in STEP_STAGE:
            stage = STEP_STAGE[view.step]
            return stage, Why(stage, "step_open", tuple(done) or _standing(answer, case))
        if view.evidence is not None:
            done.append(view.evidence)
    return Stage.AWAITING_PICK, Why(Stage.AWAITING_PICK, "steps_done", tuple(done))


def _standing(answer: Derivation, case: Case) -> tuple[int, ...]:
    return answer.why["payment"].facts if "payment" in answer.why else (case.of(Topic.ORDER)[-1].id,)


def _count_partial(case: Case) -> None:
    """n of m units: delivered, if some are and not all; else shipped, if some are and not all."""
    answer = case.answer
    total = sum((line.open for line in answer.lines.values()), ZERO)
    for name, level in (("delivered", DELIVERED), ("shipped", SHIPPED)):
        done = sum((line.at_least(level) for line in answer.lines.values()), ZERO)
        if ZERO < done < total and answer.stage not in {Stage.CANCELLED, Stage.RETURNED}:
            answer.partial_of, answer.partial_done, answer.partial_total = name, done, total
            return
