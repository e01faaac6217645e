"""A notarisation chain of the AntChain kind (可信存证): a signed form, a signed answer, the hash of a transaction.

The receipt keeps question and answer word for word. Its signature is made with a key that service and house share, so it
convinces nobody else: others look the transaction up with the service. Names of methods as in the service's own examples;
they have not been tried against a real account.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import requests
from django.conf import settings
from django.utils.timezone import now

from promises.anchors.services import NoReceipt, Receipt, Said, body_of

WAIT = (5, 15)
MOST_BYTES = 50_000
CREATE, LOOK_UP = "twc.notary.text.create", "twc.notary.text.get"
# The answer's own text, as it was signed: the object after "response", before the signature.
_SIGNED = re.compile(r'^\s*\{\s*"response"\s*:\s*(\{.*\})\s*,\s*"sign"\s*:\s*"([^"]*)"\s*\}\s*$', re.DOTALL)


def sign(parameters: Mapping[str, str | None], secret: str) -> str:
    """HMAC-SHA1 in base 64 over all parameters in order, escaped as RFC 3986 has it; what is None is left out."""
    pairs = sorted((name, value) for name, value in parameters.items() if value is not None)
    text = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    return _mac(text, secret)


def _mac(text: str, secret: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha1)).decode()


class Chain:
    """The service of ORDERHUB_NOTARY_URL."""

    kind: ClassVar[str] = "notary"
    every: ClassVar[timedelta] = timedelta(days=1)
    patience: ClassVar[timedelta] = timedelta(minutes=10)

    def is_set_up(self) -> bool:
        return bool(settings.NOTARY_URL and settings.NOTARY_ACCESS_KEY and settings.NOTARY_SECRET)

    def submit(self, note: str) -> Receipt:
        content = json.dumps({"sha256": _digest(note)}, separators=(",", ":"))
        made = _ask(CREATE, {"transaction_id": _digest(note)[:32], "notary_content": content})
        return _receipt({"content": content, "create": made})

    def upgrade(self, receipt: bytes, note: str) -> Receipt:
        kept = _opened(receipt, note)
        found = _ask(LOOK_UP, {"tx_hash": _answer(kept["create"])["tx_hash"]})
        return _receipt({**kept, "look_up": found})

    def check(self, receipt: bytes, note: str) -> Said:
        said = _said(_opened(receipt, note))
        if said is None:
            raise NoReceipt("the chain has not named the block yet")
        return said


def _digest(note: str) -> str:
    return hashlib.sha256(note.encode()).hexdigest()


def _ask(method: str, business: Mapping[str, str]) -> dict[str, str]:
    """Question and answer of one call, word for word. Raises NoReceipt and what requests raises."""
    common = {
        "method": method,
        "version": "1.0",
        "sign_type": "HmacSHA1",
        "req_time": f"{now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "req_msg_id": uuid.uuid4().hex,
        "access_key": settings.NOTARY_ACCESS_KEY,
    }
    signed = sign({**common, **business}, settings.NOTARY_SECRET)
    with requests.post(
        settings.NOTARY_URL,
        params={**common, "sign": signed},
        data=dict(business),
        timeout=WAIT,
        allow_redirects=False,
        stream=True,
    ) as answer:
        if answer.status_code != requests.codes.ok:
            raise NoReceipt(f"the chain's service answered {answer.status_code}")
        text = body_of(answer, MOST_BYTES).decode("utf-8", "replace")
    kept = {"id": common["req_msg_id"], "text": text}
    _answer(kept)
    return kept


def _answer(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The answer's content, if it is signed, answers this question and says OK. Raises NoReceipt."""
    found = _SIGNED.match(str(kept.get("text", "")))
    if found is None:
        raise NoReceipt("the answer is not one of such a service")
    if not hmac.compare_digest(_mac(found[1], settings.NOTARY_SECRET).encode(), found[2].encode()):
        raise NoReceipt("the answer's signature does not hold")
    try:
        said = json.loads(found[1])
    except ValueError:
        raise NoReceipt("the answer is not one of such a service") from None
    if said.get("req_msg_id") != kept.get("id"):
        raise NoReceipt("the answer is to another question")
    if said.get("result_code") != "OK":
        raise NoReceipt(f"refused: {said.get('result_code')} {said.get('result_msg', '')}".strip())
    if not isinstance(said.get("tx_hash"), str):
        raise NoReceipt("the answer names no transaction")
    return dict(said)


def _receipt(kept: Mapping[str, Any]) -> Receipt:
    return Receipt(json.dumps(kept, sort_keys=True).encode(), _said(kept))


def _opened(receipt: bytes, note: str) -> dict[str, Any]:
    """Raises NoReceipt for one that is none, is over another note, or whose answers do not hold."""
    try:
        kept = dict(json.loads(receipt))
        digest = json.loads(kept["content"])["sha256"]
    except (ValueError, KeyError, TypeError):
        raise NoReceipt("not a receipt of a notarisation chain") from None
    if digest != _digest(note):
        raise NoReceipt("the receipt is over something else")
    if not all(isinstance(kept.get(name, {}), dict) for name in ("create", "look_up")):
        raise NoReceipt("not a receipt of a notarisation chain")
    _answer(kept.get("create", {}))
    return kept


def _said(kept: Mapping[str, Any]) -> Said | None:
    """None until the block is named."""
    if "look_up" not in kept:
        return None
    made, found = _answer(kept["create"]), _answer(kept["look_up"])
    if found["tx_hash"] != made["tx_hash"]:
        raise NoReceipt("the answer is about another transaction")
    if not found.get("block_height"):
        return None
    # The first answer names no content: without it here, any transaction would do.
    if found.get("notary_content") != kept["content"]:
        raise NoReceipt("the chain holds something else under this transaction")
    stated = found.get("block_time")
    at = datetime.fromtimestamp(int(str(stated)) / 1000, UTC) if str(stated or "").isdigit() else None
    facts = {"tx_hash": made["tx_hash"], "block": str(found["block_height"])}
    return Said(at, {**facts, "block_hash": str(found.get("block_hash", ""))})
