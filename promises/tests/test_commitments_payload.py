"""What a commitment says, and what may not stand in one."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime

import pytest

from orders.tests.factories import MONDAY, after
from promises import canonical
from promises.commitments import payload
from promises.commitments.payload import BY_A_PERSON, Chosen, Paper, build, choose, end_of
from promises.commitments.refusals import NotIssued
from promises.tests.factories_commitments import FRIDAY, PERSON, make_promised_order
from promises.tests.factories_estimates import make_estimate

pytestmark = pytest.mark.django_db
SHANGHAI = "Asia/Shanghai"
PAPER = Paper(
    origin="promises.example.com/t/parts",
    number="ZRFJQ39TBHZ90492",
    salt="0" * 32,
    seller_name="示例汽配有限公司",
    seller_uscc="91330000MA0000000X",
    terms=None,
    seen=(0, ""),
    supersedes=None,
)


def built(order, **paper):
    chosen = Chosen(end_of(FRIDAY, SHANGHAI), SHANGHAI, BY_A_PERSON)
    fields = {name: getattr(PAPER, name) for name in Paper.__slots__}
    return build(order, chosen, Paper(**{**fields, **paper}), at=after(1))


def named(name: str, unit: str = "套"):
    """An order of one article with this name."""
    order = make_promised_order()
    order.lines.update(name=name, unit=unit)
    return order


def test_a_commitment_says_who_what_where_and_when_and_passes_its_own_check(settings):
    order = named("刹车片")

    said = built(order)

    canonical.check_payload(said)
    key = settings.ORDERHUB_FINGERPRINT_KEY.encode()
    mark = hmac.new(key, order.number.encode(), hashlib.sha256).hexdigest()[:16]
    assert said["items"] == [{"name": "刹车片", "qty": 2, "unit": "套"}]
    assert (said["to"], said["dest"]) == ("王**", {"province": "浙江省", "city": "绍兴市"})
    assert (said["order"], said["order_tail"]) == (f"h:{mark}", order.number[-4:])
    assert said["due"] == int(datetime(2026, 6, 5, 15, 59, 59, tzinfo=UTC).timestamp())
    assert said["basis"] == {"model": "person", "lane": "confirmed", "p": 0}
    assert said["seen"] == {"size": 0, "root": hashlib.sha256(b"").hexdigest()}
    assert said["issued_at"] == int(after(1).timestamp())


def test_nothing_of_the_person_but_the_masked_name_and_the_city_is_in_it():
    said = canonical.encode(built(make_promised_order())).decode()

    for secret in (PERSON["name"], PERSON["phone"], PERSON["street"]):
        assert secret not in said


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("  Brake\tpad \n set ", "Brake pad set"),
        ("Cafe\u0301 holder", "Café holder"),
        ("刹车\u00a0片", "刹车 片"),
    ],
)
def test_blanks_and_composed_letters_are_written_plainly(given, printed):
    assert built(named(given))["items"][0]["name"] == printed


@pytest.mark.parametrize("sign", ["\u200b", "\u202e", "\ufeff", "\u2066", "\u0007", "\ufe0f"])
def test_a_character_that_cannot_be_seen_is_refused_and_not_removed(sign):
    with pytest.raises(NotIssued) as refused:
        built(named(f"刹车{sign}片"))

    assert refused.value.code == "bad_text"
    assert f"U+{ord(sign):04X}" in str(refused.value)
    assert "name or unit of an article" in str(refused.value)


def test_without_a_city_of_destination_nothing_is_promised():
    order = make_promised_order(person={"name": "王小明", "province": "浙江省"})

    with pytest.raises(NotIssued) as refused:
        built(order)

    assert refused.value.code == "no_place"


def test_abroad_where_addresses_know_no_province_the_city_stands_for_it():
    said = built(make_promised_order(person={"name": "Kim", "country": "KR", "city": "Seoul"}))

    assert (said["dest"], said["country"]) == ({"province": "Seoul", "city": "Seoul"}, "KR")


def test_what_was_cancelled_is_not_promised_and_half_units_are_written_as_decimals():
    order = make_promised_order(lines={"OIL-1": "1.500", "PAD-2": 2, "CAP-3": 1})
    order.lines.filter(sku="CAP-3").update(cancelled=1)

    said = built(order)

    assert [(item["name"], item["qty"], item["unit"]) for item in said["items"]] == [
        ("OIL-1", "1.5", "件"),
        ("PAD-2", 2, "件"),
    ]


def test_an_order_with_more_than_500_articles_is_refused():
    order = make_promised_order(lines={f"A{number}": 1 for number in range(501)})

    with pytest.raises(NotIssued, match="501"):
        built(order)


# The day.


def test_the_confirmed_day_is_promised_to_its_last_second_at_the_destination():
    chosen = choose(make_promised_order(), None, "America/New_York", day=None, at=MONDAY)

    assert chosen.due == datetime(2026, 6, 6, 3, 59, 59, tzinfo=UTC)
    assert (chosen.basis, chosen.window) == (BY_A_PERSON, None)


def test_across_the_end_of_summer_time_the_day_still_ends_at_midnight_there():
    assert end_of(date(2026, 10, 31), "America/New_York") == datetime(2026, 11, 1, 3, 59, 59, tzinfo=UTC)
    assert end_of(date(2026, 11, 1), "America/New_York") == datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC)


def test_the_estimate_is_the_basis_of_its_own_day_and_of_later_ones_only():
    order = make_promised_order(confirmed=None)
    estimate = make_estimate(
        order,
        window_from=date(2026, 6, 3),
        window_to=date(2026, 6, 4),
        due_at=end_of(FRIDAY, SHANGHAI),
        odds=957,
        n=412,
        level="city",
        model_version="2.7",
    )
    based = {"model": "2.7", "lane": "city", "p": 957, "n": 412}

    own = choose(order, estimate, SHANGHAI, day=None, at=MONDAY)
    later = choose(order, estimate, SHANGHAI, day=date(2026, 6, 8), at=MONDAY)
    earlier = choose(order, estimate, SHANGHAI, day=date(2026, 6, 4), at=MONDAY)

    assert (own.due, own.basis) == (end_of(FRIDAY, SHANGHAI), based)
    assert own.window == (datetime(2026, 6, 2, 16, tzinfo=UTC), datetime(2026, 6, 4, 15, 59, 59, tzinfo=UTC))
    assert later.basis == based
    assert (earlier.basis, earlier.window) == (BY_A_PERSON, None)


@pytest.mark.parametrize(
    ("day", "code"), [(None, "no_date"), (date(2026, 5, 31), "past"), (date(2026, 12, 1), "beyond_cap")]
)
def test_no_day_a_past_day_and_one_too_far_off_are_refused(day, code):
    with pytest.raises(NotIssued) as refused:
        choose(make_promised_order(confirmed=None), None, SHANGHAI, day=day, at=MONDAY)

    assert refused.value.code == code


def test_terms_are_named_by_their_hash():
    assert payload.terms_hash("") is None
    assert payload.terms_hash("条款") == hashlib.sha256("条款".encode()).hexdigest()
