"""How many requests one token may make, counted for all web processes together.

The count stands in the token's row. A process fetches a second's worth at once and spends it without asking again, so
that a hundred requests cost one small statement; what it has in hand is counted as used.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import F, FloatField, QuerySet, Value
from django.db.models.functions import Abs, Least
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

if TYPE_CHECKING:
    from rest_framework.views import APIView

from integrations.models import ApiToken


class Allowance:
    """What one process has fetched and not yet spent, by token."""

    def __init__(self) -> None:
        self._in_hand: dict[str, int] = {}

    def take(self, token: str, per_minute: int, at: float) -> float:
        """Spend one request of the token of this digest. 0, or after how many seconds there may be one."""
        in_hand = self._in_hand.get(token, 0)
        if not in_hand:
            in_hand = _fetched(token, per_minute, at)
        if not in_hand:
            return _wait(token, per_minute, at)
        # Two threads that meet here spend one request twice; locking would cost more than that.
        self._in_hand[token] = in_hand - 1
        return 0.0


_ours = Allowance()


class TokenThrottle(BaseThrottle):
    """settings.API_REQUESTS_PER_MINUTE for each token; a minute's worth may come at once."""

    seconds = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiToken):
            return True
        self.seconds = _ours.take(request.auth.digest, settings.API_REQUESTS_PER_MINUTE, time.time())
        return self.seconds == 0.0

    def wait(self) -> float:
        return self.seconds


def _fetched(token: str, per_minute: int, at: float) -> int:
    """Take a second's worth, at least one, out of the token's row; 0 if there is not so much.

    One statement, so that of any number of processes at one moment none takes what another has taken.
    """
    wanted = max(1, per_minute // 60)
    there = Least(
        Value(float(per_minute)),
        # In the future counts as long ago: clocks are set back, and nobody must be locked out until they catch up.
        F("n_left") + Abs(Value(at) - F("left_at")) * Value(per_minute / 60),
        output_field=FloatField(),
    )
    # Not a change that anybody made: past the audit on purpose.
    rows = QuerySet(ApiToken).alias(there=there).filter(digest=token, there__gte=wanted)
    return wanted if rows.update(n_left=there - Value(float(wanted)), left_at=at) else 0


def _wait(token: str, per_minute: int, at: float) -> float:
    """Until a second's worth is there again."""
    row = ApiToken.objects.filter(digest=token).values_list("n_left", "left_at").first()
    n_left, left_at = row or (0.0, at)
    missing = max(1, per_minute // 60) - n_left
    return max(0.001, missing / (per_minute / 60) - abs(at - left_at))
