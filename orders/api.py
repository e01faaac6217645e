"""Orders as other systems read them, and how every API view of the house answers. Nothing here writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.timezone import now
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import exceptions, serializers, status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.explain import explain
from orders.models import Order, OrderFact, OrderHold, OrderLine, OrderStep, Parcel
from orders.stages import Stage

MAX_PAGE = 100
MAX_PK = 2**62
# An order with more facts than this is a fault of some source; the newest are shown.
MAX_TIMELINE = 1000


class Refused(exceptions.APIException):
    """A request that cannot be served, with a code for programs and a sentence for people."""

    def __init__(self, status_code: int, code: str, detail: str, field: str = "") -> None:
        super().__init__(detail, code)
        self.status_code = status_code
        self.field = field


class OnlyJson(BaseContentNegotiation):
    """Whatever the sender says it accepts: there is only JSON, and a 406 would help nobody."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def error_body(code: str, detail: str, field: str = "") -> dict[str, str]:
    """The one shape of every error answer."""
    return {"error": code, "detail": detail, **({"field": field} if field else {})}


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, Http404):
        error = exceptions.NotFound(_("There is nothing of this name that this token may see."))
    if not isinstance(error, exceptions.APIException):
        return None
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    codes = error.get_codes()
    body = error_body(str(codes), str(error.detail), getattr(error, "field", ""))
    return Response(body, status=error.status_code, headers=headers)


class HubView(APIView):
    """A view of the API: JSON only, one shape of errors, a token of some connection."""

    content_negotiation_class = OnlyJson

    def get_exception_handler(self) -> Any:
        return answer_error


class ErrorSerializer(serializers.Serializer[Any]):
    error = serializers.CharField(help_text="A short code for programs, like not_authenticated.")
    detail = serializers.CharField(help_text="What is wrong, why, and what to do, for people.")
    field = serializers.CharField(required=False, help_text="The part of the request it is about.")


def refusals(*codes: int) -> dict[int, OpenApiResponse]:
    """The error answers of an operation, for its schema."""
    return {code: OpenApiResponse(ErrorSerializer, description=REFUSALS[code]) for code in codes}


REFUSALS = {
    400: "The request cannot be read: broken JSON, a wrong parameter. The detail says where.",
    401: "No token, or one that is not known or revoked.",
    403: "The token may not do this, or its connection is switched off.",
    404: "There is nothing of this name that this token may see.",
    405: "This address does not take this method.",
    409: "The same id was used before for other content.",
    410: "The connection is switched off; stop sending.",
    411: "The body comes in chunks; Content-Length is needed.",
    413: "The body is too large. Send fewer items at once.",
    415: "The body is not JSON, or it is compressed.",
    422: "The idempotency key was used before for another request, or there are too many items.",
    429: "Too many requests. Retry-After says when to go on.",
    503: "This side is not set up right; its operator can see why. Try again later.",
}


class UtcField(serializers.DateTimeField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)


class PlainDecimal(serializers.DecimalField):
    """A decimal as text, without zeros at the end: "6", "0.5"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=None, decimal_places=None, normalize_output=True, **kwargs)


class AxesSerializer(serializers.ModelSerializer[Order]):
    exception = serializers.CharField(source="case_mark")

    class Meta:
        model = Order
        fields = ("payment", "invoice", "intent", "exception")


class PartialSerializer(serializers.ModelSerializer[Order]):
    of = serializers.CharField(source="partial_of", help_text="shipped or delivered")
    done = PlainDecimal(source="partial_done")
    total = PlainDecimal(source="partial_total")

    class Meta:
        model = Order
        fields = ("of", "done", "total")


class FlagsSerializer(serializers.ModelSerializer[Order]):
    partial = serializers.SerializerMethodField()  # type: ignore[assignment]
    conflict = serializers.BooleanField(source="has_conflict")
    held = serializers.BooleanField(source="is_held")
    rush = serializers.BooleanField(source="is_rush")
    test = serializers.BooleanField(source="is_test")
    demo = serializers.BooleanField(source="is_demo")
    stalled_since = UtcField(source="stalled_at", allow_null=True)

    class Meta:
        model = Order
        fields = ("partial", "conflict", "held", "rush", "test", "demo", "promise_risk", "stalled_since")

    @extend_schema_field(PartialSerializer(allow_null=True))
    def get_partial(self, order: Order) -> PartialSerializer | None:
        return PartialSerializer(order).data if order.partial_of else None  # type: ignore[return-value]


class SummarySerializer(serializers.ModelSerializer[Order]):
    shop = serializers.CharField(source="shop.code")
    warehouse = serializers.CharField(source="warehouse.code", default=None, allow_null=True)
    customer = serializers.CharField(source="customer.code", default=None, allow_null=True)
    total = PlainDecimal(allow_null=True)
    axes = AxesSerializer(source="*")
    flags = FlagsSerializer(source="*")
    placed_at = UtcField(allow_null=True)
    stage_since = UtcField()
    step_due_at = UtcField(allow_null=True)
    promised_at = UtcField(allow_null=True)
    settled_through = UtcField(
        allow_null=True, help_text="Everything received up to this moment is in the answer."
    )

    class Meta:
        model = Order
        fields = (
            "number", "shop", "external_id", "placed_at", "currency", "total", "customer", "warehouse", "region",
            "country", "stage", "stage_since", "is_open", "axes", "flags", "waybill", "next_step", "step_due_at",
            "confirmed_on", "promised_at", "settled_through",
        )  # fmt: skip


class LineSerializer(serializers.ModelSerializer[OrderLine]):
    price = PlainDecimal(allow_null=True)
    ordered = PlainDecimal()
    cancelled = PlainDecimal()
    locked = PlainDecimal()
    picked = PlainDecimal()
    packed = PlainDecimal()
    shipped = PlainDecimal()
    delivered = PlainDecimal()

    class Meta:
        model = OrderLine
        fields = (
            "sku", "name", "unit", "price", "ordered", "cancelled", "locked", "picked", "packed", "shipped",
            "delivered",
        )  # fmt: skip


class ParcelSerializer(serializers.ModelSerializer[Parcel]):
    state_at = UtcField()
    contents = serializers.DictField(
        child=serializers.CharField(), help_text="Units per article; empty = whatever no other parcel names."
    )

    class Meta:
        model = Parcel
        fields = ("waybill", "carrier", "state", "state_at", "contents")


class StepSerializer(serializers.ModelSerializer[OrderStep]):
    opened_at = UtcField()
    due_at = UtcField(allow_null=True)
    done_at = UtcField(allow_null=True)

    class Meta:
        model = OrderStep
        fields = ("step", "state", "owner", "opened_at", "due_at", "done_at", "evidence")


class HoldSerializer(serializers.ModelSerializer[OrderHold]):
    set_at = UtcField()
    until = UtcField(allow_null=True)

    class Meta:
        model = OrderHold
        fields = ("name", "owner", "reason", "set_at", "until")


class FactSerializer(serializers.ModelSerializer[OrderFact]):
    quantity = PlainDecimal(allow_null=True)
    occurred_at = UtcField()
    received_at = UtcField()
    # Personal data are in no fact: "contact" in data is the id of a row that this API does not open.
    data = serializers.DictField(child=serializers.JSONField())  # type: ignore[assignment]

    class Meta:
        model = OrderFact
        fields = (
            "id", "kind", "source", "role", "key", "level_id", "quantity", "occurred_at", "received_at", "data",
        )  # fmt: skip


class DetailSerializer(SummarySerializer):
    lines = LineSerializer(many=True)
    parcels = ParcelSerializer(many=True)
    steps = StepSerializer(many=True)
    holds = HoldSerializer(many=True)
    conflicts = serializers.ListField(child=serializers.DictField())
    why = serializers.SerializerMethodField(help_text="For each answer: the rule and the facts behind it.")
    timeline = serializers.SerializerMethodField(help_text="The order's facts as they happened.")

    class Meta(SummarySerializer.Meta):
        fields = (  # type: ignore[assignment]
            *SummarySerializer.Meta.fields,
            "remark", "lines", "parcels", "steps", "holds", "conflicts", "why", "timeline",
        )  # fmt: skip

    def get_why(self, order: Order) -> dict[str, Any]:
        return explain(order, self.context["at"])

    @extend_schema_field(FactSerializer(many=True))
    def get_timeline(self, order: Order) -> FactSerializer:
        newest = list(OrderFact.objects.timeline(order).reverse()[:MAX_TIMELINE])
        return FactSerializer(newest[::-1], many=True).data  # type: ignore[return-value]


class PageSerializer(serializers.Serializer[Any]):
    items = SummarySerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="Give it as `after` for the next page; null = no more."
    )


def readable(request: Request) -> QuerySet[Order]:
    """The orders that the request's token may read: those of its connection's shop, or all if that has none.

    Raises Refused if the token may not read at all.
    """
    # An ApiToken, which this room knows only by what it may do.
    token: Any = request.auth
    if token is None or not token.may_read:
        raise Refused(
            status.HTTP_403_FORBIDDEN,
            "may_not_read",
            _("This token may only report. Tick “may read orders” on it."),
        )
    orders = Order.objects.select_related("shop", "warehouse", "customer")
    shop_id = token.connection.shop_id
    return orders if shop_id is None else orders.filter(shop_id=shop_id)


def _bad(name: str, detail: str) -> Refused:
    return Refused(status.HTTP_400_BAD_REQUEST, "bad_parameter", detail, name)


def read_time(name: str, text: str) -> datetime:
    """A time with offset out of a query string, where a bare + has become a blank."""
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _bad(
            name, _("%(name)s must be an ISO time with offset, like 2026-03-01T01:30:00Z.") % {"name": name}
        )
    return moment


def read_number(name: str, text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and 1 <= int(text) <= most):
        raise _bad(
            name, _("%(name)s must be a whole number from 1 to %(most)d.") % {"name": name, "most": most}
        )
    return int(text)


def read_flag(name: str, text: str) -> bool:
    if text not in {"0", "1"}:
        raise _bad(name, _("%(name)s must be 0 or 1.") % {"name": name})
    return text == "1"


LIST_PARAMETERS = [
    OpenApiParameter("shop", str, description="Code of the shop."),
    OpenApiParameter("stage", str, enum=Stage.values),
    OpenApiParameter("open", str, enum=["0", "1"], description="1 = orders that still wait for something."),
    OpenApiParameter(
        "updated_after",
        datetime,
        description="Orders with facts received after this moment, in the sequence in which they changed.",
    ),
    OpenApiParameter("after", str, description="`next` of the page before."),
    OpenApiParameter("limit", int, description=f"Orders a page, at most {MAX_PAGE}; 50 if not given."),
]


def page_of(request: Request) -> dict[str, Any]:
    """One page of the orders a token may read, by the parameters of LIST_PARAMETERS: oldest first, or longest unchanged."""
    orders, given = readable(request), request.query_params.dict()
    known = [parameter.name for parameter in LIST_PARAMETERS]
    for name in given:
        if name not in known:
            raise _bad(
                name,
                _("%(name)s is not a parameter; there are %(known)s.")
                % {"name": name, "known": ", ".join(known)},
            )
    if "shop" in given:
        if not given["shop"].isprintable():
            raise _bad("shop", _("shop must be the code of a shop."))
        orders = orders.filter(shop__code=given["shop"])
    if "stage" in given:
        if given["stage"] not in Stage.values:
            raise _bad("stage", _("stage must be one of %(stages)s.") % {"stages": ", ".join(Stage.values)})
        orders = orders.filter(stage=given["stage"])
    if "open" in given:
        orders = orders.filter(is_open=read_flag("open", given["open"]))
    by_change = "updated_after" in given
    orders = changed_orders(orders, given) if by_change else orders.order_by("pk")
    if "after" in given and not by_change:
        orders = orders.filter(pk__gt=read_number("after", given["after"], most=MAX_PK))
    limit = read_number("limit", given.get("limit", "50"), most=MAX_PAGE)
    found = list(orders[: limit + 1])
    page = found[:limit]
    more = _mark(page[-1], by_change=by_change) if len(found) > limit else None
    return {"items": SummarySerializer(page, many=True).data, "next": more}


def changed_orders(orders: QuerySet[Order], given: dict[str, str]) -> QuerySet[Order]:
    """Those with facts received after `updated_after`, in the sequence of their last change, from `after` on.

    Walked by id instead, a database would read every order there is to find the few that changed of late.
    """
    orders = orders.filter(settled_through__gt=read_time("updated_after", given["updated_after"]))
    orders = orders.order_by("settled_through", "pk")
    if "after" not in given:
        return orders
    moment, _comma, pk = given["after"].partition(",")
    at, beyond = read_time("after", moment), read_number("after", pk, most=MAX_PK)
    return orders.filter(Q(settled_through__gt=at) | Q(pk__gt=beyond), settled_through__gte=at)


def _mark(order: Order, *, by_change: bool) -> str:
    if by_change and order.settled_through is not None:
        # Z and not +00:00: a + in an address is a blank.
        return f"{order.settled_through.astimezone(UTC).replace(tzinfo=None).isoformat()}Z,{order.pk}"
    return str(order.pk)


class OrderList(HubView):
    """The reading half of /api/v1/orders/."""

    @extend_schema(
        operation_id="list_orders",
        summary="List orders",
        tags=["orders"],
        parameters=LIST_PARAMETERS,
        responses={200: PageSerializer, **refusals(400, 401, 403, 429)},
    )
    def get(self, request: Request) -> Response:
        return Response(page_of(request))


class OrderDetail(HubView):
    @extend_schema(
        operation_id="read_order",
        summary="Read one order",
        description="Stage, axes and flags, why they are so, and the timeline of facts.",
        tags=["orders"],
        responses={200: DetailSerializer, **refusals(401, 403, 404, 429)},
    )
    def get(self, request: Request, number: str) -> Response:
        orders = readable(request).prefetch_related("lines", "parcels", "steps", "holds")
        # No order is called so, and PostgreSQL would not even look for a NUL.
        order = orders.filter(number=number.upper()).first() if number.isprintable() else None
        if order is None:
            raise Http404
        return Response(DetailSerializer(order, context={"at": now()}).data)
