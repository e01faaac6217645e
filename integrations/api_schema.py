"""The shapes of the reporting half of the API, for its schema. The checking itself is integrations/items.py."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from orders.api import refusals
from orders.contacts import FIELDS as CONTACT_FIELDS
from orders.stages import FACT_KINDS


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "integrations.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "Authorization: Token, a blank, and the token that the admin showed once.",
        }


DECIMAL = r"^[0-9]{1,11}(\.[0-9]{1,4})?$"


@extend_schema_field(
    {"oneOf": [{"type": "string", "pattern": DECIMAL}, {"type": "number", "minimum": 0}], "example": "2"}
)
class DecimalText(serializers.CharField):
    """A decimal as text or number."""


@extend_schema_field({"oneOf": [{"type": "string", "maxLength": 80}, {"type": "integer"}], "example": "1001"})
class IdText(serializers.CharField):
    """An id: text, or a whole number, which is taken digit by digit."""


class RefSerializer(serializers.Serializer[Any]):
    shop = serializers.CharField(
        required=False, help_text="With external_id; not needed for a shop's own token."
    )
    external_id = IdText(required=False, help_text="The shop's order number.")
    number = serializers.CharField(required=False, help_text="The hub's order number.")
    waybill = IdText(required=False)


class FactLineSerializer(serializers.Serializer[Any]):
    sku = IdText()
    qty = DecimalText(required=False, help_text="Missing = all of it.")


class FactItemSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(
        required=False,
        max_length=128,
        help_text="Your own name for this event; the same key is the same event. Missing = made of the content.",
    )
    kind = serializers.ChoiceField(choices=list(FACT_KINDS))
    occurred_at = serializers.DateTimeField(help_text="With offset; at most 10 minutes ahead.")
    order = RefSerializer(help_text="Exactly one of external_id with shop, number, waybill.")
    lines = FactLineSerializer(
        many=True, required=False, help_text="Missing on a line-level kind = every line in full."
    )
    parcel = IdText(required=False, help_text="The waybill number, on parcel-level kinds.")
    data = serializers.DictField(  # type: ignore[assignment]
        child=serializers.JSONField(),
        required=False,
        help_text="What a kind says beyond that: amount, date, until, name, reason, carrier, fact.",
    )


class FactsBodySerializer(serializers.Serializer[Any]):
    items = FactItemSerializer(many=True, min_length=1, max_length=100)  # type: ignore[call-arg]


class ContactSerializer(serializers.Serializer[Any]):
    """Personal data: encrypted, never shown by this API."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.CharField(required=False, max_length=200) for name in CONTACT_FIELDS}


class OrderLineSerializer(serializers.Serializer[Any]):
    sku = IdText()
    qty = DecimalText()
    name = serializers.CharField(required=False, max_length=200)
    unit = serializers.CharField(required=False, max_length=20)
    price = DecimalText(required=False)


class OrderItemSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(
        required=False,
        max_length=128,
        help_text="Your own name for this version of the order. Missing = made of the content, so that a changed "
        "order is a new version; an order that is changed and changed back needs changed_at.",
    )
    shop = serializers.CharField(
        required=False, help_text="Code of the shop; not needed for a shop's own token."
    )
    external_id = IdText(help_text="The shop's order number.")
    placed_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(required=False, help_text="Set when this is a later version.")
    currency = serializers.CharField(required=False, max_length=3)
    total = DecimalText(required=False)
    customer = IdText(required=False, help_text="Your code of the customer.")
    customer_name = serializers.CharField(required=False, max_length=120, help_text="Of a company.")
    stars = serializers.IntegerField(required=False, min_value=0)
    warehouse = serializers.CharField(required=False)
    region = serializers.CharField(required=False, max_length=40)
    country = serializers.CharField(required=False, max_length=2)
    remark = serializers.CharField(required=False, max_length=2000)
    rush = serializers.BooleanField(required=False)
    test = serializers.BooleanField(required=False)
    payment_terms = serializers.ChoiceField(choices=["prepaid", "credit"], required=False)
    invoice = serializers.ChoiceField(choices=["required", "exempt"], required=False)
    contact = ContactSerializer(required=False)
    lines = OrderLineSerializer(  # type: ignore[call-arg]
        many=True, required=False, max_length=500, help_text="Needed unless changed_at is given."
    )


class OrdersBodySerializer(serializers.Serializer[Any]):
    items = OrderItemSerializer(many=True, min_length=1, max_length=100)  # type: ignore[call-arg]


class ProblemSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    error = serializers.CharField()


class ResultSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    result = serializers.ChoiceField(
        choices=["accepted", "duplicate", "refused"],
        help_text="accepted = stored, settling follows; duplicate = known already; refused = kept for the operator.",
    )
    fact = serializers.IntegerField(required=False, help_text="Of a duplicate that is settled: its fact.")
    errors = ProblemSerializer(many=True, required=False)  # type: ignore[assignment]
    warnings = ProblemSerializer(many=True, required=False)


class ReportedSerializer(serializers.Serializer[Any]):
    received_at = serializers.DateTimeField(help_text="An order's settled_through tells when this is in it.")
    items = ResultSerializer(many=True)


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same body gets the same answer for 7 days, marked Idempotency-Replayed: true.",
)
ANSWERS: dict[int, Any] = {
    200: OpenApiResponse(ReportedSerializer, description="One result per item, in their order."),
    **refusals(400, 401, 403, 411, 413, 415, 422, 429),
}

FACTS: dict[str, Any] = {
    "operation_id": "report_facts",
    "summary": "Report facts",
    "description": "What happened to orders, up to 100 items. The source is the token's connection. "
    "A fact may come before its order.",
    "tags": ["reports"],
    "parameters": [IDEMPOTENCY_KEY],
    "request": {"application/json": FactsBodySerializer},
    "responses": ANSWERS,
    "examples": [
        OpenApiExample(
            "Picked",
            request_only=True,
            value={
                "items": [
                    {
                        "key": "pick-7781",
                        "kind": "pick.done",
                        "occurred_at": "2026-03-01T09:30:00+08:00",
                        "order": {"shop": "tmall", "external_id": "2882310000000000001"},
                        "lines": [{"sku": "BRK-001", "qty": "2"}],
                    }
                ]
            },
        )
    ],
}
ORDERS: dict[str, Any] = {
    "operation_id": "report_orders",
    "summary": "Report orders",
    "description": "New and changed orders, up to 100 items. An order is known by shop and external_id.",
    "tags": ["reports"],
    "parameters": [IDEMPOTENCY_KEY],
    "request": {"application/json": OrdersBodySerializer},
    "responses": ANSWERS,
    "examples": [
        OpenApiExample(
            "New order",
            request_only=True,
            value={
                "items": [
                    {
                        "shop": "tmall",
                        "external_id": "2882310000000000001",
                        "placed_at": "2026-03-01T09:00:00+08:00",
                        "currency": "CNY",
                        "total": "358.00",
                        "lines": [{"sku": "BRK-001", "qty": "2", "price": "179.00"}],
                    }
                ]
            },
        )
    ],
}


class PushSerializer(serializers.Serializer[Any]):
    type = serializers.CharField(help_text="order.created, order.updated, or a kind of fact, like pick.done.")
    timestamp = serializers.DateTimeField(help_text="When it happened, with offset.")
    data = serializers.DictField(  # type: ignore[assignment]
        child=serializers.JSONField(),
        help_text="An order or a fact as the API takes it; with a field mapping, whatever the mapping reads.",
    )


class PushedSerializer(serializers.Serializer[Any]):
    result = serializers.ChoiceField(choices=["accepted", "duplicate"])


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, description=description
    )


PUSH: dict[str, Any] = {
    "operation_id": "push",
    "summary": "Push a signed message",
    "description": "The Standard Webhooks format. The address names the connection, the signature proves the sender.",
    "tags": ["webhooks"],
    "auth": [],
    "parameters": [
        _header("webhook-id", "The message's own name, the same on every attempt."),
        _header("webhook-timestamp", "UNIX seconds of this attempt; at most 5 minutes off."),
        _header("webhook-signature", "v1,<base64 HMAC-SHA256> or v1a,<base64 ed25519> of id.timestamp.body."),
    ],
    "request": {"application/json": PushSerializer},
    "responses": {
        202: OpenApiResponse(PushedSerializer, description="Stored; it is read soon."),
        200: OpenApiResponse(PushedSerializer, description="Known already."),
        **refusals(400, 401, 403, 404, 405, 409, 410, 411, 413, 503),
    },
}
