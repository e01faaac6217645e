"""The commitment on the order's page, what people do there, and the seller's profile."""

from __future__ import annotations

from datetime import date

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.audit import AuditEntry
from orders.models import Order
from orders.tests.factories import after, make_shop, told
from orders.tests.staff import make_staff, staff_client
from promises.commitments import papers
from promises.commitments.models import Compensation, IssueRequest, Promise, PromiseFile
from promises.commitments.payload import end_of
from promises.ledger.models import LogPending, SellerProfile
from promises.tests.factories_commitments import make_promise, make_promised_order

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7 stored once"


@pytest.fixture(autouse=True)
def _tuesday():
    with time_machine.travel(after(24), tick=False):
        yield


def page(client, order: Order) -> str:
    return client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()


def address(order: Order, what: str) -> str:
    return f"/admin/promises/commitment/{order.pk}/{what}/"


def with_file(promise: Promise, content: bytes = PDF) -> Promise:
    """The promise with these bytes on disk."""
    kept = papers.keep(content)
    PromiseFile.objects.filter(promise=promise).delete()
    PromiseFile.objects.create(
        promise=promise, sha256=kept.sha256, sm3=kept.sm3, path=kept.path, n_bytes=kept.n_bytes, is_demo=True
    )
    return promise


def demo_promise(**what_matters) -> Promise:
    """Of a demo order, because its rows may be exchanged."""
    return make_promise(make_promised_order(is_demo=True, **what_matters))


def test_until_somebody_says_who_promises_the_panel_says_what_to_do():
    order = make_promised_order()
    SellerProfile.objects.all().delete()

    assert "/admin/promises/sellerprofile/" in page(staff_client("ops_manager"), order)
    other = page(staff_client("sales", everything=True), order)
    assert "/admin/promises/sellerprofile/" not in other
    assert address(order, "issue") not in other


def test_asking_leaves_one_request_and_nothing_is_issued_by_looking():
    order, client = make_promised_order(), staff_client("sales", everything=True)
    assert address(order, "issue") in page(client, order)
    assert client.get(address(order, "issue")).status_code == 200
    assert not IssueRequest.objects.exists()

    answer = client.post(address(order, "issue"), {"day": ""})
    assert (answer.status_code, answer["Location"]) == (303, f"/admin/orders/order/{order.pk}/change/")
    again = client.post(address(order, "issue"), {"day": ""})

    assert again.status_code == 422
    request = IssueRequest.objects.get()
    assert (request.order, request.state, request.due_on) == (order, IssueRequest.State.ASKED, None)
    assert 'role="status"' in page(client, order)


def test_moving_the_date_asks_for_the_next_version_with_reason_and_asker():
    promise, client = make_promise(), staff_client("sales", everything=True)
    assert address(promise.order, "move") in page(client, promise.order)
    wish = {"day": "2026-06-08", "rc": "STOCK", "asked_by": "seller", "of_version": "1"}

    answer = client.post(address(promise.order, "move"), wish)

    assert answer.status_code == 303
    request = IssueRequest.objects.get()
    assert (request.due_on, request.rc, request.asked_by, request.of_version) == (
        date(2026, 6, 8),
        "STOCK",
        "seller",
        1,
    )


def test_a_form_that_speaks_of_another_version_is_refused():
    promise, client = make_promise(), staff_client("sales", everything=True)
    wish = {"day": "2026-06-08", "rc": "STOCK", "asked_by": "seller", "of_version": "0"}

    assert client.post(address(promise.order, "move"), wish).status_code == 422
    assert not IssueRequest.objects.exists()


def test_a_form_without_a_reason_asks_for_one_and_a_promise_in_force_is_not_issued_again():
    promise, client = make_promise(), staff_client("sales", everything=True)
    wish = {"day": "2026-06-08", "rc": "", "asked_by": "", "of_version": "1"}

    assert client.post(address(promise.order, "move"), wish).status_code == 422
    assert client.post(address(promise.order, "issue"), {"day": ""}).status_code == 303
    assert not IssueRequest.objects.exists()


def test_dates_are_those_of_the_destination():
    order = make_promised_order(person={"name": "Ana", "country": "ES", "city": "Madrid"})
    due = end_of(date(2026, 6, 5), "Europe/Madrid")

    promise = make_promise(order, due=due, tz="Europe/Madrid")

    assert (promise.due_on, promise.first_due_on) == (date(2026, 6, 5), date(2026, 6, 5))
    assert "Europe/Madrid" in page(staff_client("ops_manager"), order)


def test_revoking_is_shown_with_what_it_needs_and_refused_without_a_gate():
    promise, client = make_promise(), staff_client("supervisor", everything=True)
    assert address(promise.order, "revoke") in page(client, promise.order)

    answer = client.post(address(promise.order, "revoke"), {"reason": "wrong article"})

    assert answer.status_code == 422
    assert (Promise.objects.get().state, LogPending.objects.filter(kind="outcome").count()) == ("active", 0)


def test_each_act_needs_its_permission_and_the_row_scope():
    promise = make_promise()
    order = promise.order
    warehouse = staff_client("warehouse", everything=True)
    stranger = staff_client("sales", shops=(make_shop("elsewhere"),))

    for what in ("issue", "move", "revoke", "waive"):
        assert warehouse.post(address(order, what), {"reason": "x"}).status_code == 403
        assert stranger.get(address(order, what)).status_code == 404
    assert not IssueRequest.objects.exists()


def test_the_paper_is_the_stored_bytes_for_whoever_may_see_the_order():
    promise = with_file(demo_promise())
    shop = promise.order.shop

    answer = staff_client("sales", shops=(shop,)).get(f"/admin/promises/commitment/paper/{promise.pk}/")

    assert b"".join(answer.streaming_content) == PDF
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == f'attachment; filename="{promise.shown_number}-v1.pdf"'
    assert answer["Content-Length"] == str(len(PDF))
    stranger = staff_client("sales", shops=(make_shop("elsewhere"),))
    assert stranger.get(f"/admin/promises/commitment/paper/{promise.pk}/").status_code == 404


def test_a_paper_that_is_no_longer_what_was_hashed_is_not_handed_out():
    promise = with_file(demo_promise())
    promise.file.full_path.write_bytes(PDF + b"!")

    answer = staff_client("ops_manager").get(f"/admin/promises/commitment/paper/{promise.pk}/")

    assert answer.status_code == 404


def test_the_panel_shows_the_chain_with_reason_and_who_asked():
    first = make_promise()
    second = make_promise(replaces=first, rc="WEATHER")

    shown = page(staff_client("ops_manager", everything=True), first.order)

    assert first.shown_number in shown
    for one in (first, second):
        assert f"/admin/promises/commitment/paper/{one.pk}/" in shown
    assert "天气" in shown or "Weather" in shown


def test_the_panel_of_a_missed_promise_shows_what_the_customer_reads():
    promise, client = make_promise(), staff_client("ops_manager")
    SellerProfile.objects.update(apology="很抱歉，运费退还。")
    assert "很抱歉" not in page(client, promise.order)

    Promise.objects.filter(pk=promise.pk).update(state="missed", judge_at=None)
    assert "很抱歉，运费退还。" in page(client, promise.order)


def test_what_the_customer_of_a_missed_promise_gets_is_said_by_hand_and_only_then():
    promise, sales = make_promise(), staff_client("sales", everything=True)
    there = address(promise.order, "compensate")
    given = {"state": "offered", "words": "运费退还 12 元"}
    assert there not in page(sales, promise.order)
    assert sales.post(there, given).status_code == 404

    Promise.objects.filter(pk=promise.pk).update(state="missed", judge_at=None)
    assert there in page(sales, promise.order)
    assert staff_client("viewer", everything=True).post(there, given).status_code == 403
    assert sales.post(there, {**given, "state": ""}).status_code == 422
    assert not Compensation.objects.exists()
    assert sales.post(there, given).status_code == 303

    assert "运费退还 12 元" in page(sales, promise.order)
    sales.post(there, {**given, "state": "given"})
    assert Compensation.objects.get().state == "given"
    said = AuditEntry.objects.filter(model="promises.compensation").order_by("pk")
    assert [entry.after["state"] for entry in said] == ["offered", "given"]


def test_the_panel_offers_waiving_only_once_the_customer_asked_to_cancel():
    promise, client = make_promise(), staff_client("sales", everything=True)
    assert address(promise.order, "waive") not in page(client, promise.order)

    told(promise.order, "cancel.requested", 2)
    assert address(promise.order, "waive") in page(client, promise.order)
    answer = client.post(address(promise.order, "waive"), {"reason": "they phoned"})
    assert (answer.status_code, Promise.objects.get().state) == (303, "waived")


def test_the_panel_asks_the_same_number_of_queries_for_many_versions(django_assert_max_num_queries, rf):
    from promises.commitments.panel import panel

    order = make_promised_order()
    request = rf.get("/")
    request.user = make_staff("ops_manager", everything=True)
    request.user.has_perm("promises.view_promise")
    newest = make_promise(order)
    for _version in range(4):
        newest = make_promise(replaces=newest)

    # Versions, request, estimate; the clock of the destination where nothing is estimated.
    with django_assert_max_num_queries(4):
        assert len(panel(order, request)["context"]["versions"]) == 5


# Who promises.


SELLER = {
    "legal_name": "示例汽配有限公司",
    "uscc": "91330000MA0000000X",
    "slug": "parts",
    "hotline": "400-000-0000",
    "terms": "按承诺日期送达。",
    "issue_on": "date_confirmed",
    "visibility": "public",
}


def test_an_operations_manager_says_who_promises_and_the_audit_keeps_it():
    client = staff_client("ops_manager")
    assert client.get("/admin/promises/sellerprofile/").status_code == 302

    client.post("/admin/promises/sellerprofile/add/", SELLER)
    client.post("/admin/promises/sellerprofile/1/change/", {**SELLER, "hotline": "400-111-1111"})

    assert SellerProfile.objects.get().hotline == "400-111-1111"
    rows = AuditEntry.objects.filter(model="promises.sellerprofile").order_by("pk")
    assert [(row.action, row.after.get("hotline")) for row in rows] == [
        ("create", "400-000-0000"),
        ("change", "400-111-1111"),
    ]


def test_there_is_no_second_one_who_promises_and_other_pages_do_not_look():
    client = staff_client("ops_manager", everything=True)
    client.post("/admin/promises/sellerprofile/add/", SELLER)

    form = client.get("/admin/promises/sellerprofile/add/")
    second = client.post("/admin/promises/sellerprofile/add/", {**SELLER, "slug": "other"})
    with CaptureQueriesContext(connection) as elsewhere:
        assert client.get("/admin/board/").status_code == 200

    assert (form.status_code, second.status_code) == (403, 403)
    assert SellerProfile.objects.values_list("slug").get() == ("parts",)
    assert not [query["sql"] for query in elsewhere if "sellerprofile" in query["sql"]]


def test_a_name_that_hides_a_character_is_refused():
    answer = staff_client("ops_manager").post(
        "/admin/promises/sellerprofile/add/", {**SELLER, "legal_name": "示例\u200b公司"}
    )

    assert "U+200B" in answer.content.decode()
    assert not SellerProfile.objects.exists()


def test_what_the_log_has_begun_with_can_no_longer_be_changed():
    make_promise()
    client = staff_client("ops_manager")

    client.post("/admin/promises/sellerprofile/1/change/", {**SELLER, "slug": "other", "hotline": "1"})

    assert SellerProfile.objects.values_list("slug", "hotline").get() == ("parts", "1")


def test_others_may_not_say_who_promises():
    client = staff_client("sales", everything=True)

    assert client.post("/admin/promises/sellerprofile/add/", SELLER).status_code == 403
    assert not SellerProfile.objects.exists()


def test_the_list_of_commitments_is_scoped_and_finds_a_number_as_printed():
    promise = make_promise()
    other = make_promise()
    client = staff_client("sales", shops=(promise.order.shop,))

    found = client.get("/admin/promises/promise/").content.decode()
    asked = client.get("/admin/promises/promise/", {"q": promise.shown_number.lower()}).content.decode()

    assert promise.shown_number in found
    assert other.shown_number not in found
    assert promise.shown_number in asked
    assert client.get(f"/admin/promises/promise/{promise.pk}/change/").status_code == 200
    assert client.get(f"/admin/promises/promise/{other.pk}/change/").status_code == 404
