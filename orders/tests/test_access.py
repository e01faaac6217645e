from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connection
from django.test import Client

from orders.access import ROLES, UnknownPermission, remove_roles, role_label, sync_roles
from orders.append_only import TABLES
from orders.audit import AuditEntry
from orders.models import (
    Contact,
    Customer,
    ExternalReference,
    Order,
    OrderEvent,
    OrderFact,
    OrderLine,
    Shop,
    StockEntry,
    StockItem,
    Todo,
    Warehouse,
)
from orders.people import SCOPE_PATHS, NoScopePath, granted, scopes_kept, visible
from orders.tests.factories import MONDAY, make_customer, make_order, make_shop, make_warehouse
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

STEP_OWNERS = {
    "confirm_date": {"sales"},
    "lock_stock": {"warehouse"},
    "make_waybill": {"logistics"},
    "propose_waybill": {"customs"},
    "issue_invoice": {"finance"},
}


def roles_with(permission: str) -> set[str]:
    return {row.code for row in ROLES.values() if permission in row.may}


def test_the_migration_made_every_role_with_exactly_its_permissions():
    held = {
        group.name: {
            f"{app}.{code}"
            for app, code in group.permissions.values_list("content_type__app_label", "codename")
        }
        for group in Group.objects.all()
    }

    assert held == {row.code: set(row.may) for row in ROLES.values()}


def test_making_the_roles_again_changes_nothing():
    assert sync_roles() == []


def test_a_role_that_was_changed_by_hand_is_put_right():
    Group.objects.get(name="sales").permissions.clear()
    Group.objects.get(name="viewer").delete()

    assert sync_roles() == ["sales", "viewer"]
    assert sync_roles() == []


def test_roles_can_be_taken_back():
    Group.objects.create(name="by hand")

    remove_roles(apps)

    assert list(Group.objects.values_list("name", flat=True)) == ["by hand"]


def test_missing_permissions_are_made_on_a_database_that_has_none():
    Permission.objects.all().delete()

    sync_roles()

    assert Group.objects.get(name="sales").permissions.filter(codename="confirm_date").exists()
    assert Permission.objects.get(codename="confirm_date").name == "Can confirm the delivery date"


def test_a_misspelt_permission_is_named(settings):
    from orders import access

    row = access.RoleRow("x", "X", frozenset({"orders.no_such_thing"}))
    ROLES["x"] = row
    try:
        with pytest.raises(UnknownPermission, match=r"orders\.no_such_thing"):
            sync_roles()
    finally:
        del ROLES["x"]


def test_people_read_labels_not_codes():
    assert str(role_label("ops_manager")) != "ops_manager"
    assert role_label("night crew") == "night crew"


@pytest.mark.parametrize("permission", STEP_OWNERS)
def test_each_step_belongs_to_its_role_alone(permission):
    assert roles_with(f"orders.{permission}") == STEP_OWNERS[permission]


def test_no_role_may_change_or_delete_what_only_grows():
    forbidden = {
        f"{app}.{verb}_{model}"
        for app, model in (table.split("_", 1) for table in TABLES)
        for verb in ("add", "change", "delete")
    }
    forbidden |= {f"orders.{verb}_order" for verb in ("add", "change", "delete")}

    assert {name for row in ROLES.values() for name in row.may} & forbidden == set()
    assert not Permission.objects.filter(
        codename__in={name.split(".")[1] for name in forbidden}
        - {"add_order", "change_order", "delete_order"}
    ).exists()


def test_whoever_reads_only_may_change_nothing():
    for code in ("viewer", "auditor"):
        verbs = {name.split(".")[1].split("_")[0] for name in ROLES[code].may}
        assert verbs <= {"view", "see", "export"}, code


def test_only_some_roles_may_see_phones_and_each_of_them_by_a_permission_of_its_own():
    assert roles_with("orders.reveal_contact") == {"sales", "service", "logistics"}


def test_secrets_and_connections_belong_to_the_integrator():
    assert roles_with("integrations.set_secret") == {"integrator"}
    assert roles_with("integrations.change_connection") == {"integrator"}
    assert roles_with("integrations.read_body") == {"integrator"}


def test_the_audit_log_is_read_by_five_roles_and_exported_by_one():
    assert roles_with("orders.view_auditentry") == {
        "ops_manager",
        "supervisor",
        "integrator",
        "viewer",
        "auditor",
    }
    assert roles_with("orders.export_auditentry") == {"auditor"}


def test_no_role_manages_users():
    assert not {
        name
        for row in ROLES.values()
        for name in row.may
        if name.startswith("auth.") and ".view_" not in name
    }


# Row scope


@pytest.fixture
def two_shops() -> tuple[Order, Order]:
    """One order of the north shop from the north warehouse, one of the south; nothing in common."""
    orders = []
    for side in ("north", "south"):
        warehouse = make_warehouse(f"{side}-wh")
        shop = make_shop(side, warehouse=warehouse)
        order = make_order(shop=shop)
        contact = Contact.objects.keep({"name": side, "phone": "13800000000"})
        Order.objects.filter(pk=order.pk).update(
            warehouse=warehouse, customer=make_customer(f"{side}-customer"), contact=contact, region=side,
            country="CN" if side == "north" else "DE",
        )  # fmt: skip
        item = StockItem.objects.create(warehouse=warehouse, sku="BRK-001", counted_at=MONDAY)
        StockEntry.objects.create(item=item, kind="count", key=side, at=MONDAY)
        Todo.objects.create(order=order, kind="request", owner="sales", opened_at=MONDAY)
        orders.append(Order.objects.get(pk=order.pk))
    return orders[0], orders[1]


@pytest.mark.parametrize(
    "scope",
    [
        {"shops": True},
        {"warehouses": True},
        {"regions": ["north"]},
        {"own_customers": True},
        {"cross_border": True},
    ],
)
def test_each_part_of_a_scope_opens_its_own_orders_only(two_shops, scope):
    north, south = two_shops
    given = (
        {"shops": (north.shop,)}
        if "shops" in scope
        else {"warehouses": (north.warehouse,)}
        if "warehouses" in scope
        else scope
    )
    user = make_staff("sales", **given)
    Customer.objects.filter(code="north-customer").update(owner=user)

    assert list(Order.objects.visible_to(user)) == [south if "cross_border" in scope else north]


def test_parts_of_a_scope_add_up(two_shops):
    north, south = two_shops
    user = make_staff("sales", shops=(north.shop,), warehouses=(south.warehouse,))

    assert set(Order.objects.visible_to(user)) == {north, south}


@pytest.mark.parametrize("label", sorted(label for label, path in SCOPE_PATHS.items() if path is not None))
def test_every_kind_of_row_shows_the_own_side_only(two_shops, label):
    north, _south = two_shops
    rows = apps.get_model(label)._default_manager.all()
    user = make_staff("ops_floor_without_role", shops=(north.shop,), warehouses=(north.warehouse,))
    boss = make_staff(everything=True)
    nobody = make_staff("sales")

    seen, everything = set(visible(rows, user)), set(visible(rows, boss))

    assert everything == set(rows)
    assert set(visible(rows, nobody)) == set()
    assert set(visible(rows, AnonymousUser())) == set()
    assert not any("south" in str(owner_of(row)) for row in seen)
    if everything:
        assert 0 < len(seen) < len(everything)


def owner_of(row: object) -> object:
    """Something that names the side of a row."""
    for path in ("order.shop", "shop", "item.warehouse", "warehouse", "code", "connection"):
        value = row
        for part in path.split("."):
            value = getattr(value, part, None)
        if value:
            return value
    return row


def test_a_row_is_seen_once_however_many_ways_lead_to_it(two_shops):
    north, south = two_shops
    reference = ExternalReference.objects.filter(links__order=north).first()
    reference.links.create(order=south)
    user = make_staff("sales", shops=(north.shop, south.shop), warehouses=(north.warehouse, south.warehouse))

    facts = list(visible(OrderFact.objects.filter(reference=reference), user))

    assert len(facts) == len(set(facts)) > 0


def test_todos_without_an_order_go_to_the_role_they_name(two_shops):
    Todo.objects.create(order=None, kind="unknown_status", subject="X9", owner="integrator", opened_at=MONDAY)

    assert [
        todo.subject for todo in visible(Todo.objects.all(), make_staff("integrator", regions=["none"]))
    ] == ["X9"]
    assert not visible(Todo.objects.all(), make_staff("sales", regions=["none"])).exists()


def test_a_kind_of_row_that_nobody_has_placed_is_shown_to_nobody():
    with pytest.raises(NoScopePath, match=r"contenttypes\.contenttype"):
        visible(apps.get_model("contenttypes.contenttype").objects.all(), make_staff(everything=True))


def test_a_person_without_scope_sees_nothing_and_a_scope_of_nothing_opens_nothing(two_shops):
    for user in (make_staff("sales"), make_staff("sales", regions=[])):
        assert not Order.objects.visible_to(user).exists()
        assert not visible(OrderEvent.objects.all(), user).exists()
        assert not visible(OrderLine.objects.all(), user).exists()


def test_an_inactive_person_sees_nothing(two_shops):
    user = make_staff("sales", everything=True)
    user.is_active = False

    assert not Order.objects.visible_to(user).exists()


def test_the_scope_is_read_once_a_request_and_not_beyond(two_shops, django_assert_num_queries):
    north, south = two_shops
    user = make_staff("sales", shops=(north.shop,))
    user = User.objects.get(pk=user.pk)
    with scopes_kept():
        granted(user)
        with django_assert_num_queries(1):
            assert list(Order.objects.visible_to(user)) == [north]

    user.scope.shops.set([south.shop])

    assert list(Order.objects.visible_to(user)) == [south]


def test_a_keepers_list_is_found_by_index_not_by_reading_every_order(two_shops):
    north, _south = two_shops
    keeper = make_staff("warehouse", warehouses=(north.warehouse,))
    if connection.vendor != "sqlite":
        pytest.skip("On a small table PostgreSQL rightly reads it through.")

    plan = Order.objects.visible_to(keeper).filter(is_open=True).explain()

    assert "INDEX order_open_warehouse" in plan
    assert "SCAN" not in plan


# The admin


@pytest.fixture
def north_client(two_shops) -> Client:
    north, _south = two_shops
    return log_in(
        Client(),
        make_staff("ops_floor", may=SEE_ALL_KINDS, shops=(north.shop,), warehouses=(north.warehouse,)),
    )


SEE_ALL_KINDS = tuple(
    sorted(
        name for name in ROLES["auditor"].may | ROLES["ops_manager"].may if name != "orders.see_all_orders"
    )
)


def test_a_guessed_address_of_another_warehouses_order_is_not_found(two_shops, north_client):
    _north, south = two_shops
    from django.contrib import admin

    for model in admin.site._registry:
        label = model._meta.label_lower
        if SCOPE_PATHS.get(label) is None:
            continue
        hidden = set(
            visible(model._default_manager.all(), User.objects.create_superuser(f"s-{label}"))
        ) - set(visible(model._default_manager.all(), User.objects.get(username__startswith="staff-")))
        for row in hidden:
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}"
            for view in ("change", "history", "delete"):
                assert north_client.get(f"{base}/{view}/").status_code in {403, 404}, (label, view)
            assert north_client.get(f"{base}/change/").status_code == 404, label
    assert south


def test_a_person_without_roles_gets_no_list(two_shops):
    client = log_in(Client(), make_staff(everything=True))

    assert client.get("/admin/orders/contact/").status_code == 403
    assert client.get("/admin/orders/auditentry/").status_code == 403


def test_the_audit_log_is_read_only_even_for_a_superuser():
    entry = AuditEntry.objects.create(at=MONDAY, way="command", action="change", model="x", object_id="1")
    client = log_in(Client(), User.objects.create_superuser("root-2"))

    assert client.get(f"/admin/orders/auditentry/{entry.pk}/change/").status_code == 200
    assert client.get("/admin/orders/auditentry/add/").status_code == 403
    assert client.post(f"/admin/orders/auditentry/{entry.pk}/change/", {"action": "x"}).status_code == 403
    assert client.post(f"/admin/orders/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(
        "/admin/orders/auditentry/",
        {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"},
    )

    assert AuditEntry.objects.filter(pk=entry.pk, action="change").exists()


def test_dangerous_tables_of_other_packages_are_not_in_the_admin():
    from django.contrib import admin

    shown = {model._meta.app_label for model in admin.site._registry}

    assert shown <= {"orders", "integrations", "promises", "auth"}


def test_the_search_box_finds_no_kind_the_person_may_not_see(two_shops):
    client = log_in(Client(), make_staff("warehouse", everything=True))
    boss = log_in(Client(), make_staff("auditor"))
    name = str(AuditEntry._meta.verbose_name_plural)

    assert name.lower() in boss.get("/admin/search/", {"s": name}).text.lower()
    assert "auditentry" not in client.get("/admin/search/", {"s": name}).text


def test_the_side_bar_shows_only_what_the_person_may_see(two_shops):
    keeper = log_in(Client(), make_staff("warehouse", everything=True)).get("/admin/").text
    auditor = log_in(Client(), make_staff("auditor")).get("/admin/").text

    assert "/admin/orders/auditentry/" not in keeper
    assert "/admin/orders/auditentry/" in auditor
    assert "/admin/orders/contact/" in keeper


def test_only_superusers_make_superusers():
    manager = make_staff(may=("auth.view_user", "auth.change_user"))
    client = log_in(Client(), manager)

    client.post(
        f"/admin/auth/user/{manager.pk}/change/",
        {
            "username": manager.username,
            "is_superuser": "on",
            "is_active": "on",
            "is_staff": "on",
            "groups": [Group.objects.get(name="ops_manager").pk],
        },
    )

    manager = User.objects.get(pk=manager.pk)
    assert not manager.is_superuser
    assert not manager.groups.exists()


def test_nobody_deletes_a_person():
    root = User.objects.create_superuser("root-3")
    other = make_staff("sales")
    client = log_in(Client(), root)

    assert client.post(f"/admin/auth/user/{other.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(
        "/admin/auth/user/", {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    )

    assert User.objects.filter(pk=other.pk).exists()


def test_no_migration_makes_a_user():
    assert not User.objects.exists()
    assert not Shop.objects.exists()
    assert not Warehouse.objects.exists()


def test_a_refusal_names_the_permission_and_the_roles_that_have_it(two_shops):
    client = log_in(Client(), make_staff("warehouse", everything=True))

    page = client.get("/admin/orders/auditentry/", headers={"Accept-Language": "en"})

    assert page.status_code == 403
    assert str(AuditEntry._meta.verbose_name_plural) in page.text
    assert str(ROLES["auditor"].label) in page.text
    assert str(ROLES["sales"].label) not in page.text


def test_a_refused_look_names_its_own_permission(two_shops):
    north, _south = two_shops
    client = log_in(Client(), make_staff("warehouse", everything=True))

    page = client.post(f"/admin/orders/contact/{north.contact_id}/reveal/")

    assert page.status_code == 403
    assert str(dict(Contact._meta.permissions)["reveal_contact"]) in page.text
