"""The admin pages of connections, one module per subject. Importing a module registers its pages."""

from __future__ import annotations

import integrations.admin_connections
import integrations.admin_imports
import integrations.admin_mapping
import integrations.admin_messages  # noqa: F401
