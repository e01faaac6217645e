"""What every test stands on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest
from django.core.cache import cache
from django.utils import translation

from orders import append_only

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

_counted = count()


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Tests that commit end with a flush, which the append-only triggers would refuse."""
    from django.conf import settings
    from django.test import TransactionTestCase

    # Whitenoise looks through all static files for each client that a test makes: there are none, those of a page come
    # from where they are written. Where there is no directory it warns, and tests take warnings as errors.
    settings.STATIC_ROOT = settings.VAR_DIR / "static-of-tests"
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)

    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def flush_with_triggers_lifted(case: TransactionTestCase) -> None:
        with append_only.lifted():
            flush(case)

    TransactionTestCase._fixture_teardown = flush_with_triggers_lifted  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """No test sees what another one left in the cache of the process."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _ledger_of_its_own(settings: SettingsWrapper, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Papers, keys of logs and what was signed last lie outside the database, which forgets each test."""
    own = tmp_path_factory.getbasetemp() / f"ledger-{next(_counted)}"
    settings.LEDGER_KEY_DIR, settings.LEDGER_DIR = own / "keys", own / "heads"
    settings.DOCUMENT_DIR = own / "documents"


@pytest.fixture(autouse=True)
def _language_of_the_house() -> Iterator[None]:
    """A request leaves its language behind in the thread; the next test starts without it."""
    translation.deactivate()
    yield
    translation.deactivate()
