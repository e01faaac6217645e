"""One login for each role of the demo, with the part of the business that such a person would see."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils.translation import gettext as _

from orders.access import ROLES, role_label
from orders.masters import Shop, Warehouse
from orders.people import StaffScope

LEGIBLE = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Login:
    """A demo user: the role, and what of the orders it sees. No part at all: it sees nothing."""

    username: str
    role: str
    everything: bool = False
    own_customers: bool = False
    cross_border: bool = False
    shops: tuple[str, ...] = ()
    warehouses: tuple[str, ...] = ()


_PARTS: dict[str, Login] = {
    "sales": Login("sales", "sales", own_customers=True, shops=("demo-site",)),
    "warehouse": Login("warehouse", "warehouse", warehouses=("demo-gz",)),
    "customs": Login("customs", "customs", cross_border=True),
}
LOGINS: list[Login] = [
    *(_PARTS.get(role, Login(role, role, everything=True)) for role in ROLES),
    # A second keeper, for whom the first one's orders do not exist, and a newcomer whom nobody has let in yet.
    Login("warehouse_ks", "warehouse", warehouses=("demo-ks",)),
    Login("newcomer", "sales"),
]


def make_logins(file: Path) -> list[str]:
    """Make the demo users that are missing and note their passwords in the file; returns their names.

    A user of that name who is there already stays as it is: it may be a real person's.
    """
    known = set(User.objects.values_list("username", flat=True))
    missing = {login: draw_password() for login in LOGINS if login.username not in known}
    with transaction.atomic():
        for login, password in missing.items():
            user = User.objects.create_user(login.username, password=password, is_staff=True)
            user.groups.add(Group.objects.get(name=login.role))
        # Before the commit: a password that nobody could read would lock everybody out.
        _note(file, missing)
    return [login.username for login in missing]


def draw_password() -> str:
    """Four groups of four letters and digits that nobody mistakes for each other: people type these by hand."""
    return "-".join("".join(secrets.choice(LEGIBLE) for _sign in range(4)) for _group in range(4))


def give_scopes(file: Path) -> None:
    """Give the users of the file their part of the demo seller; a scope that somebody has set up since stays."""
    noted = {line.split()[0] for line in _lines(file)}
    for login in LOGINS:
        user = User.objects.filter(username=login.username).first()
        if user is None or login.username not in noted or StaffScope.objects.filter(user=user).exists():
            continue
        with transaction.atomic():
            scope = StaffScope.objects.create(
                user=user,
                everything=login.everything,
                own_customers=login.own_customers,
                cross_border=login.cross_border,
            )
            scope.shops.set(Shop.objects.filter(code__in=login.shops))
            scope.warehouses.set(Warehouse.objects.filter(code__in=login.warehouses))


def what_is_seen(login: Login) -> str:
    """The login's part of the business in words."""
    parts = [_("every order")] if login.everything else []
    if login.own_customers:
        parts.append(_("own customers"))
    if login.cross_border:
        parts.append(_("orders to other countries"))
    parts += [_("shop %(code)s") % {"code": code} for code in login.shops]
    parts += [_("warehouse %(code)s") % {"code": code} for code in login.warehouses]
    return ", ".join(parts) or _("nothing yet")


def _note(file: Path, made: dict[Login, str]) -> None:
    """Write the passwords into the file, which only its owner can read, in place of older ones of the same names."""
    if not made:
        return
    names = {login.username for login in made}
    lines = [line for line in _lines(file) if line.split()[0] not in names]
    lines += [
        f"{login.username:<14} {password}   {role_label(login.role)}: {what_is_seen(login)}"
        for login, password in made.items()
    ]
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        os.fchmod(opened.fileno(), 0o600)
        opened.write("\n".join(lines) + "\n")


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
