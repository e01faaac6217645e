"""Letters to the hub: signed, sent, tried again. The sending half of Standard Webhooks, with shortened waits."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from integrations import signatures

TIMEOUT = 15.0
# Seconds before each further try. Real senders go on for days (5 s, 5 min, 30 min, 2 h ...).
WAITS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 300.0, 300.0)
SLOW_DOWN = frozenset({429, 502, 503, 504})
LONGEST_WAIT = 600.0
UNREACHABLE = 0


@dataclass(slots=True)
class Letter:
    """One message. The id stays the same however often it is sent; the signature is made anew for each try."""

    slug: str
    message_id: str
    kind: str
    occurred_at: datetime
    data: dict[str, Any]
    tries: int = 0
    # Sent a second time on purpose; never a third.
    is_copy: bool = False

    @property
    def body(self) -> bytes:
        timestamp = self.occurred_at.astimezone(UTC).isoformat()
        return json.dumps(
            {"type": self.kind, "timestamp": timestamp, "data": self.data}, ensure_ascii=False
        ).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """status: UNREACHABLE if there was none. retry_after: seconds the hub asks to wait."""

    status: int
    text: str = ""
    retry_after: float | None = None

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


class Hub:
    """The hub as a partner sees it: an address."""

    def __init__(self, base_url: str, token: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{base_url!r} is not an address like http://127.0.0.1:8000")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._line = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        self._path, self._token = parts.path.rstrip("/"), token

    def push(self, letter: Letter, secret: str, at: datetime) -> Answer:
        body, timestamp = letter.body, int(at.timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": letter.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures.sign(secret, letter.message_id, timestamp, body),
        }
        return self._ask("POST", f"/hooks/{letter.slug}/", headers, body)

    def open_orders(self, after: str = "") -> tuple[list[dict[str, Any]], str] | None:
        """One page of open orders, and where the next begins ("" = there is none); None if the hub did not answer."""
        query = f"?open=1&limit=100{f'&after={after}' if after else ''}"
        answer = self._ask("GET", f"/api/v1/orders/{query}", {"Authorization": f"Token {self._token}"})
        if answer.status != 200:
            return None
        page = json.loads(answer.text)
        return page["items"], page["next"] or ""

    def close(self) -> None:
        self._line.close()

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        try:
            self._line.request(method, self._path + path, body=body, headers=headers)
            response = self._line.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            # The next request opens a new line.
            self._line.close()
            return Answer(UNREACHABLE, f"{type(error).__name__}: {error}")
        return Answer(response.status, text, _seconds(response.getheader("Retry-After")))


def _seconds(header: str | None) -> float | None:
    return min(float(header), LONGEST_WAIT) if header and header.isdigit() else None
