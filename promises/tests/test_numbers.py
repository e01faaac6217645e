from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises import numbers

WORKED = "ZRFJQ39TBHZ90492"


def test_a_number_is_printed_in_groups_with_its_check_symbol():
    assert numbers.shown(WORKED) == "ZRFJ-Q39T-BHZ9-0492-H"


@pytest.mark.parametrize(
    "typed",
    [
        "ZRFJ-Q39T-BHZ9-0492-H",
        "zrfjq39tbhz90492",
        " zrfj q39t bhz9 o492 h ",
        "ZRFJ–Q39T–BHZ9–0492",
        "zrfj-q39t-bhz9-O492-h",
    ],
)
def test_a_number_is_read_however_it_is_typed(typed):
    assert numbers.read(typed) == WORKED


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ZRFJ-Q39T-BHZ9-049",
        "ZRFJ-Q39T-BHZ9-0492-J",
        "ZRFJ-Q39T-BHZ9-0492-HH",
        "ZRFU-Q39T-BHZ9-0492",
        "é" * 16,
    ],
)
def test_anything_else_is_no_number(typed):
    with pytest.raises(numbers.BadNumber):
        numbers.read(typed)


@given(st.binary(min_size=10, max_size=10))
def test_ten_bytes_are_sixteen_characters_and_back(number):
    text = numbers.encode(number)

    assert len(text) == 16
    assert numbers.decode(text) == number
    assert numbers.read(numbers.shown(text)) == text


@given(st.binary(min_size=10, max_size=10), st.integers(0, 15), st.integers(1, 31))
def test_one_mistyped_character_is_always_noticed(number, place, shift):
    shown = numbers.encode(number) + numbers.check_symbol(numbers.encode(number))
    other = numbers.DIGITS[(numbers.DIGITS.index(shown[place]) + shift) % 32]

    with pytest.raises(numbers.BadNumber):
        numbers.read(shown[:place] + other + shown[place + 1 :])


def test_drawn_numbers_differ():
    assert len({numbers.draw() for _time in range(100)}) == 100
