"""What a person reads who may not do something: which permission is missing, which roles have it, who can give it."""

from __future__ import annotations

import re

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from orderhub import request_id
from orders.access import ROLES

BACKEND = "django.contrib.auth.backends.ModelBackend"
MOST_NAMED = 3
VERBS = {"changelist": "view", "history": "view", "change": "view", "add": "add", "delete": "delete"}


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 403 page. For whoever is not logged in to the admin it says nothing about permissions."""
    if not admin.site.has_permission(request):
        outside = {"title": _("Not allowed"), "request_id": request_id.current()}
        return render(request, "public/403.html", outside, status=403)
    name = missing_permission(request, exception)
    context = {
        **admin.site.each_context(request),
        "title": _("Not allowed"),
        "permission": permission_label(name) if name else "",
        "roles": [row.label for row in ROLES.values() if name in row.may],
        "grantors": grantors(),
        "request_id": request_id.current(),
    }
    return render(request, "403.html", context, status=403)


def missing_permission(request: HttpRequest, exception: Exception) -> str:
    """ "app.codename", as the refusing code says or as the address implies; empty if neither tells."""
    if re.fullmatch(r"\w+\.\w+", str(exception)):
        return str(exception)
    match = request.resolver_match
    parts = (match.url_name or "").rsplit("_", 2) if match and match.app_name == "admin" else []
    if len(parts) != 3 or parts[2] not in VERBS:
        return ""
    verb = "change" if parts[2] == "change" and request.method == "POST" else VERBS[parts[2]]
    return f"{parts[0]}.{verb}_{parts[1]}"


def grantors() -> list[str]:
    """Names of those who can give a role: active staff who may change people, at most MOST_NAMED."""
    able = get_user_model().objects.with_perm("auth.change_user", backend=BACKEND).filter(is_staff=True)
    return [user.get_full_name() or user.get_username() for user in able.order_by("pk")[:MOST_NAMED]]


def permission_label(name: str) -> str:
    """The permission in the reader's language."""
    app, code = name.split(".")
    for model in apps.get_models():
        if model._meta.app_label != app:
            continue
        for own, label in model._meta.permissions:
            if own == code:
                return str(label)
        verb, _sign, rest = code.partition("_")
        if rest == model._meta.model_name:
            return {
                "view": _("See: %(records)s"),
                "add": _("Add: %(records)s"),
                "change": _("Change: %(records)s"),
                "delete": _("Delete: %(records)s"),
            }.get(verb, "%(records)s") % {"records": model._meta.verbose_name_plural}
    return name
