from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises import canonical
from promises.tests.promise import payload

# Letters that have no other composed form; those that do are refused, which has its own test.
LETTERS = st.characters(whitelist_categories=["Lu", "Ll", "Nd", "Lo", "Po"], max_codepoint=0x9FFF)
TEXT = st.text(LETTERS, max_size=8).filter(lambda text: is_plain(text))
VALUES = st.recursive(
    st.none() | st.integers(-canonical.SAFE, canonical.SAFE) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def is_plain(text):
    return unicodedata.is_normalized("NFC", text) and not set(text) & canonical.ZERO_WIDTH


def test_the_payload_is_written_as_rfc_8785_says():
    data = canonical.encode({"b": [1, None], "a": "€", "é": {"z": '"\\'}})

    assert data == '{"a":"€","b":[1,null],"é":{"z":"\\"\\\\"}}'.encode()


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_what_is_written_is_read_back_and_written_the_same(value):
    data = canonical.encode(value)

    assert canonical.decode(data) == value
    assert canonical.encode(canonical.decode(data)) == data


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1.5, "float"),
        (True, "bool"),
        (2**53, "beyond"),
        (-(2**53), "beyond"),
        ("e\u0301", "NFC"),
        ("a\u202eb", "U+202E"),
        ("a\u200bb", "U+200B"),
        ("a\x00b", "U+0000"),
        ("a\nb", "U+000A"),
        ("\ufeffa", "U+FEFF"),
        ("\U000e0041", "U+E0041"),
        (b"bytes", "bytes"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(value, what):
    with pytest.raises(canonical.Refused, match=what.replace("+", "[+]")):
        canonical.encode({"a": [value]})
    if isinstance(value, str):
        with pytest.raises(canonical.Refused):
            canonical.encode({value: 1})


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":"\\u0061"}',
        b"[1]",
        b'{"a":1',
        b"\xff",
        b'{"a":' * 3000,
    ],
)
def test_bytes_that_are_not_the_canonical_form_are_refused(data):
    with pytest.raises(canonical.Refused):
        canonical.decode(data)


def test_a_whole_promise_is_taken():
    canonical.check_payload(payload())
    canonical.check_payload(
        payload(
            window={"from": 1, "to": 2}, order_tail="0123", to="王**", country="中国", supersedes="a" * 64
        )
    )


@pytest.mark.parametrize("name", sorted(canonical.PAYLOAD))
def test_a_promise_without_one_of_its_members_is_refused(name):
    short = payload()
    del short[name]

    with pytest.raises(canonical.Refused, match=name):
        canonical.check_payload(short)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2),
        ("typ", "order"),
        ("no", "ZRFJ-Q39T"),
        ("salt", "0" * 31),
        ("salt", "0" * 31 + "G"),
        ("due", 1),
        ("due", "tomorrow"),
        ("due", 2**32),
        ("items", []),
        ("items", [{"name": "x", "qty": 0, "unit": "kg"}]),
        ("items", [{"name": "x", "qty": "-1", "unit": "kg"}]),
        ("items", [{"name": "x", "qty": 1, "unit": "kg", "price": 9}]),
        ("items", [{"name": "x", "qty": 1, "unit": "kg"}] * 501),
        ("order", "OH261122-ABCDE"),
        ("basis", {"model": "m", "lane": "l", "p": 1001}),
        ("seen", {"size": -1, "root": "0" * 64}),
        ("supersedes", ""),
        ("street", "somewhere 1"),
        ("window", {"from": 2, "to": 1}),
    ],
)
def test_a_promise_that_is_not_as_the_format_says_is_refused_by_name(name, value):
    with pytest.raises(canonical.Refused, match=name):
        canonical.check_payload(payload(**{name: value}))


def test_the_digest_is_over_the_canonical_bytes():
    data = canonical.encode(payload())

    assert canonical.digest(data) == canonical.digest(canonical.encode(json.loads(data)))
    assert canonical.digest(data) != canonical.digest(canonical.encode(payload(due=1_764_072_001)))
