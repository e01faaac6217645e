from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from html import unescape

import pytest
from django.test import Client

from integrations import files, ingest
from integrations.files.runs import advance
from integrations.mapping import translate, versions
from integrations.mapping.starters import TABLE_ZH
from integrations.models import FieldMapping, InboundMessage, UnmappedValue
from integrations.tests.senders import make_connection
from orders.models import AuditEntry, Order, OrderFact
from orders.stages import Role
from orders.tests.factories import make_shop
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

NINE = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
EDIT = (
    "integrations.view_fieldmapping", "integrations.change_fieldmapping", "integrations.add_fieldmapping",
    "integrations.view_unmappedvalue", "integrations.read_body", "integrations.replay_message",
)  # fmt: skip
TRADE = {
    "tid": "240012345678901234",
    "created": "2026-11-22 09:00:00",
    "receiver": {"state": "浙江省", "city": "绍兴市", "mobile": "13800000000"},
    "orders": [{"sku_id": "BRK-001", "num": 2}, {"sku_id": "BRK-002", "num": 1}],
    "status": "WAIT_SELLER",
    "unused": {"deep": ["x"]},
}
MAPPED = {
    "version": 1,
    "fields": {
        "external_id": {"path": "tid"},
        "placed_at": {"path": "created"},
        "region": {"jmespath": "join(' ', [receiver.state, receiver.city])"},
        "rush": {"constant": True},
        "contact.phone": {"path": "receiver.mobile", "transform": "digits"},
        "lines[].sku": {"path": "orders[].sku_id"},
        "lines[].qty": {"path": "orders[].num"},
    },
    "status": {
        "path": "status",
        "values": {"PAID": ["payment.received"], "OLD": []},
        "at": {"path": "created"},
    },
    "facts": [
        {
            "kind": "payment.received",
            "at": {"path": "pay_time", "format": "epoch_ms"},
            "data": {"amount": {"path": "payment"}},
        }
    ],
    "note": "kept as it is",
}


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "uploads"


def make_mapping(definition=None, name="taobao") -> FieldMapping:
    mapping = FieldMapping(name=name, definition=definition or MAPPED)
    versions.save(mapping, by=None, at=NINE)
    return mapping


def editor_client(*, may=EDIT) -> Client:
    return log_in(Client(headers={"accept-language": "en"}), make_staff(may=may, everything=True))


def inputs_of(html: str) -> dict[str, list[str]]:
    """The editor's form as a browser would send it back."""
    form = html[html.index('<form method="post" enctype') :]
    form = form[: form.index("</form>")]
    found: dict[str, list[str]] = {}

    def add(name: str, value: str) -> None:
        found.setdefault(unescape(name), []).append(unescape(value))

    pattern = r"<input ([^>]*)>|<select ([^>]*)>(.*?)</select>|<textarea ([^>]*)>(.*?)</textarea>"
    for single, select, options, area, text in re.findall(pattern, form, re.DOTALL):
        name = re.search(r'name="([^"]*)"', single or select or area)
        if single and name:
            is_box = 'type="checkbox"' in single or 'type="radio"' in single
            value = re.search(r'value="([^"]*)"', single)
            if 'type="file"' not in single and (not is_box or "checked" in single):
                add(name[1], value[1] if value else "")
        elif select and name:
            chosen = re.search(r'<option value="([^"]*)"[^>]* selected', options)
            first = re.search(r'<option value="([^"]*)"', options)
            add(name[1], (chosen or first)[1])
        elif name:
            add(name[1], text.removeprefix("\n"))
    return found


def address(mapping: FieldMapping) -> str:
    return f"/admin/integrations/fieldmapping/{mapping.pk}/editor/"


def send(client: Client, where: str, form: dict[str, list[str]], do="preview", **changes):
    return client.post(where, {**form, "do": do, **changes})


def opened(client: Client, mapping: FieldMapping, sample=None) -> dict[str, list[str]]:
    page = client.get(address(mapping))
    assert page.status_code == 200
    form = inputs_of(page.content.decode())
    if sample is None:
        return form
    text = sample if isinstance(sample, str) else json.dumps(sample)
    return inputs_of(send(client, address(mapping), form, "paste", pasted=text).content.decode())


def test_a_form_sent_back_untouched_leaves_the_definition_as_it_was():
    mapping = make_mapping()
    client = editor_client()

    page = send(client, address(mapping), opened(client, mapping, TRADE))

    assert page.context["seen"].definition == MAPPED
    saved = send(client, address(mapping), inputs_of(page.content.decode()), "save")
    assert saved.status_code == 302
    mapping.refresh_from_db()
    assert (mapping.version, mapping.definition) == (1, MAPPED)


def test_the_preview_shows_what_arriving_messages_become():
    mapping = make_mapping()
    client = editor_client()

    answer = send(client, f"{address(mapping)}preview/", opened(client, mapping, TRADE)).json()

    said = translate(MAPPED, TRADE, shop="")[0]
    assert said.external_id in answer["parts"]["ed-r-external-id"]
    assert said.fields["region"] in answer["parts"]["ed-r-region"]
    assert said.person["phone"] in answer["parts"]["ed-r-contact-phone"]
    assert "BRK-001 · BRK-002" in answer["parts"]["ed-r-lines-sku"]
    assert "2026-11-22 09:00:00" in answer["parts"]["ed-r-placed-at"]
    assert "1 with a warning" in answer["parts"]["ed-summary"]
    assert "“WAIT_SELLER” is not in the value map" in answer["parts"]["ed-failures"]
    assert answer["samples"]["receiver.city"] == "绍兴市"
    assert not InboundMessage.objects.exists()
    assert not Order.objects.exists()


def test_a_bad_field_hides_no_other_and_says_why():
    mapping = make_mapping()
    client = editor_client()
    form = opened(client, mapping, {**TRADE, "created": "yesterday"})

    wrong = send(
        client,
        f"{address(mapping)}preview/",
        form,
        **{"field:region:source": "jmespath", "field:region:free": "join(", "field:total:source": "path:tid"},
    ).json()["parts"]

    assert "“yesterday” is not a time" in wrong["ed-r-placed-at"]
    assert "This is not a JMESPath expression" in wrong["ed-r-region"]
    assert "240012345678901234" in wrong["ed-r-external-id"]
    assert "place of the definition needs mending" in wrong["ed-summary"]


def test_a_new_mapping_grows_from_a_pasted_record_by_accepted_suggestions():
    client = editor_client()
    new = "/admin/integrations/fieldmapping/new/"
    table = "订单号,下单时间,商品编码,数量,手机\n00123,2026-11-22 09:00,BRK-001,2,13800000000\n"

    form = inputs_of(client.get(new).content.decode())
    pasted = send(client, new, form, "paste", pasted=table)
    sure = {one.field: one.per_cent for one in pasted.context["seen"].suggestions}
    assert sure["external_id"] == 95
    page = client.post(new, {**inputs_of(pasted.content.decode()), "accept": "*"})
    assert (page.context["seen"].n_required_mapped, page.context["seen"].n_passed) == (4, 1)
    assert not FieldMapping.objects.exists()
    send(client, new, inputs_of(page.content.decode()), "save", name="table")

    made = FieldMapping.objects.get()
    assert made.name == "table"
    assert made.definition["group_rows"] is True
    order = translate(made.definition, {
        "订单号": "00123", "下单时间": "2026-11-22 09:00", "商品编码": "BRK-001", "数量": "2",
    }, shop="s")[0]  # fmt: skip
    assert order.external_id == "00123"


def test_a_name_that_fits_is_not_suggested_when_the_values_do_not():
    client = editor_client()
    new = "/admin/integrations/fieldmapping/new/"

    page = send(
        client, new, inputs_of(client.get(new).content.decode()), "paste",
        pasted='{"created": "never", "when": 1795341840000, "call": "13800000000"}',
    )  # fmt: skip

    assert {one.field: (one.path, one.per_cent) for one in page.context["seen"].suggestions} == {
        "contact.phone": ("call", 40)
    }


def way_in(mapping: FieldMapping, slug="shop-files"):
    return make_connection(slug, role=Role.SHOP, shop=make_shop(), connector="rows", mapping=mapping)


def carried_in(connection, records) -> None:
    lines = "\n".join(json.dumps(record) for record in records).encode()
    run = files.start_import(connection, connection.mapping, io.BytesIO(lines), "o.jsonl", None)
    while advance(run.pk):
        pass
    while ingest.process().n_messages:
        pass


def test_messages_are_looked_at_only_by_those_who_may_and_once_on_record():
    mapping = make_mapping()
    carried_in(way_in(mapping), [TRADE, {**TRADE, "tid": "B", "created": "x"}])
    client = editor_client()
    form = opened(client, mapping)

    loaded = send(client, address(mapping), form, "messages")
    form = inputs_of(loaded.content.decode())
    second = send(client, f"{address(mapping)}preview/", form, "next").json()

    assert len(loaded.context["bench"].records) == 2
    assert second["at"] == 1
    assert AuditEntry.objects.filter(action="mapping.trial").count() == 1
    stranger = editor_client(may=EDIT[:3])
    assert b"Load the last 20 messages" not in stranger.get(address(mapping)).content
    assert send(stranger, address(mapping), form, "messages").status_code == 403
    assert send(stranger, address(mapping), form).status_code == 403
    assert AuditEntry.objects.filter(action="mapping.trial").count() == 1


def test_a_value_of_live_traffic_is_offered_mapped_and_read_anew():
    mapping = make_mapping()
    carried_in(way_in(mapping), [TRADE, {**TRADE, "tid": "B"}])
    client = editor_client()
    form = opened(client, mapping)
    place = form["status:value"].index("WAIT_SELLER")
    page = client.get(address(mapping)).content.decode()
    assert "seen 2×" in page

    send(
        client, address(mapping), form, "save", replay="last",
        **{f"status:kinds:{place}": ["payment.received"]},
    )  # fmt: skip
    while ingest.process().n_messages:
        pass

    mapping.refresh_from_db()
    assert mapping.version == 2
    assert mapping.definition["status"]["values"]["WAIT_SELLER"] == ["payment.received"]
    assert UnmappedValue.objects.get().mapped_at is not None
    assert set(Order.objects.values_list("payment", flat=True)) == {"paid"}


def test_saving_alone_rewrites_no_order():
    mapping = make_mapping()
    carried_in(way_in(mapping), [TRADE])
    n_facts = OrderFact.objects.count()
    client = editor_client()
    form = opened(client, mapping)
    form["field:region:source"], form["field:region:free"] = ["constant"], ["north"]

    send(client, address(mapping), form, "save")

    mapping.refresh_from_db()
    assert mapping.version == 2
    assert Order.objects.get().region == "浙江省 绍兴市"
    assert OrderFact.objects.count() == n_facts


def test_what_cannot_be_saved_stays_in_the_form_with_the_reason():
    mapping = make_mapping()
    client = editor_client()
    form = opened(client, mapping, TRADE)

    without = send(client, address(mapping), form, "save", **{"field:external_id:source": ""})
    versions.save(FieldMapping.objects.get(), by=None, at=NINE)
    other = FieldMapping.objects.get()
    other.definition = {**MAPPED, "note": "by somebody else"}
    versions.save(other, by=None, at=NINE)
    late = send(client, address(mapping), form, "save", **{"field:remark:source": "path:tid"})
    broken = send(client, address(mapping), form, "json", json="{")

    assert "This field is required" in without.context["error"]
    assert "somebody saved version 2" in late.context["error"]
    assert late.context["seen"].definition["fields"]["remark"] == {"path": "tid"}
    assert "This is not JSON" in broken.context["error"]
    assert broken.context["json_text"] == "{"
    mapping.refresh_from_db()
    assert (mapping.version, mapping.definition["note"]) == (2, "by somebody else")


def test_a_file_gives_samples_and_bad_samples_say_why():
    mapping = make_mapping(TABLE_ZH)
    client = editor_client()
    form = opened(client, mapping)
    upload = io.BytesIO("订单号;下单时间;商品编码;数量\n00123;2026-11-22;A;1\n".encode("gb18030"))
    upload.name = "九月.csv"

    page = client.post(address(mapping), {**form, "do": "file", "file": upload})
    bad = send(client, address(mapping), form, "paste", pasted='[{"a": 1')
    gone = send(client, address(mapping), form, kind="file", digest="0" * 64, file_name="x.csv")

    assert page.context["seen"].n_passed == 1
    assert "九月.csv" in page.content.decode()
    assert "cut off" in bad.context["bench"].error or "not JSON" in bad.context["bench"].error
    assert "Upload it again" in gone.context["bench"].error


def test_readers_see_the_editor_and_cannot_save():
    mapping = make_mapping()
    reader = editor_client(may=("integrations.view_fieldmapping",))
    page = reader.get(address(mapping)).content.decode()

    assert 'value="save"' not in page
    assert "Your roles do not allow this." in page
    refused = send(reader, address(mapping), inputs_of(page), "save", name="x")
    assert refused.status_code == 403
    assert reader.get("/admin/integrations/fieldmapping/new/").status_code == 403
    assert editor_client(may=()).get(address(mapping)).status_code == 404
    assert reader.get(f"{address(mapping)}preview/").status_code == 405
    mapping.refresh_from_db()
    assert mapping.version == 1


def test_the_editor_asks_as_many_questions_for_many_samples(django_assert_max_num_queries):
    mapping = make_mapping()
    client = editor_client()
    form = opened(client, mapping, "\n".join(json.dumps({**TRADE, "tid": str(n)}) for n in range(20)))

    with django_assert_max_num_queries(16):
        page = send(client, f"{address(mapping)}preview/", form)

    assert "20 samples" in page.json()["parts"]["ed-summary"]
