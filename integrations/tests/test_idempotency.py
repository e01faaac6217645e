from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from integrations import idempotency
from integrations.models import IdempotencyKey, InboundMessage
from integrations.tests.senders import Sender, bought, make_connection, picked, together
from orders.tests.factories import make_shop

NOON = "2026-06-01T12:00:00+08:00"


@pytest.fixture
def wms():
    make_shop("tmall")
    return Sender(make_connection("wms"))


@pytest.mark.django_db
def test_a_repeated_request_gets_the_same_answer_to_the_byte(wms):
    first = wms.facts(picked("a"), picked("b", kind="?"), **{"Idempotency-Key": "one"})
    again = wms.facts(picked("a"), picked("b", kind="?"), **{"Idempotency-Key": "one"})

    assert first.json()["items"][0]["result"] == "accepted"
    assert again.content == first.content
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert InboundMessage.objects.count() == 2


@pytest.mark.django_db
def test_a_key_with_another_request_is_refused_without_effect(wms):
    wms.facts(picked("a"), **{"Idempotency-Key": "one"})

    other = wms.facts(picked("b"), **{"Idempotency-Key": "one"})
    elsewhere = wms.orders(bought(), **{"Idempotency-Key": "one"})

    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_key_reused")
        assert answer.json()["field"] == "Idempotency-Key"
    assert InboundMessage.objects.count() == 1


@pytest.mark.django_db
def test_the_same_body_at_another_address_is_another_request(wms):
    wms.send("facts", [{}], **{"Idempotency-Key": "one"})

    assert wms.send("orders", [{}], **{"Idempotency-Key": "one"}).status_code == 422


@pytest.mark.django_db
def test_two_connections_may_use_the_same_key(wms):
    erp = Sender(make_connection("erp"))

    answers = [sender.facts(picked(), **{"Idempotency-Key": "one"}) for sender in (wms, erp)]

    assert [answer.json()["items"][0]["result"] for answer in answers] == ["accepted", "accepted"]


@pytest.mark.django_db
def test_a_request_that_could_not_be_read_leaves_its_key_free(wms):
    assert wms.send("facts", "[", **{"Idempotency-Key": "one"}).status_code == 400

    assert wms.facts(picked(), **{"Idempotency-Key": "one"}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, "中"])
def test_a_key_that_cannot_be_kept_is_refused(wms, key):
    answer = wms.facts(picked(), **{"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_idempotency_key")
    assert not InboundMessage.objects.exists()


@pytest.mark.django_db
def test_a_key_is_kept_for_a_week(wms):
    with time_machine.travel(NOON, tick=False) as clock:
        first = wms.facts(picked("a"), **{"Idempotency-Key": "one"})
        clock.shift(timedelta(days=7))
        again = wms.facts(picked("a"), **{"Idempotency-Key": "one"})
        clock.shift(timedelta(seconds=1))
        anew = wms.facts(picked("b"), **{"Idempotency-Key": "one"})

    assert again.content == first.content
    assert anew.json()["items"][0] == {"key": "b", "result": "accepted"}
    assert IdempotencyKey.objects.get().status == 200


@pytest.mark.django_db
def test_keys_are_forgotten_after_their_week(wms):
    with time_machine.travel(NOON, tick=False):
        wms.facts(picked(), **{"Idempotency-Key": "one"})
    made_at = IdempotencyKey.objects.get().made_at

    assert idempotency.forget(made_at + timedelta(days=7)) == 0
    assert idempotency.forget(made_at + timedelta(days=7, seconds=1)) == 1


@pytest.mark.django_db(transaction=True)
def test_what_fails_half_way_leaves_neither_key_nor_message(wms):
    connection = make_connection("erp")

    def act():
        InboundMessage.objects.create(
            connection=connection,
            remote_key="k",
            form="fact",
            body="",
            digest="",
            received_at="2026-06-01T00:00Z",
        )
        raise RuntimeError("the machine stops here")

    with pytest.raises(RuntimeError):
        idempotency.once(connection, "one", "digest", datetime(2026, 6, 1, tzinfo=UTC), act)

    assert not IdempotencyKey.objects.exists()
    assert not InboundMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_with_one_key_have_one_effect_and_one_answer(wms):
    for key in ("one", "two"):
        # Keyless items: nothing but the idempotency key says that these are one request.
        answers = together(lambda n, key=key: wms.orders(bought(remark=key), **{"Idempotency-Key": key}), 50)

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["items"][0]["result"] == "accepted"
        assert sum("Idempotency-Replayed" in answer for answer in answers) == 49

    assert IdempotencyKey.objects.count() == 2
    assert InboundMessage.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_different_requests_at_once_with_one_key_one_has_an_effect(wms):
    answers = together(lambda n: wms.facts(picked(f"k{n % 5}"), **{"Idempotency-Key": "one"}), 50)

    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [422] * 40
    assert InboundMessage.objects.count() == 1
