"""What every request carries: who acts and by which way, one reading of the row scope, and a login that counts only whole."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from orders import audit
from orders.people import scopes_kept

Handler = Callable[[HttpRequest], HttpResponse]

# Machines come in by these; they have tokens and signatures, not people.
MACHINE_WAYS = {"/api/": "api", "/hooks/": "api"}


def whole_login(get_response: Handler) -> Handler:
    """Whoever gave a password but no second factor yet is nobody, on every page.

    The pages of the second factor itself read `request.half_logged_in`. Nothing is looked up before it is needed.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        known = request.user
        request.half_logged_in = known  # type: ignore[attr-defined]
        if not settings.DEMO:
            request.user = SimpleLazyObject(lambda: known if is_whole(known) else AnonymousUser())  # type: ignore[assignment]
        return get_response(request)

    return handle


def is_whole(user: object) -> bool:
    """Is this login complete? django-otp adds is_verified to every request's user."""
    return bool(getattr(user, "is_authenticated", False)) and bool(user.is_verified())  # type: ignore[attr-defined]


def acting_person(get_response: Handler) -> Handler:
    """Everything that the request changes is recorded as done by its user."""

    def handle(request: HttpRequest) -> HttpResponse:
        way = next((way for start, way in MACHINE_WAYS.items() if request.path.startswith(start)), "admin")
        actor = request.user if way == "admin" else None
        with audit.acting(actor=actor, way=way), scopes_kept():
            return get_response(request)

    return handle
