"""What the pages of the ways in say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from integrations.told import words_of

register = template.Library()


@register.filter
def told(problem: Mapping[str, Any]) -> str:
    """What a kept problem of a message says, in the reader's language."""
    return words_of(problem)
