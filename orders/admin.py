"""The admin pages of orders, one module per subject. Importing a module registers its pages."""

from __future__ import annotations

import orders.admin_calendar  # noqa: F401
import orders.admin_masters  # noqa: F401
import orders.admin_orders  # noqa: F401
