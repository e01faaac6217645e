"""What the admin does not show: pages of other packages that would let code be chosen or secrets be read."""

from __future__ import annotations

import django_otp.plugins.otp_totp.admin  # noqa: F401
import django_q.admin  # noqa: F401 - registered by now, so that nothing registers them later
from django.contrib import admin
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_q.models import Failure, OrmQ, Schedule, Success

admin.site.unregister([Failure, OrmQ, Schedule, Success, TOTPDevice])
