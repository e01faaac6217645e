"""The admin pages of orders, one module per subject. Importing a module registers its pages."""

from __future__ import annotations

import orders.admin_calendar
import orders.admin_masters
import orders.admin_orders  # noqa: F401
