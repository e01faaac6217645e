from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.messages.storage.fallback import FallbackStorage
from django.db import NotSupportedError
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject

from integrations.models import ApiToken, Connection
from orderhub.middleware import acting_person
from orders.audit import AuditEntry, acting, because, current, record
from orders.models import Shop, StaffScope, Warehouse
from orders.scoped_admin import ScopedAdmin
from orders.tests.factories import MONDAY, make_shop, make_warehouse
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

Row = tuple[str, str, str, dict[str, Any], dict[str, Any]]


def entries(record: object = None, **of: Any) -> list[Row]:
    rows = AuditEntry.objects.filter(**of).order_by("id")
    if record is not None:
        rows = rows.filter(model=record._meta.label_lower, object_id=str(record.pk))  # type: ignore[attr-defined]
    return [(row.action, row.way, row.actor_name, row.before, row.after) for row in rows]


def forget() -> int:
    """The id of the newest audit row: what was before does not count."""
    newest = AuditEntry.objects.order_by("-id").first()
    return newest.pk if newest else 0


def since(mark: int) -> list[Row]:
    return entries(id__gt=mark)


def test_saving_a_new_record_leaves_one_row_with_every_column():
    shop = make_shop("north")

    ((action, way, actor, before, after),) = entries(shop)

    assert (action, way, actor, before) == ("create", "command", "", {})
    assert after["code"] == "north"
    assert set(after) == {field.attname for field in Shop._meta.concrete_fields}


def test_a_change_leaves_one_row_with_what_changed_only():
    shop = make_shop("north")
    mark = forget()

    shop.name = "North shop"
    shop.save()

    assert since(mark) == [("change", "command", "", {"name": "north"}, {"name": "North shop"})]


def test_saving_without_a_change_leaves_no_row():
    shop = make_shop("north")
    mark = forget()

    shop.save()

    assert since(mark) == []


def test_update_fields_audits_what_was_stored_not_what_is_in_memory():
    shop = make_shop("north")
    mark = forget()

    shop.name, shop.platform = "stored", "not stored"
    shop.save(update_fields=["name"])

    assert since(mark) == [("change", "command", "", {"name": "north"}, {"name": "stored"})]


def test_deleting_leaves_one_row_with_every_column():
    warehouse = make_warehouse("w1")
    key = str(warehouse.pk)
    mark = forget()

    warehouse.delete()

    ((action, _way, _actor, before, after),) = since(mark)
    assert (action, before["code"], after) == ("delete", "w1", {})
    assert AuditEntry.objects.get(action="delete").object_id == key


def test_queryset_update_leaves_one_row_per_changed_record():
    make_shop("a", name="same")
    make_shop("b", name="old b")
    make_shop("c", name="old c")
    mark = forget()

    assert Shop.objects.update(name="same") == 3

    assert since(mark) == [
        ("change", "command", "", {"name": "old b"}, {"name": "same"}),
        ("change", "command", "", {"name": "old c"}, {"name": "same"}),
    ]


def test_queryset_update_by_an_expression_audits_the_results():
    make_shop("a", name="x")
    mark = forget()

    Shop.objects.update(name=Concat(F("name"), Value("!")))

    assert since(mark) == [("change", "command", "", {"name": "x"}, {"name": "x!"})]


def test_an_update_that_moves_rows_out_of_its_own_filter_is_audited():
    make_shop("a", is_active=True)
    mark = forget()

    Shop.objects.filter(is_active=True).update(is_active=False)

    assert since(mark) == [("change", "command", "", {"is_active": True}, {"is_active": False})]


def test_bulk_create_leaves_one_row_each():
    mark = forget()

    shops = Shop.objects.bulk_create([Shop(code="a", name="a"), Shop(code="b", name="b")])

    assert [row[0] for row in since(mark)] == ["create", "create"]
    assert {entry.object_id for entry in AuditEntry.objects.filter(id__gt=mark)} == {
        str(shop.pk) for shop in shops
    }


def test_bulk_create_that_hides_conflicts_is_refused():
    for option in (
        {"ignore_conflicts": True},
        {"update_conflicts": True, "update_fields": ["name"], "unique_fields": ["code"]},
    ):
        with pytest.raises(NotSupportedError):
            Shop.objects.bulk_create([Shop(code="a", name="a")], **option)

    assert not Shop.objects.exists()


def test_bulk_update_leaves_one_row_per_changed_record():
    first, second = make_shop("a", name="a"), make_shop("b", name="b")
    mark = forget()
    first.name = "new"

    Shop.objects.bulk_update([first, second], ["name"])

    assert since(mark) == [("change", "command", "", {"name": "a"}, {"name": "new"})]


def test_queryset_delete_leaves_one_row_each():
    make_warehouse("a")
    make_warehouse("b")
    mark = forget()

    Warehouse.objects.all().delete()

    assert sorted((row[0], row[3]["code"]) for row in since(mark)) == [("delete", "a"), ("delete", "b")]


@pytest.mark.parametrize("way", ["record", "queryset"])
def test_what_a_cascade_takes_along_is_audited(way):
    connection = Connection.objects.create(slug="c", label="C", connector="webhook", role="shop")
    ApiToken.objects.create(connection=connection, name="t", digest="d" * 64, tail="abcd", made_at=MONDAY)
    mark = forget()

    (connection if way == "record" else Connection.objects.filter(pk=connection.pk)).delete()

    assert sorted(AuditEntry.objects.filter(id__gt=mark).values_list("action", "model")) == [
        ("delete", "integrations.apitoken"),
        ("delete", "integrations.connection"),
    ]


def test_get_or_create_and_update_or_create_are_audited_once():
    mark = forget()

    Shop.objects.get_or_create(code="a", defaults={"name": "a"})
    Shop.objects.get_or_create(code="a", defaults={"name": "a"})
    Shop.objects.update_or_create(code="a", defaults={"name": "b"})

    assert [row[0] for row in since(mark)] == ["create", "change"]


def test_secrets_never_reach_the_audit_but_their_change_does():
    connection = Connection.objects.create(slug="c", label="C", connector="webhook", role="shop")
    mark = forget()

    connection.seal({"webhook": ["whsec_canary"]})
    connection.save()
    sealed = connection.sealed_secrets
    connection.seal({"webhook": ["whsec_other"]})
    connection.save()

    assert since(mark) == [
        ("change", "command", "", {"sealed_secrets": ""}, {"sealed_secrets": "•••"}),
        ("change", "command", "", {"sealed_secrets": "•••"}, {"sealed_secrets": "•••"}),
    ]
    assert sealed not in str(AuditEntry.objects.values())


def test_what_the_hub_notes_about_itself_is_no_change():
    connection = Connection.objects.create(slug="c", label="C", connector="webhook", role="shop")
    mark = forget()

    Connection.objects.update(heard_at=MONDAY)
    connection.failure = "timeout"
    connection.save(update_fields=["failure"])

    assert since(mark) == []


def test_a_failed_transaction_leaves_neither_change_nor_row():
    from django.db import transaction

    shop = make_shop("north")
    mark = forget()

    def change_and_fail() -> None:
        Shop.objects.update(name="x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        change_and_fail()

    assert since(mark) == []
    assert Shop.objects.get(pk=shop.pk).name == "north"


# Who and by which way


@pytest.mark.parametrize("way", ["admin", "api", "worker", "command", "import"])
def test_every_row_says_who_by_which_way_and_why(way):
    user = make_staff()
    mark = forget()

    with acting(actor=user, way=way, reason="stock-taking"):
        make_shop("north")

    entry = AuditEntry.objects.get(id__gt=mark)
    assert (entry.way, entry.actor, entry.actor_name, entry.reason) == (
        way,
        user,
        user.username,
        "stock-taking",
    )


def test_acting_ends_with_its_block_even_after_an_error():
    with pytest.raises(ZeroDivisionError), acting(way="worker"):
        _ = 1 / 0

    assert current().way == "command"


def test_a_reason_is_added_without_changing_who_acts():
    user = make_staff()
    with acting(actor=user, way="admin"), because("moved house"):
        entry = record("change", make_shop())

    assert (entry.actor, entry.way, entry.reason) == (user, "admin", "moved house")


def test_an_anonymous_request_acts_as_nobody():
    with acting(actor=AnonymousUser(), way="api"):
        entry = record("change", make_shop())

    assert (entry.actor, entry.actor_name, entry.way) == (None, "", "api")


def test_the_name_stays_when_the_account_is_gone():
    user = make_staff()
    with acting(actor=user, way="admin"):
        entry = record("change", make_shop())

    User.objects.filter(pk=user.pk).delete()

    assert AuditEntry.objects.get(pk=entry.pk).actor_name == user.username


@pytest.mark.parametrize(
    ("path", "way"), [("/admin/x/", "admin"), ("/api/v1/facts/", "api"), ("/hooks/shop/", "api")]
)
def test_a_request_says_by_which_way_it_came(path, way):
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(current().way)
        return HttpResponse()

    request = RequestFactory().get(path)
    request.user = AnonymousUser()
    acting_person(view)(request)

    assert seen == [way]
    assert current().way == "command"


def test_a_request_that_changes_nothing_does_not_look_up_its_user(django_assert_num_queries):
    def never() -> User:
        raise AssertionError("looked up")

    request = RequestFactory().get("/admin/x/")
    request.user = SimpleLazyObject(never)

    assert acting_person(lambda _request: HttpResponse())(request).status_code == 200


# Through the admin


class ShopAdmin(ScopedAdmin):
    may_add = may_change = may_delete = True
    list_display = ("code", "name")
    list_editable = ("name",)
    actions = ("switch_off",)

    def switch_off(self, request: HttpRequest, queryset: Any) -> None:
        queryset.update(is_active=False)


def admin_post(user: User, data: dict[str, Any]) -> HttpResponse:
    """Post to the list of ShopAdmin as this person."""
    site = AdminSite()
    site.register(Shop, ShopAdmin)
    request = RequestFactory().post("/admin/orders/shop/", data)
    request.user = user
    request.session = {}  # type: ignore[assignment]
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    return acting_person(lambda request: site._registry[Shop].changelist_view(request))(request)


def test_a_list_edit_leaves_one_row_per_changed_record():
    root = User.objects.create_superuser("root-4")
    first, second = make_shop("a", name="a"), make_shop("b", name="b")
    mark = forget()

    admin_post(
        root,
        {
            "form-TOTAL_FORMS": 2, "form-INITIAL_FORMS": 2, "form-0-id": first.pk, "form-0-name": "new",
            "form-1-id": second.pk, "form-1-name": "b", "_save": "Save",
        },
    )  # fmt: skip

    assert since(mark) == [("change", "admin", "root-4", {"name": "a"}, {"name": "new"})]


def test_an_action_leaves_one_row_per_changed_record():
    root = User.objects.create_superuser("root-5")
    shops = [make_shop("a"), make_shop("b", is_active=False)]
    mark = forget()

    admin_post(root, {"action": "switch_off", "_selected_action": [shop.pk for shop in shops]})

    assert since(mark) == [("change", "admin", "root-5", {"is_active": True}, {"is_active": False})]


def test_deleting_by_the_list_leaves_one_row_each():
    root = User.objects.create_superuser("root-6")
    shops = [make_shop("a"), make_shop("b")]
    mark = forget()

    admin_post(
        root, {"action": "delete_selected", "_selected_action": [shop.pk for shop in shops], "post": "yes"}
    )

    assert [row[:3] for row in since(mark)] == [("delete", "admin", "root-6")] * 2
    assert not Shop.objects.exists()


def test_a_form_leaves_one_row_for_the_record_and_one_for_each_link():
    manager = make_staff("ops_manager")
    keeper = make_staff("warehouse")
    shop, warehouse = make_shop("north"), make_warehouse("w1")
    client = log_in(Client(), manager)
    mark = forget()

    answer = client.post(
        "/admin/orders/staffscope/add/",
        {
            "user": keeper.pk,
            "shops": [shop.pk],
            "warehouses": [warehouse.pk],
            "regions": "north\nsouth",
            "reason": "new here",
        },
    )

    assert answer.status_code == 302
    scope = StaffScope.objects.get(user=keeper)
    assert scope.regions == ["north", "south"]
    rows = since(mark)
    assert [row[:3] for row in rows] == [
        ("create", "admin", manager.username),
        ("link", "admin", manager.username),
        ("link", "admin", manager.username),
    ]
    assert [row[4] for row in rows[1:]] == [{"shop": "north"}, {"warehouse": "w1"}]
    assert set(AuditEntry.objects.filter(id__gt=mark).values_list("reason", flat=True)) == {"new here"}
    assert set(AuditEntry.objects.filter(id__gt=mark).values_list("object_id", flat=True)) == {str(scope.pk)}


def test_links_of_a_scope_are_audited_whatever_the_way():
    scope = StaffScope.objects.create(user=make_staff())
    north, south = make_shop("north"), make_shop("south")
    mark = forget()

    scope.shops.add(north)
    scope.shops.add(north)
    scope.shops.set([south])
    scope.shops.clear()
    north.staffscope_set.add(scope)

    assert [(row[0], row[3], row[4]) for row in since(mark)] == [
        ("link", {}, {"shop": "north"}),
        ("unlink", {"shop": "north"}, {}),
        ("link", {}, {"shop": "south"}),
        ("unlink", {"shop": "south"}, {}),
        ("link", {}, {"shop": "north"}),
    ]


def as_filled_in(user: User) -> dict[str, Any]:
    """The fields of the user's form as the page fills them in."""
    flags = {name: "on" for name in ("is_active", "is_staff", "is_superuser") if getattr(user, name)}
    return {"username": user.username, **flags}


def test_giving_and_taking_a_role_leaves_one_row_each():
    root = User.objects.create_superuser("root-7")
    keeper = make_staff("warehouse")
    client = log_in(Client(), root)
    mark = forget()
    sales = Group.objects.get(name="sales").pk
    client.post(f"/admin/auth/user/{keeper.pk}/change/", {**as_filled_in(keeper), "groups": [sales]})

    assert {group.name for group in User.objects.get(pk=keeper.pk).groups.all()} == {"sales"}
    assert sorted((row[0], row[2], str(row[3] or row[4])) for row in since(mark)) == [
        ("link", "root-7", "{'group': 'sales'}"),
        ("unlink", "root-7", "{'group': 'warehouse'}"),
    ]


def test_making_and_renaming_a_user_is_audited_without_the_password():
    root = User.objects.create_superuser("root-8")
    client = log_in(Client(), root)
    mark = forget()

    client.post(
        "/admin/auth/user/add/",
        {
            "username": "new-1",
            "usable_password": "true",
            "password1": "a long enough one",
            "password2": "a long enough one",
        },
    )
    user = User.objects.get(username="new-1")
    client.post(f"/admin/auth/user/{user.pk}/change/", {**as_filled_in(user), "username": "new-2"})

    created, changed = since(mark)
    assert created[0:3] == ("create", "admin", "root-8")
    assert created[4]["password"] == "•••"
    assert changed == ("change", "admin", "root-8", {"username": "new-1"}, {"username": "new-2"})


def test_setting_another_persons_password_is_audited_without_it():
    root = User.objects.create_superuser("root-9")
    keeper = make_staff("warehouse")
    client = log_in(Client(), root)
    mark = forget()

    client.post(
        f"/admin/auth/user/{keeper.pk}/password/",
        {"usable_password": "true", "password1": "a long enough one", "password2": "a long enough one"},
    )

    assert User.objects.get(pk=keeper.pk).check_password("a long enough one")
    assert since(mark) == [("change", "admin", "root-9", {"password": "•••"}, {"password": "•••"})]


def test_the_log_can_be_read_and_searched_by_whoever_may():
    make_shop("north-shop")
    client = log_in(Client(), make_staff("auditor"))

    page = client.get("/admin/orders/auditentry/", {"model__exact": "orders.shop", "q": "north-shop"})

    assert page.status_code == 200
    assert "north-shop" in page.text
