"""Staff for tests: people with roles and a row scope, and whole logins."""

from __future__ import annotations

import itertools
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_totp.models import TOTPDevice

from orders.access import sync_roles
from orders.models import Shop, StaffScope, Warehouse

_counter = itertools.count(1)


def make_staff(
    *roles: str,
    may: tuple[str, ...] = (),
    shops: tuple[Shop, ...] = (),
    warehouses: tuple[Warehouse, ...] = (),
    everything: bool = False,
    **scope: Any,
) -> User:
    """One member of staff with these roles ("sales"), single permissions ("orders.view_order") and row scope."""
    user = User.objects.create_user(f"staff-{next(_counter)}", is_staff=True)
    if roles and Group.objects.filter(name__in=roles).count() < len(roles):
        # A test that commits ends with a flush, which takes the roles away.
        sync_roles()
    user.groups.set(Group.objects.filter(name__in=roles))
    for name in may:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    if everything or shops or warehouses or scope:
        row = StaffScope.objects.create(user=user, everything=everything, **scope)
        row.shops.set(shops)
        row.warehouses.set(warehouses)
    return user


def log_in(client: Client, user: User) -> Client:
    """The client with this user's whole login: password and second factor."""
    client.force_login(user)
    device, _made = TOTPDevice.objects.get_or_create(user=user, confirmed=True)
    session = client.session
    session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    session.save()
    return client


def staff_client(*roles: str, **given: Any) -> Client:
    """A logged-in browser of one member of staff."""
    return log_in(Client(), make_staff(*roles, **given))
