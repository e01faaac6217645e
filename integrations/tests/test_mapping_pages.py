from __future__ import annotations

import json

import pytest

from integrations import files
from integrations.mapping.starters import TABLE_ZH
from integrations.models import (
    FieldMapping,
    InboundMessage,
    UnmappedValue,
)
from integrations.tests.uploads import (
    carry_out,
    make_mapping,
    make_way_in,
    settle,
    start,
    table,
)
from orders.models import Order
from orders.tests.staff import staff_client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "uploads"


EDIT = ("integrations.view_fieldmapping", "integrations.change_fieldmapping", "integrations.add_fieldmapping")


def test_a_mapping_is_saved_as_a_version_and_refused_with_the_place():
    mapping = make_mapping()
    client = staff_client(everything=True, may=EDIT)
    address = f"/admin/integrations/fieldmapping/{mapping.pk}/change/"
    changed = {**TABLE_ZH, "note": "new"}

    wrong = client.post(address, {"name": "table", "definition": json.dumps({**changed, "version": 3})})
    broken = client.post(address, {"name": "table", "definition": "{"})
    saved = client.post(address, {"name": "table", "definition": json.dumps(changed)})

    assert "version: " in str(wrong.context["errors"])
    assert broken.status_code == 200
    assert saved.status_code == 302
    mapping.refresh_from_db()
    assert (mapping.version, mapping.definition["note"]) == (2, "new")
    page = client.get(address)
    assert "收货人" in page.content.decode()
    reverted = client.post(f"/admin/integrations/fieldmapping/{mapping.pk}/revert/1/")
    assert reverted.status_code == 302
    mapping.refresh_from_db()
    assert (mapping.version, mapping.definition) == (3, TABLE_ZH)


def test_a_new_mapping_begins_with_a_starter():
    client = staff_client(everything=True, may=EDIT)

    page = client.get("/admin/integrations/fieldmapping/add/?starter=table-en")
    client.post("/admin/integrations/fieldmapping/add/", {"name": "mine", "definition": json.dumps(TABLE_ZH)})

    assert "order_id" in page.content.decode()
    assert FieldMapping.objects.get(name="mine").versions.count() == 1


def test_a_trial_on_the_page_writes_nothing():
    mapping = make_mapping()
    client = staff_client(everything=True, may=EDIT)
    address = f"/admin/integrations/fieldmapping/{mapping.pk}/trial/"

    page = client.post(
        address,
        {
            "definition": json.dumps(TABLE_ZH),
            "samples": table({}, {"数量": "x", "订单号": "B"}).decode(),
            "try": "1",
        },
    )

    assert (page.context["n_passed"], page.context["n_failed"]) == (1, 1)
    assert ("订单号", "00123") in page.context["paths"]
    assert client.post(address, {"definition": json.dumps(TABLE_ZH), "last": "1"}).status_code == 403
    assert not InboundMessage.objects.exists()
    mapping.refresh_from_db()
    assert mapping.version == 1


@pytest.mark.parametrize(
    "sample", ['{"订单号":\n"A"}', '[{"订单号": "A"}]', '{"订单号": "A"}\n{"订单号": "B"}', "订单号;b\nA;1"]
)
def test_samples_may_be_pasted_in_any_form(sample):
    assert files.samples_from(sample, TABLE_ZH, 20)[0]["订单号"] == "A"


def test_an_unknown_value_is_mapped_on_its_page():
    connection = make_way_in()
    carry_out(start(connection, table({"订单状态": "6"})))
    value = UnmappedValue.objects.get()
    client = staff_client(everything=True, may=(*EDIT, "integrations.view_unmappedvalue"))
    address = f"/admin/integrations/unmappedvalue/{value.pk}/map/"

    assert client.get("/admin/integrations/unmappedvalue/").status_code == 200
    assert client.get(address).context["is_status"]
    assert client.post(address, {"kinds": ["payment.received"]}).status_code == 302
    settle()

    connection.mapping.refresh_from_db()
    assert connection.mapping.definition["status"]["values"]["6"] == ["payment.received"]
    assert Order.objects.get().payment == "paid"


def test_pages_of_mappings_need_their_permissions():
    mapping = make_mapping()
    nobody = staff_client(everything=True)
    reader = staff_client(everything=True, may=("integrations.view_fieldmapping",))
    base = f"/admin/integrations/fieldmapping/{mapping.pk}"

    assert nobody.get(f"{base}/trial/").status_code == 404
    assert reader.get(f"{base}/trial/").status_code == 200
    for name in ("revert/1", "reread", "replay"):
        assert reader.post(f"{base}/{name}/").status_code == 403
        assert reader.get(f"{base}/{name}/").status_code == 405
    saved = reader.post(f"{base}/trial/", {"definition": json.dumps({**TABLE_ZH, "note": "x"}), "save": "1"})
    assert saved.status_code == 403
    assert mapping.versions.count() == 1
