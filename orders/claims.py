"""What shops, banks and tax offices claim about an order: whether it is called off, paid and invoiced."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from orders.answer import HUB_NUMBER, Case, Why
from orders.stages import Intent, Invoice, Payment, Topic
from orders.units import SHIPPED, ZERO, Conflict, FactRow, cancel_units, quantities

CENT = Decimal("0.01")


def judge_cancel(case: Case) -> None:
    """Requests and answers, per reference; cancelled units leave the order unless they have left the warehouse."""
    answer, facts = case.answer, case.of(Topic.CANCEL)
    requested: FactRow | None = None
    for reference in dict.fromkeys(fact.reference for fact in facts):
        own = [fact for fact in facts if fact.reference == reference]
        accepted, request = _cancel_answer(case, own)
        for fact in accepted:
            _cancel(case, fact)
        requested = request or requested
    if case.cancel_from is not None:
        answer.intent = Intent.CANCELLED if case.cancel_whole else Intent.GO
    if requested is not None:
        answer.intent = Intent.CANCEL_REQUESTED
        answer.why["intent"] = Why(answer.intent, "cancel_requested", (requested.id,))
    returns = case.of(Topic.RETURN)
    if returns and answer.intent == Intent.GO:
        answer.intent = Intent.RETURN_REQUESTED
        answer.why["intent"] = Why(answer.intent, "return_requested", (returns[-1].id,))


def _cancel_answer(case: Case, facts: list[FactRow]) -> tuple[list[FactRow], FactRow | None]:
    """(accepted cancellations, request still open) of one reference.

    The best source that answered decides; another one that answered otherwise is a conflict.
    """
    answers: dict[str, FactRow] = {}
    request: FactRow | None = None
    for fact in facts:
        if fact.kind == "cancel.requested":
            request = fact
        else:
            answers[fact.role] = fact
    if not answers:
        return [], request
    best = min(answers, key=lambda role: case.precedence.rank(Topic.CANCEL, role))
    for fact in answers.values():
        if fact.kind != answers[best].kind:
            case.answer.conflicts.append(Conflict("cancel", answers[best].id, fact.id, "better_source"))
    if answers[best].kind == "cancel.refused":
        is_again = request is not None and request.occurred_at > answers[best].occurred_at
        return [], request if is_again else None
    return [fact for fact in facts if fact.kind == "cancel.accepted" and fact.role == best], None


def _cancel(case: Case, fact: FactRow) -> None:
    answer = case.answer
    case.cancel_from = case.cancel_from or fact.occurred_at
    wanted = quantities(fact.data.get("lines"))
    is_whole = not wanted and (fact.reference[1] == HUB_NUMBER or answer.merged_from == 1)
    if is_whole:
        case.cancel_whole = True
        wanted = {sku: line.open for sku, line in answer.lines.items()}
    elif not wanted:
        wanted = _lines_of(case, fact.reference)
        case.cancelled_parts.add(fact.reference)
    left = ZERO
    for sku, qty in wanted.items():
        if sku in answer.lines:
            left += cancel_units(answer.lines[sku], qty)
    answer.why["intent"] = Why(Intent.CANCELLED if is_whole else Intent.GO, "cancel_accepted", (fact.id,))
    gone = [view for view in answer.parcels if view.level >= SHIPPED]
    # More may be cancelled than there is to cancel: a shop says it twice, or has taken the units off before.
    if left > 0 and gone:
        physical = max(gone, key=lambda view: view.level)
        answer.conflicts.append(Conflict("cancel", physical.decided_by, fact.id, "goods_left_before_cancel"))


def _lines_of(case: Case, reference: tuple[str, str, str]) -> dict[str, Decimal]:
    """What one of several merged shop orders asked for."""
    found: dict[str, Decimal] = {}
    for fact in case.of(Topic.ORDER):
        if fact.reference == reference and fact.data.get("lines") is not None:
            found = quantities(fact.data["lines"])
    return found


def judge_payment(case: Case) -> None:
    answer, facts = case.answer, case.of(Topic.PAYMENT)
    if not facts:
        return
    states: dict[str, tuple[Payment, int]] = {}
    for role in dict.fromkeys(fact.role for fact in facts):
        own = [fact for fact in facts if fact.role == role]
        states[role] = (_payment_state(case, own), own[-1].id)
    best = min(states, key=lambda role: case.precedence.rank(Topic.PAYMENT, role))
    answer.payment = states[best][0]
    for state, fact_id in states.values():
        if state != answer.payment:
            answer.conflicts.append(Conflict("payment", states[best][1], fact_id, "better_source"))
    rule = "payment_reported"
    if (
        case.cancel_whole
        and answer.payment in {Payment.PAID, Payment.PARTIAL}
        and _paid_after_cancel(case, facts)
    ):
        answer.payment, rule = Payment.PAID_AFTER_CANCEL, "paid_after_cancel"
    own_ids = tuple(fact.id for fact in facts if fact.role == best)
    answer.why["payment"] = Why(answer.payment, rule, own_ids)


def _paid_after_cancel(case: Case, facts: list[FactRow]) -> bool:
    return case.cancel_from is not None and any(
        fact.kind == "payment.received" and fact.occurred_at > case.cancel_from for fact in facts
    )


def _amount(fact: FactRow) -> Decimal | None:
    value = fact.data.get("amount")
    return Decimal(str(value)) if value not in (None, "") else None


def _payment_state(case: Case, facts: list[FactRow]) -> Payment:
    """What one source's payments and refunds come to. A report without an amount means all of it."""
    received = [fact for fact in facts if fact.kind == "payment.received"]
    refunds = [fact for fact in facts if fact.kind == "payment.refunded"]
    if refunds:
        done = [fact for fact in refunds if fact.data.get("state", "done") == "done"]
        if refunds[-1] not in done:
            return Payment.REFUNDING
        amounts = [_amount(fact) for fact in done]
        total = _total_due(case)
        back = sum((amount for amount in amounts if amount is not None), ZERO)
        is_all = None in amounts or total is None or back >= total - CENT
        return Payment.REFUNDED if is_all else Payment.PART_REFUNDED
    # What remains of a merged order is paid or not, whatever was paid for the parts that were cancelled.
    gone = case.cancelled_parts if len(case.cancelled_parts) < case.answer.merged_from else set()
    received = [fact for fact in received if fact.reference not in gone]
    amounts = [_amount(fact) for fact in received]
    total = _total_due(case, gone)
    if None not in amounts and total is not None:
        return Payment.PAID if sum(filter(None, amounts), ZERO) >= total - CENT else Payment.PARTIAL
    paid = {fact.reference for fact in received}
    is_for_all = case.answer.merged_from == 1 or any(reference[1] == HUB_NUMBER for reference in paid)
    return Payment.PAID if is_for_all or len(paid) >= case.answer.merged_from - len(gone) else Payment.PARTIAL


def _total_due(case: Case, gone: Collection[tuple[str, str, str]] = ()) -> Decimal | None:
    if case.answer.merged_from > 1:
        totals: dict[tuple[str, str, str], Any] = {}
        for fact in case.of(Topic.ORDER):
            total = (fact.data.get("fields") or {}).get("total")
            if fact.reference not in gone and total not in (None, ""):
                totals[fact.reference] = total
        return sum((Decimal(str(value)) for value in totals.values()), ZERO) if totals else None
    value = case.answer.fields.get("total")
    return Decimal(str(value)) if value not in (None, "") else None


_INVOICE = {
    "invoice.requested": Invoice.AWAITING,
    "invoice.issued": Invoice.ISSUED,
    "invoice.failed": Invoice.FAILED,
    "invoice.reversed": Invoice.RED_LETTERED,
}


def judge_invoice(case: Case) -> None:
    facts = case.of(Topic.INVOICE)
    if facts:
        case.answer.invoice = _INVOICE[facts[-1].kind]
        case.answer.why["invoice"] = Why(case.answer.invoice, "newest_report", (facts[-1].id,))
