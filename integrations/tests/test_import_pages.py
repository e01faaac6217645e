from __future__ import annotations

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.translation import override
from openpyxl import Workbook

from integrations.mapping.starters import TABLE_EN, TABLE_ZH
from integrations.models import FieldMapping, ImportRun, InboundMessage
from integrations.tests.senders import make_connection
from integrations.tests.uploads import carry_out, make_mapping, make_way_in, settle, start, table
from orders.models import Order, OrderFact
from orders.stages import Role
from orders.tests.factories import make_shop
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

ADD = "/admin/integrations/importrun/add/"
MAY = (
    "integrations.view_importrun", "integrations.add_importrun", "integrations.change_importrun",
    "integrations.view_importrowerror", "integrations.view_fieldmapping", "integrations.add_fieldmapping",
    "integrations.change_fieldmapping", "integrations.replay_message", "orders.view_order",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "uploads"


def importer(*, may=MAY, language="en") -> Client:
    return log_in(Client(headers={"accept-language": language}), make_staff(may=may, everything=True))


def upload(client: Client, connection, content: bytes, name="o.csv", **given):
    file = SimpleUploadedFile(name, content)
    return client.post(ADD, {"connection": connection.pk, "file": file, "try": "1", **given})


def counts(page) -> tuple[int, ...]:
    looked = page.context["looked"]
    return looked.n_rows, looked.n_add, looked.n_change, looked.n_skip, looked.n_error


def nothing_was_written() -> bool:
    return not any(model.objects.exists() for model in (ImportRun, InboundMessage, Order, OrderFact))


def test_looking_counts_what_the_import_then_does():
    connection = make_way_in()
    client = importer()
    first = table({"订单号": "A"}, {"订单号": "B"}, {"订单号": "C", "数量": "x"})
    second = table({"订单号": "A"}, {"订单号": "B", "数量": "5"}, {"订单号": "D"}, {"订单号": ""})

    before = upload(client, connection, first)
    assert counts(before) == (3, 2, 0, 0, 1)
    assert nothing_was_written()
    run = carry_out(start(connection, first))
    assert (run.n_orders, run.n_duplicates, run.n_errors) == (2, 0, 1)
    after = upload(client, connection, second)

    # The row without a number belongs to the order above it.
    assert counts(after) == (4, 1, 1, 1, 0)
    run = carry_out(start(connection, second))
    assert (run.n_orders, run.n_duplicates, run.n_errors) == (2, 1, 0)


def test_a_file_is_confirmed_carried_out_and_its_orders_are_linked():
    connection = make_way_in()
    client = importer()
    looked = upload(client, connection, table({}, {"订单号": "B", "数量": "x"}))
    page = looked.content.decode()
    assert "Import 1 record" in page
    assert "lines[].qty" in page
    assert nothing_was_written()

    kept = {"digest": looked.context["digest"], "name": "o.csv"}
    begun = client.post(ADD, {"connection": connection.pk, **kept, "start": "1"})
    run = ImportRun.objects.get()
    waiting = client.get(f"/admin/integrations/importrun/{run.pk}/progress/").json()
    assert (begun.status_code, waiting["is_open"]) == (302, True)
    carry_out(run)

    done = client.get(f"/admin/integrations/importrun/{run.pk}/progress/").json()
    assert done["is_open"] is False
    assert "rows a second" in done["html"]
    result = client.get(begun.url).content.decode()
    assert Order.objects.get().number in result
    assert "Try the failed rows again" in result


def test_the_bad_rows_can_be_downloaded_before_anything_is_written():
    connection = make_way_in()
    client = importer()

    answer = upload(client, connection, table({"数量": "x"}, {"订单号": "B"}), errors="1")

    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [(row["Row"], row["Field"], row["订单号"]) for row in rows] == [("2", "lines[].qty", "'00123")]
    assert "“x” is not a number" in rows[0]["What is wrong"]
    assert nothing_was_written()


def test_the_mapping_is_chosen_by_the_columns_and_a_misfit_is_told():
    english, chinese = make_mapping("english"), make_mapping("chinese")
    FieldMapping.objects.filter(pk=english.pk).update(definition=TABLE_EN)
    free = make_connection("free", role=Role.SHOP, shop=make_shop(), connector="rows")
    client = importer()

    fits = upload(client, free, table({}))
    misfit = upload(client, make_way_in(mapping=english, slug="bound"), table({}))
    unknown = upload(client, free, b"a,b,c\n1,2,3\n")

    assert (fits.context["chosen"], counts(fits)) == (chinese, (1, 1, 0, 0, 0))
    assert misfit.context["fit"].missing == ("Shop order number", "Placed at", "Article", "Quantity")
    assert "“chinese” would find" in misfit.content.decode()
    assert "No mapping fits these columns" in unknown.content.decode()
    assert nothing_was_written()


def test_a_mapping_is_made_from_the_uploaded_file():
    free = make_connection("free", role=Role.SHOP, shop=make_shop(), connector="rows")
    client = importer(may=(*MAY, "integrations.change_connection"))
    page = upload(client, free, b"tid,created,sku_code,num\nA,2026-11-22 09:00,BRK-001,2\n", "x.csv")

    form = {"digest": page.context["digest"], "file_name": "x.csv", "name": "x.csv", "kind": "file"}
    editor = client.post(
        "/admin/integrations/fieldmapping/new/", {**form, "connection": free.pk, "accept": "*"}
    )
    saved = client.post(
        "/admin/integrations/fieldmapping/new/",
        {**form, "connection": free.pk, "base": editor.context["seen"].text, "do": "save", "name": "made"},
    )

    assert editor.context["seen"].n_passed == 1
    assert saved.status_code == 302
    free.refresh_from_db()
    assert free.mapping.name == "made"
    assert counts(upload(client, free, b"tid,created,sku_code,num\nA,2026-11-22,B,2\n"))[1] == 1


def test_failed_rows_are_tried_again_after_the_mapping_was_mended():
    connection = make_way_in()
    client = importer()
    run = carry_out(start(connection, table({}, {"订单号": "B", "数量": "two"})))
    assert run.n_errors == 1
    fields = {**TABLE_ZH["fields"], "lines[].qty": {"path": "数量", "values": {"two": 2, "2": 2}}}
    FieldMapping.objects.update(definition={**TABLE_ZH, "fields": fields})

    again = client.post(f"/admin/integrations/importrun/{run.pk}/retry/")
    settle()

    run.refresh_from_db()
    assert (again.status_code, run.n_errors, run.errors.count()) == (302, 0, 0)
    assert Order.objects.count() == 2
    reader = importer(may=MAY[:1])
    assert reader.post(f"/admin/integrations/importrun/{run.pk}/retry/").status_code == 403
    assert reader.get(ADD).status_code == 403


def test_a_cancelled_import_reads_no_further_and_says_so():
    connection = make_way_in()
    client = importer()
    run = start(connection, table({}))

    client.post(f"/admin/integrations/importrun/{run.pk}/cancel/")
    page = client.get(f"/admin/integrations/importrun/{run.pk}/change/").content.decode()

    assert "Cancelled" in page
    assert carry_out(run).n_rows == 0
    assert not Order.objects.exists()


def test_a_workbook_with_a_title_and_long_ids_is_looked_at_as_it_is_imported():
    connection = make_way_in()
    client = importer(language="zh-hans")
    book = Workbook()
    for row in (
        ["2026年11月订单导出"], [], ["订单号", "下单时间", "商品编码", "数量"],
        ["240012345678901234", "2026-11-22 09:00", "BRK-001", 2], [240012345678901234, "2026-11-22 09:00", "BRK-001", 2],
    ):  # fmt: skip
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)

    page = upload(client, connection, content.getvalue(), "九月.xlsx")

    assert counts(page) == (2, 1, 0, 0, 1)
    assert page.context["looked"].bad[0].row == 5
    assert "九月.xlsx" in page.content.decode()


def test_without_a_connection_for_files_the_page_says_what_to_do():
    html = importer().get(ADD).content.decode()

    assert "No connection takes files yet" in html
    assert "You need the permission “Add: connections” for this." in html


def test_looking_asks_in_batches(django_assert_max_num_queries):
    connection = make_way_in()
    client = importer()
    many = table(*({"订单号": f"N{number}"} for number in range(400)))

    with django_assert_max_num_queries(40):
        page = upload(client, connection, many)

    assert counts(page) == (400, 400, 0, 0, 0)


def test_what_a_worker_wrote_is_read_in_the_reader_s_language():
    connection = make_way_in()
    with override("zh-hans"):
        run = carry_out(start(connection, table({"数量": "x"}, {"订单号": "B", "下单时间": "gestern"})))
    assert {error.error[0] for error in run.errors.all()} == {"“"}
    address = f"/admin/integrations/importrun/{run.pk}/change/"

    english = importer().get(address).content.decode()
    chinese = importer(language="zh-hans").get(address).content.decode()

    assert "“x” is not a number. Expected digits such as 1234.50." in english
    assert (
        "“gestern” is not a time in the expected form (a date and time such as 2026-11-22 18:04:00)"
        in english
    )
    assert "is not a number" not in chinese
    message = InboundMessage.objects.filter(state="failed").first()
    listed = importer(may=(*MAY, "integrations.view_inboundmessage"))
    page = listed.get(f"/admin/integrations/inboundmessage/{message.pk}/change/").content.decode()
    assert "“x” is not a number. Expected digits such as 1234.50." in page


def test_why_an_import_stopped_is_read_in_the_reader_s_language():
    connection = make_way_in()
    with override("zh-hans"):
        run = start(connection, table())
        carry_out(run)

    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error != run.why_it_stopped
    assert run.why_it_stopped == "The file has column names but no rows. Export it again."
