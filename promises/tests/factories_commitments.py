"""Commitments for tests: an order that can have one, a promise issued, and one put down as rows only."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from orders.contacts import Contact
from orders.models import Order
from orders.tests.factories import MONDAY, add_fact, after, make_order, settled
from promises import canonical, numbers
from promises.commitments import issuing
from promises.commitments.models import Promise, PromiseFile
from promises.commitments.payload import end_of
from promises.ledger import writing
from promises.ledger.models import SellerProfile
from promises.tests.factories_ledger import make_seller
from promises.tests.promise import payload

FRIDAY = date(2026, 6, 5)
PERSON = {
    "name": "王小明",
    "phone": "13812345678",
    "province": "浙江省",
    "city": "绍兴市",
    "street": "解放路 1 号",
}


def make_promised_order(*, confirmed: date | None = FRIDAY, **what_matters: Any) -> Order:
    """An order to Shaoxing; its date is confirmed for FRIDAY unless told."""
    if SellerProfile.the_one() is None:
        make_seller()
    person = what_matters.pop("person", PERSON)
    with transaction.atomic():
        order = make_order(**what_matters)
        contact = Contact.objects.keep(person)
        if contact is not None:
            add_fact(order, "order.changed", data={"contact": contact.pk})
        if confirmed is not None:
            add_fact(order, "date.confirmed", role="person", data={"date": confirmed.isoformat()})
        return settled(order)


def issued(order: Order | None = None, *, hours: float = 1, **what_matters: Any) -> Promise:
    """A commitment issued the whole way, paper and all. hours: after MONDAY."""
    order = order or make_promised_order()
    return issuing.issue(order, **{"by": None, "at": after(hours), **what_matters})


def make_promise(
    order: Order | None = None,
    *,
    at: datetime = MONDAY,
    replaces: Promise | None = None,
    rc: str = "STOCK",
    asked_by: str = "seller",
    **what_matters: Any,
) -> Promise:
    """The rows of a promise in force without its paper: fast, for tests that look at what comes after issuing."""
    order = order or (replaces.order if replaces else make_promised_order())
    due = what_matters.pop("due", end_of(FRIDAY, "Asia/Shanghai"))
    number = what_matters.pop("number", "") or (replaces.number if replaces else numbers.draw())
    log = writing.log_of(is_demo=order.is_demo, at=at)
    said = payload(no=number, log=log.origin, issued_at=int(at.timestamp()), due=int(due.timestamp()))
    said["tz"] = what_matters.pop("tz", said["tz"])
    said["salt"] = secrets.token_hex(16)
    data = canonical.encode(said)
    pdf = secrets.token_hex(32)
    body = {"ph": canonical.digest(data), "pdf": pdf, "due": said["due"]}
    if replaces is None:
        pending = writing.queue(
            log, "issue", {**body, "nh": issuing.number_hash(number)}, dedup=f"promise:{number}:1", at=at
        )
        columns: dict[str, Any] = {"first_due": due}
    else:
        Promise.objects.filter(pk=replaces.pk).update(
            state=Promise.State.SUPERSEDED, state_at=at, judge_at=None
        )
        first = Promise.objects.get(number=number, version=1)
        columns = {
            "version": replaces.version + 1,
            "supersedes": replaces,
            "first_due": replaces.first_due,
            "rc": rc,
            "asked_by": asked_by,
        }
        dedup = f"promise:{number}:{columns['version']}"
        pending = writing.queue(
            log, "revise", {**body, "by": asked_by, "rc": rc}, dedup=dedup, about=first.pending, at=at
        )
    promise: Promise = Promise.objects.create(
        **{
            "number": number,
            "version": 1,
            "order": order,
            "ph": body["ph"],
            "payload": data,
            "token": b"",
            "due": due,
            "pending": pending,
            "made_at": at,
            "state_at": at,
            "judge_at": columns["first_due"] + timedelta(seconds=log.grace + 1),
            "is_demo": order.is_demo,
            **columns,
            **what_matters,
        }
    )
    PromiseFile.objects.create(
        promise=promise, sha256=pdf, sm3=pdf, path=f"{pdf[:2]}/{pdf}.pdf", n_bytes=1, is_demo=order.is_demo
    )
    return promise
