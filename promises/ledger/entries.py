"""The entries of a log: which kinds there are, what each must say, and their bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from promises import canonical
from promises.canonical import Refused

VERSION = 1
# A bundle of entries states each length in two bytes.
MAX_BYTES = 65_535
OUTCOMES = frozenset({"delivered", "failed", "cancel_customer", "cancel_seller"})
SOURCES = frozenset({"carrier", "customer", "seller"})
REASONS = frozenset({"CUSTOMER", "STOCK", "CARRIER", "WEATHER", "CUSTOMS", "SELLER"})
Check = Callable[[Any], bool]


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**32


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _one_of(words: frozenset[str]) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _is_policy(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"mmd", "grace", "visibility"}
        and _is_size(value["mmd"])
        and _is_size(value["grace"])
        and value["visibility"] in {"public", "holders"}
    )


def _is_entity(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"name", "uscc"} and all(map(_is_text, value.values()))


# Kind -> its members beside v, i, t, ts and ref.
KINDS: dict[str, dict[str, Check]] = {
    "genesis": {
        "entity": _is_entity,
        "origin": _is_text,
        "log": _is_text,
        "token": _is_text,
        "policy": _is_policy,
        "previous": lambda value: value is None or _is_text(value),
    },
    "issue": {"nh": _is_hash, "ph": _is_hash, "pdf": _is_hash, "due": _is_time},
    "revise": {
        "ph": _is_hash,
        "pdf": _is_hash,
        "due": _is_time,
        "by": _one_of(frozenset({"seller", "customer"})),
        "rc": _one_of(REASONS),
    },
    "outcome": {"k": _one_of(OUTCOMES), "at": _is_time, "src": _one_of(SOURCES), "ev": _is_hash},
    "dispute": {"h": _is_hash},
    "answer": {"h": _is_hash},
    "key": {"use": _one_of(frozenset({"log", "token"})), "vkey": _is_text, "sig": _is_text},
    "revoke": {"key": _is_text, "size": _is_size},
    # A row of the behaviour audit: its salted hash and nothing else.
    "audit": {"h": _is_hash},
}
# Kinds that speak of an earlier entry, by its place.
ABOUT = frozenset({"revise", "outcome", "dispute", "answer"})


def check(kind: str, body: Mapping[str, Any]) -> None:
    """That an entry of this kind can be written. Raises Refused naming the member."""
    wanted = KINDS.get(kind)
    if wanted is None:
        raise Refused("t", f"the unknown kind {kind}")
    for name in sorted(set(wanted) ^ set(body)):
        raise Refused(name, "missing" if name in wanted else "unknown")
    for name, judge in wanted.items():
        if not judge(body[name]):
            raise Refused(name, "not as the format says")
    canonical.check(body)
    if len(canonical.encode(body)) > MAX_BYTES - 200:
        raise Refused("", "longer than an entry may be")


def encode(kind: str, body: Mapping[str, Any], *, index: int, ts: int, ref: int | None = None) -> bytes:
    """The entry's bytes. ref: the place of the entry that it speaks of."""
    about = {} if ref is None else {"ref": ref}
    return canonical.encode({"v": VERSION, "i": index, "t": kind, "ts": ts, **about, **body})
