from __future__ import annotations

from datetime import UTC, datetime

import pytest

from integrations import inbox
from integrations.canonical import Problem
from integrations.inbox import ACCEPTED, DUPLICATE, REFUSED, Arrival, digest_of
from integrations.models import InboundMessage
from integrations.tests.senders import make_connection, together

NINE = datetime(2026, 6, 1, 1, 0, tzinfo=UTC)


def arrival(key: str, body: str = "{}", **values) -> Arrival:
    return Arrival(key, "fact", body, digest_of(body), **values)


@pytest.mark.django_db
def test_what_arrives_waits_for_the_worker_as_it_came():
    connection = make_connection()

    receipt = inbox.receive(connection, [arrival("k1", '{"a": "中"}')], NINE)[0]

    message = InboundMessage.objects.get()
    assert (receipt.result, receipt.message_id) == (ACCEPTED, message.pk)
    assert (message.remote_key, message.body, message.state) == ("k1", '{"a": "中"}', "waiting")
    assert (message.received_at, message.errors, message.processed_at) == (NINE, [], None)


@pytest.mark.django_db
def test_the_same_again_is_a_duplicate_of_the_first():
    connection = make_connection()
    first = inbox.receive(connection, [arrival("k1")], NINE)[0]

    again = inbox.receive(connection, [arrival("k1"), arrival("k1")], NINE)

    assert [(one.result, one.message_id) for one in again] == [(DUPLICATE, first.message_id)] * 2
    assert InboundMessage.objects.count() == 1


@pytest.mark.django_db
def test_a_key_twice_in_one_batch_is_taken_once():
    receipts = inbox.receive(make_connection(), [arrival("k1"), arrival("k2"), arrival("k1")], NINE)

    assert [one.result for one in receipts] == [ACCEPTED, ACCEPTED, DUPLICATE]
    assert InboundMessage.objects.count() == 2


@pytest.mark.django_db
def test_the_same_key_on_two_connections_is_two_messages():
    for slug in ("one", "two"):
        assert inbox.receive(make_connection(slug), [arrival("k1")], NINE)[0].result == ACCEPTED

    assert InboundMessage.objects.count() == 2


@pytest.mark.django_db
def test_the_same_key_with_other_content_is_refused_and_kept_once():
    connection = make_connection()
    inbox.receive(connection, [arrival("k1", "first")], NINE)

    for _time in range(3):
        receipt = inbox.receive(connection, [arrival("k1", "second")], NINE)[0]
        assert (receipt.result, receipt.errors[0].field) == (REFUSED, "key")

    kept = InboundMessage.objects.get(state="failed")
    assert kept.remote_key == f"k1#{digest_of('second')[:16]}"
    assert kept.body == "second"
    assert kept.errors[0]["field"] == "key"
    assert InboundMessage.objects.get(state="waiting").body == "first"


@pytest.mark.django_db
def test_other_content_within_one_batch_is_refused_too():
    receipts = inbox.receive(make_connection(), [arrival("k1", "first"), arrival("k1", "second")], NINE)

    assert [one.result for one in receipts] == [ACCEPTED, REFUSED]
    assert sorted(InboundMessage.objects.values_list("body", "state")) == [
        ("first", "waiting"),
        ("second", "failed"),
    ]


@pytest.mark.django_db
def test_what_was_refused_at_the_door_is_kept_and_leaves_its_key_free():
    connection = make_connection()
    wrong = arrival("k1", "wrong", errors=(Problem("kind", "is missing"),))

    refused = inbox.receive(connection, [wrong], NINE)[0]
    mended = inbox.receive(connection, [arrival("k1", "right")], NINE)[0]

    assert (refused.result, mended.result) == (REFUSED, ACCEPTED)
    assert InboundMessage.objects.get(state="failed").errors == [{"field": "kind", "error": "is missing"}]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("", "empty"),
        ("x" * 161, "161 signs long"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\ud800", "control"),
    ],
)
def test_a_key_that_cannot_be_stored_is_refused_and_its_message_kept(key, error):
    receipt = inbox.receive(make_connection(), [arrival(key, "body")], NINE)[0]

    assert receipt.result == REFUSED
    assert error in receipt.errors[0].error
    assert InboundMessage.objects.get().state == "failed"


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 100])
def test_any_number_of_items_costs_the_same_queries(count, django_assert_num_queries):
    connection = make_connection()
    arrivals = [arrival(f"k{number}") for number in range(count)]

    # Savepoint, insert, release; the second time one look at what is there.
    with django_assert_num_queries(3):
        inbox.receive(connection, arrivals, NINE)
    with django_assert_num_queries(4):
        inbox.receive(connection, arrivals, NINE)


@pytest.mark.django_db
def test_rows_of_a_file_beyond_one_statement_all_go_in():
    arrivals = [arrival(f"k{number}", run_row=number) for number in range(inbox.ROWS_AT_ONCE + 1)]

    receipts = inbox.receive(make_connection(), arrivals, NINE)

    assert {one.result for one in receipts} == {ACCEPTED}
    assert InboundMessage.objects.count() == len(arrivals)
    assert InboundMessage.objects.get(remote_key="k7").run_row == 7


@pytest.mark.django_db(transaction=True)
def test_a_message_sent_a_hundred_times_by_25_senders_at_once_leaves_one():
    connection = make_connection()

    def send(_number):
        # Four times each: a hundred at once with a connection of their own are more than a PostgreSQL lets in.
        return [inbox.receive(connection, [arrival("k1")], NINE)[0].result for _time in range(4)]

    results = [one for four in together(send, 25) for one in four]

    assert sorted(results) == [ACCEPTED] + [DUPLICATE] * 99
    assert InboundMessage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_senders_of_overlapping_batches_in_any_sequence_do_not_block_each_other():
    connection = make_connection()
    keys = [f"k{number}" for number in range(20)]

    def send(number):
        mine = keys[number % 20 :] + keys[: number % 20]
        return inbox.receive(connection, [arrival(key) for key in mine], NINE)

    results = [receipt.result for receipts in together(send, 40) for receipt in receipts]

    assert results.count(ACCEPTED) == 20
    assert results.count(DUPLICATE) == 39 * 20
    assert InboundMessage.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_senders_of_different_contents_under_one_key_leave_one_accepted():
    connection = make_connection()

    results = together(lambda n: inbox.receive(connection, [arrival("k1", f"{n % 4}")], NINE)[0].result, 40)

    assert results.count(ACCEPTED) == 1
    assert results.count(DUPLICATE) == 9
    assert results.count(REFUSED) == 30
    assert InboundMessage.objects.filter(state="failed").count() == 3
