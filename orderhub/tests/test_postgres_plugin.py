from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_database_of_the_tests_writes_as_safely_as_in_production():
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA journal_mode")
            assert cursor.fetchone() == ("wal",)
            return
        cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        assert cursor.fetchone() == ("on", "on")
