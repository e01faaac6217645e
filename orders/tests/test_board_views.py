from __future__ import annotations

import csv
import io
import re
import zipfile

import openpyxl
import pytest
import time_machine

from orders.board.columns import shown
from orders.board.export import CHUNK, as_csv, as_xlsx, orders_in_turn
from orders.board.ordering import DEFAULT_SORT
from orders.desk import SavedView, StaffPreference
from orders.models import AuditEntry, Contact, Order
from orders.tests.factories import MONDAY, after, make_customer, make_order, make_shop
from orders.tests.staff import log_in, make_staff
from orders.tests.test_board import put

pytestmark = pytest.mark.django_db
BOARD = "/admin/board/"
VIEWS, EXPORT = f"{BOARD}views/", f"{BOARD}export/"


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


def names(client):
    return [str(tab["name"]) for tab in client.get(BOARD).context["tabs"]][5:]


def test_a_view_keeps_filters_sort_columns_density_and_layout_and_no_orders(client):
    log_in(client, make_staff("sales", everything=True))
    query = "stage=picking&sort=-updated&cols=number.due.shop&density=compact&layout=kanban&limits=5.0.0.0"

    answer = client.post(VIEWS, {"do": "save", "name": " Picking ", "query": query})

    view = SavedView.objects.get()
    assert (view.name, view.filters, view.sort) == ("Picking", "stage=picking&limits=5.0.0.0", "-updated")
    assert (view.columns, view.density, view.layout) == (["number", "due", "shop"], "compact", "kanban")
    assert answer["Location"] == f"{BOARD}?view={view.pk}"
    shown = client.get(answer["Location"]).context
    assert shown["query"].filters == {"stage": ["picking"]}
    assert (shown["query"].sort.code, shown["density"], shown["query"].is_kanban) == (
        "-updated",
        "compact",
        True,
    )
    assert shown["query"].limits == (5, 0, 0, 0)


def test_a_view_is_as_dense_as_the_list_that_was_saved(client):
    person = make_staff("sales")
    StaffPreference.objects.create(user=person, density="compact")
    log_in(client, person)

    client.post(VIEWS, {"do": "save", "name": "Held", "query": "held=1"})

    assert client.get(f"{BOARD}?view={SavedView.objects.get().pk}").context["density"] == "compact"


def test_a_private_view_is_seen_by_its_owner_only_and_a_shared_one_by_all(client):
    owner, other = make_staff("ops_manager"), make_staff("sales")
    log_in(client, owner)
    client.post(VIEWS, {"do": "save", "name": "Private", "query": "short=1"})
    client.post(VIEWS, {"do": "save", "name": "Shared", "query": "held=1", "is_shared": "1"})
    assert names(client) == ["Private", "Shared"]

    log_in(client, other)

    assert names(client) == ["Shared"]
    private = SavedView.objects.get(name="Private")
    assert client.get(f"{BOARD}?view={private.pk}").context["query"].view == "todo"


@pytest.mark.parametrize("do", ["rename", "delete"])
def test_nobody_changes_a_view_of_somebody_else_without_the_right_to_share(client, do):
    view = SavedView.objects.create(owner=make_staff("ops_manager"), name="Theirs", is_shared=True)
    log_in(client, make_staff("sales"))

    client.post(VIEWS, {"do": do, "view": view.pk, "name": "Mine now"})

    assert SavedView.objects.get().name == "Theirs"


def test_sharing_needs_its_permission_and_the_refusal_names_who_has_it(client):
    log_in(client, make_staff("sales"))

    answer = client.post(VIEWS, {"do": "save", "name": "For all", "query": "", "is_shared": "1"}, follow=True)

    assert not SavedView.objects.exists()
    assert len(list(answer.context["messages"])) == 1


def test_a_role_begins_with_its_view_and_a_person_with_their_own(client):
    log_in(client, make_staff("ops_manager"))
    client.post(VIEWS, {"do": "save", "name": "Sales", "query": "step=date", "default_for": "sales"})
    client.post(VIEWS, {"do": "save", "name": "Held", "query": "held=1", "is_shared": "1"})
    seller = make_staff("sales")
    log_in(client, seller)
    assert client.get(BOARD).context["query"].filters == {"step": ["date"]}

    client.post(VIEWS, {"do": "first", "view": SavedView.objects.get(name="Held").pk})

    assert client.get(BOARD).context["query"].filters == {"held": ["1"]}
    client.post(VIEWS, {"do": "first", "view": "todo"})
    assert StaffPreference.objects.get(user=seller).home_view is None


def offered(client, address):
    """Which ways to choose the home view stand on this page."""
    text = client.get(address).content.decode()
    return [do for do in ("first", "default") if f'name="do" value="{do}"' in text]


def test_a_saved_view_is_set_as_the_home_view_from_its_own_page_and_given_up_there(client):
    person = make_staff("sales")
    log_in(client, person)
    client.post(VIEWS, {"do": "save", "name": "Held", "query": "held=1"})
    view = SavedView.objects.get()
    mine = f"{BOARD}?view={view.pk}"
    assert offered(client, BOARD) == []
    assert offered(client, mine) == ["first"]

    client.post(VIEWS, {"do": "first", "view": view.pk})

    assert StaffPreference.objects.get(user=person).home_view == view
    assert client.get(BOARD).context["query"].view == str(view.pk)
    assert offered(client, mine) == offered(client, f"{BOARD}?view=all") == ["default"]

    client.post(VIEWS, {"do": "default", "view": view.pk})

    assert StaffPreference.objects.get(user=person).home_view is None
    assert client.get(BOARD).context["query"].view == "todo"


def test_a_home_view_that_is_not_shared_any_more_gives_way_to_the_default(client):
    view = SavedView.objects.create(owner=make_staff("ops_manager"), name="Shared", is_shared=True)
    log_in(client, make_staff("sales"))
    client.post(VIEWS, {"do": "first", "view": view.pk})
    SavedView.objects.update(is_shared=False)

    assert client.get(BOARD).context["query"].view == "todo"
    assert offered(client, BOARD) == []


def test_nobody_begins_with_a_private_view_of_somebody_else(client):
    view = SavedView.objects.create(owner=make_staff("ops_manager"), name="Private")
    log_in(client, make_staff("sales"))

    client.post(VIEWS, {"do": "first", "view": view.pk})

    assert not StaffPreference.objects.filter(home_view=view).exists()


def test_an_owner_renames_and_deletes_and_the_audit_knows(client):
    log_in(client, make_staff("sales"))
    client.post(VIEWS, {"do": "save", "name": "One", "query": "held=1"})
    view = SavedView.objects.get()

    client.post(VIEWS, {"do": "rename", "view": view.pk, "name": "Two"})
    assert SavedView.objects.get().name == "Two"
    client.post(VIEWS, {"do": "delete", "view": view.pk})

    assert not SavedView.objects.exists()
    told = AuditEntry.objects.filter(model="orders.savedview").order_by("id").values_list("action", flat=True)
    assert list(told) == ["create", "change", "delete"]


@pytest.mark.parametrize("name", ["", "x" * 61])
def test_a_view_without_a_usable_name_is_not_kept(client, name):
    log_in(client, make_staff("sales"))

    client.post(VIEWS, {"do": "save", "name": name, "query": "held=1"})

    assert not SavedView.objects.exists()


@pytest.mark.parametrize("address", [VIEWS, EXPORT])
def test_looking_never_keeps_or_exports_anything(client, address):
    log_in(client, make_staff("ops_manager"))

    assert client.get(address, {"do": "save", "name": "x", "format": "csv"}).status_code == 405
    assert not SavedView.objects.exists()


def exported(client, form, query="x=1"):
    answer = client.post(f"{EXPORT}?{query}", {"format": form})
    return answer, b"".join(answer.streaming_content)


def test_a_csv_has_the_mark_for_excel_and_no_cell_that_runs(client):
    shop = make_shop(name="=cmd|' /C calc'!A0")
    put(make_order(shop=shop, external_id="-1+1"), waybill="@SUM(A1)", region="\t=1")
    log_in(client, make_staff("ops_manager"))

    answer, content = exported(client, "csv")

    assert content.startswith(b"\xef\xbb\xbf")
    assert re.search(r'filename="orders-20260601-1000.csv"', answer["Content-Disposition"])
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert [lines[1][column] for column in (1, 2, 14, 15)] == [
        "'=cmd|' /C calc'!A0",
        "'-1+1",
        "'@SUM(A1)",
        "'\t=1",
    ]
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@"))]


def test_an_excel_file_opens_and_has_every_order_in_the_lists_sequence(client):
    shop = make_shop()
    orders = [put(make_order(shop=shop), promised_at=after(9 - n), region="<&>\x0b\uffff") for n in range(5)]
    log_in(client, make_staff("ops_manager"))

    _answer, content = exported(client, "xlsx")

    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    rows = list(book.active.iter_rows(values_only=True))
    assert [row[0] for row in rows[1:]] == [order.number for order in reversed(orders)]
    assert {row[15] for row in rows[1:]} == {"<&>"}
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_a_book_goes_on_in_another_sheet_where_one_is_full():
    orders = [make_order(shop=make_shop()) for _n in range(5)]

    content = b"".join(as_xlsx(iter(orders), rows_a_sheet=2))

    book = openpyxl.load_workbook(io.BytesIO(content))
    sheets = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets]
    numbers = [order.number for order in orders]
    assert [sheet[1:] for sheet in sheets] == [numbers[:2], numbers[2:4], numbers[4:]]
    assert len({sheet[0] for sheet in sheets}) == 1


def test_a_book_without_an_order_has_its_headings():
    book = openpyxl.load_workbook(io.BytesIO(b"".join(as_xlsx(iter([])))))

    assert [len(list(sheet.iter_rows())) for sheet in book.worksheets] == [1]


@pytest.mark.parametrize("write", [as_csv, as_xlsx])
def test_a_file_is_sent_in_batches_and_no_more_orders_are_read_than_one_batch(write):
    order, read = shown(Order.objects.filter(pk=make_order().pk)).get(), []

    def orders():
        for n in range(5_500):
            read.append(n)
            yield order

    ahead, before = [], 0
    for _part in write(orders()):
        ahead.append(len(read) - before)
        before = len(read)

    assert len(read) == 5_500
    assert len(ahead) >= 6
    assert max(ahead) <= CHUNK + 1


def test_the_orders_of_a_long_export_are_read_a_batch_at_a_time(django_assert_num_queries):
    template = make_order()
    values = {name: getattr(template, name) for name in ("created_at", "stage_since", "stage", "shop")}
    Order.objects.bulk_create(Order(number=f"N{n}", external_id=f"N{n}", **values) for n in range(2 * CHUNK))
    orders = orders_in_turn(Order.objects.all(), DEFAULT_SORT)

    with django_assert_num_queries(2):
        first = [next(orders) for _n in range(CHUNK)]
    with django_assert_num_queries(2):
        second = [next(orders) for _n in range(CHUNK)]
    rest = list(orders)

    seen = {order.pk for order in [*first, *second, *rest]}
    assert (len(rest), len(seen)) == (1, 2 * CHUNK + 1)


def test_an_export_holds_what_its_reader_may_see_and_nobody_in_clear(client):
    mine, contact = (
        make_shop("mine"),
        Contact.objects.keep({"name": "王小明", "phone": "13812345678", "street": "文三路"}),
    )
    seen = put(make_order(shop=mine), contact=contact)
    hidden = make_order(shop=make_shop("other"))
    log_in(client, make_staff("sales", shops=(mine,)))

    _answer, content = exported(client, "csv")
    text = content.decode("utf-8-sig")

    assert seen.number in text
    assert "王**" in text
    assert hidden.number not in text
    assert not [word for word in ("王小明", "13812345678", "5678", "文三路") if word in text]


def test_an_export_needs_its_permission_and_leaves_one_audit_row(client):
    put(make_order(), customer=make_customer(name="Deli"))
    log_in(client, make_staff("warehouse", everything=True))
    assert client.post(f"{EXPORT}?x=1", {"format": "csv"}).status_code == 403
    assert not AuditEntry.objects.filter(action="board.exported").exists()

    log_in(client, make_staff("ops_manager"))
    exported(client, "csv", "stage=awaiting_date")

    entry = AuditEntry.objects.get(action="board.exported")
    assert entry.after == {"format": "csv", "list": "stage=awaiting_date"}


def test_a_long_export_begins_before_it_has_read_every_order(client, django_assert_max_num_queries):
    shop = make_shop()
    template = make_order(shop=shop)
    values = {
        name: getattr(template, name)
        for name in ("created_at", "stage_since", "stage", "promised_at", "step_due_at")
    }
    Order.objects.bulk_create(
        Order(number=f"N{n}", external_id=f"N{n}", shop=shop, **values) for n in range(2_500)
    )
    log_in(client, make_staff("ops_manager"))
    answer = client.post(f"{EXPORT}?x=1", {"format": "csv"})
    parts = iter(answer.streaming_content)

    with django_assert_max_num_queries(0):
        first = next(parts)
    with django_assert_max_num_queries(6):
        rest = list(parts)

    assert first.startswith(b"\xef\xbb\xbf")
    assert b"".join(rest).count(b"\r\n") == 2_501
