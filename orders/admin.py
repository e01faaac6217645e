"""The admin pages of orders, one module per subject. Importing a module registers its pages."""

from __future__ import annotations

import orders.admin_calendar  # noqa: F401
