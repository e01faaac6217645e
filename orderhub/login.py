"""The login form, with a limit on guessing that axes' own per-user lock does not see: many names from one address."""

from __future__ import annotations

from typing import Any

from axes.helpers import get_client_ip_address
from axes.models import AccessAttempt
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Sum
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm


def wrong_tries(**of: str) -> int:
    """How many wrong passwords there were lately from one address, or for one name."""
    recent = AccessAttempt.objects.filter(attempt_time__gte=now() - settings.AXES_COOLOFF_TIME, **of)
    return recent.aggregate(n=Sum("failures_since_start"))["n"] or 0


class HubLoginForm(AuthenticationForm):  # type: ignore[misc]
    """User name and password. Refuses, without trying the password, an address or a name that guessed too often."""

    def clean(self) -> dict[str, Any]:
        address = get_client_ip_address(self.request)
        name = self.cleaned_data.get("username", "")
        limit = settings.LOGIN_SPRAY_LIMIT
        if wrong_tries(ip_address=address) >= limit or (name and wrong_tries(username=name) >= limit):
            raise ValidationError(
                _(
                    "Too many wrong passwords from this address or for this name. Wait 15 minutes and try again."
                ),
                code="too_many",
            )
        cleaned: dict[str, Any] = super().clean()
        return cleaned
