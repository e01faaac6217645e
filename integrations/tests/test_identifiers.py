from __future__ import annotations

from decimal import Decimal

import pytest

from integrations.identifiers import clean_id


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("00042", "00042"),
        (" 1001\t", "1001"),
        ("１２３４５６７８９０１２３４５６７８９", "1234567890123456789"),
        (1234567890123456789, "1234567890123456789"),
        ("\u3000A-1\u200b", "A-1"),
        ("12E5", "12E5"),
    ],
)
def test_an_id_keeps_every_digit(given, kept):
    assert clean_id(given) == kept


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (1.5, "decimal point"),
        (Decimal("1E+18"), "decimal point"),
        ("2.88231E+17", "lost digits"),
        ("2E+17", "lost digits"),
        ("1001.0", "lost digits"),
        (True, "must be text"),
        (None, "must be text"),
        ({}, "must be text"),
        ("  ", "empty"),
        ("a\x00b", "control character"),
        ("x" * 65, "65 signs long"),
        (10**70, "too long"),
    ],
)
def test_what_is_not_an_id_is_refused_with_a_reason(given, error):
    with pytest.raises(ValueError, match=error):
        clean_id(given)
