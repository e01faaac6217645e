"""What every test stands on."""

from __future__ import annotations

import pytest

from orders import append_only


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Tests that commit end with a flush, which the append-only triggers would refuse."""
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def flush_with_triggers_lifted(case: TransactionTestCase) -> None:
        with append_only.lifted():
            flush(case)

    TransactionTestCase._fixture_teardown = flush_with_triggers_lifted  # type: ignore[attr-defined]
