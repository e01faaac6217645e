from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from integrations import gallery, ingest
from integrations.models import ApiToken, Connection, InboundMessage
from integrations.tests.factories import arrive, make_connection, order_item
from orders.models import AuditEntry, Order
from orders.tests.factories import MONDAY, make_shop
from orders.tests.staff import log_in, make_staff

pytestmark = pytest.mark.django_db

ALL = "/admin/connections/"
MAY = (
    "integrations.view_connection", "integrations.add_connection", "integrations.change_connection",
    "integrations.set_secret", "integrations.add_apitoken", "integrations.view_inboundmessage",
    "integrations.add_importrun", "integrations.view_importrun",
)  # fmt: skip


def integrator(*, may=MAY, **scope) -> Client:
    return log_in(
        Client(headers={"accept-language": "en"}), make_staff(may=may, **(scope or {"everything": True}))
    )


def connected(client: Client, kind: str, **given):
    form = client.get(f"{ALL}new/{kind}/").context["form"]
    values = {"label": "Our site", "role": "shop", "slug": form["slug"].value(), **given}
    return client.post(f"{ALL}new/{kind}/", values), values


def push(slug: str, secret: str, body: dict, *, name="m-1") -> int:
    raw = json.dumps(body)
    stamp = str(int(MONDAY.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(
        hmac.new(key, f"{name}.{stamp}.{raw}".encode(), hashlib.sha256).digest()
    ).decode()
    headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}
    return Client().post(f"/hooks/{slug}/", raw, content_type="application/json", headers=headers).status_code


@time_machine.travel(MONDAY, tick=False)
def test_a_webhook_is_connected_on_one_page_and_its_first_event_is_seen():
    shop = make_shop()
    client = integrator()

    page, values = connected(client, "webhook", shop=shop.pk)
    html = page.content.decode()
    connection = Connection.objects.get()
    secret = re.search(r"whsec_[A-Za-z0-9+/=]{44}", html)[0]
    waits = client.get(f"{ALL}{connection.pk}/state/").json()
    data = {key: value for key, value in order_item(shop, "T-1").items() if key != "shop"}
    event = {"type": "order.created", "timestamp": MONDAY.isoformat(), "data": data}
    assert push(connection.slug, secret, event) == 202
    ingest.process()
    came = client.get(f"{ALL}{connection.pk}/state/").json()

    assert f"http://testserver/hooks/{connection.slug}/" in html
    assert page["Cache-Control"].startswith("max-age=0")
    assert (waits["has_come"], came["has_come"]) == (False, True)
    assert "The first event has arrived" in came["html"]
    assert Order.objects.get().shop == shop
    assert secret not in client.get(f"{ALL}{connection.pk}/").content.decode()
    repeated = client.post(f"{ALL}new/webhook/", {**values, "shop": shop.pk})
    assert (repeated.status_code, Connection.objects.count()) == (302, 1)
    assert not AuditEntry.objects.filter(after__icontains=secret[6:20]).exists()


def test_a_token_is_shown_once_and_files_lead_to_the_upload():
    shop = make_shop()
    client = integrator()

    api, _values = connected(client, "api", shop=shop.pk)
    files, _values = connected(client, "files", shop=shop.pk, label="Export")

    token = re.search(r"oh_[\w-]{43}", api.content.decode())[0]
    assert ApiToken.objects.get().tail == token[-4:]
    made = Connection.objects.get(connector="rows")
    assert files.url == f"/admin/integrations/importrun/add/?connection={made.pk}"
    assert token not in client.get(f"{ALL}{Connection.objects.get(connector='api').pk}/").content.decode()


def test_a_shop_s_connection_needs_its_shop():
    page, _values = connected(integrator(), "webhook")

    assert "Choose the shop" in page.content.decode()
    assert not Connection.objects.exists()


@time_machine.travel(MONDAY, tick=False)
def test_health_tells_the_worst_and_silence_is_never_green():
    shop = make_shop()
    at = MONDAY
    states = {
        "works": {"heard_at": at},
        "silent": {"heard_at": at - timedelta(hours=2)},
        "failing": {
            "heard_at": at - timedelta(hours=1),
            "failed_at": at,
            "failure": "3 refused; the last: x",
        },
        "paused": {"heard_at": at, "is_active": False},
        "never": {},
        "late": {"heard_at": at},
    }
    made = {name: make_connection(name, shop=shop, **values) for name, values in states.items()}
    arrive(made["late"], "order", order_item(shop, "1"), at=at - timedelta(minutes=5))
    arrive(made["works"], "order", order_item(shop, "2"), at=at)
    InboundMessage.objects.filter(connection=made["works"]).update(state="failed")

    page = integrator().get(ALL)

    found = {one.connection.slug: one for one in page.context["judged"]}
    assert {slug: one.meaning for slug, one in found.items()} == {
        "works": "ok", "silent": "stale", "failing": "danger", "paused": "neutral", "never": "stale", "late": "warn",
    }  # fmt: skip
    assert page.context["judged"][0].connection.slug == "failing"
    assert (found["works"].n_today, found["works"].n_failed) == (1, 1)
    assert found["late"].lag == timedelta(minutes=5)
    assert "3 refused; the last: x" in page.content.decode()


def test_pausing_refuses_and_resuming_takes_again():
    connection = make_connection("site", shop=make_shop())
    client = integrator()
    address = f"{ALL}{connection.pk}/switch/"

    client.post(address, {"do": "pause"})
    connection.refresh_from_db()
    assert not connection.is_active
    assert client.get(address).status_code == 405
    client.post(address, {"do": "resume", "from": "list"})
    connection.refresh_from_db()
    assert connection.is_active
    assert AuditEntry.objects.filter(action="change", model__endswith="connection").count() == 2


def test_a_new_secret_leaves_the_old_one_valid():
    connection = make_connection("site", connector="standard_webhooks", shop=make_shop())
    client = integrator()

    first = client.post(f"{ALL}{connection.pk}/secret/").content.decode()
    second = client.post(f"{ALL}{connection.pk}/secret/").content.decode()

    connection.refresh_from_db()
    kept = connection.secrets()["webhook"]
    assert len(kept) == 2
    assert kept[0] in second
    assert kept[1] in first
    assert kept[1] not in second
    reader = integrator(may=MAY[:3])
    assert reader.post(f"{ALL}{connection.pk}/secret/").status_code == 403
    connection.refresh_from_db()
    assert connection.secrets()["webhook"] == kept


def test_connections_of_other_shops_do_not_exist_for_me():
    mine, other = make_shop(), make_shop()
    connection = make_connection("other", shop=other)
    client = integrator(shops=(mine,))

    assert "other" not in [one.connection.slug for one in client.get(ALL).context["judged"]]
    for address in ("", "state/"):
        assert client.get(f"{ALL}{connection.pk}/{address}").status_code == 404
    assert client.post(f"{ALL}{connection.pk}/switch/", {"do": "pause"}).status_code == 404
    connection.refresh_from_db()
    assert connection.is_active


def test_who_may_not_is_told_which_permission_is_missing():
    nobody = integrator(may=())
    reader = integrator(may=MAY[:1])

    assert nobody.get(ALL).status_code == 403
    page = reader.get(ALL).content.decode()
    assert "Your roles do not allow connecting it" in page
    refused = reader.get(f"{ALL}new/webhook/")
    assert refused.status_code == 403
    assert "Add: connections" in refused.content.decode()
    assert "Integrations" in refused.content.decode()
    assert integrator().get(f"{ALL}new/taobao/").status_code == 404
    assert not Connection.objects.exists()


def test_the_gallery_asks_the_same_questions_for_many_connections(django_assert_max_num_queries):
    shop = make_shop()
    client = integrator()
    for _number in range(12):
        make_connection(shop=shop)
    client.get(ALL)

    with django_assert_max_num_queries(14):
        client.get(ALL)


def test_numbers_that_were_not_counted_to_the_end_say_so_on_every_connection():
    busy, quiet = make_connection("busy"), make_connection("quiet")
    arrive(quiet, "fact", {"n": 0}, at=MONDAY)
    for number in range(3):
        arrive(busy, "fact", {"n": number}, at=MONDAY + timedelta(minutes=1))
    InboundMessage.objects.filter(connection=busy).update(state="failed")

    cut = gallery.health([busy, quiet], MONDAY + timedelta(minutes=2), most=3)
    whole = gallery.health([busy, quiet], MONDAY + timedelta(minutes=2), most=5)

    assert [(one.n_today, one.n_failed, one.n_waiting) for one in cut] == [(3, 3, 0), (0, 0, 1)]
    assert [one.at_least for one in cut] == [{"today", "failed"}] * 2
    assert [(one.n_today, one.n_failed, one.n_waiting) for one in whole] == [(3, 3, 0), (1, 0, 1)]
    assert [one.at_least for one in whole] == [set(), set()]


@time_machine.travel(MONDAY + timedelta(hours=2, minutes=10), tick=False)
def test_the_failures_of_a_day_are_drawn_and_told_hour_by_hour():
    shop = make_shop()
    busy, quiet = make_connection("busy", shop=shop), make_connection("quiet", shop=shop)
    for number, minutes in enumerate((5, 10, 65, -60 * 30)):
        arrive(busy, "fact", {"n": number}, at=MONDAY + timedelta(minutes=minutes))
    InboundMessage.objects.update(state="failed")
    arrive(quiet, "fact", {"n": 9}, at=MONDAY)

    by_slug = {one.connection.slug: one for one in gallery.health([busy, quiet], MONDAY + timedelta(hours=2))}
    page = integrator().get(ALL).content.decode()

    told = [(hour, n) for hour, n in by_slug["busy"].failures if n]
    assert told == [(MONDAY, 2), (MONDAY + timedelta(hours=1), 1)]
    assert by_slug["busy"].bars[-3:] == [(105, 0, 24), (110, 12, 12), (115, 24, 0)]
    assert by_slug["quiet"].n_failures == 0
    assert page.count("3 messages failed in the last 24 hours") == 1
    assert page.count('width="4"') == 24
