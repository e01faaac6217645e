from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.core.management.base import CommandError
from standardwebhooks import Webhook

from integrations import signatures
from integrations.models import Connection, InboundMessage
from integrations.signatures import BadSecret, SignatureRefused, Signed
from integrations.tests.senders import SECRET, make_connection, make_webhook, push, together

OTHER = "whsec_" + base64.b64encode(b"another secret of 24 byte").decode()
SENT = datetime.fromtimestamp(1762819200, UTC)
BODY = (
    '{"type":"order.created","timestamp":"2025-11-11T00:00:00Z",'
    '"data":{"id":"HUB202511110001","source_order_id":"1001"}}'
)
VECTOR = "v1,yloPd86i+Cgrj7D9uC8eEVzIbvSlyzsp7zc+XY224T8="
MINUTES = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(SENT, tick=False) as traveller:
        yield traveller


@pytest.fixture
def ed25519():
    """(private, public) key as Standard Webhooks writes them."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    seed, public = private.private_bytes_raw(), private.public_key().public_bytes_raw()
    return f"whsk_{base64.b64encode(seed + public).decode()}", f"whpk_{base64.b64encode(public).decode()}"


def nothing_kept():
    return not InboundMessage.objects.exists()


# --- the signature itself


def test_the_worked_example_of_the_format_comes_out():
    assert signatures.sign(SECRET, "msg_orderhub_0001", 1762819200, BODY.encode()) == VECTOR


def test_the_reference_library_and_this_one_accept_each_other():
    ours = signatures.sign(SECRET, "msg_1", 1762819200, BODY.encode())
    theirs = Webhook(SECRET).sign("msg_1", SENT, BODY)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1762819200", "webhook-signature": ours}

    assert Webhook(SECRET).verify(BODY, headers) == json.loads(BODY)
    signatures.check(Signed("msg_1", "1762819200", theirs, BODY.encode()), [SECRET], SENT, MINUTES)


def test_a_signature_by_private_key_fits_the_public_one(ed25519):
    private, public = ed25519
    signature = signatures.sign(private, "msg_1", 1762819200, b"{}")

    assert signature.startswith("v1a,")
    for secret in (private, public):
        assert signatures.fits(Signed("msg_1", "1762819200", signature, b"{}"), [secret])
    assert not signatures.fits(Signed("msg_1", "1762819200", signature, b"{ }"), [public])


def test_a_public_key_never_serves_as_a_shared_secret(ed25519):
    _private, public = ed25519
    forged = signatures.sign("whsec_" + public.removeprefix("whpk_"), "msg_1", 1762819200, b"{}")

    assert not signatures.fits(Signed("msg_1", "1762819200", forged, b"{}"), [public])


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_ä", "whsec_" + "YQ==", "whpk_YQ==", "whsk_YQ=="])
def test_what_is_no_secret_is_refused_without_repeating_it(secret):
    with pytest.raises(BadSecret) as error:
        signatures.sign(secret, "m", 1, b"") if not secret.startswith("whpk_") else signatures.public_key(
            secret
        )

    assert secret not in str(error.value)


# --- over HTTP


@pytest.mark.django_db
def test_a_signed_push_is_kept_raw_and_answered_at_once():
    make_webhook()

    answer = push(BODY, at=SENT, message_id="msg_orderhub_0001")

    assert (answer.status_code, answer.json()) == (202, {"result": "accepted"})
    message = InboundMessage.objects.get()
    assert (message.remote_key, message.form, message.body) == ("msg_orderhub_0001", "webhook", BODY)


@pytest.mark.django_db
def test_a_replayed_push_is_a_duplicate_without_a_second_effect(clock):
    make_webhook()
    push(BODY, at=SENT)

    # The sender signs each attempt anew; a recorded one is the same bytes.
    recorded = push(BODY, at=SENT)
    clock.shift(timedelta(minutes=30))
    retried = push(BODY, at=SENT + timedelta(minutes=30))
    stale = push(BODY, at=SENT)

    assert [one.status_code for one in (recorded, retried, stale)] == [200, 200, 401]
    assert recorded.json() == retried.json() == {"result": "duplicate"}
    assert InboundMessage.objects.count() == 1


@pytest.mark.django_db
def test_the_same_id_with_another_body_is_refused_and_kept():
    make_webhook()
    push(BODY, at=SENT)

    answer = push('{"type":"other"}', at=SENT)

    assert (answer.status_code, answer.json()["error"]) == (409, "id_reused")
    assert sorted(InboundMessage.objects.values_list("state", flat=True)) == ["failed", "waiting"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"webhook-signature": VECTOR.replace("y", "z")}, BODY, "signature_wrong"),
        ({"webhook-signature": VECTOR[:-4]}, BODY, "signature_wrong"),
        ({"webhook-signature": VECTOR.removeprefix("v1,")}, BODY, "signature_wrong"),
        ({"webhook-signature": VECTOR.replace("v1,", "v2,")}, BODY, "signature_wrong"),
        ({"webhook-signature": VECTOR.replace("v1,", "v1a,")}, BODY, "signature_wrong"),
        ({"webhook-signature": "v1,é"}, BODY, "signature_wrong"),
        ({"webhook-signature": ""}, BODY, "signature_missing"),
        ({"webhook-id": "msg_orderhub_0002"}, BODY, "signature_wrong"),
        ({"webhook-id": ""}, BODY, "signature_missing"),
        ({"webhook-timestamp": "1762819201"}, BODY, "signature_wrong"),
        ({"webhook-timestamp": "1762819200.0"}, BODY, "timestamp_wrong"),
        ({"webhook-timestamp": "soon"}, BODY, "timestamp_wrong"),
        ({}, BODY + " ", "signature_wrong"),
        ({}, BODY.replace("1001", "1002"), "signature_wrong"),
        ({}, "", "signature_wrong"),
    ],
)
def test_a_push_that_was_changed_on_its_way_is_refused(client, headers, body, code):
    make_webhook()
    given = {
        "webhook-id": "msg_orderhub_0001",
        "webhook-timestamp": "1762819200",
        "webhook-signature": VECTOR,
        **headers,
    }

    answer = client.post("/hooks/site/", body, content_type="application/json", headers=given)

    assert (answer.status_code, answer.json()["error"]) == (401, code)
    assert nothing_kept()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("seconds", "status"), [(-360, 401), (-301, 401), (-300, 202), (300, 202), (301, 401), (360, 401)]
)
def test_clocks_may_differ_by_five_minutes(seconds, status):
    make_webhook()

    answer = push(BODY, at=SENT + timedelta(seconds=seconds))

    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == "timestamp_stale"
        assert str(abs(seconds)) in answer.json()["detail"]
        assert nothing_kept()


@pytest.mark.django_db
def test_a_stranger_learns_nothing_about_the_clock():
    make_webhook()

    answer = push(BODY, at=SENT - timedelta(days=1), secret=OTHER)

    assert answer.json()["error"] == "signature_wrong"


@pytest.mark.django_db
def test_while_secrets_are_changed_both_are_taken():
    make_webhook("site", OTHER, SECRET)

    assert push(BODY, at=SENT, message_id="a", secret=SECRET).status_code == 202
    assert push(BODY, at=SENT, message_id="b", secret=OTHER).status_code == 202


@pytest.mark.django_db
def test_a_sender_that_changes_its_secret_signs_with_both():
    make_webhook()
    both = " ".join(
        ["v9,unknown", *(signatures.sign(one, "msg_1", 1762819200, BODY.encode()) for one in (OTHER, SECRET))]
    )

    assert push(BODY, at=SENT, **{"webhook-signature": both}).status_code == 202


@pytest.mark.django_db
def test_a_secret_that_was_taken_back_is_refused():
    connection = make_webhook("site", OTHER, SECRET)
    connection.seal({"webhook": [OTHER]})
    connection.save()

    assert push(BODY, at=SENT, secret=SECRET).status_code == 401
    assert nothing_kept()


@pytest.mark.django_db
def test_a_push_signed_by_private_key_is_taken(ed25519):
    private, public = ed25519
    make_webhook("site", public)

    assert push(BODY, at=SENT, secret=private).status_code == 202


@pytest.mark.django_db
def test_the_secret_of_one_connection_opens_no_other():
    make_webhook("site")
    make_webhook("other", OTHER)

    assert push(BODY, at=SENT, slug="other", secret=SECRET).status_code == 401
    assert nothing_kept()


@pytest.mark.django_db
def test_an_unknown_address_and_one_without_a_secret_look_alike():
    make_connection("plain")

    answers = [push(BODY, at=SENT, slug=slug) for slug in ("nobody", "plain", "%00")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert len({answer.content for answer in answers}) == 1
    assert nothing_kept()


@pytest.mark.django_db
def test_a_connection_that_is_switched_off_tells_the_sender_to_stop():
    make_webhook(is_active=False)

    assert push(BODY, at=SENT).status_code == 410
    assert nothing_kept()


@pytest.mark.django_db
def test_the_operator_sees_that_pushes_are_refused_and_why():
    make_webhook()

    for _time in range(3):
        push(BODY, at=SENT, secret=OTHER)

    connection = Connection.objects.get(slug="site")
    assert connection.failed_at == SENT
    assert "No listed signature fits" in connection.failure


@pytest.mark.django_db
def test_a_secret_that_cannot_be_used_is_the_operators_to_mend():
    make_webhook("site", "whsec_not base64")

    assert push(BODY, at=SENT).status_code == 503
    assert "not base64" in Connection.objects.get(slug="site").failure
    assert nothing_kept()


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "put", "delete", "head"])
def test_webhooks_are_only_posted(client, method):
    make_webhook()

    answer = getattr(client, method)("/hooks/site/")

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@pytest.mark.django_db
def test_a_push_of_ten_megabytes_is_refused_unread():
    make_webhook()

    assert push(b"x" * 10_000_000, at=SENT).status_code == 413
    assert nothing_kept()


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"\xff", b'{"a": "\x00"}'])
def test_a_signed_push_that_is_no_text_is_refused(body):
    make_webhook()

    assert push(body, at=SENT).status_code == 400
    assert nothing_kept()


@pytest.mark.django_db
@pytest.mark.parametrize("message_id", ["x" * 161, "a\tb"])
def test_an_id_that_cannot_be_kept_is_refused(message_id):
    make_webhook()

    assert push(BODY, at=SENT, message_id=message_id).status_code == 400
    assert nothing_kept()


@pytest.mark.django_db(transaction=True)
def test_a_push_that_comes_many_times_at_once_is_kept_once():
    make_webhook()

    answers = together(lambda _n: push(BODY, at=SENT), 50)

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [202]
    assert InboundMessage.objects.count() == 1


# --- explain_signature


@pytest.fixture
def body_file(tmp_path):
    file = tmp_path / "body.json"
    file.write_text(BODY)
    return str(file)


def explain(body_file, capsys, *arguments):
    code = 0
    try:
        call_command(
            "explain_signature", "standard_webhooks", "--id", "msg_orderhub_0001", "--timestamp", "1762819200",
            "--body", body_file, *arguments,
        )  # fmt: skip
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().out


def test_each_step_of_a_signature_is_shown_but_not_the_secret(body_file, capsys):
    code, out = explain(body_file, capsys, "--secret", SECRET, "--signature", f"v9,x {VECTOR}")

    assert code == 0
    assert f"webhook-signature: {VECTOR}" in out
    assert f"signed content: msg_orderhub_0001.1762819200.{BODY}" in out
    assert "given 2, v1: fits" in out
    assert SECRET.removeprefix("whsec_") not in out


def test_a_signature_that_does_not_fit_is_an_exit_code(body_file, capsys):
    code, out = explain(body_file, capsys, "--secret", OTHER, "--signature", VECTOR, "--json")

    assert code == 1
    assert json.loads(out)["given 1, v1"] == "does not fit"


def test_a_public_key_explains_what_it_can(body_file, capsys, ed25519):
    private, public = ed25519
    signature = signatures.sign(private, "msg_orderhub_0001", 1762819200, BODY.encode())

    code, out = explain(body_file, capsys, "--secret", public, "--signature", signature)

    assert code == 0
    assert "given 1, v1a: fits" in out
    assert "webhook-signature:" not in out


@pytest.mark.parametrize(("secret", "body"), [("whsec_x", None), (SECRET, "/nowhere/body")])
def test_what_cannot_be_explained_is_an_error_without_the_secret(body_file, capsys, secret, body):
    with pytest.raises(CommandError) as error:
        explain(body or body_file, capsys, "--secret", secret)

    assert secret not in str(error.value)


def test_a_refusal_says_what_is_wrong():
    with pytest.raises(SignatureRefused) as refusal:
        signatures.check(Signed("m", "1", "v1,x", b""), [SECRET], SENT, MINUTES)

    assert refusal.value.code == "signature_wrong"
