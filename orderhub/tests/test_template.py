"""The one-click template: shown first, written once, undone while unused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth.models import Group

from orderhub import template
from orderhub.models import TemplateRow
from orders.models import AuditEntry, PrecedenceVersion, ReasonCode, Shop, Warehouse, WorkCalendar
from orders.precedence import DEFAULT_RULES, forget_versions, precedence_in_force
from orders.reasons import REASONS
from orders.tests.factories import make_order
from orders.tests.staff import make_staff, staff_client

pytestmark = pytest.mark.django_db

AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
ADDRESS = "/admin/template/"
TWELVE = {
    "SHORTAGE", "ADDR_VAGUE", "CUSTOMS_RETURN", "PAY_PENDING", "CREDIT_HOLD", "MISPICK", "QUALITY", "WAYBILL_FAIL",
    "CARRIER_STALL", "DELIVERY_FAIL", "CUSTOMER_CHANGE", "SYNC_GAP",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_versions():
    forget_versions()
    yield
    forget_versions()


def section(key):
    return next(one for one in template.compare() if one.part.key == key)


def install():
    return template.install(by=None, at=AT)


def fate_of(label):
    return next(fate for fate in template.fates() if fate.row.label == label)


def test_looking_writes_nothing_and_names_what_would_be_added():
    missing = {one.part.key: one.n_missing for one in template.compare()}

    # The roles come with the migrations.
    assert missing == {"rules": 1, "roles": 0, "reasons": 13, "calendar": 1, "places": 3}
    assert not ReasonCode.objects.exists()
    assert not AuditEntry.objects.exists()


def test_installing_makes_twelve_reasons_and_other_which_is_off():
    install()

    assert set(ReasonCode.objects.filter(is_active=True).values_list("code", flat=True)) == TWELVE
    assert [row.code for row in ReasonCode.objects.filter(is_active=False)] == ["OTHER"]
    assert [row.code for row in ReasonCode.objects.all()] == list(REASONS)


def test_installing_makes_rules_calendar_shops_and_warehouse():
    install()

    version = PrecedenceVersion.objects.get()
    assert (version.number, version.rules, version.applied_at) == (1, DEFAULT_RULES, AT)
    assert precedence_in_force().version == 1
    shop = Shop.objects.get(code="shop-1")
    assert shop.warehouse == Warehouse.objects.get(code="warehouse-1")
    assert shop.warehouse.calendar == WorkCalendar.objects.get(is_default=True)
    assert Shop.objects.count() == 2


def test_a_missing_role_is_made_with_its_permissions():
    Group.objects.filter(name="finance").delete()

    made = install()

    assert "finance" in {row.columns.get("name") for row in made}
    assert Group.objects.get(name="finance").permissions.filter(codename="issue_invoice").exists()


def test_the_second_installation_changes_nothing():
    assert len(install()) == 18
    audited = AuditEntry.objects.count()

    assert install() == []

    assert TemplateRow.objects.count() == 18
    assert AuditEntry.objects.count() == audited
    assert {one.n_missing for one in template.compare()} == {0}


def test_what_people_have_set_otherwise_is_told_and_kept():
    ReasonCode.objects.create(code="SHORTAGE", owner="sales", pauses_clock=True)

    line = next(line for line in section("reasons").lines if line.wanted.key["code"] == "SHORTAGE")
    install()

    assert [(one.wanted, one.theirs) for one in line.differences] == [("warehouse", "sales")]
    assert ReasonCode.objects.get(code="SHORTAGE").owner == "sales"
    assert ReasonCode.objects.count() == 13


def test_undoing_takes_out_what_nobody_uses():
    install()

    done = template.undo(at=AT)

    assert (done.n_removed, done.kept) == (18, [])
    for model in (ReasonCode, Shop, Warehouse, WorkCalendar, PrecedenceVersion):
        assert not model._default_manager.exists(), model
    assert Group.objects.filter(name="finance").exists()
    assert TemplateRow.objects.filter(removed_at=None).count() == 0
    assert precedence_in_force().version == 0


def test_undoing_leaves_what_is_in_use_and_says_by_what():
    install()
    make_order(shop=Shop.objects.get(code="shop-1"))

    done = template.undo(at=AT)

    kept = {fate.row.model: [str(use.kind) for use in fate.uses] for fate in done.kept}
    assert set(kept) == {"orders.shop", "orders.warehouse", "orders.workcalendar", "orders.precedenceversion"}
    assert {fate.row.object_id for fate in done.kept if fate.row.model == "orders.shop"} == {
        str(Shop.objects.get(code="shop-1").pk)
    }
    assert not Shop.objects.filter(code="shop-2").exists()
    assert not ReasonCode.objects.exists()


def test_undoing_leaves_what_people_have_changed():
    install()
    shop = Shop.objects.get(code="shop-2")
    shop.name = "Oil filters online"
    shop.save()

    done = template.undo(at=AT)

    assert [
        (fate.row.object_id, fate.is_changed) for fate in done.kept if fate.row.model == "orders.shop"
    ] == [(str(shop.pk), True)]
    # The warehouse is the changed shop's.
    assert Warehouse.objects.filter(code="warehouse-1").exists()


def test_a_shop_in_somebodys_area_is_in_use():
    install()
    make_staff("sales", shops=(Shop.objects.get(code="shop-1"),))

    assert [use.count for use in fate_of(str(Shop.objects.get(code="shop-1"))).uses] == [1]


def test_a_new_first_version_is_judged_with_though_the_number_was_used_before():
    install()
    assert precedence_in_force().after_sale.days == 7
    template.undo(at=AT)

    PrecedenceVersion.objects.create(
        number=1, rules={**DEFAULT_RULES, "after_sale_days": 9}, note="n", made_at=AT, applied_at=AT
    )

    assert precedence_in_force().after_sale.days == 9


def test_installing_and_undoing_are_in_the_audit_by_name():
    with time_machine.travel(AT, tick=False):
        client = staff_client("ops_manager")
        client.post(ADDRESS, {"action": "install"})
        client.post(ADDRESS, {"action": "undo"})

    done = AuditEntry.objects.filter(action__startswith="template.").order_by("id")
    assert [(row.action, row.after) for row in done] == [
        ("template.install", {"rows": 18, "version": 1}),
        ("template.undo", {"removed": 18, "kept": 0}),
    ]
    assert {row.actor_name[:6] for row in done} == {"staff-"}
    created = AuditEntry.objects.filter(action="create", model="orders.reasoncode")
    assert created.count() == 13


def test_the_page_shows_the_difference_before_it_writes(settings):
    settings.LANGUAGE_CODE = "en"
    client = staff_client("ops_manager")

    page = client.get(ADDRESS).content.decode()

    assert "18 records would be added" in page
    assert "Would add" in page
    assert not ReasonCode.objects.exists()


def test_the_page_says_that_the_second_installation_changed_nothing(settings):
    settings.LANGUAGE_CODE = "en"
    client = staff_client("ops_manager")
    client.post(ADDRESS, {"action": "install"})

    answer = client.post(ADDRESS, {"action": "install"}, follow=True)

    assert answer.redirect_chain == [(ADDRESS, 303)]
    assert "Everything was there already. Nothing was changed." in answer.content.decode()


def test_a_form_without_an_action_does_nothing_and_says_so(settings):
    settings.LANGUAGE_CODE = "en"

    answer = staff_client("ops_manager").post(ADDRESS, follow=True)

    assert "Nothing was done" in answer.content.decode()
    assert not TemplateRow.objects.exists()


@pytest.mark.parametrize("role", ["sales", "integrator", "viewer"])
def test_whoever_may_not_install_it_is_told_who_may(role):
    client = staff_client(role)

    for answer in (client.get(ADDRESS), client.post(ADDRESS, {"action": "install"})):
        assert answer.status_code == 403
    assert not TemplateRow.objects.exists()


def reason_form(**said):
    return {"code": "ONLY", "name": "", "owner": "sales", "position": "10", **said}


def test_the_last_active_reason_cannot_be_switched_off(settings):
    settings.LANGUAGE_CODE = "en"
    only = ReasonCode.objects.create(code="ONLY", owner="sales", position=10)
    client = staff_client("ops_manager")

    refused = client.post(f"/admin/orders/reasoncode/{only.pk}/change/", reason_form())
    only.refresh_from_db()
    assert "This is the last active reason." in refused.content.decode()
    assert only.is_active

    ReasonCode.objects.create(code="OTHER", position=20)
    client.post(f"/admin/orders/reasoncode/{only.pk}/change/", reason_form())
    only.refresh_from_db()
    assert not only.is_active


def test_reasons_are_listed_by_name_with_the_role_that_answers_for_them(settings):
    settings.LANGUAGE_CODE = "en"
    install()
    ReasonCode.objects.filter(code="MISPICK").update(name="Picked wrongly")

    page = staff_client("ops_manager").get("/admin/orders/reasoncode/").content.decode()

    assert "Out of stock, replenishing" in page
    assert "Picked wrongly" in page
    assert "Customs documents" in page
    assert staff_client("sales").get("/admin/orders/reasoncode/add/").status_code == 403
