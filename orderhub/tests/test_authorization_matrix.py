"""Every address x everybody x every method, against a table that a person has approved.

After a deliberate change: ORDERHUB_APPROVE_MATRIX=1 pytest orderhub/tests/test_authorization_matrix.py -p no:randomly
rewrites authorization.tsv (without xdist); read its diff before committing it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver

from integrations import tokens
from integrations.models import (
    Connection,
    FieldMapping,
    FieldMappingVersion,
    ImportRowError,
    ImportRun,
    InboundMessage,
    UnmappedValue,
)
from orders.access import ROLES
from orders.models import (
    Contact,
    Order,
    OrderHold,
    OrderStep,
    Parcel,
    PrecedenceVersion,
    SourceHeard,
    StockEntry,
    StockItem,
    StockLock,
    Todo,
    WorkCalendar,
)
from orders.people import visible
from orders.precedence import DEFAULT_RULES
from orders.tests.factories import MONDAY, make_customer, make_order, make_shop, make_warehouse
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

APPROVED = Path(__file__).with_name("authorization.tsv")
APPROVING = os.environ.get("ORDERHUB_APPROVE_MATRIX") == "1"
METHODS = ("GET", "POST", "PUT", "DELETE")
ACTORS = ("anonymous", "half", "no_permissions", *ROLES, "elsewhere", "superuser", "token")
# What PUT and DELETE may do depends on nothing that differs between roles.
ALL_METHODS = {"anonymous", "half", "no_permissions", "superuser", "token"}
# Reached before a login is whole.
OPEN_ADMIN = {
    "admin/login/",
    "admin/second-factor/",
    "admin/second-factor/set-up/",
    "admin/second-factor/leave/",
}
# A script asks there, not a person: it gets a plain refusal instead of the way to the login.
REFUSED = {"admin/live/": "401"}
CSRF_EXEMPT = {
    "api/v1/facts/",
    "api/v1/orders/",
    "api/v1/orders/<str:number>/",
    "api/v1/schema/",
    "api/v1/docs/",
    "api/v1/redoc/",
    "hooks/<str:slug>/",
    "log/witness/add-checkpoint",
    # Asks whether a file is genuine, for whoever it is, and changes nothing.
    "v/file/",
}
# A reader leaves these behind: its session, its token's last use, and the looks that are meant to be recorded.
READING_WRITES = ("django_session", "integrations_apitoken", "django_content_type")


def addresses(resolver: URLResolver | None = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every address pattern of the installation with its view."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from addresses(entry, route)
        else:
            yield route, entry


class World:
    """Two sides that have nothing in common, a row of every kind on the north side, and the people who look."""

    def __init__(self) -> None:
        self.north, self.south = self.side("north"), self.side("south")
        PrecedenceVersion.objects.get_or_create(
            number=99, defaults={"rules": DEFAULT_RULES, "note": "n", "made_at": MONDAY}
        )
        WorkCalendar.objects.create(name="days", week=[[]] * 7)
        SourceHeard.objects.create(source="north-erp", role="erp", heard_at=MONDAY)
        self.scoped = make_staff("sales", shops=(self.north.shop,), warehouses=(self.north.warehouse,))

    def side(self, name: str) -> Order:
        warehouse = make_warehouse(f"{name}-wh")
        shop = make_shop(name, warehouse=warehouse)
        order = make_order(shop=shop)
        contact = Contact.objects.keep({"name": name, "phone": "13800001111"})
        customer = make_customer(f"{name}-customer")
        Order.objects.filter(pk=order.pk).update(warehouse=warehouse, contact=contact, customer=customer)
        item = StockItem.objects.create(warehouse=warehouse, sku="BRK-001", on_hand=9, counted_at=MONDAY)
        StockEntry.objects.create(item=item, kind="count", key=name, at=MONDAY)
        StockLock.objects.create(order=order, item=item, quantity=1, locked_at=MONDAY)
        Todo.objects.create(order=order, kind="request", owner="sales", opened_at=MONDAY)
        Parcel.objects.get_or_create(
            order=order, waybill=f"SF{name}", defaults={"state": "created", "state_at": MONDAY}
        )
        OrderHold.objects.get_or_create(order=order, name="credit", defaults={"set_at": MONDAY})
        OrderStep.objects.get_or_create(
            order=order, step="date", defaults={"state": "open", "owner": "sales", "opened_at": MONDAY}
        )
        mapping = FieldMapping.objects.create(name=name, definition={})
        FieldMappingVersion.objects.get_or_create(
            mapping=mapping, number=7, defaults={"definition": {}, "saved_at": MONDAY}
        )
        source = Connection.objects.create(
            slug=name, label=name, connector="webhook", role="shop", shop=shop, mapping=mapping
        )
        run = ImportRun.objects.create(
            connection=source,
            mapping=mapping,
            mapping_version=1,
            file_name="f.csv",
            digest="0" * 64,
            started_at=MONDAY,
        )
        ImportRowError.objects.create(run=run, row=1, error="e")
        InboundMessage.objects.create(
            connection=source,
            remote_key="k",
            form="fact",
            body="{}",
            digest="0" * 64,
            received_at=MONDAY,
            state="failed",
        )
        UnmappedValue.objects.create(
            connection=source, field="f", value="v", first_seen_at=MONDAY, last_seen_at=MONDAY
        )
        return Order.objects.get(pk=order.pk)

    def row_of(self, route: str) -> models.Model | None:
        """The north side's row that an admin address of this record kind would name."""
        parts = route.split("/")
        if route.startswith("admin/board/") or "<int:order_id>" in route:
            return self.north
        if route.startswith("admin/connections/"):
            return Connection.objects.get(slug="north")
        for model in admin.site._registry:
            if len(parts) > 2 and (model._meta.app_label, model._meta.model_name) == (parts[1], parts[2]):
                rows = model._default_manager.order_by("pk")
                with_scope = getattr(admin.site._registry[model], "scope_path", None)
                return (
                    visible(rows, self.scoped, path=with_scope) if with_scope is not None else rows
                ).first()
        return None

    def address(self, route: str) -> str:
        """The route with its gaps filled in."""
        row = self.row_of(route)
        key = str(row.pk) if row else "1"
        known = {
            "object_id": key, "pk": key, "order_id": key, "id": key, "slug": "north", "action": "date",
            "app_label": "orders", "url": "no-such-page/", "rest": "no-such-page/", "kind": "webhook", "to": "stock",
        }  # fmt: skip
        if not route.startswith("admin/"):
            known["number"] = self.north.number
        route = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", route).replace("^", "").replace("$", "")
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda gap: known.get(gap[1], "1"), route)

    def client(self, actor: str) -> tuple[Client, dict[str, str]]:
        """A browser (or a system) of this actor, and the headers it sends."""
        mine = {"shops": (self.north.shop,), "warehouses": (self.north.warehouse,)}
        client = Client(raise_request_exception=False)
        if actor == "half":
            client.force_login(make_staff("ops_manager", **mine))
        elif actor == "no_permissions":
            log_in(client, make_staff(**mine))
        elif actor in ROLES:
            log_in(client, make_staff(actor, **mine))
        elif actor == "elsewhere":
            log_in(client, self.elsewhere())
        elif actor == "superuser":
            log_in(client, User.objects.create_superuser("root"))
        elif actor == "token":
            clear = tokens.make(Connection.objects.get(slug="north"), "t", may_read=True)
            return client, {"Authorization": f"Token {clear}"}
        return client, {}

    def elsewhere(self) -> User:
        """Every permission there is, but the row scope of the south side."""
        user = make_staff(shops=(self.south.shop,), warehouses=(self.south.warehouse,))
        user.user_permissions.set(Permission.objects.exclude(codename="see_all_orders"))
        return user


@pytest.fixture
def world(settings) -> Iterator[World]:
    # Everybody asks from one address, in one minute that stands still.
    settings.VERIFY_PER_MINUTE = settings.VERIFY_PER_MINUTE_IN_ALL = 1_000_000
    with time_machine.travel(datetime(2026, 6, 1, 2, 0, tzinfo=UTC), tick=False):
        yield World()


def ask(client: Client, method: str, address: str, headers: dict[str, str]) -> tuple[int, list[str]]:
    """The status, and the statements that wrote. Whatever the request changed is taken back."""
    client.raise_request_exception = False
    cookies = client.cookies.copy()
    # Django keeps the newest 9,000 statements of a connection and warns about the rest.
    connection.queries_log.clear()
    with transaction.atomic():
        with CaptureQueriesContext(connection) as queries:
            body = (
                {"data": "{}", "content_type": "application/json"}
                if address.startswith(("/api/", "/hooks/"))
                else {}
            )
            answer = client.generic(method, address, headers=headers, **body)
        transaction.set_rollback(True)
    client.cookies = cookies
    writes = [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    return answer.status_code, writes


def methods_of(actor: str) -> tuple[str, ...]:
    return METHODS if actor in ALL_METHODS else METHODS[:2]


def read_approved() -> dict[tuple[str, str], dict[str, str]]:
    if not APPROVED.exists():
        return {}
    with APPROVED.open(encoding="utf-8", newline="") as file:
        return {(row["address"], row["method"]): row for row in csv.DictReader(file, delimiter="\t")}


def write_approved(actor: str, found: dict[tuple[str, str], int]) -> None:
    table = read_approved()
    kept = {
        key: table.get(key, {})
        for route, _entry in addresses()
        for method in METHODS
        if (key := (route, method))
    }
    for key, row in kept.items():
        row[actor] = str(found.get(key, "-"))
    with APPROVED.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["address", "method", *ACTORS])
        for (route, method), row in sorted(kept.items()):
            writer.writerow([route, method, *(row.get(name, "-") for name in ACTORS)])


@pytest.mark.parametrize("actor", ACTORS)
def test_every_address_answers_as_approved(world, actor):
    client, headers = world.client(actor)
    found: dict[tuple[str, str], int] = {}
    written: dict[str, list[str]] = {}
    for route, _entry in addresses():
        address = world.address(route)
        for method in methods_of(actor):
            status, writes = ask(client, method, address, headers)
            found[route, method] = status
            if method == "GET" and (
                bad := [sql for sql in writes if not any(name in sql for name in READING_WRITES)]
            ):
                written[address] = bad

    if APPROVING:
        write_approved(actor, found)
    approved = {key: row.get(actor, "missing") for key, row in read_approved().items()}
    asked = {key: str(status) for key, status in found.items()}
    surprises = {
        " ".join(reversed(key)): f"{approved.get(key, 'not in the table')} -> {status}"
        for key, status in asked.items()
        if approved.get(key) != status
    }
    assert surprises == {}
    assert {key for key in approved if approved[key] != "-"} == set(asked)
    assert written == {}, "a GET changed rows"
    assert not [key for key, status in found.items() if status >= 500 and "readyz" not in key[0]]


def column(actor: str) -> dict[tuple[str, str], str]:
    return {key: row[actor] for key, row in read_approved().items() if row[actor] != "-"}


@pytest.mark.parametrize("actor", ["anonymous", "half", "token"])
def test_the_approved_table_lets_nobody_into_the_admin_without_a_whole_login(actor):
    inside = {
        key: status
        for key, status in column(actor).items()
        if key[0].startswith("admin/") and key[0] not in OPEN_ADMIN and status != REFUSED.get(key[0], "302")
    }

    assert inside == {}


def test_the_approved_table_shows_nobody_the_other_side():
    named = {
        key: status
        for key, status in column("elsewhere").items()
        if key[0].startswith(("admin/orders/order/<", "admin/orders/contact/<", "admin/orders/parcel/<"))
    }

    shown = {key: status for key, status in named.items() if status not in {"302", "403", "404", "405"}}
    assert named
    assert shown == {}
    assert column("elsewhere")["admin/orders/order/<path:object_id>/change/", "GET"] == "404"


def test_the_approved_table_lets_nobody_delete_what_only_grows():
    for kind in ("orderfact", "orderevent", "auditentry", "stockentry"):
        for actor in ACTORS:
            for method in methods_of(actor):
                status = column(actor).get((f"admin/orders/{kind}/<path:object_id>/delete/", method))
                assert status in {None, "302", "403", "404"}, (kind, actor, method)
                if actor in {"superuser", *ROLES} and status:
                    assert status in {"403", "404"}, (kind, actor, method)


def test_only_machines_ways_in_and_a_question_of_strangers_go_without_a_csrf_token():
    assert {
        route for route, entry in addresses() if getattr(entry.callback, "csrf_exempt", False)
    } == CSRF_EXEMPT


def test_every_admin_action_names_its_permissions():
    for model, model_admin in admin.site._registry.items():
        for name in model_admin.actions or ():
            function, _name, _label = model_admin.get_action(name)
            assert getattr(function, "allowed_permissions", None), f"{model.__name__}: {name}"


def test_no_admin_action_is_a_link():
    """Unfold's list, row and detail actions are links: a GET that acts."""
    for model, model_admin in admin.site._registry.items():
        for kind in ("actions_list", "actions_row", "actions_detail"):
            assert not getattr(model_admin, kind, ()), f"{model.__name__}: {kind}"


def test_every_admin_address_sends_a_stranger_to_the_login(world):
    client = Client()
    for route, _entry in addresses():
        if route == "admin/live/":
            assert [client.generic(method, f"/{route}").status_code for method in METHODS] == [401] * 4
        elif route.startswith("admin/") and route not in OPEN_ADMIN:
            for method in METHODS:
                answer = client.generic(method, world.address(route))
                # Django sends whoever logs out without being in to the index, which sends on to the login.
                expected = (
                    "/admin/" if route == "admin/logout/" else f"/admin/login/?next={world.address(route)}"
                )
                assert (answer.status_code, answer["Location"]) == (302, expected), f"{method} {route}"


def test_the_locks_of_the_login_are_switched_on():
    assert "axes.backends.AxesStandaloneBackend" in settings.AUTHENTICATION_BACKENDS
    assert "orderhub.middleware.whole_login" in settings.MIDDLEWARE
    assert settings.MIDDLEWARE.index("orderhub.middleware.whole_login") == 1 + settings.MIDDLEWARE.index(
        "django_otp.middleware.OTPMiddleware"
    )
    assert settings.AXES_FAILURE_LIMIT <= 10
