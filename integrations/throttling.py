"""How many requests one token may make. Counted per web process: with n processes the whole lets n times as many in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

if TYPE_CHECKING:
    from rest_framework.views import APIView

from integrations.models import ApiToken


@dataclass(slots=True)
class Bucket:
    """Requests that may still be made; filled up evenly, never above one minute's worth."""

    left: float
    filled_at: float


_buckets: dict[str, Bucket] = {}


class TokenThrottle(BaseThrottle):
    """settings.API_REQUESTS_PER_MINUTE for each token; a minute's worth may come at once."""

    seconds = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiToken):
            return True
        self.seconds = take(request.auth.digest, settings.API_REQUESTS_PER_MINUTE, time.monotonic())
        return self.seconds == 0.0

    def wait(self) -> float:
        return self.seconds


def take(token: str, per_minute: int, moment: float) -> float:
    """Take one request out of the token's bucket. 0, or after how many seconds there will be one."""
    bucket = _buckets.setdefault(token, Bucket(per_minute, moment))
    per_second = per_minute / 60
    bucket.left = min(per_minute, bucket.left + (moment - bucket.filled_at) * per_second)
    bucket.filled_at = moment
    if bucket.left < 1:
        return (1 - bucket.left) / per_second
    bucket.left -= 1
    return 0.0
