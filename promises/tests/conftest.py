"""What every test of this room stands on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def _in_english(_language_of_the_house: None) -> Iterator[None]:
    """The texts that these tests read are those of the code; pages still speak as their reader asks."""
    with translation.override("en"):
        yield
