"""What only the frame of a staff page says of itself."""

from __future__ import annotations

from typing import Any

from django import template

from orderhub import policy

register = template.Library()


@register.simple_tag(takes_context=True)
def runs_unfold(context: dict[str, Any]) -> str:
    """Stands where a page loads Unfold's scripts: its policy allows what they need."""
    request = context.get("request")
    if request is not None:
        policy.runs_unfold(request)
    return ""
