"""Users and their groups are Django's own models: what the audit needs to know of them."""

from __future__ import annotations

from django.contrib.auth.models import Group, User

from orders.auditing import audit_links


def audit_memberships() -> None:
    """Roles given and taken, and permissions given past the roles, are in the audit whatever the way in."""
    audit_links(User.groups.through, owner="user", other="group")
    audit_links(User.user_permissions.through, owner="user", other="permission")
    audit_links(Group.permissions.through, owner="group", other="permission")
