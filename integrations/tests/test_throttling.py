"""One token's requests are counted once, however many web processes take them."""

from __future__ import annotations

import pytest

from integrations.models import ApiToken
from integrations.tests.senders import Sender, make_connection, together
from integrations.throttling import Allowance

MOMENT = 1_780_000_000.0


@pytest.fixture
def token(db):
    Sender(make_connection())
    return ApiToken.objects.get().digest


def spent(process, token, times, *, per_minute, at=MOMENT):
    """How many of so many requests were let in."""
    return sum(process.take(token, per_minute, at) == 0.0 for _time in range(times))


def test_two_processes_share_what_one_token_may_ask(token):
    one, other = Allowance(), Allowance()

    assert spent(one, token, 2, per_minute=3) == 2
    assert spent(other, token, 2, per_minute=3) == 1
    assert spent(one, token, 2, per_minute=3) == 0


def test_what_a_process_has_in_hand_is_counted_as_used(token):
    one, other = Allowance(), Allowance()

    assert one.take(token, 120, MOMENT) == 0.0
    assert spent(other, token, 200, per_minute=120) == 118
    assert spent(one, token, 200, per_minute=120) == 1


def test_a_second_is_fetched_at_once_and_spent_without_a_query(token, django_assert_num_queries):
    process = Allowance()

    with django_assert_num_queries(1):
        assert spent(process, token, 100, per_minute=6000) == 100
    with django_assert_num_queries(1):
        assert spent(process, token, 1, per_minute=6000) == 1


def test_it_fills_up_evenly_and_never_above_a_minutes_worth(token):
    process = Allowance()
    assert spent(process, token, 60, per_minute=6) == 6

    assert process.take(token, 6, MOMENT) == pytest.approx(10.0)
    assert process.take(token, 6, MOMENT + 4) == pytest.approx(6.0)
    assert spent(process, token, 60, per_minute=6, at=MOMENT + 20) == 2
    assert spent(process, token, 60, per_minute=6, at=MOMENT + 86_400) == 6


def test_a_clock_that_is_set_back_locks_nobody_out(token):
    process = Allowance()
    assert spent(process, token, 6, per_minute=6, at=MOMENT + 86_400) == 6

    assert process.take(token, 6, MOMENT + 86_400) > 0
    assert process.take(token, 6, MOMENT) == 0.0


def test_one_tokens_hurry_slows_no_other(token):
    Sender(make_connection("erp"))
    other = ApiToken.objects.exclude(digest=token).get().digest
    process = Allowance()

    assert spent(process, token, 9, per_minute=2) == 2
    assert spent(process, other, 9, per_minute=2) == 2


@pytest.mark.django_db(transaction=True)
def test_processes_that_ask_at_the_same_moment_take_no_more_than_there_is():
    Sender(make_connection())
    digest = ApiToken.objects.get().digest

    let_in = together(
        lambda _number: spent(
            Allowance(),
            digest,
            3,
            per_minute=5,
        ),
        4,
    )

    assert sum(let_in) == 5
