"""What every request carries: who acts and by which way, one reading of the row scope, and a login that counts only whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject
from django.utils.translation.trans_real import parse_accept_lang_header

from orders import audit
from orders.desk import preference_of
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


# Asked by scripts about once a second or at every key: they show no times in words.
WITHOUT_A_ZONE = ("/admin/live/", "/admin/palette/", "/admin/jsi18n/")


def own_desk(get_response: Handler) -> Handler:
    """`request.preference`: how this person likes the screens; and their time zone for everything that is shown."""

    def handle(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/") or request.path.startswith(WITHOUT_A_ZONE):
            return get_response(request)
        if not request.user.is_authenticated:
            return get_response(request)
        preference = preference_of(request.user)
        request.preference = preference  # type: ignore[attr-defined]
        with timezone.override(preference.timezone or None):
            return get_response(request)

    return handle


def callers_language(accepted: str) -> str:
    """What a program is answered in, by its Accept-Language: English, unless it asks for another language of ours."""
    for code, weight in parse_accept_lang_header(accepted):
        with suppress(LookupError):
            if weight > 0:
                return translation.get_supported_language_variant(code)
    return "en"


def asked_language(get_response: Handler) -> Handler:
    """Outside of the admin ?lang=en shows a page in that language, and the browser keeps it. Programs ask by header.

    By a link, because these pages send no referrer: browsers then send no origin either, and a form would be refused.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(tuple(MACHINE_WAYS)):
            translation.activate(callers_language(request.headers.get("Accept-Language", "")))
            request.LANGUAGE_CODE = translation.get_language()
            return get_response(request)
        asked = request.GET.get("lang", "")
        if asked not in dict(settings.LANGUAGES) or request.path.startswith("/admin/"):
            return get_response(request)
        translation.activate(asked)
        request.LANGUAGE_CODE = asked
        response = get_response(request)
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, asked, max_age=365 * 24 * 3600, samesite="Lax")
        return response

    return handle


# Pages for customers that have forms.
FORMS_OUTSIDE = ("/o/",)


def withheld_origin(get_response: Handler) -> Handler:
    """Before the check of forms: pages outside send no referrer, so browsers name no origin ("null") for their own forms.

    Such a form is judged by its token alone. One that a browser calls foreign (Sec-Fetch-Site) stays without an origin.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        if (
            request.META.get("HTTP_ORIGIN") == "null"
            and request.path.startswith(FORMS_OUTSIDE)
            and request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
        ):
            request.META["HTTP_ORIGIN"] = f"{request.scheme}://{request.get_host()}"
        return get_response(request)

    return handle
