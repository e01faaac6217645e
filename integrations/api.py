"""How other systems report: orders and facts, up to a hundred a request, each with a result of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request

from integrations import idempotency, inbox, items, matching
from integrations.api_schema import FACTS, ORDERS
from integrations.bodies import BadBody, check_json_type, parse_json, read_body, text_of
from integrations.canonical import FactItem, OrderReport, Problem, Untranslatable
from integrations.inbox import Arrival, Receipt
from integrations.models import Connection
from integrations.told import told as _
from orders.api import HubView, OrderList, Refused, error_body
from orders.models import OrderFact

MAX_ITEMS = 100
MAX_ITEM = 256 * 1024
# Clocks differ; further ahead than this is a wrong time, and would stand above every later report.
AHEAD = timedelta(minutes=10)

Said = OrderReport | FactItem


@dataclass(frozen=True, slots=True)
class Checked:
    """One item of a request with what was found: what it says, or what is wrong with it."""

    key: str
    arrival: Arrival
    said: Said | None
    warnings: tuple[Problem, ...] = ()

    def refused(self, problems: Sequence[Problem]) -> Checked:
        arrival = replace(self.arrival, errors=(*self.arrival.errors, *problems))
        return replace(self, arrival=arrival, said=None)


class ReportView(HubView):
    """Takes reports of one form."""

    form = ""
    known_fields: Sequence[str] = ()

    def take(self, request: Request) -> HttpResponse:
        at = now()
        http: HttpRequest = request._request
        try:
            check_json_type(http)
            text = text_of(read_body(http))
            given = items_of(parse_json(text))
        except BadBody as error:
            raise Refused(error.status, error.code, str(error)) from error
        connection = connection_of(request)

        def act() -> idempotency.Answer:
            return idempotency.Answer(200, _report(self.form, self.known_fields, connection, given, at))

        key = http.headers.get("Idempotency-Key")
        answer = act() if key is None else self._once(connection, key, f"{http.path}\n{text}", at, act)
        response = HttpResponse(answer.text, content_type="application/json", status=answer.status)
        if answer.is_replayed:
            response["Idempotency-Replayed"] = "true"
        return response

    def _once(
        self,
        connection: Connection,
        key: str,
        said: str,
        at: datetime,
        act: Callable[[], idempotency.Answer],
    ) -> idempotency.Answer:
        if not key or len(key) > idempotency.MAX_KEY or not (key.isascii() and key.isprintable()):
            raise Refused(
                400,
                "bad_idempotency_key",
                _("Idempotency-Key must be 1 to %(most)d printable ASCII signs.")
                % {"most": idempotency.MAX_KEY},
                "Idempotency-Key",
            )
        try:
            return idempotency.once(connection, key, inbox.digest_of(said), at, act)
        except idempotency.KeyReused:
            raise Refused(
                status.HTTP_422_UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                _(
                    "This Idempotency-Key came with another request within the last week. "
                    "Use a new key for a new request."
                ),
                "Idempotency-Key",
            ) from None


def connection_of(request: Request) -> Connection:
    token: Any = request.auth
    connection: Connection = token.connection
    return connection


def items_of(body: object) -> list[Any]:
    """The items of a body: {"items": [...]} or the list alone.

    Raises BadBody.
    """
    if isinstance(body, dict):
        unknown = [name for name in body if name != "items"]
        if unknown:
            raise BadBody(
                400,
                "bad_shape",
                _('“%(name)s” is not a field of the body; send {"items": [...]}.')
                % {"name": unknown[0][:40]},
            )
        body = body.get("items")
    if not isinstance(body, list):
        raise BadBody(400, "bad_shape", _('Send {"items": [...]} with 1 to 100 items.'))
    if not body:
        raise BadBody(400, "bad_shape", _("items is empty; send 1 to 100 items."))
    if len(body) > MAX_ITEMS:
        raise BadBody(
            422,
            "too_many_items",
            _("There are %(count)d items; at most %(most)d are taken at once.")
            % {"count": len(body), "most": MAX_ITEMS},
        )
    return body


def _report(
    form: str, known: Sequence[str], connection: Connection, given: Sequence[Any], at: datetime
) -> str:
    """Check, put down, answer: the text of the answer."""
    checked = check_against_rows(
        [check_item(form, known, connection, item, at) for item in given], connection
    )
    receipts = inbox.receive(connection, [one.arrival for one in checked], at)
    settled = _settled(connection, checked, receipts) if form == "fact" else {}
    results = [
        _result(one, receipt, settled.get(one.key)) for one, receipt in zip(checked, receipts, strict=True)
    ]
    body = {"received_at": at.astimezone(UTC).isoformat(), "items": results}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def check_item(
    form: str, known: Sequence[str], connection: Connection, item: object, at: datetime
) -> Checked:
    """What can be said of an item without looking at any row."""
    body = json.dumps(item, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str)
    try:
        digest = inbox.digest_of(body)
    except UnicodeEncodeError:
        body = json.dumps(item, separators=(",", ":"), sort_keys=True, default=str)
        digest = inbox.digest_of(body)
    key = _given_key(item)
    arrival = Arrival(remote_key=f"{form}:{key}", form=form, body=body, digest=digest)
    checked = Checked(key, arrival, None)
    if len(body) > MAX_ITEM:
        return checked.refused([Problem("", _("is larger than %(most)d KB") % {"most": MAX_ITEM // 1024})])
    shop = connection.shop.code if connection.shop else ""
    try:
        said = _read(form, item, shop)
    except Untranslatable as error:
        return checked.refused(error.problems)
    problems = [*_ahead(said, at), *matching.elsewhere(said, shop)]
    if problems:
        return checked.refused(problems)
    warnings = tuple(items.ignored(item, known)) if isinstance(item, dict) else ()
    return _keyed(replace(checked, said=said, warnings=warnings), item)


def _read(form: str, item: object, shop: str) -> Said:
    return items.read_order(item, shop=shop) if form == "order" else items.read_fact(item, shop=shop)


def _given_key(item: object) -> str:
    key = item.get("key") if isinstance(item, dict) else None
    try:
        return items.as_key(key) if key is not None else ""
    except ValueError:
        return ""


def _keyed(checked: Checked, item: Any) -> Checked:
    """The item under its own key, or under one made of its content.

    A sender without keys may stamp the same event a fraction of a second apart: what happened within one second
    with the same content is the same event.
    """
    if checked.key:
        return checked
    arrival = checked.arrival
    if isinstance(checked.said, FactItem):
        second = checked.said.occurred_at.replace(microsecond=0)
        rest = {name: value for name, value in item.items() if name not in {"occurred_at", "key"}}
        text = json.dumps([rest, second.isoformat()], ensure_ascii=False, sort_keys=True, default=str)
        digest = inbox.digest_of(text)
        key = f"{digest[:32]}@{second:%Y%m%dT%H%M%SZ}"
    else:
        digest, key = arrival.digest, arrival.digest[:32]
    return replace(
        checked, key=key, arrival=replace(arrival, digest=digest, remote_key=f"{arrival.form}:{key}")
    )


def _ahead(said: Said, at: datetime) -> list[Problem]:
    named: dict[str, datetime | None] = (
        {"occurred_at": said.occurred_at}
        if isinstance(said, FactItem)
        else {"placed_at": said.placed_at, "changed_at": said.changed_at}
    )
    return [
        Problem(name, _("lies more than 10 minutes in the future; check the sender's clock and the offset"))
        for name, moment in named.items()
        if moment is not None and moment > at + AHEAD
    ]


def check_against_rows(checked: Sequence[Checked], connection: Connection) -> list[Checked]:
    """Refuse what names a shop, a warehouse or an order that does not exist. A few queries for any number of items."""
    said = [one.said for one in checked]
    refs = [one.order for one in said if isinstance(one, FactItem)]
    masters = matching.Masters.of([one for one in said if isinstance(one, OrderReport)], refs)
    numbers = matching.known_numbers(refs)
    shop = connection.shop.code if connection.shop else ""
    found = []
    for one in checked:
        try:
            if isinstance(one.said, OrderReport):
                matching.check_order(one.said, masters)
            elif one.said is not None:
                matching.check_ref(one.said.order, masters, numbers, shop)
            found.append(one)
        except Untranslatable as error:
            found.append(one.refused(error.problems))
    return found


def _settled(
    connection: Connection, checked: Sequence[Checked], receipts: Sequence[Receipt]
) -> dict[str, int]:
    """By key: the fact that an earlier copy of a duplicate has become."""
    keys = {
        fact_key(one)
        for one, receipt in zip(checked, receipts, strict=True)
        if receipt.result == inbox.DUPLICATE
    }
    if not keys:
        return {}
    rows = (
        OrderFact.objects.filter(source=connection.slug, key__in=keys)
        .order_by("-pk")
        .values_list("key", "pk")
    )
    found = dict(rows)
    return {one.key: found[fact_key(one)] for one in checked if fact_key(one) in found}


def fact_key(one: Checked) -> str:
    """The key that the item's fact has: its own, or that of its message (integrations/connectors/api_items.py)."""
    own = one.said.key if isinstance(one.said, FactItem) else ""
    return own or one.arrival.remote_key


def _result(one: Checked, receipt: Receipt, fact: int | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"key": one.key, "result": receipt.result}
    if fact is not None:
        answer["fact"] = fact
    if receipt.errors:
        answer["errors"] = _plain(receipt.errors)
    if one.warnings:
        answer["warnings"] = _plain(one.warnings)
    return answer


def _plain(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"field": one.field[:200], "error": one.error} for one in problems]


class Facts(ReportView):
    form = "fact"
    known_fields = items.FACT_FIELDS

    @extend_schema(**FACTS)
    def post(self, request: Request) -> HttpResponse:
        return self.take(request)


class Orders(ReportView, OrderList):
    """/api/v1/orders/: reports in, lists out."""

    form = "order"
    known_fields = items.ORDER_FIELDS

    @extend_schema(**ORDERS)
    def post(self, request: Request) -> HttpResponse:
        return self.take(request)


def nothing_here(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Every other address under /api/: programs get JSON, also when they are lost."""
    detail = (
        _("%(path)s is not an address of this API; /api/v1/docs/ lists them.")
        if request.path.endswith("/")
        else _("%(path)s is not an address of this API; addresses end in a slash. /api/v1/docs/ lists them.")
    )
    return JsonResponse(error_body("not_found", detail % {"path": request.path}), status=404)
