from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from promises import token

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "promises.example.com/t/demo"
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {token.key_id(NAME, PUBLIC): PUBLIC}
PH = bytes(range(32, 64))


def signed():
    return token.sign(NAME, KEY, number="ZRFJQ39TBHZ90492", issued_at=1_763_775_060, due=1_764_072_000, ph=PH)


def test_a_token_says_what_was_signed():
    said = token.verify(signed(), KEYS)

    assert said == token.Token(
        key_id=token.key_id(NAME, PUBLIC),
        number="ZRFJQ39TBHZ90492",
        issued_at=1_763_775_060,
        due=1_764_072_000,
        ph=PH,
    )


def test_a_token_is_119_bytes_and_191_letters_of_the_alphanumeric_set():
    text = token.to_text(signed())

    assert len(signed()) == 119
    assert len(text) == 191
    assert not set(text) - set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


@pytest.mark.parametrize(
    "bend", [str, str.lower, lambda text: f"{text}/", lambda text: f"/{text}//", lambda text: f" {text}\n"]
)
def test_a_token_survives_what_chats_do_to_addresses(bend):
    assert token.from_text(bend(token.to_text(signed()))) == signed()


def test_a_thousand_changed_bits_are_a_thousand_refusals():
    draw = random.Random(1)
    for _time in range(1000):
        spoilt = bytearray(signed())
        spoilt[draw.randrange(119)] ^= 1 << draw.randrange(8)

        with pytest.raises(token.BadToken):
            token.verify(bytes(spoilt), KEYS)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + b"\0", lambda t: b"\2" + t[1:], lambda t: b""]
)
def test_a_cut_extended_or_foreign_token_is_refused(change):
    with pytest.raises(token.BadToken):
        token.verify(change(signed()), KEYS)


def test_a_token_of_an_unknown_key_is_refused():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    foreign = token.sign(NAME, other, number="ZRFJQ39TBHZ90492", issued_at=1, due=2, ph=PH)

    with pytest.raises(token.BadToken, match="unknown"):
        token.verify(foreign, KEYS)


def test_a_signature_without_the_domain_is_refused():
    body = signed()[: token.BODY]

    with pytest.raises(token.BadToken, match="does not fit"):
        token.verify(body + KEY.sign(body), KEYS)


def test_a_token_has_one_text_only():
    text = token.to_text(signed())
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".index(text[-1])

    with pytest.raises(token.BadToken):
        token.from_text(text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[last | 1])
    with pytest.raises(token.BadToken):
        token.from_text(text[:-1] + "1")
