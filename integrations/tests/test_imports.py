from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from integrations import files, ingest
from integrations.files.runs import advance, first_records, unpacked_path, upload_path
from integrations.mapping import rereading, versions
from integrations.mapping.starters import TABLE_ZH
from integrations.models import (
    Connection,
    FieldMapping,
    ImportRowError,
    ImportRun,
    InboundMessage,
)
from integrations.tests.uploads import (
    NINE,
    carry_out,
    make_mapping,
    make_way_in,
    settle,
    start,
    table,
)
from orders.models import AuditEntry, Order, OrderFact
from orders.tests.factories import make_shop
from orders.tests.staff import staff_client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "uploads"


def test_a_file_becomes_settled_orders_and_counts():
    run = carry_out(
        start(
            make_way_in(),
            table(
                {"订单状态": "待发货", "手机": "13812345678"},
                {"订单号": "B"},
                {"订单号": "B", "商品编码": "X"},
            ),
        )
    )

    order = Order.objects.get(external_id="00123")
    assert [(line.sku, line.ordered) for line in order.lines.all()] == [("BRK-001", Decimal(2))]
    assert order.payment == "paid"
    assert order.contact.masked_phone == "138****5678"
    assert sorted(Order.objects.get(external_id="B").lines.values_list("sku", flat=True)) == ["BRK-001", "X"]
    assert (run.state, run.n_rows, run.n_total, run.n_orders, run.n_duplicates, run.n_errors) == (
        "done",
        3,
        3,
        2,
        0,
        0,
    )
    assert not unpacked_path(run).exists()
    assert upload_path(run.digest).stat().st_mode & 0o777 == 0o600


def test_the_same_file_again_changes_nothing():
    connection = make_way_in()
    carry_out(start(connection, table({}, {"订单号": "B"})))
    before = OrderFact.objects.count()

    run = carry_out(start(connection, table({}, {"订单号": "B"})))

    assert (run.state, run.n_orders, run.n_duplicates) == ("done", 0, 2)
    assert (Order.objects.count(), OrderFact.objects.count()) == (2, before)


def test_one_external_id_from_two_shops_is_two_orders():
    for number in (1, 2):
        carry_out(start(make_way_in(slug=f"files-{number}"), table({})))

    assert Order.objects.filter(external_id="00123").count() == 2


def test_a_row_that_fails_is_listed_and_the_rest_goes_in():
    run = carry_out(start(make_way_in(), table({"数量": "two"}, {"订单号": "2.40012E+18"}, {"订单号": "C"})))

    assert (run.state, run.n_orders, run.n_errors) == ("done", 1, 2)
    assert list(run.errors.values_list("row", "field")) == [(2, "lines[].qty"), (3, "external_id")]
    assert run.errors.first().original["数量"] == "two"
    assert InboundMessage.objects.filter(state="failed").count() == 2
    assert Order.objects.count() == 1


def test_the_list_of_errors_can_be_mended_and_imported_again():
    connection = make_way_in()
    bad = {"订单号": "240012345678901234", "数量": "=1+1", "商品编码": "0042"}
    run = carry_out(start(connection, table(bad)))

    text = "".join(files.error_csv(run))
    assert text.startswith("\ufeff")
    assert "'240012345678901234" in text
    assert "'=1+1" in text
    again = carry_out(start(connection, text.replace("'=1+1", "3").encode()))

    assert (again.n_orders, again.n_errors) == (1, 0)
    order = Order.objects.get()
    assert (order.external_id, order.lines.get().sku, order.lines.get().ordered) == (
        "240012345678901234",
        "0042",
        3,
    )


def test_a_mended_mapping_and_a_replay_bring_failed_rows_in():
    mapping = make_mapping(fields={**TABLE_ZH["fields"], "lines[].qty": {"path": "件数"}})
    run = carry_out(start(make_way_in(mapping=mapping), table({})))
    assert (run.n_errors, Order.objects.count()) == (1, 0)

    mapping.definition = TABLE_ZH
    versions.save(mapping, by=None, at=NINE)
    ingest.replay(list(rereading.failed_messages(mapping).values_list("pk", flat=True)))
    settle()

    run.refresh_from_db()
    assert (run.n_errors, run.n_orders, ImportRowError.objects.count()) == (0, 1, 0)
    assert Order.objects.get().external_id == "00123"


def test_importing_again_tries_failed_rows_again():
    connection = make_way_in()
    carry_out(start(connection, table({"数量": "two"})))

    run = carry_out(start(connection, table({"数量": "two"})))

    assert (run.n_errors, run.n_duplicates, run.errors.get().field) == (1, 0, "lines[].qty")


def test_a_run_goes_on_where_it_stopped():
    run = start(make_way_in(), table(*({"订单号": f"A{number}"} for number in range(1201))))
    assert advance(run.pk)  # unpacked
    assert advance(run.pk)  # 500 read in; then the worker dies
    run.refresh_from_db()
    assert (run.n_rows, InboundMessage.objects.count()) == (500, 500)

    while advance(run.pk):
        pass

    run.refresh_from_db()
    assert (run.n_rows, run.n_duplicates, InboundMessage.objects.count()) == (1201, 0, 1201)


def test_a_cancelled_run_stops_before_the_next_chunk():
    run = start(make_way_in(), table(*({"订单号": f"A{number}"} for number in range(700))))
    advance(run.pk)
    advance(run.pk)

    assert files.cancel(run)

    assert not advance(run.pk)
    run.refresh_from_db()
    assert (run.state, run.n_rows, InboundMessage.objects.count()) == ("cancelled", 500, 500)
    assert not files.cancel(run)
    assert AuditEntry.objects.filter(action="import.cancel").count() == 1


def test_a_file_that_turns_out_unreadable_puts_nothing_in():
    run = start(make_way_in(), table({}, {}) + b'\n"open')

    carry_out(run)

    assert run.state == "failed"
    assert "quotation mark" in run.error
    assert not InboundMessage.objects.exists()


def test_a_file_that_is_none_makes_no_run():
    connection = make_way_in()

    with pytest.raises(files.FileRefused, match=r"Only \.csv"):
        start(connection, b"MZ", "orders.exe")
    with pytest.raises(files.FileRefused, match="Choose that mapping"):
        files.start_import(connection, make_mapping("other"), io.BytesIO(table({})), "o.csv", None)

    assert not ImportRun.objects.exists()


def test_file_names_are_never_paths():
    assert files.safe_name("..\\..\\etc/passwd\x00.csv") == "passwd.csv"
    assert files.safe_name("/") == "file"


def test_an_upload_has_a_limit(settings):
    settings.IMPORT_MAX_BYTES = 10

    with pytest.raises(files.FileRefused, match="larger than"):
        files.keep(io.BytesIO(b"x" * 11))

    assert list(settings.UPLOAD_DIR.iterdir()) == []


# The command.


def run_command(path, shop, *options) -> tuple[int, dict]:
    out = io.StringIO()
    code = 0
    try:
        call_command("import_orders", str(path), f"--shop={shop}", "--json", *options, stdout=out)
    except SystemExit as stop:
        code = stop.code
    return code, json.loads(out.getvalue())


def test_the_command_imports_a_file_and_tells_by_its_exit_code(tmp_path):
    make_shop("tm")
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(table({}))
    bad.write_bytes(table({"订单号": "B"}, {"订单号": "C", "数量": "x"}))

    assert run_command(good, "tm", "--mapping=table-zh")[0] == 0
    code, told = run_command(bad, "tm", "--mapping=table-zh")

    assert (code, told["orders"], told["errors"]) == (1, 1, 1)
    assert "\n3,lines[].qty," in Path(told["errors_file"]).read_text(encoding="utf-8-sig")
    assert sorted(Order.objects.values_list("external_id", flat=True)) == ["00123", "B"]
    assert Connection.objects.get().slug == "files-tm"


def test_the_command_refuses_what_cannot_begin(tmp_path):
    make_shop("tm")
    path = tmp_path / "o.csv"
    path.write_bytes(table({}))

    assert run_command(path, "nowhere", "--mapping=table-zh")[0] == 2
    assert run_command(path, "tm", "--mapping=nothing")[0] == 2
    assert run_command(tmp_path / "missing.csv", "tm", "--mapping=table-zh")[0] == 2
    (tmp_path / "map.json").write_text('{"version": 1}')
    code, told = run_command(path, "tm", f"--mapping={tmp_path / 'map.json'}")

    assert (code, "fields.external_id" in told["error"]) == (2, True)
    assert not ImportRun.objects.exists()


def test_a_trial_by_command_writes_nothing(tmp_path):
    make_shop("tm")
    path = tmp_path / "o.csv"
    path.write_bytes(table({}, {"订单号": "B", "数量": "x"}))

    code, told = run_command(path, "tm", "--mapping=table-zh", "--trial")

    assert (code, [sample["verdict"] for sample in told["samples"]]) == (1, ["passed", "failed"])
    assert not any(
        model.objects.exists() for model in (ImportRun, InboundMessage, Order, FieldMapping, Connection)
    )


# The admin.


def test_a_file_is_tried_then_imported_through_the_pages():
    connection = make_way_in()
    client = staff_client(everything=True, may=(
        "integrations.view_importrun", "integrations.add_importrun", "integrations.view_importrowerror",
    ))  # fmt: skip
    given = {"connection": connection.pk, "mapping": connection.mapping_id}
    upload = SimpleUploadedFile("o.csv", table({}, {"订单号": "B", "数量": "x"}))

    tried = client.post("/admin/integrations/importrun/add/", {**given, "file": upload, "try": "1"})
    looked = tried.context["looked"]
    assert (looked.n_rows, looked.n_add, looked.n_change, looked.n_skip, looked.n_error) == (2, 1, 0, 0, 1)
    assert not InboundMessage.objects.exists()
    assert not ImportRun.objects.exists()
    kept = {"digest": tried.context["digest"], "name": "o.csv"}
    started = client.post("/admin/integrations/importrun/add/", {**given, **kept, "start": "1"})

    run = carry_out(ImportRun.objects.get())
    assert started.url == f"/admin/integrations/importrun/{run.pk}/change/"
    page = client.get(started.url)
    assert page.context["run"].n_errors == 1
    assert b"lines[].qty" in page.content
    assert client.get(f"/admin/integrations/importrun/{run.pk}/errors.csv").status_code == 405
    download = client.post(f"/admin/integrations/importrun/{run.pk}/errors.csv")
    assert "00123" not in b"".join(download.streaming_content).decode()
    assert client.post(f"/admin/integrations/importrun/{run.pk}/cancel/").status_code == 403


def test_a_refused_upload_says_why_on_the_page():
    connection = make_way_in()
    client = staff_client(everything=True, may=("integrations.view_importrun", "integrations.add_importrun"))
    upload = SimpleUploadedFile("o.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")

    page = client.post(
        "/admin/integrations/importrun/add/",
        {"connection": connection.pk, "mapping": connection.mapping_id, "file": upload, "start": "1"},
    )

    assert page.status_code == 200
    assert ".xls" in page.context["form"].non_field_errors()[0]
    assert not ImportRun.objects.exists()


def test_runs_of_other_shops_do_not_exist_for_me():
    run = start(make_way_in(), table({}))
    client = staff_client(
        shops=(make_shop(),), may=("integrations.view_importrun", "integrations.change_importrun")
    )

    assert client.get(f"/admin/integrations/importrun/{run.pk}/change/").status_code == 404
    assert client.post(f"/admin/integrations/importrun/{run.pk}/cancel/").status_code == 404
    run.refresh_from_db()
    assert run.state == "waiting"


def test_what_a_run_is_tried_on_comes_from_the_file():
    connection = make_way_in()
    digest = files.keep(io.BytesIO(table({}, {"商品编码": "X"}, {"订单号": "B"})))

    found = first_records(digest, "o.csv", connection.mapping, 1)

    assert len(found) == 1
    assert [row["商品编码"] for row in found[0]] == ["BRK-001", "X"]
    assert settings.UPLOAD_DIR.joinpath(digest).exists()


def test_old_uploads_are_deleted_but_not_those_of_open_runs():
    connection = make_way_in()
    done, waiting = carry_out(start(connection, table({}))), start(connection, table({"订单号": "B"}))
    later = datetime(2100, 1, 1, tzinfo=UTC)

    assert files.forget_uploads(NINE.replace(year=2000)) == 0
    assert files.forget_uploads(later) == 1

    assert not upload_path(done.digest).exists()
    assert carry_out(waiting).state == "done"


def test_a_file_whose_upload_is_gone_says_so():
    run = start(make_way_in(), table({}))
    upload_path(run.digest).unlink()

    assert not files.work()

    run.refresh_from_db()
    assert (run.state, "Upload it again" in run.error) == ("failed", True)
